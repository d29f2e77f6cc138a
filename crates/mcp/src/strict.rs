//! Stage one of a request's way: the body bytes become a [`Message`], or a [`Refusal`].
//!
//! One pass over the body; everything in the message borrows from it. What a lenient parser could
//! read in two ways is refused here, so that no later stage, and no upstream, can see a different
//! request than the one that was judged (JSON-RPC 2.0; RFC 7493; MCP 2025-06-18 dropped batches).
//! It must never repair, guess or skip: a doubt is a refusal.

mod arguments;
mod params;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use arguments::{ArgumentError, parse_arguments, to_sorted_json, write_sorted_json};
pub use params::{Meta, Params, ParamsFault};

use crate::error::RpcError;
use crate::raw::{Id, Kind, Raw};
use crate::scan::{Fault, Mode, Scanner};

/// Bounds on a body from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest body, in bytes.
    pub max_body_bytes: usize,
    /// Deepest nesting of objects and arrays, the envelope included. Values above
    /// [`Limits::DEPTH_CEILING`] are read as the ceiling.
    pub max_depth: u16,
    /// Longest object key, in bytes after unescaping.
    pub max_key_bytes: usize,
    /// Longest request id, in bytes as written.
    pub max_id_bytes: usize,
}

impl Limits {
    /// No configuration may let a body nest deeper than the stack can carry.
    pub const DEPTH_CEILING: u16 = 256;
}

impl Default for Limits {
    /// 4 MiB, 64 levels, keys of 1 KiB, ids of 256 bytes.
    fn default() -> Self {
        Self { max_body_bytes: 4 * 1024 * 1024, max_depth: 64, max_key_bytes: 1024, max_id_bytes: 256 }
    }
}

/// One JSON-RPC message from a client.
#[derive(Debug)]
pub enum Message<'a> {
    /// A call that expects an answer.
    Request(Request<'a>),
    /// A call that expects none.
    Notification(Notification<'a>),
    /// A legacy client's answer to a request of ours.
    Response(Response<'a>),
}

/// A call that expects an answer.
#[derive(Debug)]
pub struct Request<'a> {
    /// To be echoed byte for byte.
    pub id: Id<'a>,
    /// The method, unescaped.
    pub method: Cow<'a, str>,
    /// The members of `params` this gateway reads.
    pub params: Params<'a>,
}

/// A call that expects no answer.
#[derive(Debug)]
pub struct Notification<'a> {
    /// The method, unescaped.
    pub method: Cow<'a, str>,
    /// The members of `params` this gateway reads.
    pub params: Params<'a>,
}

/// A legacy client's answer to a request of ours.
#[derive(Debug)]
pub struct Response<'a> {
    /// The id we gave the request.
    pub id: Id<'a>,
    /// What the client answered.
    pub outcome: ResponseOutcome<'a>,
}

