//! The answers this gateway writes itself: discovery, handshake, lists, tool results.
//!
//! Pieces that exist already as JSON (tools, schemas, an API's reply) are copied in, never parsed
//! again. Modern results carry `resultType`, caching and `serverInfo`; legacy ones never do. A list
//! is always `cacheScope: "private"`: it shows one caller's tools.

mod cursor;
#[cfg(test)]
mod tests;

pub use cursor::{BadCursor, ToolsCursor};

use crate::era::{Era, LegacyVersion, SUPPORTED};
use crate::raw::{Id, Raw};
use crate::subscription::SUBSCRIPTION_ID;
use crate::write;

/// HTTP status of an accepted notification or response; the body is empty.
pub const ACCEPTED: u16 = 202;

/// The key of `_meta` that names us.
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// `Content-Type` of every answer that is not a stream.
pub const CONTENT_TYPE: &str = "application/json";

/// How this gateway names itself on one endpoint. Built once per snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Raw JSON of an `Implementation`.
    info: String,
    /// Raw JSON of `{"io.modelcontextprotocol/serverInfo": info}`.
    meta: String,
    /// Raw JSON string.
    instructions: Option<String>,
}

impl Server {
    /// `name` and `version` as clients see them; `title` for people; `instructions` for the model.
    pub fn new(name: &str, title: Option<&str>, version: &str, instructions: Option<&str>) -> Self {
        let mut info = b"{".to_vec();
        write::string_member(&mut info, "name", name);
        if let Some(title) = title {
            write::string_member(&mut info, "title", title);
        }
        write::string_member(&mut info, "version", version);
        info.push(b'}');
        let info = write::into_text(info);
        let meta = format!("{{\"{SERVER_INFO}\":{info}}}");
        let instructions = instructions.map(|text| {
            let mut out = Vec::with_capacity(text.len() + 2);
            write::string(&mut out, text);
            write::into_text(out)
        });
        Self { info, meta, instructions }
    }

    /// Raw JSON of the `serverInfo`.
    pub fn info(&self) -> &str {
        &self.info
    }
}

/// What we declare: tools, and that a client which listens hears when its list changes ([`crate::subscription`]).
const CAPABILITIES: &str = "{\"tools\":{\"listChanged\":true}}";

/// The answer to `server/discover` (modern).
pub fn discover(id: Id<'_>, server: &Server, ttl_ms: u64) -> Vec<u8> {
    let mut out = open(id, Era::Modern, 256 + server.meta.len());
    write::key(&mut out, "supportedVersions");
    out.push(b'[');
    for (index, version) in SUPPORTED.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write::string(&mut out, version);
    }
    out.push(b']');
    write::raw_member(&mut out, "capabilities", CAPABILITIES);
    if let Some(instructions) = &server.instructions {
        write::raw_member(&mut out, "instructions", instructions);
    }
    caching(&mut out, ttl_ms);
    close(out, Era::Modern, server)
}

/// The answer to `initialize` (legacy), in the version that was negotiated.
pub fn initialize(id: Id<'_>, version: LegacyVersion, server: &Server) -> Vec<u8> {
    let era = Era::Legacy(version);
    let mut out = open(id, era, 160 + server.info.len());
    write::string_member(&mut out, "protocolVersion", version.as_str());
    write::raw_member(&mut out, "capabilities", CAPABILITIES);
    write::raw_member(&mut out, "serverInfo", &server.info);
    if let Some(instructions) = &server.instructions {
        write::raw_member(&mut out, "instructions", instructions);
    }
    close(out, era, server)
}

/// An empty result: the answer to a legacy `ping`.
pub fn empty(id: Id<'_>, era: Era, server: &Server) -> Vec<u8> {
    close(open(id, era, 64), era, server)
}

/// The answer to a `subscriptions/listen` whose stream ends in order; its `_meta` says once more which stream that is.
pub(crate) fn subscription_ended(id: Id<'_>, server: &Server) -> Vec<u8> {
    let mut out = open(id, Era::Modern, 96 + id.as_str().len() + server.meta.len());
    let mut meta = b"{".to_vec();
    write::raw_member(&mut meta, SUBSCRIPTION_ID, id.as_str());
    write::raw_member(&mut meta, SERVER_INFO, &server.info);
    meta.push(b'}');
    write::raw_member(&mut out, "_meta", &write::into_text(meta));
    out.extend_from_slice(b"}}");
    out
}

/// One page of `tools/list`. `tools` are complete definitions as JSON, in the order to show them;
/// `ttl_ms` is how long a modern client may keep the page (0: not at all).
pub fn tools_list<'t>(
    id: Id<'_>,
    era: Era,
    server: &Server,
    tools: impl Iterator<Item = &'t str> + Clone,
    next: Option<&ToolsCursor>,
    ttl_ms: u64,
) -> Vec<u8> {
    let size: usize = tools.clone().map(|tool| tool.len() + 1).sum();
    let mut out = open(id, era, size + server.meta.len() + 256);
    write::key(&mut out, "tools");
    out.push(b'[');
    for (index, tool) in tools.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(tool.as_bytes());
    }
    out.push(b']');
    if let Some(next) = next {
        write::string_member(&mut out, "nextCursor", &next.encode());
    }
    if era.is_modern() {
        caching(&mut out, ttl_ms);
    }
    close(out, era, server)
}

