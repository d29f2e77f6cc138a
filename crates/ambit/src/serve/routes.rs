//! The application: the corridor's routes and the authorization server's, behind one set of doors.

use std::{net::SocketAddr, pin::Pin};

use ambit_gateway::{Reads, StreamSettings, doors};
use ambit_identity::server::{self, ServerParts};
use axum::{body::Body, http::Request, response::Response};

use super::{Ready, crowd};
use crate::config::{Resolved, raw};

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

/// An answer under way.
type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Every route.
///
/// # Errors
/// If the public URL gives no host to answer for, or a page's template does not stand.
pub fn all(ready: &Ready) -> anyhow::Result<impl Fn(Request<Body>, SocketAddr) -> Answering + Clone + use<>> {
    let authorization_server = server::router(ServerParts {
        live: ready.live.clone(),
        signing: ready.signing.clone(),
        egress: ready.document_egress.clone(),
        secrets: ready.client_secrets.reader(),
        settings: server::Settings::default(),
    });
    let doors = doors::Settings {
        public_url: ready.resolved.deployment.public_url.clone(),
        trusted_proxies: ready.resolved.trusted_proxies.clone(),
        ..doors::Settings::default()
    };
    let application = ready.gateway.application(&doors, authorization_server)?;
    // Boxed, because every connection would carry the room for it.
    Ok(move |request, peer| -> Answering { Box::pin(application.clone().answer(request, peer)) })
}
