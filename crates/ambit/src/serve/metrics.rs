//! `[metrics]`: the counters, on a listener of their own. It answers `GET /metrics` and nothing else, to whoever reaches it;
//! so it is off unless an address is configured, takes few connections and little time, and never serves a client.
//!
//! A page in a browser can be made to reach loopback under a name of its own. What is served on loopback is therefore only
//! given to those who ask for an address.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
};

use ambit_gateway::Gateway;
use anyhow::Context as _;
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{
        HeaderMap, Request, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, HOST},
    },
    response::{IntoResponse as _, Response},
    routing::get,
};
use tokio::net::TcpListener;

use super::{crowd::Crowd, lanes::Lanes, listener};

/// Most connections at once. A monitor keeps one.
const MAX_CONNECTIONS: usize = 16;

/// The version of the text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Binds the address, if there is one.
///
/// # Errors
/// If it is taken or not ours, with what to do.
pub async fn bind(address: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    let bound = TcpListener::bind(address).await;
    let why = || format!("cannot listen on `{address}`: choose another address with `listen` under `[metrics]`");
    bound.with_context(why).map(Some)
}

/// Serves the counters until told to end.
pub async fn serve(listener: TcpListener, gateway: Gateway, stop: impl Future<Output = ()>) {
    let on_loopback = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let router = router(move || gateway.metrics(), on_loopback);
    let answer = move |request, _| listener::routed(router.clone(), request);
    listener::serve(listener, &Lanes::none(), answer, Crowd::of(MAX_CONNECTIONS, &[]), stop).await;
}

#[derive(Clone)]
struct Counters<F> {
    text: F,
    on_loopback: bool,
}

fn router<F>(text: F, on_loopback: bool) -> Router
where
    F: Fn() -> String + Clone + Send + Sync + 'static,
{
    Router::new().route("/metrics", get(counters::<F>)).with_state(Counters { text, on_loopback })
}

async fn counters<F: Fn() -> String>(State(counters): State<Counters<F>>, request: Request<Body>) -> Response {
    if counters.on_loopback && !names_an_address(request.headers()) {
        return (StatusCode::MISDIRECTED_REQUEST, "ask for the address itself\n").into_response();
    }
    ([(CONTENT_TYPE, TEXT), (CACHE_CONTROL, "no-store")], (counters.text)()).into_response()
}

/// Whether `Host` is an address, or the name that is always one.
fn names_an_address(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else { return false };
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower::ServiceExt as _;

    async fn ask(on_loopback: bool, method: &str, path: &str, hosts: &[&str]) -> u16 {
        let router = router(|| "ambit_snapshot_revision 1\n".to_owned(), on_loopback);
        let mut request = Request::builder().method(method).uri(path);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        if response.status() == StatusCode::OK {
            assert_eq!(response.headers()[CONTENT_TYPE], TEXT);
        }
        response.status().as_u16()
    }

    #[tokio::test]
    async fn it_answers_one_question_and_no_other() {
        for (method, path, status) in [
            ("GET", "/metrics", 200),
            ("HEAD", "/metrics", 200),
            ("POST", "/metrics", 405),
            ("DELETE", "/metrics", 405),
            ("OPTIONS", "/metrics", 405),
            ("GET", "/", 404),
            ("GET", "/metrics/", 404),
            ("GET", "/healthz", 404),
            ("POST", "/mcp", 404),
            ("GET", "/login", 404),
        ] {
            assert_eq!(ask(true, method, path, &["127.0.0.1:9464"]).await, status, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_loopback_is_refused_there() {
        for (host, is_address) in [
            ("127.0.0.1:9464", true),
            ("127.0.0.1", true),
            ("[::1]:9464", true),
            ("localhost:9464", true),
            ("attacker.example:9464", false),
            ("127.0.0.1.attacker.example", false),
            ("", false),
            ("a:b:c", false),
        ] {
            assert_eq!(ask(true, "GET", "/metrics", &[host]).await == 200, is_address, "{host}");
            assert_eq!(ask(false, "GET", "/metrics", &[host]).await, 200, "{host}");
        }
        assert_eq!(ask(true, "GET", "/metrics", &[]).await, 421);
        assert_eq!(ask(true, "GET", "/metrics", &["127.0.0.1", "127.0.0.1"]).await, 421);
    }
}