/// Whether a tool did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The tool ran and answers.
    Ok,
    /// The tool ran and failed, or was refused; the text says which (`isError`).
    Error,
}

/// One tool result that we author: one text block, and the same as structured content where the
/// text is JSON.
pub fn tool_result(
    id: Id<'_>,
    era: Era,
    server: &Server,
    outcome: Outcome,
    text: &str,
    structured: Option<Raw<'_>>,
) -> Vec<u8> {
    let size = text.len() + text.len() / 8 + structured.map_or(0, |raw| raw.as_str().len()) + server.meta.len();
    let mut out = open(id, era, size + 192);
    write::key(&mut out, "content");
    out.extend_from_slice(b"[{\"type\":\"text\"");
    write::string_member(&mut out, "text", text);
    out.extend_from_slice(b"}]");
    if let Some(raw) = structured
        && (era.is_modern() || raw.is_object())
    {
        // Before 2026-07-28 structured content is an object; other values stand in the text alone.
        write::raw_member(&mut out, "structuredContent", raw.as_str());
    }
    match outcome {
        Outcome::Ok => write::raw_member(&mut out, "isError", "false"),
        Outcome::Error => write::raw_member(&mut out, "isError", "true"),
    }
    close(out, era, server)
}

/// Asks a modern client to show its user a URL and to call again with `state` (multi-round-trip request, URL elicitation).
pub fn url_input_required(
    id: Id<'_>,
    server: &Server,
    key: &str,
    (url, message): (&str, &str),
    state: &str,
) -> Vec<u8> {
    let mut params = b"{\"mode\":\"url\"".to_vec();
    write::string_member(&mut params, "url", url);
    write::string_member(&mut params, "message", message);
    params.push(b'}');
    let mut out = Vec::with_capacity(256 + params.len() + state.len() + server.meta.len());
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
    write::raw_member(&mut out, "id", id.as_str());
    write::key(&mut out, "result");
    out.extend_from_slice(b"{\"resultType\":\"input_required\"");
    write::key(&mut out, "inputRequests");
    out.push(b'{');
    write::key(&mut out, key);
    out.extend_from_slice(b"{\"method\":\"elicitation/create\"");
    write::raw_member(&mut out, "params", &write::into_text(params));
    out.extend_from_slice(b"}}");
    write::string_member(&mut out, "requestState", state);
    close(out, Era::Modern, server)
}

/// A tool result whose members were put together elsewhere: `outcome` serialises to an object of `content`,
/// `structuredContent` and `isError`.
pub fn tool_outcome(id: Id<'_>, era: Era, server: &Server, outcome: &impl serde::Serialize) -> Vec<u8> {
    let mut out = open(id, era, server.meta.len() + 512);
    let before = out.len();
    let written = serde_json::to_writer(&mut out, outcome);
    // `{members}` becomes `members`, or `,members` behind a member that stands there already.
    let whole = written.is_ok() && out.get(before) == Some(&b'{') && out.last() == Some(&b'}');
    out.truncate(if whole { out.len() - 1 } else { before });
    if let Some(brace) = out.get_mut(before) {
        *brace = b',';
        if before.checked_sub(1).and_then(|at| out.get(at)) == Some(&b'{') {
            out.remove(before);
        }
    }
    close(out, era, server)
}

/// A result that exists already as JSON, under our client's id.
pub fn raw_result(id: Id<'_>, result: Raw<'_>) -> Vec<u8> {
    raw_member(id, "result", result)
}

/// An error object that exists already as JSON, under our client's id.
pub fn raw_error(id: Id<'_>, error: Raw<'_>) -> Vec<u8> {
    raw_member(id, "error", error)
}

/// A request or notification of ours to a client, inside a stream. `params` is an object.
pub fn notification(method: &str, params: Raw<'_>) -> Vec<u8> {
    let mut out = b"{\"jsonrpc\":\"2.0\"".to_vec();
    write::string_member(&mut out, "method", method);
    write::raw_member(&mut out, "params", params.as_str());
    out.push(b'}');
    out
}

fn raw_member(id: Id<'_>, name: &str, raw: Raw<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(40 + id.as_str().len() + raw.as_str().len());
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
    write::raw_member(&mut out, "id", id.as_str());
    write::raw_member(&mut out, name, raw.as_str());
    out.push(b'}');
    out
}

/// `{"jsonrpc":"2.0","id":…,"result":{` and, modern, `"resultType":"complete"`.
fn open(id: Id<'_>, era: Era, size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(72 + id.as_str().len() + size);
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
    write::raw_member(&mut out, "id", id.as_str());
    write::key(&mut out, "result");
    out.push(b'{');
    if era.is_modern() {
        write::raw_member(&mut out, "resultType", "\"complete\"");
    }
    out
}

fn caching(out: &mut Vec<u8>, ttl_ms: u64) {
    write::raw_member(out, "ttlMs", &ttl_ms.to_string());
    write::raw_member(out, "cacheScope", "\"private\"");
}

fn close(mut out: Vec<u8>, era: Era, server: &Server) -> Vec<u8> {
    if era.is_modern() {
        write::raw_member(&mut out, "_meta", &server.meta);
    }
    out.extend_from_slice(b"}}");
    out
}
