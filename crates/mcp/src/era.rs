//! Stage two: which era a message belongs to, from header, `_meta` and method.
//!
//! *Modern* is 2026-07-28 and later: no handshake, each request names its version twice. *Legacy*
//! is 2025-11-25 and earlier. Both share one endpoint. The rules are those of the specification's
//! dual-era section; whatever is said twice and differently is refused before dispatch (`-32020`).

use crate::error::RpcError;
use crate::strict::{Message, Params};

/// The modern revision.
pub const V2026_07_28: &str = "2026-07-28";

/// Every revision this gateway speaks, newest first.
pub const SUPPORTED: [&str; 3] = [V2026_07_28, "2025-11-25", "2025-06-18"];

/// A legacy revision this gateway speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LegacyVersion {
    /// 2025-06-18
    V2025_06_18,
    /// 2025-11-25
    V2025_11_25,
}

impl LegacyVersion {
    /// The version as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
        }
    }

    /// Reads an exact version.
    pub fn from_wire(version: &str) -> Option<Self> {
        match version {
            "2025-06-18" => Some(Self::V2025_06_18),
            "2025-11-25" => Some(Self::V2025_11_25),
            _ => None,
        }
    }

    /// The answer to an `initialize` that asks for `requested`: the same version where we speak it,
    /// 2025-06-18 for anything older, else the newest legacy version.
    pub fn negotiate(requested: &str) -> Self {
        match Self::from_wire(requested) {
            Some(version) => version,
            None if is_date(requested) && requested > Self::V2025_06_18.as_str() => Self::V2025_11_25,
            None => Self::V2025_06_18,
        }
    }
}

/// The era of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// 2026-07-28.
    Modern,
    /// A handshake era, with the version in force for this message.
    Legacy(LegacyVersion),
}

impl Era {
    /// The version as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Modern => V2026_07_28,
            Self::Legacy(version) => version.as_str(),
        }
    }

    /// Reads an exact version.
    pub fn from_wire(version: &str) -> Option<Self> {
        if version == V2026_07_28 {
            return Some(Self::Modern);
        }
        LegacyVersion::from_wire(version).map(Self::Legacy)
    }

    /// `true` for 2026-07-28.
    pub const fn is_modern(self) -> bool {
        matches!(self, Self::Modern)
    }
}

/// Why a message has no era here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EraError {
    /// Header and `_meta` disagree, or one of the two is missing on a modern request.
    #[error("{0}")]
    Mismatch(String),
    /// A version this gateway does not speak.
    #[error("protocol version `{0}` is not supported")]
    Unsupported(String),
    /// A modern request without what each must carry in `_meta`.
    #[error("{0}")]
    MissingMeta(&'static str),
}

impl EraError {
    /// `-32020`, `-32022` or `-32602`, each with HTTP 400.
    pub fn to_rpc(&self) -> RpcError {
        match self {
            Self::Mismatch(message) => RpcError::header_mismatch(message.clone()),
            Self::Unsupported(requested) => RpcError::unsupported_version(requested, &SUPPORTED),
            Self::MissingMeta(message) => RpcError::bad_meta(*message),
        }
    }
}

/// Decides the era of a message. `header` is the one value of `MCP-Protocol-Version`
/// ([`crate::headers::protocol_version`] reads it and refuses duplicates).
///
/// 1. Header and `_meta` both present must be equal.
/// 2. A version of 2026-07-28 or later in either is a modern claim: both must be there (requests;
///    a notification or response has no required `_meta`), the version must be ours, and a request
///    must carry `clientCapabilities`.
/// 3. `initialize` is legacy, whatever older version the header names; the version answered is
///    [`LegacyVersion::negotiate`] of `params.protocolVersion`.
/// 4. A header of 2025-11-25 or 2025-06-18 is legacy. Other versions are refused, `-32022`.
/// 5. No version at all: `-32020`.
///
/// # Errors
/// See [`EraError`].
pub fn decide(header: Option<&str>, message: &Message<'_>) -> Result<Era, EraError> {
    let (method, params, is_request) = match message {
        Message::Request(request) => (Some(request.method.as_ref()), Some(&request.params), true),
        Message::Notification(note) => (Some(note.method.as_ref()), Some(&note.params), false),
        Message::Response(_) => (None, None, false),
    };
    let in_meta = params.and_then(|params| params.meta.protocol_version.as_deref());
    if let (Some(header), Some(in_meta)) = (header, in_meta)
        && header != in_meta
    {
        return Err(EraError::Mismatch(format!(
            "header `MCP-Protocol-Version` is `{}` but `_meta` says `{}`; send the same version in both",
            shown(header),
            shown(in_meta)
        )));
    }
    match header.or(in_meta) {
        Some(version) if is_modern_claim(version) => modern(version, header, params, is_request),
        _ if method == Some("initialize") => Ok(initialize(params)),
        Some(version) => match LegacyVersion::from_wire(version) {
            Some(_) if header.is_none() => Err(EraError::Mismatch(
                "header `MCP-Protocol-Version` is missing; send the version named in `_meta`".into(),
            )),
            Some(legacy) => Ok(Era::Legacy(legacy)),
            None => Err(EraError::Unsupported(version.to_owned())),
        },
        None => Err(EraError::Mismatch(format!(
            "header `MCP-Protocol-Version` is missing; send `{V2026_07_28}`, or `initialize` first"
        ))),
    }
}

fn modern(version: &str, header: Option<&str>, params: Option<&Params<'_>>, is_request: bool) -> Result<Era, EraError> {
    if version != V2026_07_28 {
        return Err(EraError::Unsupported(version.to_owned()));
    }
    if header.is_none() {
        return Err(EraError::Mismatch(format!(
            "header `MCP-Protocol-Version` is missing; send `{V2026_07_28}` as in `_meta`"
        )));
    }
    if is_request {
        let meta = params.map(|params| &params.meta);
        if meta.and_then(|meta| meta.protocol_version.as_ref()).is_none() {
            return Err(EraError::MissingMeta("`params._meta` must hold `io.modelcontextprotocol/protocolVersion`"));
        }
        if meta.and_then(|meta| meta.client_capabilities).is_none() {
            return Err(EraError::MissingMeta(
                "`params._meta` must hold `io.modelcontextprotocol/clientCapabilities`, an object",
            ));
        }
    }
    Ok(Era::Modern)
}

fn initialize(params: Option<&Params<'_>>) -> Era {
    let requested = params.and_then(|params| params.protocol_version.as_deref());
    Era::Legacy(LegacyVersion::negotiate(requested.unwrap_or_default()))
}

/// Dates compare as text.
fn is_modern_claim(version: &str) -> bool {
    is_date(version) && version >= V2026_07_28
}

fn is_date(version: &str) -> bool {
    version.len() == 10
        && version.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

fn shown(input: &str) -> String {
    input.chars().take(64).flat_map(char::escape_debug).collect()
}
