//! One request to an upstream and its answer, as JSON or at the end of a stream.
//!
//! Everything is bounded: bytes, time, and how often a server may ask something back. An answer
//! counts only if it is complete and carries our id. Redirects are not followed: the credential is
//! meant for this address alone.

use std::time::Duration;

use ambit_egress::{Again, Body, ReadError, Stands};
use ambit_mcp::headers::{self, PROTOCOL_VERSION};
use ambit_mcp::sse::{Decoder, Received};
use ambit_mcp::upstream::{Incoming, Progress, RemoteError, answer, progress, request};
use ambit_mcp::{Id, Raw};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::time::{Instant, timeout, timeout_at};

use super::call::OnProgress;
use super::connection::Connection;
use super::failure::{FailureKind, UpstreamFailure};
use super::one::{Lane, Presented, Upstream};

/// Most bytes of an answer that is an error or an acknowledgement.
const MOST_ERROR_BYTES: usize = 64 * 1024;

/// A stream may carry notifications besides the result: this many times the bytes of the result.
const STREAM_FACTOR: u64 = 4;

/// What an event has besides its data, in bytes.
const EVENT_MARGIN: usize = 256;

/// How often one stream may ask us something before it is only listened to.
const MOST_QUESTIONS: usize = 16;

/// How long the end of a stream is waited for once the result is there. Servers send both at once;
/// waiting keeps the connection for the next call.
const STREAM_END: Duration = Duration::from_millis(2);

/// How often a stream that broke off is taken up again.
const MOST_RESUMPTIONS: usize = 32;

const AGENT: &str = concat!("ambit/", env!("CARGO_PKG_VERSION"));

/// What a server said to a request.
#[derive(Debug)]
pub(super) enum Told<T> {
    /// The answer, as the caller of [`Exchange::ask`] read it, and its size in bytes.
    Result(T, usize),
    /// A JSON-RPC error.
    Error(RemoteError, StatusCode),
    /// An HTTP status that says the request was not taken, or taken for a notification, and no
    /// JSON-RPC error.
    Refused(StatusCode),
}

/// The way of one request: to whom, as whom, and within which bounds.
#[derive(Clone, Copy)]
pub(super) struct Exchange<'e> {
    pub upstream: &'e Upstream,
    pub connection: &'e Connection,
    pub presented: &'e Presented,
    pub deadline: Instant,
    pub max_bytes: usize,
    /// Who is told how far the request has come; its token is its id.
    pub progress: Option<&'e dyn OnProgress>,
    /// Whose places it takes.
    pub lane: Lane,
    /// Asked right before the request leaves.
    pub stands: Stands<'e>,
}

