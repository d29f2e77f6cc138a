//! A scripted MCP server on loopback: it records every request byte for byte and answers as told.
//!
//! [`Fake`] is a well-behaved server of either era whose tools and sessions a test can change while
//! it runs; `instead` lets it misbehave for chosen requests. It stops when it is dropped.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ambit_egress::{Client, EgressRules, Roots, Settings};
use ambit_live::catalogue::{PublishedTool, ServerCatalogue};
use ambit_model::ids::{ServerSlug, ToolName};
use ambit_model::server::{CallLimits, Credentials, Governance, Server, Upstream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::McpUpstreams;

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) verb: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The JSON-RPC method, or the HTTP method where there is no body.
    pub(crate) fn method(&self) -> String {
        self.json()["method"].as_str().map_or_else(|| self.verb.clone(), str::to_owned)
    }
}

/// What the server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Writes this and goes on.
    Bytes(String),
    /// Writes this and closes the connection.
    Close(String),
    /// Writes pieces with pauses before them, then goes on.
    Pieces(Vec<(Duration, String)>),
    /// Never answers.
    Hang,
}

impl Reply {
    pub(crate) fn http(status: u16, headers: &str, body: &str) -> Self {
        Self::Bytes(format!("HTTP/1.1 {status} x\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()))
    }

    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::http(status, "content-type: application/json\r\n", body)
    }

    pub(crate) fn result(heard: &Heard, result: &str) -> Self {
        Self::json(200, &result_message(heard, result))
    }

    pub(crate) fn error(heard: &Heard, status: u16, code: i64, message: &str) -> Self {
        let error = json!({"jsonrpc": "2.0", "id": heard.json()["id"], "error": {"code": code, "message": message}});
        Self::json(status, &error.to_string())
    }

    /// A whole stream of events.
    pub(crate) fn stream(events: &[String]) -> Self {
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        let mut bytes = STREAM_HEAD.to_owned();
        for event in events {
            bytes.push_str(&chunk(&format!("data: {event}\n\n")));
        }
        bytes.push_str("0\r\n\r\n");
        Self::Bytes(bytes)
    }
}

pub(crate) const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// The message that answers a request.
pub(crate) fn result_message(heard: &Heard, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, heard.json()["id"])
}

type Script = Box<dyn Fn(&Heard) -> Option<Reply> + Send + Sync>;

/// What the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Modern,
    /// With sessions.
    Legacy,
    /// Without sessions.
    LegacyStateless,
}

struct State {
    kind: Kind,
    tools: Vec<Value>,
    /// The sessions that are open; a restart closes all.
    sessions: Vec<String>,
    opened: usize,
    heard: Vec<Heard>,
    instead: Script,
    connections: usize,
}

/// A server that runs until it is dropped.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A tool as a server lists it.
pub(crate) fn tool(name: &str) -> Value {
    json!({"name": name, "description": "reads one thing", "inputSchema": {"type": "object"},
        "annotations": {"readOnlyHint": true}})
}

impl Fake {
    pub(crate) async fn start(kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            kind,
            tools: vec![tool("get_thing")],
            sessions: Vec::new(),
            opened: 0,
            heard: Vec::new(),
            instead: Box::new(|_| None),
            connections: 0,
        }));
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            let mut serving = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                serving.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state, accepting }
    }

    /// Answers otherwise where the script says so.
    pub(crate) fn instead(&self, script: impl Fn(&Heard) -> Option<Reply> + Send + Sync + 'static) {
        self.state.lock().unwrap().instead = Box::new(script);
    }

    pub(crate) fn set_tools(&self, tools: Vec<Value>) {
        self.state.lock().unwrap().tools = tools;
    }

    /// Forgets every session, and may come back as another kind of server.
    pub(crate) fn restart(&self, kind: Kind) {
        let mut state = self.state.lock().unwrap();
        state.sessions.clear();
        state.kind = kind;
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.state.lock().unwrap().heard.clone()
    }

    /// The methods that were heard so far, in order.
    pub(crate) fn methods(&self) -> Vec<String> {
        self.heard().iter().map(Heard::method).collect()
    }

    pub(crate) fn count(&self, method: &str) -> usize {
        self.methods().iter().filter(|heard| *heard == method).count()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    /// The server as configuration would declare it.
    pub(crate) fn server(&self) -> Server {
        server(&format!("http://{}/mcp", self.address))
    }
}

/// A server at an address.
pub(crate) fn server(url: &str) -> Server {
    Server {
        slug: ServerSlug::parse("up").unwrap(),
        governance: Governance {
            owner: "team".into(),
            purpose: "tests".into(),
            environment: "test".into(),
            data_class: "internal".into(),
            expires_at: i64::MAX,
            revoke_when: "never".into(),
        },
        upstream: Upstream::Mcp { url: url.to_owned() },
        credentials: Credentials::default(),
        overrides: std::collections::BTreeMap::new(),
        approvals: ambit_model::server::ServerApprovals::default(),
        labels: Vec::new(),
        limits: CallLimits::default(),
    }
}

/// An egress client that may speak to loopback.
pub(crate) fn egress() -> Client {
    let settings = Settings {
        rules: EgressRules::new(vec!["127.0.0.0/8".parse().unwrap()]),
        roots: Roots::native(),
        connect_timeout: Duration::from_secs(5),
        ..Settings::default()
    };
    Client::new(&settings).unwrap()
}

