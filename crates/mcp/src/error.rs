//! Every error this gateway answers with: code, HTTP status, data, and the one way to write it.
//!
//! Codes are those of MCP 2026-07-28 (`-32020` to `-32022`), JSON-RPC 2.0, and our own, which lie
//! outside `-32768..=-32000` because the specification reserves that range. The two codes of the
//! legacy era (`-32002`, `-32042`) can be made only with a [`LegacyVersion`] in hand, so a modern
//! response can never carry them. Messages must never name what the caller may not see.

use std::borrow::Cow;

use crate::era::{Era, LegacyVersion};
use crate::raw::Id;
use crate::write;

/// JSON-RPC: the body is not JSON.
pub const PARSE_ERROR: i32 = -32700;
/// JSON-RPC: the body is not a message.
pub const INVALID_REQUEST: i32 = -32600;
/// JSON-RPC: no such method.
pub const METHOD_NOT_FOUND: i32 = -32601;
/// JSON-RPC: parameters are wrong; in MCP also an unknown tool, resource, cursor or task.
pub const INVALID_PARAMS: i32 = -32602;
/// JSON-RPC: our fault.
pub const INTERNAL_ERROR: i32 = -32603;
/// MCP 2026-07-28: a header is missing, malformed, or differs from the body.
pub const HEADER_MISMATCH: i32 = -32020;
/// MCP 2026-07-28: the request did not declare a client capability it needs.
pub const MISSING_CLIENT_CAPABILITY: i32 = -32021;
/// MCP 2026-07-28: the protocol version is not one of ours.
pub const UNSUPPORTED_PROTOCOL_VERSION: i32 = -32022;
/// Legacy (before 2026-07-28): no such resource.
pub const LEGACY_RESOURCE_NOT_FOUND: i32 = -32002;
/// Legacy (2025-11-25 only): the user must open a URL first.
pub const LEGACY_URL_ELICITATION_REQUIRED: i32 = -32042;
/// Ours: no valid token (HTTP 401).
pub const UNAUTHENTICATED: i32 = 40_100;
/// Ours: the token's scopes do not suffice (HTTP 403, RFC 6750 `insufficient_scope`).
pub const INSUFFICIENT_SCOPE: i32 = 40_300;
/// Ours: the request was refused as such, for instance its origin (HTTP 403).
pub const FORBIDDEN: i32 = 40_301;
/// Ours: the legacy session is unknown or ended (HTTP 404).
pub const SESSION_NOT_FOUND: i32 = 40_400;
/// Ours: no acceptable response type (HTTP 406).
pub const NOT_ACCEPTABLE: i32 = 40_600;
/// Ours: the body is not JSON by its `Content-Type` (HTTP 415).
pub const UNSUPPORTED_MEDIA_TYPE: i32 = 41_500;
/// Ours: too many requests; retry later (HTTP 429).
pub const RATE_LIMITED: i32 = 42_900;
/// Ours: the gateway cannot decide or record at present (HTTP 503).
pub const UNAVAILABLE: i32 = 50_300;

/// One JSON-RPC error with the HTTP status it travels under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    code: i32,
    http_status: u16,
    message: Cow<'static, str>,
    /// Complete JSON text.
    data: Option<String>,
}

impl RpcError {
    /// `-32700`, HTTP 400.
    pub fn parse(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(PARSE_ERROR, 400, message)
    }

