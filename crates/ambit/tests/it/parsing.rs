//! Bodies that are no message, or could be read as two different ones: refused at the door, and nothing happened.

use ambit_testkit::app::{Answer, Caller, Era};
use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body_util::Full;
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};
use serde_json::json;

use crate::world;

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

/// A `tools/call` of a visible tool with another body under its headers.
fn with_body(caller: &Caller, era: Era, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = caller.build(era, "tools/call", json!({"name": "get-thing", "arguments": {"id": "1"}})).unwrap();
    *request.body_mut() = Full::from(body.into());
    request
}

async fn refused(caller: &Caller, era: Era, body: impl Into<Bytes>) -> Answer {
    let body = body.into();
    let answer = caller.send(with_body(caller, era, body.clone())).await.unwrap();
    let shown = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
    assert!(answer.status.is_client_error(), "{era:?} {shown}: {} {}", answer.status, answer.text());
    let error = &answer.json()["error"];
    assert_eq!(answer.json()["jsonrpc"], "2.0", "{shown}: {}", answer.text());
    assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{shown}: {}", answer.text());
    answer
}

fn code(answer: &Answer) -> i64 {
    answer.json()["error"]["code"].as_i64().unwrap_or_default()
}

/// The envelope around members, as one era writes it.
fn modern(params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{params},{META}}}}}"#)
}

