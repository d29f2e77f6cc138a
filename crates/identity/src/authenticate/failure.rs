//! Why a request has no caller, and what it is told.

use ambit_model::{endpoint::Endpoint, revocation::Dead};
use http::{
    HeaderValue, StatusCode,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::json;

use crate::{answer::Answer, challenge, verify::TokenFault};

/// Why a request has no caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthFailure {
    /// Nothing was presented.
    #[error("no access token: send one as `Authorization: Bearer`")]
    Absent,
    /// Another scheme than `Bearer`.
    #[error("only the `Bearer` scheme is accepted here")]
    Scheme,
    /// More than one `Authorization` header.
    #[error("more than one `Authorization` header: send exactly one")]
    Several,
    /// A token in the query string, where logs and histories keep it.
    #[error(
        "an access token in the query string is refused: send it as `Authorization: Bearer`, and treat that one as leaked"
    )]
    InQuery,
    /// The token is not accepted.
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// A scope of the token was revoked or is blocked.
    #[error("{}", dead(*.0))]
    Dead(Dead),
    /// The issuer's keys are not known, so nothing can be verified.
    #[error("the keys of this endpoint's issuer cannot be read at the moment: try again")]
    KeysUnavailable,
}

const fn dead(dead: Dead) -> &'static str {
    match dead {
        Dead::Revoked => "the access of this token was revoked: log in again",
        Dead::Blocked => "this access is blocked: ask the people who run this gateway",
    }
}

impl AuthFailure {
    /// A stable label: one of a small closed set, for records and metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Absent => "token_absent",
            Self::Scheme => "wrong_scheme",
            Self::Several => "several_authorization_headers",
            Self::InQuery => "token_in_query",
            Self::Token(fault) => fault.reason(),
            Self::Dead(Dead::Revoked) => "revoked",
            Self::Dead(Dead::Blocked) => "blocked",
            Self::KeysUnavailable => "keys_unavailable",
        }
    }

    /// The status and RFC 6750 §3.1 code. Without a credential there is no code, only the way to get one.
    pub(crate) const fn status(self) -> (StatusCode, Option<&'static str>) {
        match self {
            Self::Absent | Self::Scheme => (StatusCode::UNAUTHORIZED, None),
            Self::Several | Self::InQuery => (StatusCode::BAD_REQUEST, Some("invalid_request")),
            Self::Token(_) | Self::Dead(_) => (StatusCode::UNAUTHORIZED, Some("invalid_token")),
            Self::KeysUnavailable => (StatusCode::SERVICE_UNAVAILABLE, Some("temporarily_unavailable")),
        }
    }

    /// The answer: status, challenge, and the same in JSON.
    pub fn response(self, endpoint: &Endpoint) -> Answer {
        let (status, error) = self.status();
        let sentence = self.to_string();
        let code = error.unwrap_or("unauthorized");
        let body = json!({ "error": code, "error_description": sentence });
        let mut answer = Answer::json(status, &body, "no-store");
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers.insert(RETRY_AFTER, HeaderValue::from_static("10"));
        } else {
            let error = error.map(|error| (error, sentence.as_str()));
            answer.headers.insert(WWW_AUTHENTICATE, challenge::unauthorized(endpoint, error));
        }
        answer
    }
}