/// What a client answered.
#[derive(Clone, Copy, Debug)]
pub enum ResponseOutcome<'a> {
    /// The raw `result`.
    Result(Raw<'a>),
    /// The raw `error` object.
    Error(Raw<'a>),
}

/// Why a body is not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StrictError {
    /// Longer than the limit.
    #[error("request body of {found} bytes is over the limit of {limit} bytes; send less at once")]
    TooLong {
        /// Bytes received.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not UTF-8.
    #[error("body is not UTF-8 at byte {0}; send JSON as UTF-8")]
    NotUtf8(usize),
    /// Opens with a byte order mark.
    #[error("body begins with a byte order mark; send JSON as UTF-8 without one")]
    ByteOrderMark,
    /// The scanner stopped.
    #[error("{fault} (byte {offset})")]
    Json {
        /// What it met.
        fault: Fault,
        /// Where, in bytes from the start of the body.
        offset: usize,
    },
    /// An array of messages.
    #[error("batches are not part of this protocol since 2025-06-18; send one message per request")]
    Batch,
    /// Neither an object nor an array.
    #[error("a message is a JSON object; this body is {0}")]
    NotAnObject(&'static str),
    /// A member the envelope does not have.
    #[error("unknown member `{0}` in the message; allowed: jsonrpc, id, method, params, result, error")]
    UnknownMember(String),
    /// A known member in another case.
    #[error("member `{0}` of the message must be written `{1}`")]
    WrongCase(String, &'static str),
    /// A member whose kind is wrong.
    #[error("member `{0}` of the message must be {1}")]
    WrongKind(&'static str, &'static str),
    /// `jsonrpc` is absent or another version.
    #[error("member `jsonrpc` must be \"2.0\"")]
    NotJsonRpc2,
    /// `id` is neither a string nor an integer, or too long.
    #[error("member `id` must be a string or an integer of at most {0} bytes")]
    BadId(usize),
    /// The members present do not make a request, a notification or a response.
    #[error("{0}")]
    Shape(&'static str),
    /// The envelope is right and `params` is not.
    #[error(transparent)]
    Params(ParamsFault),
}

impl StrictError {
    /// The answer for the client: −32700, −32600 or −32602 with HTTP 400 (413 if too long).
    pub fn to_rpc(&self) -> RpcError {
        match self {
            Self::TooLong { .. } => RpcError::body_too_large(self.to_string()),
            Self::NotUtf8(_) | Self::ByteOrderMark => RpcError::parse(self.to_string()),
            Self::Json { fault, .. } => match fault {
                Fault::Expected(_)
                | Fault::Ends
                | Fault::Trailing
                | Fault::Control
                | Fault::Escape
                | Fault::LoneSurrogate => RpcError::parse(self.to_string()),
                Fault::DuplicateKey | Fault::LongKey(_) | Fault::TooDeep(_) => {
                    RpcError::invalid_request(self.to_string())
                }
            },
            Self::Batch
            | Self::NotAnObject(_)
            | Self::UnknownMember(_)
            | Self::WrongCase(..)
            | Self::WrongKind(..)
            | Self::NotJsonRpc2
            | Self::BadId(_)
            | Self::Shape(_) => RpcError::invalid_request(self.to_string()),
            Self::Params(_) => RpcError::bad_meta(self.to_string()),
        }
    }
}

/// A refused body, with the id to answer under where one could be read.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Refusal<'a> {
    /// The request's id, if it was read before the fault and is well formed.
    pub id: Option<Id<'a>>,
    /// What is wrong.
    pub error: StrictError,
}

impl Refusal<'_> {
    /// HTTP status and body bytes of the answer.
    pub fn to_response(&self) -> (u16, Vec<u8>) {
        let error = self.error.to_rpc();
        (error.http_status(), error.to_response_bytes(self.id))
    }
}

/// Reads one message.
///
/// # Errors
/// A [`Refusal`] for everything [`StrictError`] names. Faults of the envelope's meaning are reported
/// after the whole body was read, so that the refusal can carry the id.
pub fn parse<'a>(body: &'a [u8], limits: &Limits) -> Result<Message<'a>, Refusal<'a>> {
    let without_id = |error| Refusal { id: None, error };
    let text = text_of(body, limits).map_err(without_id)?;
    let depth = limits.max_depth.min(Limits::DEPTH_CEILING);
    let mut scanner = Scanner::new(text, Mode::Strict, depth, limits.max_key_bytes);
    match scanner.peek() {
        Some(b'{') => {}
        Some(b'[') => return Err(without_id(StrictError::Batch)),
        _ => return Err(without_id(not_an_object(&mut scanner))),
    }
    let mut parts = Parts::default();
    let read = parts.read(&mut scanner, limits);
    let id = parts.id;
    match read {
        Err(fault) => {
            let offset = scanner.at();
            let error = StrictError::Json { fault, offset };
            Err(Refusal { id, error })
        }
        Ok(()) => parts.into_message().map_err(|error| Refusal { id, error }),
    }
}

/// Reads a body that is one object of any shape, as strictly as a message. Whoever looks into it afterwards, however
/// leniently, finds one reading.
///
/// # Errors
/// See [`StrictError`].
pub fn object<'a>(body: &'a [u8], limits: &Limits) -> Result<Raw<'a>, StrictError> {
    let text = text_of(body, limits)?;
    let mut scanner =
        Scanner::new(text, Mode::Strict, limits.max_depth.min(Limits::DEPTH_CEILING), limits.max_key_bytes);
    if scanner.peek() != Some(b'{') {
        return Err(not_an_object(&mut scanner));
    }
    let read = scanner.value().and_then(|object| scanner.finish().map(|()| object));
    read.map(Raw::from_scanned).map_err(|fault| StrictError::Json { fault, offset: scanner.at() })
}

fn text_of<'a>(body: &'a [u8], limits: &Limits) -> Result<&'a str, StrictError> {
    if body.len() > limits.max_body_bytes {
        let (found, limit) = (body.len(), limits.max_body_bytes);
        return Err(StrictError::TooLong { found, limit });
    }
    if body.starts_with(b"\xEF\xBB\xBF") {
        return Err(StrictError::ByteOrderMark);
    }
    std::str::from_utf8(body).map_err(|e| StrictError::NotUtf8(e.valid_up_to()))
}

fn not_an_object(scanner: &mut Scanner<'_>) -> StrictError {
    let read = scanner.value().and_then(|text| scanner.finish().map(|()| text));
    match read {
        Ok(text) => StrictError::NotAnObject(Raw::from_scanned(text).kind().name()),
        Err(fault) => StrictError::Json { fault, offset: scanner.at() },
    }
}

const ENVELOPE: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// The members of the envelope as they come, in any order.
#[derive(Default)]
struct Parts<'a> {
    jsonrpc: bool,
    id: Option<Id<'a>>,
    method: Option<Cow<'a, str>>,
    params: Option<Params<'a>>,
    result: Option<Raw<'a>>,
    error: Option<Raw<'a>>,
    /// The first fault of meaning; the grammar is read to the end first.
    fault: Option<StrictError>,
}

