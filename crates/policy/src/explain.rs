//! A decision in words: what it comes to, by which policies, why, and what would change it. For operators; it is made by
//! the same function as every list and call.

use ambit_model::{
    Outcome,
    caller::CallerFacts,
    ids::{EndpointSlug, Millis, ToolId},
};
use serde::Serialize;

use crate::{
    judge::Judge,
    per_call::CallFacts,
    rules::id,
    words::{self, Case, Phase},
};

/// A decision in words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Explanation {
    /// Which of the five.
    pub outcome: Outcome,
    /// The ids of the deciding policies. Empty when nothing permits: the default is to deny.
    pub policies: Vec<String>,
    /// Why, one fact a sentence.
    pub reasons: Vec<String>,
    /// The ids of rules that would have decided if they were enforced.
    pub reported: Vec<String>,
    /// What an operator, owner or person could do so that the tool runs. Empty when it does.
    pub what_would_change: Vec<String>,
}

impl Explanation {
    /// As [`CallVerdict::asks_only_for_a_second_person`](crate::CallVerdict::asks_only_for_a_second_person).
    pub fn asks_only_for_a_second_person(&self) -> bool {
        self.policies == [id::NEEDS_APPROVAL]
    }
}

/// Explains the standing decision over one tool at one endpoint.
pub fn explain(
    judge: &Judge,
    caller: &CallerFacts,
    endpoint: &EndpointSlug,
    tool: &ToolId,
    now_ms: Millis,
) -> Explanation {
    let Some(endpoint_index) = judge.endpoint_index(endpoint) else {
        return absent(format!("there is no endpoint `{endpoint}`"), "name an endpoint of the configuration");
    };
    let Some(tool_index) = judge.tool_index(tool) else {
        return absent(
            format!("there is no tool `{tool}`"),
            "check the name with `ambit tools`, or whether its server is reachable",
        );
    };
    let class = judge.class(caller);
    let verdict = judge.decide_fresh(&class, endpoint_index, tool_index, now_ms);
    let decision = judge.decide(&class, endpoint_index, tool_index, now_ms);
    let mut what_would_change = changes(&judge.case(&class, (endpoint_index, tool_index), now_ms, &decision), tool);
    if verdict.policies == [id::ARGUMENTS] {
        what_would_change
            .push("change the argument constraints of one of the grants, or grant another toolset".to_owned());
    }
    Explanation {
        outcome: verdict.outcome,
        policies: verdict.policies,
        reasons: verdict.reasons,
        reported: verdict.reported,
        what_would_change,
    }
}

/// Explains a decision down to one call: the standing half, and if that allows, the rules that read the call.
pub fn explain_call(
    judge: &Judge,
    caller: &CallerFacts,
    endpoint: &EndpointSlug,
    tool: &ToolId,
    facts: &CallFacts<'_>,
) -> Explanation {
    let mut explanation = explain(judge, caller, endpoint, tool, facts.now_ms);
    let numbers = judge.endpoint_index(endpoint).zip(judge.tool_index(tool));
    let Some((endpoint, number)) = numbers.filter(|_| explanation.outcome == Outcome::Allow) else {
        return explanation;
    };
    let class = judge.class(caller);
    let narrowing = judge.standing(&class, endpoint, number, facts.now_ms).narrowing.clone();
    if let Some(violation) = narrowing.and_then(|narrowing| narrowing.allowed.check(facts.arguments).err()) {
        explanation.outcome = Outcome::Refused;
        explanation.policies = vec![id::ARGUMENTS.to_owned()];
        explanation.reasons = vec![violation.sentence];
        explanation
            .what_would_change
            .push("correct the arguments, or change what the grants say about them".to_owned());
        return explanation;
    }
    let verdict = judge.per_call(&class, endpoint, number, facts);
    explanation.reported.extend(verdict.reported);
    if verdict.outcome == Outcome::Allow {
        return explanation;
    }
    explanation.outcome = verdict.outcome;
    explanation.reasons = verdict.sentence.into_iter().collect();
    if verdict.outcome == Outcome::NeedsApproval {
        explanation.what_would_change.push("let another person approve exactly this call".to_owned());
    }
    for policy in &verdict.policies {
        if let Some(place) = judge.rule(policy).and_then(|rule| rule.place) {
            explanation.what_would_change.push(format!("change rule `{policy}` ({place})"));
        } else if policy == id::NEEDS_APPROVAL {
            let waive =
                format!("let the owner of `{tool}` record, with reason and expiry, that its calls need no approval");
            explanation.what_would_change.push(waive);
        }
    }
    if verdict.outcome == Outcome::Refused && !verdict.failed {
        explanation.what_would_change.push("change what the rule reads of the call".to_owned());
    }
    explanation.policies = verdict.policies;
    explanation
}

