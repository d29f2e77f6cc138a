//! What can go wrong with a request, and whether it may have been carried out.
//!
//! A caller that wants to repeat a write, or has to tell a person what happened, needs exactly this
//! distinction. In doubt the answer is "maybe". A read that went out twice has one answer or one error, and that is of the
//! second time unless it never left.

use std::fmt;
use std::time::Duration;

use crate::connect::ConnectError;
use crate::resolve::ResolveError;

/// A request that got no answer. Names the host, never path, query or headers.
#[derive(Debug)]
pub struct SendError {
    /// The host of the target.
    pub host: Box<str>,
    /// How far the request came, and what stopped it.
    pub sent: Sent,
}

/// How far a request came.
#[derive(Debug)]
pub enum Sent {
    /// Not a byte left: repeating is safe.
    No(NotSent),
    /// At least the beginning left: the server may have carried it out.
    Maybe(Lost),
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    /// There is no connection: refused by the rules, unknown, unreachable or not trusted.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The deadline passed while the request waited for a connection.
    #[error("no connection was free in time: try again, or raise the server's timeout")]
    Deadline,
    /// The deadline passed while the target's other requests were in flight.
    #[error("too many requests to this server are in flight: try again later")]
    Busy,
    /// The request does not fit the target.
    #[error("the request was not valid: {0}")]
    Invalid(Box<str>),
    /// What the sender asked right before the request would leave spoke against it.
    #[error("it was withdrawn while it waited")]
    Withdrawn,
    /// The connection went away before it took the request.
    #[error("the connection closed before the request was sent: try again")]
    Closed,
}

/// Why a request that left has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// No answer came in time.
    #[error("no answer within the time allowed")]
    Deadline,
    /// The server closed the connection instead of answering.
    #[error("the server closed the connection without an answer")]
    Closed,
    /// The answer is not HTTP, or its head is over the limits.
    #[error("the answer is not valid HTTP ({0})")]
    Malformed(Box<str>),
    /// The server left HTTP without being asked.
    #[error("the server switched protocols without being asked")]
    Switched,
    /// The connection failed.
    #[error("the connection failed ({0})")]
    Broken(Box<str>),
}

impl SendError {
    /// Whether the server may have carried the request out.
    pub fn may_have_happened(&self) -> bool {
        matches!(self.sent, Sent::Maybe(_))
    }

    /// Whether a deadline stopped it.
    pub fn is_timeout(&self) -> bool {
        match &self.sent {
            Sent::No(NotSent::Deadline | NotSent::Connect(ConnectError::Timeout(_))) | Sent::Maybe(Lost::Deadline) => {
                true
            }
            Sent::No(_) | Sent::Maybe(_) => false,
        }
    }

    /// Whether the rules refuse the address, as opposed to a failure that may pass.
    pub fn is_refused(&self) -> bool {
        matches!(self.sent, Sent::No(NotSent::Connect(ConnectError::Resolve(ResolveError::Refused(_)))))
    }

    /// How long connecting was tried, if that is what took too long.
    pub fn connect_timeout(&self) -> Option<Duration> {
        match &self.sent {
            Sent::No(NotSent::Connect(ConnectError::Timeout(limit))) => Some(*limit),
            Sent::No(_) | Sent::Maybe(_) => None,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sent {
            Sent::No(cause) => write!(f, "nothing was sent to `{}`: {cause}", self.host),
            Sent::Maybe(cause) => write!(f, "the request to `{}` may have been carried out: {cause}", self.host),
        }
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.sent {
            Sent::No(cause) => Some(cause),
            Sent::Maybe(cause) => Some(cause),
        }
    }
}
