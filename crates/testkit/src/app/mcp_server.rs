//! A scripted MCP server on loopback: well-behaved in either era, with tools that change while it runs, and as badly behaved
//! as a test wants. It records what reached it, and stops when it is dropped.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    response::Response,
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use super::Era;

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The verb.
    pub verb: String,
    /// The path with its query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Heard {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The JSON-RPC method, or the verb where there is none.
    pub fn method(&self) -> String {
        self.json()["method"].as_str().unwrap_or(&self.verb).to_owned()
    }
}

/// How the server misbehaves.
#[derive(Clone, Debug)]
pub enum Instead {
    /// Answers this JSON.
    Json(u16, String),
    /// Answers a page.
    Html(u16),
    /// Sends a client elsewhere.
    Redirect(String),
    /// Never answers.
    Hang,
    /// Says this much of a longer body and hangs up.
    Sever(String),
}

type Script = Box<dyn Fn(&Heard) -> Option<Instead> + Send + Sync>;

struct Shared {
    era: Era,
    tools: Vec<Value>,
    sessions: usize,
    heard: Vec<Heard>,
    script: Script,
}

/// A server that runs until it is dropped.
pub struct McpServer {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    serving: JoinHandle<()>,
}

impl std::fmt::Debug for McpServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("McpServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for McpServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A tool as a server lists it.
pub fn tool(name: &str, description: &str, is_read_only: bool) -> Value {
    json!({
        "name": name,
        "description": description,
        "inputSchema": {"type": "object", "properties": {"id": {"type": "string"}}},
        "annotations": {"readOnlyHint": is_read_only, "destructiveHint": false},
    })
}

impl McpServer {
    /// Starts one with these tools.
    ///
    /// # Errors
    /// If there is no port for it.
    pub async fn start(era: Era, tools: Vec<Value>) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Shared { era, tools, sessions: 0, heard: Vec::new(), script: Box::new(|_| None) };
        let shared = Arc::new(Mutex::new(shared));
        let app = Router::new().fallback(serve).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            // It ends with the test, one way or the other.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, shared, serving })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Lists these tools from now on.
    pub fn set_tools(&self, tools: Vec<Value>) {
        lock(&self.shared).tools = tools;
    }

    /// Misbehaves where the script says so.
    pub fn instead(&self, script: impl Fn(&Heard) -> Option<Instead> + Send + Sync + 'static) {
        lock(&self.shared).script = Box::new(script);
    }

    /// Everything that reached it.
    pub fn heard(&self) -> Vec<Heard> {
        lock(&self.shared).heard.clone()
    }

    /// The calls that reached it.
    pub fn calls(&self) -> Vec<Heard> {
        self.heard().into_iter().filter(|heard| heard.method() == "tools/call").collect()
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(State(shared): State<Arc<Mutex<Shared>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 8 << 20).await.unwrap_or_default();
    let heard = Heard {
        verb: parts.method.to_string(),
        path: parts.uri.to_string(),
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let instead = {
        let mut shared = lock(&shared);
        shared.heard.push(heard.clone());
        (shared.script)(&heard)
    };
    match instead {
        None => behave(&mut lock(&shared), &heard),
        Some(Instead::Json(status, body)) => answer(status, "application/json", body),
        Some(Instead::Html(status)) => answer(status, "text/html", "<!doctype html><p>Welcome".into()),
        Some(Instead::Redirect(to)) => {
            let mut redirect = answer(307, "text/plain", String::new());
            if let Ok(to) = to.parse() {
                redirect.headers_mut().insert(header::LOCATION, to);
            }
            redirect
        }
        Some(Instead::Hang) => std::future::pending().await,
        Some(Instead::Sever(begin)) => severed(begin),
    }
}

fn behave(shared: &mut Shared, heard: &Heard) -> Response {
    let asked = heard.json();
    let id = &asked["id"];
    let result = |result: Value| {
        let body = json!({"jsonrpc": "2.0", "id": id, "result": result});
        answer(200, "application/json", body.to_string())
    };
    let no_such = |status| {
        let error = json!({"code": -32601, "message": "Method not found"});
        answer(status, "application/json", json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string())
    };
    let first = match shared.era {
        Era::Modern => json!({"resultType": "complete"}),
        Era::Legacy => json!({}),
    };
    let with = |more: Value| {
        let mut whole = first.clone();
        if let (Some(whole), Value::Object(more)) = (whole.as_object_mut(), more) {
            whole.extend(more);
        }
        whole
    };
    match (shared.era, heard.method().as_str()) {
        (Era::Modern, "server/discover") => result(with(json!({
            "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private",
        }))),
        (Era::Legacy, "initialize") => {
            shared.sessions += 1;
            let version = &asked["params"]["protocolVersion"];
            let mut reply = result(json!({
                "protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "peer", "version": "1"},
            }));
            if let Ok(session) = format!("session-{}", shared.sessions).parse() {
                reply.headers_mut().insert("mcp-session-id", session);
            }
            reply
        }
        (_, "GET" | "DELETE") => answer(405, "text/plain", String::new()),
        (_, method) if method.starts_with("notifications/") => answer(202, "text/plain", String::new()),
        (Era::Legacy, "ping") => result(json!({})),
        (era, "tools/list") => {
            let caching = json!({"ttlMs": 0, "cacheScope": "private"});
            let mut listed = with(if era == Era::Modern { caching } else { json!({}) });
            listed["tools"] = Value::from(shared.tools.clone());
            result(listed)
        }
        (_, "tools/call") => {
            let text = format!("called {}", asked["params"]["name"].as_str().unwrap_or_default());
            result(with(json!({"content": [{"type": "text", "text": text}]})))
        }
        (Era::Modern, _) => no_such(404),
        (Era::Legacy, _) => no_such(200),
    }
}

fn answer(status: u16, content_type: &str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = content_type.parse() {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

fn severed(begin: String) -> Response {
    let broken = Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    let pieces = futures_util::stream::iter([Ok(Bytes::from(begin)), broken]);
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
