//! People who call, each call with a number that it is traced by, and what they were told.
//!
//! They know the gateway by its public name, wherever it listens.

use std::net::SocketAddr;

use ambit_model::caller::Assurance;
use ambit_testkit::app::{Answer, Login, TestApp, Web};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::world::HOST;

/// The toolsets of a login that may read and write.
pub const BOTH: &[&str] = &["things-read", "things-edit"];

/// Somebody who calls.
#[derive(Clone)]
pub struct Person {
    web: Web,
    url: String,
    token: String,
}

impl Person {
    /// A person at a gateway that listens at an address.
    pub fn new(address: SocketAddr, token: String) -> Self {
        Self { web: Web::new(), url: format!("http://{address}"), token }
    }

    /// A login at a gateway of this process.
    pub fn of(app: &TestApp, login: &Login<'_>) -> Self {
        Self::new(app.address(), app.token(login, Assurance::Confidential).unwrap())
    }

    /// Alice, who may read and write.
    pub fn alice(app: &TestApp) -> Self {
        Self::of(app, &Login { toolsets: BOTH, ..Login::default() })
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    /// The same person at another node.
    pub fn at(&self, app: &TestApp) -> Self {
        Self::new(app.address(), self.token.clone())
    }

    /// The write with this number.
    pub async fn write(&self, number: u64) -> anyhow::Result<Answer> {
        self.call("create-thing", &json!({"name": write_name(number)}), number).await
    }

    /// The read with this number.
    pub async fn read(&self, number: u64) -> anyhow::Result<Answer> {
        self.call("get-thing", &json!({"id": format!("r-{number}")}), number).await
    }

    /// A call that its number can be traced by.
    pub async fn call(&self, tool: &str, arguments: &Value, number: u64) -> anyhow::Result<Answer> {
        self.web.send(self.build(tool, arguments, number)).await
    }

    /// The names of the tools that are shown.
    pub async fn list(&self) -> anyhow::Result<Answer> {
        self.web.send(self.request("tools/list", json!({}), 1)).await
    }

    fn build(&self, tool: &str, arguments: &Value, number: u64) -> Request<Full<Bytes>> {
        self.request("tools/call", json!({"name": tool, "arguments": arguments}), number)
    }

    /// Opens a session of the legacy era; its id.
    pub async fn open_session(&self) -> String {
        let params =
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let answer = self.web.send(self.legacy("initialize", &params, None)).await.unwrap();
        answer.header("mcp-session-id").to_owned()
    }

    /// A numbered read in a session of the legacy era.
    pub async fn in_session(&self, session: &str, number: u64) -> Answer {
        let params = json!({"name": "get-thing", "arguments": {"id": format!("r-{number}")}});
        self.web.send(self.legacy("tools/call", &params, Some(session))).await.unwrap()
    }

    fn legacy(&self, method: &str, params: &Value, session: Option<&str>) -> Request<Full<Bytes>> {
        let mut head = self.head();
        if let Some(session) = session {
            head = head.header("mcp-protocol-version", "2025-11-25").header("mcp-session-id", session);
        }
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        head.body(Full::from(body.to_string())).unwrap()
    }

    fn head(&self) -> http::request::Builder {
        Request::post(format!("{}/mcp", self.url))
            .header(header::HOST, HOST)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream")
    }

    fn request(&self, method: &str, mut params: Value, number: u64) -> Request<Full<Bytes>> {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
            "traceparent": format!("00-{}-00000000000000aa-01", trace_id(number)),
        });
        let mut head = self.head().header("mcp-protocol-version", "2026-07-28").header("mcp-method", method);
        if let Some(name) = params["name"].as_str() {
            head = head.header("mcp-name", name);
        }
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        head.body(Full::from(body.to_string())).unwrap()
    }
}

/// The name a numbered write carries.
pub fn write_name(number: u64) -> String {
    format!("w-{number}")
}

/// The trace id of a numbered call.
pub fn trace_id(number: u64) -> String {
    format!("{:032x}", number + 1)
}

/// Whether a call was carried out.
pub fn is_done(answer: &Answer) -> bool {
    answer.status == 200 && answer.json()["result"]["isError"] == false
}
