//! An upstream that sends the credential back: in every spelling honest software has for it, and cut at every place.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use serde_json::{Value, json};

use crate::{
    room::{PEER_TOOLS, Room, SECRET, crowd, modern, patient, person},
    upstream::Act,
};

fn spellings() -> Vec<String> {
    let unicode: String =
        SECRET.bytes().flat_map(|byte| format!("\\u{byte:04x}").into_bytes()).map(char::from).collect();
    let upper: String = SECRET.bytes().flat_map(|byte| format!("%{byte:02X}").into_bytes()).map(char::from).collect();
    let lower = SECRET.replace('-', "%2d");
    let mut all = vec![
        SECRET.to_owned(),
        SECRET.replacen('s', "\\u0073", 1),
        SECRET.replace('-', "\\u002D"),
        unicode,
        upper,
        lower,
        SECRET.replace('-', "%252D"),
        SECRET.replace('-', "%25252d"),
        SECRET.replace('-', "&#x2D;"),
        SECRET.replace('-', "&#45;"),
        SECRET.replacen('-', "&amp;#45;", 1),
        SECRET.replace('-', "\\u0026#45;"),
        format!("{}… (cut)", &SECRET[..16]),
    ];
    for before in ["", "u:", "bot:", "user:", "Bearer "] {
        all.push(STANDARD.encode(format!("{before}{SECRET}")));
    }
    all
}

