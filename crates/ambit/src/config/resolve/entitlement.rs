//! What may be reached: toolsets, grants, and the ceilings of client software.

use std::collections::{BTreeMap, BTreeSet};

use ambit_live::deployment::RegisteredClient;
use ambit_model::{
    Digest,
    ceiling::{Ceiling, ClientCeilings},
    grant::{Grant, GrantOrigin, GrantSubject},
    ids::{AgentId, ClientId, GrantId, GroupName, ToolsetSlug},
    toolset::{Selector, Toolset},
};

use super::Resolving;
use crate::config::{
    place::Place,
    problem::shown,
    raw::{self, DEFAULT_CLIENT},
};

impl Resolving<'_> {
    pub(super) fn toolsets(&mut self) -> BTreeMap<ToolsetSlug, Toolset> {
        let place = Place::root().key("toolsets");
        let all = self.raw.toolsets.iter();
        all.filter_map(|(slug, raw)| {
            let place = place.key(slug);
            let title = raw.title.clone().unwrap_or_else(|| slug.clone());
            let slug = self.leaf(&place, ToolsetSlug::parse(slug))?;
            let tools = self.selectors(&place.key("tools"), &raw.tools);
            Some((slug.clone(), Toolset { slug, title, tools, effects: raw.effects.clone() }))
        })
        .collect()
    }

    fn selectors(&mut self, place: &Place, raw: &[String]) -> Vec<Selector> {
        let each = raw.iter().enumerate();
        each.filter_map(|(index, text)| {
            let place = place.index(index);
            let selector = self.leaf(&place, Selector::try_from(text.clone()))?;
            let server = match &selector {
                Selector::Tool(tool) => &tool.server,
                Selector::Wildcard { server, .. } => server,
            };
            if !self.raw.servers.contains_key(server.as_str()) {
                let message =
                    format!("is {}, a tool of a server that is not declared: add `[servers.{server}]`", shown(text));
                self.findings.error(&place, message + &super::near(server.as_str(), self.raw.servers.keys()));
            }
            Some(selector)
        })
        .collect()
    }

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
        let starts_at = match &raw.starts {
            Some(text) => self.instant(&place.key("starts"), text),
            None => Some(0),
        };
        let expires = place.key("expires");
        let (starts_at, expires_at) = (starts_at?, self.instant(&expires, &raw.expires)?);
        if expires_at <= starts_at {
            self.findings
                .error(&expires, format!("is `{}`, which is not after `starts`: correct one of them", raw.expires));
        } else if expires_at <= self.now {
            self.findings.warn(
                &expires,
                format!("is `{}`, which is past: the grant no longer counts; remove or renew it", raw.expires),
            );
        }
        let (subject, toolset) = (subject?, toolset?);
        Some(Grant {
            id: self.leaf(place, GrantId::parse(&grant_id(&subject, &toolset, starts_at)))?,
            subject,
            toolset,
            reason: raw.reason.clone(),
            approved_by: raw.approved_by.clone(),
            starts_at,
            expires_at,
            origin: GrantOrigin::Config,
        })
    }

    fn holder(&mut self, place: &Place, raw: &raw::Grant) -> Option<GrantSubject> {
        match (&raw.user, &raw.group, &raw.agent) {
            (Some(user), None, None) => self.user(&place.key("user"), user).map(GrantSubject::User),
            (None, Some(group), None) => {
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
            (None, None, Some(agent)) => {
                let place = place.key("agent");
                self.declared(&place, agent, "agents", self.raw.agents.keys());
                self.leaf(&place, AgentId::parse(agent)).map(GrantSubject::Agent)
            }
            _ => {
                self.findings.error_once(
                    place,
                    "is held by nobody or by several: write exactly one of `user`, `group` and `agent`",
                );
                None
            }
        }
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

    pub(super) fn ceilings(&mut self) -> ClientCeilings {
        let place = Place::root().key("clients");
        let mut ceilings = ClientCeilings::default();
        for (id, raw) in &self.raw.clients {
            let place = place.key(id);
            let ceiling = self.ceiling(&place.key("toolsets"), &raw.toolsets);
            if id == DEFAULT_CLIENT {
                ceilings.default = ceiling;
            } else if let Some(id) = self.leaf(&place, ClientId::parse(id)) {
                ceilings.clients.insert(id, ceiling);
            }
        }
        ceilings
    }

    fn ceiling(&mut self, place: &Place, raw: &[String]) -> Ceiling {
        if raw.iter().any(|name| name == "*") {
            if raw.len() > 1 {
                self.findings
                    .error(place, "names toolsets beside `*`, which is everything: write `[\"*\"]`, or only toolsets");
            }
            return Ceiling::Everything;
        }
        let each = raw.iter().enumerate();
        let toolsets = each.filter_map(|(index, name)| {
            let place = place.index(index);
            self.declared(&place, name, "toolsets", self.raw.toolsets.keys());
            self.leaf(&place, ToolsetSlug::parse(name))
        });
        Ceiling::Only(toolsets.collect())
    }

    pub(super) fn registered_clients(&mut self) -> Vec<RegisteredClient> {
        let place = Place::root().key("clients");
        let mut clients = Vec::new();
        for (id, raw) in &self.raw.clients {
            let place = place.key(id);
            let registers = !raw.redirect_uris.is_empty() || raw.secret.is_some() || raw.introspect;
            if !registers {
                continue;
            }
            if id == DEFAULT_CLIENT {
                let message = "stands for every other client, so it has no redirect URI, secret or right of its own: give the \
                               client an entry under its id";
                self.findings.error(&place, message);
                continue;
            }
            if raw.introspect && raw.secret.is_none() {
                self.findings.error(&place.key("introspect"), "is `true`, but nothing proves who asks: add `secret`");
            }
            let secret = raw.secret.as_ref().and_then(|secret| self.secret(&place.key("secret"), secret));
            let Some(client) = self.leaf(&place, ClientId::parse(id)) else { continue };
            clients.push(RegisteredClient {
                id: client,
                name: raw.name.clone().unwrap_or_else(|| id.clone()),
                redirect_uris: raw.redirect_uris.clone(),
                secret,
                may_introspect: raw.introspect,
            });
        }
        clients
    }
}

/// Stable over restarts and over the order of the file, so that the trail names one grant by one id.
fn grant_id(subject: &GrantSubject, toolset: &ToolsetSlug, starts_at: i64) -> String {
    let text = format!("{subject} {toolset} {starts_at}");
    let (kind, name) = match subject {
        GrantSubject::User(user) => ("user", user.subject.as_str()),
        GrantSubject::Group(group) => ("group", group.as_str()),
        GrantSubject::Agent(agent) => ("agent", agent.as_str()),
    };
    let name: String = name.chars().take(60).collect();
    format!("config:{toolset}:{kind}:{name}:{}", Digest::of(text.as_bytes()).short())
}