pub(crate) fn upstreams() -> McpUpstreams {
    McpUpstreams::new(egress())
}

pub(crate) fn in_ms(milliseconds: u64) -> Instant {
    Instant::now() + Duration::from_millis(milliseconds)
}

/// The tool as it would be published from this description.
pub(crate) fn published(server: &Server, described: &Value) -> Arc<PublishedTool> {
    let text = json!({"tools": [described]}).to_string();
    let raw: Box<serde_json::value::RawValue> = serde_json::from_str(&text).unwrap();
    let page = ambit_mcp::upstream::listing::read_page(raw.as_ref().into(), 10, |_| false).unwrap();
    let tools = page.tools.into_iter().map(super::list::published).collect();
    let catalogue = ServerCatalogue::from_mcp(server, tools, Vec::new(), 0);
    let name = ToolName::parse(described["name"].as_str().unwrap()).unwrap();
    Arc::clone(catalogue.tools.get(&name).unwrap_or_else(|| panic!("{:?}", catalogue.left_out)))
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut stream = BufReader::new(stream);
    while let Some(heard) = read_request(&mut stream).await {
        let reply = answer(&mut state.lock().unwrap(), heard);
        match reply {
            Reply::Bytes(bytes) => {
                if stream.write_all(bytes.as_bytes()).await.is_err() {
                    return;
                }
            }
            Reply::Close(bytes) => {
                let _ = stream.write_all(bytes.as_bytes()).await;
                let _ = stream.shutdown().await;
                return;
            }
            Reply::Pieces(pieces) => {
                for (pause, bytes) in pieces {
                    tokio::time::sleep(pause).await;
                    if stream.write_all(bytes.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
            Reply::Hang => std::future::pending().await,
        }
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Heard> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let verb = lines.next()?.split(' ').next()?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or("0", |(_, value)| value);
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    Some(Heard { verb, headers, body: String::from_utf8(body).unwrap() })
}

fn answer(state: &mut State, heard: Heard) -> Reply {
    let reply = (state.instead)(&heard).unwrap_or_else(|| behave(state, &heard));
    state.heard.push(heard);
    reply
}

fn behave(state: &mut State, heard: &Heard) -> Reply {
    let method = heard.method();
    match state.kind {
        Kind::Modern => {
            if heard.verb != "POST" {
                return Reply::http(405, "", "");
            }
            let version = &heard.json()["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"];
            if version != "2026-07-28" {
                return Reply::error(heard, 400, -32022, "unsupported protocol version");
            }
            match method.as_str() {
                "server/discover" => Reply::result(
                    heard,
                    r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}"#,
                ),
                "subscriptions/listen" => Reply::error(heard, 404, -32601, "no subscriptions"),
                _ => tools(state, heard, &method, r#""resultType":"complete","#),
            }
        }
        Kind::Legacy | Kind::LegacyStateless => legacy(state, heard, &method),
    }
}

fn legacy(state: &mut State, heard: &Heard, method: &str) -> Reply {
    let keeps_sessions = state.kind == Kind::Legacy;
    let session = heard.header("mcp-session-id");
    if method == "initialize" {
        let result = r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"fake","version":"1"}}"#;
        let body = result_message(heard, result);
        let mut headers = "content-type: application/json\r\n".to_owned();
        if keeps_sessions {
            state.opened += 1;
            let id = format!("session-{}", state.opened);
            headers = format!("{headers}Mcp-Session-Id: {id}\r\n");
            state.sessions.push(id);
        }
        return Reply::http(200, &headers, &body);
    }
    if keeps_sessions {
        match session {
            None => {
                return Reply::json(
                    400,
                    r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Server not initialized"},"id":null}"#,
                );
            }
            Some(id) if !state.sessions.iter().any(|known| known == id) => {
                return Reply::json(
                    404,
                    r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}"#,
                );
            }
            Some(_) => {}
        }
    }
    match (heard.verb.as_str(), method) {
        ("GET", _) => Reply::http(405, "", ""),
        ("DELETE", _) => {
            state.sessions.retain(|known| Some(known.as_str()) != session);
            Reply::http(200, "", "")
        }
        (_, "notifications/initialized") => Reply::http(202, "", ""),
        _ if heard.json().get("method").is_none() => Reply::http(202, "", ""),
        (_, "ping") => Reply::result(heard, "{}"),
        (_, "server/discover") => Reply::error(heard, 200, -32601, "Method not found"),
        _ => tools(state, heard, method, ""),
    }
}

fn tools(state: &State, heard: &Heard, method: &str, first: &str) -> Reply {
    match method {
        "tools/list" => Reply::result(heard, &format!(r#"{{{first}"tools":{}}}"#, Value::from(state.tools.clone()))),
        "tools/call" => {
            let text = format!("called {}", heard.json()["params"]["name"].as_str().unwrap());
            Reply::result(heard, &format!(r#"{{{first}"content":[{{"type":"text","text":"{text}"}}]}}"#))
        }
        _ => Reply::error(heard, 404, -32601, "Method not found"),
    }
}
