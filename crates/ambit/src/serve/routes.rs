//! The application: the corridor's routes and the authorization server's, behind one set of doors.

use std::net::SocketAddr;

use ambit_gateway::{Reads, StreamSettings, doors};
use ambit_identity::server::{self, ServerParts};
use axum::{Router, body::Body, http::Request};

use super::{Ready, crowd};
use crate::config::{Resolved, raw};

/// Puts the peer's address where the doors look for it.
pub fn tag(request: &mut Request<Body>, peer: SocketAddr) {
    request.extensions_mut().insert(doors::Peer(peer));
}

/// Bounds and times of the corridor, as configured.
pub fn settings(resolved: &Resolved) -> ambit_gateway::Settings {
    let reads = match resolved.trail.reads {
        raw::Reads::Batched => Reads::Written,
        raw::Reads::Durable => Reads::Durable,
    };
    // Whoever only listens must not keep everybody else out.
    let at_once = resolved.streams.at_once.min(crowd::most() / 2);
    let streams = StreamSettings { at_once, ..resolved.streams };
    ambit_gateway::Settings { reads, streams, ..ambit_gateway::Settings::default() }
}

/// Every route.
///
/// # Errors
/// If the public URL gives no host to answer for, or a page's template does not stand.
pub fn all(ready: &Ready) -> anyhow::Result<Router> {
    let authorization_server = server::router(ServerParts {
        live: ready.live.clone(),
        signing: ready.signing.clone(),
        egress: ready.document_egress.clone(),
        secrets: ready.client_secrets.reader(),
        settings: server::Settings::default(),
    });
    let doors = ready.gateway.doors(&doors::Settings {
        public_url: ready.resolved.deployment.public_url.clone(),
        trusted_proxies: ready.resolved.trusted_proxies.clone(),
        ..doors::Settings::default()
    })?;
    Ok(ready.gateway.router().merge(authorization_server).layer(doors))
}
