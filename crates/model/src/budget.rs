//! How much one person may use, or an agent without one: said for all their requests, for the tools of one effect, and for
//! single tools. A limit never hides a tool: it says when to come back.
//!
//! Limits are looked up by whom a request comes with, most exact first: the agent, the user, the client, the groups in the
//! order of their names, everybody. Each of rate, concurrency and day is taken from the first that says it. What was used is
//! counted for the person all the same, so that no client more gives anybody more.

use std::{collections::BTreeMap, num::NonZeroU32};

use crate::{
    Digest, Effect,
    caller::CallerFacts,
    constraints::ToolPattern,
    ids::{AgentId, ClientId, GroupName, ToolId, UserKey},
};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// So many in a time, and so many of them at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// How many.
    pub times: NonZeroU32,
    /// In which time.
    pub per: Per,
    /// How many of them may come at once after a rest.
    pub burst: NonZeroU32,
}

/// The time of a rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Per {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
}

impl Per {
    /// The word behind "a".
    pub const fn word(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
        }
    }

    const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
        }
    }
}

impl Rate {
    /// Reads `20/s`, `600/m` or `100/h`, whose burst is a tenth of it, at least one, unless another is given.
    pub fn parse(text: &str, burst: Option<NonZeroU32>) -> Option<Self> {
        let (times, per) = text.split_once('/')?;
        let times: NonZeroU32 = times.trim().parse().ok()?;
        let per = match per.trim() {
            "s" => Per::Second,
            "m" => Per::Minute,
            "h" => Per::Hour,
            _ => return None,
        };
        let tenth = NonZeroU32::new(times.get() / 10).unwrap_or(NonZeroU32::MIN);
        Some(Self { times, per, burst: burst.unwrap_or(tenth) })
    }

    /// The time one takes, in nanoseconds, at least one.
    pub fn interval_ns(&self) -> i64 {
        let nanos = self.per.seconds() * NANOS_PER_SECOND / u64::from(self.times.get());
        i64::try_from(nanos).unwrap_or(i64::MAX).max(1)
    }
}

/// What one kind of use is held to. What is not said is not limited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// How many in a time.
    pub rate: Option<Rate>,
    /// How many at once.
    pub at_once: Option<NonZeroU32>,
    /// How many from 00:00 to 24:00 UTC.
    pub per_day: Option<NonZeroU32>,
}

impl Limits {
    /// These, completed by others.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            rate: self.rate.or(others.rate),
            at_once: self.at_once.or(others.at_once),
            per_day: self.per_day.or(others.per_day),
        }
    }

    /// Whether nothing is limited.
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use<'a> {
    /// Any request, whatever it asks.
    Request,
    /// A call of a tool of this effect.
    Effect(Effect),
    /// A call of this tool.
    Tool(&'a ToolId),
}

/// The limits of somebody, by what is used.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Allowance {
    /// All requests together.
    pub requests: Limits,
    /// Calls, by effect.
    pub effects: BTreeMap<Effect, Limits>,
    /// Calls of single tools: each tool that a pattern covers has the limits for itself.
    pub tools: Vec<(ToolPattern, Limits)>,
}

impl Allowance {
    fn of(&self, what: Use<'_>) -> Limits {
        match what {
            Use::Request => self.requests,
            Use::Effect(effect) => self.effects.get(&effect).copied().unwrap_or_default(),
            Use::Tool(tool) => {
                let covering = self.tools.iter().filter(|(pattern, _)| pattern.fits(tool));
                covering.max_by_key(|(pattern, _)| pattern.precision()).map(|(_, limits)| *limits).unwrap_or_default()
            }
        }
    }
}

/// Everybody's limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Budgets {
    /// What everybody has.
    pub everybody: Allowance,
    /// What single agents have in place of it.
    pub agents: BTreeMap<AgentId, Allowance>,
    /// What single users have.
    pub users: BTreeMap<UserKey, Allowance>,
    /// What callers with a client have.
    pub clients: BTreeMap<ClientId, Allowance>,
    /// What members of a group have.
    pub groups: BTreeMap<GroupName, Allowance>,
}

impl Budgets {
    /// The limits of a caller.
    pub fn limits(&self, caller: &CallerFacts, what: Use<'_>) -> Limits {
        let mut limits = Limits::default();
        if !self.agents.is_empty()
            && let Some(own) = caller.agent().and_then(|agent| self.agents.get(&agent.id))
        {
            limits = limits.or(own.of(what));
        }
        if let Some(user) = caller.user()
            && let Some(own) = self.users.get(&user.key)
        {
            limits = limits.or(own.of(what));
        }
        if let Some(own) = self.clients.get(&caller.client.id) {
            limits = limits.or(own.of(what));
        }
        if !self.groups.is_empty() {
            let groups = caller.user().into_iter().flat_map(|user| &user.groups);
            for own in groups.filter_map(|group| self.groups.get(group)) {
                limits = limits.or(own.of(what));
            }
        }
        limits.or(self.everybody.of(what))
    }
}