impl Exchange<'_> {
    /// Sends a request and reads its answer with `read`.
    pub(super) async fn ask<T>(
        &self,
        target: &headers::Target<'_>,
        id: u64,
        body: Vec<u8>,
        read: impl FnOnce(&HeaderMap, Raw<'_>) -> T,
    ) -> Result<Told<T>, UpstreamFailure> {
        let response = self.send(Method::POST, self.headers(target), body).await?;
        let (head, body) = response.into_parts();
        if head.status != StatusCode::OK {
            return Box::pin(self.read_refusal(head.status, &head.headers, body, id)).await;
        }
        match media(&head.headers) {
            Media::Json => {
                let bytes = self.read_whole(body, self.max_bytes).await?;
                match answer::read(&bytes, id).map_err(|fault| UpstreamFailure::answer(&self.upstream.slug, &fault))? {
                    Incoming::Result(raw) => Ok(Told::Result(read(&head.headers, raw), bytes.len())),
                    Incoming::Error(error) => Ok(Told::Error(error, head.status)),
                    Incoming::Notification { .. } | Incoming::Request { .. } => {
                        Err(UpstreamFailure::unusable(&self.upstream.slug, "answered with a message of its own"))
                    }
                }
            }
            Media::Stream => {
                let (event, began) = Box::pin(self.read_stream(body, id)).await?;
                // It was read once already, to tell it from everything else on the stream.
                match answer::read(event.data.as_bytes(), id) {
                    Ok(Incoming::Result(raw)) => Ok(Told::Result(read(&head.headers, raw), event.data.len())),
                    Ok(Incoming::Error(error)) if began => {
                        Err(UpstreamFailure::remote(&self.upstream.slug, &error).after_it_began())
                    }
                    Ok(Incoming::Error(error)) => Ok(Told::Error(error, head.status)),
                    Ok(_) => Err(UpstreamFailure::stream_ended(&self.upstream.slug)),
                    Err(fault) => Err(UpstreamFailure::answer(&self.upstream.slug, &fault)),
                }
            }
            Media::Other(kind) => {
                let clause = format!("answered with {kind} instead of MCP");
                Err(UpstreamFailure::unusable(&self.upstream.slug, clause))
            }
        }
    }

    /// Sends a notification, or our answer to a question of the server's.
    pub(super) async fn tell(&self, method: &str, body: Vec<u8>) -> Result<(), UpstreamFailure> {
        let target = headers::Target { method, name: None, mirrored: None, session: self.connection.session() };
        let response = self.send(Method::POST, self.headers(&target), body).await?;
        let (head, body) = response.into_parts();
        // Read to its end, so that the connection can be used again; what it says does not matter. A
        // stream has no end to wait for.
        if !matches!(media(&head.headers), Media::Stream) {
            let _ = self.read_whole(body, MOST_ERROR_BYTES).await;
        }
        if head.status.is_success() { Ok(()) } else { Err(UpstreamFailure::refused(&self.upstream.slug, head.status)) }
    }

    /// Ends the session of this connection.
    pub(super) async fn end(&self) -> Result<(), UpstreamFailure> {
        let target = headers::Target { method: "", name: None, mirrored: None, session: self.connection.session() };
        let mut headers = self.headers(&target);
        headers.remove(CONTENT_TYPE);
        let response = self.send(Method::DELETE, headers, Vec::new()).await?;
        let _ = self.read_whole(response.into_body(), MOST_ERROR_BYTES).await;
        Ok(())
    }

    /// Opens a stream: with a body the answer to a request, without one the server's own.
    pub(super) async fn open_stream(
        &self,
        target: &headers::Target<'_>,
        body: Option<Vec<u8>>,
        last_event: Option<&str>,
    ) -> Result<Option<Body>, UpstreamFailure> {
        let mut headers = self.headers(target);
        let method = if body.is_some() { Method::POST } else { Method::GET };
        if body.is_none() {
            headers.remove(CONTENT_TYPE);
            headers.insert(http::header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        }
        if let Some(last) = last_event.and_then(|last| HeaderValue::from_str(last).ok()) {
            headers.insert("last-event-id", last);
        }
        let response = self.send(method, headers, body.unwrap_or_default()).await?;
        let (head, body) = response.into_parts();
        if head.status == StatusCode::OK && matches!(media(&head.headers), Media::Stream) {
            return Ok(Some(body));
        }
        let _ = self.read_whole(body, MOST_ERROR_BYTES).await;
        Ok(None)
    }

    /// Answers what a legacy server asks: it was promised nothing, so a `ping` is all that succeeds.
    pub(super) async fn answer_server(&self, id: Id<'_>, method: &str) {
        if self.connection.is_modern() {
            // A modern server must not ask.
            return;
        }
        let deadline = self.deadline.min(Instant::now() + Duration::from_secs(5));
        let soon = Exchange { deadline, lane: Lane::Upkeep, ..*self };
        if let Err(failure) = soon.tell("", request::answer_server(id, method)).await {
            tracing::debug!(server = %self.upstream.slug, method, %failure, "the answer to a question was not taken");
        }
    }

    fn headers(&self, target: &headers::Target<'_>) -> HeaderMap {
        let era = self.connection.era();
        let mut headers = headers::build(era, target);
        if !self.connection.names_version() {
            headers.remove(PROTOCOL_VERSION);
        }
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some((name, value)) = self.presented {
            headers.insert(name.clone(), value.clone());
        }
        headers
    }

    async fn send(&self, method: Method, headers: HeaderMap, body: Vec<u8>) -> Result<Response<Body>, UpstreamFailure> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        let target = self.upstream.target(self.lane);
        *request.uri_mut() = target.path_and_query().clone().into();
        *request.headers_mut() = headers;
        let once = (Again::Never, self.stands);
        let sent = self.upstream.egress.send_while(target, request, self.deadline, once).await;
        sent.map_err(|error| {
            let failure = UpstreamFailure::sending(&self.upstream.slug, &error);
            if matches!(failure.kind(), FailureKind::Unreachable | FailureKind::Broken) {
                self.upstream.doubt();
            }
            failure
        })
    }

    async fn read_whole(&self, body: Body, max_bytes: usize) -> Result<Bytes, UpstreamFailure> {
        let whole = body.read_bounded(max_bytes, self.deadline).await;
        whole.map_err(|error| UpstreamFailure::reading(&self.upstream.slug, &error))
    }

    async fn read_refusal<T>(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: Body,
        id: u64,
    ) -> Result<Told<T>, UpstreamFailure> {
        let is_json = matches!(media(headers), Media::Json);
        let bytes = self.read_whole(body, MOST_ERROR_BYTES).await.unwrap_or_default();
        let is_about_access =
            matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS);
        if is_json
            && !is_about_access
            && (status.is_client_error() || status.is_server_error())
            && let Ok(Incoming::Error(error)) = answer::read(&bytes, id)
        {
            return Ok(Told::Error(error, status));
        }
        // A request timeout comes from something in between, which cannot know how far the request got.
        let says_no = status.is_client_error() && !is_about_access && status != StatusCode::REQUEST_TIMEOUT;
        if says_no || status.is_success() {
            return Ok(Told::Refused(status));
        }
        Err(UpstreamFailure::status(&self.upstream.slug, status))
    }

    /// Reads a stream up to the event that is the answer.
    async fn read_stream(&self, body: Body, id: u64) -> Result<(Received, bool), UpstreamFailure> {
        let mut stream = Stream::new(self.max_bytes);
        let mut body = Some(body);
        for _ in 0..=MOST_RESUMPTIONS {
            if let Some(body) = body.take()
                && let Some(answer) = self.read_until_answer(&mut stream, body, id).await?
            {
                return Ok((answer, stream.began));
            }
            body = self.resume(&stream.decoder).await?;
            stream.decoder.start_over();
        }
        Err(UpstreamFailure::stream_ended(&self.upstream.slug))
    }

    /// The answer; none if the stream ended before it.
    async fn read_until_answer(
        &self,
        stream: &mut Stream,
        body: Body,
        id: u64,
    ) -> Result<Option<Received>, UpstreamFailure> {
        let slug = &self.upstream.slug;
        let left = self.deadline.saturating_duration_since(Instant::now());
        let mut chunks = body.into_chunks(left, stream.left);
        loop {
            let chunk = match timeout_at(self.deadline, chunks.next()).await {
                Err(_) => return Err(UpstreamFailure::late(slug)),
                Ok(None | Some(Err(ReadError::Truncated | ReadError::Broken(_)))) => return Ok(None),
                Ok(Some(Err(error))) => return Err(UpstreamFailure::reading(slug, &error)),
                Ok(Some(Ok(chunk))) => chunk,
            };
            stream.left = stream.left.saturating_sub(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
            let mut events = Vec::new();
            let pushed = stream.decoder.push(&chunk, &mut events);
            for event in events {
                if self.is_answer(&event, id, stream).await? {
                    // Otherwise the connection is closed, which costs the next call a new one.
                    let _ = timeout(STREAM_END, chunks.next()).await;
                    return Ok(Some(event));
                }
            }
            pushed.map_err(|error| UpstreamFailure::stream(slug, error))?;
        }
    }

    async fn is_answer(&self, event: &Received, id: u64, stream: &mut Stream) -> Result<bool, UpstreamFailure> {
        if event.data.is_empty() || event.name.as_deref().is_some_and(|name| name != "message") {
            return Ok(false);
        }
        match answer::read(event.data.as_bytes(), id) {
            Ok(Incoming::Result(_) | Incoming::Error(_)) => Ok(true),
            Ok(Incoming::Notification { method, params }) => {
                if method == LIST_CHANGED {
                    self.upstream.suspect();
                } else if let Some(listener) = self.progress
                    && method == progress::METHOD
                    && let Some(progress) = params.and_then(|params| Progress::read(params, id))
                {
                    listener.told(progress);
                }
                stream.began = true;
                Ok(false)
            }
            Ok(Incoming::Request { id, method }) => {
                stream.began = true;
                if stream.questions < MOST_QUESTIONS {
                    stream.questions += 1;
                    self.answer_server(id, &method).await;
                }
                Ok(false)
            }
            Err(fault) => Err(UpstreamFailure::answer(&self.upstream.slug, &fault)),
        }
    }

    /// Takes up a stream that broke off. Only a legacy server that named its events can do that; the
    /// request itself is never sent again.
    async fn resume(&self, decoder: &Decoder) -> Result<Option<Body>, UpstreamFailure> {
        let ended = || UpstreamFailure::stream_ended(&self.upstream.slug);
        let last =
            decoder.last_id().filter(|last| !last.is_empty() && !self.connection.is_modern()).ok_or_else(ended)?;
        let pause = Duration::from_millis(decoder.retry_ms().unwrap_or(1000).clamp(50, 10_000));
        let at = Instant::now() + pause;
        if at >= self.deadline {
            return Err(ended());
        }
        tokio::time::sleep_until(at).await;
        let target = headers::Target { method: "", name: None, mirrored: None, session: self.connection.session() };
        match self.open_stream(&target, None, Some(last)).await {
            Ok(Some(body)) => Ok(Some(body)),
            // Whatever stops the second connection: the request went out with the first one.
            Ok(None) => Err(ended()),
            Err(failure) => Err(ended().because(&failure)),
        }
    }
}

/// What a server says when its tools changed.
pub(super) const LIST_CHANGED: &str = "notifications/tools/list_changed";

/// A stream that may be taken up again.
struct Stream {
    decoder: Decoder,
    left: u64,
    questions: usize,
    /// Whether the server said something before its answer: it had the request in hands then.
    began: bool,
}

impl Stream {
    fn new(max_bytes: usize) -> Self {
        let left = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_mul(STREAM_FACTOR);
        Self {
            decoder: Decoder::new(max_bytes.saturating_add(EVENT_MARGIN)),
            left: left.saturating_add(64 * 1024),
            questions: 0,
            began: false,
        }
    }
}

enum Media {
    Json,
    Stream,
    Other(String),
}

fn media(headers: &HeaderMap) -> Media {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/json" => Media::Json,
        "text/event-stream" => Media::Stream,
        "" => Media::Other("no content type".to_owned()),
        other => Media::Other(format!("`{}`", other.chars().take(64).collect::<String>())),
    }
}
