//! Hidden and absent are one answer, byte for byte; and what is listed is what can be called, for whatever was granted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use ambit_testkit::app::{Caller, Era, Login, Reply, TestApp};
use http::HeaderMap;
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRng, TestRunner},
};
use serde_json::json;

use crate::world;

/// Everything of an answer but the time of day. Names of one length leave one length.
fn all_of(answer: &Reply, name: &str) -> (u16, HeaderMap, String) {
    let mut headers = answer.headers.clone();
    headers.remove("date");
    let text = answer.text();
    assert!(text.contains(&format!("`{name}`")), "{text}");
    (answer.status.as_u16(), headers, text.replace(name, "NAME"))
}

async fn called(caller: &Caller, era: Era, name: &str) -> (u16, HeaderMap, String) {
    all_of(&caller.call_in(era, name, json!({"id": "1"})).await.unwrap(), name)
}

#[tokio::test]
async fn a_hidden_tool_and_ten_thousand_absent_ones_are_one_answer() {
    let (app, api) = world::with(ambit_testkit::app::Given::default(), world::AMPLE).await;
    let mut alice = world::person(&app, "alice", "c");
    alice.initialize().await.unwrap();
    let hidden = "delete-thing";
    let modern = called(&alice, Era::Modern, hidden).await;
    let legacy = called(&alice, Era::Legacy, hidden).await;
    assert_eq!((modern.0, legacy.0), (200, 200));
    assert!(modern.2.contains("-32602") && legacy.2.contains("-32602"));
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for n in 0..10_000 {
        let name: String = hidden
            .chars()
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                char::from(b"abcdefghijklmnopqrstuvwxyz-_0123"[usize::try_from(state % 32).unwrap()])
            })
            .collect();
        // Every fifth is asked the old way.
        let (era, like) = if n % 5 == 0 { (Era::Legacy, &legacy) } else { (Era::Modern, &modern) };
        assert_eq!(&called(&alice, era, &name).await, like, "{name}");
    }
    assert!(api.seen().is_empty());
    app.stop().await.unwrap();
}

/// Each way a tool can be hidden, in one deployment.
const HIDING: &str = r#"
[agents.bot]
owner = "alice"
purpose = "tests"
expires = 2099-01-01

[clients.narrow]
toolsets = ["things-read"]
"#;

#[tokio::test]
async fn however_a_tool_is_hidden_it_looks_absent() {
    let (app, api) = world::with(ambit_testkit::app::Given::default(), HIDING).await;
    world::ambit(&app, &["block", "tool", "things/get-thing", "--reason", "test"]).await;
    let login = |login: Login<'_>| app.login(&login).unwrap();
    let with = Login { toolsets: world::ALL, ..Login::default() };
    let cases = [
        ("no grant", login(Login { user: "carol", ..with.clone() }), "create-thing"),
        ("a grant of other effects", login(Login { user: "bob", ..with.clone() }), "create-thing"),
        ("the client's ceiling", login(Login { client: "narrow", ..with.clone() }), "create-thing"),
        ("an agent without grants", login(Login { agent: Some("bot"), ..with.clone() }), "create-thing"),
        ("no reveal", login(with.clone()), "delete-thing"),
        ("a block", login(with.clone()), "get-thing"),
    ];
    for (why, mut caller, hidden) in cases {
        caller.initialize().await.unwrap();
        for era in [Era::Modern, Era::Legacy] {
            let absent: String = hidden.chars().rev().collect();
            let (seen, like) = (called(&caller, era, hidden).await, called(&caller, era, &absent).await);
            assert_eq!(seen, like, "{why} {era:?}");
            // Nor does it help to send what its schema wants, or what it does not.
            for arguments in [json!({"name": "x"}), json!({"nonsense": [1, 2]}), json!({})] {
                let answer = caller.call_in(era, hidden, arguments).await.unwrap();
                assert_eq!(all_of(&answer, hidden), like, "{why} {era:?}");
            }
            assert!(!caller.list_in(era).await.unwrap().contains(&hidden.to_owned()), "{why}");
        }
    }
    // Neither do other methods tell: there is no other door to a tool.
    let carol = login(Login { user: "carol", ..with });
    for (method, params) in [
        (
            "completion/complete",
            json!({"ref": {"type": "ref/tool", "name": "create-thing"}, "argument": {"name": "n", "value": ""}}),
        ),
        ("prompts/get", json!({"name": "create-thing"})),
        ("tools/get", json!({"tool": "create-thing"})),
        ("resources/subscribe", json!({"uri": "create-thing"})),
    ] {
        let answer = carol.request(Era::Modern, method, params).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]["code"]),
            (404, &json!(-32601)),
            "{method}: {}",
            answer.text()
        );
    }
    assert!(api.seen().is_empty(), "{:?}", api.seen());
    app.stop().await.unwrap();
}

