//! The legacy era: handshake, sessions that belong to one caller, and the same tools.

use ambit_model::revocation::Scope;
use axum::body::Body;
use http::StatusCode;
use serde_json::json;

use crate::room::{LEGACY, Room, legacy, post};

#[tokio::test]
async fn a_whole_legacy_conversation() {
    let room = Room::new().await;
    let token = room.alice();
    let session = room.session(&token).await;
    let session = Some(session.as_str());
    let noted = room.send(legacy(&token, session, "notifications/initialized", None)).await;
    assert_eq!((noted.status, noted.body.len()), (StatusCode::ACCEPTED, 0));
    let ping = room.send(legacy(&token, session, "ping", None)).await;
    assert_eq!(ping.json(), json!({"jsonrpc": "2.0", "id": "l-1", "result": {}}));
    let list = room.send(legacy(&token, session, "tools/list", None)).await;
    let result = &list.json()["result"];
    assert_eq!(result["tools"].as_array().unwrap().len(), 3);
    assert_eq!((result.get("ttlMs"), result.get("resultType"), result.get("_meta")), (None, None, None));
    let call = json!({"name": "get-thing", "arguments": {"id": "1"}});
    let called = room.send(legacy(&token, session, "tools/call", Some(call))).await;
    assert_eq!(called.json()["result"]["structuredContent"], json!({"ok": true}));
    let unknown = room.send(legacy(&token, session, "resources/list", None)).await;
    assert_eq!((unknown.status, unknown.error_code()), (StatusCode::OK, -32601));
    let hidden = room.send(legacy(&token, session, "tools/call", Some(json!({"name": "delete-thing"})))).await;
    assert_eq!((hidden.status, hidden.error_code()), (StatusCode::OK, -32602));
}

