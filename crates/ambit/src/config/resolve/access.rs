//! What may be asked for, by whom, and for how long; and whether anybody could ever say yes.

use std::collections::{BTreeMap, BTreeSet};

use ambit_model::{
    access::AccessRules,
    grant::{DEFAULT_GRANT_MS, MAX_GRANT_MS},
    ids::{EndpointSlug, Millis, ToolsetSlug},
    operator::{Role, Roles},
    toolset::Toolset,
};

use super::Resolving;
use crate::config::{place::Place, quantity};

impl Resolving<'_> {
    pub(super) fn access(&mut self, toolsets: &BTreeMap<ToolsetSlug, Toolset>, roles: &Roles) -> AccessRules {
        let raw = &self.raw.access_requests;
        let place = Place::root().key("access_requests");
        let longest_ms = self.longest(&place.key("longest"), raw.longest.as_deref());
        let off = self.raw.endpoints.iter().filter(|endpoint| !endpoint.access_requests);
        let off_at = off.filter_map(|endpoint| EndpointSlug::parse(super::endpoints::slug_of(&endpoint.path)).ok());
        let off_at = off_at.collect();
        let mut requestable_by = BTreeMap::new();
        for (slug, raw) in &self.raw.toolsets {
            let place = Place::root().key("toolsets").key(slug).key("requestable_by");
            let each = raw.requestable_by.iter().enumerate();
            let named: BTreeSet<_> = each
                .filter_map(|(index, text)| {
                    let asks = "whoever asks confirms that after a login here";
                    self.person_or_group(&place.index(index), text, asks)
                })
                .collect();
            let Ok(slug) = ToolsetSlug::parse(slug) else { continue };
            if named.is_empty() {
                continue;
            }
            if let Some(toolset) = toolsets.get(&slug).filter(|toolset| !is_decided(toolset, roles)) {
                let servers: BTreeSet<_> = toolset.tools.iter().map(|tool| format!("`{}`", tool.server())).collect();
                let servers = servers.into_iter().collect::<Vec<_>>().join(", ");
                let message = format!(
                    "lets people ask for what nobody could give them: name a `person` who is `owner` of {servers}, or an \
                     `admin`, in `[[operator.roles]]`"
                );
                self.findings.warn(&place, message);
            }
            requestable_by.insert(slug, named);
        }
        AccessRules { enabled: raw.enabled, off_at, longest_ms, requestable_by }
    }

    fn longest(&mut self, place: &Place, text: Option<&str>) -> Millis {
        let Some(text) = text else { return DEFAULT_GRANT_MS };
        let read = self.leaf(place, quantity::duration(text).ok_or("is not a duration"));
        let Some(longest) = read.and_then(|life| Millis::try_from(life.as_millis()).ok()) else {
            return DEFAULT_GRANT_MS;
        };
        if !(1..=MAX_GRANT_MS).contains(&longest) {
            let message = format!("is `{text}`: a grant lives at most a year, so write up to `365d`");
            self.findings.error_once(place, message);
            return DEFAULT_GRANT_MS;
        }
        longest
    }
}

/// Whether some person is an admin, or an owner of everything a toolset reaches.
fn is_decided(toolset: &Toolset, roles: &Roles) -> bool {
    let mut people = roles.0.iter().filter_map(|holder| roles.of_person(holder.person.as_ref()?));
    people.any(|rights| {
        let owns_all = toolset.tools.iter().all(|tool| rights.own(tool.server()));
        rights.are(Role::Admin) || (rights.are(Role::Owner) && !toolset.tools.is_empty() && owns_all)
    })
}
