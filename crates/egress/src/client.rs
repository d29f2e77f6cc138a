//! The client of the data path: one pool of connections under one set of rules.
//!
//! `send` does no parsing and no address work: the target was parsed once, and addresses are judged
//! where connections are opened. A request moves to another connection only if a kept one closed
//! before taking it. Nothing that may have been carried out is sent twice, but a read that is declared
//! to be one ([`Again`]).
//!
//! Rules and trusted certificates belong to the pool. Whoever changes them builds a new client, or a
//! connection opened under the old ones would live on.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use crate::body::Body;
use crate::connect::Connector;
use crate::handoff::{Handoff, Outgoing};
use crate::kept::{Failed, Kept};
use crate::pool::{Late, Pool, Way};
use crate::resolve::{Resolve, SystemResolver};
use crate::rules::EgressRules;
use crate::send::{Lost, NotSent, SendError, Sent};
use crate::target::Target;
use crate::tls::{Roots, TlsError};

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
    /// How long a server that sent more than it was asked for gets a connection for each request.
    pub distrust: Duration,
}

impl Default for Settings {
    /// The public internet only, the machine's certificates, 10 s to connect, 75 s and 256 idle connections, ten minutes of
    /// distrust.
    fn default() -> Self {
        Self {
            rules: EgressRules::public_only(),
            roots: Roots::native(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            max_idle_per_host: 256,
            distrust: Duration::from_mins(10),
        }
    }
}

/// Whether a request may still leave.
pub type Stands<'a> = &'a (dyn Fn() -> bool + Sync);

/// Whether a request may go out a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Whatever its method says: it may change something.
    Never,
    /// It only reads. If it is a GET or HEAD without a body and a *kept* connection ended without a byte of an answer, which is
    /// how servers that close idle connections meet a request on its way, it goes out once more over a fresh one
    /// (RFC 9110 §9.2.2).
    IfUnanswered,
}

/// Sends requests. Cheap to clone; clones share the pool.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    connector: Connector,
    http: http1::Builder,
    pool: Arc<Pool>,
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
        let mut http = http1::Builder::new();
        // At most 100 header lines, which is what it takes unless told: told so, it would make room for them anew each time.
        http.max_buf_size(MAX_HEAD_BYTES);
        let pool = Pool::new(settings.idle_timeout, settings.max_idle_per_host, settings.distrust);
        Ok(Self { shared: Arc::new(Shared { connector, http, pool, rules }) })
    }

    /// The rules connections are judged by, for parsing targets.
    pub fn rules(&self) -> &EgressRules {
        &self.shared.rules
    }

    /// Sends `request` to `target` and waits for the head of the answer until `deadline`.
    ///
    /// The request's URI gives path and query only. `Host` and the framing headers are set here,
    /// whatever the request holds. Redirects come back as they are.
    ///
    /// # Errors
    /// [`SendError`] says whether the request may have been carried out.
    ///
    /// What is asked this way are documents: reads may go out [again](Again::IfUnanswered).
    pub async fn send(
        &self,
        target: &Target,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Response<Body>, SendError> {
        self.send_while(target, request, deadline, (Again::IfUnanswered, &|| true)).await
    }

    /// As [`Client::send`], but only if `stands` says so right before the request leaves, when the waiting for a place and a
    /// connection is over.
    ///
    /// # Errors
    /// As [`Client::send`]; [`NotSent::Withdrawn`].
    pub async fn send_while(
        &self,
        target: &Target,
        request: Request<Full<Bytes>>,
        deadline: Instant,
        (again, stands): (Again, Stands<'_>),
    ) -> Result<Response<Body>, SendError> {
        match self.try_send(target, request, deadline, (again, stands)).await {
            Ok(response) => Ok(response),
            Err(sent) => Err(SendError { host: target.host().into(), sent }),
        }
    }

    async fn try_send(
        &self,
        target: &Target,
        request: Request<Full<Bytes>>,
        deadline: Instant,
        (again, stands): (Again, Stands<'_>),
    ) -> Result<Response<Body>, Sent> {
        if deadline <= Instant::now() {
            return Err(Sent::No(NotSent::Deadline));
        }
        let (request, handoff) = prepare(target, request).map_err(Sent::No)?;
        let slot = take_slot(target, deadline).await.map_err(Sent::No)?;
        let (response, kept) = self.shared.exchange(target, request, (&handoff, deadline), (again, stands)).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Sent::Maybe(Lost::Switched));
        }
        let way = self.shared.pool.way(target.route().clone());
        Ok(receive(response, (kept, way), slot))
    }
}

