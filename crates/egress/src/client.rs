//! The client of the data path: one pool of connections under one set of rules.
//!
//! `send` does no parsing and no address work: the target was parsed once, and addresses are judged
//! where connections are opened. It resends nothing; the pool moves a request to a fresh connection
//! only if a kept one closed before taking it.
//!
//! Rules and trusted certificates belong to the pool. Whoever changes them builds a new client, or a
//! connection opened under the old ones would live on.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use crate::body::Body;
use crate::connect::{ConnectError, Connector};
use crate::handoff::{Handoff, Outgoing};
use crate::resolve::{Resolve, SystemResolver};
use crate::rules::EgressRules;
use crate::send::{Lost, NotSent, SendError, Sent};
use crate::target::Target;
use crate::tls::{Roots, TlsError};

/// Most header lines of an answer.
const MAX_HEADERS: usize = 100;

/// About the most bytes of an answer's head: the bound is looked at after each read, which may bring as much again.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// What a [`Client`] may do, and how long it waits.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it may connect to.
    pub rules: EgressRules,
    /// Whom it believes.
    pub roots: Roots,
    /// Longest for resolving, connecting and TLS together.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// Most unused connections kept per host.
    pub max_idle_per_host: usize,
}

impl Default for Settings {
    /// The public internet only, the machine's certificates, 10 s to connect, 75 s and 256 idle connections.
    fn default() -> Self {
        Self {
            rules: EgressRules::public_only(),
            roots: Roots::native(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            max_idle_per_host: 256,
        }
    }
}

/// Sends requests. Cheap to clone; clones share the pool.
#[derive(Clone)]
pub struct Client {
    http: legacy::Client<Connector, Outgoing>,
    rules: Arc<EgressRules>,
}

impl Client {
    /// A client with a pool of its own.
    ///
    /// # Errors
    /// If there are no usable certificates.
    pub fn new(settings: &Settings) -> Result<Self, TlsError> {
        Self::with_resolver(settings, SystemResolver)
    }

    /// As [`Client::new`], with another source of addresses.
    ///
    /// # Errors
    /// If there are no usable certificates.
    pub fn with_resolver(settings: &Settings, resolver: impl Resolve) -> Result<Self, TlsError> {
        let resolver: Arc<dyn Resolve> = Arc::new(resolver);
        let rules = Arc::new(settings.rules.clone());
        let tls = settings.roots.client_config()?;
        let connector = Connector::new(Arc::clone(&rules), &resolver, tls, settings.connect_timeout);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(settings.idle_timeout)
            .pool_max_idle_per_host(settings.max_idle_per_host)
            .http1_max_headers(MAX_HEADERS)
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .retry_canceled_requests(true)
            .set_host(false)
            .build(connector);
        Ok(Self { http, rules })
    }

    /// The rules connections are judged by, for parsing targets.
    pub fn rules(&self) -> &EgressRules {
        &self.rules
    }

    /// Sends `request` to `target` and waits for the head of the answer until `deadline`.
    ///
    /// The request's URI gives path and query only. `Host` and the framing headers are set here,
    /// whatever the request holds. Redirects come back as they are.
    ///
    /// # Errors
    /// [`SendError`] says whether the request may have been carried out.
    pub async fn send(
        &self,
        target: &Target,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Response<Body>, SendError> {
        match self.try_send(target, request, deadline).await {
            Ok(response) => Ok(response),
            Err(sent) => Err(SendError { host: target.host().into(), sent }),
        }
    }

    async fn try_send(
        &self,
        target: &Target,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Response<Body>, Sent> {
        if deadline <= Instant::now() {
            return Err(Sent::No(NotSent::Deadline));
        }
        let (request, handoff) = prepare(target, request).map_err(Sent::No)?;
        let slot = take_slot(target, deadline).await.map_err(Sent::No)?;
        let response = match timeout_at(deadline, self.http.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(diagnose(&error, &handoff)),
            Err(_) if handoff.give_up() => return Err(Sent::No(NotSent::Deadline)),
            Err(_) => return Err(Sent::Maybe(Lost::Deadline)),
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Sent::Maybe(Lost::Switched));
        }
        Ok(receive(response, slot))
    }
}

/// The request as it goes out.
fn prepare(target: &Target, request: Request<Full<Bytes>>) -> Result<(Request<Outgoing>, Handoff), NotSent> {
    let (mut head, body) = request.into_parts();
    let uri = std::mem::take(&mut head.uri).into_parts();
    if uri.authority.is_some_and(|authority| authority != *target.authority()) {
        return Err(NotSent::Invalid("its URI names another host than its target".into()));
    }
    let path = uri.path_and_query.unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
    head.uri = target.uri(path).map_err(|e| NotSent::Invalid(e.to_string().into()))?;
    head.version = http::Version::HTTP_11;
    head.headers.remove(CONTENT_LENGTH);
    head.headers.remove(TRANSFER_ENCODING);
    head.headers.insert(HOST, target.host_header());
    let (body, handoff) = Outgoing::new(body, &head.method);
    Ok((Request::from_parts(head, body), handoff))
}

async fn take_slot(target: &Target, deadline: Instant) -> Result<Option<OwnedSemaphorePermit>, NotSent> {
    let Some(slots) = target.slots() else { return Ok(None) };
    match timeout_at(deadline, Arc::clone(slots).acquire_owned()).await {
        Ok(Ok(slot)) => Ok(Some(slot)),
        Ok(Err(_)) | Err(_) => Err(NotSent::Busy),
    }
}

fn receive(response: Response<Incoming>, slot: Option<OwnedSemaphorePermit>) -> Response<Body> {
    let (head, incoming) = response.into_parts();
    let body = Body::new(incoming, &head.headers, slot);
    Response::from_parts(head, body)
}

/// What stopped a request, and whether any of it may have left.
fn diagnose(error: &legacy::Error, handoff: &Handoff) -> Sent {
    if let Some(connect) = error.source().and_then(|e| e.downcast_ref::<ConnectError>()) {
        return Sent::No(NotSent::Connect(connect.clone()));
    }
    if handoff.give_up() {
        return Sent::No(NotSent::Closed);
    }
    let Some(hyper) = error.source().and_then(|e| e.downcast_ref::<hyper::Error>()) else {
        return Sent::Maybe(Lost::Broken(error.to_string().into()));
    };
    if hyper.is_parse() || hyper.is_parse_too_large() {
        return Sent::Maybe(Lost::Malformed(hyper.to_string().into()));
    }
    if hyper.is_incomplete_message() || hyper.is_closed() || hyper.is_canceled() {
        return Sent::Maybe(Lost::Closed);
    }
    let cause = hyper.source().map_or_else(|| hyper.to_string(), ToString::to_string);
    Sent::Maybe(Lost::Broken(cause.into()))
}
