//! The listener of the admin API, its doors and its router. Few connections, short requests, and nothing of it anywhere else.
//!
//! The doors let in what names this place in `Host` and comes from no page of another origin. No answer says that another
//! origin may read it, and none may be kept.

use std::{
    collections::BTreeMap,
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ambit_egress::Network;
use ambit_gateway::doors::{self, Rules};
use ambit_identity::{admin::SLUG, server::Source};
use anyhow::Context as _;
use axum::{
    Router,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS},
    },
    response::{IntoResponse as _, Response},
    routing::{MethodFilter, on},
};
use tokio::net::TcpListener;

use super::{
    hear::{self, Room},
    problem::{Kind, Trouble},
    routes::{ROUTES, Route},
};
use crate::{
    config::Resolved,
    serve::{crowd::Crowd, lanes::Lanes, listener},
};

/// Most connections at once.
const MAX_CONNECTIONS: usize = 64;

/// Binds the address, if there is one and none is bound already.
///
/// # Errors
/// If it is taken or not ours, with what to do.
pub(crate) async fn bind(
    bound: Option<TcpListener>,
    address: Option<SocketAddr>,
) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    if bound.is_some() {
        return Ok(bound);
    }
    let why = || format!("cannot listen on `{address}`: choose another address with `listen` under `[admin]`");
    TcpListener::bind(address).await.with_context(why).map(Some)
}

/// The doors of the admin API.
///
/// # Errors
/// If its URL gives no host to answer for.
pub(crate) fn rules(resolved: &Resolved) -> anyhow::Result<Rules> {
    let resource = resolved.deployment.admin.as_ref().context("there is no admin API: set `listen` under `[admin]`")?;
    let settings = doors::Settings {
        public_url: resource.url.clone(),
        trusted_proxies: resolved.trusted_proxies.clone(),
        ..doors::Settings::default()
    };
    Ok(Rules::new(&settings)?)
}

/// Serves until told to end; acts under way are done to their end.
pub(crate) async fn serve(
    listener: TcpListener,
    room: Room,
    rules: Rules,
    proxies: Vec<Network>,
    stop: impl Future<Output = ()>,
) {
    let crowd = Crowd::of(MAX_CONNECTIONS, &proxies);
    let served = Arc::new((room.clone(), rules, router(room.clone())));
    let answer = move |request, peer: SocketAddr| behind_doors(Arc::clone(&served), request, peer.ip());
    listener::serve(listener, &Lanes::none(), answer, crowd, stop).await;
    if !room.finish(listener::DRAIN).await {
        tracing::warn!("some acts of the admin API did not end in time; the trail says what they came to");
    }
}

fn router(room: Room) -> Router {
    let mut router = Router::new();
    for route in &ROUTES {
        let Some(method) = method(route) else { continue };
        let asked = move |State(room): State<Room>,
                          path: Result<Path<BTreeMap<String, String>>, PathRejection>,
                          request: Request| async move {
            let id = path.ok().and_then(|Path(parameters)| hear::named(&parameters));
            hear::hear(&room, route, id, request).await
        };
        router = router.route(route.path, on(method, asked));
    }
    router
        .fallback(async || Trouble::absent())
        .method_not_allowed_fallback(async || {
            Trouble::new(Kind::Method, "`/openapi.json` says which methods this address knows")
        })
        .with_state(room)
}

fn method(route: &Route) -> Option<MethodFilter> {
    match route.method {
        "GET" => Some(MethodFilter::GET),
        "POST" => Some(MethodFilter::POST),
        "DELETE" => Some(MethodFilter::DELETE),
        _ => None,
    }
}

async fn behind_doors(served: Arc<(Room, Rules, Router)>, mut request: Request, peer: IpAddr) -> Response {
    let (room, rules, router) = &*served;
    let source = rules.source(peer, request.headers());
    let mut response = match rules.admit_strictly(request.uri(), request.headers()) {
        Ok(()) => {
            request.extensions_mut().insert(Source(source));
            listener::routed(router.clone(), request).await
        }
        Err(wrong) => {
            room.live().recorder().refused_early(SLUG, source, wrong.reason());
            let status = match wrong {
                doors::Wrong::Host => StatusCode::MISDIRECTED_REQUEST,
                doors::Wrong::Origin => StatusCode::FORBIDDEN,
            };
            Trouble::new(Kind::Foreign, wrong.sentence()).with_status(status).into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    response
}
