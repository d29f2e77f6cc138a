//! Documents of the cold paths.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::peer::{Act, Peer, ok};
use super::{client, settings};
use crate::{Ask, Client, EgressRules, FetchError, FetchLimits, Fetched, Redirects, Settings};

fn limits() -> FetchLimits {
    FetchLimits::json(1_000, Duration::from_secs(5))
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}

#[tokio::test]
async fn fetches_a_document() {
    let peer = Peer::answering(["HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\n\
                                 cache-control: public, max-age=300\r\nage: 60\r\ncontent-length: 2\r\n\r\n{}"]);
    let fetched = client().fetch(&peer.url("/doc?v=1"), &limits()).await.unwrap();
    assert_eq!((fetched.status.as_u16(), &fetched.body[..]), (200, &b"{}"[..]));
    assert_eq!(fetched.media_type(), Some("application/json"));
    assert_eq!(fetched.fresh_for(), Some(Duration::from_mins(4)));
    let host = peer.address;
    assert_eq!(peer.received(), [format!("GET /doc?v=1 HTTP/1.1\r\naccept: application/json\r\nhost: {host}\r\n\r\n")]);
}

#[tokio::test]
async fn posts_a_body_and_returns_any_status() {
    let peer = Peer::answering(["HTTP/1.1 400 Bad Request\r\ncontent-length: 4\r\n\r\noops"]);
    let ask = Ask::Post {
        content_type: HeaderValue::from_static("application/x-www-form-urlencoded"),
        body: Bytes::from_static(b"a=1"),
    };
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Basic eDp5"));
    let fetched = client().fetch_with(&peer.url("/token"), ask, headers, &limits()).await.unwrap();
    assert_eq!((fetched.status.as_u16(), &fetched.body[..]), (400, &b"oops"[..]));
    let received = peer.received().concat();
    for expected in [
        "POST /token ",
        "authorization: Basic eDp5\r\n",
        "content-type: application/x-www-form-urlencoded\r\n",
        "\r\n\r\na=1",
    ] {
        assert!(received.contains(expected), "{received}");
    }
}

#[tokio::test]
async fn redirects_are_errors() {
    let inner = Peer::answering([&ok("secret")]);
    let outer = Peer::start([&[Act::Read, Act::Write(redirect(&inner.url("/"))), Act::Hold]]);
    let error = client().fetch(&outer.url("/x?token=hunter2"), &limits()).await.unwrap_err();
    assert_eq!(error.to_string(), "`127.0.0.1` answered 302, a redirect that is not followed: use the URL it leads to");
    assert_eq!(inner.connections(), 0);
}

#[tokio::test]
async fn redirects_stay_at_their_origin_and_end() {
    let same = FetchLimits { redirects: Redirects::SameOrigin { most: 2 }, ..limits() };
    let peer = Peer::answering([&redirect("/b"), &redirect("c"), &ok("{}")]);
    assert_eq!(client().fetch(&peer.url("/a"), &same).await.unwrap().body, "{}");

    let inner = Peer::answering([&ok("secret")]);
    for location in [
        inner.url("/"),
        "https://127.0.0.1/".to_owned(),
        "//169.254.169.254/".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        let peer = Peer::answering([&redirect(&location)]);
        let error = client().fetch(&peer.url("/"), &same).await.unwrap_err();
        assert!(matches!(error, FetchError::Redirect { status: 302, .. }), "{location}: {error}");
    }
    assert_eq!(inner.connections(), 0);

    let endless = Peer::answering([&redirect("/"), &redirect("/"), &redirect("/"), &redirect("/")]);
    let error = client().fetch(&endless.url("/"), &same).await.unwrap_err();
    assert!(matches!(error, FetchError::Redirect { .. }), "{error}");
    assert_eq!(endless.received().concat().matches("GET /").count(), 3);

    let peer = Peer::answering([&redirect("/b"), &ok("{}")]);
    let ask = Ask::Post { content_type: HeaderValue::from_static("text/plain"), body: Bytes::from_static(b"x") };
    let error = client().fetch_with(&peer.url("/"), ask, HeaderMap::new(), &same).await.unwrap_err();
    assert!(matches!(error, FetchError::Redirect { .. }), "{error}");
    assert_eq!(peer.received().concat().matches("POST /").count(), 1);
}

#[tokio::test]
async fn oversize_slow_and_encoded_documents_are_errors() {
    let large = Peer::answering([&ok(&"x".repeat(1_001))]);
    let error = client().fetch(&large.url("/?token=hunter2"), &limits()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`127.0.0.1`: the answer is larger than 1000 bytes: ask for less, or raise the limit"
    );
    assert!(error.may_have_happened());

    let encoded = Peer::answering(["HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx"]);
    let error = client().fetch(&encoded.url("/"), &limits()).await.unwrap_err();
    assert!(matches!(error, FetchError::Encoded { .. }), "{error}");

    let slow = Peer::start([&[Act::Read, Act::Drip(ok("{}"), Duration::from_millis(20))]]);
    let brief = FetchLimits { timeout: Duration::from_millis(100), ..limits() };
    let error = client().fetch(&slow.url("/"), &brief).await.unwrap_err();
    assert!(matches!(&error, FetchError::Send(send) if send.is_timeout()), "{error}");
}

/// A range the operator allowed for servers is out of reach for a stranger's URL.
#[tokio::test]
async fn strangers_reach_the_public_internet_only() {
    let peer = Peer::answering([&ok("secret")]);
    let strict = Client::new(&Settings { rules: EgressRules::public_only(), ..settings() }).unwrap();
    let port = peer.address.port();
    for url in [peer.url("/"), format!("https://127.0.0.1:{port}/"), format!("https://localhost:{port}/")] {
        let error = strict.fetch(&url, &limits()).await.unwrap_err();
        assert!(!error.may_have_happened(), "{error}");
    }
    assert_eq!(peer.connections(), 0);
}

#[test]
fn reuse_follows_cache_control() {
    let fresh = |lines: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            headers.append(http::HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let fetched = Fetched { status: http::StatusCode::OK, headers, body: Bytes::new() };
        fetched.fresh_for().map(|time| time.as_secs())
    };
    for (lines, expected) in [
        (&[][..], None),
        (&["cache-control: public"], None),
        (&["cache-control: max-age=60"], Some(60)),
        (&["cache-control: Max-Age=\"60\""], Some(60)),
        (&["cache-control: max-age=60, no-store"], Some(0)),
        (&["cache-control: no-cache=\"x\", max-age=60"], Some(0)),
        (&["cache-control: max-age=60", "cache-control: max-age=30"], Some(30)),
        (&["cache-control: max-age=-1"], Some(0)),
        (&["cache-control: max-age=soon"], Some(0)),
        (&["cache-control: max-age=60", "age: 50"], Some(10)),
        (&["cache-control: max-age=60", "age: 5000"], Some(0)),
    ] {
        assert_eq!(fresh(lines), expected, "{lines:?}");
    }
}
