//! What is nobody's fault but ours: store or trail down, too much at once, a defect. One answer for pages, one for machines.
//!
//! The inside cause is logged; the answer says only what to do. Neither holds a token, a code or a password.

use ambit_live::keys::KeyError;
use ambit_store::StoreError;
use axum::response::Response;
use http::StatusCode;

use super::{oauth_error::OAuthError, page::Notice};

/// Why something could not be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Down {
    /// The store does not answer.
    Store,
    /// What would happen cannot be recorded, so it does not happen.
    Trail,
    /// Too many of the same at once.
    Busy,
    /// A defect of ours.
    Defect,
}

impl From<crate::approvals::Unable> for Down {
    fn from(error: crate::approvals::Unable) -> Self {
        use crate::approvals::Unable;
        match error {
            Unable::Store(error) => error.into(),
            Unable::Key(error) => error.into(),
            Unable::Record(error) => {
                tracing::error!(%error, "a decision could not be recorded, so it did not happen");
                Self::Trail
            }
        }
    }
}

impl Down {
    fn status(self) -> StatusCode {
        match self {
            Self::Store | Self::Trail | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Defect => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn retry_after(self) -> Option<u64> {
        match self {
            Self::Store | Self::Trail => Some(5),
            Self::Busy => Some(2),
            Self::Defect => None,
        }
    }

    /// The answer for a person.
    pub(crate) fn page(self) -> Response {
        let message = match self {
            Self::Store | Self::Trail => "Ambit cannot reach what it needs for this. Nothing was changed.",
            Self::Busy => "Ambit is busy. Nothing was changed.",
            Self::Defect => "Something went wrong on our side. The log of the server says what.",
        };
        let notice = Notice { title: "Not available", message, hint: "Try again in a moment." };
        notice.answer(self.status(), self.retry_after())
    }

    /// The answer for a machine.
    pub(crate) fn json(self) -> OAuthError {
        let error = match self {
            Self::Store | Self::Trail | Self::Busy => {
                OAuthError::new(self.status(), "temporarily_unavailable", "not available now: try again in a moment")
            }
            Self::Defect => OAuthError::new(self.status(), "server_error", "something went wrong on our side"),
        };
        match self.retry_after() {
            Some(seconds) => error.retry_after(seconds),
            None => error,
        }
    }
}

impl From<StoreError> for Down {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Conflict => {
                tracing::warn!(%error, "the store did not take part in an authorization");
                Self::Store
            }
            StoreError::Exists | StoreError::Refused(_) | StoreError::Corrupt { .. } | StoreError::Database(_) => {
                tracing::error!(%error, "the store refused what an authorization asked of it");
                Self::Defect
            }
        }
    }
}

impl From<KeyError> for Down {
    fn from(error: KeyError) -> Self {
        tracing::error!(%error, "a key could not be used");
        Self::Defect
    }
}

impl From<serde_json::Error> for Down {
    fn from(error: serde_json::Error) -> Self {
        // The message of serde names a type and a place in the text, not the text; still only the place is logged.
        tracing::error!(line = error.line(), column = error.column(), "a stored authorization cannot be read");
        Self::Defect
    }
}
