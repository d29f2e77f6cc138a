//! Stage three: the headers that mirror the body (SEP-2243; MCP 2026-07-28, Streamable HTTP).
//!
//! Intermediaries may route and meter by `MCP-Protocol-Version`, `Mcp-Method`, `Mcp-Name` and
//! `Mcp-Param-*`, so on modern traffic a header that is missing, doubled, malformed or different
//! from the body is refused (`-32020`). [`agree`] compares what needs no catalogue; [`mirror`]
//! compares a visible tool's annotated parameters. A header is never the source of a decision: the
//! body is judged, the header only has to agree.

mod encode;
pub mod mirror;
mod outbound;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

use crate::era::{Era, EraError};
use crate::error::RpcError;
use crate::strict::{Message, Params};

pub use encode::{decode_value, encode_value};
pub use outbound::{Target, build, write_accept};

/// `MCP-Protocol-Version`.
pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// `Mcp-Method`.
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// `Mcp-Name`.
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// `Mcp-Session-Id`, legacy only.
pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// What every `Mcp-Param-…` header begins with, in lower case.
pub const PARAM_PREFIX: &str = "mcp-param-";

/// Why the headers do not fit the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Sent more than once.
    #[error("header `{0}` is sent more than once; send it once")]
    Duplicate(String),
    /// Required and absent.
    #[error("header `{0}` is missing; send `{1}` as in the body")]
    Missing(String, String),
    /// Not text, or a broken `=?base64?…?=`.
    #[error("header `{0}` cannot be read; send visible ASCII, or `=?base64?…?=` of UTF-8")]
    Malformed(String),
    /// Not what the body says.
    #[error("header `{name}` is `{found}` but the body says `{expected}`; send the same in both")]
    Differs {
        /// The header.
        name: String,
        /// What it holds, decoded, shortened.
        found: String,
        /// What the body holds, shortened.
        expected: String,
    },
    /// Present although the body has nothing it could mirror.
    #[error("header `{0}` is sent but the body has no such value; leave it out")]
    Unexpected(String),
}

impl HeaderError {
    /// `-32020`, HTTP 400.
    pub fn to_rpc(&self) -> RpcError {
        RpcError::header_mismatch(self.to_string())
    }
}

/// The one value of `MCP-Protocol-Version`, for [`crate::era::decide`].
///
/// # Errors
/// [`EraError::Mismatch`] (`-32020`) if it is doubled or not visible ASCII.
pub fn protocol_version(headers: &HeaderMap) -> Result<Option<&str>, EraError> {
    let text = single(headers, &PROTOCOL_VERSION, "MCP-Protocol-Version");
    text.map_err(|error| EraError::Mismatch(error.to_string()))
}

/// Compares `Mcp-Method` and `Mcp-Name` with the message. Legacy clients do not send them; where a
/// legacy message carries them all the same they must agree, so that nothing in front of the
/// gateway is told another story. `MCP-Protocol-Version` was compared by [`crate::era::decide`].
///
/// # Errors
/// See [`HeaderError`].
pub fn agree(era: Era, headers: &HeaderMap, message: &Message<'_>) -> Result<(), HeaderError> {
    let (method, params, is_request) = match message {
        Message::Request(request) => (request.method.as_ref(), &request.params, true),
        Message::Notification(note) => (note.method.as_ref(), &note.params, false),
        Message::Response(_) => return Ok(()),
    };
    let required = era.is_modern() && is_request;
    agree_on("Mcp-Method", single(headers, &METHOD, "Mcp-Method")?, Some(method), required)?;
    let name = single(headers, &NAME, "Mcp-Name")?;
    match mirrored_name(method, params) {
        Mirrored::Value(value) => agree_on("Mcp-Name", name, value, required),
        // A name on a method that has none mirrors nothing; modern intermediaries may act on it.
        Mirrored::Nothing if name.is_some() && era.is_modern() => Err(HeaderError::Unexpected("Mcp-Name".into())),
        Mirrored::Nothing => Ok(()),
    }
}

