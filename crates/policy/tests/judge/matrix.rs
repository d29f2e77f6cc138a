//! Caller × effect × grant × reveal × approval, as one file a person can read and a reviewer can compare.

use std::{collections::BTreeMap, fmt::Write as _};

use ambit_model::{
    Outcome,
    ids::{EndpointSlug, ToolId},
};
use ambit_policy::{CallFacts, CallerClass, EndpointIndex, Judge, JudgeInput, ToolIndex};
use serde_json::json;

use crate::world::{CallerSpec, FAR, GrantSpec, RevealSpec, World};

const NOW: i64 = 100;
const CHECKED_IN: &str = include_str!("../matrix.txt");

/// A state of the world around an otherwise entitled tool.
struct State {
    name: &'static str,
    change: fn(&mut World),
    call: Call,
}

/// What is particular to the call that is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    /// Nobody approved it.
    Plain,
    /// An approval of exactly this call stands.
    Approved,
    /// The owner waived the approval of each call.
    Waived,
    /// Approved, with arguments that the grant does not allow.
    Outside,
}

const STATES: [State; 13] = [
    State { name: "granted", change: |_| {}, call: Call::Plain },
    State { name: "granted and revealed", change: |world| reveal(world, NOW, NOW + 1), call: Call::Plain },
    State { name: "granted and revealed, approved", change: |world| reveal(world, NOW, NOW + 1), call: Call::Approved },
    State {
        name: "granted and revealed, approval waived",
        change: |world| reveal(world, NOW, NOW + 1),
        call: Call::Waived,
    },
    State {
        name: "constrained, approved, outside",
        change: |world| {
            reveal(world, NOW, NOW + 1);
            world.grants.iter_mut().for_each(|grant| grant.only = vec!["*: a".to_owned()]);
        },
        call: Call::Outside,
    },
    State { name: "reveal over", change: |world| reveal(world, 0, NOW), call: Call::Plain },
    State { name: "no grant", change: |world| world.grants.clear(), call: Call::Plain },
    State {
        name: "no grant, revealed",
        change: |world| {
            world.grants.retain(|grant| grant.to.starts_with("agent") || grant.to.starts_with("client"));
            reveal(world, NOW, NOW + 1);
        },
        call: Call::Plain,
    },
    State {
        name: "grant over, revealed to come",
        change: |world| {
            world.grants.iter_mut().for_each(|grant| grant.until = NOW);
            reveal(world, NOW + 1, NOW + 2);
        },
        call: Call::Plain,
    },
    State { name: "new, revealed", change: |world| pending(world, "new"), call: Call::Plain },
    State { name: "changed, revealed", change: |world| pending(world, "changed"), call: Call::Plain },
    State {
        name: "server expired, revealed",
        change: |world| {
            reveal(world, NOW, NOW + 1);
            world.servers.insert("mux".to_owned(), NOW);
        },
        call: Call::Plain,
    },
    State {
        name: "not published, revealed",
        change: |world| {
            reveal(world, NOW, NOW + 1);
            world.endpoints.insert("default".to_owned(), Vec::new());
        },
        call: Call::Plain,
    },
];

fn reveal(world: &mut World, from: i64, until: i64) {
    for (client, agent) in [("desk", None), ("desk", Some("bot")), ("narrow", None), ("raised", None)] {
        let (user, toolset) = ("alice".to_owned(), "all".to_owned());
        let id = format!("reveal-{client}-{}", agent.unwrap_or("none"));
        let agent = agent.map(str::to_owned);
        world.reveals.push(RevealSpec { id, user, client: client.to_owned(), agent, toolset, from, until });
    }
}

fn pending(world: &mut World, state: &str) {
    reveal(world, NOW, NOW + 1);
    for tool in world.tools.values_mut() {
        *tool = format!("{tool} {state}");
    }
}

fn world() -> World {
    let mut world = World::read(
        r#"
        [servers]
        mux = 1000
        [endpoints]
        default = ["mux"]
        [tools]
        "mux/a-read" = "read"
        "mux/b-write" = "write"
        "mux/c-destroy" = "destructive"
        [toolsets]
        all = ["mux/a-read", "mux/b-write", "mux/c-destroy"]
        other = []
        [ceilings]
        default = ["*"]
        narrow = ["other"]
        raised = ["other"]
        "#,
    );
    let grant = |id: &str, to: &str| GrantSpec {
        id: id.to_owned(),
        to: to.to_owned(),
        toolset: "all".to_owned(),
        from: 0,
        until: FAR,
        only: Vec::new(),
    };
    world.grants = vec![
        grant("g-user", "user alice"),
        grant("g-agent", "agent bot"),
        grant("g-claim", "claim okta:org_id=acme"),
        grant("g-client", "client raised"),
    ];
    world
}

