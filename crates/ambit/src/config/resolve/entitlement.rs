//! What may be reached: toolsets, and the ceilings of client software.

use std::collections::BTreeMap;

use ambit_live::deployment::RegisteredClient;
use ambit_model::{
    ceiling::{Ceiling, ClientCeilings},
    ids::{ClientId, ToolsetSlug},
    toolset::{Selector, Toolset},
};

use super::Resolving;
use crate::config::{place::Place, problem::shown, raw::DEFAULT_CLIENT};

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
            let server = selector.server();
            if !self.raw.servers.contains_key(server.as_str()) {
                let message =
                    format!("is {}, a tool of a server that is not declared: add `[servers.{server}]`", shown(text));
                self.findings.error(&place, message + &super::near(server.as_str(), self.raw.servers.keys()));
            }
            Some(selector)
        })
        .collect()
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
            let registers = !raw.redirect_uris.is_empty() || raw.secret.is_some() || raw.introspect || raw.pep;
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
            if raw.pep && raw.secret.is_none() {
                let message = "is `true`, but nothing proves who asks about other people: add `secret`";
                self.findings.error(&place.key("pep"), message);
            }
            let secret = raw.secret.as_ref().and_then(|secret| self.secret(&place.key("secret"), secret));
            let Some(client) = self.leaf(&place, ClientId::parse(id)) else { continue };
            clients.push(RegisteredClient {
                id: client,
                name: raw.name.clone().unwrap_or_else(|| id.clone()),
                redirect_uris: raw.redirect_uris.clone(),
                secret,
                may_introspect: raw.introspect,
                is_pep: raw.pep,
            });
        }
        clients
    }
}
