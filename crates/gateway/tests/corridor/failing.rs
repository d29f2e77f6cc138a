//! An upstream that fails in every way it can: each time a tool error that says whether the call may have happened.

use serde_json::json;

use crate::{
    room::{Room, SECRET},
    upstream::Act,
};

fn raw(text: &str) -> Act {
    Act::Raw(text.as_bytes().to_vec())
}

#[tokio::test]
async fn each_failure_is_a_tool_error_that_says_whether_it_may_have_happened() {
    let room = Room::new().await;
    let token = room.alice();
    for (what, act, result, status) in [
        ("hangs", Act::Hang, "timeout", None),
        ("closes without a word", Act::Close, "broken_answer", None),
        ("is not HTTP", raw("hello\r\n\r\n"), "broken_answer", None),
        ("lies about its length", raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}"), "broken_answer", Some(200)),
        (
            "breaks off in a chunk",
            raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n50\r\n{}"),
            "broken_answer",
            Some(200),
        ),
        ("has neither length nor chunks", raw("HTTP/1.1 200 OK\r\n\r\n{}"), "broken_answer", Some(200)),
        ("is too large", Act::Json(200, format!("\"{}\"", "x".repeat(70_000))), "too_large", Some(200)),
    ] {
        room.upstream.will(act.clone());
        let before = room.requests().len();
        let answer = room.call(&token, "create-thing", json!({"name": "x"})).await;
        assert!(answer.is_tool_error(), "{what}: {answer:?}");
        let text = answer.text();
        assert!(text.contains("may have been carried out") && text.contains("`api`"), "{what}: {text}");
        let events = room.requests();
        assert_eq!(events.len(), before + 2, "{what}");
        let outcome = &events[before + 1];
        assert_eq!((&outcome["executed"], &outcome["result"]), (&json!("unknown"), &json!(result)), "{what}");
        assert_eq!(outcome.get("upstream_status"), status.map(|status| json!(status)).as_ref(), "{what}");

        room.upstream.will(act);
        let read = room.call(&token, "list-things", json!({})).await;
        assert!(read.is_tool_error() && read.text().contains("safe to try again"), "{what}: {read:?}");
        for answer in [answer, read] {
            let body = String::from_utf8(answer.body).unwrap();
            assert!(!body.contains(SECRET) && !body.contains("127.0.0.1"), "{what}: {body}");
        }
    }
}

#[tokio::test]
async fn an_error_of_the_api_is_a_tool_error_that_was_executed() {
    let room = Room::new().await;
    for status in [400_u16, 404, 422, 500, 503] {
        room.upstream.will(Act::Json(status, r#"{"message":"it did not like that"}"#.into()));
        let answer = room.call(&room.alice(), "list-things", json!({})).await;
        assert!(answer.is_tool_error(), "{status}: {answer:?}");
        assert!(answer.text().contains("it did not like that") && answer.text().contains(&status.to_string()));
    }
    let outcomes: Vec<_> = room.requests().into_iter().filter(|event| event["event"] == "outcome").collect();
    assert!(outcomes.iter().all(|outcome| outcome["executed"] == "yes" && outcome["result"] == "tool_error"));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let room = Room::new().await;
    let there = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://{}/elsewhere\r\ncontent-length: 0\r\n\r\n",
        room.upstream.address
    );
    room.upstream.will(raw(&there));
    let answer = room.call(&room.alice(), "list-things", json!({})).await;
    assert!(answer.is_tool_error(), "{answer:?}");
    assert_eq!(room.upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_was_not_reached() {
    let room = Room::new().await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    room.move_api_to(&format!("http://{closed}")).await;
    let answer = room.call(&room.alice(), "create-thing", json!({"name": "x"})).await;
    assert!(answer.is_tool_error() && answer.text().starts_with("not executed: "), "{answer:?}");
    let outcome = &room.requests()[1];
    assert_eq!((&outcome["executed"], &outcome["result"]), (&json!("no"), &json!("unreachable")));
    let counted = "ambit_upstream_failures_total{server=\"api\",kind=\"unreachable\"} 1\n";
    assert!(room.gateway.metrics().contains(counted), "{}", room.gateway.metrics());
}

#[tokio::test]
async fn html_is_text_and_no_structure() {
    let room = Room::new().await;
    room.upstream.will(raw("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 12\r\n\r\n<p>hello</p>"));
    let answer = room.call(&room.alice(), "list-things", json!({})).await;
    assert_eq!(answer.json()["result"].get("structuredContent"), None);
    assert!(answer.text().contains("hello"));
}
