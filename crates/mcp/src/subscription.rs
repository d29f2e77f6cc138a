//! What a client is told on a stream that stays open: that its list of tools changed, and nothing else.
//!
//! In 2026-07-28 the stream is the answer to `subscriptions/listen`. It begins with what of the client's wish is honoured,
//! everything on it carries the id of that request, and a server that ends it in order says so with a result. The legacy
//! era has a stream per session, on which the bare notification stands.

use crate::error::RpcError;
use crate::raw::{Id, Kind, Raw};
use crate::reply::{self, Server};
use crate::upstream::answer::member;
use crate::write;

/// The method of a modern client that wants to be told.
pub const LISTEN: &str = "subscriptions/listen";

/// Legacy: the list of tools changed.
pub const TOOLS_CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

/// What a modern client wants to be told, as far as it can be: the rest is not acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// `toolsListChanged`.
    pub tools: bool,
}

impl Wanted {
    /// Reads `params.notifications`.
    ///
    /// # Errors
    /// `-32602`: it is missing, or a wish in it is neither `true` nor `false`.
    pub fn read(notifications: Option<Raw<'_>>) -> Result<Self, RpcError> {
        let Some(wishes) = notifications else {
            let missing =
                "`params.notifications` is missing: say what to be told of, such as `{\"toolsListChanged\": true}`";
            return Err(RpcError::invalid_params(missing));
        };
        let tools = match member(wishes, "toolsListChanged") {
            None => false,
            Some(wish) if wish.kind() == Kind::Bool => wish.as_str() == "true",
            Some(_) => {
                return Err(RpcError::invalid_params("`params.notifications.toolsListChanged` must be true or false"));
            }
        };
        Ok(Self { tools })
    }
}

/// One `subscriptions/listen`, for what is told under its id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscription {
    /// The id as the client wrote it.
    id: String,
}

impl Subscription {
    /// That of a request.
    pub fn of(id: Id<'_>) -> Self {
        Self { id: id.as_str().to_owned() }
    }

    /// The first message: what of the wish is honoured.
    pub fn acknowledged(&self, wanted: Wanted) -> String {
        self.notification("notifications/subscriptions/acknowledged", |params| {
            write::raw_member(
                params,
                "notifications",
                if wanted.tools { r#"{"toolsListChanged":true}"# } else { "{}" },
            );
        })
    }

    /// The list of tools changed.
    pub fn tools_changed(&self) -> String {
        self.notification("notifications/tools/list_changed", |_| {})
    }

    /// The last message of a stream that ends in order: the answer to its request.
    pub fn ended(&self, server: &Server) -> Vec<u8> {
        reply::subscription_ended(Id::from_scanned(&self.id), server)
    }

    fn notification(&self, method: &str, more: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"{\"jsonrpc\":\"2.0\"".to_vec();
        write::string_member(&mut out, "method", method);
        write::key(&mut out, "params");
        out.push(b'{');
        write::key(&mut out, "_meta");
        out.push(b'{');
        write::raw_member(&mut out, SUBSCRIPTION_ID, &self.id);
        out.push(b'}');
        more(&mut out);
        out.extend_from_slice(b"}}");
        write::into_text(out)
    }
}

/// The key of `_meta` that names a subscription.
pub(crate) const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn json(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_wish_is_read_as_far_as_it_can_come_true() {
        for (wishes, tools) in [
            ("{}", false),
            (r#"{"toolsListChanged":true}"#, true),
            (r#"{"toolsListChanged":false}"#, false),
            (
                r#"{"promptsListChanged":true,"resourceSubscriptions":["a:b"],"taskIds":[1],"toolsListChanged":true}"#,
                true,
            ),
            (r#"{"promptsListChanged":true,"ToolsListChanged":true}"#, false),
        ] {
            assert_eq!(Wanted::read(Some(Raw::from_scanned(wishes))), Ok(Wanted { tools }), "{wishes}");
        }
        for wishes in [None, Some(r#"{"toolsListChanged":"true"}"#), Some(r#"{"toolsListChanged":null}"#)] {
            assert_eq!(Wanted::read(wishes.map(Raw::from_scanned)).unwrap_err().code(), -32602, "{wishes:?}");
        }
    }

    #[test]
    fn everything_on_the_stream_carries_the_id_of_its_request_as_it_was_written() {
        let server = Server::new("ambit", None, "1", None);
        for id in ["7", r#""listen:\u00e9""#] {
            let subscription = Subscription::of(Id::from_scanned(id));
            let meta = json!({ SUBSCRIPTION_ID: json(id) });
            let honoured = |tools| json(&subscription.acknowledged(Wanted { tools }));
            let method = "notifications/subscriptions/acknowledged";
            for (tools, notifications) in [(true, json!({"toolsListChanged": true})), (false, json!({}))] {
                let params = json!({"_meta": meta, "notifications": notifications});
                assert_eq!(honoured(tools), json!({"jsonrpc": "2.0", "method": method, "params": params}));
            }
            assert_eq!(
                json(&subscription.tools_changed()),
                json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {"_meta": meta}})
            );
            let ended: Value = serde_json::from_slice(&subscription.ended(&server)).unwrap();
            let meta = json!({
                SUBSCRIPTION_ID: json(id),
                "io.modelcontextprotocol/serverInfo": {"name": "ambit", "version": "1"},
            });
            let result = json!({"resultType": "complete", "_meta": meta});
            assert_eq!(ended, json!({"jsonrpc": "2.0", "id": json(id), "result": result}));
            assert!(subscription.tools_changed().contains(id), "byte for byte");
        }
        assert_eq!(json(TOOLS_CHANGED)["method"], "notifications/tools/list_changed");
    }
}
