//! Who does not get in: forged hosts and origins, no token or a wrong one, floods, bodies that are no message.

use ambit_gateway::{RefusalRate, Settings};
use axum::body::Body;
use http::{StatusCode, header::WWW_AUTHENTICATE};
use serde_json::json;

use crate::room::{MODERN, Room, base, call, modern, post};

#[tokio::test]
async fn without_a_token_the_answer_comes_from_the_headers_alone() {
    let room = Room::new().await;
    // A body that never ends is not waited for.
    let endless = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let answer =
        room.send(base("POST", "/mcp").header("content-type", "application/json").body(endless).unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let challenge = answer.headers[WWW_AUTHENTICATE].to_str().unwrap();
    assert!(challenge.contains(r#"resource_metadata="https://gw.example/.well-known/oauth-protected-resource/mcp""#));
    assert!(challenge.contains(r#"scope="mcp""#), "{challenge}");
    for name in answer.headers.keys() {
        assert_eq!(answer.headers.get_all(name).iter().count(), 1, "`{name}` stands twice");
    }
    assert!(room.requests().is_empty());
}

#[tokio::test]
async fn a_token_of_another_endpoint_or_in_the_query_is_refused() {
    let room = Room::new().await;
    let other = room.token_at(1, "alice", "c1", &["reads"]);
    let answer = room.call(&other, "list-things", json!({})).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.headers[WWW_AUTHENTICATE].to_str().unwrap().contains("invalid_token"));
    let uri = format!("/mcp?access_token={}", room.alice());
    let answer = room.send(modern(&uri, &room.alice(), "tools/list", json!({}))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(room.upstream.seen().is_empty());
}

#[tokio::test]
async fn foreign_hosts_and_pages_stay_outside() {
    let room = Room::new().await;
    let token = room.alice();
    for (name, value) in [("host", "evil.example"), ("origin", "https://evil.example"), ("origin", "null")] {
        let mut request = modern("/mcp", &token, "tools/list", json!({}));
        request.headers_mut().insert(name, value.parse().unwrap());
        let answer = room.send(request).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    for path in ["/.well-known/oauth-protected-resource/mcp", "/.well-known/ambit/checkpoint"] {
        let forged = http::Request::get(path).header("host", "evil.example").body(Body::empty()).unwrap();
        let answer = room.send(forged).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        assert!(!String::from_utf8(answer.body).unwrap().contains("evil"));
    }
    let mut own = modern("/mcp", &token, "tools/list", json!({}));
    own.headers_mut().insert("origin", "https://gw.example".parse().unwrap());
    assert_eq!(room.send(own).await.status, StatusCode::OK);
    assert_eq!(room.send(modern("/mcp/none", &token, "tools/list", json!({}))).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_flood_is_told_to_wait_and_leaves_one_record_and_a_good_token_passes() {
    let refusals = RefusalRate { per_second: 1, burst: 5 };
    let room = Room::with(Settings { refusals, ..Settings::default() }).await;
    let mut waits = 0;
    for _ in 0..50 {
        let answer = room.send(modern("/mcp", "not-a-token", "tools/list", json!({}))).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            waits += 1;
            assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
        } else {
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        }
    }
    assert!(waits >= 40, "{waits}");
    assert_eq!(room.names(&room.alice()).await.len(), 3);
    room.live.recorder().flush_refusals(true).await.unwrap();
    let rollups: Vec<_> = room.events().into_iter().filter(|event| event["event"] == "rollup").collect();
    assert_eq!(rollups.len(), 1, "{rollups:?}");
    assert_eq!(rollups[0]["count"], 50);
}

#[tokio::test]
async fn what_is_no_message_gets_the_code_of_what_is_wrong() {
    let room = Room::new().await;
    let token = room.alice();
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    for (body, status, code) in [
        ("{".to_owned(), 400, -32700),
        (format!(r#"[{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{meta}}}}}]"#), 400, -32600),
        (format!(r#"{{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/list","params":{{{meta}}}}}"#), 400, -32600),
        (format!(r#"{{"jsonrpc":"2.0","id":1,"Method":"tools/list","params":{{{meta}}}}}"#), 400, -32600),
        (format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{meta},"x":{deep}}}}}"#), 400, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#.to_owned(), 400, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2025-11-25"}}}"#.to_owned(), 400, -32020),
        (format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"list-things",{meta}}}}}"#), 400, -32020),
    ] {
        let request = post("/mcp", &token).header("mcp-protocol-version", MODERN).header("mcp-method", "tools/list");
        let answer = room.send(request.body(Body::from(body.clone())).unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.error_code()), (status, code), "{body}");
    }
    let mut future = modern("/mcp", &token, "tools/list", json!({}));
    future.headers_mut().insert("mcp-protocol-version", "2027-01-01".parse().unwrap());
    *future.body_mut() = Body::from(format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{}}}}}"#,
        meta.replace("2026-07-28", "2027-01-01")
    ));
    let answer = room.send(future).await;
    assert_eq!(answer.error_code(), -32022);
    assert_eq!(answer.json()["error"]["data"]["supported"][0], MODERN);
    assert!(room.upstream.seen().is_empty());
}

#[tokio::test]
async fn bodies_are_bounded_and_headers_are_held_to() {
    let limits = ambit_mcp::strict::Limits { max_body_bytes: 512, ..Default::default() };
    let room = Room::with(Settings { limits, ..Settings::default() }).await;
    let token = room.alice();
    let long = room.call(&token, "get-thing", json!({"id": "x".repeat(1000)})).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
    for (name, value, status) in [("content-type", "text/plain", 415), ("accept", "application/json", 406)] {
        let mut request = call(&token, "list-things", &json!({}));
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(room.send(request).await.status.as_u16(), status, "{name}");
    }
    for (name, value) in [("mcp-name", "get-thing"), ("mcp-method", "tools/list"), ("mcp-name", "=?base64?!!?=")] {
        let mut request = call(&token, "list-things", &json!({}));
        request.headers_mut().insert(name, value.parse().unwrap());
        let answer = room.send(request).await;
        assert_eq!((answer.status.as_u16(), answer.error_code()), (400, -32020), "{name}: {value}");
    }
    let mut doubled = call(&token, "list-things", &json!({}));
    doubled.headers_mut().append("mcp-name", "list-things".parse().unwrap());
    assert_eq!(room.send(doubled).await.error_code(), -32020);
}

#[tokio::test]
async fn a_revocation_counts_on_the_next_request_and_a_new_login_passes() {
    let room = Room::new().await;
    let token = room.alice();
    assert_eq!(room.names(&token).await.len(), 3);
    room.clock.advance(5_000);
    let user = ambit_model::ids::UserKey::local("alice").unwrap();
    room.revoke(ambit_model::revocation::Scope::User(user)).await;
    assert_eq!(room.call(&token, "list-things", json!({})).await.status, StatusCode::UNAUTHORIZED);
    assert!(room.upstream.seen().is_empty());
    room.clock.advance(1_000);
    assert_eq!(room.names(&room.alice()).await.len(), 3);
}
