//! Servers that hang, lie, break off, send too much or something else.

use std::time::{Duration, Instant};

use super::*;
use crate::upstream::mcp::FailureKind;
use crate::upstream::mcp::testing::{Heard, Reply, result_message};

const JSON: &str = "content-type: application/json\r\n";

fn on_call(scene: &Scene, reply: impl Fn(&Heard) -> Reply + Send + Sync + 'static) {
    scene.fake.instead(move |heard| (heard.method() == "tools/call").then(|| reply(heard)));
}

/// A complete message that would be a good answer.
fn good(heard: &Heard) -> String {
    result_message(heard, r#"{"content":[]}"#)
}

/// Headers, then a good answer, then the end of the connection.
fn then_close(headers: &str, heard: &Heard) -> Reply {
    Reply::Close(format!("HTTP/1.1 200 OK\r\n{JSON}{headers}\r\n{}", good(heard)))
}

type Row = (fn(&Heard) -> Reply, FailureKind, &'static str);

const ROWS: &[Row] = &[
    (|_| Reply::http(200, "content-type: text/html\r\n", "<html>hi"), FailureKind::Unusable, "`text/html`"),
    (|_| Reply::http(200, "", "hello"), FailureKind::Unusable, "no content type"),
    (|_| Reply::http(202, "", ""), FailureKind::Unusable, "without an answer"),
    (|_| Reply::json(200, ""), FailureKind::Unusable, "not the answer"),
    (|_| Reply::json(200, "[]"), FailureKind::Unusable, "not the answer"),
    (
        |_| Reply::json(200, r#"{"jsonrpc":"2.0","id":999,"result":{"content":[]}}"#),
        FailureKind::Unusable,
        "not the answer",
    ),
    (|_| Reply::json(200, r#"{"jsonrpc":"2.0","method":"notifications/x"}"#), FailureKind::Unusable, "of its own"),
    (|_| Reply::http(502, "content-type: text/html\r\n", "<h1>Bad gateway</h1>"), FailureKind::Unusable, "HTTP 502"),
    (|_| Reply::http(408, "", ""), FailureKind::Unusable, "HTTP 408"),
    (|_| Reply::http(409, "", ""), FailureKind::Unusable, "HTTP 409"),
    (|_| Reply::Close("HTTP/1.1 200 OK\r\n".into()), FailureKind::Broken, "closed the connection"),
    (|_| Reply::Close(String::new()), FailureKind::Broken, "closed the connection"),
    (|_| Reply::Close("SSH-2.0-OpenSSH\r\n".into()), FailureKind::Unusable, "not HTTP"),
    // Announces more than it sends.
    (|heard| then_close("content-length: 9999\r\n", heard), FailureKind::Broken, "broke off"),
    // Announces less than it sends.
    (|heard| then_close("content-length: 20\r\n", heard), FailureKind::Unusable, "not the answer"),
    // Ends with the connection, so nobody can tell whether it is complete.
    (|heard| then_close("connection: close\r\n", heard), FailureKind::Broken, "broke off"),
    (
        |_| Reply::Close(format!("HTTP/1.1 200 OK\r\n{JSON}transfer-encoding: chunked\r\n\r\n5\r\n{{\"jso")),
        FailureKind::Broken,
        "broke off",
    ),
];

#[tokio::test]
async fn what_is_no_answer_may_have_happened_and_harms_no_other_call() {
    for kind in [Kind::Modern, Kind::LegacyStateless] {
        let scene = Scene::of(kind).await;
        for (index, (reply, kind, piece)) in ROWS.iter().enumerate() {
            on_call(&scene, *reply);
            let failure = scene.call().await.unwrap_err();
            assert_eq!(failure.kind(), *kind, "{index}: {failure}");
            assert!(failure.may_have_happened(), "{index}: {failure}");
            assert!(failure.to_string().contains(piece), "{index}: {failure}");
            scene.fake.instead(|_| None);
            scene.call().await.unwrap_or_else(|failure| panic!("after {index}: {failure}"));
        }
        // Each was sent once, besides the good ones between.
        assert_eq!(scene.fake.count("tools/call"), 2 * ROWS.len());
    }
}

#[tokio::test]
async fn a_server_that_hangs_costs_the_time_allowed_and_no_more() {
    let slow: fn(&Heard) -> Reply = |heard| {
        let head = format!("HTTP/1.1 200 OK\r\n{JSON}content-length: 500\r\n\r\n");
        Reply::Pieces(vec![(Duration::ZERO, head), (Duration::from_secs(30), good(heard))])
    };
    for (reply, piece) in
        [((|_| Reply::Hang) as fn(&Heard) -> Reply, "did not answer in time"), (slow, "did not finish")]
    {
        let scene = Scene::of(Kind::Modern).await;
        scene.call().await.unwrap();
        on_call(&scene, reply);
        let began = Instant::now();
        let failure = scene.call_with(&json!({}), 1 << 20, 200, Era::Modern).await.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(2));
        assert_eq!((failure.kind(), failure.may_have_happened()), (FailureKind::Timeout, true), "{failure}");
        assert!(failure.to_string().contains(piece), "{failure}");
        scene.fake.instead(|_| None);
        scene.call().await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_hangs_before_it_is_known_was_not_called() {
    let scene = Scene::of(Kind::Modern).await;
    scene.fake.instead(|_| Some(Reply::Hang));
    let none = json!({});
    let hasty = scene.call_with(&none, 1 << 20, 150, Era::Modern);
    let patient = scene.call_with(&none, 1 << 20, 300, Era::Modern);
    let (hasty, patient) = tokio::join!(hasty, patient);
    for failure in [hasty.unwrap_err(), patient.unwrap_err()] {
        assert_eq!((failure.kind(), failure.may_have_happened()), (FailureKind::Timeout, false), "{failure}");
    }
    assert_eq!(scene.fake.count("tools/call"), 0);
    scene.fake.instead(|_| None);
    scene.call().await.unwrap();
}

#[tokio::test]
async fn the_size_of_an_answer_is_bounded_exactly() {
    let scene = Scene::of(Kind::Modern).await;
    scene.call().await.unwrap();
    on_call(&scene, |heard| {
        let text = "x".repeat(1000);
        Reply::result(heard, &format!(r#"{{"content":[{{"type":"text","text":"{text}"}}]}}"#))
    });
    let size = scene.call().await.unwrap().received_bytes;
    scene.call_with(&json!({}), size, 5_000, Era::Modern).await.unwrap();
    let failure = scene.call_with(&json!({}), size - 1, 5_000, Era::Modern).await.unwrap_err();
    assert_eq!((failure.kind(), failure.may_have_happened()), (FailureKind::TooLarge, true));
    // The same without an announced length.
    on_call(&scene, |_| {
        let piece = format!("400\r\n{}\r\n", "x".repeat(0x400));
        let head = format!("HTTP/1.1 200 OK\r\n{JSON}transfer-encoding: chunked\r\n\r\n");
        let endless = std::iter::once(head).chain(std::iter::repeat_n(piece, 500));
        Reply::Pieces(endless.map(|piece| (Duration::ZERO, piece)).collect())
    });
    let failure = scene.call_with(&json!({}), 10_000, 5_000, Era::Modern).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::TooLarge);
}

#[tokio::test]
async fn nobody_listening_was_not_called() {
    let scene = Scene::of(Kind::Modern).await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let server = crate::upstream::mcp::testing::server(&format!("http://{free}/mcp"));
    let scene = Scene { server, ..scene };
    let failure = scene.call().await.unwrap_err();
    assert_eq!((failure.kind(), failure.may_have_happened()), (FailureKind::Unreachable, false));
    assert_eq!(failure.to_string(), "server `up` could not be reached");
    assert!(failure.detail().is_some_and(|detail| detail.contains("127.0.0.1")));
}

#[tokio::test]
async fn a_call_that_is_dropped_closes_its_connection() {
    let scene = Scene::of(Kind::Modern).await;
    scene.call().await.unwrap();
    on_call(&scene, |_| Reply::Hang);
    let hasty = tokio::time::timeout(Duration::from_millis(100), scene.call());
    assert!(hasty.await.is_err());
    scene.fake.instead(|_| None);
    scene.call().await.unwrap();
    assert_eq!(scene.fake.connections(), 2);
}
