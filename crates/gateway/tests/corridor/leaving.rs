//! Clients that leave: before, during and after dispatch, in both eras. Every request leaves a closed record, a write runs
//! to its end, a modern read is cancelled and a legacy one is not.

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    room::{Room, call, legacy, post},
    upstream::Act,
};

/// Sends a request whose connection can be dropped.
fn send(room: &Room, request: Request<Body>) -> JoinHandle<StatusCode> {
    tokio::spawn(room.sending(request))
}

async fn leave(sent: JoinHandle<StatusCode>) {
    sent.abort();
    assert!(sent.await.unwrap_err().is_cancelled());
}

fn outcome(events: &[Value]) -> &Value {
    events.iter().find(|event| event["event"] == "outcome").unwrap()
}

#[tokio::test]
async fn a_modern_read_is_cancelled_and_says_that_it_may_have_happened() {
    let room = Room::new().await;
    room.upstream.will(Act::Hang);
    let sent = send(&room, call(&room.alice(), "list-things", &json!({})));
    room.upstream.arrived().await;
    leave(sent).await;
    let events = room.requests_when(2).await;
    assert_eq!(events[0]["event"], "intent");
    let outcome = outcome(&events);
    assert_eq!((&outcome["executed"], &outcome["result"]), (&json!("unknown"), &json!("cancelled")));
    assert!(room.gateway.drain(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn a_write_runs_to_its_end_without_its_client() {
    let room = Room::new().await;
    room.upstream.will(Act::Held(r#"{"made":true}"#.into()));
    let sent = send(&room, call(&room.alice(), "create-thing", &json!({"name": "x"})));
    room.upstream.arrived().await;
    // The intent is on the disk before the upstream has heard anything.
    assert_eq!(room.requests()[0]["event"], "intent");
    leave(sent).await;
    assert!(!room.gateway.drain(Duration::from_millis(50)).await);
    room.upstream.release();
    assert!(room.gateway.drain(Duration::from_secs(5)).await);
    let events = room.requests_when(2).await;
    let outcome = outcome(&events);
    assert_eq!((&outcome["executed"], &outcome["result"]), (&json!("yes"), &json!("ok")));
    assert_eq!(room.upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_legacy_read_is_not_cancelled() {
    let room = Room::new().await;
    let token = room.alice();
    let session = room.session(&token).await;
    room.upstream.will(Act::Held(r#"{"ok":true}"#.into()));
    let before = room.requests().len();
    let params = json!({"name": "list-things", "arguments": {}});
    let sent = send(&room, legacy(&token, Some(&session), "tools/call", Some(params)));
    room.upstream.arrived().await;
    leave(sent).await;
    room.upstream.release();
    assert!(room.gateway.drain(Duration::from_secs(5)).await);
    let events = room.requests_when(before + 2).await;
    assert_eq!(events[before + 1]["executed"], "yes");
}

#[tokio::test]
async fn a_client_that_leaves_before_it_said_anything_is_counted() {
    let room = Room::new().await;
    let never = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let sent = send(&room, post("/mcp", &room.alice()).body(never).unwrap());
    tokio::time::sleep(Duration::from_millis(50)).await;
    leave(sent).await;
    room.live.recorder().flush_refusals(true).await.unwrap();
    let rollups: Vec<_> = room.events().into_iter().filter(|event| event["event"] == "rollup").collect();
    assert_eq!(rollups.len(), 1);
    assert_eq!(rollups[0]["reason"], "client_left");
    assert!(room.requests().is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_after_the_answer_changes_nothing() {
    let room = Room::new().await;
    let answered = room.sending(call(&room.alice(), "list-things", &json!({}))).await;
    assert_eq!(answered, StatusCode::OK);
    let events = room.requests_when(2).await;
    assert_eq!(outcome(&events)["result"], "ok");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(room.requests().len(), 2);
}