/// The toolsets of the property: what each holds, destructive tools included only by name.
const SETS: [(&str, &[&str]); 5] = [
    ("lists", &["list-things"]),
    ("gets", &["get-thing"]),
    ("makes", &["create-thing"]),
    ("looks", &["list-things", "get-thing"]),
    ("removes", &["delete-thing"]),
];
const TOOLS: [&str; 5] = ["list-things", "get-thing", "create-thing", "delete-thing", "invented"];

/// One caller of the property: who holds what, and what its token says.
#[derive(Clone, Debug)]
struct Somebody {
    user: Vec<bool>,
    agent: Option<Vec<bool>>,
    ceiling: Option<Vec<bool>>,
    token: Vec<bool>,
    is_revealed: bool,
}

fn somebody() -> impl Strategy<Value = Somebody> {
    let set = || prop::collection::vec(any::<bool>(), SETS.len());
    (set(), prop::option::of(set()), prop::option::of(set()), set(), any::<bool>())
        .prop_map(|(user, agent, ceiling, token, is_revealed)| Somebody { user, agent, ceiling, token, is_revealed })
}

/// What a caller is to find where a tool is.
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
enum Finds {
    Nothing,
    NeedsScope,
    Tool,
}

/// The places in [`SETS`] of those that are held and have the tool.
fn with(held: &[bool], tool: &str) -> Vec<usize> {
    (0..SETS.len()).filter(|at| held[*at] && SETS[*at].1.contains(&tool)).collect()
}

impl Somebody {
    /// What the design says, put together without the judge: every factor that is there has to hold the tool, what destroys
    /// needs a reveal, and a scope can be asked for only where there is one that person and client may both have.
    fn finds(&self, tool: &str) -> Finds {
        const REMOVES: usize = 4;
        let mut of_user = with(&self.user, tool);
        if SETS[REMOVES].1.contains(&tool) {
            of_user = if self.is_revealed { vec![REMOVES] } else { Vec::new() };
        }
        let has = |factor: &Option<Vec<bool>>| factor.as_ref().is_none_or(|held| !with(held, tool).is_empty());
        if of_user.is_empty() || !has(&self.agent) || !has(&self.ceiling) {
            Finds::Nothing
        } else if !with(&self.token, tool).is_empty() {
            Finds::Tool
        } else if of_user.iter().any(|at| self.ceiling.as_ref().is_none_or(|held| held[*at])) {
            Finds::NeedsScope
        } else {
            Finds::Nothing
        }
    }

    fn config(&self, n: usize) -> String {
        let mut text = format!("[accounts.u{n}]\n");
        let slugs = |held: &[bool]| {
            SETS.iter().zip(held).filter(|(_, held)| **held).map(|((slug, _), _)| *slug).collect::<Vec<_>>()
        };
        let mut grant = |who: String, held: &[bool]| {
            for slug in slugs(held) {
                write!(text, "[[grants]]\n{who}\ntoolset = \"{slug}\"\nreason = \"chance\"\napproved_by = \"chance\"\nexpires = 2099-01-01\n").unwrap();
            }
        };
        grant(format!("user = \"u{n}\""), &self.user);
        if let Some(held) = &self.agent {
            grant(format!("agent = \"a{n}\""), held);
            write!(text, "[agents.a{n}]\nowner = \"u{n}\"\npurpose = \"chance\"\nexpires = 2099-01-01\n").unwrap();
        }
        if let Some(held) = &self.ceiling {
            write!(text, "[clients.c{n}]\ntoolsets = {:?}\n", slugs(held)).unwrap();
        }
        text
    }
}

