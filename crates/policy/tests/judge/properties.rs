//! Properties over random deployments: the judge agrees with the oracle, remembers what it would decide, lists what may be
//! called, and nothing that takes away ever gives.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, LazyLock, Mutex},
};

use ambit_model::{
    Effect, Outcome,
    caller::{CallerFacts, Principal, TokenScopes},
    ceiling::Ceiling,
    ids::{ClientId, Millis, ToolId, ToolsetSlug},
};
use ambit_policy::{EndpointIndex, Judge, JudgeInput, Policies, PolicyFile, ToolIndex};
use proptest::{collection::vec, option, prelude::*, sample::select, test_runner::TestCaseResult};

use crate::{
    oracle::{ENVS, Oracle},
    world::{CallerSpec, GrantSpec, RevealSpec, World},
};

const SUBJECTS: [&str; 11] = [
    "user alice",
    "user bob",
    "user okta:olga",
    "group staff",
    "group ops",
    "agent bot",
    "agent idle",
    "client desk",
    "client laptop",
    "claim okta:org_id=acme",
    "claim okta:org_id=other",
];
const CLIENTS: [&str; 3] = ["desk", "laptop", "elsewhere"];
const TOOLSETS: [&str; 6] = ["t0", "t1", "t2", "t3", "t4", "absent"];
const SELECTORS: [&str; 9] = ["a/get", "a/put", "a/drop", "b/get", "b/drop", "a/*", "a/ge*", "b/*", "b/no-such"];
const STATES: [&str; 7] = ["read", "write", "read", "write", "destructive", "destructive", "read new"];
const TOOLS: [&str; 9] = ["a/drop", "a/get", "a/get-2", "a/list", "a/put", "b/drop", "b/get", "b/put", "b/wipe"];

const CONSTRAINTS: [&[&str]; 6] =
    [&["*: a"], &["*: a b"], &["*: c"], &["a/*: b"], &["a/ge*: a", "b/*: b c"], &["a/get: a", "a/drop: c"]];

/// Most are far away, so that not everything has lapsed.
fn expiry() -> impl Strategy<Value = Millis> {
    prop_oneof![3 => Just(1000), 1 => 0..24_i64]
}

fn names(of: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    vec(select(of), 0..=most).prop_map(|names| names.into_iter().map(str::to_owned).collect())
}

fn grant() -> impl Strategy<Value = GrantSpec> {
    let only = prop_oneof![3 => Just(&[][..]), 2 => select(&CONSTRAINTS[..])];
    (select(&SUBJECTS[..]), select(&TOOLSETS[..]), prop_oneof![Just(0), 0..20_i64], expiry(), only).prop_map(
        |(to, toolset, from, until, only)| GrantSpec {
            id: format!("{to} {toolset} {from} {until} {only:?}"),
            to: to.to_owned(),
            toolset: toolset.to_owned(),
            from,
            until,
            only: only.iter().map(|line| (*line).to_owned()).collect(),
        },
    )
}

fn reveal() -> impl Strategy<Value = RevealSpec> {
    (
        select(&["alice", "bob"][..]),
        select(&CLIENTS[..2]),
        option::of(Just("bot".to_owned())),
        select(&TOOLSETS[..]),
        prop_oneof![Just(0), 0..20_i64],
        expiry(),
    )
        .prop_map(|(user, client, agent, toolset, from, until)| RevealSpec {
            id: format!("{user} {client} {agent:?} {toolset} {from} {until}"),
            user: user.to_owned(),
            client: client.to_owned(),
            agent,
            toolset: toolset.to_owned(),
            from,
            until,
        })
}

pub fn world() -> impl Strategy<Value = World> {
    let toolsets = vec(names(&SELECTORS, 4), 5);
    let tools = vec(select(&STATES[..]), TOOLS.len());
    let ceiling = prop_oneof![3 => Just(vec!["*".to_owned()]), 1 => names(&TOOLSETS, 4)];
    (
        toolsets,
        tools,
        vec(grant(), 0..16),
        vec(reveal(), 0..8),
        vec(ceiling, 3),
        [expiry(), expiry()],
        select(vec![vec!["a", "b"], vec!["a"], vec!["b"]]),
    )
        .prop_map(|(toolsets, tools, grants, reveals, ceilings, [a, b], published)| World {
            servers: [("a".to_owned(), a), ("b".to_owned(), b)].into(),
            endpoints: [("default".to_owned(), published.into_iter().map(str::to_owned).collect())].into(),
            tools: TOOLS.iter().zip(tools).map(|(id, state)| ((*id).to_owned(), state.to_owned())).collect(),
            toolsets: TOOLSETS.iter().zip(toolsets).map(|(slug, tools)| ((*slug).to_owned(), tools)).collect(),
            ceilings: ["default", "desk", "laptop"]
                .iter()
                .zip(ceilings)
                .map(|(c, names)| ((*c).to_owned(), names))
                .collect(),
            grants,
            reveals,
        })
}

