//! How much each caller may use, and when a server is left alone.

use std::time::Duration;

use ambit_model::{
    Effect,
    budget::{Allowance, Breaker, Budgets, Limits, Rate},
    constraints::ToolPattern,
    ids::{AgentId, ClientId, GroupName},
};

use super::Resolving;
use crate::config::{place::Place, problem::shown, quantity, raw::budgets as raw};

/// The key of `budgets` that stands for everybody.
const EVERYBODY: &str = "default";

/// Whose budget a key of `budgets` is.
enum Holder<'a> {
    Everybody,
    Agent(&'a str),
    User(&'a str),
    Client(&'a str),
    Group(&'a str),
}

impl Resolving<'_> {
    pub(super) fn budgets(&mut self) -> Budgets {
        let place = Place::root().key("budgets");
        let mut budgets = Budgets::default();
        for (holder, raw) in &self.raw.budgets {
            let place = place.key(holder);
            let allowance = self.allowance(&place, raw);
            match holder_of(holder) {
                Some(Holder::Everybody) => budgets.everybody = over(allowance, &budgets.everybody),
                Some(Holder::Agent(agent)) => {
                    self.declared(&place, agent, "agents", self.raw.agents.keys());
                    budgets.agents.extend(self.leaf(&place, AgentId::parse(agent)).map(|agent| (agent, allowance)));
                }
                Some(Holder::User(user)) => {
                    budgets.users.extend(self.user(&place, user).map(|user| (user, allowance)));
                }
                Some(Holder::Client(client)) => {
                    budgets
                        .clients
                        .extend(self.leaf(&place, ClientId::parse(client)).map(|client| (client, allowance)));
                }
                Some(Holder::Group(group)) => {
                    budgets.groups.extend(self.leaf(&place, GroupName::parse(group)).map(|group| (group, allowance)));
                }
                // The format of the key was told about.
                None => {}
            }
        }
        budgets
    }

    fn allowance(&mut self, place: &Place, raw: &raw::Budget) -> Allowance {
        let effects = [(Effect::Read, &raw.read), (Effect::Write, &raw.write), (Effect::Destructive, &raw.destructive)];
        let effects =
            effects.into_iter().map(|(effect, limits)| (effect, self.held_to(&place.key(effect.as_str()), limits)));
        let effects = effects.filter(|(_, limits)| !limits.are_none()).collect();
        let tools = place.key("tools");
        let covered = raw.tools.iter().filter_map(|(pattern, limits)| {
            let place = tools.key(pattern);
            let limits = self.held_to(&place, limits);
            let pattern = self.leaf(&place, ToolPattern::parse(pattern))?;
            if let Some(server) = pattern.server().filter(|server| !self.raw.servers.contains_key(server.as_str())) {
                let message = format!("is about a server that is not declared: add `[servers.{server}]`");
                self.findings.error(&place, message + &super::near(server.as_str(), self.raw.servers.keys()));
            }
            Some((pattern, limits))
        });
        let tools = covered.collect();
        Allowance { requests: self.held_to(&place.key("requests"), &raw.requests), effects, tools }
    }

    fn held_to(&mut self, place: &Place, raw: &raw::Limits) -> Limits {
        let rate = raw.rate.as_ref().and_then(|text| {
            let place = place.key("rate");
            self.leaf(&place, Rate::parse(text, raw.burst).ok_or("is not a rate"))
        });
        if let (None, Some(burst)) = (&raw.rate, raw.burst) {
            let message = format!("is {}, but there is no `rate` it belongs to: add one", shown(&burst.to_string()));
            self.findings.error(&place.key("burst"), message);
        }
        Limits { rate, at_once: raw.at_once, per_day: raw.per_day }
    }

    pub(super) fn breaker(&mut self, place: &Place, raw: Option<&raw::Breaker>) -> Breaker {
        let usual = Breaker::default();
        let Some(raw) = raw else { return usual };
        let place = place.key("breaker");
        let mut millis = |name: &str, text: &Option<String>, usual: i64| {
            let read = text.as_deref().map(|text| quantity::duration(text).ok_or("is not a duration"));
            let length = read.and_then(|read| self.leaf(&place.key(name), read));
            length.map_or(usual, |length: Duration| i64::try_from(length.as_millis()).unwrap_or(i64::MAX))
        };
        Breaker {
            within_ms: millis("within", &raw.within, usual.within_ms),
            rest_ms: millis("rest", &raw.rest, usual.rest_ms),
            failures: raw.failures.unwrap_or(usual.failures),
        }
    }
}

/// What everybody has: as written, completed by what there is anyway.
fn over(written: Allowance, usual: &Allowance) -> Allowance {
    let mut effects = usual.effects.clone();
    for (effect, limits) in written.effects {
        let usual = effects.get(&effect).copied().unwrap_or_default();
        effects.insert(effect, limits.or(usual));
    }
    Allowance { requests: written.requests.or(usual.requests), effects, tools: written.tools }
}

/// Checks a key of `budgets`.
///
/// # Errors
/// The remedy.
pub fn check_holder(text: &str) -> Result<(), String> {
    let remedy = || "write `default` for everybody, or `agent:ID`, `user:USER`, `client:ID` or `group:NAME`".to_owned();
    match holder_of(text).ok_or_else(remedy)? {
        Holder::Everybody => Ok(()),
        Holder::Agent(id) => AgentId::parse(id).map(drop).map_err(|error| error.rule.to_owned()),
        Holder::User(user) => ambit_model::ids::UserKey::parse(user).map(drop).map_err(|error| error.rule.to_owned()),
        Holder::Client(id) => ClientId::parse(id).map(drop).map_err(|error| error.rule.to_owned()),
        Holder::Group(name) => GroupName::parse(name).map(drop).map_err(|error| error.rule.to_owned()),
    }
}

fn holder_of(text: &str) -> Option<Holder<'_>> {
    if text == EVERYBODY {
        return Some(Holder::Everybody);
    }
    match text.split_once(':')? {
        ("agent", id) => Some(Holder::Agent(id)),
        ("user", user) => Some(Holder::User(user)),
        ("client", id) => Some(Holder::Client(id)),
        ("group", name) => Some(Holder::Group(name)),
        _ => None,
    }
}
