//! MCP tool annotations, derived from our own effect.
//!
//! What a client is told and what the judge decides come from one classification. Nothing of the document but the HTTP
//! method enters here.

use ambit_model::Effect;
use http::Method;
use serde::Serialize;

/// The hints of an MCP tool (specification, server/tools, `ToolAnnotations`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "the wire shape of the specification")]
pub struct Annotations {
    /// The tool observes only.
    pub read_only_hint: bool,
    /// The tool may destroy.
    pub destructive_hint: bool,
    /// Calling it twice with the same arguments does no more than calling it once.
    pub idempotent_hint: bool,
    /// The tool speaks with the world outside.
    pub open_world_hint: bool,
}

/// The annotations of an operation.
pub fn annotations(effect: Effect, method: &Method) -> Annotations {
    Annotations {
        read_only_hint: effect == Effect::Read,
        destructive_hint: effect == Effect::Destructive,
        idempotent_hint: method.is_idempotent(),
        open_world_hint: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_follow_effect_and_method() {
        let hints = serde_json::to_value(annotations(Effect::Destructive, &Method::PUT)).unwrap();
        assert_eq!(
            hints,
            serde_json::json!({"readOnlyHint": false, "destructiveHint": true, "idempotentHint": true, "openWorldHint": true})
        );
        let search = annotations(Effect::Read, &Method::POST);
        assert!(search.read_only_hint && !search.destructive_hint && !search.idempotent_hint);
    }
}
