//! An answer of this room, ready to be sent, and who besides its own origin may read it.
//!
//! Clients run in browsers too. Metadata, key sets and the endpoints that clients call without a cookie may be read from any
//! origin: there is nothing in them that a page could steal, since nothing of them depends on who is logged in. Pages never
//! may, and `Access-Control-Allow-Credentials` is sent nowhere.

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_TYPE,
    },
};

/// An answer, ready to be sent.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, JSON or empty.
    pub body: String,
}

/// What any origin may do with an address (Fetch §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readable {
    /// Read a public document.
    Document,
    /// Post a form or JSON as a client: token, registration, revocation. No cookie counts there.
    ClientEndpoint,
}

impl Readable {
    const fn methods(self) -> &'static str {
        match self {
            Self::Document => "GET, HEAD, OPTIONS",
            Self::ClientEndpoint => "POST, OPTIONS",
        }
    }
}

impl Answer {
    /// A JSON answer with its `Cache-Control`.
    pub fn json(status: StatusCode, body: &serde_json::Value, caching: &'static str) -> Self {
        Self::json_text(status, body.to_string(), caching)
    }

    /// The same for JSON that is written already.
    pub fn json_text(status: StatusCode, body: String, caching: &'static str) -> Self {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
        Self { status, headers, body }
    }

    /// Lets any origin read this answer, also a refusal: a client has to see why.
    #[must_use]
    pub fn readable_from(mut self, readable: Readable) -> Self {
        open(&mut self.headers, readable);
        self
    }

    /// The answer to a preflight (Fetch §4.8): the same for every origin, path and header asked for.
    pub fn preflight(readable: Readable) -> Self {
        let mut headers = HeaderMap::with_capacity(8);
        open(&mut headers, readable);
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(readable.methods()));
        headers.insert(
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("Authorization, Content-Type, MCP-Protocol-Version"),
        );
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
        Self { status: StatusCode::NO_CONTENT, headers, body: String::new() }
    }
}

/// Puts the headers on an answer that is no [`Answer`].
pub fn open(headers: &mut HeaderMap, readable: Readable) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    match readable {
        Readable::Document => {}
        Readable::ClientEndpoint => {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("WWW-Authenticate, Retry-After"));
        }
    }
}

impl axum::response::IntoResponse for Answer {
    fn into_response(self) -> axum::response::Response {
        (self.status, self.headers, self.body).into_response()
    }
}
