//! Why an upstream did not answer, and whether what was asked may have happened all the same.
//!
//! The sentence is for the caller: it names the server as the gateway does, never its address, its
//! credential or the client's. The detail is for the operator's log. Words of the upstream are
//! shortened and have their control characters escaped before they come here.

use std::fmt;

use ambit_egress::{Lost, NotSent, ReadError, SendError, Sent};
use ambit_live::credentials::Spendable;
use ambit_mcp::OwnedRaw;
use ambit_mcp::upstream::{AnswerFault, RemoteError, ResultFault};
use ambit_model::ids::ServerSlug;
use ambit_model::secret::Secret;
use http::StatusCode;

/// A request to an upstream that has no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamFailure {
    server: ServerSlug,
    kind: FailureKind,
    clause: String,
    detail: Option<String>,
    may_have_happened: bool,
    required: Option<OwnedRaw>,
}

/// What kind of failure it is: bounded, for the trail and for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No connection, or the rules of outgoing requests refuse the address.
    Unreachable,
    /// No complete answer in time.
    Timeout,
    /// The connection ended before the answer did.
    Broken,
    /// More bytes than allowed.
    TooLarge,
    /// An answer that is not one: not MCP, another id, not final.
    Unusable,
    /// The server refuses the gateway's credential.
    Credential,
    /// The server takes no more requests at present.
    Busy,
    /// The server speaks no revision of ours.
    Unsupported,
    /// The server answered with an error of its own.
    Remote,
    /// The tool is no longer what was accepted.
    Changed,
    /// The server needs something of the client that is not relayed.
    Capability,
    /// The call was not allowed any more when its turn came.
    Withdrawn,
}

