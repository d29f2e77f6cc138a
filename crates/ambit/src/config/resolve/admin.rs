//! Where the admin API listens, and what it is as a resource of its own.

use std::net::SocketAddr;

use ambit_identity::admin::SLUG;
use ambit_model::admin::AdminResource;

use super::Resolving;
use crate::config::{format, place::Place};

impl Resolving<'_> {
    /// The address and the resource; none unless an address is configured.
    pub(super) fn admin(&mut self, public_url: &str) -> Option<(SocketAddr, AdminResource)> {
        let place = Place::root().key("admin");
        let own_url = self.raw.admin.public_url.as_deref();
        let Some(text) = &self.raw.admin.listen else {
            if own_url.is_some() {
                self.findings.error(&place, "has a `public_url` and does not listen: add `listen`, or remove it");
            }
            return None;
        };
        let place_of_listen = place.key("listen");
        let address: SocketAddr = self.leaf(&place_of_listen, text.parse())?;
        for (taken, what) in
            [(Some(&self.raw.listen), "clients are served"), (self.raw.metrics.listen.as_ref(), "counters are read")]
        {
            let same = taken.and_then(|taken| taken.parse::<SocketAddr>().ok()) == Some(address);
            if same && address.port() != 0 {
                self.findings.error(&place_of_listen, format!("is `{address}`, where {what}: use another port"));
            }
        }
        let url = match own_url {
            Some(text) => self.leaf(&place.key("public_url"), format::public_url(text))?,
            None if address.ip().is_loopback() => format!("http://{address}"),
            None => {
                let message = "is missing: an address that others reach is served behind TLS; write the `https` URL under \
                               which they do, or listen on loopback";
                self.findings.error(&place.key("public_url"), message);
                return None;
            }
        };
        if url == public_url {
            let message = format!("is `{url}`, where clients are served: give the admin API a name of its own");
            self.findings.error(&place.key("public_url"), message);
        }
        if self.raw.operator.roles.iter().all(|holder| holder.person.is_none()) {
            let message = "serves nobody: add an entry of `[[operator.roles]]` with a `person`";
            self.findings.warn(&place, message);
        }
        Some((address, AdminResource { issuer: format!("{public_url}/as/{SLUG}"), url }))
    }
}