/// What a model and a client make of an answer.
fn decoded(body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap();
    let mut texts = vec![String::from_utf8(body.to_vec()).unwrap(), value["result"]["structuredContent"].to_string()];
    for content in value["result"]["content"].as_array().into_iter().flatten() {
        let text = content["text"].as_str().unwrap_or_default();
        texts.push(text.to_owned());
        if let Ok(inner) = serde_json::from_str::<Value>(text) {
            texts.push(inner.to_string());
        }
        if let Ok(bytes) = STANDARD.decode(content["data"].as_str().unwrap_or_default()) {
            texts.push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    texts.join("\n")
}

/// Nothing of it is left in any spelling a reader would take back: whole or the first eight bytes.
fn hold(what: &str, spelling: &str, body: &[u8]) {
    let all = decoded(body);
    assert!(!all.contains(spelling) && !all.contains(SECRET), "{what}: {spelling}: {all}");
    assert!(all.contains("[redacted]"), "{what}: {spelling}: {all}");
}

fn raw(status: &str, media: &str, body: &[u8]) -> Act {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {}\r\n\r\n", body.len());
    Act::Raw([head.as_bytes(), body].concat())
}

#[tokio::test]
async fn no_spelling_of_the_credential_comes_back_from_an_api() {
    let room = Room::new().await;
    let token = room.alice();
    for spelling in spellings() {
        for (what, act) in [
            ("a result", Act::Json(200, format!(r#"{{"headers":{{"Authorization":"Bearer {spelling}"}},"n":1.10}}"#))),
            ("a key", Act::Json(200, format!(r#"{{"{spelling}":[1]}}"#))),
            ("an error", Act::Json(401, format!(r#"{{"message":"bad token {spelling}"}}"#))),
            ("a page", raw("500 X", "text/html", format!("<p>Authorization: {spelling}</p>").as_bytes())),
            ("a text", raw("200 OK", "text/plain", format!("got {spelling} there").as_bytes())),
        ] {
            room.upstream.will(act);
            let answer = room.call(&token, "list-things", json!({})).await;
            hold(what, &spelling, &answer.body);
        }
    }
    for before in 0..3 {
        let picture = [&b"\x89PNG\0\xff"[..before + 3], SECRET.as_bytes(), b"\xfe\0"].concat();
        room.upstream.will(raw("200 OK", "image/png", &picture));
        let answer = room.call(&token, "list-things", json!({})).await;
        hold("a picture", SECRET, &answer.body);
    }
    room.upstream.will(raw("200 OK", &format!("application/{SECRET}"), b"\xff\xfe\0"));
    let answer = room.call(&token, "list-things", json!({})).await;
    hold("a media type", SECRET, &answer.body);
}

#[tokio::test]
async fn no_spelling_of_the_credential_comes_back_from_an_mcp_server() {
    let room = Room::with_credential_at_peer().await;
    let token = room.token_at(2, "alice", "c1", &["reports"]);
    for spelling in spellings() {
        let result = format!(r#"{{"resultType":"complete","content":[{{"type":"text","text":"Bearer {spelling}"}}]}}"#);
        room.peer.will(Act::Mcp { tools: PEER_TOOLS.into(), result });
        let answer =
            room.send(modern("/mcp/up", &token, "tools/call", json!({"name": "create-report", "arguments": {}}))).await;
        hold("a result", &spelling, &answer.body);
    }
}

#[tokio::test]
async fn no_cut_leaves_a_part_of_the_credential() {
    let room = Room::new().await;
    let token = room.alice();
    let mut saw_cut = false;
    // Error bodies are shown up to 2000 bytes: a caller who chooses what is echoed before the credential chooses the cut.
    for fill in 1_900..2_010 {
        room.upstream.will(Act::Json(400, format!(r#"{{"q":"{}","auth":"Bearer {SECRET}"}}"#, "q".repeat(fill))));
        let answer = room.call(&token, "list-things", json!({})).await;
        let text = answer.text();
        saw_cut |= !text.contains("[redacted]");
        for length in 4..=SECRET.len() {
            assert!(!text.contains(&SECRET[..length]), "{fill}: {text}");
        }
    }
    assert!(saw_cut, "the cut was never reached");
    // The API cuts by itself.
    for length in 8..SECRET.len() {
        let part = &SECRET[..length];
        for act in [
            Act::Json(200, format!(r#"{{"said":"Bearer {part}"}}"#)),
            Act::Json(400, format!(r#"{{"message":"bad token {part}…"}}"#)),
            raw("200 OK", "text/plain", format!("Authorization: Bearer {part}").as_bytes()),
        ] {
            room.upstream.will(act);
            let answer = room.call(&token, "list-things", json!({})).await;
            assert!(!String::from_utf8(answer.body.clone()).unwrap().contains(&SECRET[..8]), "{part}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_clean_answer_passes_as_it_came() {
    let room = Room::new().await;
    for body in [
        r#"{"z":1.10,"a":"\/\u00e9 100% s3cret-of-th","b":"czNjcmV0LW9m no"}"#,
        r#"{"url":"https:\/\/api.example\/a%2Fb?c=%C3%A9","n":12345678901234567890}"#,
        r#"{"html":"<p>Fish &amp; chips &#x2F; \u0026quot;100%25&nbsp;%\u0026quot;</p>","part":"s3cret-of-the-a… (cut)"}"#,
    ] {
        room.upstream.will(Act::Json(200, body.into()));
        let answer = room.call(&room.alice(), "list-things", json!({})).await;
        assert_eq!(answer.text(), body);
    }
}

#[tokio::test]
async fn an_encoding_nobody_asked_for_is_an_error_that_says_so() {
    let room = Room::new().await;
    let body = b"\x1f\x8b\x08\0garbage";
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", body.len());
    room.upstream.will(Act::Raw([head.as_bytes(), body].concat()));
    let answer = room.call(&room.alice(), "create-thing", json!({"name": "x"})).await;
    assert!(answer.is_tool_error(), "{answer:?}");
    let text = answer.text();
    assert!(text.contains("`gzip`") && text.contains("may have been carried out"), "{text}");
    let outcome = &room.requests()[1];
    assert_eq!((&outcome["executed"], &outcome["result"]), (&json!("unknown"), &json!("unasked_encoding")));
    assert_eq!(outcome["upstream_status"], 200);
    let plain = "HTTP/1.1 200 OK\r\ncontent-encoding: identity\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    room.upstream.will(Act::Raw(plain.into()));
    assert_eq!(room.call(&room.alice(), "list-things", json!({})).await.text(), "{}");
}

#[tokio::test]
async fn so_many_requests_and_no_more_are_in_flight_to_one_api() {
    let room = Room::over(|deployment| {
        crowd(deployment, 5);
        patient(deployment);
    })
    .await;
    room.upstream.will(Act::Hang);
    let tokens: Vec<_> = (0..5).map(|n| room.token(&person(n), "c1", &["reads"])).collect();
    let mut calls: FuturesUnordered<_> =
        (0..300).map(|n| room.call(&tokens[n % tokens.len()], "list-things", json!({}))).collect();
    // Who finds no room is told so in seconds, not when the call would have run out of time.
    let first = calls.next().await.unwrap();
    assert!(first.is_tool_error() && first.text().contains("too many requests to it are in flight"), "{first:?}");
    assert_eq!(room.upstream.seen().len(), 256);
}