/// Whether the client takes what we may answer: modern clients must accept both `application/json`
/// and `text/event-stream`. Legacy requests are held to the same, as both specifications say MUST;
/// an absent header or `*/*` accepts everything.
///
/// # Errors
/// HTTP 406.
pub fn accepts_both(headers: &HeaderMap) -> Result<(), RpcError> {
    let mut json = false;
    let mut stream = false;
    let mut any = false;
    for value in headers.get_all(http::header::ACCEPT) {
        any = true;
        for range in value.as_bytes().split(|byte| *byte == b',') {
            let Some(media) = acceptable_media(range) else {
                continue;
            };
            let everything = media == b"*/*";
            json |= everything || is(media, b"application/json") || is(media, b"application/*");
            stream |= everything || is(media, b"text/event-stream") || is(media, b"text/*");
        }
    }
    if !any || (json && stream) {
        return Ok(());
    }
    Err(RpcError::not_acceptable("send `Accept: application/json, text/event-stream`"))
}

/// Whether the client takes a stream and nothing else: the `GET` of the legacy era. An absent header accepts everything.
///
/// # Errors
/// HTTP 406.
pub fn accepts_stream(headers: &HeaderMap) -> Result<(), RpcError> {
    if !headers.contains_key(http::header::ACCEPT) || names_stream(headers) {
        return Ok(());
    }
    Err(RpcError::not_acceptable("send `Accept: text/event-stream`"))
}

/// Whether the client says that it takes a stream. One without an `Accept` says nothing.
pub fn names_stream(headers: &HeaderMap) -> bool {
    let ranges =
        headers.get_all(http::header::ACCEPT).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    ranges
        .filter_map(acceptable_media)
        .any(|media| media == b"*/*" || is(media, b"text/event-stream") || is(media, b"text/*"))
}

/// Whether the body claims to be JSON: `application/json`, parameters allowed.
///
/// # Errors
/// HTTP 415, also if the header is absent or doubled.
pub fn sends_json(headers: &HeaderMap) -> Result<(), RpcError> {
    let mut values = headers.get_all(http::header::CONTENT_TYPE).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => {
            let media = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
            if is(media.trim_ascii(), b"application/json") {
                return Ok(());
            }
            Err(RpcError::unsupported_media_type())
        }
        _ => Err(RpcError::unsupported_media_type()),
    }
}

enum Mirrored<'m> {
    /// The method mirrors this member of `params`, which may be absent.
    Value(Option<&'m str>),
    /// The method mirrors none.
    Nothing,
}

fn mirrored_name<'m>(method: &str, params: &'m Params<'_>) -> Mirrored<'m> {
    match method {
        "tools/call" | "prompts/get" => Mirrored::Value(params.name.as_deref()),
        "resources/read" => Mirrored::Value(params.uri.as_deref()),
        _ if method.starts_with("tasks/") => Mirrored::Value(params.task_id.as_deref()),
        _ => Mirrored::Nothing,
    }
}

/// `body` is what the body says; a required header may be absent only if the body has no value.
fn agree_on(name: &str, header: Option<&str>, body: Option<&str>, required: bool) -> Result<(), HeaderError> {
    match (header, body) {
        (None, None) => Ok(()),
        (None, Some(_)) if !required => Ok(()),
        (None, Some(body)) => Err(HeaderError::Missing(name.into(), shown(body))),
        (Some(_), None) => Err(HeaderError::Unexpected(name.into())),
        (Some(header), Some(body)) => {
            let decoded: Cow<'_, str> = decode_value(header).ok_or_else(|| HeaderError::Malformed(name.to_owned()))?;
            if decoded == body {
                return Ok(());
            }
            Err(HeaderError::Differs { name: name.into(), found: shown(&decoded), expected: shown(body) })
        }
    }
}

/// The one value of a header as visible ASCII and inner white space; `label` is its usual spelling.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName, label: &str) -> Result<Option<&'h str>, HeaderError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(HeaderError::Duplicate(label.to_owned()));
    }
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim_matches([' ', '\t']))),
        Err(_) => Err(HeaderError::Malformed(label.to_owned())),
    }
}

/// The media range without parameters, unless its weight is zero.
fn acceptable_media(range: &[u8]) -> Option<&[u8]> {
    let mut parts = range.split(|byte| *byte == b';');
    let media = parts.next()?.trim_ascii();
    let refused = parts.any(|parameter| {
        let parameter = parameter.trim_ascii();
        let weight = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="));
        weight.is_some_and(|weight| weight.iter().all(|byte| matches!(byte, b'0' | b'.')))
    });
    (!refused).then_some(media)
}

fn is(media: &[u8], expected: &[u8]) -> bool {
    media.eq_ignore_ascii_case(expected)
}

/// Input shown in a message: at most 128 characters, control characters escaped.
fn shown(input: &str) -> String {
    input.chars().take(128).flat_map(char::escape_debug).collect()
}