impl FailureKind {
    /// The word of trail and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::TooLarge => "too-large",
            Self::Unusable => "unusable",
            Self::Credential => "credential",
            Self::Busy => "busy",
            Self::Unsupported => "unsupported",
            Self::Remote => "remote",
            Self::Changed => "changed",
            Self::Capability => "capability",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl UpstreamFailure {
    /// The kind.
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Whether the server may have carried out what was asked. In doubt it may.
    pub const fn may_have_happened(&self) -> bool {
        self.may_have_happened
    }

    /// What happened: ``server `x` did not answer in time``.
    pub fn what(&self) -> String {
        self.to_string()
    }

    /// More for the operator; may name addresses, never a credential.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The capabilities of a client without which the server cannot do it: names that the specification defines.
    pub const fn required(&self) -> Option<&OwnedRaw> {
        self.required.as_ref()
    }

    /// Without the credential that was spent: an error of the upstream's may repeat it.
    pub(super) fn without(self, credential: Option<&Spendable>) -> Self {
        let Some(credential) = credential else { return self };
        let clean = |text: &str| {
            let whole =
                credential.spellings().redacted(text.as_bytes()).and_then(|clean| String::from_utf8(clean).ok());
            let text = whole.unwrap_or_else(|| text.to_owned());
            credential.secrets().iter().map(Secret::expose).fold(text, |text, secret| redacted(&text, secret))
        };
        let Self { clause, detail, .. } = self;
        Self { clause: clean(&clause), detail: detail.as_deref().map(clean), ..self }
    }

    fn new(server: &ServerSlug, kind: FailureKind, may_have_happened: bool, clause: impl Into<String>) -> Self {
        Self { server: server.clone(), kind, clause: clause.into(), detail: None, may_have_happened, required: None }
    }

    fn with_detail(mut self, detail: impl fmt::Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    /// Whatever it said, it had the call in hands.
    pub(super) fn after_it_began(self) -> Self {
        Self { may_have_happened: true, ..self }
    }

    pub(super) fn because(self, cause: &Self) -> Self {
        self.with_detail(cause)
    }

    pub(super) fn not_mcp(server: &ServerSlug) -> Self {
        Self::new(server, FailureKind::Unsupported, false, "is not an MCP server")
    }

    pub(super) fn address(server: &ServerSlug, error: &ambit_egress::TargetError) -> Self {
        Self::new(server, FailureKind::Unreachable, false, "has an address that may not be used").with_detail(error)
    }

    pub(super) fn sending(server: &ServerSlug, error: &SendError) -> Self {
        let (kind, clause) = match &error.sent {
            Sent::No(NotSent::Busy) => (FailureKind::Busy, "has too many requests in flight; try again later"),
            Sent::No(NotSent::Withdrawn) => {
                (FailureKind::Withdrawn, "was not called, for what allowed the call ended while it waited")
            }
            Sent::No(NotSent::Deadline) => (FailureKind::Timeout, "could not be reached in time"),
            Sent::No(_) => (FailureKind::Unreachable, "could not be reached"),
            Sent::Maybe(Lost::Deadline) => (FailureKind::Timeout, "did not answer in time"),
            Sent::Maybe(Lost::Malformed(_) | Lost::Switched) => {
                (FailureKind::Unusable, "answered with something that is not HTTP")
            }
            Sent::Maybe(Lost::Closed | Lost::Broken(_)) => {
                (FailureKind::Broken, "closed the connection instead of answering")
            }
        };
        Self::new(server, kind, error.may_have_happened(), clause).with_detail(error)
    }

    pub(super) fn reading(server: &ServerSlug, error: &ReadError) -> Self {
        let (kind, clause) = match error {
            ReadError::TooLarge { limit } => {
                let clause = format!("answered with more than {limit} bytes; ask for less");
                return Self::new(server, FailureKind::TooLarge, true, clause).with_detail(error);
            }
            ReadError::Timeout => (FailureKind::Timeout, "did not finish its answer in time"),
            ReadError::Truncated | ReadError::Unframed | ReadError::Broken(_) => {
                (FailureKind::Broken, "broke off its answer")
            }
        };
        Self::new(server, kind, true, clause).with_detail(error)
    }

    pub(super) fn stream(server: &ServerSlug, error: ambit_mcp::sse::SseError) -> Self {
        match error {
            ambit_mcp::sse::SseError::TooLong(limit) => {
                Self::reading(server, &ReadError::TooLarge { limit: u64::try_from(limit).unwrap_or(u64::MAX) })
            }
            ambit_mcp::sse::SseError::NotUtf8 => Self::unusable(server, "answered with a stream that is not text"),
        }
    }

    pub(super) fn stream_ended(server: &ServerSlug) -> Self {
        Self::new(server, FailureKind::Broken, true, "ended its stream before the result")
    }

    pub(super) fn late(server: &ServerSlug) -> Self {
        Self::new(server, FailureKind::Timeout, true, "did not finish its answer in time")
    }

    /// Nothing was sent yet, and the time is over.
    pub(super) fn never_connected(server: &ServerSlug) -> Self {
        Self::new(server, FailureKind::Timeout, false, "could not be connected to in time")
    }

    pub(super) fn answer(server: &ServerSlug, fault: &AnswerFault) -> Self {
        Self::unusable(server, "answered with something that is not the answer").with_detail(fault)
    }

    pub(super) fn result(server: &ServerSlug, fault: &ResultFault) -> Self {
        Self::unusable(server, format!("gave a result that cannot be passed on: {fault}"))
    }

    pub(super) fn unusable(server: &ServerSlug, clause: impl Into<String>) -> Self {
        Self::new(server, FailureKind::Unusable, true, clause)
    }

    /// A status that is neither an answer nor a refusal of the request as such.
    pub(super) fn status(server: &ServerSlug, status: StatusCode) -> Self {
        let code = status.as_u16();
        if status.is_redirection() {
            // A 303 means that it was done (RFC 9110 §15.4.4), and the others are used as if they were one.
            return Self::unusable(server, format!("answered with a redirect (HTTP {code}), which is not followed"));
        }
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let clause = format!("refuses the gateway's credential (HTTP {code}); its owner must renew it");
                Self::new(server, FailureKind::Credential, false, clause)
            }
            StatusCode::TOO_MANY_REQUESTS => Self::new(
                server,
                FailureKind::Busy,
                false,
                "takes no more requests at present (HTTP 429); try again later",
            ),
            _ => Self::unusable(server, format!("failed (HTTP {code})")),
        }
    }

