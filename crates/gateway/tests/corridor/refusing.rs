//! Visible, but not as it stands: scopes that are missing, arguments that do not fit, things that are down or revoked.

use ambit_model::{ids::CredentialId, revocation::Scope};
use http::{StatusCode, header::WWW_AUTHENTICATE};
use serde_json::json;

use crate::room::{Room, call};

#[tokio::test]
async fn a_missing_scope_is_asked_for_completely_and_in_words() {
    let room = Room::new().await;
    let token = room.token("alice", "c1", &["reads"]);
    // It is in the list: a person can add it.
    assert!(room.names(&token).await.contains(&"create-thing".to_owned()));
    let answer = room.call(&token, "create-thing", json!({"name": "x"})).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let challenge = answer.headers[WWW_AUTHENTICATE].to_str().unwrap();
    for part in [
        r#"error="insufficient_scope""#,
        r#"scope="mcp toolset:reads toolset:writes""#,
        r#"resource_metadata="https://gw.example/.well-known/oauth-protected-resource/mcp""#,
        "error_description=",
    ] {
        assert!(challenge.contains(part), "{part} in {challenge}");
    }
    let error = &answer.json()["error"];
    assert_eq!(error["data"]["scope"], "mcp toolset:reads toolset:writes");
    assert_eq!(error["data"]["link"], "https://gw.example/clients");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("`create-thing`") && message.contains("`writes`"), "{message}");
    assert_eq!(answer.json()["id"], 1);
    assert!(room.upstream.seen().is_empty());
    let event = &room.requests()[1];
    assert_eq!((&event["decision"]["outcome"], &event["executed"]), (&json!("needs-scope"), &json!("no")));
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_refused_by_name_and_nothing_is_sent() {
    let room = Room::new().await;
    let token = room.alice();
    for (name, arguments, says) in [
        ("list-things", json!({"limit": 500}), "`/limit`"),
        ("list-things", json!({"limit": "many"}), "`/limit`"),
        ("list-things", json!({"nonsense": 1}), "nonsense"),
        ("get-thing", json!({}), "id"),
        ("get-thing", json!({"id": "../things"}), "`id`"),
        ("get-thing", json!({"id": "1\r\nx"}), "`id`"),
        ("create-thing", json!({"name": 7}), "name"),
    ] {
        let answer = room.call(&token, name, arguments.clone()).await;
        assert!(answer.is_tool_error(), "{name} {arguments}: {answer:?}");
        let text = answer.text();
        assert!(text.starts_with("not executed: ") && text.contains(says), "{text}");
    }
    assert!(room.upstream.seen().is_empty());
    for event in room.requests() {
        assert_eq!((&event["event"], &event["decision"]["outcome"]), (&json!("outcome"), &json!("refused")));
        assert_eq!((&event["result"], &event["executed"]), (&json!("bad_arguments"), &json!("no")));
    }
}

#[tokio::test]
async fn a_number_that_does_not_survive_is_refused_with_its_place() {
    let room = Room::new().await;
    let mut request = call(&room.alice(), "list-things", &json!({"limit": 77}));
    let body = axum::body::to_bytes(std::mem::take(request.body_mut()), 1 << 16).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap().replace("77", "12345678901234567890123");
    *request.body_mut() = body.into();
    let answer = room.send(request).await;
    assert!(answer.is_tool_error() && answer.text().contains("`/limit`"), "{answer:?}");
    assert!(room.upstream.seen().is_empty());
}

#[tokio::test]
async fn a_revoked_credential_is_not_spent() {
    let room = Room::new().await;
    room.revoke(Scope::Credential(CredentialId::parse("api-writes").unwrap())).await;
    room.clock.advance(2_000);
    let answer = room.call(&room.alice(), "create-thing", json!({"name": "x"})).await;
    assert!(answer.is_tool_error() && answer.text().contains("revoked"), "{answer:?}");
    assert_eq!(room.call(&room.alice(), "list-things", json!({})).await.json()["result"]["isError"], false);
    assert_eq!(room.upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_call_without_a_name_is_told_so() {
    let room = Room::new().await;
    let answer = room.modern(&room.alice(), "tools/call", json!({"arguments": {}})).await;
    assert_eq!((answer.status, answer.error_code()), (StatusCode::OK, -32602));
}

#[tokio::test]
async fn without_the_store_only_reads_run() {
    let room = Room::new().await;
    let token = room.alice();
    room.live.store().close().await;
    assert!(room.live.refresh().await.is_err());
    let write = room.call(&token, "create-thing", json!({"name": "x"})).await;
    assert_eq!((write.status, write.error_code()), (StatusCode::SERVICE_UNAVAILABLE, 50_300));
    assert!(write.headers.contains_key("retry-after"));
    // What is hidden stays hidden, also now.
    assert_eq!(room.call(&token, "delete-thing", json!({})).await.error_code(), -32602);
    assert_eq!(room.names(&token).await.len(), 3);
    assert_eq!(room.call(&token, "list-things", json!({})).await.json()["result"]["isError"], false);
    assert_eq!(room.upstream.seen().len(), 1);
}

#[tokio::test]
async fn without_the_trail_nothing_runs_and_health_is_red() {
    let room = Room::new().await;
    let token = room.alice();
    room.live.recorder().trail().close().await;
    for (name, arguments) in [("list-things", json!({})), ("create-thing", json!({"name": "x"})), ("absent", json!({}))]
    {
        let answer = room.call(&token, name, arguments).await;
        assert_eq!((answer.status, answer.error_code()), (StatusCode::SERVICE_UNAVAILABLE, 50_300), "{name}");
    }
    assert_eq!(room.modern(&token, "tools/list", json!({})).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(room.upstream.seen().is_empty());
    assert_eq!(room.get("/healthz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(room.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
}
