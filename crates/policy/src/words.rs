//! The sentences that go with a decision, for operators and trails: what let the caller in, or everything that stands in
//! the way. They name grants, toolsets and factors; a caller never reads them.

use ambit_model::{
    Effect, Outcome,
    grant::GrantSubject,
    ids::{GrantId, Millis, ToolId},
    tool::Acceptance,
};

use crate::{
    class::{Holdings, Resolved},
    decide::Decision,
    index::{EndpointIndex, GrantIndex, Index, RevealIndex, ToolIndex, ToolsetIndex},
    rules::{Rules, id},
    slices::Unjudged,
};

/// The reason of a decision that could not be made.
pub(crate) const EVALUATION_ERROR: &str = "evaluation error";

/// One decision and what it was made over.
pub(crate) struct Case<'a> {
    pub(crate) index: &'a Index,
    pub(crate) rules: &'a Rules,
    pub(crate) class: &'a Resolved,
    pub(crate) endpoint: EndpointIndex,
    pub(crate) tool: ToolIndex,
    pub(crate) now: Millis,
    pub(crate) decision: &'a Decision,
    /// The rule that cannot be asked about the tool.
    pub(crate) unjudged: Option<&'a Unjudged>,
}

/// Whether something that entitles counts now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    Ahead,
    Live,
    Over,
}

/// One thing that entitles to a toolset with the tool in it.
pub(crate) struct Title {
    pub(crate) toolset: ToolsetIndex,
    pub(crate) phase: Phase,
    what: &'static str,
    id: GrantId,
    /// The group or agent that holds it, where that is not the user.
    via: Option<GrantSubject>,
}

pub(crate) fn reasons(case: &Case<'_>) -> Vec<String> {
    let Some(entry) = case.index.tool(case.tool) else {
        return vec!["no such tool".to_owned()];
    };
    let tool = &entry.facts.id;
    let mut reasons = Vec::new();
    if case.decision.failed {
        reasons.push(EVALUATION_ERROR.to_owned());
        let broken = case.decision.policies.iter().map(|rule| format!("rule `{rule}` could not be evaluated"));
        reasons.extend(broken);
        return reasons;
    }
    match case.decision.outcome {
        Outcome::Allow => held(case, &mut reasons),
        Outcome::NeedsScope => {
            held(case, &mut reasons);
            reasons.push(format!("the token carries no toolset that lets it call `{tool}`"));
        }
        Outcome::Hidden | Outcome::Refused | Outcome::NeedsApproval => {
            factors(case, tool, &mut reasons);
            reasons.extend(case.decision.policies.iter().filter_map(|policy| guard(case, policy, tool)));
        }
    }
    reasons
}

/// What entitles each factor.
fn held(case: &Case<'_>, reasons: &mut Vec<String>) {
    let live = |title: &Title| title.phase == Phase::Live;
    if let Some(user) = case.class.facts.user() {
        let titles = user_titles(case).into_iter().filter(|title| live(title) && !declined(case, title.toolset));
        reasons.extend(titles.map(|title| format!("user {} holds {}", user.key, title.describe(case.index))));
    }
    if let Some(agent) = case.class.facts.agent() {
        let titles = agent_titles(case).into_iter().filter(live);
        reasons.extend(titles.map(|title| format!("agent {} holds {}", agent.id, title.describe(case.index))));
    }
}

/// Which factor is missing, and what it has instead.
fn factors(case: &Case<'_>, tool: &ToolId, reasons: &mut Vec<String>) {
    let reach = &case.decision.reach;
    if let (Some(user), Some(reached)) = (case.class.facts.user(), &reach.user)
        && reached.holds.is_empty()
    {
        let groups: Vec<_> = user.groups.iter().map(|group| format!("`{group}`")).collect();
        let groups = if groups.is_empty() { String::new() } else { format!(" or of its groups {}", groups.join(", ")) };
        reasons.push(format!("no grant of user {}{groups} contains {tool}", user.key));
        for title in user_titles(case) {
            reasons.extend(title.lapse(case, &format!("user {}", user.key)));
        }
    }
    if let (Some(agent), Some(reached)) = (case.class.facts.agent(), &reach.agent)
        && reached.holds.is_empty()
    {
        reasons.push(format!("no grant of agent {} contains {tool}", agent.id));
        for title in agent_titles(case) {
            reasons.extend(title.lapse(case, &format!("agent {}", agent.id)));
        }
    }
}