pub fn caller() -> impl Strategy<Value = CallerFacts> {
    let principal = prop_oneof![
        4 => Just((Some("alice"), None)),
        1 => Just((Some("bob"), None)),
        2 => Just((Some("okta:olga"), None)),
        2 => Just((None, Some("bot"))),
        3 => Just((Some("alice"), Some("bot"))),
        1 => Just((Some("bob"), Some("idle"))),
    ];
    let scopes = prop_oneof![1 => Just(None), 2 => names(&TOOLSETS, 4).prop_map(Some)];
    (
        principal,
        names(&["staff", "ops", "guests"], 2),
        expiry(),
        select(&CLIENTS[..]),
        scopes,
        prop_oneof![3 => Just(Vec::new()), 1 => names(&TOOLSETS, 2)],
        prop::bool::weighted(0.1),
    )
        .prop_map(|((user, agent), groups, agent_until, client, scopes, declined, operator)| {
            CallerSpec {
                user: user.map(str::to_owned),
                claims: if user == Some("okta:olga") {
                    [("org_id".to_owned(), "acme".to_owned())].into()
                } else {
                    std::collections::BTreeMap::new()
                },
                groups,
                agent: agent.map(str::to_owned),
                agent_until: Some(agent_until),
                client: Some(client.to_owned()),
                scopes,
                declined,
                operator,
            }
            .build()
        })
}

/// Rules are read once for all properties.
pub fn judge_of(input: JudgeInput) -> Judge {
    static FIRST: LazyLock<Judge> = LazyLock::new(|| Judge::build(JudgeInput::default()).unwrap());
    FIRST.successor(input).unwrap()
}

pub const ENDPOINT: EndpointIndex = EndpointIndex(0);

pub fn tools() -> impl Iterator<Item = ToolIndex> {
    (0..9).map(ToolIndex)
}

/// Which tools run, and which are listed.
fn reach(input: JudgeInput, caller: &CallerFacts, now: Millis) -> (BTreeSet<ToolId>, BTreeSet<ToolId>) {
    let judge = judge_of(input);
    let class = judge.class(caller);
    let id = |tool: ToolIndex| judge.tool(tool).unwrap().id.clone();
    let verdict = |tool: &ToolIndex| judge.standing(&class, ENDPOINT, *tool, now).outcome;
    let allowed = tools().filter(|tool| verdict(tool) == Outcome::Allow).map(id).collect();
    let listed = tools().filter(|tool| verdict(tool).is_listed()).map(id).collect();
    (allowed, listed)
}

/// A constraint also holds for what a reveal entitles to, and ends with its grant: there less can be more.
fn without_constrained_reveals(mut world: World) -> World {
    if !world.reveals.is_empty() {
        world.grants.iter_mut().for_each(|grant| grant.only.clear());
    }
    world
}

