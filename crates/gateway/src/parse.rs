//! Stage *parse*: the body becomes an [`Inbound`] message of one era, read once and strictly, and agreed with its headers.
//!
//! Runs after authentication. What is refused here was no message: it is counted, not judged.

use std::{error::Error, io, time::Duration};

use ambit_mcp::{
    Id, RpcError,
    era::{self, Era, LegacyVersion},
    headers,
    strict::{self, Limits, Message, StrictError},
    subscription,
};
use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::answer::Reply;

/// The methods the corridor knows. Anything else has no label of its own anywhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Method {
    Discover,
    Initialize,
    Ping,
    ListTools,
    CallTool,
    /// A request for something we do not have.
    Other,
    /// A notification, or a legacy client's answer.
    OneWay,
    /// The end of a legacy session.
    EndSession,
    /// A modern client wants to be told of changes.
    Listen,
    /// A legacy client takes the stream of its session.
    OpenStream,
}

impl Method {
    pub(crate) const ALL: [Self; 10] = [
        Self::Discover,
        Self::Initialize,
        Self::Ping,
        Self::ListTools,
        Self::CallTool,
        Self::Other,
        Self::OneWay,
        Self::EndSession,
        Self::Listen,
        Self::OpenStream,
    ];

    /// The method of a request, in its era. Each era has its own.
    fn of(era: Era, method: &str) -> Self {
        match (era, method) {
            (_, "tools/call") => Self::CallTool,
            (_, "tools/list") => Self::ListTools,
            (Era::Modern, "server/discover") => Self::Discover,
            (Era::Modern, subscription::LISTEN) => Self::Listen,
            (Era::Legacy(_), "initialize") => Self::Initialize,
            (Era::Legacy(_), "ping") => Self::Ping,
            (Era::Modern | Era::Legacy(_), _) => Self::Other,
        }
    }

    /// Its name in the trail, if it is one of the protocol's.
    pub(crate) const fn label(self) -> Option<&'static str> {
        match self {
            Self::Discover => Some("server/discover"),
            Self::Initialize => Some("initialize"),
            Self::Ping => Some("ping"),
            Self::ListTools => Some("tools/list"),
            Self::CallTool => Some("tools/call"),
            Self::Listen => Some(subscription::LISTEN),
            Self::Other | Self::OneWay | Self::EndSession | Self::OpenStream => None,
        }
    }

    /// Its name in metrics.
    pub(crate) const fn metric(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::OneWay => "one_way",
            Self::EndSession => "end_session",
            Self::OpenStream => "open_stream",
            Self::Discover | Self::Initialize | Self::Ping | Self::ListTools | Self::CallTool | Self::Listen => {
                match self.label() {
                    Some(label) => label,
                    None => "other",
                }
            }
        }
    }
}

/// A message that was read strictly, belongs to one era, and agrees with its headers.
#[derive(Debug)]
pub(crate) struct Inbound<'a> {
    message: Message<'a>,
    era: Era,
    method: Method,
}

impl<'a> Inbound<'a> {
    /// Reads a message. `negotiated` is the version of its session, where its headers name none.
    ///
    /// # Errors
    /// The answer, with the id where one could be read.
    pub(crate) fn read(
        headers: &HeaderMap,
        negotiated: Option<LegacyVersion>,
        body: &'a [u8],
        limits: &Limits,
    ) -> Result<Self, Reply> {
        let message = strict::parse(body, limits)
            .map_err(|refusal| Reply::error(&refusal.error.to_rpc(), refusal.id, reason(&refusal.error)))?;
        let id = id_of(&message);
        let named = headers::protocol_version(headers).map(|named| named.or(negotiated.map(LegacyVersion::as_str)));
        let era = named.and_then(|named| era::decide(named, &message));
        let era = era.map_err(|error| Reply::error(&error.to_rpc(), id, "no_era"))?;
        headers::agree(era, headers, &message).map_err(|error| Reply::error(&error.to_rpc(), id, "header_mismatch"))?;
        let method = match (&message, era) {
            (Message::Request(request), _) => Method::of(era, &request.method),
            (Message::Notification(_), _) | (Message::Response(_), Era::Legacy(_)) => Method::OneWay,
            (Message::Response(_), Era::Modern) => {
                let error = RpcError::invalid_request("a client sends no responses in this revision");
                return Err(Reply::error(&error, None, "response_not_expected"));
            }
        };
        Ok(Self { message, era, method })
    }

    pub(crate) fn message(&self) -> &Message<'a> {
        &self.message
    }

    pub(crate) fn era(&self) -> Era {
        self.era
    }

    pub(crate) fn method(&self) -> Method {
        self.method
    }
}

fn id_of<'a>(message: &Message<'a>) -> Option<Id<'a>> {
    match message {
        Message::Request(request) => Some(request.id),
        Message::Notification(_) | Message::Response(_) => None,
    }
}

fn reason(error: &StrictError) -> &'static str {
    match error {
        StrictError::TooLong { .. } => "body_too_long",
        StrictError::NotUtf8(_) | StrictError::ByteOrderMark | StrictError::Json { .. } => "not_json",
        StrictError::Batch => "batch",
        StrictError::NotAnObject(_)
        | StrictError::UnknownMember(_)
        | StrictError::WrongCase(..)
        | StrictError::WrongKind(..)
        | StrictError::NotJsonRpc2
        | StrictError::BadId(_)
        | StrictError::Shape(_)
        | StrictError::Params(_) => "not_a_message",
    }
}

