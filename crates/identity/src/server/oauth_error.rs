//! An OAuth error as JSON (RFC 6749 §5.2): code, sentence, status. Never cached.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{
    HeaderValue, StatusCode,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::json;

use super::{failure::Down, fields::FieldError, reply};

/// An error answer for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OAuthError {
    status: StatusCode,
    code: &'static str,
    description: Cow<'static, str>,
    retry_after: Option<u64>,
    challenge: bool,
}

impl OAuthError {
    pub(crate) fn new(status: StatusCode, code: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, description: description.into(), retry_after: None, challenge: false }
    }

    pub(crate) fn bad(code: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, description)
    }

    pub(crate) fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::bad("invalid_request", description)
    }

    pub(crate) fn invalid_grant(description: &'static str) -> Self {
        Self::bad("invalid_grant", description)
    }

    /// 401 with the challenge RFC 6749 §5.2 asks for.
    pub(crate) fn invalid_client(description: &'static str) -> Self {
        Self { challenge: true, ..Self::new(StatusCode::UNAUTHORIZED, "invalid_client", description) }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is no such authorization server here")
    }

    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// Whether the request was wrong, and not we.
    pub(crate) fn is_callers(&self) -> bool {
        self.status.is_client_error() && self.status != StatusCode::TOO_MANY_REQUESTS
    }

    /// The error code, for the trail's counters.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }
}

impl From<FieldError> for OAuthError {
    fn from(error: FieldError) -> Self {
        Self::invalid_request(error.to_string())
    }
}

impl From<Down> for OAuthError {
    fn from(down: Down) -> Self {
        down.json()
    }
}

impl From<ambit_store::StoreError> for OAuthError {
    fn from(error: ambit_store::StoreError) -> Self {
        Down::from(error).json()
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.code, "error_description": self.description });
        let mut response = reply::json(self.status, &body);
        let headers = response.headers_mut();
        if self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"ambit\""));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
