//! What goes out, and what a failure says about it.

use std::time::Duration;

use http::Request;
use http_body_util::Full;

use super::peer::{Act, Peer, ok};
use super::{client, get, in_ms, post, send, text};
use crate::connect::ConnectError;
use crate::{Lost, NotSent, SendError, Sent};

fn lost(error: &SendError) -> &Lost {
    match &error.sent {
        Sent::Maybe(lost) => lost,
        Sent::No(cause) => panic!("reported as not sent: {cause}"),
    }
}

#[tokio::test]
async fn only_what_the_caller_built_goes_out() {
    let peer = Peer::answering([&ok("a"), &ok("b"), &ok("c")]);
    let (client, target) = (client(), peer.target());
    let request = Request::post("/x?y=1")
        .header("host", "evil.example")
        .header("content-length", "99")
        .header("transfer-encoding", "chunked")
        .header("x-mine", "1")
        .body(Full::from("hello"))
        .unwrap();
    send(&client, &target, request).await.unwrap().into_body().read_bounded(9, in_ms(5_000)).await.unwrap();
    text(&client, &target, "/plain").await;
    let empty = send(&client, &target, post("/empty", "")).await.unwrap();
    empty.into_body().read_bounded(9, in_ms(5_000)).await.unwrap();
    let host = peer.address;
    assert_eq!(
        peer.received(),
        [format!(
            "POST /x?y=1 HTTP/1.1\r\nhost: {host}\r\nx-mine: 1\r\ncontent-length: 5\r\n\r\nhello\
             GET /plain HTTP/1.1\r\nhost: {host}\r\n\r\n\
             POST /empty HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n"
        )]
    );
}

#[tokio::test]
async fn a_closed_port_means_nothing_was_sent() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target = crate::Target::parse(&format!("http://{free}/"), client().rules()).unwrap();
    let error = send(&client(), &target, post("/", "x")).await.unwrap_err();
    assert!(matches!(error.sent, Sent::No(NotSent::Connect(ConnectError::Tcp(_)))), "{error}");
    assert!(!error.may_have_happened());
    assert!(error.to_string().starts_with("nothing was sent to `127.0.0.1`: no connection ("), "{error}");
}

#[tokio::test]
async fn a_peer_that_closes_instead_of_answering_may_have_acted() {
    let peer = Peer::start([&[Act::Read]]);
    let error = send(&client(), &peer.target(), post("/", "x")).await.unwrap_err();
    assert!(matches!(lost(&error), Lost::Closed), "{error}");
    assert_eq!(
        error.to_string(),
        "the request to `127.0.0.1` may have been carried out: the server closed the connection without an answer"
    );
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(peer.connections(), 1, "nothing is sent twice");
}

#[tokio::test]
async fn a_peer_that_hangs_may_have_acted() {
    let peer = Peer::start([&[Act::Read, Act::Hold]]);
    let error = client().send(&peer.target(), post("/", "x"), in_ms(150)).await.unwrap_err();
    assert!(matches!(lost(&error), Lost::Deadline), "{error}");
    assert!(error.is_timeout());
}

#[tokio::test]
async fn a_head_that_drips_is_cut_at_the_deadline() {
    let head = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(500));
    let peer = Peer::start([&[Act::Read, Act::Drip(head, Duration::from_millis(10))]]);
    let started = std::time::Instant::now();
    let error = client().send(&peer.target(), get("/"), in_ms(200)).await.unwrap_err();
    assert!(matches!(lost(&error), Lost::Deadline), "{error}");
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_peer_that_floods_before_its_answer_is_cut_at_the_deadline() {
    let peer = Peer::start([&[Act::Read, Act::Flood("HTTP/1.1 100 Continue\r\n\r\n")]]);
    let error = client().send(&peer.target(), get("/"), in_ms(200)).await.unwrap_err();
    assert!(matches!(lost(&error), Lost::Deadline), "{error}");
}

#[tokio::test]
async fn a_kept_connection_is_held_to_each_deadline() {
    let peer = Peer::start([&[Act::Read, Act::Write(ok("a")), Act::Read, Act::Write(ok("b")), Act::Read, Act::Hold]]);
    let client = client();
    for (deadline, body) in [(in_ms(60_000), "a"), (in_ms(30_000), "b")] {
        let answer = client.send(&peer.target(), get("/"), deadline).await.unwrap();
        assert_eq!(answer.into_body().read_bounded(10, deadline).await.unwrap(), body);
    }
    // Earlier than the deadlines before.
    let error = client.send(&peer.target(), post("/", "x"), in_ms(150)).await.unwrap_err();
    assert!(matches!(lost(&error), Lost::Deadline), "{error}");
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn a_deadline_in_the_past_sends_nothing() {
    let peer = Peer::answering([&ok("")]);
    let error = client().send(&peer.target(), get("/"), tokio::time::Instant::now()).await.unwrap_err();
    assert!(matches!(error.sent, Sent::No(NotSent::Deadline)), "{error}");
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn answers_that_are_not_http_are_named_as_such() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(256 * 1024));
    for bad in [
        "<html>hello</html>\r\n\r\n",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nname : space\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        &many,
        &large,
    ] {
        let peer = Peer::answering([bad]);
        let error = send(&client(), &peer.target(), post("/", "x")).await.err();
        let error = error.unwrap_or_else(|| panic!("accepted {:?}", &bad[..bad.len().min(60)]));
        assert!(matches!(lost(&error), Lost::Malformed(_)), "{error}");
    }
}

#[tokio::test]
async fn an_unasked_switch_of_protocols_is_an_error() {
    let peer = Peer::answering(["HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"]);
    let error = send(&client(), &peer.target(), get("/")).await.unwrap_err();
    assert!(matches!(lost(&error), Lost::Switched | Lost::Malformed(_) | Lost::Broken(_)), "{error}");
}

#[tokio::test]
async fn a_uri_that_names_another_host_is_not_sent() {
    let peer = Peer::answering([&ok("")]);
    let error = send(&client(), &peer.target(), get("https://evil.example/x")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "nothing was sent to `127.0.0.1`: the request was not valid: its URI names another host than its target"
    );
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn redirects_come_back_as_they_are() {
    let peer = Peer::answering([
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    ]);
    let response = send(&client(), &peer.target(), post("/", "x")).await.unwrap();
    assert_eq!(response.status(), 307);
    assert_eq!(peer.connections(), 1);
}
