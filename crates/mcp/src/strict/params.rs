//! The members of `params` and `params._meta` that the gateway reads.
//!
//! Every other member is tolerated by name and stays where it is; it is surfaced nowhere, so it can
//! reach neither the judge nor an upstream. A known member in another case is refused, because a
//! later, lenient reader could take it for the known one.

use std::borrow::Cow;

use super::{same_but_for_case, shortened};
use crate::raw::{Kind, Raw};
use crate::scan::{Fault, Scanner};

/// What a request or notification carries. Raw members are unread JSON.
#[derive(Debug, Default)]
pub struct Params<'a> {
    /// `name` of a tool or prompt.
    pub name: Option<Cow<'a, str>>,
    /// `uri` of a resource.
    pub uri: Option<Cow<'a, str>>,
    /// `taskId` of the tasks extension.
    pub task_id: Option<Cow<'a, str>>,
    /// `cursor` of a list.
    pub cursor: Option<Cow<'a, str>>,
    /// `arguments`, an object; read it with [`super::parse_arguments`].
    pub arguments: Option<Raw<'a>>,
    /// `protocolVersion` of a legacy `initialize`.
    pub protocol_version: Option<Cow<'a, str>>,
    /// `capabilities` of a legacy `initialize`, an object.
    pub capabilities: Option<Raw<'a>>,
    /// `clientInfo` of a legacy `initialize`, an object.
    pub client_info: Option<Raw<'a>>,
    /// `requestState` of a retried call.
    pub request_state: Option<Cow<'a, str>>,
    /// `inputResponses` of a retried call, an object.
    pub input_responses: Option<Raw<'a>>,
    /// `notifications` of a `subscriptions/listen`, an object.
    pub notifications: Option<Raw<'a>>,
    /// `_meta`.
    pub meta: Meta<'a>,
}

/// `params._meta`. Keys of the protocol stand under `io.modelcontextprotocol/`; the rest are bare.
#[derive(Debug, Default)]
pub struct Meta<'a> {
    /// Whether the request carried a `_meta` object at all.
    pub present: bool,
    /// `io.modelcontextprotocol/protocolVersion`.
    pub protocol_version: Option<Cow<'a, str>>,
    /// `io.modelcontextprotocol/clientInfo`, an object; self-reported, never a basis of decisions.
    pub client_info: Option<Raw<'a>>,
    /// `io.modelcontextprotocol/clientCapabilities`, an object.
    pub client_capabilities: Option<Raw<'a>>,
    /// `io.modelcontextprotocol/logLevel`.
    pub log_level: Option<Cow<'a, str>>,
    /// `progressToken`, a string or number.
    pub progress_token: Option<Raw<'a>>,
    /// `traceparent` (W3C Trace Context).
    pub traceparent: Option<Cow<'a, str>>,
    /// `tracestate` (W3C Trace Context).
    pub tracestate: Option<Cow<'a, str>>,
    /// `baggage` (W3C Baggage).
    pub baggage: Option<Cow<'a, str>>,
}

/// What is wrong with `params`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsFault {
    /// A known member in another case.
    #[error("member `{0}` of {2} must be written `{1}`")]
    WrongCase(String, &'static str, &'static str),
    /// A known member of another kind.
    #[error("member `{0}` of {2} must be {1}")]
    WrongKind(&'static str, &'static str, &'static str),
}

const PARAMS: [&str; 12] = [
    "name",
    "uri",
    "taskId",
    "cursor",
    "arguments",
    "protocolVersion",
    "capabilities",
    "clientInfo",
    "requestState",
    "inputResponses",
    "notifications",
    "_meta",
];

pub(crate) const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(crate) const META_CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
pub(crate) const META_CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
pub(crate) const META_LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

const META: [&str; 8] = [
    META_VERSION,
    META_CLIENT_INFO,
    META_CLIENT_CAPABILITIES,
    META_LOG_LEVEL,
    "progressToken",
    "traceparent",
    "tracestate",
    "baggage",
];

/// Reads members of one object and keeps the first fault of meaning.
struct Reader<'s, 'a> {
    scanner: &'s mut Scanner<'a>,
    place: &'static str,
    fault: Option<ParamsFault>,
}