impl<'a> Parts<'a> {
    fn read(&mut self, scanner: &mut Scanner<'a>, limits: &Limits) -> Result<(), Fault> {
        let mut object = scanner.open_object()?;
        while let Some(key) = scanner.next_key(&mut object)? {
            self.member(scanner, &key.name, limits)?;
        }
        scanner.finish()
    }

    fn member(&mut self, scanner: &mut Scanner<'a>, name: &str, limits: &Limits) -> Result<(), Fault> {
        match name {
            "jsonrpc" => self.jsonrpc = scanner.value()? == "\"2.0\"",
            "id" => {
                let text = scanner.value()?;
                self.id = well_formed_id(text, limits.max_id_bytes);
                if self.id.is_none() {
                    self.blame(StrictError::BadId(limits.max_id_bytes));
                }
            }
            "method" => {
                if scanner.peek() == Some(b'"') {
                    self.method = Some(scanner.string("a string")?);
                } else {
                    scanner.value()?;
                    self.blame(StrictError::WrongKind("method", "a string"));
                }
            }
            "params" => {
                if scanner.peek() == Some(b'{') {
                    let (params, fault) = Params::read(scanner)?;
                    self.params = Some(params);
                    if let Some(fault) = fault {
                        self.blame(StrictError::Params(fault));
                    }
                } else {
                    scanner.value()?;
                    self.blame(StrictError::WrongKind("params", "an object"));
                }
            }
            "result" => self.result = Some(self.object_member(scanner, "result")?),
            "error" => self.error = Some(self.object_member(scanner, "error")?),
            other => {
                scanner.value()?;
                self.blame(match same_but_for_case(other, &ENVELOPE) {
                    Some(known) => StrictError::WrongCase(shortened(other), known),
                    None => StrictError::UnknownMember(shortened(other)),
                });
            }
        }
        Ok(())
    }

    fn object_member(&mut self, scanner: &mut Scanner<'a>, name: &'static str) -> Result<Raw<'a>, Fault> {
        let raw = Raw::from_scanned(scanner.value()?);
        if !raw.is_object() {
            self.blame(StrictError::WrongKind(name, "an object"));
        }
        Ok(raw)
    }

    fn blame(&mut self, fault: StrictError) {
        self.fault.get_or_insert(fault);
    }

    fn into_message(self) -> Result<Message<'a>, StrictError> {
        // A fault of `params` is told only once the envelope around it is right.
        if let Some(fault) = self.fault.as_ref()
            && !matches!(fault, StrictError::Params(_))
        {
            return Err(fault.clone());
        }
        if !self.jsonrpc {
            return Err(StrictError::NotJsonRpc2);
        }
        let answer = match (self.result, self.error) {
            (None, None) => None,
            (Some(result), None) => Some(ResponseOutcome::Result(result)),
            (None, Some(error)) => Some(ResponseOutcome::Error(error)),
            (Some(_), Some(_)) => {
                return Err(StrictError::Shape("a response has either `result` or `error`, not both"));
            }
        };
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        match (self.method, answer) {
            (Some(_), Some(_)) => {
                Err(StrictError::Shape("a message has either `method` or a `result` or `error`, not both"))
            }
            (None, None) => Err(StrictError::Shape("member `method` is missing")),
            (Some(method), None) => {
                let params = self.params.unwrap_or_default();
                Ok(match self.id {
                    Some(id) => Message::Request(Request { id, method, params }),
                    None => Message::Notification(Notification { method, params }),
                })
            }
            (None, Some(outcome)) => match (self.id, self.params) {
                (_, Some(_)) => Err(StrictError::Shape("a response has no `params`")),
                (None, None) => Err(StrictError::Shape("member `id` of the response is missing")),
                (Some(id), None) => Ok(Message::Response(Response { id, outcome })),
            },
        }
    }
}

/// A string, or a number without fraction and exponent, within the limit.
fn well_formed_id(text: &str, max_bytes: usize) -> Option<Id<'_>> {
    let raw = Raw::from_scanned(text);
    let integer = || !text.bytes().any(|b| matches!(b, b'.' | b'e' | b'E'));
    let allowed = match raw.kind() {
        Kind::String => true,
        Kind::Number => integer(),
        Kind::Object | Kind::Array | Kind::Bool | Kind::Null => false,
    };
    (allowed && text.len() <= max_bytes).then(|| Id::from_scanned(text))
}

/// The known name that `name` equals except for case. Lenient parsers fold case (Go's folds U+017F
/// to `s` and U+212A to `k`), so such a member could be read as the known one by a later reader.
fn same_but_for_case(name: &str, known: &[&'static str]) -> Option<&'static str> {
    known.iter().copied().find(|known| *known != name && name.chars().map(fold).eq(known.chars().map(fold)))
}

/// Folds the letters that any common case mapping takes to ASCII.
fn fold(character: char) -> char {
    match character {
        '\u{17F}' => 's',
        '\u{212A}' => 'k',
        '\u{130}' | '\u{131}' => 'i',
        other => other.to_ascii_lowercase(),
    }
}

/// Input shown in a message: at most 64 characters, control characters escaped.
fn shortened(input: &str) -> String {
    input.chars().take(64).flat_map(char::escape_debug).collect()
}