fn absent(reason: String, change: &str) -> Explanation {
    Explanation {
        outcome: Outcome::Hidden,
        policies: Vec::new(),
        reasons: vec![reason],
        reported: Vec::new(),
        what_would_change: vec![change.to_owned()],
    }
}

fn changes(case: &Case<'_>, tool: &ToolId) -> Vec<String> {
    let mut changes = Vec::new();
    match case.decision.outcome {
        Outcome::Allow => return changes,
        Outcome::NeedsScope => {
            let asked = case.decision.asks.as_slice();
            changes.push(format!("let the person add {} for this client", words::toolsets(case.index, asked)));
            return changes;
        }
        Outcome::Hidden | Outcome::NeedsApproval | Outcome::Refused => {}
    }
    if case.decision.failed {
        changes.push("look at the policies: one of them could not be evaluated, which denies".to_owned());
    }
    entitlement(case, tool, &mut changes);
    changes.extend(case.decision.policies.iter().filter_map(|policy| remedy(case, policy, tool)));
    changes
}

fn entitlement(case: &Case<'_>, tool: &ToolId, changes: &mut Vec<String>) {
    let Some(entry) = case.index.tool(case.tool) else { return };
    if entry.toolsets.is_empty() {
        let how = if words::is_destructive(case) { ": a destructive tool by its own name, not by `*`" } else { "" };
        changes.push(format!("put `{tool}` into a toolset{how}"));
    }
    let grant = |holder: String| {
        if entry.toolsets.is_empty() {
            format!("grant that toolset to {holder}")
        } else {
            format!("grant {} to {holder}", words::toolsets(case.index, &entry.toolsets))
        }
    };
    let reach = &case.decision.reach;
    // A destructive tool wants a reveal, which entitles as well.
    let by_grant = !words::is_destructive(case);
    if let (Some(user), Some(reached)) = (case.class.facts.user(), &reach.user)
        && reached.holds.is_empty()
    {
        let titles = words::user_titles(case);
        let live_but_declined: Vec<_> =
            titles.iter().filter(|title| title.phase == Phase::Live).map(|title| title.toolset).collect();
        if !live_but_declined.is_empty() {
            let declined = words::toolsets(case.index, &live_but_declined);
            changes.push(format!("let {} tick {declined} for this client on the my clients page", user.key));
        } else if by_grant {
            changes.push(grant(format!("user {} or one of its groups", user.key)));
        }
    }
    if let (Some(agent), Some(reached)) = (case.class.facts.agent(), &reach.agent)
        && reached.holds.is_empty()
    {
        changes.push(grant(format!("agent {}", agent.id)));
    }
}

fn remedy(case: &Case<'_>, policy: &str, tool: &ToolId) -> Option<String> {
    let client = &case.class.facts.client.id;
    let entry = case.index.tool(case.tool)?;
    Some(match policy {
        id::ENDPOINT => format!("publish server `{}` at this endpoint, or use one that does", tool.server),
        id::PENDING => format!("review its definition and run `ambit tools accept {tool}`"),
        id::SERVER_EXPIRED => format!("review server `{}` with its owner and move `expires`", tool.server),
        id::AGENT_EXPIRED => "review the agent with its owner and move its expiry".to_owned(),
        id::CLIENT_CEILING | id::TOKEN_SCOPE if entry.toolsets.is_empty() => return None,
        id::CLIENT_CEILING => {
            format!("add {} to the ceiling of client `{client}`", words::toolsets(case.index, &entry.toolsets))
        }
        id::NEEDS_REVEAL => match case.class.facts.user() {
            Some(user) => {
                let through = case.class.facts.agent().map_or(String::new(), |agent| format!(" through {}", agent.id));
                let which = words::toolsets(case.index, &entry.toolsets);
                format!("reveal {which} to {} in client `{client}`{through} for up to 8 hours", user.key)
            }
            None => "let a person make the call, with a reveal".to_owned(),
        },
        id::OPERATOR_DESTRUCTIVE => "use a token the person got by logging in".to_owned(),
        id::TOKEN_SCOPE => match case.class.facts.user() {
            Some(_) => format!("get a token that carries {}", words::toolsets(case.index, &entry.toolsets)),
            None => format!("give the agent a token that carries {}", words::toolsets(case.index, &entry.toolsets)),
        },
        other => {
            let place = case.rules.find(other).and_then(|rule| case.rules.problem(rule, "", ""));
            let place = place.map_or(String::new(), |place| format!(" ({}:{})", place.file, place.line));
            format!("change rule `{other}`{place}")
        }
    })
}
