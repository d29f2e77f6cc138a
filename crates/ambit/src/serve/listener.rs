//! The listening socket: connections in, requests to the router, an orderly end.
//!
//! HTTP/1.1 with `TCP_NODELAY`, a bounded number of connections, a bounded time for the head of a request, and a drain that
//! lets running requests finish. The peer's address travels with each request; nothing here reads a header.

use std::{convert::Infallible, future::Future, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tower::Service as _;

/// Most connections at once; more wait in the backlog of the kernel.
const MAX_CONNECTIONS: usize = 16_384;

/// From the first byte of a request to the end of its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

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

/// Serves the router until the shutdown resolves, then drains for at most [`DRAIN`].
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tag: fn(&mut Request<Body>, SocketAddr),
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = graceful.watch(connection(stream, peer, router.clone(), tag));
                tokio::spawn(async move {
                    // A connection that breaks is the peer's affair; its requests have their own records.
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time; their records say so");
    }
}

fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    tag: fn(&mut Request<Body>, SocketAddr),
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        tag(&mut request, peer);
        let mut router = router.clone();
        async move { Ok::<_, Infallible>(into_response(router.call(request).await)) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 * 1024)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service)
}

fn into_response<T>(answer: Result<T, Infallible>) -> T {
    match answer {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
