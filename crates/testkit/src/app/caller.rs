//! A caller of an endpoint, in either era: builds requests as real clients do, and says what came back.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use serde_json::{Value, json};

use super::http::{Reply, Web};

/// A protocol era.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Era {
    /// 2026-07-28.
    Modern,
    /// 2025-11-25.
    Legacy,
}

/// What a request was answered.
pub type Answer = Reply;

/// A caller with a token.
#[derive(Clone, Debug)]
pub struct Caller {
    web: Web,
    url: String,
    token: String,
    session: Option<String>,
}

impl Caller {
    /// A caller of the endpoint at a URL.
    pub fn new(web: Web, url: String, token: String) -> Self {
        Self { web, url, token, session: None }
    }

    /// Its token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The URL it calls.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its legacy session, once it has one.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// The same caller in another legacy session.
    #[must_use]
    pub fn with_session(&self, session: &str) -> Self {
        Self { session: Some(session.to_owned()), ..self.clone() }
    }

    /// The same caller at another endpoint's URL.
    #[must_use]
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// The same caller with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Opens a legacy session; later legacy requests carry it.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn initialize(&mut self) -> Result<Value> {
        let params =
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let reply = self.web.send(self.head(None).body(Full::from(body.to_string()))?).await?;
        let session = reply.headers.get("mcp-session-id").context("no session id")?.to_str()?;
        self.session = Some(session.to_owned());
        Ok(reply.json())
    }

    /// Sends one request of an era.
    ///
    /// # Errors
    /// If no whole answer came.
    pub async fn request(&self, era: Era, method: &str, params: Value) -> Result<Answer> {
        self.web.send(self.build(era, method, params)?).await
    }

    /// Sends a request that a test has spoiled.
    ///
    /// # Errors
    /// If no whole answer came.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer> {
        self.web.send(request).await
    }

    /// `tools/call`, modern.
    ///
    /// # Errors
    /// If no whole answer came.
    pub async fn call(&self, tool: &str, arguments: Value) -> Result<Answer> {
        self.call_in(Era::Modern, tool, arguments).await
    }

    /// `tools/call`.
    ///
    /// # Errors
    /// If no whole answer came.
    pub async fn call_in(&self, era: Era, tool: &str, arguments: Value) -> Result<Answer> {
        self.request(era, "tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// The names of `tools/list`, modern, all pages.
    ///
    /// # Errors
    /// If a page is no list.
    pub async fn list(&self) -> Result<Vec<String>> {
        self.list_in(Era::Modern).await
    }

    /// The names of `tools/list`, all pages.
    ///
    /// # Errors
    /// If a page is no list.
    pub async fn list_in(&self, era: Era) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let mut params = json!({});
        loop {
            let answer = self.request(era, "tools/list", params).await?;
            let result = &answer.json()["result"];
            let tools = result["tools"].as_array().with_context(|| format!("no list: {}", answer.text()))?;
            names.extend(tools.iter().filter_map(|tool| tool["name"].as_str()).map(ToOwned::to_owned));
            match result["nextCursor"].as_str() {
                Some(next) => params = json!({"cursor": next}),
                None => return Ok(names),
            }
        }
    }

    /// A request as a well-behaved client builds it, for a test to spoil.
    ///
    /// # Errors
    /// If a part cannot stand in a header.
    pub fn build(&self, era: Era, method: &str, mut params: Value) -> Result<Request<Full<Bytes>>> {
        let mut head = self.head(Some(era));
        if era == Era::Modern {
            head = head.header("mcp-method", method);
            if let Some(name) = params["name"].as_str() {
                head = head.header("mcp-name", name);
            }
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
            });
        }
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        Ok(head.body(Full::from(body.to_string()))?)
    }

    fn head(&self, era: Option<Era>) -> http::request::Builder {
        let mut head = Request::post(&self.url)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream");
        match era {
            None => {}
            Some(Era::Modern) => head = head.header("mcp-protocol-version", "2026-07-28"),
            Some(Era::Legacy) => {
                head = head.header("mcp-protocol-version", "2025-11-25");
                if let Some(session) = &self.session {
                    head = head.header("mcp-session-id", session);
                }
            }
        }
        head
    }
}
