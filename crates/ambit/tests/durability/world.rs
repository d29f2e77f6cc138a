//! The deployment the tests run on, and what it runs on.
//!
//! Its public URL stays the same over restarts and on every node: the origin of a trail is made of it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use ambit::serve::Start;
use ambit_live::clock::Clock;
use ambit_testkit::app::{Answer, Given, TestApp, Web, dated};
use ambit_trail::testing::FaultFiles;
use http::{Request, header};
use http_body_util::Full;
use tempfile::TempDir;

use crate::api::Api;

/// The name the gateway is known by.
pub const HOST: &str = "gateway.test";

/// What the API is called with.
pub const SECRET: &str = "downstream-s3cret-of-things";

/// A segment small enough that tests fill some.
pub const SEGMENT: u64 = 256 * 1024;

const DOCUMENT: &str = r#"{"openapi":"3.1.0","info":{"title":"Things","version":"1"},"paths":{
  "/things":{
    "get":{"operationId":"list-things","summary":"List things","responses":{"200":{"description":"ok"}}},
    "post":{"operationId":"create-thing","summary":"Create a thing","requestBody":{"required":true,"content":{"application/json":{"schema":{"type":"object","required":["name"],"properties":{"name":{"type":"string"}}}}}},"responses":{"201":{"description":"made"}}}},
  "/things/{id}":{"parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}}],
    "get":{"operationId":"get-thing","summary":"Get a thing","responses":{"200":{"description":"ok"}}},
    "delete":{"operationId":"delete-thing","summary":"Delete a thing","responses":{"204":{"description":"gone"}}}}}}"#;

/// The configuration over an API; `top` stands before the first table.
pub fn config(api: SocketAddr, top: &str) -> String {
    format!(
        r#"
public_url = "https://{HOST}"
listen = "127.0.0.1:0"
{top}

[[endpoints]]
path = "/mcp"
title = "Things"
servers = ["things"]

[servers.things]
openapi = "things.json"
base_url = "http://{api}"
owner = "Team Things"
purpose = "tests"
environment = "test"
data_class = "internal"
expires = 2099-01-01
revoke_when = "the tests are over"
credential = {{ id = "things-key", bearer = "file:secret.txt" }}

[toolsets.things-read]
title = "Look at things"
tools = ["things/*"]
effects = ["read"]

[toolsets.things-edit]
title = "Make things"
tools = ["things/*"]
effects = ["read", "write"]

[accounts.alice]
name = "Alice"
groups = ["editors"]

[accounts.carol]
name = "Carol"

[agents.robot]
owner = "alice"
purpose = "tests"
expires = 2099-01-01

[[grants]]
group = "editors"
toolset = "things-edit"
reason = "editors edit"
approved_by = "Team Things"
expires = 2099-01-01

[[grants]]
agent = "robot"
toolset = "things-edit"
reason = "it helps editors"
approved_by = "Team Things"
expires = 2099-01-01

[clients.default]
toolsets = ["*"]

# One person sends more than anybody would.
[budgets.default]
requests = {{ rate = "1000000/s", burst = 1000000, at_once = 100000 }}
write = {{ rate = "1000000/s", burst = 1000000, at_once = 100000, per_day = 4000000000 }}

[access_requests]
enabled = false

[operator]
mint = true

[egress]
allow = ["127.0.0.1"]
"#
    )
}

/// A directory with everything a gateway starts from: configuration, document, secret, accepted tools.
pub async fn directory(text: &str) -> Arc<TempDir> {
    let directory = tempfile::tempdir().unwrap();
    let inside = |name: &str| directory.path().join(name);
    std::fs::write(inside("things.json"), DOCUMENT).unwrap();
    std::fs::write(inside("secret.txt"), SECRET).unwrap();
    let text = dated(text, Clock::System.now());
    std::fs::write(inside("ambit.toml"), format!("data_dir = \"data\"\n{text}")).unwrap();
    let config = inside("ambit.toml").display().to_string();
    let (code, out, err) = command(&["--config", &config, "tools", "accept", "things"]).await;
    assert_eq!(code, 0, "{out}{err}");
    Arc::new(directory)
}

/// Runs a command of the program in this process.
pub async fn command(args: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = std::iter::once("ambit").chain(args.iter().copied());
    // Boxed: every command is in it, and every test that runs one would carry it about.
    let code = Box::pin(ambit::cli(args, ambit::Streams { out: &mut out, err: &mut err })).await;
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// What a gateway runs on.
pub struct Ground {
    pub text: String,
    pub directory: Arc<TempDir>,
}

impl Ground {
    /// A fresh one over an API.
    pub async fn new(api: &Api, top: &str, more: &str) -> Self {
        let text = format!("{}{more}", config(api.address, top));
        Self { directory: directory(&text).await, text }
    }

    /// A gateway whose trail lies on a disk of the test.
    pub async fn on(&self, disk: &FaultFiles) -> TestApp {
        let start = Start { files: Arc::new(disk.clone()), segment_bytes: Some(SEGMENT), ..Start::default() };
        self.with(start).await.unwrap()
    }

    /// A gateway with what a start takes.
    pub async fn with(&self, start: Start) -> anyhow::Result<TestApp> {
        let given = Given { directory: Some(Arc::clone(&self.directory)), start, leave_pending: true };
        TestApp::with(&self.text, given).await
    }

    /// Where the trail is.
    pub fn trail(&self) -> PathBuf {
        self.directory.path().join("data/trail")
    }
}

/// What a page or probe says.
pub async fn get(address: SocketAddr, path: &str) -> Answer {
    let request = Request::get(format!("http://{address}{path}")).header(header::HOST, HOST);
    Web::new().send(request.body(Full::default()).unwrap()).await.unwrap()
}

/// The latest published checkpoint.
pub async fn checkpoint(address: SocketAddr) -> String {
    let answer = get(address, "/.well-known/ambit/checkpoint").await;
    assert_eq!(answer.status, 200);
    answer.text()
}

/// Waits for a condition, for much longer than it takes.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The same for a condition that is asked for; how long it took.
pub async fn eventually_so(what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    start.elapsed()
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
