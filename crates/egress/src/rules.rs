//! Which addresses a request may go to.
//!
//! Public addresses over TLS need no permission. Everything else does: `[egress] allow` names the
//! ranges an operator means, and only those may be spoken to without TLS. Documents of clients have a
//! list of their own, because strangers write their URLs, and are never fetched without TLS.
//! Metadata, multicast, broadcast and unspecified addresses stay refused whatever a setting says. An
//! empty list permits nothing beyond the public internet.

use std::fmt;
use std::net::IpAddr;

use crate::address::{AddressKind, classify_one, destinations};
use crate::network::Network;

/// The ranges permitted in addition to the public internet.
///
/// URLs that strangers supply (client documents) are judged by [`EgressRules::for_client_documents`]:
/// a range allowed for the operator's own servers is not theirs to reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressRules {
    allow: Vec<Network>,
    setting: Setting,
}

/// The setting that names the ranges, which is where a refusal sends its reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Setting {
    /// `[egress] allow`.
    #[default]
    Allow,
    /// `[egress] client_documents`.
    ClientDocuments,
}

/// Whether the bytes on the wire are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// `https`.
    Tls,
    /// `http`.
    Plain,
}

/// An address that may not be connected to, with everything its reader needs to change that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{host}`{at} {objection}", at = .address.map_or(String::new(), |address| format!(" (`{address}`)")))]
pub struct Refusal {
    /// The host of the URL as it was given.
    pub host: Box<str>,
    /// The refused address; absent where the host is that address.
    pub address: Option<IpAddr>,
    /// Why.
    pub objection: Objection,
}

/// Why an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// No setting permits this kind.
    #[error("is {0}, which is never allowed: use another host")]
    Never(AddressKind),
    /// Not public, and not in the setting.
    #[error("is {0}: if it is meant, add its range to `{1}`")]
    NotAllowed(AddressKind, Setting),
    /// Public, but the URL says `http`.
    #[error("would be reached without encryption: use `https`, or add its range to `[egress] allow`")]
    Plain,
    /// The URL says `http`, and what it stands for is its identity.
    #[error("would be reached without encryption, which lets others answer in its place: use `https`")]
    NeverPlain,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "[egress] allow",
            Self::ClientDocuments => "[egress] client_documents",
        })
    }
}

impl EgressRules {
    /// The public internet and the ranges in `allow`.
    pub fn new(allow: Vec<Network>) -> Self {
        Self { allow, setting: Setting::Allow }
    }

    /// The public internet and the ranges in `allow`, over TLS alone, for URLs that strangers supply.
    pub fn for_client_documents(allow: Vec<Network>) -> Self {
        Self { allow, setting: Setting::ClientDocuments }
    }

    /// The public internet over TLS, nothing else.
    pub fn public_only() -> Self {
        Self::default()
    }

    /// Whether `address` may be connected to. Every address it carries has to pass.
    ///
    /// # Errors
    /// The first objection.
    pub fn judge(&self, address: IpAddr, transport: Transport) -> Result<(), Objection> {
        destinations(address).into_iter().flatten().try_for_each(|one| self.judge_one(one, transport))
    }

    /// Whether any range may be spoken to without TLS: without one, `http` can never succeed.
    pub(crate) fn allows_plain(&self) -> bool {
        match self.setting {
            Setting::Allow => !self.allow.is_empty(),
            Setting::ClientDocuments => false,
        }
    }

    fn judge_one(&self, address: IpAddr, transport: Transport) -> Result<(), Objection> {
        let kind = classify_one(address);
        if kind.is_never_allowed() {
            return Err(Objection::Never(kind));
        }
        if self.setting == Setting::ClientDocuments && transport == Transport::Plain {
            return Err(Objection::NeverPlain);
        }
        if self.allow.iter().any(|network| network.contains(address)) {
            return Ok(());
        }
        match (kind, transport) {
            (AddressKind::Global, Transport::Tls) => Ok(()),
            (AddressKind::Global, Transport::Plain) => Err(Objection::Plain),
            (other, _) => Err(Objection::NotAllowed(other, self.setting)),
        }
    }
}
