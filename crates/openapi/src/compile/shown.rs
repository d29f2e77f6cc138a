//! What of an operation's prose a person and a model read.

use http::Method;
use serde_json::{Map, Value};

use crate::text::{clean, first_sentence};

/// The longest description of a tool, in bytes; clients cut longer ones or pay for them in every conversation.
const MAX_DESCRIPTION: usize = 1_800;
const MAX_TITLE: usize = 120;
const MAX_PARAMETER_DESCRIPTION: usize = 1_500;

/// The title: the first sentence of the summary.
pub(super) fn title(summary: Option<&str>) -> Option<String> {
    let title = clean(first_sentence(&clean(summary?, 1_000)), MAX_TITLE);
    (!title.is_empty()).then_some(title)
}

/// Summary and description without saying the same twice; method and path where the document says nothing.
pub(super) fn description(operation: &Value, method: &Method, path: &str) -> String {
    let text = |member: &str| clean(operation.get(member).and_then(Value::as_str).unwrap_or_default(), 20_000);
    let (summary, description) = (text("summary"), text("description"));
    let said = if summary.is_empty() || description.starts_with(summary.trim_end_matches(['.', '…'])) {
        description
    } else if description.is_empty() {
        summary
    } else {
        format!("{summary}\n\n{description}")
    };
    let said = if said.is_empty() { format!("{method} {path}") } else { said };
    let deprecated = operation.get("deprecated").and_then(Value::as_bool) == Some(true);
    clean(&format!("{}{said}", if deprecated { "Deprecated. " } else { "" }), MAX_DESCRIPTION)
}

/// A parameter's own description goes before its schema's.
pub(super) fn parameter(schema: Value, description: Option<&str>, deprecated: bool) -> Value {
    let description = description.map(|text| clean(text, MAX_PARAMETER_DESCRIPTION)).filter(|text| !text.is_empty());
    let (mut members, changed) = match schema {
        Value::Object(members) => (members, true),
        Value::Bool(false) => return Value::Bool(false),
        _ => (Map::new(), description.is_some() || deprecated),
    };
    if !changed {
        return Value::Bool(true);
    }
    if let Some(text) = description {
        members.insert("description".to_owned(), Value::String(text));
    }
    if deprecated {
        members.insert("deprecated".to_owned(), Value::Bool(true));
    }
    Value::Object(members)
}
