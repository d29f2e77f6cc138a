//! Waits for a server to say that its tools changed.
//!
//! Modern servers say it on a subscription, legacy servers on the stream of a session. Many offer
//! neither, and none has to be believed: the schedule of [`super::refresh`] does without. Whatever
//! else comes on the stream is ignored.

use std::time::Duration;

use ambit_live::credentials::Spendable;
use ambit_mcp::headers;
use ambit_mcp::sse::{Decoder, Received};
use ambit_mcp::upstream::{Incoming, answer, request};
use ambit_model::server::Server;
use tokio::time::{Instant, timeout_at};

use super::McpUpstreams;
use super::exchange::{Exchange, LIST_CHANGED};
use super::failure::UpstreamFailure;
use super::one::{Lane, presented};

/// Longest until the stream opens.
const OPENING: Duration = Duration::from_secs(15);

/// Longest life of one stream: a dead peer is noticed by then.
const LIFE: Duration = Duration::from_mins(15);

/// Most bytes of one stream, and of one event on it.
const MOST_BYTES: u64 = 4 * 1024 * 1024;
const MOST_EVENT_BYTES: usize = 256 * 1024;

/// How listening ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listened {
    /// The server has no such stream.
    NotOffered,
    /// The stream ended after this long; another may be opened.
    Ended(Duration),
}

impl McpUpstreams {
    /// Listens until the stream ends.
    ///
    /// # Errors
    /// The connection could not be made.
    pub(super) async fn listen(
        &self,
        server: &Server,
        credential: Option<&Spendable>,
    ) -> Result<Listened, UpstreamFailure> {
        let upstream = self.one(server)?;
        let presented = presented(credential);
        let began = Instant::now();
        let connection = upstream.connected(&presented, began + OPENING).await?;
        let id = upstream.next_id();
        let exchange = Exchange {
            upstream: &upstream,
            connection: &connection,
            presented: &presented,
            deadline: began + OPENING,
            max_bytes: MOST_EVENT_BYTES,
            progress: None,
            lane: Lane::Upkeep,
            stands: &|| true,
        };
        let (method, body) = if connection.is_modern() {
            ("subscriptions/listen", Some(request::listen_for_tools(id, &upstream.client)))
        } else {
            ("", None)
        };
        let target = headers::Target { method, name: None, mirrored: None, session: connection.session() };
        let Some(body) = exchange.open_stream(&target, body, None).await? else {
            return Ok(Listened::NotOffered);
        };
        let until = began + LIFE;
        let exchange = Exchange { deadline: until, ..exchange };
        let mut chunks = body.into_chunks(LIFE, MOST_BYTES);
        let mut decoder = Decoder::new(MOST_EVENT_BYTES);
        while let Ok(Some(Ok(chunk))) = timeout_at(until, chunks.next()).await {
            let mut events = Vec::new();
            let pushed = decoder.push(&chunk, &mut events);
            for event in events {
                hear(&exchange, &event, id).await;
            }
            if pushed.is_err() {
                break;
            }
        }
        Ok(Listened::Ended(began.elapsed()))
    }
}

async fn hear(exchange: &Exchange<'_>, event: &Received, id: u64) {
    match answer::read(event.data.as_bytes(), id) {
        Ok(Incoming::Notification { method, .. }) if method == LIST_CHANGED => exchange.upstream.suspect(),
        Ok(Incoming::Request { id, method }) => exchange.answer_server(id, &method).await,
        Ok(Incoming::Notification { .. } | Incoming::Result(_) | Incoming::Error(_)) | Err(_) => {}
    }
}
