//! Revoke and block through the command line, beside a running gateway: they count on the very next request, in both eras,
//! for the person, the client, the login, the tool, the server, the endpoint, the credential and all of it.

use ambit_testkit::app::{Caller, Era, Login, TestApp};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    raw,
    world::{self, ALL, ambit},
};

const MORE: &str = r#"
[[endpoints]]
path = "/mcp/other"
servers = ["things"]

[agents.bot]
owner = "alice"
purpose = "tests"
expires = 2099-01-01

[[grants]]
agent = "bot"
toolset = "things-edit"
reason = "tests"
approved_by = "Team Things"
expires = 2099-01-01
"#;

const TOOL: &str = "list-things";

/// What became of a call: the status, and whether the tool was there.
#[derive(PartialEq, Eq, Debug, Clone, Copy)]
enum Came {
    Through,
    Away,
    NotFound,
}

async fn came(caller: &Caller, era: Era, tool: &str) -> Came {
    let answer = caller.call_in(era, tool, json!({})).await.unwrap();
    match (answer.status.as_u16(), &answer.json()["error"]["code"], &answer.json()["result"]["isError"]) {
        (200, Value::Null, Value::Bool(false)) => Came::Through,
        (401, ..) => Came::Away,
        (200, code, _) if code == -32602 => Came::NotFound,
        _ => panic!("{} {}", answer.status, answer.text()),
    }
}

struct Scene {
    app: TestApp,
    clock: ambit_live::clock::Clock,
    _api: world::Api,
}

impl Scene {
    async fn new() -> Self {
        let clock = world::still();
        let (app, api) = world::with(world::at(&clock), MORE).await;
        Self { app, clock, _api: api }
    }

    /// The people of the tests, with legacy sessions: alice, bob, alice at another client, through her agent, elsewhere.
    async fn callers(&self) -> [Caller; 5] {
        let alice = Login { client: "c", toolsets: ALL, ..Login::default() };
        let logins = [
            alice.clone(),
            Login { user: "bob", ..alice.clone() },
            Login { client: "c2", ..alice.clone() },
            Login { agent: Some("bot"), ..alice.clone() },
            Login { endpoint: "/mcp/other", ..alice },
        ];
        let mut callers = logins.map(|login| self.app.login(&login).unwrap());
        for caller in &mut callers {
            caller.initialize().await.unwrap();
        }
        callers
    }
}

#[tokio::test]
async fn each_scope_reaches_whom_it_names_on_the_next_request_and_nobody_else() {
    use Came::{Away, NotFound, Through};
    let scene = Scene::new().await;
    for (kind, id, expected) in [
        ("user", "alice", [Away, Through, Away, Away, Away]),
        ("client", "c2", [Through, Through, Away, Through, Through]),
        ("agent", "bot", [Through, Through, Through, Away, Through]),
        ("endpoint", "other", [Through, Through, Through, Through, Away]),
        ("tool", "things/list-things", [NotFound; 5]),
        ("tool", "things/get-thing", [Through; 5]),
        ("server", "things", [NotFound; 5]),
        ("deployment", "", [Away; 5]),
    ] {
        for act in ["revoke", "block"] {
            scene.clock.advance(5_000);
            let callers = scene.callers().await;
            for (at, caller) in callers.iter().enumerate() {
                for era in [Era::Modern, Era::Legacy] {
                    assert_eq!(came(caller, era, TOOL).await, Through, "before {act} {kind} {id}: {at}");
                }
            }
            scene.clock.advance(5_000);
            let args: Vec<&str> =
                [act, kind, id, "--reason", "test"].into_iter().filter(|arg| !arg.is_empty()).collect();
            ambit(&scene.app, &args).await;
            for (at, caller) in callers.iter().enumerate() {
                for era in [Era::Modern, Era::Legacy] {
                    assert_eq!(came(caller, era, TOOL).await, expected[at], "{act} {kind} {id}: {at} {era:?}");
                }
            }
            // A new login: after a revocation all is well, a block stands until it is lifted.
            scene.clock.advance(5_000);
            if act == "revoke" {
                for (at, caller) in scene.callers().await.iter().enumerate() {
                    assert_eq!(came(caller, Era::Modern, TOOL).await, Through, "after {act} {kind} {id}: {at}");
                }
                for (at, caller) in callers.iter().enumerate() {
                    assert_eq!(came(caller, Era::Modern, TOOL).await, expected[at], "later, {act} {kind} {id}: {at}");
                }
            } else {
                let alice = Login { client: "c", toolsets: ALL, ..Login::default() };
                let fresh = scene.app.login(&alice).unwrap();
                assert_eq!(came(&fresh, Era::Modern, TOOL).await, expected[0], "new login under {act} {kind} {id}");
                ambit(
                    &scene.app,
                    &["unblock", kind, id, "--reason", "over"]
                        .into_iter()
                        .filter(|arg| !arg.is_empty())
                        .collect::<Vec<_>>(),
                )
                .await;
                for (at, caller) in callers.iter().enumerate() {
                    assert_eq!(came(caller, Era::Modern, TOOL).await, Through, "unblocked {kind} {id}: {at}");
                }
            }
        }
    }
    scene.app.stop().await.unwrap();
}

