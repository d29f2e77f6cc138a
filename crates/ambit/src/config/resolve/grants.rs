//! Who holds what, and who may say so: grants and the roles of operators.

use std::collections::{BTreeMap, BTreeSet};

use ambit_model::{
    Digest, canonical,
    claim::ClaimMatch,
    constraints::{Constraints, ToolPattern},
    grant::{DEFAULT_GRANT_MS, Grant, GrantOrigin, GrantSubject, MAX_GRANT_MS},
    ids::{AgentId, ClientId, GrantId, GroupName, IssuerName, Millis, ServerSlug, ToolsetSlug},
    operator::{Role, RoleHolder, Roles},
    toolset::Selector,
};
use ambit_policy::constraint::Constraint;
use serde_json::json;

use super::Resolving;
use crate::config::{place::Place, problem::shown, raw};

/// From this long before its end on, a grant is said to end soon.
pub(crate) const ENDS_SOON_MS: Millis = 14 * 24 * 60 * 60 * 1000;

impl Resolving<'_> {
    pub(super) fn grants(&mut self) -> Vec<Grant> {
        let place = Place::root().key("grants");
        let mut ids = BTreeSet::new();
        let mut grants = Vec::new();
        for (index, raw) in self.raw.grants.iter().enumerate() {
            let place = place.index(index);
            let Some(grant) = self.grant(&place, raw) else { continue };
            if ids.insert(grant.id.clone()) {
                grants.push(grant);
            } else {
                self.findings.error(&place, "says the same as an earlier grant: remove one of them");
            }
        }
        grants
    }

    fn grant(&mut self, place: &Place, raw: &raw::Grant) -> Option<Grant> {
        let subject = self.holder(place, raw);
        let toolset_place = place.key("toolset");
        self.declared(&toolset_place, &raw.toolset, "toolsets", self.raw.toolsets.keys());
        let toolset = self.leaf(&toolset_place, ToolsetSlug::parse(&raw.toolset));
        let life = self.life(place, raw);
        let constraints = self.constraints(&place.key("constraints"), raw);
        let (subject, toolset, (starts_at, expires_at), constraints) = (subject?, toolset?, life?, constraints?);
        Some(Grant {
            id: self.leaf(place, GrantId::parse(&grant_id(&subject, &toolset, starts_at, &constraints)))?,
            subject,
            toolset,
            reason: raw.reason.clone(),
            ticket: raw.ticket.clone(),
            approved_by: raw.approved_by.clone(),
            starts_at,
            expires_at,
            origin: GrantOrigin::Config,
            constraints,
        })
    }

    fn constraints(&mut self, place: &Place, raw: &raw::Grant) -> Option<Constraints> {
        let selected = self.raw.toolsets.get(&raw.toolset).map(|toolset| &toolset.tools);
        let mut all = BTreeMap::new();
        for (text, raw::Fragment(fragment)) in &raw.constraints {
            let at = place.key(text);
            let Some(pattern) = self.leaf(&at, ToolPattern::parse(text)) else { continue };
            let names_some = selected.is_none_or(|selected| {
                let selectors = selected.iter().filter_map(|text| Selector::try_from(text.clone()).ok());
                selectors.into_iter().any(|selector| ToolPattern::Of(selector).overlaps(&pattern))
            });
            if !names_some {
                let message = format!("names no tool of toolset `{}`: correct it, or it says nothing", raw.toolset);
                self.findings.error(&at, message);
            }
            match Constraint::parse(fragment) {
                Ok(constraint) => {
                    for advice in constraint.advice() {
                        self.findings.warn(&at, advice.clone());
                    }
                    all.insert(pattern, fragment.clone());
                }
                // What the shape check told about stands here as an empty table.
                Err(error) => self.findings.error_once(&at, error.to_string()),
            }
        }
        match Constraints::new(all) {
            Ok(constraints) => Some(constraints),
            Err(overlapping) => {
                self.findings.error(place, overlapping.to_string());
                None
            }
        }
    }

    /// When it begins and ends. What has no `starts` is held to what is left of it: nobody knows since when it stands there.
    fn life(&mut self, place: &Place, raw: &raw::Grant) -> Option<(Millis, Millis)> {
        let starts_at = match &raw.starts {
            Some(text) => Some(self.instant(&place.key("starts"), text)?),
            None => None,
        };
        let expires = place.key("expires");
        let (expires_at, said) = match (&raw.expires, starts_at) {
            (Some(text), _) => (self.instant(&expires, text)?, format!("is `{text}`")),
            (None, Some(starts_at)) => {
                (starts_at.saturating_add(DEFAULT_GRANT_MS), "is not there, so it is 90 days after `starts`".to_owned())
            }
            (None, None) => {
                let message = "is missing: add `expires = …` (when it stops counting, at most 365 days ahead), or `starts = …`, \
                               after which it counts for 90 days";
                self.findings.error_once(&expires, message);
                return None;
            }
        };
        let begins = starts_at.unwrap_or(self.now);
        if starts_at.is_some_and(|starts_at| expires_at <= starts_at) {
            self.findings.error(&expires, format!("{said}, which is not after `starts`: correct one of them"));
        } else if expires_at.saturating_sub(begins) > MAX_GRANT_MS {
            let since = if starts_at.is_some() { "after `starts`" } else { "ahead" };
            let message = format!(
                "{said}, more than 365 days {since}: a grant lives at most 365 days; write an earlier date, and renew the \
                 grant when somebody has looked at it again"
            );
            self.findings.error(&expires, message);
        } else if expires_at <= self.now {
            self.findings
                .warn(&expires, format!("{said}, which is past: the grant no longer counts; remove or renew it"));
        } else if expires_at - self.now <= ENDS_SOON_MS {
            let message = format!("{said}, in less than 14 days: renew the grant, or let it end");
            self.findings.warn(&expires, message);
        }
        Some((starts_at.unwrap_or(0), expires_at))
    }

    fn holder(&mut self, place: &Place, raw: &raw::Grant) -> Option<GrantSubject> {
        match (&raw.user, &raw.group, &raw.agent, &raw.client, &raw.claim) {
            (Some(user), None, None, None, None) => self.user(&place.key("user"), user).map(GrantSubject::User),
            (None, Some(group), None, None, None) => {
                let place = place.key("group");
                if !self.somebody_can_be_in(group) {
                    let message = format!(
                        "names {}, which no account and no issuer's `groups.map` leads to: add it to one",
                        shown(group)
                    );
                    self.findings.warn(&place, message + &super::near(group, self.groups()));
                }
                self.leaf(&place, GroupName::parse(group)).map(GrantSubject::Group)
            }
            (None, None, Some(agent), None, None) => {
                let place = place.key("agent");
                self.declared(&place, agent, "agents", self.raw.agents.keys());
                self.leaf(&place, AgentId::parse(agent)).map(GrantSubject::Agent)
            }
            (None, None, None, Some(client), None) => {
                self.leaf(&place.key("client"), ClientId::parse(client)).map(GrantSubject::Client)
            }
            (None, None, None, None, Some(claim)) => self.claim(&place.key("claim"), claim).map(GrantSubject::Claim),
            _ => {
                self.findings.error_once(
                    place,
                    "is held by nobody or by several: write exactly one of `user`, `group`, `agent`, `client` and `claim`",
                );
                None
            }
        }
    }

    /// A claim that the issuer's rules let policies read.
    fn claim(&mut self, place: &Place, raw: &raw::Claim) -> Option<ClaimMatch> {
        let issuers = &self.raw.issuers;
        let reading: Vec<&String> =
            issuers.iter().filter(|(_, issuer)| issuer.claims.contains(&raw.name)).map(|(name, _)| name).collect();
        let issuer = match (&raw.issuer, reading.as_slice()) {
            (Some(named), _) => {
                let issuer_place = place.key("issuer");
                if !self.declared(&issuer_place, named, "issuers", issuers.keys()) {
                    return None;
                }
                if !reading.contains(&named) {
                    let message = format!(
                        "is {}, a claim that nobody reads: add it to `issuers.{named}.claims`",
                        shown(&raw.name)
                    );
                    self.findings.error(&place.key("name"), message);
                    return None;
                }
                named
            }
            (None, [only]) => *only,
            (None, []) => {
                let message =
                    format!("is {}, which stands in the `claims` of no issuer: add it there", shown(&raw.name));
                self.findings.error(&place.key("name"), message);
                return None;
            }
            (None, several) => {
                let several: Vec<_> = several.iter().map(|name| format!("`{name}`")).collect();
                let message =
                    format!("is missing: several issuers have this claim; name one of {}", several.join(", "));
                self.findings.error(&place.key("issuer"), message);
                return None;
            }
        };
        let issuer = self.leaf(place, IssuerName::parse(issuer))?;
        self.leaf(place, ClaimMatch::new(issuer, &raw.name, &raw.value))
    }

    fn groups(&self) -> impl Iterator<Item = &String> {
        let mapped = self
            .raw
            .issuers
            .values()
            .filter_map(|issuer| issuer.groups.as_ref())
            .flat_map(|source| source.map.values());
        self.raw.accounts.values().flat_map(|account| &account.groups).chain(mapped)
    }

    fn somebody_can_be_in(&self, group: &str) -> bool {
        self.groups().any(|known| known == group)
    }

    pub(super) fn roles(&mut self) -> Roles {
        let place = Place::root().key("operator").key("roles");
        let all = self.raw.operator.roles.iter().enumerate();
        Roles(all.filter_map(|(index, raw)| self.role_holder(&place.index(index), raw)).collect())
    }

    fn role_holder(&mut self, place: &Place, raw: &raw::RoleHolder) -> Option<RoleHolder> {
        if raw.os_user.is_none() && raw.person.is_none() {
            let message = "names nobody: add `os_user = …` (who acts at the operator socket), `person = …`, or both";
            self.findings.error_once(place, message);
        }
        let person = match &raw.person {
            Some(person) => Some(self.user(&place.key("person"), person)?),
            None => None,
        };
        let servers = raw.servers.iter().enumerate().filter_map(|(index, slug)| {
            let place = place.key("servers").index(index);
            self.declared(&place, slug, "servers", self.raw.servers.keys());
            self.leaf(&place, ServerSlug::parse(slug))
        });
        let servers: BTreeSet<_> = servers.collect();
        let is_owner = raw.roles.contains(&Role::Owner);
        if is_owner && raw.servers.is_empty() {
            self.findings.error(place, "is an owner of nothing: add `servers = [\"SLUG\"]`");
        } else if !is_owner && !raw.servers.is_empty() {
            self.findings.error(&place.key("servers"), "belongs to an owner: add the role `owner`, or remove it");
        }
        let roles = raw.roles.iter().copied().collect();
        Some(RoleHolder { os_user: raw.os_user.clone(), person, roles, servers })
    }
}

/// Stable over restarts and over the order of the file, so that the trail names one grant by one id.
fn grant_id(subject: &GrantSubject, toolset: &ToolsetSlug, starts_at: i64, constraints: &Constraints) -> String {
    let mut text = format!("{subject} {toolset} {starts_at}");
    if !constraints.is_none() {
        // Several alternatives are several grants of one holder.
        text.push(' ');
        text.push_str(&String::from_utf8_lossy(&canonical::to_vec(&json!(constraints))));
    }
    let name = match subject {
        GrantSubject::User(user) => user.subject.to_string(),
        GrantSubject::Group(_) | GrantSubject::Agent(_) | GrantSubject::Client(_) | GrantSubject::Claim(_) => {
            subject.name()
        }
    };
    let name: String = name.chars().take(60).collect();
    format!("config:{toolset}:{}:{name}:{}", subject.kind(), Digest::of(text.as_bytes()).short())
}
