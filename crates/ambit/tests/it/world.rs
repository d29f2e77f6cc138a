//! The deployment the tests run on: one REST API, people of different entitlement, an agent.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use ambit_live::clock::Clock;
use ambit_testkit::app::{Answer, Caller, Given, Login, TestApp};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
};
use http::HeaderMap;
use tokio::task::JoinHandle;

/// An API that remembers what it was asked and answers as it is told.
#[derive(Debug)]
pub struct Api {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    seen: Mutex<Vec<String>>,
    heads: Mutex<Vec<HeaderMap>>,
    answer: Mutex<(u16, String)>,
}

impl Api {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            heads: Mutex::default(),
            answer: Mutex::new((200, r#"{"ok":true}"#.to_owned())),
        });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, shared, serving }
    }

    /// Every request so far: method, path and query, body.
    pub fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The headers of every request so far.
    pub fn heads(&self) -> Vec<HeaderMap> {
        self.shared.heads.lock().unwrap().clone()
    }

    pub fn answers(&self, status: u16, body: &str) {
        *self.shared.answer.lock().unwrap() = (status, body.to_owned());
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 8 << 20).await.unwrap();
    let line = format!("{} {} {}", head.method, head.uri, String::from_utf8_lossy(&body));
    shared.seen.lock().unwrap().push(line.trim_end().to_owned());
    shared.heads.lock().unwrap().push(head.headers);
    let (status, body) = shared.answer.lock().unwrap().clone();
    Response::builder().status(status).header("content-type", "application/json").body(Body::from(body)).unwrap()
}

/// The document of the API.
pub const DOCUMENT: &str = r#"{"openapi":"3.1.0","info":{"title":"Things","version":"1"},"servers":[{"url":"http://127.0.0.1:9"}],"paths":{
  "/things":{
    "get":{"operationId":"list-things","summary":"List things","parameters":[{"name":"limit","in":"query","schema":{"type":"integer","maximum":100}}],"responses":{"200":{"description":"ok"}}},
    "post":{"operationId":"create-thing","summary":"Create a thing","requestBody":{"required":true,"content":{"application/json":{"schema":{"type":"object","required":["name"],"properties":{"name":{"type":"string"}}}}}},"responses":{"201":{"description":"made"}}}},
  "/things/{id}":{"parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}}],
    "get":{"operationId":"get-thing","summary":"Get a thing","responses":{"200":{"description":"ok"}}},
    "delete":{"operationId":"delete-thing","summary":"Delete a thing","responses":{"204":{"description":"gone"}}}}}}"#;

/// The owner's word that calls of a tool need no approval, for tests of something else.
pub fn waived(server: &str, tool: &str) -> String {
    let until = ambit::config::quantity::instant_text(Clock::System.now() + 200 * 24 * 3_600_000);
    format!(
        "\n[servers.{server}.approvals.{tool}]\nnot_needed = {{ reason = \"not what is tested\", until = \"{until}\" }}\n"
    )
}

/// The configuration of the tests, over an API at an address.
pub fn config(api: SocketAddr) -> String {
    config_with(api, &waived("things", "delete-thing"))
}

/// The same, with what its owner says about approvals.
pub fn config_with(api: SocketAddr, approvals: &str) -> String {
    format!(
        r#"
public_url = "{{url}}"
listen = "127.0.0.1:0"

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
{approvals}
[toolsets.things-read]
title = "Look at things"
tools = ["things/*"]
effects = ["read"]

[toolsets.things-edit]
title = "Make things"
tools = ["things/*"]
effects = ["read", "write"]

[toolsets.things-cleanup]
title = "Delete things"
tools = ["things/delete-thing"]

[accounts.alice]
name = "Alice"
groups = ["editors"]

[accounts.bob]
name = "Bob"
groups = ["readers"]

[accounts.carol]
name = "Carol"

[[grants]]
group = "editors"
toolset = "things-edit"
reason = "editors edit"
approved_by = "Team Things"
expires = 2099-01-01

[[grants]]
group = "readers"
toolset = "things-read"
reason = "readers read"
approved_by = "Team Things"
expires = 2099-01-01

[clients.default]
toolsets = ["*"]

[access_requests]
enabled = false

[operator]
mint = true

[egress]
allow = ["127.0.0.1"]
"#
    )
}

/// For tests that ask more than anybody would: budgets that nobody uses up.
pub const AMPLE: &str = "[budgets.default]\nrequests = { rate = \"1000000/s\", burst = 1000000, at_once = 100000 }\n";

/// A gateway over a fresh API.
pub async fn start() -> (TestApp, Api) {
    with(Given::default(), "").await
}

/// A gateway over a fresh API, with what a test gives it and adds to the configuration.
pub async fn with(given: Given, more: &str) -> (TestApp, Api) {
    let api = Api::start().await;
    let directory = given.directory.clone().unwrap_or_else(|| Arc::new(tempfile::tempdir().unwrap()));
    std::fs::write(directory.path().join("things.json"), DOCUMENT).unwrap();
    let given = Given { directory: Some(directory), ..given };
    let app = TestApp::with(&format!("{}{more}", config(api.address)), given).await.unwrap();
    (app, api)
}

/// Toolsets as a login ticks them: everything but the destructive ones, and everything.
pub const ORDINARY: &[&str] = &["things-read", "things-edit"];
pub const ALL: &[&str] = &["things-read", "things-edit", "things-cleanup"];

/// A clock that stands still until it is moved, at the start of a second of today.
pub fn still() -> Clock {
    Clock::manual(Clock::System.now() / 1000 * 1000)
}

/// What a test gives a gateway that runs on such a clock.
pub fn at(clock: &Clock) -> Given {
    let start = ambit::serve::Start { clock: clock.clone(), ..ambit::serve::Start::default() };
    Given { start, ..Given::default() }
}

/// Somebody with every toolset ticked, at a client.
pub fn person(app: &TestApp, user: &str, client: &str) -> Caller {
    app.login(&Login { user, client, toolsets: ALL, ..Login::default() }).unwrap()
}

/// Whether a call was answered with the result of a tool that did not fail.
pub fn is_fine(answer: &Answer) -> bool {
    let body = answer.json();
    answer.status == 200 && body["result"]["content"].is_array() && body["result"]["isError"] != true
}

/// Runs a command that has to succeed, and gives what it printed.
pub async fn ambit(app: &TestApp, args: &[&str]) -> String {
    let (code, out, err) = app.ambit(args).await;
    assert_eq!(code, 0, "{args:?}: {out}{err}");
    out
}

/// Reveals what deletes things to alice at a client.
pub async fn reveal(app: &TestApp, client: &str) {
    let args =
        ["grant", "--reveal", "--user", "alice", "--client", client, "--toolset", "things-cleanup", "--for", "2h"];
    ambit(app, &[&args[..], &["--reason", "clean up"]].concat()).await;
}
