//! Which other systems hear what waits for people.

use std::collections::BTreeMap;

use ambit_egress::{EgressRules, Target};
use ambit_live::notices::NoticeKind;

use super::Resolving;
use crate::config::{
    Address, DeclaredWebhook,
    place::Place,
    raw::{self, WebhookEvent as Event},
};

impl Resolving<'_> {
    pub(super) fn webhooks(&mut self, rules: &EgressRules) -> BTreeMap<String, DeclaredWebhook> {
        let place = Place::root().key("webhooks");
        let mut webhooks = BTreeMap::new();
        for (name, raw) in &self.raw.webhooks {
            let place = place.key(name);
            if raw.format == raw::WebhookFormat::Generic && raw.secret.is_none() {
                let message = "is missing: without a signature nobody knows who speaks; write `secret = \"env:NAME\"`";
                self.findings.error(&place.key("secret"), message);
            }
            let key = raw.secret.as_ref().and_then(|text| self.secret(&place.key("secret"), text));
            let url = place.key("url");
            let address = if raw.url.starts_with("env:") || raw.url.starts_with("file:") {
                self.secret(&url, &raw.url).map(Address::Secret)
            } else {
                self.leaf(&url, Target::parse(&raw.url, rules)).map(Address::Plain)
            };
            let Some(address) = address else { continue };
            let kinds = match raw.events.as_slice() {
                [] => NoticeKind::ALL.to_vec(),
                some => some.iter().copied().map(kind).collect(),
            };
            webhooks.insert(name.clone(), DeclaredWebhook { address, format: raw.format, key, kinds });
        }
        webhooks
    }
}

const fn kind(event: Event) -> NoticeKind {
    match event {
        Event::ApprovalRequested => NoticeKind::ApprovalRequested,
        Event::ApprovalApproved => NoticeKind::ApprovalApproved,
        Event::ApprovalDenied => NoticeKind::ApprovalDenied,
        Event::GlassBroken => NoticeKind::GlassBroken,
        Event::AccessRequested => NoticeKind::AccessRequested,
        Event::AccessApproved => NoticeKind::AccessApproved,
        Event::AccessDenied => NoticeKind::AccessDenied,
    }
}
