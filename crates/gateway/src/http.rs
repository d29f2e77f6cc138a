//! The two ends of the corridor in HTTP: a request becomes an [`Arrival`], a closed reply becomes a response.

use std::{net::IpAddr, sync::Arc, time::Instant};

use ambit_identity::answer::Answer;
use ambit_live::{Snapshot, catalogue::EndpointView};
use ambit_mcp::reply;
use ambit_policy::EndpointIndex;
use axum::{body::Body, response::Response};
use http::{
    HeaderMap, HeaderValue, Request, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
    request::Parts,
};

use crate::{
    answer::Reply,
    corridor,
    finish::Ended,
    gateway::Gateway,
    stream,
    trail::{self, Closed},
};

/// A request at an endpoint, before anything of it but its head was read.
pub(crate) struct Arrival {
    pub(crate) head: Parts,
    pub(crate) place: Place,
    pub(crate) source: IpAddr,
    pub(crate) started: Instant,
}

impl Arrival {
    /// A request at the place that its path names, if there is one.
    pub(crate) fn at(find: impl FnOnce(&str) -> Option<Place>, head: Parts, source: IpAddr) -> Option<Self> {
        let started = Instant::now();
        let place = find(head.uri.path())?;
        Some(Self { head, place, source, started })
    }
}

/// An endpoint of one snapshot.
#[derive(Clone)]
pub(crate) struct Place {
    snapshot: Arc<Snapshot>,
    number: EndpointIndex,
}

impl Place {
    /// The endpoint published at a path.
    pub(crate) fn find(snapshot: Arc<Snapshot>, path: &str) -> Option<Self> {
        let (number, _) = snapshot.endpoint_at(path)?;
        Some(Self { snapshot, number })
    }

    /// The same endpoint in another snapshot, if it is still published.
    pub(crate) fn on(&self, snapshot: Arc<Snapshot>) -> Option<Self> {
        Self::find(snapshot, &self.view()?.endpoint.path)
    }

    pub(crate) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    pub(crate) fn number(&self) -> EndpointIndex {
        self.number
    }

    /// The endpoint, which is there as long as its snapshot is.
    pub(crate) fn view(&self) -> Option<&EndpointView> {
        self.snapshot.catalogue.endpoints().get(usize::try_from(self.number.0).ok()?)
    }

    pub(crate) fn slug(&self) -> &str {
        self.view().map_or("other", |view| view.endpoint.slug.as_str())
    }
}

/// Every request to an endpoint.
pub(crate) async fn endpoint(gateway: &Gateway, request: Request<Body>, source: IpAddr) -> Response {
    let (head, body) = request.into_parts();
    let ended = match Arrival::at(|path| Place::find(gateway.live().current(), path), head, source) {
        Some(arrival) => corridor::pass(gateway, arrival, body).await,
        None => trail::refuse_early(gateway, "other", source, no_such_endpoint()).into(),
    };
    match ended {
        Ended::Whole(closed) => respond(closed),
        Ended::Streams(streaming) => stream::respond(streaming),
    }
}

pub(crate) fn no_such_endpoint() -> Reply {
    let body = r#"{"error":"not_found","error_description":"no endpoint is published at this path"}"#;
    let answer = Answer { status: StatusCode::NOT_FOUND, headers: HeaderMap::new(), body: body.to_owned() };
    Reply::of_identity(answer, "no_such_endpoint")
}

/// The only way out, but for an answer that began before it was complete.
pub(crate) fn respond(closed: Closed<Reply>) -> Response {
    let Reply { status, headers: own, body, stream, .. } = closed.into_inner();
    if let Some(listening) = stream {
        return stream::listen(*listening);
    }
    let mut headers = HeaderMap::with_capacity(2 + own.len());
    // Extending appends, so what the answer says of itself goes first and is only completed: no header stands twice.
    headers.extend(own);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if !body.is_empty() {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(reply::CONTENT_TYPE));
    }
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
