//! What is allowed: listed, called, sent as it was validated, recorded.

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    room::{Room, SECRET, base, call, modern, post},
    upstream::Act,
};

#[tokio::test]
async fn a_read_reaches_the_api_as_it_was_validated_and_nothing_of_the_caller_does() {
    let room = Room::new().await;
    room.upstream.will(Act::Json(200, r#"{"z":1.10,"a":{"id":"t1"}}"#.into()));
    let token = room.alice();
    let mut request = call(&token, "get-thing", &json!({"id": "t 1?x=ü"}));
    for (name, value) in
        [("cookie", "alien=1"), ("x-alien", "1"), ("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=alien")]
    {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = room.send(request).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    // The API's JSON as it came: order and numbers survive.
    let body = String::from_utf8(answer.body.clone()).unwrap();
    assert!(body.contains(r#""structuredContent":{"z":1.10,"a":{"id":"t1"}}"#), "{body}");
    assert_eq!(answer.json()["result"]["isError"], false);
    assert_eq!(answer.json()["result"]["resultType"], "complete");

    let seen = room.upstream.seen();
    assert_eq!(seen.len(), 1);
    let request = seen[0].to_ascii_lowercase();
    assert!(request.starts_with("get /things/t%201%3fx%3d%c3%bc http/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("authorization: bearer {SECRET}\r\n")), "{request}");
    for alien in [token.to_ascii_lowercase().as_str(), "cookie", "mcp-", "gw.example", "alien", "forwarded"] {
        assert!(!request.contains(alien), "{alien} in {request}");
    }
}

#[tokio::test]
async fn an_executed_call_leaves_an_intent_and_an_outcome_that_name_everything_but_secrets() {
    let room = Room::new().await;
    let token = room.alice();
    let arguments = json!({"id": "very-private-id"});
    room.call(&token, "get-thing", arguments.clone()).await;
    room.call(&token, "create-thing", json!({"name": "n"})).await;

    let events = room.requests();
    assert_eq!(events.len(), 4, "{events:#?}");
    let [intent, outcome, ..] = events.as_slice() else { panic!() };
    assert_eq!((&intent["event"], &outcome["event"]), (&json!("intent"), &json!("outcome")));
    assert_eq!(intent["request"], outcome["request"]);
    assert_eq!(intent["who"]["user"], "local:alice");
    assert_eq!((&intent["who"]["client"], &intent["who"]["assurance"]), (&json!("c1"), &json!("cimd")));
    assert_eq!(intent["target"]["tool"], "get-thing");
    assert_eq!(intent["target"]["effect"], "read");
    assert_eq!(intent["decision"]["outcome"], "allow");
    assert!(intent["decision"]["policies"].as_array().is_some_and(|policies| !policies.is_empty()));
    assert_eq!(intent["decision"]["revision"], room.live.current().revision);
    assert_eq!(intent["credential"], "api-reads");
    assert_eq!((&outcome["executed"], &outcome["result"]), (&json!("yes"), &json!("ok")));
    assert_eq!(outcome["upstream_status"], 200);
    assert!(outcome["bytes_in"].as_u64().unwrap() > 0 && outcome["bytes_out"].as_u64().unwrap() > 0);
    assert_eq!(events[2]["credential"], "api-writes");

    let all = serde_json::to_string(&room.events()).unwrap();
    for secret in [SECRET, "very-private-id", token.as_str()] {
        assert!(!all.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn both_endpoints_show_the_same_tools_under_their_own_names() {
    let room = Room::new().await;
    assert_eq!(room.names(&room.alice()).await, ["create-thing", "get-thing", "list-things"]);
    let other = room.token_at(1, "alice", "c1", &["reads"]);
    let list = room.send(modern("/mcp/other", &other, "tools/list", json!({}))).await;
    let names: Vec<Value> =
        list.json()["result"]["tools"].as_array().unwrap().iter().map(|t| t["name"].clone()).collect();
    assert_eq!(names, ["api_create-thing", "api_get-thing", "api_list-things"]);
    let called = room
        .send(modern("/mcp/other", &other, "tools/call", json!({"name": "api_get-thing", "arguments": {"id": "1"}})))
        .await;
    assert_eq!(called.json()["result"]["isError"], false);
}

#[tokio::test]
async fn a_list_is_private_paged_and_kept_no_longer_than_it_holds() {
    let settings = ambit_gateway::Settings { page_tools: 2, ..ambit_gateway::Settings::default() };
    let room = Room::with(settings).await;
    let token = room.alice();
    let first = room.modern(&token, "tools/list", json!({})).await;
    let result = &first.json()["result"];
    assert_eq!(result["cacheScope"], "private");
    assert_eq!(result["ttlMs"], 30_000);
    assert_eq!(result["tools"].as_array().unwrap().len(), 2);
    let next = room.modern(&token, "tools/list", json!({"cursor": result["nextCursor"]})).await;
    let rest = &next.json()["result"];
    assert_eq!(rest["tools"].as_array().unwrap().len(), 1);
    assert_eq!(rest.get("nextCursor"), None);
    // The same bytes again, from what was kept.
    assert_eq!(room.modern(&token, "tools/list", json!({})).await, first);
    let bad = room.modern(&token, "tools/list", json!({"cursor": "nonsense"})).await;
    assert_eq!(bad.error_code(), -32602);
}

#[tokio::test]
async fn a_list_ends_with_the_grant_it_comes_from() {
    let room = Room::new().await;
    room.reveal("alice", "c1", "destroys").await;
    let token = room.token("alice", "c1", &["reads", "destroys"]);
    room.clock.advance(3_590_000);
    let token_then = room.token("alice", "c1", &["reads", "destroys"]);
    let list = room.modern(&token_then, "tools/list", json!({})).await;
    assert!(list.json()["result"]["tools"].to_string().contains("delete-thing"));
    assert_eq!(list.json()["result"]["ttlMs"], 10_000);
    room.clock.advance(10_000);
    let names = room.names(&token_then).await;
    assert!(!names.iter().any(|name| name == "delete-thing"), "{names:?}");
    // The first token has run out meanwhile.
    assert_eq!(room.modern(&token, "tools/list", json!({})).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn discovery_names_revisions_and_only_tools() {
    let room = Room::new().await;
    let discovered = room.modern(&room.alice(), "server/discover", json!({})).await;
    let result = &discovered.json()["result"];
    assert_eq!(result["supportedVersions"], json!(["2026-07-28", "2025-11-25", "2025-06-18"]));
    assert_eq!(result["capabilities"], json!({"tools": {"listChanged": true}}));
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["title"], "The default tools");
    for gone in ["initialize", "ping", "resources/subscribe", "prompts/list"] {
        let answer = room.modern(&room.alice(), gone, json!({})).await;
        assert_eq!((answer.status, answer.error_code()), (StatusCode::NOT_FOUND, -32601), "{gone}");
    }
}

#[tokio::test]
async fn the_credential_never_comes_back() {
    let room = Room::new().await;
    for act in [
        Act::Json(200, format!(r#"{{"echo":"Bearer {SECRET}","deep":{{"a":["{SECRET}"]}}}}"#)),
        Act::Json(401, format!(r#"{{"message":"bad token {SECRET}"}}"#)),
        Act::Raw(format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 40\r\n\r\n<p>{SECRET}</p>________________").into_bytes()),
    ] {
        room.upstream.will(act.clone());
        let answer = room.call(&room.alice(), "list-things", json!({})).await;
        let body = String::from_utf8(answer.body.clone()).unwrap();
        assert!(!body.contains(SECRET), "{act:?}: {body}");
        assert!(serde_json::from_str::<Value>(&body).is_ok());
    }
}

#[tokio::test]
async fn what_everybody_may_read_needs_no_token() {
    let room = Room::new().await;
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
        let answer = room.get(path).await;
        assert_eq!(answer.json()["resource"], "https://gw.example/mcp", "{path}");
    }
    let other = room.get("/.well-known/oauth-protected-resource/mcp/other").await;
    assert_eq!(other.json()["authorization_servers"], json!(["https://gw.example/as/other"]));
    assert_eq!(room.get("/.well-known/oauth-protected-resource/mcp/none").await.status, StatusCode::NOT_FOUND);
    let note = String::from_utf8(room.get("/.well-known/ambit/checkpoint").await.body).unwrap();
    assert!(note.starts_with("gw.example/trail\n"), "{note}");
    for path in ["/healthz", "/readyz"] {
        let probed =
            room.send(http::Request::get(path).header("host", "10.0.0.1").body(axum::body::Body::empty()).unwrap());
        assert_eq!(probed.await.status, StatusCode::OK, "{path}");
    }
    let metrics = room.gateway.metrics();
    assert!(metrics.contains("ambit_requests_total"));
}

#[tokio::test]
async fn invented_names_make_no_series() {
    let room = Room::new().await;
    let token = room.alice();
    let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    room.send(call(&token, "first-invention", &json!({}))).await;
    let before = series(&room.gateway.metrics());
    for n in 0..500 {
        room.send(call(&token, &format!("invention-{n}"), &json!({}))).await;
    }
    assert_eq!(series(&room.gateway.metrics()), before);
    assert!(!room.gateway.metrics().contains("invention"));
}

#[tokio::test]
async fn only_post_is_answered_at_an_endpoint() {
    let room = Room::new().await;
    for method in ["GET", "PUT", "PATCH", "OPTIONS"] {
        let with = post("/mcp", &room.alice()).method(method).body(axum::body::Body::empty()).unwrap();
        let answer = room.send(with).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.headers["allow"], "POST");
        let without = room.send(base(method, "/mcp").body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(without.status, StatusCode::UNAUTHORIZED, "{method}");
    }
}
