//! The entitlement rules once more, written the slow and obvious way: no index, no engine, every grant looked at. What the
//! judge says must be what this says.

use ambit_model::{
    Effect, Outcome,
    caller::{CallerFacts, Principal, TokenScopes, UserFacts},
    grant::{Grant, GrantSubject},
    ids::{Millis, ToolsetSlug},
    tool::Acceptance,
    toolset::Toolset,
};
use ambit_policy::{EndpointFacts, JudgeInput, ToolFacts};

/// The values of argument `env` that constraints speak of, and one that none does.
pub const ENVS: [&str; 4] = ["a", "b", "c", "other"];

fn says_yes(grant: &Grant, tool: &ToolFacts, env: &str) -> bool {
    grant
        .constraints
        .of(&tool.id)
        .all(|(_, fragment)| fragment["properties"]["env"]["enum"].as_array().unwrap().iter().any(|value| value == env))
}

fn is_of(grant: &Grant, user: &UserFacts) -> bool {
    match &grant.subject {
        GrantSubject::User(key) => *key == user.key,
        GrantSubject::Group(group) => user.groups.contains(group),
        GrantSubject::Claim(claim) => claim.fits(user),
        GrantSubject::Agent(_) | GrantSubject::Client(_) => false,
    }
}

pub struct Oracle<'a> {
    pub input: &'a JudgeInput,
    pub caller: &'a CallerFacts,
    pub endpoint: &'a EndpointFacts,
    pub now: Millis,
}