fn narrower(
    (less, more): ((BTreeSet<ToolId>, BTreeSet<ToolId>), (BTreeSet<ToolId>, BTreeSet<ToolId>)),
) -> TestCaseResult {
    prop_assert!(less.0.is_subset(&more.0), "runs more: {:?} {:?}", less.0, more.0);
    prop_assert!(less.1.is_subset(&more.1), "lists more: {:?} {:?}", less.1, more.1);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn the_judge_says_what_the_rules_say(world in world(), caller in caller(), now in 0..24_i64) {
        let input = world.input();
        let judge = judge_of(input.clone());
        let class = judge.class(&caller);
        for tool in tools() {
            let facts = judge.tool(tool).unwrap();
            let oracle = Oracle { input: &input, caller: &caller, endpoint: &input.endpoints[0], now };
            let verdict = judge.standing(&class, ENDPOINT, tool, now);
            prop_assert_eq!(verdict.outcome, oracle.outcome(facts), "{}: {:#?}", facts.id, verdict);
            prop_assert!(!verdict.evaluation_error);
            prop_assert!(!verdict.reasons.is_empty());
            for env in ENVS {
                let says = verdict.narrowing.as_ref().is_none_or(|narrowing| {
                    narrowing.allowed.check(&serde_json::json!({"env": env})).is_ok()
                });
                prop_assert!(!verdict.outcome.is_listed() || says == oracle.admits_env(facts, env), "{}: {env}", facts.id);
            }
            prop_assert!(verdict.is_valid_at(now));
            let asked: Vec<&ToolsetSlug> = verdict.missing_scopes.iter().collect();
            if verdict.outcome == Outcome::NeedsScope {
                prop_assert_eq!(asked, oracle.asked(facts).into_iter().collect::<Vec<_>>());
            } else {
                prop_assert!(asked.is_empty());
            }
        }
    }

    #[test]
    fn remembered_is_fresh(
        world in world(),
        callers in vec(caller(), 1..4),
        asked in vec((0..4_usize, 0..9_u32, 0..24_i64), 1..60),
    ) {
        let judge = judge_of(world.input());
        // The same tokens, verified twice: what is remembered for one is told to the other.
        let twin: Vec<_> = callers.iter().map(|caller| judge.class(caller)).collect();
        let classes: Vec<_> = callers.iter().map(|caller| judge.class(caller)).collect();
        for (who, tool, now) in asked {
            let who = who % classes.len();
            let remembered = judge.standing(&twin[who], ENDPOINT, ToolIndex(tool), now);
            let fresh = judge.decide_fresh(&classes[who], ENDPOINT, ToolIndex(tool), now);
            prop_assert_eq!(&*remembered, &fresh);
            let listed = judge.visible(&twin[who], ENDPOINT, now);
            prop_assert_eq!(listed.tools.contains(&ToolIndex(tool)), fresh.outcome.is_listed());
            prop_assert!(listed.is_valid_at(now));
            if fresh.outcome.is_listed() {
                prop_assert_eq!(listed.narrowing_of(ToolIndex(tool)), fresh.narrowing.as_deref());
            }
        }
    }

    #[test]
    fn callable_is_listable(world in world(), caller in caller(), now in 0..24_i64) {
        let judge = judge_of(world.input());
        let class = judge.class(&caller);
        let listed = judge.visible(&class, ENDPOINT, now);
        let judged: Vec<_> =
            tools().filter(|tool| judge.standing(&class, ENDPOINT, *tool, now).outcome.is_listed()).collect();
        prop_assert_eq!(&listed.tools, &judged);
        prop_assert!(listed.tools.is_sorted_by_key(|tool| &judge.tool(*tool).unwrap().id));
    }

    #[test]
    fn destructive_is_never_listed_without_a_reveal(world in world(), caller in caller(), now in 0..24_i64) {
        let input = world.input();
        let judge = judge_of(input.clone());
        for tool in &judge.visible(&judge.class(&caller), ENDPOINT, now).tools {
            let facts = judge.tool(*tool).unwrap();
            if facts.effect == Effect::Destructive {
                let oracle = Oracle { input: &input, caller: &caller, endpoint: &input.endpoints[0], now };
                prop_assert!(!oracle.revealed(facts).is_empty());
                prop_assert!(caller.user().is_some() && caller.operator.is_none());
            }
        }
        let unrevealed = judge_of(JudgeInput { reveals: Vec::new(), ..input });
        for tool in &unrevealed.visible(&unrevealed.class(&caller), ENDPOINT, now).tools {
            prop_assert_ne!(unrevealed.tool(*tool).unwrap().effect, Effect::Destructive);
        }
    }

    #[test]
    fn taking_a_grant_away_never_widens(world in world(), caller in caller(), now in 0..24_i64, which in 0..16_usize) {
        let world = without_constrained_reveals(world);
        let whole = reach(world.input(), &caller, now);
        let mut less = world.input();
        if which < less.grants.len() {
            less.grants.remove(which);
        }
        narrower((reach(less, &caller, now), whole.clone()))?;
        let mut less = world.input();
        if which < less.reveals.len() {
            less.reveals.remove(which);
        }
        narrower((reach(less, &caller, now), whole))?;
    }

    #[test]
    fn a_ceiling_never_widens(
        world in world(), caller in caller(), now in 0..24_i64, left in names(&TOOLSETS, 5),
    ) {
        let whole = world.input();
        let left = crate::world::toolset_slugs(&left);
        let mut less = world.input();
        for client in CLIENTS {
            let client = ClientId::parse(client).unwrap();
            let cut = match whole.ceilings.of(&client) {
                Ceiling::Everything => left.clone(),
                Ceiling::Only(admitted) => admitted.intersection(&left).cloned().collect(),
            };
            less.ceilings.clients.insert(client, Ceiling::Only(cut));
        }
        narrower((reach(less, &caller, now), reach(whole, &caller, now)))?;
    }

    #[test]
    fn scopes_and_declining_never_widen(
        world in world(), caller in caller(), now in 0..24_i64, left in names(&TOOLSETS, 5),
    ) {
        let world = without_constrained_reveals(world);
        let left = crate::world::toolset_slugs(&left);
        let whole = reach(world.input(), &caller, now);
        let scopes = match &caller.scopes {
            TokenScopes::None => left.clone(),
            TokenScopes::Toolsets(carried) => carried.intersection(&left).cloned().collect(),
        };
        let scoped = CallerFacts { scopes: TokenScopes::Toolsets(scopes), ..caller.clone() };
        narrower((reach(world.input(), &scoped, now), whole.clone()))?;
        let declining = CallerFacts { declined: caller.declined.union(&left).cloned().collect(), ..caller };
        narrower((reach(world.input(), &declining, now), whole))?;
    }

    #[test]
    fn an_agent_for_a_person_is_at_most_both(world in world(), caller in caller(), now in 0..24_i64) {
        let Principal::Delegated { user, agent } = caller.principal.clone() else { return Ok(()) };
        let mut input = world.input();
        let (both, _) = reach(input.clone(), &caller, now);
        // A reveal names either the person alone or the agent, so only standing grants compare; a person's own reveals
        // are given the same reach first.
        let for_agent: Vec<_> = input.reveals.iter().filter(|reveal| reveal.agent.is_some()).cloned().collect();
        input.reveals.extend(for_agent.into_iter().map(|reveal| ambit_model::grant::Reveal { agent: None, ..reveal }));
        let person = CallerFacts { principal: Principal::Person { user }, ..caller.clone() };
        let alone = CallerFacts { principal: Principal::Agent { agent }, ..caller };
        prop_assert!(both.is_subset(&reach(input.clone(), &person, now).0));
        let mild = |id: &&ToolId| input.tools.iter().any(|t| t.id == **id && t.effect != Effect::Destructive);
        let alone = reach(input.clone(), &alone, now).0;
        prop_assert!(both.iter().filter(mild).all(|id| alone.contains(id)));
    }
}

