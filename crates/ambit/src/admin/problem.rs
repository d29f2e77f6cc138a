//! What went wrong, as problem details (RFC 9457): the kind for programs, the sentence for people, the place in the request
//! where there is one. The sentences of acts are their own; nothing inside leaves but what they say.

use axum::{
    body::Body,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::operator::ActError;

/// The media type.
const PROBLEM: &str = "application/problem+json";

/// What stands before the kind in `type`.
const URN: &str = "urn:ambit:problem:";

/// A kind of problem: the same kind has the same status and title.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The request is for another host, or a page of another origin sends it.
    Foreign,
    /// Who asks is not proved.
    Unauthenticated,
    /// Who asks has no role.
    NoRole,
    /// It is not theirs to do.
    NotYours,
    /// There is no such thing, or not for who asks.
    NotFound,
    /// The address knows no such method.
    Method,
    /// What was sent cannot be read.
    Malformed,
    /// It can be read, and says something that cannot be.
    Refused,
    /// It is declared in the configuration.
    Declared,
    /// It is too long.
    TooLarge,
    /// It is not JSON.
    MediaType,
    /// Nothing can be done at the moment.
    Unavailable,
    /// It was done, and is not seen here yet.
    NotShown,
    /// A defect of the program.
    Defect,
}

impl Kind {
    const fn facts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Foreign => (StatusCode::MISDIRECTED_REQUEST, "foreign", "not for this place"),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated", "who asks is not known"),
            Self::NoRole => (StatusCode::FORBIDDEN, "no-role", "who asks has no role"),
            Self::NotYours => (StatusCode::FORBIDDEN, "not-yours", "it is not yours to do"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "there is no such thing"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method", "nothing is done this way here"),
            Self::Malformed => (StatusCode::BAD_REQUEST, "malformed", "the request cannot be read"),
            Self::Refused => (StatusCode::UNPROCESSABLE_ENTITY, "refused", "it cannot be done"),
            Self::Declared => (StatusCode::CONFLICT, "declared", "it is declared in the configuration"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the request is too long"),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "the request is not JSON"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "not now"),
            Self::NotShown => (StatusCode::INTERNAL_SERVER_ERROR, "not-shown", "done, and not seen here yet"),
            Self::Defect => (StatusCode::INTERNAL_SERVER_ERROR, "defect", "this is a defect"),
        }
    }
}

/// A problem, as it is sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// The kind: `urn:ambit:problem:` and a word.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same kind in words.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What is wrong, and what to do.
    pub detail: String,
    /// Where in the body or in the query, as a JSON pointer (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

/// An answer that is a problem.
#[derive(Debug)]
pub(super) struct Trouble {
    kind: Kind,
    detail: String,
    pointer: Option<String>,
    challenge: Option<HeaderValue>,
    status: Option<StatusCode>,
}

impl Trouble {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), pointer: None, challenge: None, status: None }
    }

    /// The same about one part of what was sent.
    pub(super) fn at(self, pointer: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), ..self }
    }

    /// The same with the way to a token.
    pub(super) fn challenged(self, challenge: Option<HeaderValue>) -> Self {
        Self { challenge, ..self }
    }

    /// The same with a status that says it more exactly.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status: Some(status), ..self }
    }

    pub(super) fn is_not_yours(&self) -> bool {
        self.kind == Kind::NotYours
    }

    pub(super) fn absent() -> Self {
        Self::new(Kind::NotFound, "there is nothing at this address: `/openapi.json` says what there is")
    }
}

impl From<ActError> for Trouble {
    fn from(error: ActError) -> Self {
        let kind = match &error {
            ActError::Refused(_) => Kind::Refused,
            ActError::Absent(_) => Kind::NotFound,
            ActError::Declared(_) => Kind::Declared,
            ActError::NotYours(_) => Kind::NotYours,
            ActError::NotPublished(_) => Kind::NotShown,
            ActError::Store(inside) => {
                tracing::error!(error = %inside, "an act came to nothing because of the store");
                return Self::new(Kind::Unavailable, "the store did not take it: try again, and look at the log");
            }
            ActError::Record(inside) => {
                tracing::error!(error = %inside, "an act came to nothing because of the trail");
                let detail = "it could not be recorded, so it was not done: try again, and look at the log";
                return Self::new(Kind::Unavailable, detail);
            }
        };
        Self::new(kind, error.to_string())
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let (usual, word, title) = self.kind.facts();
        let status = self.status.unwrap_or(usual);
        let problem = Problem {
            kind: format!("{URN}{word}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            pointer: self.pointer,
        };
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("10"));
        }
        response
    }
}
