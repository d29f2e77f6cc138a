//! Bodies that are complete, and the many ways of not being so.

use std::time::Duration;

use bytes::Bytes;

use super::peer::{Act, Peer, ok};
use super::{client, get, in_ms, send};
use crate::{Body, ReadError};

/// What a peer that writes `answer` and closes leaves a reader with.
async fn read(answer: &str, max_bytes: usize) -> Result<Bytes, ReadError> {
    let peer = Peer::start([&[Act::Read, Act::Write(answer.to_owned())]]);
    let response = send(&client(), &peer.target(), get("/")).await.unwrap();
    response.into_body().read_bounded(max_bytes, in_ms(5_000)).await
}

async fn body(acts: &[Act]) -> Body {
    let peer = Peer::start([acts]);
    send(&client(), &peer.target(), get("/")).await.unwrap().into_body()
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

#[tokio::test]
async fn complete_bodies_are_read_whole() {
    for (answer, expected) in [
        (ok("hello"), "hello"),
        (ok(""), ""),
        (format!("{CHUNKED}5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), "hello world"),
        (format!("{CHUNKED}0\r\n\r\n"), ""),
        (format!("{CHUNKED}5;ext=1\r\nhello\r\n0\r\nx-trailer: 1\r\n\r\n"), "hello"),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), ""),
        ("HTTP/1.1 202 Accepted\r\n\r\n".to_owned(), ""),
        ("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok".to_owned(), "ok"),
    ] {
        assert_eq!(read(&answer, 11).await.as_deref(), Ok(expected.as_bytes()), "{answer}");
    }
    let large = "x".repeat(300_000);
    assert_eq!(read(&ok(&large), 300_000).await.unwrap(), large);
}

#[tokio::test]
async fn incomplete_bodies_are_never_a_short_success() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n".to_owned(),
        format!("{CHUNKED}5\r\nhello\r\n"),
        format!("{CHUNKED}5\r\nhel"),
        format!("{CHUNKED}5\r\nhello\r\n0\r\n"),
        CHUNKED.to_owned(),
    ] {
        assert_eq!(read(&answer, 1_000).await, Err(ReadError::Truncated), "{answer}");
    }
    for answer in ["HTTP/1.1 200 OK\r\n\r\n{\"ok\":true}", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nx"] {
        let refused = read(answer, 1_000).await;
        assert!(matches!(refused, Err(ReadError::Unframed | ReadError::Broken(_))), "{answer} {refused:?}");
    }
    for bad in ["g\r\nhello\r\n", "-1\r\n", "fffffffffffffffff\r\nx", "5\r\nhello6\r\n"] {
        let refused = read(&format!("{CHUNKED}{bad}"), 1_000).await;
        assert!(matches!(refused, Err(ReadError::Broken(_) | ReadError::Truncated)), "{bad} {refused:?}");
    }
}

#[tokio::test]
async fn oversize_is_refused_before_and_while_reading() {
    let limit = Err(ReadError::TooLarge { limit: 10 });
    assert_eq!(read("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n", 10).await, limit, "announced");
    assert_eq!(read(&format!("{CHUNKED}b\r\nhello world\r\n"), 10).await, limit, "in one chunk");
    assert_eq!(read(&format!("{CHUNKED}5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), 10).await, limit, "in two");
    assert_eq!(read(&ok("1234567890"), 10).await.unwrap(), "1234567890");
    let endless = [Act::Read, Act::Write(CHUNKED.to_owned()), Act::Drip("5\r\nhello\r\n".repeat(500), Duration::ZERO)];
    assert_eq!(body(&endless).await.read_bounded(10, in_ms(5_000)).await, limit, "endless");
}

#[tokio::test]
async fn a_body_that_drips_is_cut_at_the_deadline() {
    let drip = Act::Drip("x".repeat(999), Duration::from_millis(10));
    let acts = [Act::Read, Act::Write("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n".to_owned()), drip];
    let started = std::time::Instant::now();
    assert_eq!(body(&acts).await.read_bounded(999, in_ms(150)).await, Err(ReadError::Timeout));
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn streams_arrive_as_they_are_written() {
    let pause = Act::Pause(Duration::from_millis(60));
    let write = |text: &str| Act::Write(text.to_owned());
    let acts =
        [Act::Read, write(CHUNKED), write("5\r\nfirst\r\n"), pause, write("6\r\nsecond\r\n0\r\n\r\n"), Act::Hold];
    let mut chunks = body(&acts).await.into_chunks(Duration::from_secs(5), 100);
    assert_eq!(chunks.next().await.unwrap().unwrap(), "first");
    assert_eq!(chunks.next().await.unwrap().unwrap(), "second");
    assert!(chunks.next().await.is_none());
}

#[tokio::test]
async fn streams_end_with_one_error() {
    let start = Act::Write(format!("{CHUNKED}5\r\nfirst\r\n"));
    for (after, idle_ms, max_bytes, expected) in [
        (Act::Hold, 60, 100, ReadError::Timeout),
        (Act::Write("6\r\nsec".to_owned()), 5_000, 5, ReadError::TooLarge { limit: 5 }),
        (Act::Pause(Duration::ZERO), 5_000, 100, ReadError::Truncated),
    ] {
        let body = body(&[Act::Read, start.clone(), Act::Pause(Duration::from_millis(30)), after]).await;
        let mut chunks = body.into_chunks(Duration::from_millis(idle_ms), max_bytes);
        assert_eq!(chunks.next().await.unwrap().unwrap(), "first");
        assert_eq!(chunks.next().await, Some(Err(expected)));
        assert!(chunks.next().await.is_none(), "nothing after an error");
    }
}

#[tokio::test]
async fn a_stream_without_a_length_ends_with_its_connection() {
    let acts = [Act::Read, Act::Write("HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n".to_owned())];
    let mut chunks = body(&acts).await.into_chunks(Duration::from_secs(5), 100);
    assert_eq!(chunks.next().await.unwrap().unwrap(), "data: 1\n\n");
    assert!(chunks.next().await.is_none());
}
