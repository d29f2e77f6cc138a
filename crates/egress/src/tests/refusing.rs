//! Addresses that are refused before a socket opens, however the client is led to them.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::peer::{Act, Peer, ok};
use super::{get, in_ms, post, send, settings, text};
use crate::connect::ConnectError;
use crate::resolve::{Addresses, Resolve};
use crate::{Client, EgressRules, NotSent, Sent, Settings, Target};

/// Answers each question with the next of its answers, the last one for ever.
#[derive(Clone)]
struct Fickle {
    answers: Arc<Mutex<VecDeque<Vec<IpAddr>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fickle {
    fn new<const N: usize>(answers: [&[&str]; N]) -> Self {
        let parse = |all: &[&str]| all.iter().map(|one| one.parse().unwrap()).collect();
        let answers = answers.into_iter().map(parse).collect();
        Self { answers: Arc::new(Mutex::new(answers)), asked: Arc::default() }
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Resolve for Fickle {
    fn resolve(&self, name: &str) -> Addresses {
        self.asked.lock().unwrap().push(name.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("no such name")) })
    }
}

fn target(peer: &Peer) -> Target {
    Target::parse(&format!("http://name.example:{}/", peer.address.port()), &settings().rules).unwrap()
}

async fn refusal(client: &Client, target: &Target) -> String {
    let error = send(client, target, post("/", "x")).await.unwrap_err();
    assert!(error.is_refused() && !error.may_have_happened(), "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_judged_again_for_each_connection() {
    let closing = ok("first").replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    let peer = Peer::start([&[Act::Read, Act::Write(closing)]]);
    let resolver = Fickle::new([&["127.0.0.1"], &["169.254.169.254"]]);
    let client = Client::with_resolver(&settings(), resolver.clone()).unwrap();
    let target = target(&peer);
    assert_eq!(text(&client, &target, "/").await, "first");
    assert_eq!(resolver.asked(), 1, "the judged answer is the one connected to: nobody asks twice");
    assert_eq!(
        refusal(&client, &target).await,
        "nothing was sent to `name.example`: `name.example` (`169.254.169.254`) is a cloud metadata address, which is never allowed: use another host"
    );
    assert_eq!((resolver.asked(), peer.connections()), (2, 1));
}

#[tokio::test]
async fn one_refused_address_refuses_the_name() {
    let peer = Peer::answering([&ok("")]);
    for answer in [["127.0.0.1", "10.0.0.1"], ["::ffff:10.0.0.1", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"]] {
        let client = Client::with_resolver(&settings(), Fickle::new([&answer])).unwrap();
        refusal(&client, &target(&peer)).await;
    }
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn http_needs_every_address_to_be_allowed() {
    let client = Client::with_resolver(&settings(), Fickle::new([&["8.8.8.8"]])).unwrap();
    let target = Target::parse("http://name.example/", client.rules()).unwrap();
    assert_eq!(
        refusal(&client, &target).await,
        "nothing was sent to `name.example`: `name.example` (`8.8.8.8`) would be reached without encryption: use `https`, or add its range to `[egress] allow`"
    );
}

/// Targets are parsed under lenient rules; the connector of a strict client has the last word.
#[tokio::test]
async fn the_connector_judges_whatever_the_target_was_parsed_with() {
    let peer = Peer::answering([&ok("")]);
    let lenient =
        EgressRules::new(["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"].map(|n| n.parse().unwrap()).to_vec());
    let strict = Client::new(&Settings { rules: EgressRules::public_only(), ..settings() }).unwrap();
    let port = peer.address.port();
    for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "10.0.0.1", "[fd00::1]", "[64:ff9b::7f00:1]"]
    {
        for scheme in ["http", "https"] {
            let target = Target::parse(&format!("{scheme}://{host}:{port}/"), &lenient).unwrap();
            let message = refusal(&strict, &target).await;
            assert!(message.contains("if it is meant, add its range to `[egress] allow`"), "{message}");
        }
    }
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn a_name_without_addresses_says_so() {
    for answers in [Fickle::new([&[]]), Fickle::new([])] {
        let client = Client::with_resolver(&settings(), answers).unwrap();
        let target = Target::parse("https://name.example/?token=hunter2", client.rules()).unwrap();
        let error = send(&client, &target, get("/?token=hunter2")).await.unwrap_err().to_string();
        assert!(error.starts_with("nothing was sent to `name.example`: the name could not be resolved ("), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

/// A name server that never answers.
struct Silent;

impl Resolve for Silent {
    fn resolve(&self, _: &str) -> Addresses {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_silent_name_server_costs_the_connect_timeout_or_the_deadline() {
    let settings = Settings { connect_timeout: Duration::from_millis(80), ..settings() };
    let client = Client::with_resolver(&settings, Silent).unwrap();
    let target = Target::parse("https://name.example/", client.rules()).unwrap();
    let error = send(&client, &target, get("/")).await.unwrap_err();
    assert!(matches!(error.sent, Sent::No(NotSent::Connect(ConnectError::Timeout(_)))), "{error}");
    assert!(error.is_timeout());
    let error = client.send(&target, get("/"), in_ms(30)).await.unwrap_err();
    assert!(matches!(error.sent, Sent::No(NotSent::Deadline)), "{error}");
}
