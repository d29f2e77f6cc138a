//! Clients that leave: before, during and after dispatch, in both eras. Every request leaves a closed record, a write runs
//! to its end, a modern read is cancelled and a legacy one is not.

use std::{sync::Arc, task::Poll, time::Duration};

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinHandle};

use crate::{
    room::{Room, call, crowd, legacy, patient, person, post},
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
    let awaited = Arc::new(Notify::new());
    let noticed = Arc::clone(&awaited);
    let never = futures_util::stream::poll_fn(move |_| {
        noticed.notify_one();
        Poll::<Option<Result<bytes::Bytes, std::io::Error>>>::Pending
    });
    let sent = send(&room, post("/mcp", &room.alice()).body(Body::from_stream(never)).unwrap());
    tokio::time::timeout(Duration::from_secs(10), awaited.notified()).await.unwrap();
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

/// A request over a real connection, which closes once the upstream has it.
#[expect(clippy::disallowed_methods, reason = "a client of the test")]
async fn hang_up(room: &Room, request: Request<Body>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = room.router();
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 16).await.unwrap();
    let mut bytes = format!("{} {} HTTP/1.1\r\n", head.method, head.uri).into_bytes();
    for (name, value) in &head.headers {
        bytes.extend_from_slice(format!("{name}: {}\r\n", value.to_str().unwrap()).as_bytes());
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(&body);
    tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes).await.unwrap();
    room.upstream.arrived().await;
    drop(stream);
    // The server has to notice before it goes itself.
    tokio::time::sleep(Duration::from_millis(200)).await;
    serving.abort();
}

#[tokio::test]
async fn a_closed_connection_cancels_a_modern_read_alone() {
    let room = Room::new().await;
    let token = room.alice();
    let session = room.session(&token).await;
    let handshake = room.requests().len();
    room.upstream.will(Act::Hang);
    hang_up(&room, call(&token, "list-things", &json!({}))).await;
    let events = room.requests_when(handshake + 2).await;
    assert_eq!(events[handshake + 1]["result"], "cancelled");

    room.upstream.will(Act::Held(r#"{"ok":true}"#.into()));
    let params = json!({"name": "list-things", "arguments": {}});
    hang_up(&room, legacy(&token, Some(&session), "tools/call", Some(params))).await;
    hang_up(&room, call(&token, "create-thing", &json!({"name": "x"}))).await;
    room.upstream.release_all();
    let events = room.requests_when(handshake + 6).await;
    let outcomes: Vec<_> = events[handshake + 2..].iter().filter(|event| event["event"] == "outcome").collect();
    assert_eq!(outcomes.len(), 2);
    assert!(outcomes.iter().all(|outcome| outcome["executed"] == "yes" && outcome["result"] == "ok"), "{outcomes:?}");
}

#[tokio::test]
async fn what_is_revoked_while_it_waits_for_a_place_does_not_go_out() {
    let alice = ambit_model::revocation::Scope::User(ambit_model::ids::UserKey::local("alice").unwrap());
    is_withdrawn_by(async |room| room.revoke(alice).await).await;
}

#[tokio::test]
async fn what_waits_under_rules_that_are_no_more_does_not_go_out() {
    let rule = r#"@id("new") forbid (principal, action == Action::"api/create-thing", resource)
                  when { context.arguments has name && context.arguments.name == "x" };"#;
    is_withdrawn_by(async |room| room.rules_become(rule).await).await;
}

/// A write that waits for a place at its API is judged again when its turn comes: what does not hold any more does not leave.
async fn is_withdrawn_by(change: impl AsyncFnOnce(&Room)) {
    const PLACES: usize = 256;
    let room = Room::over(|deployment| {
        crowd(deployment, 4);
        patient(deployment);
    })
    .await;
    room.upstream.will(Act::Held(r#"{"ok":true}"#.into()));
    let readers: Vec<_> = (0..4).map(|number| room.token(&person(number), "c1", &["reads"])).collect();
    let reads: Vec<_> = (0..PLACES)
        .map(|number| send(&room, call(&readers[number % readers.len()], "list-things", &json!({}))))
        .collect();
    while room.upstream.seen().len() < PLACES {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let write = send(&room, call(&room.alice(), "create-thing", &json!({"name": "x"})));
    let waits = |event: &Value| event["event"] == "intent" && event["target"]["tool"] == "create-thing";
    while !room.requests().iter().any(waits) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    change(&room).await;
    room.upstream.release_all();
    assert_eq!(write.await.unwrap(), StatusCode::OK, "a tool error");
    for read in reads {
        read.await.unwrap();
    }
    let events = room.requests_when(2 * (PLACES + 1)).await;
    let intent = events.iter().find(|event| waits(event)).unwrap();
    let ended = |event: &&Value| event["event"] == "outcome" && event["request"] == intent["request"];
    let outcome = events.iter().find(ended).unwrap();
    assert_eq!((&outcome["executed"], &outcome["result"]), (&json!("no"), &json!("withdrawn")));
    assert!(room.upstream.seen().iter().all(|request| !request.starts_with("POST")), "it left nevertheless");
}