impl Default for Budgets {
    /// What holds where configuration says nothing: far above what a person's client or a busy agent asks for, and enough to
    /// keep one login from filling the trail.
    fn default() -> Self {
        let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let limits = |times, burst, at_once, per_day| Limits {
            rate: Some(Rate { times: number(times), per: Per::Minute, burst: number(burst) }),
            at_once: Some(number(at_once)),
            per_day,
        };
        let everybody = Allowance {
            requests: limits(3_000, 1_000, 256, None),
            effects: [
                (Effect::Write, limits(600, 200, 32, Some(number(50_000)))),
                (Effect::Destructive, limits(60, 60, 8, Some(number(1_000)))),
            ]
            .into(),
            tools: Vec::new(),
        };
        Self {
            everybody,
            agents: BTreeMap::new(),
            users: BTreeMap::new(),
            clients: BTreeMap::new(),
            groups: BTreeMap::new(),
        }
    }
}

/// What a person has used of one budget on one day.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DayCount {
    /// The number of the day since 1970-01-01, UTC.
    pub day: u32,
    /// The digest of the person who answers for it.
    pub person: Digest,
    /// What is counted: `request`, `effect:write`, `tool:server/tool`.
    pub what: String,
    /// How many.
    pub count: u32,
}

/// When calls of a server are not sent any more because it does not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Breaker {
    /// So many calls in a row without an answer open it.
    pub failures: NonZeroU32,
    /// The first and the last of them are no further apart than this, in milliseconds.
    pub within_ms: i64,
    /// How long nothing is sent before one call tries again, in milliseconds.
    pub rest_ms: i64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: NonZeroU32::new(20).unwrap_or(NonZeroU32::MIN), within_ms: 120_000, rest_ms: 15_000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::{Assurance, ClientFacts, Principal, TokenScopes, UserFacts};

    fn number(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    fn per_day(limit: u32) -> Limits {
        Limits { per_day: Some(number(limit)), ..Limits::default() }
    }

    fn alice() -> CallerFacts {
        CallerFacts {
            principal: Principal::Person {
                user: UserFacts {
                    key: UserKey::local("alice").unwrap(),
                    groups: [GroupName::parse("a").unwrap(), GroupName::parse("b").unwrap()].into(),
                    claims: BTreeMap::new(),
                },
            },
            client: ClientFacts { id: ClientId::parse("c1").unwrap(), assurance: Assurance::Cimd },
            scopes: TokenScopes::None,
            declined: std::collections::BTreeSet::new(),
            operator: None,
        }
    }

    #[test]
    fn rates_are_read_with_their_unit_and_a_burst() {
        let rate = Rate::parse("600/m", None).unwrap();
        assert_eq!((rate.times.get(), rate.per, rate.burst.get()), (600, Per::Minute, 60));
        assert_eq!(rate.interval_ns(), 100_000_000);
        assert_eq!(Rate::parse("5/h", Some(number(9))).unwrap().burst.get(), 9);
        assert_eq!(Rate::parse("4000000000/s", None).unwrap().interval_ns(), 1);
        for bad in ["", "600", "0/m", "-1/s", "1/d", "1/ms", "x/s", "99999999999/s"] {
            assert_eq!(Rate::parse(bad, None), None, "{bad}");
        }
    }

    #[test]
    fn the_most_exact_who_counts_and_what_it_does_not_say_comes_from_the_next() {
        let mut budgets = Budgets::default();
        let requests = |limits| Allowance { requests: limits, ..Allowance::default() };
        budgets.groups.insert(GroupName::parse("b").unwrap(), requests(per_day(5)));
        budgets.clients.insert(ClientId::parse("c1").unwrap(), requests(per_day(4)));
        let limits = budgets.limits(&alice(), Use::Request);
        assert_eq!((limits.per_day, limits.rate), (Some(number(4)), budgets.everybody.requests.rate));
        budgets.users.insert(UserKey::local("alice").unwrap(), requests(per_day(3)));
        assert_eq!(budgets.limits(&alice(), Use::Request).per_day, Some(number(3)));
        budgets.users.clear();
        budgets.clients.clear();
        assert_eq!(budgets.limits(&alice(), Use::Request).per_day, Some(number(5)));
    }

    #[test]
    fn of_several_patterns_the_most_exact_counts() {
        let pattern = |text| ToolPattern::parse(text).unwrap();
        let mut budgets = Budgets::default();
        budgets.everybody.tools = vec![
            (pattern("s/get-a"), per_day(1)),
            (pattern("s/*"), per_day(3)),
            (pattern("*"), per_day(4)),
            (pattern("s/get*"), per_day(2)),
        ];
        for (tool, limit) in [("s/get-a", 1), ("s/get-b", 2), ("s/list", 3), ("t/get-a", 4)] {
            let tool = ToolId::parse(tool).unwrap();
            assert_eq!(budgets.limits(&alice(), Use::Tool(&tool)), per_day(limit), "{tool}");
        }
        budgets.everybody.tools.retain(|(pattern, _)| *pattern != ToolPattern::All);
        assert!(budgets.limits(&alice(), Use::Tool(&ToolId::parse("t/get-a").unwrap())).are_none());
    }
}
