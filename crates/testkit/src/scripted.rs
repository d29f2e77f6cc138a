//! An upstream with fixed answers, for the bench: an MCP server of both eras and a REST API, at the least cost per call.
//!
//! Its answers depend on the request's shape only; it holds no state and checks no credential, so that what is measured in
//! front of it is the proxy.

use anyhow::{Context as _, Result};
use bytes::BytesMut;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

use crate::wire::{self, Message};

/// The revision of the modern era.
pub const MODERN: &str = "2026-07-28";
/// The newest revision of the legacy era.
pub const LEGACY: &str = "2025-11-25";

/// What the upstream answers, made once.
#[derive(Debug)]
pub struct Script {
    modern: Eras,
    legacy: Eras,
    rest: String,
}

/// Result objects as text, one set per era: the members differ, the content does not.
#[derive(Debug)]
struct Eras {
    hello: String,
    list: String,
    call: String,
    ping: String,
}

/// The part of a JSON-RPC message that decides the answer.
#[derive(Deserialize)]
struct Call<'m> {
    #[serde(borrow)]
    id: Option<&'m RawValue>,
    method: &'m str,
}

impl Script {
    /// An upstream with this many tools, `get-item-0000` and on, all alike: one string `id`, a JSON object back.
    pub fn new(tools: usize) -> Self {
        Self { modern: Eras::new(tools, true), legacy: Eras::new(tools, false), rest: item().to_string() }
    }

    /// The name of the tool at a position.
    pub fn tool_name(position: usize) -> String {
        format!("get-item-{position:04}")
    }

    /// Answers one message: the whole response as it goes on the wire.
    fn answer(&self, message: &Message) -> String {
        if !message.start_line().starts_with("POST /mcp") {
            return respond("200 OK", &self.rest);
        }
        let Ok(call) = serde_json::from_slice::<Call<'_>>(&message.body) else {
            return respond(
                "400 Bad Request",
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}"#,
            );
        };
        let Some(id) = call.id else {
            return "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_owned();
        };
        let era = if message.header("mcp-protocol-version") == Some(MODERN) { &self.modern } else { &self.legacy };
        let result = match call.method {
            "server/discover" | "initialize" => &era.hello,
            "tools/list" => &era.list,
            "tools/call" => &era.call,
            "ping" => &era.ping,
            other => {
                let error = json!({"code": -32601, "message": format!("no method `{other}`")});
                return respond("404 Not Found", &format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#));
            }
        };
        respond("200 OK", &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
    }
}

impl Eras {
    fn new(tools: usize, modern: bool) -> Self {
        let server = json!({"name": "scripted-upstream", "version": "1"});
        let hello = if modern {
            json!({"resultType": "complete", "supportedVersions": [MODERN], "capabilities": {"tools": {}}, "ttlMs": 60_000,
                   "cacheScope": "public", "_meta": {"io.modelcontextprotocol/serverInfo": server}})
        } else {
            json!({"protocolVersion": LEGACY, "capabilities": {"tools": {}}, "serverInfo": server})
        };
        let mut list = json!({"tools": (0..tools).map(tool).collect::<Vec<_>>()});
        let mut call = json!({"content": [{"type": "text", "text": item().to_string()}], "structuredContent": item()});
        if modern {
            add(&mut call, json!({"resultType": "complete"}));
            add(&mut list, json!({"resultType": "complete", "ttlMs": 60_000, "cacheScope": "public"}));
        }
        Self { hello: hello.to_string(), list: list.to_string(), call: call.to_string(), ping: "{}".to_owned() }
    }
}

fn add(result: &mut Value, members: Value) {
    if let (Value::Object(result), Value::Object(members)) = (result, members) {
        result.extend(members);
    }
}

fn tool(position: usize) -> Value {
    json!({
        "name": Script::tool_name(position),
        "description": format!("Read item {position} by its id."),
        "inputSchema": {"type": "object", "properties": {"id": {"type": "string", "maxLength": 64}}, "required": ["id"],
                        "additionalProperties": false},
        "annotations": {"readOnlyHint": true},
    })
}

fn item() -> Value {
    json!({"id": "item-1", "name": "a thing of some length", "state": "ready", "size": 1024, "tags": ["one", "two", "three"]})
}

fn respond(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Answers connections until the future is dropped.
///
/// # Errors
/// The listener broke. A connection that breaks ends alone.
pub async fn serve(listener: TcpListener, script: Script) -> Result<()> {
    let script = std::sync::Arc::new(script);
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        let script = std::sync::Arc::clone(&script);
        tokio::spawn(async move { converse(stream, &script).await });
    }
}

async fn converse(mut stream: TcpStream, script: &Script) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::with_capacity(16 * 1024);
    while let Some(message) = wire::read_message(&mut stream, &mut buffer).await? {
        stream.write_all(script.answer(&message).as_bytes()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(version: &str, body: &str) -> (String, Value) {
        let head = format!("POST /mcp HTTP/1.1\r\nmcp-protocol-version: {version}\r\n\r\n");
        let answer = Script::new(3).answer(&Message { head, body: BytesMut::from(body) });
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    #[test]
    fn each_era_gets_its_own_members_and_the_id_comes_back_as_sent() {
        let (status, modern) = ask(MODERN, r#"{"jsonrpc":"2.0","id":"a-1","method":"tools/list"}"#);
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert_eq!(modern["id"], "a-1");
        assert_eq!(modern["result"]["resultType"], "complete");
        assert_eq!(modern["result"]["tools"].as_array().unwrap().len(), 3);
        let (_, legacy) = ask(LEGACY, r#"{"jsonrpc":"2.0","id":7,"method":"tools/call"}"#);
        assert_eq!(legacy["id"], 7);
        assert!(legacy["result"].get("resultType").is_none());
        assert_eq!(legacy["result"]["structuredContent"]["state"], "ready");
    }

    #[test]
    fn notifications_and_unknown_methods_have_their_statuses() {
        assert_eq!(ask(LEGACY, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).0, "HTTP/1.1 202 Accepted");
        assert_eq!(ask(MODERN, r#"{"jsonrpc":"2.0","id":1,"method":"nope"}"#).0, "HTTP/1.1 404 Not Found");
        assert_eq!(ask(MODERN, "{").0, "HTTP/1.1 400 Bad Request");
    }
}
