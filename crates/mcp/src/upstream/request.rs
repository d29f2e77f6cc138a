//! Messages to an upstream, in either era.
//!
//! The envelope is written here from nothing. Of a client's request only the arguments go in, as
//! the one value that was validated and judged; no member of its `_meta` does, and no capability is
//! declared, because the gateway relays none. Ids and progress tokens are ours: an integer per message.

use crate::era::{Era, LegacyVersion, V2026_07_28};
use crate::raw::{Id, Raw};
use crate::strict::to_sorted_json;
use crate::write;
use serde_json::Value;

/// How the gateway names itself to upstreams. Built once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// Raw JSON of an `Implementation`.
    info: String,
    /// Raw JSON of the `_meta` that each modern request carries.
    meta: String,
}

impl ClientInfo {
    /// `name` and `version` as upstreams see them.
    pub fn new(name: &str, version: &str) -> Self {
        let mut info = b"{".to_vec();
        write::string_member(&mut info, "name", name);
        write::string_member(&mut info, "version", version);
        info.push(b'}');
        let mut meta = b"{".to_vec();
        write::string_member(&mut meta, "io.modelcontextprotocol/protocolVersion", V2026_07_28);
        write::raw_member(&mut meta, "io.modelcontextprotocol/clientCapabilities", "{}");
        let info = write::into_text(info);
        write::raw_member(&mut meta, "io.modelcontextprotocol/clientInfo", &info);
        meta.push(b'}');
        Self { info, meta: write::into_text(meta) }
    }
}

/// Modern: what the server is and speaks.
pub fn discover(id: u64, client: &ClientInfo) -> Vec<u8> {
    close(open(id, "server/discover", client.meta.len()), Era::Modern, client)
}

/// Legacy: opens a session, offering `version`.
pub fn initialize(id: u64, version: LegacyVersion, client: &ClientInfo) -> Vec<u8> {
    let mut out = open(id, "initialize", 96 + client.info.len());
    write::string_member(&mut out, "protocolVersion", version.as_str());
    write::raw_member(&mut out, "capabilities", "{}");
    write::raw_member(&mut out, "clientInfo", &client.info);
    close(out, Era::Legacy(version), client)
}

/// Legacy: the session may be used. Sent after the answer to `initialize`.
pub const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Legacy: whether the session still lives.
pub fn ping(id: u64) -> Vec<u8> {
    let mut out = open(id, "ping", 0);
    out.extend_from_slice(b"}}");
    out
}

/// One page of tools; the first without a cursor.
pub fn tools_list(id: u64, era: Era, cursor: Option<&str>, client: &ClientInfo) -> Vec<u8> {
    let mut out = open(id, "tools/list", cursor.map_or(0, str::len) + client.meta.len());
    if let Some(cursor) = cursor {
        write::string_member(&mut out, "cursor", cursor);
    }
    close(out, era, client)
}

/// A call. `name` is the upstream's own; `arguments` are sent with sorted keys, the bytes that are
/// digested. With a `progress_token` the server is asked to tell how far it has come.
pub fn tools_call(
    id: u64,
    era: Era,
    name: &str,
    arguments: &Value,
    progress_token: Option<u64>,
    client: &ClientInfo,
) -> Vec<u8> {
    let arguments = to_sorted_json(arguments);
    let mut out = open(id, "tools/call", name.len() + arguments.len() + client.meta.len());
    write::string_member(&mut out, "name", name);
    write::key(&mut out, "arguments");
    out.extend_from_slice(&arguments);
    let Some(token) = progress_token else { return close(out, era, client) };
    write::key(&mut out, "_meta");
    out.push(b'{');
    write::raw_member(&mut out, "progressToken", &token.to_string());
    if let (Era::Modern, Some(members)) = (era, client.meta.strip_prefix('{')) {
        out.push(b',');
        out.extend_from_slice(members.as_bytes());
    } else {
        out.push(b'}');
    }
    out.extend_from_slice(b"}}");
    out
}

/// Modern: a stream that tells when the list of tools changes.
pub fn listen_for_tools(id: u64, client: &ClientInfo) -> Vec<u8> {
    let mut out = open(id, "subscriptions/listen", 64 + client.meta.len());
    write::raw_member(&mut out, "notifications", r#"{"toolsListChanged":true}"#);
    close(out, Era::Modern, client)
}

/// Legacy: the answer to a request of the server's, which got no capability to ask for anything.
/// A `ping` is answered, everything else is an unknown method.
pub fn answer_server(id: Id<'_>, method: &str) -> Vec<u8> {
    if method == "ping" {
        return crate::reply::raw_result(id, Raw::EMPTY_OBJECT);
    }
    crate::error::RpcError::method_not_found(Era::Modern, method).to_response_bytes(Some(id))
}

/// `{"jsonrpc":"2.0","id":…,"method":…,"params":{`
fn open(id: u64, method: &str, size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + size);
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
    write::raw_member(&mut out, "id", &id.to_string());
    write::string_member(&mut out, "method", method);
    write::key(&mut out, "params");
    out.push(b'{');
    out
}

fn close(mut out: Vec<u8>, era: Era, client: &ClientInfo) -> Vec<u8> {
    if era.is_modern() {
        write::raw_member(&mut out, "_meta", &client.meta);
    }
    out.extend_from_slice(b"}}");
    out
}
