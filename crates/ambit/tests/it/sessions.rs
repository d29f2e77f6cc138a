//! Legacy sessions: an id opens nothing without the token it was made for, and nothing at all once that is dead.

use ambit_testkit::app::{Caller, Era, Given, Login, Reply};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use crate::world;

const OTHER: &str = r#"
[[endpoints]]
path = "/mcp/other"
servers = ["things"]

[agents.bot]
owner = "alice"
purpose = "tests"
expires = 2099-01-01
"#;

async fn asks(caller: &Caller) -> Reply {
    caller.call_in(Era::Legacy, "list-things", json!({})).await.unwrap()
}

#[tokio::test]
async fn a_session_is_worth_nothing_in_other_hands() {
    let (app, api) = world::with(Given::default(), OTHER).await;
    let mut alice = world::person(&app, "alice", "c");
    alice.initialize().await.unwrap();
    let session = alice.session().unwrap().to_owned();
    assert_eq!(asks(&alice).await.status, 200);
    assert_eq!(api.seen().len(), 1);
    let all = Login { toolsets: world::ALL, client: "c", ..Login::default() };
    let thieves = [
        ("another person", app.login(&Login { user: "bob", ..all.clone() }).unwrap()),
        ("another client", app.login(&Login { client: "c2", ..all.clone() }).unwrap()),
        ("an agent", app.login(&Login { agent: Some("bot"), ..all.clone() }).unwrap()),
        ("another endpoint", app.login(&Login { endpoint: "/mcp/other", ..all }).unwrap()),
    ];
    let forged = alice.with_session(&"A".repeat(session.len()));
    let like = asks(&forged).await;
    assert_eq!(like.status, 404);
    for (who, thief) in &thieves {
        let mut thief = thief.clone();
        for method in ["tools/list", "tools/call", "ping"] {
            let params = json!({"name": "list-things", "arguments": {}});
            let stolen = thief.with_session(&session).request(Era::Legacy, method, params).await.unwrap();
            assert_eq!((stolen.status, &stolen.body), (like.status, &like.body), "{who} {method}: {}", stolen.text());
        }
        // With one of its own it gets along.
        thief.initialize().await.unwrap();
        assert_eq!(thief.request(Era::Legacy, "ping", json!({})).await.unwrap().status, 200, "{who}");
        assert_ne!(thief.session(), Some(session.as_str()));
    }
    assert_eq!(api.seen().len(), 1);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_session_cannot_be_read_or_forged() {
    let (app, api) = world::start().await;
    let mut alice = world::person(&app, "alice", "c");
    alice.initialize().await.unwrap();
    let session = alice.session().unwrap().to_owned();
    let sealed = URL_SAFE_NO_PAD.decode(&session).unwrap();
    for word in ["alice", "local", "default", "things", "2025"] {
        assert!(!sealed.windows(word.len()).any(|window| window == word.as_bytes()), "`{word}` can be read in it");
    }
    let mut forged: Vec<String> = (0..session.len())
        .map(|at| {
            let mut bytes = session.clone().into_bytes();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            String::from_utf8(bytes).unwrap()
        })
        .collect();
    forged.extend([
        "1".to_owned(),
        "00000000-0000-0000-0000-000000000000".to_owned(),
        URL_SAFE_NO_PAD.encode(json!({"sub": "alice", "client": "c"}).to_string()),
        format!("{session}{session}"),
        session[..session.len() - 4].to_owned(),
        "A".repeat(10_000),
    ]);
    let like = asks(&alice.with_session("forged")).await;
    assert_eq!(like.status, 404);
    for id in forged {
        let answer = asks(&alice.with_session(&id)).await;
        assert_eq!((answer.status, &answer.body), (like.status, &like.body), "{id}");
    }
    // Another session of the same caller is another id.
    let mut twin = alice.clone();
    twin.initialize().await.unwrap();
    assert_ne!(twin.session(), alice.session());
    assert!(api.seen().is_empty());
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_session_authenticates_nobody() {
    let clock = world::still();
    let (app, api) = world::with(world::at(&clock), "").await;
    let mut alice = world::person(&app, "alice", "c");
    alice.initialize().await.unwrap();
    let session = alice.session().unwrap().to_owned();
    // Without a token, with a dead one, after a block: what the token says counts.
    for token in ["", "x"] {
        assert_eq!(asks(&alice.with_token(token)).await.status, 401, "{token}");
    }
    clock.advance(5_000);
    world::ambit(&app, &["revoke", "user", "alice", "--reason", "laptop lost"]).await;
    assert_eq!(asks(&alice).await.status, 401);
    clock.advance(5_000);
    // A revocation ends sealed state as well: whoever logs in again begins again.
    let mut again = world::person(&app, "alice", "c");
    assert_eq!(asks(&again.with_session(&session)).await.status, 404);
    again.initialize().await.unwrap();
    let session = again.session().unwrap().to_owned();
    assert_eq!(asks(&again).await.status, 200);
    world::ambit(&app, &["block", "client", "c", "--reason", "stolen"]).await;
    assert_eq!(asks(&again).await.status, 401);
    world::ambit(&app, &["unblock", "client", "c", "--reason", "found"]).await;
    assert_eq!(asks(&again).await.status, 200);
    clock.advance(8 * 24 * 3_600_000);
    let late = world::person(&app, "alice", "c").with_session(&session);
    assert_eq!(asks(&late).await.status, 404);
    assert_eq!(api.seen().len(), 2);
    app.stop().await.unwrap();
}
