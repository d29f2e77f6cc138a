//! Names in rules that nothing of a deployment has: an agent, a group, a client, a server, an environment. Such a rule does not
//! do what was meant, and may do it tomorrow, when the name is declared: it is told, and nothing is refused for it.

use std::collections::BTreeSet;

use ambit_model::ids::{IssuerName, UserKey};
use serde_json::Value;

use crate::{
    index::Index,
    never::{
        facts::Kind,
        literal::{Literal, compared},
    },
    problem::RuleProblem,
    rules::Rules,
};

/// So many of the names there are stand in a remedy.
const MOST_NAMED: usize = 8;

/// What a deployment declares and no judge is built from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Declared {
    /// The names of agents.
    pub agents: BTreeSet<String>,
    /// Ambit groups that somebody can be in.
    pub groups: BTreeSet<String>,
    /// Clients that configuration names.
    pub clients: BTreeSet<String>,
    /// How the ids of clients begin that name themselves.
    pub open_clients: Vec<String>,
    /// The names of local accounts.
    pub accounts: BTreeSet<String>,
    /// External issuers.
    pub issuers: BTreeSet<String>,
}

/// Every name in the organisation's rules that nothing has.
pub(crate) fn unknown(rules: &Rules, index: &Index, declared: &Declared) -> Vec<RuleProblem> {
    let known = Known::of(index, declared);
    let mut problems = Vec::new();
    for rule in rules.all().iter().filter(|rule| rule.written.is_some()) {
        let Ok(json) = rule.as_written.to_json() else { continue };
        let mut missing = Missing::default();
        known.walk(&json, &mut missing);
        problems.extend(
            missing.0.into_iter().filter_map(|(text, message, remedy)| {
                rules.problem_at(rule, &format!("\"{text}\""), &message, &remedy)
            }),
        );
    }
    problems
}

/// The text that is meant, what is wrong with it, and what to do.
#[derive(Default)]
struct Missing(BTreeSet<(String, String, String)>);

impl Missing {
    fn add(&mut self, text: &str, message: String, known: &BTreeSet<String>) {
        let named: Vec<_> = known.iter().take(MOST_NAMED).map(|name| format!("`{name}`")).collect();
        let more = if known.len() > MOST_NAMED { ", …" } else { "" };
        let remedy = if named.is_empty() {
            "there is none at all: declare it, or correct the rule".to_owned()
        } else {
            format!("declare it, or correct the name: there are {}{more}", named.join(", "))
        };
        self.0.insert((text.to_owned(), message, remedy));
    }
}

struct Known<'a> {
    declared: &'a Declared,
    servers: BTreeSet<String>,
    environments: BTreeSet<String>,
    data_classes: BTreeSet<String>,
    owners: BTreeSet<String>,
    tools: BTreeSet<String>,
    labels: BTreeSet<String>,
    toolsets: BTreeSet<String>,
    endpoints: BTreeSet<String>,
}

impl<'a> Known<'a> {
    fn of(index: &Index, declared: &'a Declared) -> Self {
        Self {
            declared,
            servers: index.servers.iter().map(|server| server.slug.to_string()).collect(),
            environments: index.servers.iter().map(|server| server.environment.clone()).collect(),
            data_classes: index.servers.iter().map(|server| server.data_class.clone()).collect(),
            owners: index.servers.iter().map(|server| server.owner.clone()).collect(),
            tools: index.tools.iter().map(|entry| entry.facts.id.to_string()).collect(),
            labels: index.tools.iter().flat_map(|entry| entry.facts.labels.iter().cloned()).collect(),
            toolsets: index.toolsets.iter().map(|entry| entry.slug.to_string()).collect(),
            endpoints: index.endpoints.iter().map(|entry| entry.facts.slug.to_string()).collect(),
        }
    }

    fn walk(&self, expression: &Value, missing: &mut Missing) {
        match expression {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item, missing)),
            Value::Object(node) => {
                for found in compared(node) {
                    if let Literal::Text(text) = &found.literal {
                        self.named(found.fact.kind, &found.fact.name(), text, missing);
                    }
                }
                // An entity, in a condition or in the head.
                if let (Some(kind), Some(id)) =
                    (node.get("type").and_then(Value::as_str), node.get("id").and_then(Value::as_str))
                {
                    self.entity(kind, id, missing);
                }
                node.values().for_each(|inner| self.walk(inner, missing));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn named(&self, kind: Kind, fact: &str, text: &str, missing: &mut Missing) {
        let own = self.declared;
        let mut held_to = |there: &BTreeSet<String>, message: &dyn Fn() -> String| {
            if !there.contains(text) {
                missing.add(text, message(), there);
            }
        };
        match kind {
            Kind::Agent => held_to(&own.agents, &|| format!("agent `{text}` is not declared")),
            Kind::Group => {
                held_to(&own.groups, &|| format!("nobody can be in group `{text}`: no account and no issuer has it"));
            }
            Kind::Client if own.open_clients.iter().any(|prefix| text.starts_with(prefix.as_str())) => {}
            Kind::Client => held_to(&own.clients, &|| format!("client `{text}` is not declared")),
            Kind::Server => held_to(&self.servers, &|| format!("server `{text}` is not declared")),
            // Without tools, whether it is there cannot be said.
            Kind::Tool if self.tools.is_empty() => {}
            Kind::Tool => held_to(&self.tools, &|| format!("there is no tool `{text}`")),
            Kind::Environment => held_to(&self.environments, &|| format!("no server has the environment `{text}`")),
            Kind::DataClass => held_to(&self.data_classes, &|| format!("no server has the data class `{text}`")),
            Kind::Owner => held_to(&self.owners, &|| format!("no server has the owner `{text}`")),
            Kind::User => self.user(text, missing),
            Kind::Words(_) if fact == "resource.labels" && !self.tools.is_empty() => {
                held_to(&self.labels, &|| format!("no tool has the label `{text}`"));
            }
            Kind::Words(_) | Kind::Number { .. } | Kind::Instant | Kind::Date | Kind::Anything => {}
        }
    }

    fn user(&self, text: &str, missing: &mut Missing) {
        let Ok(user) = UserKey::parse(text) else { return };
        if user.issuer == IssuerName::local() {
            if !self.declared.accounts.contains(user.subject.as_str()) {
                missing.add(text, format!("there is no local account `{}`", user.subject), &self.declared.accounts);
            }
        } else if !self.declared.issuers.contains(user.issuer.as_str()) {
            missing.add(text, format!("issuer `{}` of `{text}` is not declared", user.issuer), &self.declared.issuers);
        }
    }

    fn entity(&self, kind: &str, id: &str, missing: &mut Missing) {
        let (there, message) = match kind {
            "Server" => (&self.servers, format!("server `{id}` is not declared")),
            "Toolset" => (&self.toolsets, format!("toolset `{id}` is not declared")),
            "Endpoint" => (&self.endpoints, format!("endpoint `{id}` is not declared")),
            "Tool" if !self.tools.is_empty() => (&self.tools, format!("there is no tool `{id}`")),
            _ => return,
        };
        if !there.contains(id) {
            missing.add(id, message, there);
        }
    }
}
