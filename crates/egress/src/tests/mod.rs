//! The client against real sockets on loopback: peers that answer well, badly, slowly or not at all.

mod answers;
mod fetching;
mod peer;
mod pooling;
mod refusing;
mod sending;
mod trusting;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::Instant;

use crate::{Body, Client, EgressRules, Roots, SendError, Settings, Target};

/// A client that may speak to loopback, with its own pool.
fn client() -> Client {
    Client::new(&settings()).unwrap()
}

fn settings() -> Settings {
    Settings {
        rules: EgressRules::new(vec!["127.0.0.0/8".parse().unwrap()]),
        roots: Roots::only(stranger_pem()),
        connect_timeout: Duration::from_secs(5),
        ..Settings::default()
    }
}

/// An authority that signed nothing used here: the tests do not depend on the machine's store.
fn stranger_pem() -> String {
    rcgen::generate_simple_self_signed(["stranger.example".to_owned()]).unwrap().cert.pem()
}

fn in_ms(milliseconds: u64) -> Instant {
    Instant::now() + Duration::from_millis(milliseconds)
}

fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).body(Full::default()).unwrap()
}

fn post(path: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::post(path).body(Full::from(body)).unwrap()
}

async fn send(client: &Client, target: &Target, request: Request<Full<Bytes>>) -> Result<Response<Body>, SendError> {
    client.send(target, request, in_ms(5_000)).await
}

/// Sends a GET and reads the whole answer.
async fn text(client: &Client, target: &Target, path: &str) -> String {
    let response = send(client, target, get(path)).await.unwrap_or_else(|e| panic!("{path}: {e}"));
    let body = response.into_body().read_bounded(1 << 20, in_ms(5_000)).await.unwrap_or_else(|e| panic!("{path}: {e}"));
    String::from_utf8(body.to_vec()).unwrap()
}