#[tokio::test]
async fn a_revoked_login_ends_a_reveal_and_a_grant_can_be_ended_alone() {
    let (app, api) = world::start().await;
    let alice = world::person(&app, "alice", "c");
    let revealed = async || alice.list().await.unwrap().contains(&"delete-thing".to_owned());
    let args = [
        "grant",
        "--reveal",
        "--user",
        "alice",
        "--client",
        "c",
        "--toolset",
        "things-cleanup",
        "--for",
        "2h",
        "--reason",
        "r",
        "--json",
    ];
    let made: Value = serde_json::from_str(&ambit(&app, &args).await).unwrap();
    assert!(revealed().await);
    ambit(&app, &["revoke", "grant", made["id"].as_str().unwrap(), "--reason", "done"]).await;
    assert!(!revealed().await);
    assert_eq!(alice.call("delete-thing", json!({"id": "1"})).await.unwrap().json()["error"]["code"], -32602);
    // Standing grants come and go the same way.
    let carol = world::person(&app, "carol", "c");
    assert!(carol.list().await.unwrap().is_empty());
    let args = ["grant", "--user", "carol", "--toolset", "things-read", "--for", "1d", "--reason", "r", "--json"];
    let made: Value = serde_json::from_str(&ambit(&app, &args).await).unwrap();
    assert_eq!(carol.list().await.unwrap(), ["get-thing", "list-things"]);
    ambit(&app, &["revoke", "grant", made["id"].as_str().unwrap(), "--reason", "done"]).await;
    assert!(carol.list().await.unwrap().is_empty());
    assert!(api.seen().is_empty());
    app.stop().await.unwrap();
}

