//! One document from one URL, for the cold paths: keys, metadata, client documents, descriptions, webhooks.
//!
//! Everything is bounded: where it may go (the client's rules), how long it takes, how much comes
//! back. A redirect is an error unless it stays at the same origin and the caller asked for that.
//! URLs that strangers supply are fetched with a client of [`crate::EgressRules::for_client_documents`].
//! Errors name the host, never a query, a header or a body.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::time::Instant;

use crate::body::{Body, ReadError};
use crate::client::Client;
use crate::send::SendError;
use crate::target::{Target, TargetError};

/// Bounds of a fetch.
#[derive(Clone, Debug)]
pub struct FetchLimits {
    /// Largest document, in bytes.
    pub max_bytes: usize,
    /// Longest for everything together, redirects included.
    pub timeout: Duration,
    /// The `Accept` header.
    pub accept: HeaderValue,
    /// What happens to a redirect.
    pub redirects: Redirects,
}

/// What happens to a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// It is an error.
    Refused,
    /// A GET follows it if scheme, host and port stay the same, this many times; otherwise it is an error.
    SameOrigin {
        /// Most redirects.
        most: u8,
    },
}

/// What is asked of the server.
#[derive(Clone, Debug)]
pub enum Ask {
    /// The document at the URL.
    Get,
    /// Something in answer to a body.
    Post {
        /// The `Content-Type` of the body.
        content_type: HeaderValue,
        /// The body.
        body: Bytes,
    },
}

/// A complete answer of any status but a redirect.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The status; the caller decides which are good.
    pub status: StatusCode,
    /// The answer's headers.
    pub headers: HeaderMap,
    /// The whole body, not encoded.
    pub body: Bytes,
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL may not be fetched.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// No answer.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The answer could not be read.
    #[error("`{host}`: {cause}")]
    Read {
        /// The host.
        host: Box<str>,
        /// What went wrong.
        cause: ReadError,
    },
    /// The answer points elsewhere.
    #[error("`{host}` answered {status}, a redirect that is not followed: use the URL it leads to")]
    Redirect {
        /// The host.
        host: Box<str>,
        /// 300–399.
        status: u16,
    },
    /// The answer is compressed although nothing was offered.
    #[error("`{host}` sent an encoded answer that was not asked for: let it answer without `Content-Encoding`")]
    Encoded {
        /// The host.
        host: Box<str>,
    },
}

impl FetchLimits {
    /// JSON of at most `max_bytes` within `timeout`, no redirects.
    pub fn json(max_bytes: usize, timeout: Duration) -> Self {
        let accept = HeaderValue::from_static("application/json");
        Self { max_bytes, timeout, accept, redirects: Redirects::Refused }
    }
}

impl FetchError {
    /// Whether the server may have carried the request out.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Target(_) => false,
            Self::Send(error) => error.may_have_happened(),
            Self::Read { .. } | Self::Redirect { .. } | Self::Encoded { .. } => true,
        }
    }
}

impl Fetched {
    /// The media type without parameters, as sent: `application/json`.
    pub fn media_type(&self) -> Option<&str> {
        let value = self.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        Some(value.split(';').next().unwrap_or(value).trim())
    }

    /// How long the answer may be reused (RFC 9111 §5.2.2, for a private cache): none if it does not say,
    /// zero if it must not be or says so unclearly.
    pub fn fresh_for(&self) -> Option<Duration> {
        let mut max_age = None;
        for line in self.headers.get_all(CACHE_CONTROL) {
            let Ok(line) = line.to_str() else { return Some(Duration::ZERO) };
            for directive in line.split(',') {
                let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
                match name.trim().to_ascii_lowercase().as_str() {
                    "no-store" | "no-cache" => return Some(Duration::ZERO),
                    "max-age" => {
                        let seconds = value.trim().trim_matches('"').parse::<u64>().unwrap_or(0);
                        max_age = Some(max_age.map_or(seconds, |known: u64| known.min(seconds)));
                    }
                    _ => {}
                }
            }
        }
        let age = self.headers.get(AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok()).unwrap_or(0);
        max_age.map(|seconds| Duration::from_secs(seconds.saturating_sub(age)))
    }
}

impl Client {
    /// The document at `url`.
    ///
    /// # Errors
    /// See [`FetchError`]. A status of 400 and above is not an error here.
    pub async fn fetch(&self, url: &str, limits: &FetchLimits) -> Result<Fetched, FetchError> {
        self.fetch_with(url, Ask::Get, HeaderMap::new(), limits).await
    }

    /// The answer of `url` to `ask`, sent with `headers`.
    ///
    /// A POST follows no redirect, whatever `limits` say.
    ///
    /// # Errors
    /// See [`FetchError`]. A status of 400 and above is not an error here.
    pub async fn fetch_with(
        &self,
        url: &str,
        ask: Ask,
        headers: HeaderMap,
        limits: &FetchLimits,
    ) -> Result<Fetched, FetchError> {
        let deadline = Instant::now() + limits.timeout;
        let mut target = Target::parse(url, self.rules())?;
        let mut redirects_left = match (limits.redirects, &ask) {
            (Redirects::SameOrigin { most }, Ask::Get) => most,
            (Redirects::SameOrigin { .. }, Ask::Post { .. }) | (Redirects::Refused, _) => 0,
        };
        loop {
            let request = build(&target, &ask, headers.clone(), limits);
            let response = self.send(&target, request, deadline).await?;
            if !response.status().is_redirection() {
                return read(&target, response, limits, deadline).await;
            }
            let refused = || FetchError::Redirect { host: target.host().into(), status: response.status().as_u16() };
            if redirects_left == 0 {
                return Err(refused());
            }
            redirects_left -= 1;
            target = same_origin(self, &target, response.headers()).ok_or_else(refused)?;
        }
    }
}

fn build(target: &Target, ask: &Ask, headers: HeaderMap, limits: &FetchLimits) -> Request<Full<Bytes>> {
    let (method, body) = match ask {
        Ask::Get => (Method::GET, Bytes::new()),
        Ask::Post { body, .. } => (Method::POST, body.clone()),
    };
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = target.path_and_query().clone().into();
    *request.headers_mut() = headers;
    request.headers_mut().insert(ACCEPT, limits.accept.clone());
    if let Ask::Post { content_type, .. } = ask {
        request.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    }
    request
}

/// Where a redirect leads, if that is at the same origin.
fn same_origin(client: &Client, from: &Target, headers: &HeaderMap) -> Option<Target> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    let to = from.join(location, client.rules()).ok()?;
    (to.transport() == from.transport() && to.authority() == from.authority()).then_some(to)
}

async fn read(
    target: &Target,
    response: Response<Body>,
    limits: &FetchLimits,
    deadline: Instant,
) -> Result<Fetched, FetchError> {
    let (head, body) = response.into_parts();
    if head.headers.get_all(CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(FetchError::Encoded { host: target.host().into() });
    }
    let body = body
        .read_bounded(limits.max_bytes, deadline)
        .await
        .map_err(|cause| FetchError::Read { host: target.host().into(), cause })?;
    Ok(Fetched { status: head.status, headers: head.headers, body })
}
