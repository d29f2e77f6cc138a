//! Large and strange words of a caller: echoed exactly where they must be, cut where they may be, and never steering a
//! terminal or filling the trail.

use std::fmt::Write as _;

use ambit_testkit::app::{Caller, Era};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::json;

use crate::world;

fn with_body(caller: &Caller, era: Era, body: String) -> Request<Full<Bytes>> {
    let mut request = caller.build(era, "tools/list", json!({})).unwrap();
    *request.body_mut() = Full::from(body);
    request
}

#[tokio::test]
async fn an_id_comes_back_as_it_was_written() {
    let (app, _api) = world::start().await;
    let mut alice = world::person(&app, "alice", "c");
    alice.initialize().await.unwrap();
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    for id in ["0", "-1", "9007199254740993", "18446744073709551616", r#""""#, r#""a""#, r#""\u0041\n\"""#, r#""ü""#] {
        for (era, params) in [(Era::Modern, meta), (Era::Legacy, "")] {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list","params":{{{params}}}}}"#);
            let answer = alice.send(with_body(&alice, era, body)).await.unwrap();
            assert!(answer.text().contains(&format!("\"id\":{id},")), "{era:?} {id}: {}", answer.text());
            assert_eq!(answer.status, 200);
        }
    }
    app.stop().await.unwrap();
}

#[tokio::test]
async fn long_and_strange_names_are_cut_in_answers_and_in_the_trail() {
    let (app, api) = world::start().await;
    let mut alice = world::person(&app, "alice", "c");
    alice.initialize().await.unwrap();
    let written = || app.events().unwrap().iter().map(|event| event.to_string().len()).sum::<usize>();
    let before = written();
    // Three of it are still within the bound of a body.
    let long = "n".repeat(5 << 18);
    let strange = "\\u001b[2J\\u001b]0;owned\\u0007\\u202etxt.exe\\u0000\\r\\nevent: forged";
    for name in [long.as_str(), strange] {
        for body in [
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}","arguments":{{}}}}}}"#
            ),
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{name}","params":{{}}}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"cursor":"{name}"}}}}"#),
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"list-things","arguments":{{"limit":"{name}"}}}}}}"#
            ),
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"_meta":{{"traceparent":"{name}","tracestate":"{name}","progressToken":"{name}"}}}}}}"#
            ),
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{{}},"clientInfo":{{"name":"{name}","version":"{name}"}}}}}}"#
            ),
        ] {
            let shown = body[..body.len().min(120)].to_owned();
            let answer = alice.send(with_body(&alice, Era::Legacy, body)).await;
            let answer = answer.unwrap_or_else(|error| panic!("{shown}: {error:?}"));
            assert!(!answer.status.is_server_error(), "{shown}: {}", answer.status);
            assert!(answer.body.len() < 16 * 1024, "{shown}: {} bytes", answer.body.len());
            assert!(!answer.text().contains(char::is_control), "{shown}: {:?}", answer.text());
        }
    }
    let grown = written() - before;
    assert!(grown < 64 * 1024, "{grown} bytes in the trail");
    let tail = world::ambit(&app, &["audit", "tail", "-n", "100"]).await;
    assert!(!tail.contains(|letter: char| (letter.is_control() && letter != '\n') || letter == '\u{202e}'), "{tail:?}");
    let json = world::ambit(&app, &["audit", "tail", "-n", "100", "--json"]).await;
    assert!(!json.contains(|letter: char| letter.is_control() && letter != '\n'), "{json:?}");
    assert!(api.seen().is_empty());
    app.stop().await.unwrap();
}

#[tokio::test]
async fn heads_are_bounded_and_many_members_take_no_longer_than_few() {
    let (app, api) = world::start().await;
    let alice = world::person(&app, "alice", "c");
    let mut large = alice.build(Era::Modern, "tools/list", json!({})).unwrap();
    large.headers_mut().insert("authorization", format!("Bearer {}", "a".repeat(100_000)).parse().unwrap());
    if let Ok(answer) = alice.send(large).await {
        assert!([401, 431].contains(&answer.status.as_u16()), "{}", answer.status);
    }
    let mut many = alice.build(Era::Modern, "tools/list", json!({})).unwrap();
    for n in 0..2_000 {
        many.headers_mut().insert(http::HeaderName::try_from(format!("x-{n}")).unwrap(), "1".parse().unwrap());
    }
    if let Ok(answer) = alice.send(many).await {
        assert!(answer.status.is_client_error(), "{}", answer.status);
    }
    // Half a million members, alike at the front: looking for a second of one name must not compare each with each.
    let mut members = String::from("{\"id\":\"1\"");
    for n in 0..250_000 {
        write!(members, ",\"k{n:06}\":0").unwrap();
    }
    members.push('}');
    let answer = alice.call("get-thing", serde_json::from_str(&members).unwrap()).await.unwrap();
    assert_eq!(answer.json()["result"]["isError"], json!(true), "{}", &answer.text()[..300]);
    assert!(answer.body.len() < 64 * 1024, "{} bytes", answer.body.len());
    assert!(api.seen().is_empty());
    assert_eq!(alice.list().await.unwrap().len(), 3);
    app.stop().await.unwrap();
}
