//! The requests of the bench as they go on the wire, in either era.

use serde_json::{Value, json};

use crate::http::request;

/// The tool that is called.
pub const TOOL: &str = "get-item-0003";

const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";
const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");
const JSON: (&str, &str) = ("content-type", "application/json");

/// `tools/call` of the modern era. Without a token it is what the bare upstream and nginx get.
pub fn modern_call(address: &str, token: Option<&str>, tool: &str) -> String {
    let params = json!({"name": tool, "arguments": {"id": "item-1"}, "_meta": meta()});
    modern(address, token, "tools/call", Some(tool), &params)
}

/// `tools/list` of the modern era.
pub fn modern_list(address: &str, token: &str) -> String {
    modern(address, Some(token), "tools/list", None, &json!({"_meta": meta()}))
}

/// The first message of a legacy session.
pub fn legacy_initialize(address: &str, token: &str) -> String {
    let params =
        json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}});
    post(address, &[("authorization", &bearer(token))], &message("initialize", &params))
}

/// `tools/call` inside a legacy session.
pub fn legacy_call(address: &str, token: &str, session: Option<&str>, tool: &str) -> String {
    let authorization = bearer(token);
    let mut headers = vec![("authorization", authorization.as_str()), ("mcp-protocol-version", LEGACY)];
    headers.extend(session.map(|session| ("mcp-session-id", session)));
    post(address, &headers, &message("tools/call", &json!({"name": tool, "arguments": {"id": "item-1"}})))
}

fn modern(address: &str, token: Option<&str>, method: &str, name: Option<&str>, params: &Value) -> String {
    let authorization = token.map(bearer);
    let mut headers = vec![("mcp-protocol-version", MODERN), ("mcp-method", method)];
    headers.extend(name.map(|name| ("mcp-name", name)));
    headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
    post(address, &headers, &message(method, params))
}

fn post(address: &str, headers: &[(&str, &str)], body: &Value) -> String {
    let all: Vec<(&str, &str)> = [ACCEPT, JSON].into_iter().chain(headers.iter().copied()).collect();
    request("POST", "/mcp", address, &all, &body.to_string())
}

fn message(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
}

fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    })
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}
