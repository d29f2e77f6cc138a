//! An upstream that keeps the raw bytes of what it gets and answers with the raw bytes it was told.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

/// What an upstream does with a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Answers a JSON body with a status.
    Json(u16, String),
    /// Writes these bytes and closes.
    Raw(Vec<u8>),
    /// Never answers.
    Hang,
    /// Waits until it is released, then answers a JSON body.
    Held(String),
    /// Closes without a word.
    Close,
    /// Speaks modern MCP: these tools, and this result for every call.
    Mcp {
        /// The tools, as listed.
        tools: String,
        /// The result of a call.
        result: String,
    },
    /// Speaks modern MCP, answers everything with a stream, and does this before it gives the result.
    Tells {
        /// The tools, as listed.
        tools: String,
        /// The result of a call.
        result: String,
        /// Before the list.
        listing: Vec<Step>,
        /// Before the result of a call.
        calling: Vec<Step>,
        /// Behind it.
        after: Vec<Step>,
    },
}

/// One thing a server does on a stream.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends an event, with the request's progress token for `$token`.
    Tell(String),
    /// Sends several at once.
    TellAll(Vec<String>),
    /// Waits until it is released.
    Hold,
}

#[derive(Clone)]
pub struct Upstream {
    shared: Arc<Shared>,
    pub address: SocketAddr,
}

struct Shared {
    act: Mutex<Act>,
    seen: Mutex<Vec<String>>,
    arrived: Notify,
    released: Notify,
    serving: Mutex<Option<JoinHandle<()>>>,
}

impl Upstream {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            act: Mutex::new(Act::Json(200, r#"{"ok":true}"#.into())),
            seen: Mutex::default(),
            arrived: Notify::new(),
            released: Notify::new(),
            serving: Mutex::default(),
        });
        let weak = Arc::downgrade(&shared);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Some(shared) = weak.upgrade() else { return };
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(Duration::from_secs(30), serve(stream, &shared)).await;
                });
            }
        });
        *shared.serving.lock().unwrap() = Some(serving);
        Self { shared, address }
    }

    pub fn will(&self, act: Act) {
        *self.shared.act.lock().unwrap() = act;
    }

    /// Lets a held answer go.
    pub fn release(&self) {
        self.shared.released.notify_one();
    }

    /// Lets every answer go that is held.
    pub fn release_all(&self) {
        self.shared.released.notify_waiters();
    }

    /// Waits until a request has arrived.
    pub async fn arrived(&self) {
        tokio::time::timeout(Duration::from_secs(10), self.shared.arrived.notified()).await.unwrap();
    }

    /// The requests for one MCP method.
    pub fn asked(&self, method: &str) -> Vec<String> {
        let mut asked = self.seen();
        asked.retain(|request| request.contains(&format!("\"method\":\"{method}\"")));
        asked
    }

    /// Every request so far, as it came.
    pub fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().clone()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.lock().unwrap().take() {
            serving.abort();
        }
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) {
    while let Some(request) = read(&mut stream).await {
        shared.seen.lock().unwrap().push(request.clone());
        shared.arrived.notify_one();
        let act = shared.act.lock().unwrap().clone();
        match act {
            Act::Json(status, body) => {
                if stream.write_all(&json(status, &body)).await.is_err() {
                    return;
                }
            }
            Act::Raw(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                return;
            }
            Act::Hang => std::future::pending::<()>().await,
            Act::Held(body) => {
                shared.released.notified().await;
                if stream.write_all(&json(200, &body)).await.is_err() {
                    return;
                }
            }
            Act::Close => return,
            Act::Mcp { tools, result } => {
                let Some((_, answer)) = mcp(&request, &tools, &result) else { return };
                if stream.write_all(&json(200, &answer)).await.is_err() {
                    return;
                }
            }
            Act::Tells { tools, result, listing, calling, after } => {
                let Some((asked, answer)) = mcp(&request, &tools, &result) else { return };
                let before = match asked["method"].as_str() {
                    Some("tools/call") => calling,
                    Some("tools/list") => listing,
                    _ => Vec::new(),
                };
                let token = asked["params"]["_meta"]["progressToken"].to_string();
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
                let mut bytes = head.to_owned();
                for step in before {
                    let events = match step {
                        Step::Tell(event) => vec![event],
                        Step::TellAll(events) => events,
                        Step::Hold => {
                            if stream.write_all(std::mem::take(&mut bytes).as_bytes()).await.is_err() {
                                return;
                            }
                            shared.released.notified().await;
                            continue;
                        }
                    };
                    bytes.extend(events.iter().map(|event| chunk(&event.replace("$token", &token))));
                }
                bytes.push_str(&chunk(&answer));
                for step in after {
                    if let Step::Tell(event) = step {
                        bytes.push_str(&chunk(&event.replace("$token", &token)));
                    }
                }
                bytes.push_str("0\r\n\r\n");
                if stream.write_all(bytes.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// An event in a chunk of its own.
fn chunk(event: &str) -> String {
    let event = format!("data: {event}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len())
}

/// What was asked of a modern MCP server, and its answer.
fn mcp(request: &str, tools: &str, result: &str) -> Option<(Value, String)> {
    let body = request.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let asked = serde_json::from_str::<Value>(body).ok()?;
    let caching = r#""ttlMs":0,"cacheScope":"private""#;
    let result = match asked["method"].as_str() {
        Some("server/discover") => format!(
            r#"{{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{{"tools":{{}}}},{caching}}}"#
        ),
        Some("tools/list") => format!(r#"{{"resultType":"complete","tools":[{tools}],{caching}}}"#),
        Some("tools/call") => result.to_owned(),
        _ => return None,
    };
    let answer = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, asked["id"]);
    Some((asked, answer))
}

fn json(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// One request, head and body.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0_u8; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let announced = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
            });
            if body.len() >= announced.unwrap_or(0) {
                return Some(text);
            }
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}
