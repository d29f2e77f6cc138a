//! Which requests share a connection, and when one may be sent again.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use http::{Method, Request};
use http_body_util::Full;

use super::peer::{Act, Peer, ok};
use super::{client, get, in_ms, post, send, settings, text};
use crate::{Again, Client, NotSent, Sent, Settings, Target};

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

/// A server that closes an idle connection meets a request that is on its way.
#[tokio::test]
async fn a_read_that_nobody_answered_on_a_kept_connection_goes_out_once_more() {
    for method in [Method::GET, Method::HEAD] {
        let gone = [Act::Read, Act::Write(ok("a")), Act::Read];
        let peer = Peer::start([&gone, &[Act::Read, Act::Write(ok("again")), Act::Hold]]);
        let (client, target) = (client(), peer.target());
        assert_eq!(text(&client, &target, "/1").await, "a");
        let request = Request::builder().method(method.clone()).uri("/2?x=1").header("x-mine", "1");
        let response = send(&client, &target, request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        drop(response);
        settle().await;
        let received = peer.received();
        assert_eq!(received.len(), 2, "{received:?}");
        let second = received[0].split("\r\n\r\n").nth(1).unwrap();
        assert!(received[1].starts_with(second) && second.contains("x-mine: 1"), "{received:?}");
    }
}

#[tokio::test]
async fn a_read_is_repeated_once_only_on_a_fresh_connection_and_only_without_a_byte_of_an_answer() {
    let gone = [Act::Read, Act::Write(ok("a")), Act::Read];
    let begun = [Act::Read, Act::Write(ok("a")), Act::Read, Act::Write("HTTP/1.1 2".to_owned())];
    let again = [Act::Read, Act::Write(ok("again")), Act::Hold];
    for (script, connections) in [
        // The fresh one fails as well.
        ([gone.as_slice(), &[Act::Read], &again], 2),
        // An answer had begun.
        ([begun.as_slice(), &again, &again], 1),
    ] {
        let peer = Peer::start(script);
        let (client, target) = (client(), peer.target());
        assert_eq!(text(&client, &target, "/1").await, "a");
        let error = send(&client, &target, get("/2")).await.unwrap_err();
        assert!(error.may_have_happened(), "{error}");
        settle().await;
        assert_eq!(peer.connections(), connections);
    }
    // The first connection of all.
    let peer = Peer::start([&[Act::Read], &again]);
    send(&client(), &peer.target(), get("/1")).await.unwrap_err();
    settle().await;
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn what_may_change_something_is_not_repeated_whatever_its_method_says() {
    let gone = [Act::Read, Act::Write(ok("a")), Act::Read];
    let again = [Act::Read, Act::Write(ok("again")), Act::Hold];
    let with_body = || Request::get("/2").body(Full::from("x")).unwrap();
    let delete = || Request::delete("/2").body(Full::default()).unwrap();
    for (request, again_or_not) in
        [(get("/2"), Again::Never), (with_body(), Again::IfUnanswered), (delete(), Again::IfUnanswered)]
    {
        let peer = Peer::start([&gone, &again]);
        let (client, target) = (client(), peer.target());
        assert_eq!(text(&client, &target, "/1").await, "a");
        let error = client.send_while(&target, request, in_ms(5_000), (again_or_not, &|| true)).await.unwrap_err();
        assert!(error.may_have_happened(), "{error}");
        settle().await;
        assert_eq!(peer.connections(), 1);
    }
    // Withdrawn after it left once: it may have been carried out, and does not leave again.
    let peer = Peer::start([&gone, &again]);
    let (client, target) = (client(), peer.target());
    assert_eq!(text(&client, &target, "/1").await, "a");
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let once = || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
    let error = client.send_while(&target, get("/2"), in_ms(5_000), (Again::IfUnanswered, &once)).await.unwrap_err();
    assert!(error.may_have_happened(), "{error}");
    settle().await;
    assert!(peer.received().get(1).is_none_or(String::is_empty), "{:?}", peer.received());
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

/// What came late, when nobody looked any more, is found before the next request; then no connection to that server is used
/// twice for a while, since the next time it might come a moment too late to be found.
#[tokio::test]
async fn who_sends_late_what_nobody_asked_for_is_not_trusted_with_a_second_request() {
    let late = [
        Act::Read,
        Act::Write(ok("first")),
        Act::Pause(Duration::from_millis(10)),
        Act::Write(ok("smuggled")),
        Act::Hold,
    ];
    let good = [Act::Read, Act::Write(ok("own")), Act::Read, Act::Write(ok("second")), Act::Hold];
    let peer = Peer::start([&late, &good, &good, &good]);
    let client = Client::new(&Settings { distrust: Duration::from_millis(600), ..settings() }).unwrap();
    let target = peer.target();
    assert_eq!(text(&client, &target, "/1").await, "first");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = std::time::Instant::now();
    for (at, path) in ["/2", "/3"].into_iter().enumerate() {
        assert_eq!(text(&client, &target, path).await, "own");
        settle().await;
        // A slow machine may have used the time up.
        assert!(peer.connections() == at + 2 || began.elapsed() > Duration::from_millis(500));
    }
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(text(&client, &target, "/4").await, "own");
    settle().await;
    assert_eq!(text(&client, &target, "/5").await, "second", "it is trusted again");
}

/// The series ends where the first surplus is seen: at the latest behind the answer that it displaced.
#[tokio::test]
async fn a_shifted_answer_is_the_last_one() {
    let both = format!("{}{}", ok("smuggled"), ok("second"));
    // The surplus comes when the next request was written already.
    let shifted = [Act::Read, Act::Write(ok("first")), Act::Read, Act::Write(both), Act::Hold];
    let good = [Act::Read, Act::Write(ok("own")), Act::Read, Act::Write(ok("of another")), Act::Hold];
    let peer = Peer::start([&shifted, &good, &good]);
    let (client, target) = (client(), peer.target());
    assert_eq!(text(&client, &target, "/1").await, "first");
    assert_eq!(text(&client, &target, "/2").await, "smuggled", "nothing can tell");
    for path in ["/3", "/4"] {
        assert_eq!(text(&client, &target, path).await, "own");
    }
    assert_eq!(peer.connections(), 3);
}

/// One server's strike is nobody else's.
#[tokio::test]
async fn other_servers_keep_their_connections() {
    let poisoned = format!("{}{}", ok("mine"), ok("smuggled"));
    let bad = Peer::start([&[Act::Read, Act::Write(poisoned), Act::Hold]]);
    let good = Peer::answering([&ok("a"), &ok("b"), &ok("c")]);
    let client = client();
    assert_eq!(text(&client, &good.target(), "/").await, "a");
    assert_eq!(text(&client, &bad.target(), "/").await, "mine");
    for expected in ["b", "c"] {
        assert_eq!(text(&client, &good.target(), "/").await, expected);
    }
    assert_eq!(good.connections(), 1);
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
    let patience = Duration::from_millis(50);
    let (client, target) = (client(), peer.target().with_max_in_flight(1, patience));
    let first = send(&client, &target, get("/1")).await.unwrap();
    // The shorter of patience and deadline.
    for (deadline, at_least) in [(in_ms(10), 10), (in_ms(60_000), 50)] {
        let started = std::time::Instant::now();
        let error = client.send(&target.clone(), post("/2", "x"), deadline).await.unwrap_err();
        assert!(matches!(error.sent, Sent::No(NotSent::Busy)), "{error}");
        let waited = started.elapsed().as_millis();
        assert!((at_least - 5..10_000).contains(&waited), "{waited} ms");
    }
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
