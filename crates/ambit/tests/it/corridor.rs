//! One call, from token to trail.

use ambit_testkit::app::{Era, Login};
use serde_json::json;

use crate::world;

const BOTH: &[&str] = &["things-read", "things-edit", "things-cleanup"];

#[tokio::test]
async fn each_person_sees_and_calls_what_it_is_entitled_to_and_every_step_is_recorded() {
    let (app, api) = world::start().await;
    let alice = app.login(&Login { toolsets: BOTH, ..Login::default() }).unwrap();
    let bob = app.login(&Login { user: "bob", toolsets: BOTH, ..Login::default() }).unwrap();
    let carol = app.login(&Login { user: "carol", toolsets: BOTH, ..Login::default() }).unwrap();
    assert_eq!(alice.list().await.unwrap(), ["create-thing", "get-thing", "list-things"]);
    assert_eq!(bob.list().await.unwrap(), ["get-thing", "list-things"]);
    assert!(carol.list().await.unwrap().is_empty());

    let made = alice.call("create-thing", json!({"name": "a"})).await.unwrap();
    assert_eq!(made.json()["result"]["structuredContent"], json!({"ok": true}), "{}", made.text());
    for (caller, tool) in
        [(&bob, "create-thing"), (&carol, "list-things"), (&alice, "delete-thing"), (&alice, "absent")]
    {
        let refused = caller.call(tool, json!({"name": "a", "id": "x"})).await.unwrap();
        assert_eq!(refused.status, 200);
        assert_eq!(refused.json()["error"]["code"], -32602, "{tool}: {}", refused.text());
    }
    assert_eq!(api.seen(), [r#"POST /things {"name":"a"}"#]);

    let mut legacy = bob.clone();
    legacy.initialize().await.unwrap();
    let listed =
        legacy.request(Era::Legacy, "tools/call", json!({"name": "list-things", "arguments": {}})).await.unwrap();
    assert_eq!(listed.json()["result"]["isError"], false, "{}", listed.text());

    let directory = app.stop().await.unwrap();
    let mut text = Vec::new();
    for entry in std::fs::read_dir(directory.path().join("data/trail")).unwrap() {
        text.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains(r#""tool":"create-thing""#) && text.contains(r#""executed":"yes""#));
    assert!(!text.contains(alice.token()) && !text.contains(r#"{"name":"a"}"#));
}

#[tokio::test]
async fn a_reveal_shows_a_destructive_tool_to_one_person_at_one_client_until_it_is_revoked() {
    let (app, api) = world::start().await;
    let desk = app.login(&Login { client: "desk", toolsets: BOTH, ..Login::default() }).unwrap();
    let other = app.login(&Login { client: "other", toolsets: BOTH, ..Login::default() }).unwrap();
    let args = [
        "grant",
        "--reveal",
        "--user",
        "alice",
        "--client",
        "desk",
        "--toolset",
        "things-cleanup",
        "--for",
        "2h",
        "--reason",
        "clean up",
    ];
    let (code, out, err) = app.ambit(&args).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(desk.list().await.unwrap().contains(&"delete-thing".to_owned()));
    assert!(!other.list().await.unwrap().contains(&"delete-thing".to_owned()));
    api.answers(204, "");
    let gone = desk.call("delete-thing", json!({"id": "x"})).await.unwrap();
    assert_eq!(gone.json()["result"]["isError"], false, "{}", gone.text());
    assert_eq!(api.seen(), ["DELETE /things/x"]);

    let (code, out, err) = app.ambit(&["block", "tool", "things/delete-thing", "--reason", "stop"]).await;
    assert_eq!(code, 0, "{out}{err}");
    let hidden = desk.call("delete-thing", json!({"id": "y"})).await.unwrap();
    assert_eq!(hidden.json()["error"]["code"], -32602);
    assert_eq!(api.seen().len(), 1);
    app.stop().await.unwrap();
}