impl<'a> Params<'a> {
    /// The scanner stands before `{`.
    pub(super) fn read(scanner: &mut Scanner<'a>) -> Result<(Self, Option<ParamsFault>), Fault> {
        let mut params = Self::default();
        let mut object = scanner.open_object()?;
        let mut reader = Reader { scanner, place: "`params`", fault: None };
        while let Some(key) = reader.scanner.next_key(&mut object)? {
            match key.name.as_ref() {
                "name" => params.name = reader.string("name")?,
                "uri" => params.uri = reader.string("uri")?,
                "taskId" => params.task_id = reader.string("taskId")?,
                "cursor" => params.cursor = reader.string("cursor")?,
                "arguments" => params.arguments = reader.object("arguments")?,
                "protocolVersion" => params.protocol_version = reader.string("protocolVersion")?,
                "capabilities" => params.capabilities = reader.object("capabilities")?,
                "clientInfo" => params.client_info = reader.object("clientInfo")?,
                "requestState" => params.request_state = reader.string("requestState")?,
                "inputResponses" => params.input_responses = reader.object("inputResponses")?,
                "notifications" => params.notifications = reader.object("notifications")?,
                "_meta" => params.meta = reader.meta()?,
                other => reader.tolerate(other, &PARAMS)?,
            }
        }
        Ok((params, reader.fault))
    }
}

impl<'a> Reader<'_, 'a> {
    fn string(&mut self, name: &'static str) -> Result<Option<Cow<'a, str>>, Fault> {
        if self.scanner.peek() == Some(b'"') {
            return self.scanner.string("a string").map(Some);
        }
        self.scanner.value()?;
        self.wrong_kind(name, "a string");
        Ok(None)
    }

    fn object(&mut self, name: &'static str) -> Result<Option<Raw<'a>>, Fault> {
        let raw = Raw::from_scanned(self.scanner.value()?);
        if raw.is_object() {
            return Ok(Some(raw));
        }
        self.wrong_kind(name, "an object");
        Ok(None)
    }

    fn token(&mut self, name: &'static str) -> Result<Option<Raw<'a>>, Fault> {
        let raw = Raw::from_scanned(self.scanner.value()?);
        match raw.kind() {
            Kind::String | Kind::Number => Ok(Some(raw)),
            Kind::Object | Kind::Array | Kind::Bool | Kind::Null => {
                self.wrong_kind(name, "a string or a number");
                Ok(None)
            }
        }
    }

    fn meta(&mut self) -> Result<Meta<'a>, Fault> {
        if self.scanner.peek() != Some(b'{') {
            self.scanner.value()?;
            self.wrong_kind("_meta", "an object");
            return Ok(Meta::default());
        }
        let mut meta = Meta { present: true, ..Meta::default() };
        let place = std::mem::replace(&mut self.place, "`params._meta`");
        let mut object = self.scanner.open_object()?;
        while let Some(key) = self.scanner.next_key(&mut object)? {
            match key.name.as_ref() {
                META_VERSION => meta.protocol_version = self.string(META_VERSION)?,
                META_CLIENT_INFO => meta.client_info = self.object(META_CLIENT_INFO)?,
                META_CLIENT_CAPABILITIES => {
                    meta.client_capabilities = self.object(META_CLIENT_CAPABILITIES)?;
                }
                META_LOG_LEVEL => meta.log_level = self.string(META_LOG_LEVEL)?,
                "progressToken" => meta.progress_token = self.token("progressToken")?,
                "traceparent" => meta.traceparent = self.string("traceparent")?,
                "tracestate" => meta.tracestate = self.string("tracestate")?,
                "baggage" => meta.baggage = self.string("baggage")?,
                other => self.tolerate(other, &META)?,
            }
        }
        self.place = place;
        Ok(meta)
    }

    fn tolerate(&mut self, name: &str, known: &[&'static str]) -> Result<(), Fault> {
        self.scanner.value()?;
        if let Some(known) = same_but_for_case(name, known) {
            let fault = ParamsFault::WrongCase(shortened(name), known, self.place);
            self.fault.get_or_insert(fault);
        }
        Ok(())
    }

    fn wrong_kind(&mut self, name: &'static str, kind: &'static str) {
        let fault = ParamsFault::WrongKind(name, kind, self.place);
        self.fault.get_or_insert(fault);
    }
}
