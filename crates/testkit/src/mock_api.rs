//! A REST API served from its OpenAPI document, with its state in memory: a stand-in for the real one in demo and tests.
//!
//! What an operation does follows from its place in the document: a path with items below it is a collection, a word after an
//! item is an action on it. It checks the credential, answers unknown items with 404, and keeps what it was sent for
//! `GET /__mock/requests`. It does not validate bodies against schemas: the gateway in front of it is what is tried.

mod routes;
mod state;

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::any,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use self::{
    routes::{Kind, Routes},
    state::Shelf,
};

/// The largest request body taken, in bytes.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// What is spent at the API: either form is taken.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The user half of `Basic`, if that form is taken.
    pub username: Option<String>,
    /// The password half of `Basic`, or the whole of `Bearer`.
    pub secret: String,
}

/// The API.
#[derive(Debug)]
pub struct MockApi {
    routes: Routes,
    shelf: Shelf,
    credential: Credential,
}

impl MockApi {
    /// Reads a document and fills every collection that can be filled with two items.
    ///
    /// # Errors
    /// The file cannot be read or a path template has more than one parameter in a segment.
    pub fn from_document(path: &Path, credential: Credential) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read `{}`", path.display()))?;
        let document: Value = serde_json::from_str(&text).with_context(|| format!("parse `{}`", path.display()))?;
        let routes = Routes::of(&document).with_context(|| format!("the paths of `{}`", path.display()))?;
        let shelf = Shelf::default();
        for collection in routes.seedable() {
            for name in ["first", "second"] {
                shelf.create(&collection, &json!({"name": name, "passthrough": format!("the {name} one")}));
            }
        }
        Ok(Self { routes, shelf, credential })
    }

    /// How many operations the document has.
    pub fn operations(&self) -> usize {
        self.routes.len()
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(sent) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
            return false;
        };
        let basic = self.credential.username.as_ref().map(|username| {
            format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{}", self.credential.secret)))
        });
        sent == format!("Bearer {}", self.credential.secret) || Some(sent) == basic.as_deref()
    }

    fn answer(&self, method: &str, path: &str, query: &str, headers: &HeaderMap, body: &[u8]) -> Response {
        if !self.admits(headers) {
            return problem(StatusCode::UNAUTHORIZED, "unauthorized", "the credential is missing or wrong");
        }
        let sent: Value = match body {
            [] => json!({}),
            bytes => match serde_json::from_slice(bytes) {
                Ok(value) => value,
                Err(error) => {
                    return problem(StatusCode::BAD_REQUEST, "invalid_parameters", &format!("the body: {error}"));
                }
            },
        };
        let Some(found) = self.routes.find(method, path) else {
            return problem(StatusCode::NOT_FOUND, "not_found", &format!("no operation `{method} {path}`"));
        };
        if let Some(item) = &found.needs
            && self.shelf.read(item).is_none()
        {
            return problem(StatusCode::NOT_FOUND, "not_found", &format!("no such resource `{item}`"));
        }
        let data_as = |status: StatusCode, value: Option<Value>| match value {
            Some(value) => answer_json(status, &json!({"data": value})),
            None => problem(StatusCode::NOT_FOUND, "not_found", &format!("no such resource `{path}`")),
        };
        let data = |value| data_as(StatusCode::OK, value);
        match found.kind {
            Kind::List => answer_json(StatusCode::OK, &self.shelf.list(path, query)),
            Kind::Create => data_as(StatusCode::CREATED, Some(self.shelf.create(path, &sent))),
            Kind::Read => data(self.shelf.read(path)),
            Kind::Update => data(self.shelf.update(path, &sent)),
            Kind::Delete if self.shelf.delete(path) => StatusCode::NO_CONTENT.into_response(),
            Kind::Delete => data(None),
            Kind::Action { item, verb } => data(self.shelf.act(&item, &verb, &sent)),
            Kind::Report => answer_json(StatusCode::OK, &state::report(path)),
            Kind::Media(content_type) => {
                ([(header::CONTENT_TYPE, content_type)], state::media(content_type)).into_response()
            }
        }
    }
}

/// The error body of the API this stands in for.
fn problem(status: StatusCode, kind: &str, message: &str) -> Response {
    answer_json(status, &json!({"error": {"type": kind, "messages": [message]}}))
}

