//! One JSON-RPC message from an upstream.
//!
//! The envelope is read strictly (each known member once, our id exactly), what it carries is held
//! to the grammar of JSON and otherwise left as it is. A message that could be an answer to someone
//! else, or two answers at once, is no answer.

use std::borrow::Cow;

use super::{quoted, scanner};
use crate::raw::{Id, Kind, OwnedRaw, Raw};
use crate::scan::Fault;

/// Longest part of an upstream's error message that is passed on, in characters.
const LONGEST_MESSAGE: usize = 500;

/// Most versions read from an error or a discovery.
const MOST_VERSIONS: usize = 32;

/// A message, as far as a client that asked one thing cares.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// The answer to our request.
    Result(Raw<'a>),
    /// The refusal of our request.
    Error(RemoteError),
    /// Something the server tells.
    Notification {
        /// What it tells of.
        method: Cow<'a, str>,
        /// More about it. None as well if it stands there twice.
        params: Option<Raw<'a>>,
    },
    /// Something the server asks (legacy only; a modern server must not).
    Request {
        /// The server's id.
        id: Id<'a>,
        /// What it asks.
        method: Cow<'a, str>,
    },
}

/// A JSON-RPC error of the upstream. Its words are untrusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteError {
    /// Its code, in the upstream's meaning.
    pub code: i64,
    /// Its message, shortened.
    pub message: String,
    /// `data.supported` of a `-32022`.
    pub supported: Vec<String>,
    /// `data.requiredCapabilities` of a `-32021`, as far as its names are known.
    pub required: Option<OwnedRaw>,
}

impl RemoteError {
    /// One of the codes that only a modern server knows.
    pub fn is_modern(&self) -> bool {
        (-32022..=-32020).contains(&self.code)
    }

    /// A code that says the request was not understood, so nothing was carried out. The codes for
    /// invalid requests and parameters do not say that: real servers give them from within a tool.
    pub fn is_refusal(&self) -> bool {
        self.is_modern() || matches!(self.code, -32700 | -32601)
    }
}

/// Why a text is not a message that can be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// The scanner stopped.
    #[error("{fault} (byte {offset})")]
    Json {
        /// What it met.
        fault: Fault,
        /// Where.
        offset: usize,
    },
    /// Neither an object nor something that could hold one.
    #[error("it is {0}, not a JSON-RPC message")]
    NotAnObject(&'static str),
    /// A known member stands there twice.
    #[error("it holds `{0}` twice")]
    Twice(&'static str),
    /// `jsonrpc` is absent or another version.
    #[error("it is not JSON-RPC 2.0")]
    NotJsonRpc2,
    /// The members make no message.
    #[error("{0}")]
    Shape(&'static str),
    /// An answer to another request.
    #[error("it answers another request (id {0})")]
    WrongId(String),
}

/// Reads one message that came in reply to the request with id `ours`.
///
/// # Errors
/// See [`AnswerFault`].
pub fn read(bytes: &[u8], ours: u64) -> Result<Incoming<'_>, AnswerFault> {
    let text = std::str::from_utf8(bytes).map_err(|_| AnswerFault::NotUtf8)?;
    let mut scanner = scanner(text);
    if scanner.peek() != Some(b'{') {
        let value = scanner.value().map_err(|fault| AnswerFault::Json { fault, offset: scanner.at() })?;
        return Err(AnswerFault::NotAnObject(Raw::from_scanned(value).kind().name()));
    }
    let mut parts = Parts::default();
    match parts.read(&mut scanner) {
        Ok(None) => parts.into_incoming(ours),
        Ok(Some(fault)) => Err(fault),
        Err(fault) => Err(AnswerFault::Json { fault, offset: scanner.at() }),
    }
}

#[derive(Default)]
struct Parts<'a> {
    jsonrpc: Option<&'a str>,
    id: Option<&'a str>,
    method: Option<&'a str>,
    result: Option<&'a str>,
    error: Option<&'a str>,
    params: Params<'a>,
}

/// `params` of a notification: only that matters twice.
#[derive(Clone, Copy, Default)]
enum Params<'a> {
    #[default]
    None,
    One(&'a str),
    Several,
}

impl<'a> Parts<'a> {
    /// Members of other names are nobody's business.
    fn read(&mut self, scanner: &mut crate::scan::Scanner<'a>) -> Result<Option<AnswerFault>, Fault> {
        let mut object = scanner.open_object()?;
        let mut twice = None;
        while let Some(key) = scanner.next_key(&mut object)? {
            let value = scanner.value()?;
            let (name, place) = match key.name.as_ref() {
                "jsonrpc" => ("jsonrpc", &mut self.jsonrpc),
                "id" => ("id", &mut self.id),
                "method" => ("method", &mut self.method),
                "result" => ("result", &mut self.result),
                "error" => ("error", &mut self.error),
                "params" => {
                    self.params = match self.params {
                        Params::None => Params::One(value),
                        Params::One(_) | Params::Several => Params::Several,
                    };
                    continue;
                }
                _ => continue,
            };
            if place.replace(value).is_some() {
                twice = Some(AnswerFault::Twice(name));
            }
        }
        scanner.finish()?;
        Ok(twice)
    }

