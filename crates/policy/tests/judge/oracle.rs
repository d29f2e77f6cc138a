//! The entitlement rules once more, written the slow and obvious way: no index, no engine, every grant looked at. What the
//! judge says must be what this says.

use ambit_model::{
    Effect, Outcome,
    caller::{CallerFacts, Principal, TokenScopes},
    grant::{Grant, GrantSubject},
    ids::{Millis, ToolsetSlug},
    tool::Acceptance,
    toolset::Toolset,
};
use ambit_policy::{EndpointFacts, JudgeInput, ToolFacts};

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
            let mine = match &grant.subject {
                GrantSubject::User(key) => *key == user.key,
                GrantSubject::Group(group) => user.groups.contains(group),
                GrantSubject::Claim(claim) => claim.fits(user),
                GrantSubject::Agent(_) | GrantSubject::Client(_) => false,
            };
            if mine
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
