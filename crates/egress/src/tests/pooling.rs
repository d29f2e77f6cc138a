//! Which requests share a connection, and when one may be sent again.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use super::peer::{Act, Peer, ok};
use super::{client, get, in_ms, post, send, settings, text};
use crate::{Client, NotSent, Sent, Settings, Target};

#[tokio::test]
async fn sequential_requests_use_one_connection() {
    let peer = Peer::answering([&ok("a"), &ok("b"), &ok("c")]);
    let (client, target) = (client(), peer.target());
    for expected in ["a", "b", "c"] {
        assert_eq!(text(&client.clone(), &target, "/").await, expected);
        settle().await;
    }
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn clients_do_not_share_connections() {
    let peer =
        Peer::start([&[Act::Read, Act::Write(ok("a")), Act::Hold], &[Act::Read, Act::Write(ok("b")), Act::Hold]]);
    assert_eq!(text(&client(), &peer.target(), "/").await, "a");
    assert_eq!(text(&client(), &peer.target(), "/").await, "b");
}

/// Its bytes would be heard of by way of the thread that opened it.
#[test]
fn a_connection_stays_with_the_runtime_that_opened_it() {
    let answers = ["a1", "a2", "b1", "b2", "a3", "b3"];
    let serve = |bodies: &[&str]| -> Vec<Act> {
        bodies.iter().flat_map(|body| [Act::Read, Act::Write(ok(body))]).chain([Act::Hold]).collect()
    };
    let (first, second) = (serve(&["a1", "a2", "a3"]), serve(&["b1", "b2", "b3"]));
    let peer = Peer::start([first.as_slice(), second.as_slice()]);
    let (client, target) = (client(), peer.target());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (one, other) = (runtime(), runtime());
    for expected in answers {
        let runtime = if expected.starts_with('a') { &one } else { &other };
        runtime.block_on(async {
            assert_eq!(text(&client, &target, "/").await, expected);
            settle().await;
        });
    }
    assert_eq!(peer.connections(), 2);
}

/// A kept connection ended while nobody looked; the request never leaves on it.
///
/// The peer closes while the only thread is blocked, so the runtime has not seen it when the connection is taken.
#[test]
fn a_request_that_never_left_moves_to_a_fresh_connection() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().event_interval(1).build().unwrap();
    runtime.block_on(async {
        let peer = Peer::start([
            &[Act::Read, Act::Write(ok("old")), Act::Pause(Duration::from_millis(100))],
            &[Act::Read, Act::Write(ok("new")), Act::Hold],
        ]);
        let (client, target) = (client(), peer.target());
        assert_eq!(text(&client, &target, "/1").await, "old");
        settle().await;
        std::thread::sleep(Duration::from_millis(300));
        let response = send(&client, &target, post("/2", "x")).await.unwrap();
        assert_eq!(response.into_body().read_bounded(9, in_ms(5_000)).await.unwrap(), "new");
        let received = peer.received();
        assert_eq!(received.len(), 2);
        assert!(received[0].contains("/1") && !received[0].contains("/2"), "{received:?}");
        assert_eq!(received[1].matches("POST /2").count(), 1, "{received:?}");
    });
}

#[tokio::test]
async fn a_request_that_left_on_a_kept_connection_is_not_sent_again() {
    let peer =
        Peer::start([&[Act::Read, Act::Write(ok("a")), Act::Read], &[Act::Read, Act::Write(ok("again")), Act::Hold]]);
    let (client, target) = (client(), peer.target());
    assert_eq!(text(&client, &target, "/1").await, "a");
    settle().await;
    let error = send(&client, &target, post("/2", "x")).await.unwrap_err();
    assert!(error.may_have_happened(), "{error}");
    settle().await;
    let received = peer.received();
    assert_eq!(received.len(), 1, "{received:?}");
    assert_eq!(received[0].matches("POST /2").count(), 1, "{received:?}");
}

/// What follows a complete answer must not become the answer to somebody else's request.
#[tokio::test]
async fn bytes_behind_an_answer_spoil_the_connection() {
    let poisoned = format!("{}{}", ok("mine"), ok("smuggled"));
    let peer =
        Peer::start([&[Act::Read, Act::Write(poisoned), Act::Hold], &[Act::Read, Act::Write(ok("clean")), Act::Hold]]);
    let (client, target) = (client(), peer.target());
    assert_eq!(text(&client, &target, "/1").await, "mine");
    assert_eq!(text(&client, &target, "/2").await, "clean");
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn an_answer_that_was_not_read_to_its_end_spoils_the_connection() {
    let peer = Peer::start([
        &[Act::Read, Act::Write("HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\nstart".to_owned()), Act::Hold],
        &[Act::Read, Act::Write(ok("clean")), Act::Hold],
    ]);
    let (client, target) = (client(), peer.target());
    drop(send(&client, &target, get("/1")).await.unwrap());
    assert_eq!(text(&client, &target, "/2").await, "clean");
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn requests_beyond_the_bound_wait_for_a_slot() {
    let peer = Peer::answering([&ok("a"), &ok("b")]);
    let (client, target) = (client(), peer.target().with_max_in_flight(1));
    let first = send(&client, &target, get("/1")).await.unwrap();
    let error = client.send(&target.clone(), post("/2", "x"), in_ms(50)).await.unwrap_err();
    assert!(matches!(error.sent, Sent::No(NotSent::Busy)), "{error}");
    assert_eq!(first.into_body().read_bounded(9, in_ms(5_000)).await.unwrap(), "a");
    assert_eq!(text(&client, &target, "/3").await, "b");
    assert!(!peer.received()[0].contains("/2"));
}

/// Lets what the peer does next arrive.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(30)).await;
}

/// Unused connections are closed when their time is over, also if nothing is sent any more.
#[tokio::test]
async fn what_is_not_used_is_closed_after_its_time() {
    let (ended, mut end) = tokio::sync::mpsc::unbounded_channel();
    let target = echo(ended);
    let client = Client::new(&Settings { idle_timeout: Duration::from_millis(80), ..settings() }).unwrap();
    assert_eq!(text(&client, &target, "/a").await, "/a");
    assert_eq!(end.recv().await, Some(1), "one request, then the connection was closed");
}

/// More tasks than connections, on several threads: every answer reaches the one who asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_reach_who_asked_for_them() {
    let (ended, mut end) = tokio::sync::mpsc::unbounded_channel();
    let (client, target) = (client(), echo(ended));
    let ask = |number: usize| {
        let (client, target) = (client.clone(), target.clone());
        tokio::spawn(async move {
            for round in 0..50 {
                let path = format!("/{number}/{round}");
                assert_eq!(text(&client, &target, &path).await, path);
            }
        })
    };
    for task in (0..16).map(ask).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    drop((client, target));
    let mut served = Vec::new();
    while served.iter().sum::<usize>() < 800 {
        served.push(end.recv().await.unwrap());
    }
    assert!(served.len() <= 16, "one connection for each at most: {served:?}");
}

/// A server that answers every request with its path, and tells of each connection, once it is closed, how many requests
/// it brought.
fn echo(ended: tokio::sync::mpsc::UnboundedSender<usize>) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let ended = ended.clone();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let mut requests = 0;
                while let Some(line) = lines.next() {
                    let path = line.split(' ').nth(1).unwrap().to_owned();
                    assert!(lines.by_ref().any(|line| line.is_empty()));
                    requests += 1;
                    (&stream).write_all(ok(&path).as_bytes()).unwrap();
                }
                let _ = ended.send(requests);
            });
        }
    });
    Target::parse(&url, &settings().rules).unwrap()
}
