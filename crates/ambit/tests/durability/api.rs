//! The API behind the gateway: remembers what reached it, and can be told to keep its answers back.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
};
use tokio::{sync::watch, task::JoinHandle};

use crate::world::eventually;

/// A running API.
pub struct Api {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    seen: Mutex<Vec<String>>,
    credentials: Mutex<Vec<String>>,
    held: watch::Sender<bool>,
}

impl Api {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let held = watch::Sender::new(false);
        let shared = Arc::new(Shared { seen: Mutex::default(), credentials: Mutex::default(), held });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, shared, serving }
    }

    /// Every request so far: method, path, body.
    pub fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The writes among them, by the name they carried, with how often each came.
    pub fn writes(&self) -> BTreeMap<String, usize> {
        let mut writes = BTreeMap::new();
        for line in self.seen() {
            if let Some(name) = line.strip_prefix(r#"POST /things {"name":""#) {
                *writes.entry(name.trim_end_matches(r#""}"#).to_owned()).or_default() += 1;
            }
        }
        writes
    }

    /// What requests carried in `authorization`.
    pub fn credentials(&self) -> Vec<String> {
        self.shared.credentials.lock().unwrap().clone()
    }

    /// Answers wait until they are let go.
    pub fn hold(&self, hold: bool) {
        self.shared.held.send_replace(hold);
    }

    /// Waits until something arrived that begins so.
    pub async fn arrived(&self, line: &str) {
        eventually(&format!("`{line}` at the API"), || self.seen().iter().any(|seen| seen.starts_with(line))).await;
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let line = format!("{} {} {}", head.method, head.uri, String::from_utf8_lossy(&body));
    shared.seen.lock().unwrap().push(line.trim_end().to_owned());
    if let Some(credential) = head.headers.get("authorization") {
        shared.credentials.lock().unwrap().push(credential.to_str().unwrap().to_owned());
    }
    let mut answers = shared.held.subscribe();
    answers.wait_for(|held| !held).await.unwrap();
    Response::builder().header("content-type", "application/json").body(Body::from(r#"{"ok":true}"#)).unwrap()
}
