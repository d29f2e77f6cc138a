//! Whom a client believes.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::peer::{Act, Peer, ok};
use super::{get, post, send, settings, stranger_pem, text};
use crate::connect::ConnectError;
use crate::{Client, NotSent, Roots, SendError, Sent, Settings, Target};

/// A TLS server for `localhost` that answers each connection once; its certificate as PEM, its port.
async fn tls_server() -> (String, u16) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut tls) = acceptor.accept(tcp).await else { return };
                let mut request = [0; 1024];
                if tls.read(&mut request).await.is_ok_and(|count| count > 0) {
                    tls.write_all(ok("secure").as_bytes()).await.unwrap();
                    tls.shutdown().await.unwrap();
                }
            });
        }
    });
    (made.cert.pem(), port)
}

fn trusting(roots: Roots) -> Client {
    Client::new(&Settings { roots, connect_timeout: Duration::from_millis(500), ..settings() }).unwrap()
}

fn target(client: &Client, host: &str, port: u16) -> Target {
    Target::parse(&format!("https://{host}:{port}/"), client.rules()).unwrap()
}

fn tls_failure(error: &SendError) -> bool {
    matches!(error.sent, Sent::No(NotSent::Connect(ConnectError::Tls(_))))
}

/// `localhost` may resolve to `::1` first, which the rules of these tests do not allow.
fn named_localhost(roots: Roots) -> Client {
    struct Loopback;
    impl crate::resolve::Resolve for Loopback {
        fn resolve(&self, _: &str) -> crate::resolve::Addresses {
            Box::pin(async { Ok(vec![[127, 0, 0, 1].into()]) })
        }
    }
    Client::with_resolver(&Settings { roots, ..settings() }, Loopback).unwrap()
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_refused_and_gets_nothing() {
    let (_, port) = tls_server().await;
    let client = named_localhost(Roots::only(stranger_pem()));
    let error = send(&client, &target(&client, "localhost", port), post("/", "x")).await.unwrap_err();
    assert!(tls_failure(&error), "{error}");
    assert!(error.to_string().contains("add its authority to `[egress] extra_ca`"), "{error}");
}

#[tokio::test]
async fn an_extra_authority_is_believed_for_its_names_only() {
    let (pem, port) = tls_server().await;
    let client = named_localhost(Roots::only(pem));
    assert_eq!(text(&client, &target(&client, "localhost", port), "/").await, "secure");
    for other in ["other.example", "127.0.0.1"] {
        let error = send(&client, &target(&client, other, port), get("/")).await.unwrap_err();
        assert!(tls_failure(&error), "{other}: {error}");
    }
}

#[tokio::test]
async fn a_peer_that_does_not_speak_tls_is_refused() {
    let peer = Peer::start([&[Act::Write(ok("plain")), Act::Hold]]);
    let client = trusting(Roots::only(stranger_pem()));
    let error = send(&client, &target(&client, "127.0.0.1", peer.address.port()), get("/")).await.unwrap_err();
    assert!(tls_failure(&error), "{error}");
    assert!(!peer.received().concat().contains("GET"));
}

#[tokio::test]
async fn a_handshake_that_hangs_costs_the_connect_timeout() {
    let peer = Peer::start([&[Act::Hold]]);
    let client = trusting(Roots::only(stranger_pem()));
    let error = send(&client, &target(&client, "127.0.0.1", peer.address.port()), get("/")).await.unwrap_err();
    assert!(matches!(error.sent, Sent::No(NotSent::Connect(ConnectError::Timeout(_)))), "{error}");
}
