//! The progress of a running call: told to the client that asked for it, under its own token, bounded, without secrets, and
//! never before the intent or after the outcome.

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::{
    room::{LEGACY, PEER_RESULT, PEER_TOOLS, Room, SECRET, modern, post},
    stream::Stream,
    upstream::{Act, Step},
};

/// What the server does before and after the result of a call.
fn tells(calling: Vec<Step>) -> Act {
    let (tools, result) = (PEER_TOOLS.into(), PEER_RESULT.into());
    Act::Tells { tools, result, listing: Vec::new(), calling, after: Vec::new() }
}

fn progress(members: &str) -> Step {
    Step::Tell(note(members))
}

fn note(members: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":$token,{members}}}}}"#)
}

fn alice(room: &Room) -> String {
    room.token_at(2, "alice", "c1", &["reports"])
}

/// A modern call that asks for progress.
fn asking(room: &Room, tool: &str, token: &Value) -> Request<Body> {
    let mut request = modern("/mcp/up", &alice(room), "tools/call", json!({"name": tool, "arguments": {}}));
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": crate::room::MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "progressToken": token,
    });
    let params = json!({"name": tool, "arguments": {}, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": "c-1", "method": "tools/call", "params": params});
    *request.body_mut() = body.to_string().into();
    request
}

/// A legacy call that asks for progress.
async fn legacy_asking(room: &Room, tool: &str, token: &Value) -> Request<Body> {
    let params = json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
    let opened = room.send(post("/mcp/up", &alice(room)).body(body.to_string().into()).unwrap()).await;
    let session = opened.headers["mcp-session-id"].clone();
    let params = json!({"name": tool, "arguments": {}, "_meta": {"progressToken": token}});
    let body = json!({"jsonrpc": "2.0", "id": "c-1", "method": "tools/call", "params": params});
    let request =
        post("/mcp/up", &alice(room)).header("mcp-protocol-version", LEGACY).header("mcp-session-id", session);
    request.body(body.to_string().into()).unwrap()
}

/// The progress told before the answer, and the answer.
async fn told(room: &Room, request: Request<Body>) -> (Vec<Value>, Value) {
    let stream = Stream::of(room, request).await;
    if stream.media() == "application/json" {
        let body = stream.body.collect().await.unwrap().to_bytes();
        return (Vec::new(), serde_json::from_slice(&body).unwrap());
    }
    let mut events = stream.rest().await;
    let answer = events.pop().unwrap();
    let params = events.into_iter().map(|event| {
        assert_eq!(event["method"], "notifications/progress");
        event["params"].clone()
    });
    (params.collect(), answer)
}

#[tokio::test]
async fn progress_is_told_as_it_comes_and_the_answer_with_its_outcome_comes_last() {
    for tool in ["get-report", "create-report"] {
        for (is_modern, token) in [(true, json!("mine")), (false, json!(7))] {
            let room = Room::new().await;
            let calling = vec![progress(r#""progress":0,"total":100.0"#), Step::Hold, progress(r#""progress":50"#)];
            room.peer.will(tells(calling));
            let request =
                if is_modern { asking(&room, tool, &token) } else { legacy_asking(&room, tool, &token).await };
            let before = room.requests().len();
            let mut stream = Stream::of(&room, request).await;
            assert_eq!((stream.status, stream.media()), (StatusCode::OK, "text/event-stream"));
            assert_eq!(
                (&stream.headers["cache-control"], &stream.headers["x-accel-buffering"]),
                (&"no-store".parse().unwrap(), &"no".parse().unwrap())
            );
            let first = stream.next().await.unwrap();
            let expected = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":0,"total":100.0}}}}"#
            );
            assert_eq!(first, expected);
            // The intent stands in the trail, the outcome not yet.
            let events = room.requests();
            assert_eq!((events.len(), &events[before]["event"]), (before + 1, &json!("intent")), "{tool}");
            room.peer.release();
            let second: Value = serde_json::from_str(&stream.next().await.unwrap()).unwrap();
            assert_eq!(second["params"], json!({"progressToken": token, "progress": 50}));
            let answer = stream.next().await.unwrap();
            assert!(answer.starts_with(r#"{"jsonrpc":"2.0","id":"c-1","result":{"#), "{answer}");
            assert!(
                answer.contains(r#""z":1.10,"content":[{"type":"text","text":"hi","own":{"b":1,"a":2}}]"#),
                "{answer}"
            );
            let events = room.requests();
            assert_eq!((events.len(), &events[before + 1]["executed"]), (before + 2, &json!("yes")), "{tool}");
            assert_eq!(stream.next().await, None);
            // The upstream got a token of ours.
            let asked = room.peer.asked("tools/call").pop().unwrap();
            let (_, body) = asked.split_once("\r\n\r\n").unwrap();
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["params"]["_meta"]["progressToken"], body["id"]);
            assert!(body["id"].is_u64() && body["id"] != token);
        }
    }
}

/// Progress under a token nobody gave out.
fn guessed(token: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
    )
}

#[tokio::test]
async fn who_did_not_ask_or_takes_no_stream_gets_json_and_the_server_is_not_asked_to_tell() {
    let room = Room::new().await;
    room.peer.will(tells(vec![Step::TellAll((0..50).map(guessed).collect()), progress(r#""progress":1"#)]));
    let call = json!({"name": "get-report", "arguments": {}});
    let plain = modern("/mcp/up", &alice(&room), "tools/call", call);
    let mut silent = asking(&room, "get-report", &json!("mine"));
    silent.headers_mut().remove("accept");
    let long = asking(&room, "get-report", &json!("x".repeat(300)));
    for (what, request) in [("did not ask", plain), ("takes no stream", silent), ("asks with a long token", long)] {
        let answer = room.send(request).await;
        assert_eq!(answer.headers["content-type"], "application/json", "{what}");
        assert_eq!(answer.text(), "hi", "{what}");
        assert!(!room.peer.asked("tools/call").pop().unwrap().contains("progressToken"), "{what}");
    }
}

#[tokio::test]
async fn a_call_that_tells_nothing_or_is_of_an_api_is_answered_in_json() {
    let room = Room::new().await;
    let answer = room.send(asking(&room, "get-report", &json!(1))).await;
    assert_eq!((&answer.headers["content-type"], answer.text().as_str()), (&"application/json".parse().unwrap(), "hi"));
    // A refusal is no stream either.
    let absent = room.send(asking(&room, "no-such-tool", &json!(1))).await;
    assert_eq!((&absent.headers["content-type"], absent.error_code()), (&"application/json".parse().unwrap(), -32602));
    let mut request = crate::room::call(&room.alice(), "list-things", &json!({}));
    let body = axum::body::to_bytes(std::mem::take(request.body_mut()), 1 << 16).await.unwrap();
    let mut body: Value = serde_json::from_slice(&body).unwrap();
    body["params"]["_meta"]["progressToken"] = json!("mine");
    *request.body_mut() = body.to_string().into();
    assert_eq!(room.send(request).await.headers["content-type"], "application/json");
}

#[tokio::test]
async fn what_is_not_progress_of_this_call_is_not_told() {
    let room = Room::new().await;
    let plain = |params: &str| {
        Step::Tell(format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#))
    };
    let (tools, result) = (PEER_TOOLS.into(), PEER_RESULT.into());
    let calling = vec![
        plain(r#"{"progress":1}"#),
        plain(r#"{"progressToken":"mine","progress":2}"#),
        plain(r#"{"progressToken":999999,"progress":3}"#),
        plain("[1]"),
        progress(r#""progress":"4""#),
        progress(r#""progress":1e999"#),
        progress(r#""progress":5,"progress":6"#),
        Step::Tell(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}"#.into()),
        Step::Tell(r#"{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":{}}"#.into()),
        progress(r#""progress":10,"own":{"a":1},"_meta":{"b":1},"message":"ten\r\n\r\ndata: {}","total":"many""#),
        progress(r#""progress":10"#),
        progress(r#""progress":9.5"#),
        progress(r#""progress":-1"#),
        progress(r#""progress":11"#),
    ];
    let after = vec![progress(r#""progress":12"#)];
    room.peer.will(Act::Tells { tools, result, listing: Vec::new(), calling, after });
    let (told, answer) = told(&room, asking(&room, "get-report", &json!("mine"))).await;
    assert_eq!(
        told,
        [
            json!({"progressToken": "mine", "progress": 10, "message": "ten\\r \\r data: {}"}),
            json!({"progressToken": "mine", "progress": 11}),
        ]
    );
    assert_eq!(answer["result"]["content"][0]["text"], "hi");
}

#[tokio::test]
async fn nothing_is_told_of_a_listing_before_the_call() {
    let room = Room::new().await;
    let (tools, result) = (PEER_TOOLS.into(), PEER_RESULT.into());
    let listing = vec![Step::TellAll((0..100).map(guessed).collect())];
    room.peer.will(Act::Tells { tools, result, listing, calling: Vec::new(), after: Vec::new() });
    room.clock.advance(61_000);
    let (told, answer) = told(&room, asking(&room, "create-report", &json!("mine"))).await;
    assert_eq!(told, [] as [Value; 0]);
    assert_eq!(answer["result"]["content"][0]["text"], "hi");
    assert_eq!(room.peer.asked("tools/list").len(), 2);
}

#[tokio::test]
async fn a_flood_and_a_long_message_are_bounded() {
    let room = Room::new().await;
    let flood = (1..=300).map(|value| note(&format!(r#""progress":{value}"#))).collect();
    room.peer.will(tells(vec![Step::TellAll(flood)]));
    let (all, answer) = told(&room, asking(&room, "get-report", &json!("mine"))).await;
    assert!((20..150).contains(&all.len()), "{}", all.len());
    assert_eq!((&all[0]["progress"], &answer["id"]), (&json!(1), &json!("c-1")));

    room.peer.will(tells(vec![progress(&format!(r#""progress":1,"message":"{}""#, "long ".repeat(10_000)))]));
    let (all, _) = told(&room, asking(&room, "get-report", &json!("mine"))).await;
    assert_eq!(all[0]["message"].as_str().unwrap().chars().count(), 501);
}

#[tokio::test]
async fn the_credential_is_taken_out_of_what_is_told() {
    use base64::Engine as _;
    let room = Room::with_credential_at_peer().await;
    let escaped = SECRET.bytes().fold(String::new(), |text, byte| format!("{text}\\u{byte:04x}"));
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("user:{SECRET}"));
    // At the end of what is looked at, and of what is passed on.
    let cut = format!("{}{SECRET}", "x".repeat(4096 - 10));
    let at_the_bound = format!("{}{SECRET}", "x".repeat(495));
    let messages = [format!("spent {SECRET}"), escaped, encoded, cut, at_the_bound];
    let calling = messages
        .iter()
        .zip(1..)
        .map(|(message, value)| progress(&format!(r#""progress":{value},"message":"{message}""#)));
    room.peer.will(tells(calling.collect()));
    let (told, _) = told(&room, asking(&room, "get-report", &json!("mine"))).await;
    assert_eq!(told.len(), messages.len());
    assert_eq!(told[0]["message"], "spent [redacted]");
    for (one, sent) in told.iter().zip(&messages) {
        let message = one["message"].as_str().unwrap();
        assert!(!message.contains(&SECRET[..8]) && message != sent, "{message}");
    }
    assert!(room.peer.asked("tools/call")[0].contains(SECRET));
}

/// A call whose first progress was told and which is held then.
async fn running(room: &Room, tool: &str, is_modern: bool) -> Stream {
    room.peer.will(tells(vec![progress(r#""progress":1"#), Step::Hold]));
    let token = json!("mine");
    let request = if is_modern { asking(room, tool, &token) } else { legacy_asking(room, tool, &token).await };
    let mut stream = Stream::of(room, request).await;
    stream.next().await.unwrap();
    stream
}

#[tokio::test]
async fn a_client_that_leaves_in_between_cancels_a_modern_read_alone() {
    for (tool, is_modern, cancelled) in
        [("get-report", true, true), ("create-report", true, false), ("get-report", false, false)]
    {
        let room = Room::new().await;
        let stream = running(&room, tool, is_modern).await;
        let before = room.requests().len();
        drop(stream);
        if !cancelled {
            assert!(!room.gateway.drain(Duration::from_millis(50)).await, "{tool}");
            room.peer.release();
        }
        assert!(room.gateway.drain(Duration::from_secs(5)).await);
        let events = room.requests_when(before + 1).await;
        let expected = if cancelled { ("unknown", "cancelled") } else { ("yes", "ok") };
        let outcome = &events[before];
        assert_eq!((&outcome["executed"], &outcome["result"]), (&json!(expected.0), &json!(expected.1)), "{tool}");
        assert_eq!(room.peer.asked("tools/call").len(), 1);
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a client of the test")]
async fn a_connection_that_closes_in_between_is_a_client_that_left() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let room = Room::new().await;
    room.peer.will(tells(vec![progress(r#""progress":1"#), Step::Hold]));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = room.router();
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let (head, body) = asking(&room, "get-report", &json!("mine")).into_parts();
    let body = axum::body::to_bytes(body, 1 << 16).await.unwrap();
    let lines = head.headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
    let head = format!("POST {} HTTP/1.1\r\n{}", head.uri, lines.collect::<String>());
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{head}content-length: {}\r\n\r\n", body.len()).as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let mut answer = String::new();
    while !answer.contains(r#""progress":1}"#) {
        let mut chunk = [0; 1024];
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut chunk)).await.unwrap().unwrap();
        assert_ne!(read, 0, "{answer}");
        answer.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
    }
    drop(stream);
    // Long before the server's time would be over.
    let events = tokio::time::timeout(Duration::from_millis(500), room.requests_when(2)).await.unwrap();
    assert_eq!((&events[1]["executed"], &events[1]["result"]), (&json!("unknown"), &json!("cancelled")));
    serving.abort();
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_nothing_up() {
    let room = Room::new().await;
    let stream = running(&room, "create-report", true).await;
    let before = room.requests().len();
    room.peer.release();
    // Its outcome is written although nobody took what was told.
    assert!(room.gateway.drain(Duration::from_secs(5)).await);
    assert_eq!(room.requests()[before]["executed"], "yes");
    let events = stream.rest().await;
    assert_eq!((events.len(), &events[0]["id"]), (1, &json!("c-1")));
}

#[tokio::test]
async fn a_stream_that_fails_ends_with_a_tool_error() {
    let room = Room::new().await;
    let stream = running(&room, "create-report", true).await;
    // Never released: the server's time is over.
    let events = stream.rest().await;
    let text = events[0]["result"]["content"][0]["text"].as_str().unwrap();
    assert!(events.len() == 1 && text.contains("may have been carried out"), "{events:?}");
}