fn claims(org_id: &str) -> BTreeMap<String, String> {
    [("org_id".to_owned(), org_id.to_owned())].into()
}

fn callers() -> Vec<(&'static str, CallerSpec)> {
    let alice = || CallerSpec { user: Some("alice".to_owned()), ..CallerSpec::default() };
    let bot = || CallerSpec { agent: Some("bot".to_owned()), ..CallerSpec::default() };
    let both = || CallerSpec { agent: Some("bot".to_owned()), ..alice() };
    let bare = Some(Vec::new());
    vec![
        ("person", alice()),
        ("person, token without scopes", CallerSpec { scopes: bare.clone(), ..alice() }),
        ("person, toolset declined", CallerSpec { declined: vec!["all".to_owned()], ..alice() }),
        ("person, client with a narrow ceiling", CallerSpec { client: Some("narrow".to_owned()), ..alice() }),
        ("person, another client", CallerSpec { client: Some("laptop".to_owned()), ..alice() }),
        ("person, token made by an operator", CallerSpec { operator: true, ..alice() }),
        (
            "person of another issuer, by a claim",
            CallerSpec { user: Some("okta:olga".to_owned()), claims: claims("acme"), ..CallerSpec::default() },
        ),
        (
            "person of another issuer, another value",
            CallerSpec { user: Some("okta:olga".to_owned()), claims: claims("other"), ..CallerSpec::default() },
        ),
        ("person, granted ceiling", CallerSpec { client: Some("raised".to_owned()), ..alice() }),
        ("another person", CallerSpec { user: Some("bob".to_owned()), ..CallerSpec::default() }),
        ("agent", bot()),
        ("agent, token without scopes", CallerSpec { scopes: bare.clone(), ..bot() }),
        ("agent, expired", CallerSpec { agent_until: Some(NOW), ..bot() }),
        ("agent for a person", both()),
        ("agent for a person, token without scopes", CallerSpec { scopes: bare, ..both() }),
        ("agent for a person, expired", CallerSpec { agent_until: Some(NOW), ..both() }),
        ("agent without grants for a person", CallerSpec { agent: Some("idle".to_owned()), ..alice() }),
    ]
}

fn render() -> String {
    let first = Judge::build(JudgeInput::default()).unwrap();
    let mut text =
        "What a call of each caller comes to, at an accepted tool of each effect, and what each state changes about it.\n".to_owned();
    for (name, caller) in callers() {
        writeln!(text, "\n{name:<42}{:<16}{:<16}destructive", "read", "write").unwrap();
        for state in &STATES {
            let mut world = world();
            (state.change)(&mut world);
            let mut input = world.input();
            if state.call == Call::Waived {
                input.tools.iter_mut().for_each(|tool| tool.approval_waived_until = Some(NOW + 1));
            }
            let judge = first.successor(input).unwrap();
            let class = judge.class(&caller.build());
            let endpoint = judge.endpoint_index(&EndpointSlug::parse("default").unwrap()).unwrap();
            let outcomes = ["mux/a-read", "mux/b-write", "mux/c-destroy"].map(|id| {
                let tool = judge.tool_index(&ToolId::parse(id).unwrap()).unwrap();
                called(&judge, &class, (endpoint, tool), state.call).as_str()
            });
            let [read, write, destructive] = outcomes;
            writeln!(text, "  {:<40}{read:<16}{write:<16}{destructive}", state.name).unwrap();
        }
    }
    text
}

/// What a call comes to: the standing half, and where it allows, what is particular to the call.
fn called(judge: &Judge, class: &CallerClass, (endpoint, tool): (EndpointIndex, ToolIndex), call: Call) -> Outcome {
    let verdict = judge.standing(class, endpoint, tool, NOW);
    if verdict.outcome != Outcome::Allow {
        return verdict.outcome;
    }
    let arguments = if call == Call::Outside { json!({"env": "b"}) } else { json!({"env": "a"}) };
    if verdict.narrowing.as_ref().is_some_and(|narrowing| narrowing.allowed.check(&arguments).is_err()) {
        return Outcome::Refused;
    }
    let approved = matches!(call, Call::Approved | Call::Outside);
    judge.per_call(class, endpoint, tool, &CallFacts { approved, ..CallFacts::new(NOW, &arguments) }).outcome
}

#[test]
fn the_matrix_is_the_one_that_was_reviewed() {
    let fresh = render();
    if fresh != CHECKED_IN {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("matrix.txt");
        std::fs::write(&path, &fresh).unwrap();
        panic!(
            "the matrix changed: compare `{}` with tests/matrix.txt, and copy it there if it is meant",
            path.display()
        );
    }
}