fn answer_json(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// The API as a router.
pub fn router(api: Arc<MockApi>) -> Router {
    Router::new().route("/__mock/requests", any(recorded)).fallback(operate).with_state(api)
}

/// Answers until the future is dropped.
///
/// # Errors
/// The listener broke.
pub async fn serve(listener: TcpListener, api: MockApi) -> Result<()> {
    Ok(axum::serve(listener, router(Arc::new(api))).await?)
}

/// `GET` returns what was received, oldest first; `DELETE` forgets it.
async fn recorded(State(api): State<Arc<MockApi>>, request: Request) -> Response {
    if request.method() == http::Method::DELETE {
        api.shelf.forget_requests();
        return StatusCode::NO_CONTENT.into_response();
    }
    answer_json(StatusCode::OK, &api.shelf.requests())
}

async fn operate(State(api): State<Arc<MockApi>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => return problem(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &error.to_string()),
    };
    let query = parts.uri.query().unwrap_or_default();
    let path = parts.uri.path();
    let response = api.answer(parts.method.as_str(), path, query, &parts.headers, &body);
    let headers: serde_json::Map<String, Value> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    api.shelf.record(json!({
        "method": parts.method.as_str(), "path": path, "query": query, "headers": headers,
        "body": String::from_utf8_lossy(&body), "status": response.status().as_u16(),
    }));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mux() -> MockApi {
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/mux/openapi.json");
        let credential = Credential { username: Some("id".into()), secret: "secret".into() };
        MockApi::from_document(&document, credential).unwrap()
    }

    async fn ask_as(api: &MockApi, authorization: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, authorization.parse().unwrap())]);
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let response = api.answer(method, path, query, &headers, body.as_bytes());
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn ask(api: &MockApi, method: &str, path: &str, body: &str) -> (u16, Value) {
        ask_as(api, "Bearer secret", method, path, body).await
    }

    #[tokio::test]
    async fn a_resource_lives_from_post_to_delete() {
        let api = mux();
        let (status, made) =
            ask(&api, "POST", "/video/v1/assets", r#"{"inputs":[{"url":"https://x.example/a.mp4"}]}"#).await;
        assert_eq!(status, 201);
        let id = made["data"]["id"].as_str().unwrap();
        let item = format!("/video/v1/assets/{id}");
        assert_eq!(ask(&api, "GET", &item, "").await.1["data"]["inputs"][0]["url"], "https://x.example/a.mp4");
        assert_eq!(ask(&api, "PATCH", &item, r#"{"passthrough":"p"}"#).await.1["data"]["passthrough"], "p");
        let (status, child) = ask(&api, "POST", &format!("{item}/playback-ids"), r#"{"policy":"public"}"#).await;
        assert_eq!((status, child["data"]["policy"].as_str()), (201, Some("public")));
        assert_eq!(ask(&api, "GET", "/video/v1/assets?limit=1", "").await.1["data"].as_array().unwrap().len(), 1);
        assert_eq!(ask(&api, "GET", "/video/v1/assets", "").await.1["total_row_count"], 3);
        let child = format!("{item}/playback-ids/{}", child["data"]["id"].as_str().unwrap());
        assert_eq!(ask(&api, "GET", &child, "").await.0, 200);
        assert_eq!(ask(&api, "DELETE", &child, "").await.0, 204);
        assert_eq!(ask(&api, "GET", &child, "").await.0, 404);
        assert_eq!(ask(&api, "DELETE", &item, "").await.0, 404, "the document cannot delete an asset");
    }

    #[test]
    fn what_hangs_below_a_removed_item_is_gone_too() {
        let shelf = Shelf::default();
        let id = shelf.create("/a", &json!({}))["id"].as_str().unwrap().to_owned();
        let below = shelf.create(&format!("/a/{id}/b"), &json!({}))["id"].as_str().unwrap().to_owned();
        assert!(shelf.read(&format!("/a/{id}/b/{below}")).is_some());
        assert!(shelf.delete(&format!("/a/{id}")));
        assert!(shelf.read(&format!("/a/{id}/b/{below}")).is_none());
    }

    #[tokio::test]
    async fn an_action_changes_its_item_and_needs_one() {
        let api = mux();
        let list = ask(&api, "GET", "/video/v1/live-streams", "").await.1;
        let stream = format!("/video/v1/live-streams/{}", list["data"][0]["id"].as_str().unwrap());
        assert_eq!(ask(&api, "PUT", &format!("{stream}/disable"), "").await.1["data"]["status"], "disabled");
        let first = ask(&api, "POST", &format!("{stream}/reset-stream-key"), "").await.1;
        let second = ask(&api, "POST", &format!("{stream}/reset-stream-key"), "").await.1;
        assert!(first["data"]["stream_key"].is_string() && first["data"]["stream_key"] != second["data"]["stream_key"]);
        assert_eq!(ask(&api, "PUT", "/video/v1/live-streams/none/disable", "").await.0, 404);
        assert_eq!(ask(&api, "POST", "/video/v1/assets/none/playback-ids", "{}").await.0, 404);
    }

    #[tokio::test]
    async fn the_credential_is_checked_in_both_forms() {
        let api = mux();
        let basic = format!("Basic {}", BASE64_STANDARD.encode("id:secret"));
        assert_eq!(ask_as(&api, &basic, "GET", "/system/v1/whoami", "").await.0, 200);
        for wrong in ["Bearer other", "Basic aWQ6eA==", "secret"] {
            assert_eq!(ask_as(&api, wrong, "GET", "/system/v1/whoami", "").await.0, 401, "{wrong}");
        }
    }

    #[tokio::test]
    async fn every_read_of_the_document_answers() {
        let api = mux();
        assert_eq!(api.operations(), 98);
        for (method, template) in api.routes.templates() {
            if method == "GET" {
                let path = api.shelf.example_of(&template);
                let (status, _) = ask(&api, "GET", &path, "").await;
                assert!(status == 200 || status == 404, "{status} for GET {path}");
                assert!(status == 200 || template.matches('{').count() > 0, "GET {path} needs no item");
            }
        }
        assert_eq!(ask(&api, "GET", "/video/v1/nothing", "").await.0, 404);
        assert_eq!(ask(&api, "POST", "/video/v1/assets", "{").await.0, 400);
    }
}
