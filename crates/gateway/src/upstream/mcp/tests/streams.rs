//! Answers that come as a stream, and everything else that comes on one.

use std::time::{Duration, Instant};

use ambit_mcp::upstream::Progress;

use super::*;
use crate::upstream::mcp::FailureKind;
use crate::upstream::mcp::listen::Listened;
use crate::upstream::mcp::testing::{Heard, Reply, STREAM_HEAD, result_message};

const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"working"}}"#;
const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

fn on_call(scene: &Scene, reply: impl Fn(&Heard) -> Reply + Send + Sync + 'static) {
    scene.fake.instead(move |heard| (heard.method() == "tools/call").then(|| reply(heard)));
}

fn good(heard: &Heard) -> String {
    result_message(heard, r#"{"content":[]}"#)
}

/// Keeps what was told.
#[derive(Debug, Default)]
struct Ear(std::sync::Mutex<Vec<String>>);

impl OnProgress for Ear {
    fn told(&self, progress: Progress<'_>) {
        self.0.lock().unwrap().extend(progress.numbers().map(ToOwned::to_owned));
    }
}

fn progress(token: &Value, value: u32) -> String {
    json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": value}})
        .to_string()
}

#[tokio::test]
async fn progress_is_heard_from_either_era_under_the_token_of_the_request() {
    for kind in [Kind::Modern, Kind::Legacy, Kind::LegacyStateless] {
        let scene = Scene::of(kind).await;
        on_call(&scene, |heard| {
            let token = &heard.json()["params"]["_meta"]["progressToken"];
            let foreign = json!(token.as_u64().unwrap_or(0) + 1);
            Reply::stream(&[
                progress(token, 1),
                progress(&foreign, 2),
                NOTE.into(),
                progress(token, 3),
                good(heard),
                progress(token, 4),
            ])
        });
        let ear = Ear::default();
        scene.call_heard(&ear).await.unwrap();
        assert_eq!(*ear.0.lock().unwrap(), ["1", "3"], "{kind:?}");
        let asked = scene.fake.heard().into_iter().rfind(|heard| heard.method() == "tools/call").unwrap().json();
        assert_eq!(asked["params"]["_meta"]["progressToken"], asked["id"]);
        scene.call().await.unwrap();
        let asked = scene.fake.heard().into_iter().rfind(|heard| heard.method() == "tools/call").unwrap();
        assert!(!asked.body.contains("progressToken"), "{}", asked.body);
    }
}

/// One chunk of a stream that is sent in pieces.
fn piece(pause: u64, text: &str) -> (Duration, String) {
    (Duration::from_millis(pause), format!("{:x}\r\n{text}\r\n", text.len()))
}

#[tokio::test]
async fn the_result_is_found_behind_notifications_and_the_connection_is_kept() {
    let scene = Scene::of(Kind::Modern).await;
    on_call(&scene, |heard| Reply::stream(&[NOTE.into(), NOTE.into(), good(heard)]));
    for _ in 0..3 {
        let answer = scene.call().await.unwrap();
        assert_eq!(answer.result.as_str(), r#"{"resultType":"complete","content":[]}"#);
    }
    assert_eq!(scene.fake.connections(), 1);
    assert!(!scene.upstreams.is_suspect(&scene.server));
    on_call(&scene, |heard| Reply::stream(&[CHANGED.into(), good(heard)]));
    scene.call().await.unwrap();
    assert!(scene.upstreams.is_suspect(&scene.server));
}

/// A refusal is believed of what has not begun: a server that spoke of the request before had it in hands.
#[tokio::test]
async fn an_error_behind_progress_says_of_no_call_that_it_did_not_happen() {
    let refusal = |heard: &Heard, code: i64| {
        let data = json!({"requiredCapabilities": {"sampling": {}}});
        json!({"jsonrpc": "2.0", "id": heard.json()["id"], "error": {"code": code, "message": "no", "data": data}})
            .to_string()
    };
    for code in [-32601, -32021] {
        let scene = Scene::of(Kind::Modern).await;
        on_call(&scene, move |heard| Reply::stream(&[NOTE.into(), refusal(heard, code)]));
        assert!(scene.call().await.unwrap_err().may_have_happened(), "{code}");
        on_call(&scene, move |heard| Reply::stream(&[refusal(heard, code)]));
        assert!(!scene.call().await.unwrap_err().may_have_happened(), "{code}");
    }
}

#[tokio::test]
async fn a_stream_that_comes_drop_by_drop_is_the_same_stream() {
    let scene = Scene::of(Kind::LegacyStateless).await;
    on_call(&scene, |heard| {
        let text = format!(": hello\r\nid: 1\r\ndata:\r\n\r\nevent: message\r\nid: 2\r\ndata: {}\r\n\r\n", good(heard));
        let mut pieces = vec![(Duration::ZERO, STREAM_HEAD.to_owned())];
        pieces.extend(text.as_bytes().chunks(7).map(|part| piece(1, std::str::from_utf8(part).unwrap())));
        pieces.push((Duration::ZERO, "0\r\n\r\n".into()));
        Reply::Pieces(pieces)
    });
    assert_eq!(scene.call().await.unwrap().received_bytes, good(&scene.fake.heard().pop().unwrap()).len());
}

#[tokio::test]
async fn a_stream_without_its_answer_is_a_failure_that_may_have_happened() {
    type Row = (fn(&Heard) -> Reply, FailureKind);
    let rows: [Row; 6] = [
        (|_| Reply::stream(&[NOTE.into()]), FailureKind::Broken),
        (|_| Reply::stream(&[]), FailureKind::Broken),
        (|_| Reply::Close(STREAM_HEAD.into()), FailureKind::Broken),
        (|_| Reply::stream(&[r#"{"jsonrpc":"2.0","id":999,"result":{}}"#.into()]), FailureKind::Unusable),
        (|_| Reply::stream(&["not json".into()]), FailureKind::Unusable),
        (|_| Reply::Pieces(vec![(Duration::ZERO, STREAM_HEAD.into()), piece(60_000, ":\n\n")]), FailureKind::Timeout),
    ];
    let scene = Scene::of(Kind::Modern).await;
    scene.call().await.unwrap();
    for (index, (reply, kind)) in rows.into_iter().enumerate() {
        on_call(&scene, reply);
        let began = Instant::now();
        let failure = scene.call_with(&json!({}), 1 << 16, 500, Era::Modern).await.unwrap_err();
        assert_eq!((failure.kind(), failure.may_have_happened()), (kind, true), "{index}: {failure}");
        assert!(began.elapsed() < Duration::from_secs(2));
    }
    assert_eq!(scene.fake.count("tools/call"), 7);
}

#[tokio::test]
async fn a_stream_is_bounded_as_a_whole_and_per_event() {
    let scene = Scene::of(Kind::Modern).await;
    scene.call().await.unwrap();
    on_call(&scene, |_| {
        let long = format!("data: {}\n\n", "x".repeat(30_000));
        Reply::Pieces(vec![(Duration::ZERO, STREAM_HEAD.into()), piece(0, &long)])
    });
    let failure = scene.call_with(&json!({}), 10_000, 5_000, Era::Modern).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::TooLarge);
    on_call(&scene, |_| {
        let notes = format!("data: {NOTE}\n\n").repeat(100);
        let endless = std::iter::repeat_n(piece(0, &notes), 1000);
        Reply::Pieces(std::iter::once((Duration::ZERO, STREAM_HEAD.to_owned())).chain(endless).collect())
    });
    let failure = scene.call_with(&json!({}), 10_000, 5_000, Era::Modern).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::TooLarge);
}

#[tokio::test]
async fn a_legacy_server_that_asks_gets_a_refusal_and_a_ping_its_answer() {
    let scene = Scene::of(Kind::Legacy).await;
    on_call(&scene, |heard| {
        let ask = |id: &str, method: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"}}"#);
        Reply::stream(&[ask("\"p\"", "ping"), ask("5", "sampling/createMessage"), good(heard)])
    });
    scene.call().await.unwrap();
    let answers: Vec<Heard> =
        scene.fake.heard().into_iter().filter(|heard| heard.json().get("method").is_none()).collect();
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0].body, r#"{"jsonrpc":"2.0","id":"p","result":{}}"#);
    assert_eq!(answers[1].json()["id"], 5);
    assert_eq!(answers[1].json()["error"]["code"], -32601);
    assert_eq!(answers[1].header("mcp-session-id"), Some("session-1"));
    // A modern server must not ask, and is not answered.
    let modern = Scene::of(Kind::Modern).await;
    on_call(&modern, |heard| Reply::stream(&[r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#.into(), good(heard)]));
    modern.call().await.unwrap();
    assert_eq!(modern.fake.methods(), ["server/discover", "tools/call"]);
}

#[tokio::test]
async fn a_legacy_stream_that_breaks_off_is_taken_up_and_the_call_is_not_sent_again() {
    let scene = Scene::of(Kind::Legacy).await;
    let wanted = Arc::new(std::sync::Mutex::new(String::new()));
    let kept = Arc::clone(&wanted);
    scene.fake.instead(move |heard| match heard.method().as_str() {
        "tools/call" => {
            *kept.lock().unwrap() = good(heard);
            let text = format!("id: a-1\nretry: 50\ndata: {NOTE}\n\nid: a-2\ndata: {{\"lost");
            Some(Reply::Close(format!("{STREAM_HEAD}{:x}\r\n{text}\r\n", text.len())))
        }
        "GET" if heard.header("last-event-id") == Some("a-1") => Some(Reply::stream(&[kept.lock().unwrap().clone()])),
        _ => None,
    });
    scene.call().await.unwrap();
    assert_eq!((scene.fake.count("tools/call"), scene.fake.count("GET")), (1, 1));
    let get = scene.fake.heard().pop().unwrap();
    assert_eq!(get.header("mcp-session-id"), Some("session-1"));
    assert_eq!(get.header("accept"), Some("text/event-stream"));
    // A server that cannot take it up: the call may have run.
    scene.fake.instead(|heard| {
        let text = "id: a-1\nretry: 50\ndata:\n\n";
        (heard.method() == "tools/call").then(|| Reply::Close(format!("{STREAM_HEAD}{:x}\r\n{text}\r\n", text.len())))
    });
    let failure = scene.call().await.unwrap_err();
    assert_eq!((failure.kind(), failure.may_have_happened()), (FailureKind::Broken, true));
}

#[tokio::test]
async fn changes_are_heard_on_the_stream_of_either_era() {
    for kind in [Kind::Modern, Kind::Legacy] {
        let scene = Scene::of(kind).await;
        scene.upstreams.list(&scene.server, None, in_ms(5_000)).await.unwrap();
        scene.fake.instead(|heard| {
            matches!(heard.method().as_str(), "subscriptions/listen" | "GET")
                .then(|| Reply::stream(&[NOTE.into(), CHANGED.into()]))
        });
        assert!(!scene.upstreams.is_suspect(&scene.server));
        let listened = scene.upstreams.listen(&scene.server, None).await.unwrap();
        assert!(matches!(listened, Listened::Ended(_)));
        assert!(scene.upstreams.is_suspect(&scene.server));
        let told = tokio::time::timeout(Duration::from_secs(1), scene.upstreams.told_of_change(&scene.server));
        told.await.unwrap();
        scene.fake.instead(|_| None);
        assert_eq!(scene.upstreams.listen(&scene.server, None).await.unwrap(), Listened::NotOffered);
    }
}
