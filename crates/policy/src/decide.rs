//! One standing decision, made fresh: gather what reaches the tool from the index, hand it to the rules, read the outcome
//! off their ruling. The same function answers for lists and for calls, so a callable tool is a listed one.

use ambit_model::{Outcome, ids::Millis};

use crate::{
    class::{Holdings, Resolved},
    index::{EndpointIndex, Index, ToolEntry, ToolIndex, ToolsetIndex},
    rules::{Ruling, id},
    slice::{Action, Frames, Unspeakable},
    slices::{RuleSet, Slice, Slices},
    validity::Horizon,
};

/// What reaches one tool at one instant: of every factor, the toolsets that contain the tool.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Reach {
    pub(crate) user: Option<UserReach>,
    pub(crate) agent: Option<AgentReach>,
    pub(crate) admits: Vec<ToolsetIndex>,
    pub(crate) carries: Vec<ToolsetIndex>,
    pub(crate) server_expired: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct UserReach {
    pub(crate) holds: Vec<ToolsetIndex>,
    pub(crate) revealed: Vec<ToolsetIndex>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct AgentReach {
    pub(crate) holds: Vec<ToolsetIndex>,
    pub(crate) expired: bool,
}

/// A decision with what it was made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Decision {
    pub(crate) outcome: Outcome,
    pub(crate) policies: Vec<String>,
    /// A rule could not be evaluated: the decision is a deny and somebody has to look.
    pub(crate) failed: bool,
    /// The toolset whose scope would let the caller in.
    pub(crate) asks: Option<ToolsetIndex>,
    /// The rules that would decide if they were enforced.
    pub(crate) reported: Vec<String>,
    pub(crate) reach: Reach,
    pub(crate) horizon: Horizon,
}

/// Decides. A tool or endpoint that is not there is hidden.
pub(crate) fn decide(
    (slices, index, frames): (&Slices, &Index, &Frames),
    class: &Resolved,
    (endpoint, tool): (EndpointIndex, ToolIndex),
    now: Millis,
) -> Decision {
    let mut horizon = Horizon::new(now);
    let known = index.tool(tool).zip(slices.of(tool)).filter(|_| index.endpoint(endpoint).is_some());
    let Some((entry, rules)) = known else {
        return Decision {
            outcome: Outcome::Hidden,
            policies: Vec::new(),
            failed: false,
            asks: None,
            reported: Vec::new(),
            reach: Reach::default(),
            horizon,
        };
    };
    let reach = gather(index, class, entry, &mut horizon);
    if let Some(unjudged) = rules.unjudgeable() {
        let policies = vec![unjudged.rule.clone()];
        return Decision {
            outcome: Outcome::Hidden,
            policies,
            failed: false,
            asks: None,
            reported: Vec::new(),
            reach,
            horizon,
        };
    }
    let bench = Bench { rules, index, frames, class, endpoint, tool };
    let (outcome, ruling) = bench.both_questions(&reach);
    let only_scope = !ruling.failed && ruling.policies == [id::TOKEN_SCOPE];
    let asks = if outcome == Outcome::Hidden && only_scope { bench.asks(entry, &reach) } else { None };
    let outcome = if asks.is_some() { Outcome::NeedsScope } else { outcome };
    let reported = if outcome.is_listed() { bench.reported(&reach) } else { Vec::new() };
    Decision { outcome, policies: ruling.policies, failed: ruling.failed, asks, reported, reach, horizon }
}

/// Looks up what reaches a tool.
pub(crate) fn gather(index: &Index, class: &Resolved, entry: &ToolEntry, horizon: &mut Horizon) -> Reach {
    let user = class.user.as_ref().map(|factor| {
        let revealed = held(&entry.toolsets, &factor.reveals, |number| index.reveal_lives(number, horizon));
        let mut holds = held(&entry.toolsets, &factor.grants, |number| index.grant_lives(number, horizon));
        // A reveal also entitles.
        holds.extend(revealed.iter().filter(|toolset| !holds.contains(toolset)).copied().collect::<Vec<_>>());
        holds.sort_unstable();
        let offered = |held: Vec<ToolsetIndex>| {
            held.into_iter().filter(|toolset| factor.declined.binary_search(toolset).is_err()).collect()
        };
        UserReach { holds: offered(holds), revealed: offered(revealed) }
    });
    let agent = class.agent.as_ref().zip(class.facts.agent()).map(|(grants, facts)| AgentReach {
        holds: held(&entry.toolsets, grants, |number| index.grant_lives(number, horizon)),
        expired: horizon.reached(facts.expires_at),
    });
    // No facts about the server: as if it had expired.
    let server_expired = index.servers.get(entry.server).is_none_or(|server| horizon.reached(server.expires_at));
    let admits = entry.toolsets.iter().copied().filter(|toolset| class.ceiling.admits(*toolset, index, horizon));
    let admits = admits.collect();
    let carries = entry.toolsets.iter().copied().filter(|toolset| class.scopes.leaves(*toolset)).collect();
    Reach { user, agent, admits, carries, server_expired }
}