    fn into_incoming(self, ours: u64) -> Result<Incoming<'a>, AnswerFault> {
        if self.jsonrpc != Some("\"2.0\"") {
            return Err(AnswerFault::NotJsonRpc2);
        }
        // Some servers write `"error":null` beside a result.
        let error = self.error.filter(|error| *error != "null");
        match (self.method, self.result, error) {
            (Some(method), None, None) => self.spoken(method),
            (None, Some(result), None) => {
                self.expect_id(ours)?;
                Ok(Incoming::Result(Raw::from_scanned(result)))
            }
            (None, None, Some(error)) => {
                // A server that could not read the request cannot name its id.
                if !matches!(self.id, None | Some("null")) {
                    self.expect_id(ours)?;
                }
                remote_error(Raw::from_scanned(error)).map(Incoming::Error)
            }
            (None, None, None) => Err(AnswerFault::Shape("it has neither `result` nor `error`")),
            (_, Some(_), Some(_)) => Err(AnswerFault::Shape("it has both `result` and `error`")),
            (Some(_), _, _) => Err(AnswerFault::Shape("it is a request and an answer at once")),
        }
    }

    fn spoken(&self, method: &'a str) -> Result<Incoming<'a>, AnswerFault> {
        let method = string(method).ok_or(AnswerFault::Shape("its `method` is not a string"))?;
        match self.id {
            None => {
                let params = match self.params {
                    Params::One(params) => Some(Raw::from_scanned(params)),
                    Params::None | Params::Several => None,
                };
                Ok(Incoming::Notification { method, params })
            }
            Some(id) => match Raw::from_scanned(id).kind() {
                Kind::String | Kind::Number => Ok(Incoming::Request { id: Id::from_scanned(id), method }),
                _ => Err(AnswerFault::Shape("its `id` is neither a string nor a number")),
            },
        }
    }

    fn expect_id(&self, ours: u64) -> Result<(), AnswerFault> {
        let id = self.id.ok_or(AnswerFault::Shape("it has no `id`"))?;
        if id == ours.to_string() { Ok(()) } else { Err(AnswerFault::WrongId(quoted(id, 40))) }
    }
}

fn remote_error(error: Raw<'_>) -> Result<RemoteError, AnswerFault> {
    const BROKEN: AnswerFault = AnswerFault::Shape("its `error` has no `code` or no `message`");
    if !error.is_object() {
        return Err(BROKEN);
    }
    // Read by scanner, not by a JSON library: an error that holds a lone surrogate is still an error.
    let code = member(error, "code").and_then(|code| code.as_str().parse().ok()).ok_or(BROKEN)?;
    let message = member(error, "message").and_then(|message| string(message.as_str())).unwrap_or_default();
    let data = member(error, "data");
    let supported = data.and_then(|data| member(data, "supported")).map(strings).unwrap_or_default();
    let needs_more = code == i64::from(crate::error::MISSING_CLIENT_CAPABILITY);
    let required = data.filter(|_| needs_more).and_then(super::capabilities::required);
    Ok(RemoteError { code, message: quoted(message.trim(), LONGEST_MESSAGE), supported, required })
}

/// The versions a modern server names in the result of `server/discover`.
pub fn supported_versions(result: Raw<'_>) -> Vec<String> {
    member(result, "supportedVersions").map(strings).unwrap_or_default()
}

/// The version in the result of `initialize`.
pub fn protocol_version(result: Raw<'_>) -> Option<String> {
    member(result, "protocolVersion").and_then(|version| string(version.as_str())).map(Cow::into_owned)
}

/// A member of an object that was scanned before; the first of its name.
pub(crate) fn member<'a>(object: Raw<'a>, name: &str) -> Option<Raw<'a>> {
    if !object.is_object() {
        return None;
    }
    let mut scanner = scanner(object.as_str());
    let mut open = scanner.open_object().ok()?;
    while let Some(key) = scanner.next_key(&mut open).ok()? {
        let value = scanner.value().ok()?;
        if key.name == name {
            return Some(Raw::from_scanned(value));
        }
    }
    None
}

/// A string that was scanned before.
pub(super) fn string(value: &str) -> Option<Cow<'_, str>> {
    value.starts_with('"').then(|| scanner(value).string("a string").ok()).flatten()
}

/// The strings of an array; other items are left out.
fn strings(value: Raw<'_>) -> Vec<String> {
    let mut scanner = scanner(value.as_str());
    let mut out = Vec::new();
    let Ok(mut array) = scanner.open_array() else { return out };
    while out.len() < MOST_VERSIONS && scanner.next_item(&mut array) == Ok(true) {
        let Ok(item) = scanner.value() else { break };
        out.extend(string(item).map(|text| quoted(&text, 32)));
    }
    out
}