#[tokio::test]
async fn what_is_not_json_is_a_parse_error() {
    let (app, api) = world::start().await;
    let alice = world::person(&app, "alice", "c");
    let good = modern(r#""name":"get-thing","arguments":{"id":"1"}"#);
    let bodies: [Vec<u8>; 15] = [
        b"".into(),
        b"{".into(),
        b"hello".into(),
        b"{'jsonrpc':'2.0'}".into(),
        format!("{good}{good}").into(),
        format!("{good},").into(),
        good.trim_end_matches('}').into(),
        good.replace(r#""id":1,"#, r#""id":1,,"#).into(),
        good.replace(r#""id":1,"#, r#""id":01,"#).into(),
        good.replace(r#""id":1,"#, r#""id":NaN,"#).into(),
        good.replace(r#""1""#, "\"a\u{0}b\"").into(),
        [b"\xef\xbb\xbf", good.as_bytes()].concat(),
        good.replace(r#""1""#, "\"\u{e9}\"").chars().map(|letter| letter as u8).collect(),
        good.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        format!("{good}/* and a comment */").into(),
    ];
    for body in bodies {
        let answer = refused(&alice, Era::Modern, body.clone()).await;
        assert_eq!((answer.status.as_u16(), code(&answer)), (400, -32700), "{}", String::from_utf8_lossy(&body));
    }
    assert!(api.seen().is_empty());
    app.stop().await.unwrap();
}

#[tokio::test]
async fn what_two_readers_could_read_differently_is_refused_in_both_eras() {
    let (app, api) = world::start().await;
    world::reveal(&app, "c").await;
    let mut alice = world::person(&app, "alice", "c");
    alice.initialize().await.unwrap();
    let params = [
        // The same member twice, also in another spelling of the same name.
        r#""name":"get-thing","name":"delete-thing","arguments":{"id":"1"}"#,
        r#""name":"get-thing","n\u0061me":"delete-thing","arguments":{"id":"1"}"#,
        r#""name":"get-thing","arguments":{"id":"1"},"arguments":{"id":"2"}"#,
        r#""name":"get-thing","arguments":{"id":"1","id":"2"}"#,
        r#""name":"get-thing","arguments":{"id":"1","\u0069d":"2"}"#,
        r#""name":"get-thing","arguments":{"id":"1","deep":[{"a":1,"a":2}]}"#,
        // A member a lenient reader takes for another.
        r#""Name":"delete-thing","name":"get-thing","arguments":{"id":"1"}"#,
        r#""name":"get-thing","NAME":"delete-thing","arguments":{"id":"1"}"#,
        r#""name":"get-thing","Arguments":{"id":"2"},"arguments":{"id":"1"}"#,
        // Half a character.
        r#""name":"get-thing","arguments":{"id":"\ud800"}"#,
        r#""name":"get-thing\udfff","arguments":{"id":"1"}"#,
        r#""name":"get-thing","arguments":{"\ud83d":"1"}"#,
    ];
    for params in params {
        refused(&alice, Era::Modern, modern(params)).await;
        let legacy = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{params}}}}}"#);
        refused(&alice, Era::Legacy, legacy).await;
    }
    for (member, other) in [
        (r#""method":"tools/call","#, r#""method":"tools/call","method":"ping","#),
        (r#""method":"tools/call","#, r#""Method":"ping","method":"tools/call","#),
        (r#""method":"tools/call","#, r#""METHOD":"tools/call","#),
        (r#""jsonrpc":"2.0","#, r#""jsonrpc":"2.0","jsonrpc":"2.0","#),
        (r#""id":1,"#, r#""id":1,"id":2,"#),
        (r#""id":1,"#, r#""id":1,"ID":2,"#),
        (r#""params":"#, r#""Params":{},"params":"#),
        (r#""params":"#, r#""result":{},"params":"#),
        (r#""params":"#, r#""x-ambit-route":"admin","params":"#),
    ] {
        let good = modern(r#""name":"get-thing","arguments":{"id":"1"}"#);
        assert!(good.contains(member));
        refused(&alice, Era::Modern, good.replace(member, other)).await;
        let legacy = good.replace(&format!(",{META}"), "").replace(member, other);
        refused(&alice, Era::Legacy, legacy).await;
    }
    assert!(api.seen().is_empty(), "{:?}", api.seen());
    app.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_no_request_of_this_protocol_is_refused() {
    let (app, api) = world::start().await;
    let mut alice = world::person(&app, "alice", "c");
    alice.initialize().await.unwrap();
    let good = modern(r#""name":"get-thing","arguments":{"id":"1"}"#);
    for (member, other) in [
        (r#""jsonrpc":"2.0","#, ""),
        (r#""jsonrpc":"2.0","#, r#""jsonrpc":"1.0","#),
        (r#""jsonrpc":"2.0","#, r#""jsonrpc":2.0,"#),
        (r#""id":1,"#, r#""id":null,"#),
        (r#""id":1,"#, r#""id":1.5,"#),
        (r#""id":1,"#, r#""id":{},"#),
        (r#""id":1,"#, r#""id":true,"#),
        (r#""method":"tools/call""#, r#""method":7"#),
        (r#""method":"tools/call""#, r#""method":["tools/call"]"#),
    ] {
        let answer = refused(&alice, Era::Modern, good.replace(member, other)).await;
        assert_eq!((answer.status.as_u16(), code(&answer)), (400, -32600), "{other}");
    }
    let long_id = good.replace(r#""id":1,"#, &format!(r#""id":"{}","#, "x".repeat(10_000)));
    assert_eq!(code(&refused(&alice, Era::Modern, long_id).await), -32600);
    for params in [
        r#""name":7"#,
        r#""name":["get-thing"]"#,
        r#""name":"get-thing","arguments":[1]"#,
        r#""name":"get-thing","arguments":"{}""#,
    ] {
        let answer = alice.send(with_body(&alice, Era::Modern, modern(params))).await.unwrap();
        assert!(answer.json()["error"]["code"].is_i64() || answer.json()["result"]["isError"] == true, "{params}");
    }
    // Batches went with 2025-06-18: in neither era, of whatever length.
    for batch in ["[]".to_owned(), format!("[{good}]"), format!("[{good},{good}]")] {
        for era in [Era::Modern, Era::Legacy] {
            assert_eq!(code(&refused(&alice, era, batch.clone()).await), -32600, "{era:?}");
        }
    }
    assert!(api.seen().is_empty());
    app.stop().await.unwrap();
}

#[tokio::test]
async fn depth_and_length_are_bounded() {
    let (app, api) = world::start().await;
    let alice = world::person(&app, "alice", "c");
    for depth in [65, 1_000, 1_000_000] {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let inner = if open == "[" { "" } else { "1" };
            let deep = format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
            if deep.len() > 4_000_000 {
                continue;
            }
            let answer =
                refused(&alice, Era::Modern, modern(&format!(r#""name":"get-thing","arguments":{{"id":{deep}}}"#)))
                    .await;
            assert_eq!(answer.status, 400, "{depth}");
            // Never closed: the same answer, at the same place.
            refused(
                &alice,
                Era::Modern,
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}"#, open.repeat(depth)),
            )
            .await;
        }
    }
    let long_key = modern(&format!(r#""name":"get-thing","arguments":{{"id":"1","{}":1}}"#, "k".repeat(5_000)));
    refused(&alice, Era::Modern, long_key).await;
    let too_long = modern(&format!(r#""name":"get-thing","arguments":{{"id":"{}"}}"#, "x".repeat(4 << 20)));
    let answer = refused(&alice, Era::Modern, too_long).await;
    assert_eq!(answer.status, 413);
    // A large one within the bounds is a message like any other.
    let large = modern(&format!(r#""name":"create-thing","arguments":{{"name":"{}"}}"#, "x".repeat(1 << 20)));
    let mut request = with_body(&alice, Era::Modern, large);
    request.headers_mut().insert("mcp-name", HeaderValue::from_static("create-thing"));
    let answer = alice.send(request).await.unwrap();
    assert_eq!(answer.json()["result"]["isError"], false, "{}", answer.text());
    assert_eq!(api.seen().len(), 1);
    app.stop().await.unwrap();
}

/// A good call with bytes changed, cut out, put in twice: whatever comes of it, the gateway answers and stands, and a thing
/// that reached the API is one that a strict reader finds in the body.
#[tokio::test]
async fn no_altered_body_breaks_the_gateway_or_means_something_else_upstream() {
    let (app, api) = world::start().await;
    let alice = world::person(&app, "alice", "c");
    let good = modern(r#""name":"get-thing","arguments":{"id":"x1"}"#).into_bytes();
    let mut runner = TestRunner::deterministic_with(Config::default());
    let change = (0..good.len(), 0..5_usize, any::<u8>(), 1..20_usize);
    for _ in 0..1_000 {
        let (at, kind, byte, length) = change.new_tree(&mut runner).unwrap().current();
        let end = (at + length).min(good.len());
        let mut body = good.clone();
        match kind {
            0 => body[at] = byte,
            1 => drop(body.drain(at..end)),
            2 => body.insert(at, byte),
            3 => drop(body.splice(at..at, good[at..end].to_vec())),
            _ => body[at] ^= 0x20,
        }
        let before = api.seen().len();
        let answer = alice.send(with_body(&alice, Era::Modern, body.clone())).await.unwrap();
        let shown = String::from_utf8_lossy(&body).into_owned();
        assert!(!answer.status.is_server_error(), "{shown}: {}", answer.text());
        if api.seen().len() > before {
            let meant: serde_json::Value = serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{shown}"));
            assert_eq!(meant["params"]["name"], "get-thing", "{shown}");
            let id = meant["params"]["arguments"]["id"].as_str().unwrap();
            let path = api.seen().last().unwrap().clone();
            let sent = path.strip_prefix("GET /things/").unwrap();
            assert_eq!(
                url::form_urlencoded::parse(format!("a={}", sent.replace('+', "%2B")).as_bytes()).next().unwrap().1,
                id
            );
        }
    }
    assert_eq!(alice.call("get-thing", json!({"id": "1"})).await.unwrap().json()["result"]["isError"], false);
    app.stop().await.unwrap();
}

trait Deterministic {
    fn deterministic_with(config: Config) -> Self;
}

impl Deterministic for TestRunner {
    /// The same cases in every run.
    fn deterministic_with(config: Config) -> Self {
        let rng = proptest::test_runner::TestRng::deterministic_rng(config.rng_algorithm);
        Self::new_with_rng(config, rng)
    }
}