#[tokio::test]
async fn an_older_client_is_answered_with_the_oldest_we_speak() {
    let room = Room::new().await;
    for (asked, answered) in [("2024-11-05", "2025-06-18"), ("2025-06-18", "2025-06-18"), (LEGACY, LEGACY)] {
        let params = json!({"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let answer = room.send(legacy(&room.alice(), None, "initialize", Some(params))).await;
        assert_eq!(answer.json()["result"]["protocolVersion"], answered, "{asked}");
    }
}

#[tokio::test]
async fn a_session_is_not_another_callers() {
    let room = Room::new().await;
    let alice = room.alice();
    let session = room.session(&alice).await;
    // Another token of the same person at the same client is the same caller.
    let renewed = room.token("alice", "c1", &["reads"]);
    assert_eq!(room.send(legacy(&renewed, Some(&session), "ping", None)).await.status, StatusCode::OK);
    for (user, client) in [("bob", "c1"), ("alice", "c2")] {
        let token = room.token(user, client, &["reads"]);
        for method in ["ping", "tools/list", "notifications/initialized"] {
            let answer = room.send(legacy(&token, Some(&session), method, None)).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{user} {client} {method}");
        }
    }
    let other = room.token_at(1, "alice", "c1", &["reads"]);
    let mut elsewhere = legacy(&other, Some(&session), "ping", None);
    *elsewhere.uri_mut() = "/mcp/other".parse().unwrap();
    assert_eq!(room.send(elsewhere).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn no_session_is_400_and_a_forged_one_404_without_a_difference() {
    let room = Room::new().await;
    let token = room.alice();
    let session = room.session(&token).await;
    assert_eq!(room.send(legacy(&token, None, "ping", None)).await.status, StatusCode::BAD_REQUEST);
    let mut flipped = session.clone().into_bytes();
    let last = flipped.len() - 3;
    flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let mut answers = Vec::new();
    for forged in [flipped.as_str(), "x", "eyJzdWIiOiJhbGljZSJ9", &"A".repeat(80)] {
        answers.push(room.send(legacy(&token, Some(forged), "ping", None)).await);
    }
    assert_eq!(answers[0].status, StatusCode::NOT_FOUND);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    // The version is part of what it is bound to.
    let mut older = legacy(&token, Some(&session), "ping", None);
    older.headers_mut().insert("mcp-protocol-version", "2025-06-18".parse().unwrap());
    assert_eq!(room.send(older).await, answers[0]);
    room.clock.advance(8 * 24 * 3_600_000);
    let late = room.send(legacy(&room.alice(), Some(&session), "ping", None)).await;
    assert_eq!(late, answers[0]);
}

#[tokio::test]
async fn delete_ends_a_session_and_only_ones_own() {
    let room = Room::new().await;
    let alice = room.alice();
    let session = room.session(&alice).await;
    let end = |token: String, session: Option<String>| {
        let mut request = post("/mcp", &token).method("DELETE").header("mcp-protocol-version", LEGACY);
        if let Some(session) = session {
            request = request.header("mcp-session-id", session);
        }
        request.body(Body::empty()).unwrap()
    };
    let bob = room.token("bob", "c1", &["reads"]);
    assert_eq!(room.send(end(bob, Some(session.clone()))).await.status, StatusCode::NOT_FOUND);
    assert_eq!(room.send(end(alice.clone(), None)).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(room.send(legacy(&alice, Some(&session), "ping", None)).await.status, StatusCode::OK);
    assert_eq!(room.send(end(alice.clone(), Some(session.clone()))).await.status, StatusCode::NO_CONTENT);
    assert_eq!(room.send(legacy(&alice, Some(&session), "ping", None)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(room.send(end(alice.clone(), Some(session))).await.status, StatusCode::NOT_FOUND);
    let mut modern = end(alice, None);
    modern.headers_mut().insert("mcp-protocol-version", "2026-07-28".parse().unwrap());
    assert_eq!(room.send(modern).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_modern_request_never_gets_a_session() {
    let room = Room::new().await;
    let answer = room.modern(&room.alice(), "tools/list", json!({})).await;
    assert!(!answer.headers.contains_key("mcp-session-id"));
    let missing = room.send(legacy(&room.alice(), None, "initialize", None)).await;
    assert_eq!(missing.status, StatusCode::OK);
}

#[tokio::test]
async fn a_session_says_its_version_where_the_header_is_left_out() {
    let room = Room::new().await;
    let token = room.alice();
    let session = room.session(&token).await;
    let unversioned = |session: &str, method: &str| {
        let mut request = legacy(&token, Some(session), method, None);
        request.headers_mut().remove("mcp-protocol-version");
        request
    };
    assert_eq!(room.send(unversioned(&session, "ping")).await.status, StatusCode::OK);
    assert_eq!(room.send(unversioned(&session, "notifications/initialized")).await.status, StatusCode::ACCEPTED);
    assert_eq!(room.send(unversioned("forged", "ping")).await.status, StatusCode::NOT_FOUND);
    let mut neither = unversioned(&session, "ping");
    neither.headers_mut().remove("mcp-session-id");
    assert_eq!(room.send(neither).await.error_code(), -32020);
    // It makes no modern request of a legacy one.
    let mut modern = crate::room::modern("/mcp", &token, "tools/list", json!({}));
    modern.headers_mut().remove("mcp-protocol-version");
    modern.headers_mut().insert("mcp-session-id", session.parse().unwrap());
    assert_eq!(room.send(modern).await.error_code(), -32020);
}

#[tokio::test]
async fn what_was_revoked_ends_the_sessions_that_stand_on_it() {
    for (kind, id, of_alice) in [
        ("user", "local:alice", true),
        ("client", "c1", true),
        ("family", "login", true),
        ("endpoint", "default", true),
        ("deployment", "", true),
        ("user", "local:bob", false),
        ("family", "another", false),
        ("server", "api", false),
    ] {
        let room = Room::new().await;
        let session = room.session(&room.token_of("login", 0, "alice", "c1", &["reads"])).await;
        room.revoke(Scope::parse(kind, id).unwrap()).await;
        room.clock.advance(1_000);
        // A new login is good again, and does not bring the old session back.
        let again = room.token_of("login-2", 0, "alice", "c1", &["reads"]);
        let expected = if of_alice { StatusCode::NOT_FOUND } else { StatusCode::OK };
        for method in ["ping", "tools/list"] {
            let answer = room.send(legacy(&again, Some(&session), method, None)).await;
            assert_eq!(answer.status, expected, "{kind} {id} {method}");
        }
        let mut unversioned = legacy(&again, Some(&session), "ping", None);
        unversioned.headers_mut().remove("mcp-protocol-version");
        assert_eq!(room.send(unversioned).await.status, expected, "{kind} {id}");
        let end = post("/mcp", &again).method("DELETE").header("mcp-session-id", session);
        let ended = room.send(end.body(Body::empty()).unwrap()).await.status;
        assert_eq!(ended, if of_alice { StatusCode::NOT_FOUND } else { StatusCode::NO_CONTENT }, "{kind} {id}");
        let fresh = room.session(&again).await;
        assert_eq!(room.send(legacy(&again, Some(&fresh), "ping", None)).await.status, StatusCode::OK);
    }
}
