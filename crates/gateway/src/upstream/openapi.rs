//! REST APIs: the request the guard built goes out with the server's own credential, the answer comes back as a tool result.
//!
//! No header, cookie or token of the caller is in the request; it was built from validated arguments alone. Redirects are
//! not followed; nothing but a read that nobody answered is sent twice.

use ambit_egress::{Again, Client, ReadError, SendError, Stands, Target, TargetError};
use ambit_live::credentials::Spendable;
use ambit_model::server::CallLimits;
use ambit_openapi::{BaseUrl, BuiltRequest, ToolOutcome, response::Limits, to_tool_result};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, StatusCode, Uri,
    header::{CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT},
};
use http_body_util::Full;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::PATIENCE;
use crate::filter::without_secrets;

/// How we name ourselves to APIs; some refuse whoever does not.
const AGENT: &str = concat!("ambit/", env!("CARGO_PKG_VERSION"));

/// Most origins whose parsed form is kept.
const MOST_ORIGINS: usize = 1_024;

/// Most requests to one origin at once; more wait for their turn.
pub(super) const MOST_IN_FLIGHT: usize = 256;

/// So much of the name of a coding is repeated.
const MOST_NAME: usize = 20;

pub(super) struct Rest {
    egress: Client,
    targets: Cache<String, Target>,
}

/// What an API answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) outcome: ToolOutcome,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The configured address cannot be used.
    #[error(transparent)]
    Address(TargetError),
    /// There is no head of an answer.
    #[error(transparent)]
    Send(SendError),
    /// The body is encoded, though nobody asked for that.
    #[error("HTTP {0}, with a body in the encoding `{1}`, which was not asked for")]
    Encoded(StatusCode, String),
    /// There is no whole body.
    #[error("HTTP {0}, but {1}")]
    Read(StatusCode, ReadError),
}

impl Rest {
    pub(super) fn new(egress: Client) -> Self {
        Self { egress, targets: Cache::new(MOST_ORIGINS) }
    }

    /// Sends one request and reads its whole answer.
    pub(super) async fn send(
        &self,
        base: &BaseUrl,
        built: BuiltRequest,
        credential: Option<&Spendable>,
        (limits, again, stands): (CallLimits, Again, Stands<'_>),
    ) -> Result<Answer, Failure> {
        let deadline = Instant::now() + limits.timeout;
        let target = self.target(base).map_err(Failure::Address)?;
        let response = self
            .egress
            .send_while(&target, request(built, credential), deadline, (again, stands))
            .await
            .map_err(Failure::Send)?;
        let (head, body) = response.into_parts();
        if let Some(coding) = coding_of(&head.headers) {
            return Err(Failure::Encoded(head.status, coding));
        }
        let read = body.read_bounded(limits.max_reply_bytes, deadline).await;
        let body = read.map_err(|error| Failure::Read(head.status, error))?;
        let content_type = head.headers.get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
        // Before anything is cut off or encoded: half a secret, or one in base64 of bytes around it, is not found any more.
        let clean = |text: &[u8]| credential.and_then(|credential| without_secrets(text, credential));
        let (clean_type, clean_body) = (clean(content_type), clean(&body));
        let content_type = std::str::from_utf8(clean_type.as_deref().unwrap_or(content_type)).ok();
        let content_type = content_type.filter(|text| !text.is_empty());
        let body = clean_body.as_deref().unwrap_or(&body);
        let outcome = to_tool_result(head.status, content_type, body, Limits::default());
        Ok(Answer { status: head.status, outcome })
    }

    fn target(&self, base: &BaseUrl) -> Result<Target, TargetError> {
        let origin = base.origin();
        // All calls to an origin share one target, and with it the places.
        self.targets.get_or_insert_with(origin, || {
            Ok(Target::parse(origin, self.egress.rules())?.with_max_in_flight(MOST_IN_FLIGHT, PATIENCE))
        })
    }
}

/// How the body is encoded, if it is: that was not asked for.
fn coding_of(headers: &HeaderMap) -> Option<String> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    let coding = codings.find(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))?;
    let name = coding.as_bytes().iter().take(MOST_NAME).copied().filter(u8::is_ascii_graphic);
    Some(name.filter(|byte| *byte != b'`').map(char::from).collect())
}

fn request(built: BuiltRequest, credential: Option<&Spendable>) -> Request<Full<Bytes>> {
    let BuiltRequest { method, path_and_query, mut headers, body } = built;
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    if let Some(credential) = credential {
        headers.insert(credential.header.clone(), credential.value().clone());
    }
    let mut request = Request::new(body.map_or_else(Full::default, |body| Full::new(Bytes::from(body))));
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from(path_and_query);
    *request.headers_mut() = headers;
    request
}