    /// A status that is no answer, or blames the request. Some say that its form was not even looked at; 404 and 405 do not,
    /// which a program behind the address may have given after the deed.
    pub(super) fn refused(server: &ServerSlug, status: StatusCode) -> Self {
        if status.is_success() {
            let clause = format!("accepted the request without an answer (HTTP {})", status.as_u16());
            return Self::unusable(server, clause);
        }
        let unread = matches!(
            status,
            StatusCode::NOT_ACCEPTABLE | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNSUPPORTED_MEDIA_TYPE
        );
        let clause = format!("does not take the request (HTTP {})", status.as_u16());
        Self::new(server, FailureKind::Unusable, !unread, clause)
    }

    pub(super) fn remote(server: &ServerSlug, error: &RemoteError) -> Self {
        if let Some(required) = &error.required {
            let clause = format!("needs what the gateway does not relay from clients: {}", required.as_str());
            let failure = Self::new(server, FailureKind::Capability, false, clause).with_detail(&error.message);
            return Self { required: Some(required.clone()), ..failure };
        }
        let said = if error.message.is_empty() { "without a reason" } else { error.message.as_str() };
        let clause = format!("answered with error {}: {said}", error.code);
        Self::new(server, FailureKind::Remote, !error.is_refusal(), clause)
    }

    pub(super) fn unsupported(server: &ServerSlug, offered: &[String]) -> Self {
        let clause = match offered {
            [] => "names no protocol version".to_owned(),
            offered => format!("speaks none of the protocol versions known here, only {}", offered.join(", ")),
        };
        Self::new(server, FailureKind::Unsupported, false, clause)
    }

    pub(super) fn handshake(server: &ServerSlug, why: impl fmt::Display) -> Self {
        Self::new(server, FailureKind::Unsupported, false, format!("could not be opened as an MCP server: {why}"))
    }

    pub(super) fn listing(server: &ServerSlug, why: impl fmt::Display) -> Self {
        Self::new(server, FailureKind::Unusable, true, format!("has a list of tools that cannot be read: {why}"))
    }

    pub(super) fn changed(server: &ServerSlug) -> Self {
        let clause = "was restarted and now describes this tool differently; its owner must accept it again";
        Self::new(server, FailureKind::Changed, false, clause)
    }

    /// A failure while the connection was made: the call itself had not been sent.
    pub(super) fn before_the_call(self) -> Self {
        Self { may_have_happened: false, ..self }
    }
}

/// Shorter secrets are not looked for: they would be found everywhere.
const SHORTEST_SECRET: usize = 4;

/// Whether a text repeats what is spent.
pub(super) fn repeats(text: &str, credential: Option<&Spendable>) -> bool {
    credential.is_some_and(|credential| credential.spellings().are_in(text.as_bytes()))
}

/// The text without the secret, nor the part of it that was left where the text was cut off.
fn redacted(text: &str, secret: &str) -> String {
    if secret.len() < SHORTEST_SECRET {
        return text.to_owned();
    }
    let text = text.replace(secret, "[redacted]");
    let Some(cut) = text.strip_suffix('…') else { return text };
    let part =
        (SHORTEST_SECRET..secret.len()).rev().filter_map(|end| secret.get(..end)).find(|part| cut.ends_with(part));
    match part.and_then(|part| cut.strip_suffix(part)) {
        Some(kept) => format!("{kept}[redacted]…"),
        None => text,
    }
}

impl fmt::Display for UpstreamFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server `{}` {}", self.server, self.clause)
    }
}

impl std::error::Error for UpstreamFailure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_out_whole_and_in_part() {
        let rows = [
            ("token hunter2345 is bad", "token [redacted] is bad"),
            ("bad: hunter…", "bad: [redacted]…"),
            ("bad: hunt…", "bad: [redacted]…"),
            ("bad: hun…", "bad: hun…"),
            ("bad: hunter", "bad: hunter"),
        ];
        for (text, expected) in rows {
            assert_eq!(redacted(text, "hunter2345"), expected);
        }
        assert_eq!(redacted("an abc", "abc"), "an abc");
    }
}
