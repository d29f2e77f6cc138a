//! Schemas that carry their own `$defs` and refer to them as if they stood alone.
//!
//! Inside an OpenAPI document `#/$defs/x` names a place at the document's root. Documents made from single JSON Schemas
//! mean the nearest enclosing `$defs` instead. Such references are rewritten to where the definition stands, before
//! anything follows one; documents without them are not copied.

use std::borrow::Cow;

use serde_json::Value;

const PREFIX: &str = "#/$defs/";

/// The document with every reference absolute.
pub(crate) fn absolute(document: &Value) -> Cow<'_, Value> {
    if document.get("$defs").is_some() || !refers_locally(document) {
        return Cow::Borrowed(document);
    }
    let mut copy = document.clone();
    rewrite(&mut copy, &mut String::from("#"), &mut Vec::new());
    Cow::Owned(copy)
}

/// Depth is bounded by [`crate::document::MAX_DEPTH`].
fn refers_locally(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            members.get("$ref").and_then(Value::as_str).is_some_and(|reference| reference.starts_with(PREFIX))
                || members.values().any(refers_locally)
        }
        Value::Array(items) => items.iter().any(refers_locally),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A `$defs` on the way down: where its schema stands and the names it has.
struct Scope {
    at: String,
    names: Vec<String>,
}

fn rewrite(value: &mut Value, at: &mut String, scopes: &mut Vec<Scope>) {
    let length = at.len();
    match value {
        Value::Object(members) => {
            let own = members.get("$defs").and_then(Value::as_object);
            let opens = own.map(|defs| Scope { at: at.clone(), names: defs.keys().cloned().collect() });
            let opened = opens.is_some();
            scopes.extend(opens);
            if let Some(Value::String(reference)) = members.get_mut("$ref")
                && let Some(rest) = reference.strip_prefix(PREFIX)
                && let name = token_text(rest.split('/').next().unwrap_or_default())
                && let Some(scope) = scopes.iter().rev().find(|scope| scope.names.contains(&name))
            {
                *reference = format!("{}/$defs/{rest}", scope.at);
            }
            for (name, member) in members {
                at.push('/');
                at.push_str(&name.replace('~', "~0").replace('/', "~1").replace('%', "%25"));
                rewrite(member, at, scopes);
                at.truncate(length);
            }
            if opened {
                scopes.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                at.push('/');
                at.push_str(&index.to_string());
                rewrite(item, at, scopes);
                at.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn token_text(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_nearest_definition_is_meant() {
        let document = json!({"paths": {"/a": {"get": {"schema": {
            "$defs": {"x": {"type": "string"}, "y": {"$ref": "#/$defs/x"}},
            "properties": {"a": {"$ref": "#/$defs/x"}, "b": {
                "$defs": {"x": {"type": "integer"}},
                "items": {"$ref": "#/$defs/x"},
            }, "c": {"$ref": "#/$defs/nowhere"}},
        }}}}});
        let absolute = absolute(&document);
        let schema = "/paths/~1a/get/schema";
        for (pointer, expected) in [
            ("/properties/a", format!("#{schema}/$defs/x")),
            ("/properties/b/items", format!("#{schema}/properties/b/$defs/x")),
            ("/$defs/y", format!("#{schema}/$defs/x")),
            ("/properties/c", "#/$defs/nowhere".to_owned()),
        ] {
            let reference = absolute.pointer(&format!("{schema}{pointer}/$ref")).unwrap();
            assert_eq!(reference, &json!(expected));
        }
        assert_eq!(absolute.pointer(&format!("{schema}/properties/b/$defs/x/type")), Some(&json!("integer")));
    }

    #[test]
    fn a_document_without_them_is_not_copied() {
        let document = json!({"components": {"schemas": {"a": {"$ref": "#/components/schemas/b"}}}});
        assert!(matches!(absolute(&document), Cow::Borrowed(_)));
    }
}