#[test]
fn every_fact_of_a_caller_is_part_of_its_class() {
    let judge = judge_of(World::read(crate::cases::DEPLOYMENT).input());
    let base = CallerSpec {
        user: Some("alice".to_owned()),
        agent: Some("bot".to_owned()),
        scopes: Some(Vec::new()),
        ..CallerSpec::default()
    };
    let changes: [fn(&mut CallerSpec); 12] = [
        |c| drop(c.claims.insert("org_id".to_owned(), "acme".to_owned())),
        |c| c.user = Some("okta:alice".to_owned()),
        |c| c.user = None,
        |c| c.groups.push("staff".to_owned()),
        |c| c.agent = None,
        |c| c.agent = Some("idle".to_owned()),
        |c| c.agent_until = Some(7),
        |c| c.client = Some("laptop".to_owned()),
        |c| c.scopes = None,
        |c| c.scopes = Some(vec!["mux-read".to_owned()]),
        |c| c.declined.push("mux-read".to_owned()),
        |c| c.operator = true,
    ];
    let mut keys = BTreeSet::from([judge.class(&base.build()).key()]);
    for (number, change) in changes.iter().enumerate() {
        let mut other = base.clone();
        change(&mut other);
        assert!(keys.insert(judge.class(&other.build()).key()), "change {number}");
    }
    let mut facts = base.build();
    facts.client.assurance = ambit_model::caller::Assurance::Dynamic;
    assert!(keys.insert(judge.class(&facts).key()));
    let Principal::Delegated { user, agent } = &mut facts.principal else { panic!("a delegated caller") };
    user.claims.insert("team".to_owned(), "a".into());
    agent.owner = user.key.clone();
    assert!(keys.insert(judge.class(&facts).key()));
    assert_eq!(judge.class(&base.build()).key(), judge.class(&base.build()).key());
}

/// A rule of the organisation, and in plain words when it forbids: the list, or the call alone.
struct Plain {
    text: &'static str,
    list: bool,
    matches: fn(&CallerFacts, &ambit_policy::ToolFacts) -> bool,
}