    /// `-32600`, HTTP 400.
    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(INVALID_REQUEST, 400, message)
    }

    /// `-32600`, HTTP 413: the body is over its limit.
    pub fn body_too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(INVALID_REQUEST, 413, message)
    }

    /// `-32601`: no such method in this era. HTTP 404 on modern traffic; 200 on legacy, whose clients
    /// take 404 for an ended session (2025-11-25, Session Management).
    pub fn method_not_found(era: Era, method: &str) -> Self {
        let shown: String = method.chars().take(64).flat_map(char::escape_debug).collect();
        let http_status = match era {
            Era::Modern => 404,
            Era::Legacy(_) => 200,
        };
        Self::new(METHOD_NOT_FOUND, http_status, format!("method `{shown}` not found"))
    }

    /// `-32602`, HTTP 200: parameters are wrong.
    pub fn invalid_params(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(INVALID_PARAMS, 200, message)
    }

    /// `-32602`, HTTP 400: `_meta` lacks what each modern request must carry, or a member that the
    /// protocol defines has the wrong form.
    pub fn bad_meta(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(INVALID_PARAMS, 400, message)
    }

    /// `-32602`, HTTP 200: the tool is absent, or hidden from this caller. Both answer alike: the
    /// message holds nothing but the name the caller sent.
    pub fn unknown_tool(name: &str) -> Self {
        let shown: String = name.chars().take(128).flat_map(char::escape_debug).collect();
        Self::new(INVALID_PARAMS, 200, format!("unknown tool `{shown}`"))
    }

    /// `-32602`, HTTP 200: a cursor we did not issue, or one for another list.
    pub fn invalid_cursor() -> Self {
        Self::new(INVALID_PARAMS, 200, "invalid cursor; start again without one")
    }

    /// `-32603`, HTTP 500: our fault; the message must not say more than the caller may know.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(INTERNAL_ERROR, 500, message)
    }

    /// `-32020`, HTTP 400.
    pub fn header_mismatch(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(HEADER_MISMATCH, 400, message)
    }

    /// `-32021`, HTTP 400, with `data.requiredCapabilities` (a raw JSON object).
    pub fn missing_client_capability(required: crate::Raw<'_>) -> Self {
        let mut data = b"{".to_vec();
        write::raw_member(&mut data, "requiredCapabilities", required.as_str());
        data.push(b'}');
        Self::new(
            MISSING_CLIENT_CAPABILITY,
            400,
            "the request must declare the client capabilities in `data.requiredCapabilities`",
        )
        .with_data(data)
    }

    /// `-32022`, HTTP 400, with `data.supported` and `data.requested`.
    pub fn unsupported_version(requested: &str, supported: &[&str]) -> Self {
        let shown: String = requested.chars().take(64).collect();
        let mut data = b"{\"supported\":[".to_vec();
        for (index, version) in supported.iter().enumerate() {
            if index > 0 {
                data.push(b',');
            }
            write::string(&mut data, version);
        }
        data.push(b']');
        write::string_member(&mut data, "requested", &shown);
        data.push(b'}');
        let message = format!("protocol version `{}` is not supported", shown.escape_debug());
        Self::new(UNSUPPORTED_PROTOCOL_VERSION, 400, message).with_data(data)
    }

    /// `-32002`, HTTP 200, legacy only, with `data.uri`.
    pub fn legacy_resource_not_found(_: LegacyVersion, uri: &str) -> Self {
        let mut data = b"{".to_vec();
        write::string_member(&mut data, "uri", uri);
        data.push(b'}');
        Self::new(LEGACY_RESOURCE_NOT_FOUND, 200, "resource not found").with_data(data)
    }

    /// `-32042`, HTTP 200, legacy only: the user must open `url` first. `None` before 2025-11-25,
    /// which does not know the code.
    pub fn legacy_url_elicitation(
        version: LegacyVersion,
        elicitation_id: &str,
        url: &str,
        message: &str,
    ) -> Option<Self> {
        if version != LegacyVersion::V2025_11_25 {
            return None;
        }
        let mut data = b"{\"elicitations\":[{\"mode\":\"url\"".to_vec();
        write::string_member(&mut data, "elicitationId", elicitation_id);
        write::string_member(&mut data, "url", url);
        write::string_member(&mut data, "message", message);
        data.extend_from_slice(b"}]}");
        let error = Self::new(LEGACY_URL_ELICITATION_REQUIRED, 200, "open the URL in `data` first");
        Some(error.with_data(data))
    }

    /// HTTP 401: no token, or one that does not count. The challenge itself travels in
    /// `WWW-Authenticate` (RFC 6750 §3, RFC 9728 §5.1).
    pub fn unauthenticated(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(UNAUTHENTICATED, 401, message).with_oauth_error("invalid_token", None)
    }

    /// HTTP 403, `insufficient_scope`: a person stands behind the token and these scopes would do.
    /// `scope` is the complete set, separated by spaces; `link` leads to a page that explains.
    pub fn insufficient_scope(message: impl Into<Cow<'static, str>>, scope: &str, link: Option<&str>) -> Self {
        let mut data = b"{".to_vec();
        write::string_member(&mut data, "error", "insufficient_scope");
        write::string_member(&mut data, "scope", scope);
        if let Some(link) = link {
            write::string_member(&mut data, "link", link);
        }
        data.push(b'}');
        Self::new(INSUFFICIENT_SCOPE, 403, message).with_data(data)
    }

    /// HTTP 403: the request is refused as such (origin, host, blocked caller).
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(FORBIDDEN, 403, message)
    }

    /// HTTP 404: the legacy session is unknown, ended, or another caller's; the client starts a new
    /// one with `initialize`.
    pub fn session_not_found() -> Self {
        Self::new(SESSION_NOT_FOUND, 404, "session not found; send `initialize` again")
    }

    /// HTTP 406.
    pub fn not_acceptable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(NOT_ACCEPTABLE, 406, message)
    }

    /// HTTP 415.
    pub fn unsupported_media_type() -> Self {
        Self::new(UNSUPPORTED_MEDIA_TYPE, 415, "send the message with `Content-Type: application/json`")
    }

    /// HTTP 429, with `data.retryAfterMs`.
    pub fn rate_limited(message: impl Into<Cow<'static, str>>, retry_after_ms: u64) -> Self {
        let data = format!("{{\"retryAfterMs\":{retry_after_ms}}}");
        Self::new(RATE_LIMITED, 429, message).with_data(data.into_bytes())
    }

    /// HTTP 503: nothing was done; a retry is safe.
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(UNAVAILABLE, 503, message)
    }

    /// The JSON-RPC code.
    pub const fn code(&self) -> i32 {
        self.code
    }

    /// The HTTP status it travels under.
    pub const fn http_status(&self) -> u16 {
        self.http_status
    }

    /// The sentence for the client.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The raw JSON of `data`.
    pub fn data(&self) -> Option<&str> {
        self.data.as_deref()
    }

    /// The whole response body. Without an id the member is left out, as the MCP schema (since
    /// 2025-11-25) asks; `null`, which JSON-RPC 2.0 suggests, is not a `RequestId` there.
    pub fn to_response_bytes(&self, id: Option<Id<'_>>) -> Vec<u8> {
        let extra = self.data.as_ref().map_or(0, String::len) + id.map_or(0, |id| id.as_str().len());
        let mut out = Vec::with_capacity(80 + self.message.len() + extra);
        out.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
        if let Some(id) = id {
            write::raw_member(&mut out, "id", id.as_str());
        }
        write::key(&mut out, "error");
        out.push(b'{');
        write::raw_member(&mut out, "code", &self.code.to_string());
        write::string_member(&mut out, "message", &self.message);
        if let Some(data) = &self.data {
            write::raw_member(&mut out, "data", data);
        }
        out.extend_from_slice(b"}}");
        out
    }

    fn new(code: i32, http_status: u16, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, http_status, message: message.into(), data: None }
    }

    fn with_data(mut self, data: Vec<u8>) -> Self {
        self.data = Some(write::into_text(data));
        self
    }

    fn with_oauth_error(self, error: &str, link: Option<&str>) -> Self {
        let mut data = b"{".to_vec();
        write::string_member(&mut data, "error", error);
        if let Some(link) = link {
            write::string_member(&mut data, "link", link);
        }
        data.push(b'}');
        self.with_data(data)
    }
}