/// The toolsets held by something that is live. Everything is asked, also what was declined and not only until the first
/// yes: each is an instant at which the decision, or its reasons, may change.
fn held<T: Copy + Ord>(
    toolsets: &[ToolsetIndex],
    holdings: &Holdings<T>,
    mut live: impl FnMut(T) -> bool,
) -> Vec<ToolsetIndex> {
    toolsets
        .iter()
        .copied()
        .filter(|toolset| holdings.of(*toolset).fold(false, |any, number| live(number) | any))
        .collect()
}

struct Bench<'a> {
    rules: &'a Slice,
    index: &'a Index,
    frames: &'a Frames,
    class: &'a Resolved,
    endpoint: EndpointIndex,
    tool: ToolIndex,
}

impl Bench<'_> {
    /// `list` first; what may not be listed is not asked about further.
    fn both_questions(&self, reach: &Reach) -> (Outcome, Ruling) {
        let ask = || -> Result<(Outcome, Ruling), Unspeakable> {
            let entities =
                self.frames.slice(self.index, self.class, self.endpoint, self.tool, (reach, self.rules.principal()))?;
            let listing = self.frames.request(self.class, Action::List, self.tool)?;
            let listed = self.rules.list().judge(&listing, &entities);
            if !listed.allowed {
                return Ok((Outcome::Hidden, listed));
            }
            let called = match self.rules.call() {
                Some(rules) => rules.judge(&self.frames.request(self.class, Action::Call, self.tool)?, &entities),
                None => listed,
            };
            let outcome = match (called.allowed, called.failed) {
                (true, _) => Outcome::Allow,
                (false, false) => Outcome::Refused,
                (false, true) => Outcome::Hidden,
            };
            Ok((outcome, called))
        };
        ask().unwrap_or_else(|Unspeakable| {
            (Outcome::Hidden, Ruling { allowed: false, policies: Vec::new(), failed: true })
        })
    }

    /// What the rules that are only recorded say to a tool that is listed.
    fn reported(&self, reach: &Reach) -> Vec<String> {
        let ask = |rules: &RuleSet| -> Result<Vec<String>, Unspeakable> {
            let reads = (reach, self.rules.principal());
            let entities = self.frames.slice(self.index, self.class, self.endpoint, self.tool, reads)?;
            Ok(rules.would_decide(&self.frames.request(self.class, Action::Call, self.tool)?, &entities))
        };
        self.rules.reported().and_then(|rules| ask(rules).ok()).unwrap_or_default()
    }

    /// The toolset to ask a person for, if its scope is all that is missing.
    ///
    /// Of those the person holds, did not decline and the ceiling admits: the one with the fewest tools, then the first by
    /// name. A token without a person behind it asks for nothing.
    fn asks(&self, entry: &ToolEntry, reach: &Reach) -> Option<ToolsetIndex> {
        let user = reach.user.as_ref()?;
        let destructive = entry.facts.effect == ambit_model::Effect::Destructive;
        let held = if destructive { &user.revealed } else { &user.holds };
        let size = |toolset: &ToolsetIndex| self.index.toolset(*toolset).map_or(usize::MAX, |entry| entry.tools.len());
        let asked =
            held.iter().filter(|toolset| reach.admits.contains(toolset)).min_by_key(|t| (size(t), **t)).copied()?;
        // What the rules say once the token carries it.
        let mut carrying = reach.clone();
        carrying.carries.push(asked);
        let (outcome, _) = self.both_questions(&carrying);
        (outcome == Outcome::Allow).then_some(asked)
    }
}