const RULES: [Plain; 5] = [
    Plain {
        text: r#"@id("r0") forbid (principal, action, resource) when { resource.effect == "write" }
                 when { principal has user && principal.user.groups.contains("staff") };"#,
        list: true,
        matches: |caller, tool| {
            let staff =
                |user: &ambit_model::caller::UserFacts| user.groups.iter().any(|group| group.as_str() == "staff");
            tool.effect == Effect::Write && caller.user().is_some_and(staff)
        },
    },
    Plain {
        text: r#"@id("r1") forbid (principal, action == Action::"list", resource)
                 unless { resource.server.slug == "a" || principal has user };"#,
        list: true,
        matches: |caller, tool| tool.id.server.as_str() != "a" && caller.user().is_none(),
    },
    Plain {
        text: r#"@id("r2") forbid (principal, action in Action::"call", resource)
                 when { principal.client.id == "laptop" && resource.name like "*/get*" };"#,
        list: false,
        matches: |caller, tool| caller.client.id.as_str() == "laptop" && tool.id.tool.as_str().starts_with("get"),
    },
    Plain {
        text: r#"@id("r3") forbid (principal, action == Action::"b/put", resource);"#,
        list: false,
        matches: |_, tool| tool.id.to_string() == "b/put",
    },
    Plain {
        text: r#"@id("r4") forbid (principal, action, resource == Tool::"a/list")
                 when { principal has agent && principal.agent.id == "bot" };"#,
        list: true,
        matches: |caller, tool| {
            tool.id.to_string() == "a/list" && caller.agent().is_some_and(|agent| agent.id.as_str() == "bot")
        },
    },
];

/// A judge with the rules whose bits are set; the rules of each choice are read once.
fn judge_by(rules: u8, input: JudgeInput) -> Judge {
    static FIRST: LazyLock<Mutex<HashMap<u8, Arc<Judge>>>> = LazyLock::new(Mutex::default);
    let texts = RULES.iter().enumerate().filter(|(number, _)| rules & 1 << number != 0);
    let files = texts.map(|(number, rule)| PolicyFile { name: format!("{number}.cedar"), text: rule.text.to_owned() });
    let policies = Arc::new(Policies::new(files.collect(), None).unwrap());
    let first = FIRST
        .lock()
        .unwrap()
        .entry(rules)
        .or_insert_with(|| {
            let empty = JudgeInput { policies: Arc::clone(&policies), ..JudgeInput::default() };
            Arc::new(Judge::build(empty).unwrap())
        })
        .clone();
    first.successor(JudgeInput { policies, ..input }).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_forbid_always_wins_and_never_gives(
        world in world(), caller in caller(), now in 0..24_i64, rules in 0..32_u8,
    ) {
        let (with, without) = (judge_by(rules, world.input()), judge_of(world.input()));
        let (ruled, free) = (with.class(&caller), without.class(&caller));
        for tool in tools() {
            let facts = with.tool(tool).unwrap();
            let before = without.standing(&free, ENDPOINT, tool, now).outcome;
            let verdict = with.standing(&ruled, ENDPOINT, tool, now);
            let chosen = RULES.iter().enumerate().filter(|(number, _)| rules & 1 << number != 0);
            let matching: Vec<&Plain> =
                chosen.map(|(_, rule)| rule).filter(|rule| (rule.matches)(&caller, facts)).collect();
            let expected = match before {
                Outcome::Hidden => Outcome::Hidden,
                _ if matching.iter().any(|rule| rule.list) => Outcome::Hidden,
                // A scope is asked for only where it would let the call in.
                Outcome::NeedsScope if !matching.is_empty() => Outcome::Hidden,
                _ if !matching.is_empty() => Outcome::Refused,
                unforbidden => unforbidden,
            };
            prop_assert_eq!(verdict.outcome, expected, "{} {}: {:#?}", facts.id, rules, verdict);
            prop_assert!(!verdict.evaluation_error);
        }
    }

    #[test]
    fn with_rules_remembered_is_fresh_and_callable_is_listed(
        world in world(), callers in vec(caller(), 1..4), rules in 0..32_u8,
        asked in vec((0..4_usize, 0..9_u32, 0..24_i64), 1..40),
    ) {
        let judge = judge_by(rules, world.input());
        let twin: Vec<_> = callers.iter().map(|caller| judge.class(caller)).collect();
        let classes: Vec<_> = callers.iter().map(|caller| judge.class(caller)).collect();
        for (who, tool, now) in asked {
            let who = who % classes.len();
            let remembered = judge.standing(&twin[who], ENDPOINT, ToolIndex(tool), now);
            let fresh = judge.decide_fresh(&classes[who], ENDPOINT, ToolIndex(tool), now);
            prop_assert_eq!(&*remembered, &fresh);
            let listed = judge.visible(&twin[who], ENDPOINT, now);
            prop_assert_eq!(listed.tools.contains(&ToolIndex(tool)), fresh.outcome.is_listed());
        }
    }
}