impl Shared {
    /// Sends a request over a kept connection, or a fresh one if none takes it.
    async fn exchange(
        &self,
        target: &Target,
        mut request: Request<Outgoing>,
        (handoff, deadline): (&Handoff, Instant),
        (again, stands): (Again, Stands<'_>),
    ) -> Result<(Response<Incoming>, Kept), Sent> {
        while let Some(mut kept) = self.pool.take(target.route(), deadline).await.map_err(|Late| late(handoff))? {
            if !stands() {
                self.pool.way(target.route().clone()).give_back(kept);
                return Err(Sent::No(NotSent::Withdrawn));
            }
            let spare = (again == Again::IfUnanswered).then(|| copy_of(&request)).flatten();
            let failed = match kept.send(request, deadline).await {
                Ok(response) => return Ok((response, kept)),
                Err(failed) => failed,
            };
            self.pool.look_back(target.route(), &kept);
            match failed {
                Failed::Untaken(untaken) => request = *untaken,
                Failed::Late => return Err(late(handoff)),
                Failed::Taken { error, heard } => {
                    let lost = diagnose(error.as_ref(), handoff);
                    if heard && matches!(lost, Sent::Maybe(Lost::Malformed(_))) {
                        // What came may have been left over from the answer before.
                        self.pool.distrust(target.route());
                    }
                    return match (spare, &lost) {
                        (Some(spare), Sent::Maybe(Lost::Closed | Lost::Broken(_))) if !heard => {
                            Box::pin(self.once_more(target, spare, (handoff, deadline), stands))
                                .await
                                .unwrap_or(Err(lost))
                        }
                        _ => Err(lost),
                    };
                }
            }
        }
        // Boxed, because every request would carry the room for it.
        let mut fresh = Box::pin(self.connect(target, (handoff, deadline))).await?;
        if !stands() {
            return Err(Sent::No(NotSent::Withdrawn));
        }
        match fresh.send(request, deadline).await {
            Ok(response) => Ok((response, fresh)),
            Err(Failed::Late) => Err(late(handoff)),
            Err(Failed::Untaken(_)) => Err(Sent::No(NotSent::Closed)),
            Err(Failed::Taken { error, .. }) => Err(diagnose(error.as_ref(), handoff)),
        }
    }

    /// Sends a request that left once over a fresh connection. Nothing if it did not leave a second time: then the first counts.
    async fn once_more(
        &self,
        target: &Target,
        request: Request<Outgoing>,
        (handoff, deadline): (&Handoff, Instant),
        stands: Stands<'_>,
    ) -> Option<Result<(Response<Incoming>, Kept), Sent>> {
        let mut fresh = match self.connect(target, (handoff, deadline)).await {
            Ok(fresh) => fresh,
            Err(late @ Sent::Maybe(Lost::Deadline)) => return Some(Err(late)),
            Err(_) => return None,
        };
        if !stands() {
            return None;
        }
        match fresh.send(request, deadline).await {
            Ok(response) => Some(Ok((response, fresh))),
            Err(Failed::Late) => Some(Err(late(handoff))),
            Err(Failed::Untaken(_)) => None,
            Err(Failed::Taken { error, .. }) => Some(Err(diagnose(error.as_ref(), handoff))),
        }
    }

    async fn connect(&self, target: &Target, (handoff, deadline): (&Handoff, Instant)) -> Result<Kept, Sent> {
        let uri = target.uri().map_err(|error| Sent::No(NotSent::Invalid(error.to_string().into())))?;
        let opening = async {
            let connected = self.connector.connect(uri).await;
            let (stream, heard) = connected.map_err(|error| Sent::No(NotSent::Connect(error)))?;
            let greeted = self.http.handshake(stream).await;
            let (sender, connection) = greeted.map_err(|error| diagnose(Some(&error), handoff))?;
            Ok(Kept::new(sender, connection, heard))
        };
        timeout_at(deadline, opening).await.unwrap_or_else(|_| Err(late(handoff)))
    }
}

/// The request as it goes out.
fn prepare(target: &Target, request: Request<Full<Bytes>>) -> Result<(Request<Outgoing>, Handoff), NotSent> {
    let (mut head, body) = request.into_parts();
    let uri = std::mem::take(&mut head.uri).into_parts();
    if uri.authority.is_some_and(|authority| authority != *target.authority()) {
        return Err(NotSent::Invalid("its URI names another host than its target".into()));
    }
    head.uri = uri.path_and_query.unwrap_or_else(|| http::uri::PathAndQuery::from_static("/")).into();
    head.version = http::Version::HTTP_11;
    head.headers.remove(CONTENT_LENGTH);
    head.headers.remove(TRANSFER_ENCODING);
    head.headers.insert(HOST, target.host_header());
    let (body, handoff) = Outgoing::new(body, &head.method);
    Ok((Request::from_parts(head, body), handoff))
}

/// The same request, if its method may be repeated and it has no body.
fn copy_of(request: &Request<Outgoing>) -> Option<Request<Outgoing>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let mut copy = Request::new(request.body().again()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

async fn take_slot(target: &Target, deadline: Instant) -> Result<Option<OwnedSemaphorePermit>, NotSent> {
    let Some(slots) = target.slots() else { return Ok(None) };
    if let Ok(slot) = Arc::clone(&slots.free).try_acquire_owned() {
        return Ok(Some(slot));
    }
    let until = deadline.min(Instant::now() + slots.patience);
    match timeout_at(until, Arc::clone(&slots.free).acquire_owned()).await {
        Ok(Ok(slot)) => Ok(Some(slot)),
        Ok(Err(_)) | Err(_) => Err(NotSent::Busy),
    }
}

fn receive(
    response: Response<Incoming>,
    connection: (Kept, Way),
    slot: Option<OwnedSemaphorePermit>,
) -> Response<Body> {
    let (head, incoming) = response.into_parts();
    let body = Body::new(incoming, &head.headers, connection, slot);
    Response::from_parts(head, body)
}

/// There was no answer in time.
fn late(handoff: &Handoff) -> Sent {
    if handoff.give_up() { Sent::No(NotSent::Deadline) } else { Sent::Maybe(Lost::Deadline) }
}

/// What stopped a request, and whether any of it may have left.
fn diagnose(error: Option<&hyper::Error>, handoff: &Handoff) -> Sent {
    if handoff.give_up() {
        return Sent::No(NotSent::Closed);
    }
    let Some(error) = error else { return Sent::Maybe(Lost::Closed) };
    if error.is_parse() || error.is_parse_too_large() {
        return Sent::Maybe(Lost::Malformed(error.to_string().into()));
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return Sent::Maybe(Lost::Closed);
    }
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    Sent::Maybe(Lost::Broken(cause.into()))
}
