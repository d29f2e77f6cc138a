//! The listening socket: connections in, requests to whoever answers them, an orderly end.
//!
//! HTTP/1.1 with `TCP_NODELAY`, bounded connections in all and per source, a bounded time for head, body and for a peer that
//! does not read, and a drain that lets running requests finish. The peer's address goes with each request; nothing here reads a header.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{Router, body::Body, http::Request, response::Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use tokio::net::{TcpListener, TcpStream};
use tower::Service as _;

use super::{
    crowd::Crowd,
    head_timer::HeadTimer,
    lanes::Lanes,
    patience::{PatientBody, PatientStream},
};

/// From the first byte of a request to the end of its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How often it is said that no connection can be accepted.
const COMPLAIN: Duration = Duration::from_secs(10);

/// How long running requests may take to finish when the process is asked to stop.
pub const DRAIN: Duration = Duration::from_secs(20);

/// Binds the address.
///
/// # Errors
/// If it is taken or not ours, with what to do.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on `{address}`: choose another address with `listen`"))
}

/// Serves until the shutdown resolves, then drains for at most [`DRAIN`]. What answers is given each request and its peer.
pub async fn serve<F>(
    listener: TcpListener,
    lanes: &Lanes,
    answer: impl Fn(Request<Body>, SocketAddr) -> F + Clone + Send + 'static,
    crowd: Crowd,
    shutdown: impl Future<Output = ()>,
) where
    F: Future<Output = Response> + Send + 'static,
{
    let mut shutdown = pin!(shutdown);
    let mut complained: Option<Instant> = None;
    let graceful = GracefulShutdown::new();
    loop {
        let accepting = async {
            let slot = crowd.slot().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = &mut shutdown => break,
            (slot, accepted) = accepting => (slot, accepted),
        };
        let Some(slot) = slot else { break };
        match accepted {
            Ok((stream, peer)) => {
                // A source that has its share is cut off without a word: it costs least.
                let Some(place) = crowd.admit(slot, peer.ip()) else { continue };
                let (watcher, answer) = (graceful.watcher(), answer.clone());
                let handed_over = lanes.serve(stream, move |stream| async move {
                    // A connection that breaks is the peer's affair; its requests have their own records.
                    if let Err(error) = watcher.watch(connection(stream, peer, answer)).await {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    drop(place);
                });
                if let Err(error) = handed_over {
                    tracing::warn!(%error, "a connection cannot be served");
                }
            }
            Err(error) => {
                if complained.is_none_or(|last| last.elapsed() > COMPLAIN) {
                    complained = Some(Instant::now());
                    tracing::warn!(%error, "connections cannot be accepted");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time; their records say so");
    }
}

/// The answer of a router.
pub async fn routed(mut router: Router, request: Request<Body>) -> Response {
    router.call(request).await.unwrap_or_else(|never| match never {})
}

fn connection<F: Future<Output = Response>>(
    stream: TcpStream,
    peer: SocketAddr,
    answer: impl Fn(Request<Body>, SocketAddr) -> F,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let service = service_fn(move |request: Request<Incoming>| {
        let answering = answer(request.map(|body| Body::new(PatientBody::new(body))), peer);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    http1::Builder::new()
        .timer(HeadTimer::default())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 * 1024)
        .half_close(false)
        .serve_connection(TokioIo::new(PatientStream::new(stream)), service)
}