/// A reveal was given before the revocation: of whatever it reaches, it ends too, and a new login alone does not bring it back.
#[tokio::test]
async fn what_is_revoked_ends_the_reveals_that_reach_it() {
    let clock = world::still();
    let (app, api) = world::with(world::at(&clock), MORE).await;
    let sees = async |caller: &Caller| caller.list().await.unwrap().contains(&"delete-thing".to_owned());
    for (kind, id, ends) in [
        ("tool", "things/delete-thing", true),
        ("server", "things", true),
        ("endpoint", "default", true),
        ("endpoint", "other", true),
        ("client", "c", true),
        ("user", "alice", true),
        ("tool", "things/get-thing", false),
        ("client", "c2", false),
        ("user", "bob", false),
    ] {
        world::reveal(&app, "c").await;
        clock.advance(1_000);
        let before = world::person(&app, "alice", "c");
        assert!(sees(&before).await, "before {kind} {id}");
        clock.advance(1_000);
        let said = ambit(&app, &["revoke", kind, id, "--reason", "incident"]).await;
        assert_eq!(said.contains("1 reveal with it"), ends, "{kind} {id}: {said}");
        clock.advance(1_000);
        let after = world::person(&app, "alice", "c");
        assert_eq!(sees(&after).await, !ends, "after {kind} {id}");
        if ends {
            assert_eq!(after.call("delete-thing", json!({"id": "1"})).await.unwrap().json()["error"]["code"], -32602);
        }
    }
    assert!(api.seen().is_empty());
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_reveal_lasts_eight_hours_at_most_and_ends_on_time() {
    let clock = world::still();
    let (app, api) = world::with(world::at(&clock), "").await;
    let reveal = |length: &'static str| {
        [
            "grant",
            "--reveal",
            "--user",
            "alice",
            "--client",
            "c",
            "--toolset",
            "things-cleanup",
            "--for",
            length,
            "--reason",
            "r",
        ]
    };
    for length in ["9h", "481m", "8h1s", "365d"] {
        let (code, out, err) = app.ambit(&reveal(length)).await;
        assert_ne!(code, 0, "{length}: {out}{err}");
    }
    for without in ["--user", "--client"] {
        let mut args = reveal("2h").to_vec();
        let at = args.iter().position(|arg| *arg == without).unwrap();
        args.drain(at..at + 2);
        let (code, out, err) = app.ambit(&args).await;
        assert_eq!(code, 2, "{without}: {out}{err}");
    }
    ambit(&app, &reveal("8h")).await;
    let sees = async || world::person(&app, "alice", "c").list().await.unwrap().contains(&"delete-thing".to_owned());
    assert!(sees().await);
    clock.advance(8 * 3_600_000 - 1_000);
    assert!(sees().await);
    clock.advance(1_000);
    assert!(!sees().await);
    let late = world::person(&app, "alice", "c").call("delete-thing", json!({"id": "1"})).await.unwrap();
    assert_eq!(late.json()["error"]["code"], -32602);
    assert!(api.seen().is_empty());
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_kill_switch_with_a_typing_error_says_so() {
    let (app, _api) = world::start().await;
    let alice = world::person(&app, "alice", "c");
    for (args, says) in [
        (vec!["block", "user", "alcie", "--reason", "r"], "alcie"),
        (vec!["block", "server", "thing", "--reason", "r"], "thing"),
        (vec!["block", "tool", "list-things", "--reason", "r"], "list-things"),
        (vec!["block", "endpoint", "othr", "--reason", "r"], "othr"),
        (vec!["block", "usr", "alice", "--reason", "r"], "usr"),
        (vec!["block", "deployment", "alice", "--reason", "r"], "deployment"),
        (vec!["unblock", "user", "alice", "--reason", "r"], "not blocked"),
        (vec!["revoke", "grant", "grant:none", "--reason", "r"], "grant:none"),
    ] {
        let (code, out, err) = app.ambit(&args).await;
        assert_ne!(code, 0, "{args:?}: {out}{err}");
        assert!(err.contains(says), "{args:?}: {out}{err}");
    }
    assert_eq!(alice.list().await.unwrap().len(), 3);
    // A tool may be away at the moment and come back, so its block stands; that nobody knows it is said.
    let said = ambit(&app, &["block", "tool", "things/lst-things", "--reason", "r"]).await;
    assert!(said.contains("no such tool"), "{said}");
    let said = ambit(&app, &["block", "tool", "things/list-things", "--reason", "r"]).await;
    assert!(!said.contains("no such tool"), "{said}");
    assert_eq!(alice.list().await.unwrap().len(), 2);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn every_act_is_in_the_trail_with_who_and_why() {
    let (app, _api) = world::start().await;
    ambit(&app, &["block", "user", "bob", "--reason", "left the company"]).await;
    ambit(&app, &["unblock", "user", "bob", "--reason", "a mistake"]).await;
    ambit(&app, &["revoke", "user", "bob", "--reason", "once more"]).await;
    world::reveal(&app, "c").await;
    let events = app.events().unwrap();
    let acts: Vec<&Value> = events.iter().filter(|event| event["event"] == "act").collect();
    for (act, reason) in [
        ("block", "left the company"),
        ("unblock", "a mistake"),
        ("revoke", "once more"),
        ("reveal.create", "clean up"),
    ] {
        let found = acts.iter().find(|event| event["act"] == act).unwrap_or_else(|| panic!("no `{act}` in {acts:?}"));
        assert_eq!(found["reason"], reason);
        assert!(found["by"].as_str().unwrap().starts_with("operator:"), "{found}");
    }
    app.stop().await.unwrap();
}

/// Who was somebody when the request began is nobody when it counts: the body came after the revocation.
#[tokio::test]
async fn a_request_under_way_is_judged_by_what_holds_when_it_is_whole() {
    let clock = world::still();
    let (app, api) = world::with(world::at(&clock), "").await;
    let alice = world::person(&app, "alice", "c");
    assert_eq!(came(&alice, Era::Modern, TOOL).await, Came::Through);
    for (args, status) in [
        (vec!["block", "tool", "things/list-things", "--reason", "r"], 200),
        (vec!["block", "user", "alice", "--reason", "r"], 401),
    ] {
        let body = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": TOOL, "arguments": {}, "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
            }},
        })
        .to_string();
        let head = format!(
            "POST /mcp HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\naccept: \
             application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: \
             {TOOL}\r\ncontent-length: {}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n",
            app.address(),
            alice.token(),
            body.len()
        );
        let mut stream = raw::connect(app.address()).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        // The gateway asks for the body, so it has taken the token.
        let mut asked = [0; 25];
        stream.read_exact(&mut asked).await.unwrap();
        assert!(asked.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&asked));
        clock.advance(2_000);
        ambit(&app, &args).await;
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(raw::statuses(&answer), [status], "{args:?}: {answer}");
        assert!(status != 200 || answer.contains("-32602"), "{args:?}: {answer}");
        assert_eq!(api.seen().len(), 1, "{args:?}");
    }
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_blocked_credential_is_not_spent_and_the_tool_says_so() {
    let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("secret.txt"), "downstream-secret").unwrap();
    std::fs::write(directory.path().join("things.json"), world::DOCUMENT).unwrap();
    let api = world::Api::start().await;
    let text = world::config(api.address).replace(
        "owner = \"Team Things\"",
        "owner = \"Team Things\"\ncredential = { id = \"things-key\", bearer = \"file:secret.txt\" }",
    );
    let given = ambit_testkit::app::Given { directory: Some(directory), ..Default::default() };
    let app = TestApp::with(&text, given).await.unwrap();
    let alice = world::person(&app, "alice", "c");
    assert_eq!(came(&alice, Era::Modern, TOOL).await, Came::Through);
    assert_eq!(api.heads()[0]["authorization"], "Bearer downstream-secret");
    ambit(&app, &["block", "credential", "things-key", "--reason", "leaked"]).await;
    let refused = alice.call(TOOL, json!({})).await.unwrap();
    assert_eq!(refused.json()["result"]["isError"], json!(true), "{}", refused.text());
    assert!(refused.text().contains("not executed"), "{}", refused.text());
    assert_eq!(alice.list().await.unwrap().len(), 3, "health never changes a list");
    assert_eq!(api.seen().len(), 1);
    ambit(&app, &["unblock", "credential", "things-key", "--reason", "changed"]).await;
    assert_eq!(came(&alice, Era::Modern, TOOL).await, Came::Through);
    app.stop().await.unwrap();
}
