//! REST APIs: the request the guard built goes out with the server's own credential, the answer comes back as a tool result.
//!
//! No header, cookie or token of the caller is in the request; it was built from validated arguments alone. Redirects are
//! not followed, nothing is sent twice.

use ambit_egress::{Client, ReadError, SendError, Target, TargetError};
use ambit_live::credentials::Spendable;
use ambit_model::server::CallLimits;
use ambit_openapi::{BaseUrl, BuiltRequest, ToolOutcome, response::Limits, to_tool_result};
use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode, Uri,
    header::{CONTENT_TYPE, USER_AGENT},
};
use http_body_util::Full;
use quick_cache::sync::Cache;
use tokio::time::Instant;

/// How we name ourselves to APIs; some refuse whoever does not.
const AGENT: &str = concat!("ambit/", env!("CARGO_PKG_VERSION"));

/// Most origins whose parsed form is kept.
const MOST_ORIGINS: usize = 1_024;

pub(super) struct Rest {
    egress: Client,
    targets: Cache<Box<str>, Target>,
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
        limits: CallLimits,
    ) -> Result<Answer, Failure> {
        let deadline = Instant::now() + limits.timeout;
        let target = self.target(base).map_err(Failure::Address)?;
        let response = self.egress.send(&target, request(built, credential), deadline).await.map_err(Failure::Send)?;
        let (head, body) = response.into_parts();
        let read = body.read_bounded(limits.max_reply_bytes, deadline).await;
        let body = read.map_err(|error| Failure::Read(head.status, error))?;
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let outcome = to_tool_result(head.status, content_type, &body, Limits::default());
        Ok(Answer { status: head.status, outcome })
    }

    fn target(&self, base: &BaseUrl) -> Result<Target, TargetError> {
        let origin = base.origin();
        if let Some(target) = self.targets.get(origin) {
            return Ok(target);
        }
        let target = Target::parse(origin, self.egress.rules())?;
        self.targets.insert(origin.into(), target.clone());
        Ok(target)
    }
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