impl Oracle<'_> {
    pub fn outcome(&self, tool: &ToolFacts) -> Outcome {
        if !self.listed_but_for_scope(tool) {
            return Outcome::Hidden;
        }
        if ENVS.iter().all(|env| !self.admits_env(tool, env)) {
            return Outcome::Hidden;
        }
        match &self.caller.scopes {
            TokenScopes::None => Outcome::Allow,
            TokenScopes::Toolsets(carried) => {
                let covers = |toolset: &ToolsetSlug| carried.contains(toolset) && self.contains(toolset, tool);
                let enough = match tool.effect {
                    Effect::Destructive => self.revealed(tool).into_iter().any(covers),
                    Effect::Read | Effect::Write => carried.iter().any(covers),
                };
                if enough {
                    Outcome::Allow
                } else if self.asked(tool).is_some() {
                    Outcome::NeedsScope
                } else {
                    Outcome::Hidden
                }
            }
        }
    }

    /// Whether every factor has a grant that allows this value of argument `env`.
    pub fn admits_env(&self, tool: &ToolFacts, env: &str) -> bool {
        let allows = |grants: Vec<&Grant>| grants.is_empty() || grants.iter().any(|grant| says_yes(grant, tool, env));
        let held = |mine: &dyn Fn(&Grant) -> bool| {
            let all = self.input.grants.iter();
            allows(
                all.filter(|grant| mine(grant) && self.is_live(grant) && self.contains(&grant.toolset, tool)).collect(),
            )
        };
        let user = self.caller.user().is_none_or(|user| {
            let offered = |grant: &Grant| is_of(grant, user) && !self.caller.declined.contains(&grant.toolset);
            let none_is_offered = !self
                .input
                .grants
                .iter()
                .any(|grant| offered(grant) && self.is_live(grant) && self.contains(&grant.toolset, tool));
            if none_is_offered { held(&|grant| is_of(grant, user)) } else { held(&offered) }
        });
        let agent = self
            .caller
            .agent()
            .is_none_or(|agent| held(&|grant| grant.subject == GrantSubject::Agent(agent.id.clone())));
        let client = &self.caller.client.id;
        let configured = self.input.toolsets.iter().any(|toolset| {
            self.input.ceilings.of(client).admits(&toolset.slug) && toolset.contains(&tool.id, tool.effect)
        });
        let client = configured || held(&|grant| grant.subject == GrantSubject::Client(client.clone()));
        user && agent && client
    }

    fn listed_but_for_scope(&self, tool: &ToolFacts) -> bool {
        let server = self.input.servers.iter().find(|server| server.slug == tool.id.server).unwrap();
        let user_holds = || !self.user_toolsets(tool).is_empty();
        let agent_holds =
            || self.caller.agent().is_some_and(|agent| self.granted(&GrantSubject::Agent(agent.id.clone()), tool));
        let held = match self.caller.principal {
            Principal::Person { .. } => user_holds(),
            Principal::Agent { .. } => agent_holds(),
            Principal::Delegated { .. } => user_holds() && agent_holds(),
        };
        let admitted = self
            .input
            .toolsets
            .iter()
            .any(|toolset| self.admits(&toolset.slug) && toolset.contains(&tool.id, tool.effect));
        let destroys = tool.effect == Effect::Destructive;
        held && admitted
            && tool.acceptance == Acceptance::Accepted
            && self.now < server.expires_at
            && self.endpoint.servers.contains(&server.slug)
            && self.caller.agent().is_none_or(|agent| self.now < agent.expires_at)
            && (!destroys || (self.caller.operator.is_none() && !self.revealed(tool).is_empty()))
    }

    /// The toolset a person is asked for: fewest tools, then first by name.
    pub fn asked(&self, tool: &ToolFacts) -> Option<&ToolsetSlug> {
        let held = match tool.effect {
            Effect::Destructive => self.revealed(tool),
            Effect::Read | Effect::Write => self.user_toolsets(tool),
        };
        let size = |slug: &ToolsetSlug| self.input.tools.iter().filter(|tool| self.contains(slug, tool)).count();
        held.into_iter().filter(|slug| self.admits(slug)).min_by_key(|slug| (size(slug), (*slug).clone()))
    }

    /// The client's ceiling: what is configured, and what is granted to the client while it lives.
    fn admits(&self, slug: &ToolsetSlug) -> bool {
        let client = &self.caller.client.id;
        self.input.ceilings.of(client).admits(slug)
            || self.input.grants.iter().any(|grant| {
                grant.subject == GrantSubject::Client(client.clone()) && grant.toolset == *slug && self.is_live(grant)
            })
    }

    fn is_live(&self, grant: &Grant) -> bool {
        grant.starts_at <= self.now && self.now < grant.expires_at
    }

    fn user_toolsets(&self, tool: &ToolFacts) -> Vec<&ToolsetSlug> {
        let Some(user) = self.caller.user() else { return Vec::new() };
        let mut held = self.revealed(tool);
        for grant in &self.input.grants {
            if is_of(grant, user)
                && self.is_live(grant)
                && !self.caller.declined.contains(&grant.toolset)
                && self.contains(&grant.toolset, tool)
            {
                held.push(&grant.toolset);
            }
        }
        held
    }

    /// The toolsets with the tool that a live reveal names for exactly this combination.
    pub fn revealed(&self, tool: &ToolFacts) -> Vec<&ToolsetSlug> {
        let Some(user) = self.caller.user() else { return Vec::new() };
        let agent = self.caller.agent().map(|agent| agent.id.clone());
        let counts = |reveal: &&ambit_model::grant::Reveal| {
            (*reveal).clone().checked().is_ok()
                && reveal.user == user.key
                && reveal.client == self.caller.client.id
                && reveal.agent == agent
                && reveal.starts_at <= self.now
                && self.now < reveal.expires_at
                && !self.caller.declined.contains(&reveal.toolset)
                && self.contains(&reveal.toolset, tool)
        };
        self.input.reveals.iter().filter(counts).map(|reveal| &reveal.toolset).collect()
    }

    fn granted(&self, subject: &GrantSubject, tool: &ToolFacts) -> bool {
        self.input
            .grants
            .iter()
            .any(|grant| grant.subject == *subject && self.is_live(grant) && self.contains(&grant.toolset, tool))
    }

    fn contains(&self, slug: &ToolsetSlug, tool: &ToolFacts) -> bool {
        let toolset: Option<&Toolset> = self.input.toolsets.iter().find(|toolset| toolset.slug == *slug);
        toolset.is_some_and(|toolset| toolset.contains(&tool.id, tool.effect))
    }
}
