//! The command line's half of the admin API: an act as the request it stands for, sent to a URL that the person named, with the
//! token of their login. Outgoing as everything else is, through egress, and in the clear to this machine alone.

use std::time::Duration;

use ambit_egress::{Ask, Client, EgressRules, FetchLimits, Fetched, Network, Roots, Settings, Target};
use ambit_model::{Digest, grant::GrantSubject, ids::Millis};
use axum::http::{
    HeaderMap, HeaderValue, Method, Request,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::form_urlencoded;

use super::problem::Problem;
use crate::{
    config::quantity::instant_text,
    operator::{Act, Done},
};

/// How long a server may take for an act.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);

/// The largest answer that is read.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Ranges that a person may name: what is reached is what they typed, not what somebody else wrote.
const OWN_NETWORKS: [&str; 6] = ["127.0.0.0/8", "::1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

/// The admin API at a URL.
pub(crate) struct Remote {
    url: String,
    client: Client,
}

/// What is sent for an act.
#[derive(Debug, PartialEq)]
pub(crate) struct Sent {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl Remote {
    /// The admin API at a URL that was checked as `[admin] public_url` is.
    pub(crate) fn new(url: &str) -> Result<Self, String> {
        let url = crate::config::public_url(url).map_err(|why| format!("`--admin {url}`: {why}"))?;
        let allow = OWN_NETWORKS.iter().filter_map(|text| text.parse::<Network>().ok()).collect();
        let settings = Settings { rules: EgressRules::new(allow), roots: Roots::native(), ..Settings::default() };
        let client = Client::new(&settings).map_err(|error| error.to_string())?;
        Ok(Self { url, client })
    }

    /// Its URL, as its tokens name it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The name of the file that keeps a token for it.
    pub(crate) fn file_name(&self) -> String {
        let digest = Digest::of(self.url.as_bytes());
        format!("admin-{}.json", URL_SAFE_NO_PAD.encode(digest.0))
    }

    /// A JSON document, for finding where to log in.
    pub(crate) async fn document(&self, url: &str) -> Result<Value, String> {
        read(&self.client.fetch(url, &limits()).await.map_err(|error| error.to_string())?)
    }

    /// The answer to a form.
    pub(crate) async fn form(&self, url: &str, fields: &[(&str, &str)]) -> Result<Value, String> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let content_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        let ask = Ask::Post { content_type, body: body.into() };
        let answer = self.client.fetch_with(url, ask, HeaderMap::new(), &limits()).await;
        read(&answer.map_err(|error| error.to_string())?)
    }

    /// Sends an act with a token.
    pub(crate) async fn perform(&self, sent: Sent, token: &str) -> Result<Done, String> {
        let deadline = Instant::now() + ANSWER_WITHIN;
        let target = Target::parse(&format!("{}{}", self.url, sent.path), self.client.rules())
            .map_err(|error| error.to_string())?;
        let authorization = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| "the kept token cannot be sent: log in again".to_owned())?;
        let builder = Request::builder()
            .method(sent.method)
            .uri(target.path_and_query().as_str())
            .header(AUTHORIZATION, authorization)
            .header(ACCEPT, "application/json");
        let builder = if sent.body.is_some() { builder.header(CONTENT_TYPE, "application/json") } else { builder };
        let body = sent.body.map_or_else(String::new, |body| body.to_string());
        let request = builder.body(Full::from(body)).map_err(|error| error.to_string())?;
        let response = self.client.send(&target, request, deadline).await.map_err(|error| error.to_string())?;
        let (head, body) = response.into_parts();
        let body = body.read_bounded(MAX_ANSWER, deadline).await;
        let body = body.map_err(|error| format!("{error}; the act may have been done: look before you repeat it"))?;
        let answer = read(&Fetched { status: head.status, headers: head.headers, body })?;
        serde_json::from_value(answer)
            .map_err(|_| format!("`{}` answers what is not understood: use the ambit of its version", self.url))
    }
}

fn limits() -> FetchLimits {
    FetchLimits::json(MAX_ANSWER, ANSWER_WITHIN)
}

/// The JSON of a good answer, or what a bad one says.
fn read(answer: &Fetched) -> Result<Value, String> {
    let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status.is_success() {
        return Ok(value);
    }
    if let Ok(problem) = serde_json::from_value::<Problem>(value.clone()) {
        let place = problem.pointer.map_or(String::new(), |pointer| format!("`{pointer}`: "));
        return Err(format!("{place}{}", problem.detail));
    }
    let said = value.get("error_description").and_then(Value::as_str).unwrap_or("is that the admin API?");
    Err(format!("it answered {}: {said}", answer.status.as_u16()))
}

/// The request an act stands for; none if it is done on the machine alone.
pub(crate) fn request(act: &Act) -> Option<Sent> {
    let post = |path: &str, body: Value| Some(Sent { method: Method::POST, path: path.to_owned(), body: Some(body) });
    let get = |path: String| Some(Sent { method: Method::GET, path, body: None });
    let delete = |path: &str, query: &[(&str, &str)]| {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        Some(Sent { method: Method::DELETE, path: format!("{path}?{query}"), body: None })
    };
    match act {
        Act::Grant { subject, toolset, reason, ticket, approved_by, starts_at, expires_at, constraints } => {
            let text = |at: &Option<Millis>| at.map(instant_text);
            let mut body = json!({
                "holder": holder(subject),
                "toolset": toolset,
                "reason": reason,
                "ticket": ticket,
                "approved_by": approved_by,
                "starts_at": text(starts_at),
                "expires_at": text(expires_at),
            });
            if let (false, Some(members)) = (constraints.is_none(), body.as_object_mut()) {
                members.insert("constraints".to_owned(), json!(constraints));
            }
            post("/v1/grants", body)
        }
        Act::Reveal { user, client, agent, toolset, reason, approved_by, life_ms } => {
            let body = json!({
                "user": user.to_string(),
                "client": client,
                "agent": agent,
                "toolset": toolset,
                "reason": reason,
                "approved_by": approved_by,
                "life": format!("{life_ms}ms"),
            });
            post("/v1/reveals", body)
        }
        Act::End { id, reason } => delete(&format!("/v1/grants/{}", segment(id.as_str())), &[("reason", reason)]),
        Act::Revoke { scope, reason } => post("/v1/revocations", marking(&scope.0, reason)),
        Act::Block { scope, reason } => post("/v1/blocks", marking(&scope.0, reason)),
        Act::Unblock { scope, reason } => {
            delete("/v1/blocks", &[("kind", scope.0.kind()), ("id", &scope.0.id()), ("reason", reason)])
        }
        Act::ListApprovals {} => get("/v1/approvals".to_owned()),
        Act::ShowApproval { id } => get(format!("/v1/approvals/{}", segment(id.as_str()))),
        Act::Decide { id, says, reason } => post(
            &format!("/v1/approvals/{}/decision", segment(id.as_str())),
            json!({ "says": says.as_str(), "reason": reason }),
        ),
        Act::ListGlass {} => get("/v1/break-glass".to_owned()),
        Act::ReviewGlass { id, says } => {
            post(&format!("/v1/break-glass/{}/review", segment(id.as_str())), json!({ "says": says }))
        }
        Act::Token { .. }
        | Act::AccountLink { .. }
        | Act::Accept { .. }
        | Act::Import { .. }
        | Act::ListAccess {}
        | Act::DecideAccess { .. }
        | Act::Reload {} => None,
    }
}

fn holder(subject: &GrantSubject) -> Value {
    json!({ "kind": subject.kind(), "name": subject.name() })
}

fn marking(scope: &ambit_model::revocation::Scope, reason: &str) -> Value {
    json!({ "scope": { "kind": scope.kind(), "id": scope.id() }, "reason": reason })
}

/// An id as one segment of a path.
fn segment(id: &str) -> String {
    form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>().replace('+', "%20")
}
