//! An answer before it is closed: what the client gets, and the note of it that the trail keeps.
//!
//! Nothing in here can be sent as it is; the HTTP layer takes only a [`crate::trail::Closed`] one.

use std::time::Duration;

use ambit_identity::answer::Answer;
use ambit_live::mode::Down;
use ambit_mcp::{Id, RpcError, era::Era, reply};
use ambit_model::event::Executed;
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::json;

use crate::listening::Listening;

/// What the trail says of a stream that was let begin.
pub(crate) const LISTENING: &str = "listening";

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// Those besides the ones every answer has.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// JSON, or nothing.
    pub(crate) body: Vec<u8>,
    /// In place of a body: a stream that stays open.
    pub(crate) stream: Option<Box<Listening>>,
    pub(crate) note: Note,
}

/// What the trail says about an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Note {
    /// `ok`, `tool_error`, or the reason of a refusal or failure: one of a closed set.
    pub(crate) result: &'static str,
    /// The JSON-RPC error code.
    pub(crate) code: Option<i32>,
    /// Whether the upstream did it.
    pub(crate) executed: Executed,
    /// The HTTP status of the upstream.
    pub(crate) upstream_status: Option<u16>,
    /// How long the upstream took.
    pub(crate) upstream: Option<Duration>,
}

impl Note {
    /// Nothing left the gateway.
    pub(crate) const fn of(result: &'static str) -> Self {
        Self { result, code: None, executed: Executed::No, upstream_status: None, upstream: None }
    }
}

impl Reply {
    /// A result that is complete JSON-RPC.
    pub(crate) fn result(body: Vec<u8>, note: Note) -> Self {
        Self { status: StatusCode::OK, headers: Vec::new(), body, stream: None, note }
    }

    /// A stream that stays open.
    pub(crate) fn listening(stream: Listening) -> Self {
        Self { stream: Some(Box::new(stream)), ..Self::result(Vec::new(), Note::of(LISTENING)) }
    }

    /// A JSON-RPC error under its HTTP status.
    pub(crate) fn error(error: &RpcError, id: Option<Id<'_>>, result: &'static str) -> Self {
        let note = Note { code: Some(error.code()), ..Note::of(result) };
        let mut reply = Self::result(error.to_response_bytes(id), note);
        reply.status = StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if reply.status == StatusCode::SERVICE_UNAVAILABLE {
            reply.headers.push((RETRY_AFTER, HeaderValue::from_static("2")));
        }
        reply
    }

    /// A visible tool's call that was not let through: HTTP 200, `isError`, the reason and the remedy.
    pub(crate) fn refused(id: Id<'_>, era: Era, server: &reply::Server, sentence: &str, result: &'static str) -> Self {
        let text = format!("not executed: {sentence}");
        Self::result(reply::tool_result(id, era, server, reply::Outcome::Error, &text, None), Note::of(result))
    }

    /// A visible tool's call that is not sent now: as [`Self::refused`], with when to come back in words, as structured
    /// content and as a header.
    pub(crate) fn not_now(
        (id, era): (Id<'_>, Era),
        server: &reply::Server,
        sentence: &str,
        wait_ms: u64,
        result: &'static str,
    ) -> Self {
        let seconds = wait_ms.div_ceil(1000);
        let text = format!("not executed: {sentence}; call again with the same arguments in {}", in_words(seconds));
        let outcome = json!({
            "content": [{"type": "text", "text": text}],
            "structuredContent": {"status": result, "retry_after": seconds},
            "isError": true,
        });
        Self::result(reply::tool_outcome(id, era, server, &outcome), Note::of(result))
            .with(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// HTTP 429: a person asks for more at once or in a time than is theirs.
    pub(crate) fn over_budget(id: Option<Id<'_>>, sentence: &str, wait_ms: u64, result: &'static str) -> Self {
        let seconds = wait_ms.div_ceil(1000);
        let error = RpcError::rate_limited(format!("{sentence}; ask again in {}", in_words(seconds)), wait_ms);
        Self::error(&error, id, result).with(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// An answer of the identity room.
    pub(crate) fn of_identity(answer: Answer, result: &'static str) -> Self {
        let Answer { status, headers, body } = answer;
        let headers = headers.into_iter().filter_map(|(name, value)| Some((name?, value))).collect();
        Self { status, headers, ..Self::result(body.into(), Note::of(result)) }
    }

    /// HTTP 202: an accepted notification or response.
    pub(crate) fn accepted() -> Self {
        Self::empty(StatusCode::ACCEPTED, "accepted")
    }

    /// A status without a body.
    pub(crate) fn empty(status: StatusCode, result: &'static str) -> Self {
        Self { status, ..Self::result(Vec::new(), Note::of(result)) }
    }

    /// HTTP 405: an endpoint takes POST.
    pub(crate) fn method_not_allowed() -> Self {
        let empty = Self::empty(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
        empty.with(ALLOW, HeaderValue::from_static("POST"))
    }

    /// HTTP 503: store or trail are down, so this is not decided now.
    pub(crate) fn down(down: Down, id: Option<Id<'_>>) -> Self {
        let result = match down {
            Down::Store => "store_down",
            Down::Trail => "trail_down",
        };
        let message = format!("not executed: {down}, so the gateway cannot be sure what is allowed; try again later");
        Self::error(&RpcError::unavailable(message), id, result)
    }

    /// HTTP 429 in place of a refusal: this source was refused too often to be told why each time.
    pub(crate) fn slow_down(wait: Duration, refused: Self) -> Self {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
        let error = RpcError::rate_limited("too many refused requests from this network: wait", millis);
        let told =
            Self::error(&error, None, "rate_limited").with(RETRY_AFTER, HeaderValue::from(millis.div_ceil(1000)));
        // The way to get in stays part of the answer.
        refused
            .headers
            .into_iter()
            .filter(|(name, _)| name == WWW_AUTHENTICATE)
            .fold(told, |told, (name, value)| told.with(name, value))
    }

    /// The same with a header.
    #[must_use]
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// A time to wait, as a person says it.
fn in_words(seconds: u64) -> String {
    match seconds {
        0..=1 => "a second".to_owned(),
        2..=119 => format!("{seconds} seconds"),
        120..=7_199 => format!("{} minutes", seconds.div_ceil(60)),
        _ => format!("{} hours", seconds.div_ceil(3_600)),
    }
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn a_time_to_wait_is_never_said_too_short() {
        for (seconds, words) in
            [(0, "a second"), (2, "2 seconds"), (119, "119 seconds"), (121, "3 minutes"), (7_201, "3 hours")]
        {
            assert_eq!(in_words(seconds), words);
        }
    }
}