/// For people, agents, ceilings and tokens by chance, in both eras: a list shows what the grants say, and a call gets
/// through, asks for a scope, or finds nothing, as the list has it.
#[tokio::test]
async fn a_list_equals_what_can_be_called_whatever_was_granted() {
    let config = Config::default();
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let people: Vec<Somebody> = (0..100).map(|_| somebody().new_tree(&mut runner).unwrap().current()).collect();
    let mut text = String::new();
    for (slug, tools) in SETS {
        let tools: Vec<_> = tools.iter().map(|tool| format!("things/{tool}")).collect();
        write!(text, "[toolsets.{slug}]\ntools = {tools:?}\n").unwrap();
    }
    for (n, one) in people.iter().enumerate() {
        text.push_str(&one.config(n));
    }
    let (app, _api) = world::with(ambit_testkit::app::Given::default(), &text).await;
    let mut seen_at_all: BTreeMap<usize, usize> = BTreeMap::new();
    for (n, one) in people.iter().enumerate() {
        let (user, agent, client) = (format!("u{n}"), format!("a{n}"), format!("c{n}"));
        if one.is_revealed {
            let mut args = vec![
                "grant",
                "--reveal",
                "--user",
                &user,
                "--client",
                &client,
                "--toolset",
                "removes",
                "--for",
                "1h",
                "--reason",
                "chance",
            ];
            if one.agent.is_some() {
                args.extend(["--agent", &agent]);
            }
            world::ambit(&app, &args).await;
        }
        let toolsets: Vec<_> =
            SETS.iter().zip(&one.token).filter(|(_, held)| **held).map(|((slug, _), _)| *slug).collect();
        let agent = one.agent.as_ref().map(|_| agent.as_str());
        let login = Login { user: &user, agent, client: &client, toolsets: &toolsets, ..Login::default() };
        let mut caller = app.login(&login).unwrap();
        caller.initialize().await.unwrap();
        let (modern, legacy) = (caller.list_in(Era::Modern).await.unwrap(), caller.list_in(Era::Legacy).await.unwrap());
        assert_eq!(modern, legacy, "{one:?}");
        let listed: BTreeSet<&str> = modern.iter().map(String::as_str).collect();
        let expected: BTreeSet<&str> = TOOLS.into_iter().filter(|tool| one.finds(tool) != Finds::Nothing).collect();
        assert_eq!(listed, expected, "{one:?}");
        *seen_at_all.entry(listed.len()).or_default() += 1;
        if n % 10 == 0 {
            explained_alike(&app, n, one).await;
        }
        for era in [Era::Modern, Era::Legacy] {
            for tool in TOOLS {
                // The arguments fit no tool, so nothing is carried out.
                let answer = caller.call_in(era, tool, json!({"nonsense": 1})).await.unwrap();
                let found = match (
                    answer.status.as_u16(),
                    &answer.json()["error"]["code"],
                    &answer.json()["result"]["isError"],
                ) {
                    (200, code, _) if *code == json!(-32602) => Finds::Nothing,
                    (403, ..) => Finds::NeedsScope,
                    (200, _, is_error) if *is_error == json!(true) => Finds::Tool,
                    _ => panic!("{} {}", answer.status, answer.text()),
                };
                assert_eq!(found, one.finds(tool), "{era:?} {tool}: {one:?} {}", answer.text());
            }
        }
    }
    assert!(seen_at_all.len() > 3, "the cases are too much alike: {seen_at_all:?}");
    app.stop().await.unwrap();
}

/// An operator who asks why is told what the caller meets.
async fn explained_alike(app: &TestApp, n: usize, one: &Somebody) {
    let (user, agent, client) = (format!("u{n}"), format!("a{n}"), format!("c{n}"));
    for tool in &TOOLS[..4] {
        let id = format!("things/{tool}");
        let mut args =
            vec!["explain", "--as", &user, "--client", &client, "--endpoint", "/mcp", "--tool", &id, "--json"];
        if one.agent.is_some() {
            args.extend(["--agent", &agent]);
        }
        let toolsets: Vec<_> =
            SETS.iter().zip(&one.token).filter(|(_, held)| **held).map(|((slug, _), _)| *slug).collect();
        if toolsets.is_empty() {
            // Without any, the command looks with all.
            return;
        }
        for slug in toolsets {
            args.extend(["--toolset", slug]);
        }
        let said: serde_json::Value = serde_json::from_str(&world::ambit(app, &args).await).unwrap();
        let outcome = match one.finds(tool) {
            Finds::Nothing => "hidden",
            Finds::NeedsScope => "needs-scope",
            Finds::Tool => "allow",
        };
        assert_eq!(said["outcome"], outcome, "{tool}: {one:?} {said}");
        assert!(!said["reasons"].as_array().unwrap().is_empty(), "{said}");
    }
}