/// What the headers say about the body, before any of it is read.
///
/// # Errors
/// HTTP 406, 413 or 415.
pub(crate) fn admit(headers: &HeaderMap, body: &Body, limits: &Limits) -> Result<(), Reply> {
    headers::sends_json(headers).map_err(|error| Reply::error(&error, None, "not_json_by_header"))?;
    headers::accepts_both(headers).map_err(|error| Reply::error(&error, None, "not_acceptable"))?;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limits.max_body_bytes { Err(too_long(limits)) } else { Ok(()) }
}

/// Reads a body whole, within its bounds.
///
/// # Errors
/// HTTP 413, 408, or 400 for a body that broke off.
pub(crate) async fn body(body: Body, limits: &Limits, at_most: Duration) -> Result<Bytes, Reply> {
    let whole = Limited::new(body, limits.max_body_bytes).collect();
    match tokio::time::timeout(at_most, whole).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_long(limits)),
        // The listener has a time for every body; whichever ends first says the same.
        Ok(Err(error)) if is_timeout(error.as_ref()) => Err(too_slow()),
        Ok(Err(_)) => Err(Reply::error(&RpcError::parse("the body broke off; send it whole"), None, "body_broke_off")),
        Err(_) => Err(too_slow()),
    }
}

/// Whether something below ran out of time, however deep.
fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    match error.downcast_ref::<io::Error>() {
        Some(io) if io.kind() == io::ErrorKind::TimedOut => true,
        Some(_) | None => error.source().is_some_and(is_timeout),
    }
}

fn too_slow() -> Reply {
    let error = RpcError::invalid_request("the body took too long; send it at once");
    let mut reply = Reply::error(&error, None, "body_too_slow");
    reply.status = http::StatusCode::REQUEST_TIMEOUT;
    reply
}

/// How much of an unread body is taken, and for how long: of a stranger, what a client writes that does not know yet that it needs
/// a token; of somebody known, what is too long by mistake.
pub(crate) const OF_STRANGERS: (usize, Duration) = (64 * 1024, Duration::from_millis(250));
pub(crate) const OF_CALLERS: (usize, Duration) = (16 << 20, Duration::from_secs(2));

/// Takes a body and throws it away. A client that is refused by its headers may be writing it still: with the body left unread its
/// connection would close under it, and it would not hear why.
///
/// What is larger or slow is left, and the connection closes.
pub(crate) async fn discard(body: Body, (most_bytes, at_most): (usize, Duration)) {
    let mut rest = Limited::new(body, most_bytes);
    let taken = async { while let Some(Ok(_)) = rest.frame().await {} };
    // Whether it ended in time shows in the connection alone.
    drop(tokio::time::timeout(at_most, taken).await);
}

fn too_long(limits: &Limits) -> Reply {
    let message = format!("request body is over the limit of {} bytes; send less at once", limits.max_body_bytes);
    Reply::error(&RpcError::body_too_large(message), None, "body_too_long")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn read(pairs: &[(&'static str, &'static str)], body: &str) -> Result<(Era, Method), (u16, &'static str)> {
        match Inbound::read(&headers(pairs), None, body.as_bytes(), &Limits::default()) {
            Ok(inbound) => Ok((inbound.era(), inbound.method())),
            Err(reply) => Err((reply.status.as_u16(), reply.note.result)),
        }
    }

    #[test]
    fn each_era_has_its_own_methods() {
        let modern = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "ping")];
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
        let ping = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{{meta}}}}}"#);
        assert_eq!(read(&modern, &ping), Ok((Era::Modern, Method::Other)));
        let legacy = [("mcp-protocol-version", "2025-11-25")];
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        assert_eq!(read(&legacy, ping), Ok((Era::Legacy(LegacyVersion::V2025_11_25), Method::Ping)));
        let discover = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#;
        assert_eq!(read(&legacy, discover).unwrap().1, Method::Other);
    }

    #[test]
    fn what_is_no_message_has_a_reason() {
        let legacy = [("mcp-protocol-version", "2025-11-25")];
        for (body, answer) in [
            ("[]", (400, "batch")),
            ("{", (400, "not_json")),
            (r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#, (400, "not_json")),
            (r#"{"jsonrpc":"2.0","id":1,"Method":"a"}"#, (400, "not_a_message")),
        ] {
            assert_eq!(read(&legacy, body), Err(answer), "{body}");
        }
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        assert_eq!(read(&[], call), Err((400, "no_era")));
        assert_eq!(read(&[legacy[0], ("mcp-method", "tools/list")], call), Err((400, "header_mismatch")));
    }

    #[test]
    fn a_modern_client_answers_nothing() {
        let modern = [("mcp-protocol-version", "2026-07-28")];
        let response = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        assert_eq!(read(&modern, response), Err((400, "response_not_expected")));
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_not_read_to_its_end() {
        let limits = Limits { max_body_bytes: 8, ..Limits::default() };
        let long = body(Body::from("123456789"), &limits, Duration::from_secs(5)).await;
        assert_eq!(long.unwrap_err().status.as_u16(), 413);
        // The listener lost patience first.
        let late = io::Error::new(io::ErrorKind::TimedOut, "late");
        let given_up = Body::from_stream(futures_util::stream::iter([Err::<Bytes, _>(late)]));
        let reply = body(given_up, &Limits::default(), Duration::from_mins(1)).await.unwrap_err();
        assert_eq!((reply.status.as_u16(), reply.note.result), (408, "body_too_slow"));
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, io::Error>>());
        let slow = body(never, &limits, Duration::from_millis(1)).await;
        assert_eq!(slow.unwrap_err().status.as_u16(), 408);
        let fits = body(Body::from("12345678"), &limits, Duration::from_secs(5)).await;
        assert_eq!(fits.unwrap(), "12345678");
    }
}