/// The sentence of a deciding policy.
fn guard(case: &Case<'_>, policy: &str, tool: &ToolId) -> Option<String> {
    let client = &case.class.facts.client.id;
    let entry = case.index.tool(case.tool)?;
    Some(match policy {
        id::ENDPOINT => {
            let endpoint = case.index.endpoint(case.endpoint)?;
            format!("endpoint `{}` does not publish server `{}`", endpoint.facts.slug, tool.server)
        }
        id::PENDING => match entry.facts.acceptance {
            Acceptance::Changed => "tool is pending: changed definition".to_owned(),
            Acceptance::New => "tool is pending: new, not accepted yet".to_owned(),
            Acceptance::Accepted => return None,
        },
        id::SERVER_EXPIRED => format!("server `{}` expired", tool.server),
        id::AGENT_EXPIRED => format!("agent {} expired", case.class.facts.agent()?.id),
        // A tool in no toolset is not a matter of ceiling or scope.
        id::CLIENT_CEILING | id::TOKEN_SCOPE if entry.toolsets.is_empty() => return None,
        id::CLIENT_CEILING => {
            let held = case.decision.reach.user.as_ref().map_or(&[][..], |user| &user.holds);
            let held = if held.is_empty() { &entry.toolsets } else { held };
            format!("client ceiling of `{client}` does not admit {}", toolsets(case.index, held))
        }
        id::NEEDS_REVEAL => match case.class.facts.user() {
            Some(user) => {
                let agent = case.class.facts.agent().map_or(String::new(), |agent| format!(" and agent {}", agent.id));
                format!("tool is destructive: no live reveal names user {}, client `{client}`{agent}", user.key)
            }
            None => "tool is destructive: an agent on its own cannot have a reveal".to_owned(),
        },
        id::OPERATOR_DESTRUCTIVE => "tool is destructive: a token made by an operator never destroys".to_owned(),
        id::TOKEN_SCOPE => format!("the token carries no toolset that lets it call `{tool}`"),
        // The contradiction speaks for itself.
        "entitled" | id::ARGUMENTS => return None,
        other => match (case.unjudged, case.rules.find(other).and_then(|rule| rule.message())) {
            (Some(unjudged), _) => format!("rule `{other}` cannot be asked: it {}", unjudged.why),
            (None, Some(message)) => format!("rule `{other}` forbids it: {message}"),
            (None, None) => format!("rule `{other}` forbids it"),
        },
    })
}

pub(crate) fn user_titles(case: &Case<'_>) -> Vec<Title> {
    let Some(factor) = &case.class.user else { return Vec::new() };
    let mut titles = grant_titles(case, &factor.grants);
    for toolset in containing(case) {
        titles.extend(factor.reveals.of(*toolset).filter_map(|number| reveal_title(case, *toolset, number)));
    }
    titles
}

pub(crate) fn agent_titles(case: &Case<'_>) -> Vec<Title> {
    case.class.agent.as_ref().map_or_else(Vec::new, |grants| grant_titles(case, grants))
}

pub(crate) fn declined(case: &Case<'_>, toolset: ToolsetIndex) -> bool {
    case.class.user.as_ref().is_some_and(|factor| factor.declined.binary_search(&toolset).is_ok())
}

/// `toolset `a`` or `any of the toolsets `a`, `b``.
pub(crate) fn toolsets(index: &Index, toolsets: &[ToolsetIndex]) -> String {
    let names: Vec<_> =
        toolsets.iter().filter_map(|t| index.toolset(*t)).map(|entry| format!("`{}`", entry.slug)).collect();
    match names.as_slice() {
        [] => "any toolset with this tool: there is none".to_owned(),
        [one] => format!("toolset {one}"),
        several => format!("any of the toolsets {}", several.join(", ")),
    }
}

fn containing<'a>(case: &Case<'a>) -> &'a [ToolsetIndex] {
    case.index.tool(case.tool).map_or(&[], |entry| entry.toolsets.as_slice())
}

fn grant_titles(case: &Case<'_>, grants: &Holdings<GrantIndex>) -> Vec<Title> {
    let title = |toolset, number| {
        let grant = case.index.grant(number)?;
        let via = match &grant.subject {
            GrantSubject::User(_) | GrantSubject::Agent(_) => None,
            GrantSubject::Group(_) | GrantSubject::Claim(_) | GrantSubject::Client(_) => Some(grant.subject.clone()),
        };
        let phase = phase(case.now, grant.starts_at, grant.expires_at);
        Some(Title { toolset, phase, what: "grant", id: grant.id.clone(), via })
    };
    containing(case).iter().flat_map(|t| grants.of(*t).filter_map(|number| title(*t, number))).collect()
}

fn reveal_title(case: &Case<'_>, toolset: ToolsetIndex, number: RevealIndex) -> Option<Title> {
    let reveal = case.index.reveal(number)?;
    let phase = phase(case.now, reveal.starts_at, reveal.expires_at);
    Some(Title { toolset, phase, what: "reveal", id: reveal.id.clone(), via: None })
}

fn phase(now: Millis, start: Millis, expiry: Millis) -> Phase {
    if now >= expiry {
        Phase::Over
    } else if now < start {
        Phase::Ahead
    } else {
        Phase::Live
    }
}

impl Title {
    fn describe(&self, index: &Index) -> String {
        let via = self.via.as_ref().map_or(String::new(), |via| format!(" of {via}"));
        format!("{} by {} `{}`{via}", toolsets(index, &[self.toolset]), self.what, self.id)
    }

    /// Why it does not count, if it does not.
    fn lapse(&self, case: &Case<'_>, holder: &str) -> Option<String> {
        let toolset = toolsets(case.index, &[self.toolset]);
        match self.phase {
            Phase::Over => Some(format!("{} `{}` on {toolset} expired", self.what, self.id)),
            Phase::Ahead => Some(format!("{} `{}` on {toolset} has not started", self.what, self.id)),
            Phase::Live if declined(case, self.toolset) => {
                Some(format!("{holder} declined {toolset} for client `{}`", case.class.facts.client.id))
            }
            Phase::Live => None,
        }
    }
}

/// Whether the tool is destructive.
pub(crate) fn is_destructive(case: &Case<'_>) -> bool {
    case.index.tool(case.tool).is_some_and(|entry| entry.facts.effect == Effect::Destructive)
}
