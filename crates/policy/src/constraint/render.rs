//! A description written as JSON Schema, every assumption spelled out: types, presence, absence. Equal descriptions give
//! equal texts.

use serde_json::{Map, Value, json};

use super::node::{Bound, ListLimits, Node, NumberLimits, TextLimits};

/// The schema of a description.
pub(super) fn schema(node: &Node) -> Value {
    let mut out = Map::new();
    if let Some(types) = node.types.written() {
        out.insert("type".to_owned(), types);
    }
    if let Some(values) = &node.values {
        out.insert("enum".to_owned(), json!(&**values));
        return Value::Object(out);
    }
    text_limits(&node.text, &mut out);
    number(&node.number, &mut out);
    list(&node.list, &mut out);
    members(node, &mut out);
    Value::Object(out)
}

/// The one text of a schema, whatever order its members were written in.
pub(super) fn text(schema: &Value) -> String {
    String::from_utf8_lossy(&ambit_model::canonical::to_vec(schema)).into_owned()
}

/// What no value satisfies, in the spelling clients cope with.
pub(super) fn nothing() -> Value {
    json!({"not": {}})
}

/// The schema of some descriptions, one of which holds.
pub(super) fn any_of(nodes: &[Node]) -> Value {
    match nodes {
        [] => nothing(),
        [one] => schema(one),
        several => json!({"anyOf": several.iter().map(schema).collect::<Vec<_>>()}),
    }
}

pub(super) fn bounds(limits: &NumberLimits, out: &mut Map<String, Value>) {
    let mut put = |bound: &Option<Bound>, closed: &str, open: &str| {
        if let Some(bound) = bound {
            let key = if bound.open { open } else { closed };
            out.insert(key.to_owned(), Value::Number(bound.at.clone()));
        }
    };
    put(&limits.min, "minimum", "exclusiveMinimum");
    put(&limits.max, "maximum", "exclusiveMaximum");
}

/// Adds a keyword of which there can be only one per schema: the second one goes into `allOf`.
pub(super) fn add(out: &mut Map<String, Value>, keyword: &str, value: Value) {
    match out.get(keyword) {
        None => {
            out.insert(keyword.to_owned(), value);
        }
        Some(known) if *known == value => {}
        Some(_) => {
            let part = Value::Object(Map::from_iter([(keyword.to_owned(), value)]));
            match out.get_mut("allOf") {
                Some(Value::Array(parts)) => parts.push(part),
                _ => {
                    out.insert("allOf".to_owned(), json!([part]));
                }
            }
        }
    }
}

fn text_limits(limits: &TextLimits, out: &mut Map<String, Value>) {
    if limits.min > 0 {
        out.insert("minLength".to_owned(), json!(limits.min));
    }
    if let Some(max) = limits.max {
        out.insert("maxLength".to_owned(), json!(max));
    }
    for pattern in &limits.patterns {
        add(out, "pattern", json!(pattern.source()));
    }
}

fn number(limits: &NumberLimits, out: &mut Map<String, Value>) {
    bounds(limits, out);
    for step in &limits.steps {
        add(out, "multipleOf", json!(step));
    }
}

fn list(limits: &ListLimits, out: &mut Map<String, Value>) {
    if limits.min > 0 {
        out.insert("minItems".to_owned(), json!(limits.min));
    }
    if let Some(max) = limits.max {
        out.insert("maxItems".to_owned(), json!(max));
    }
    if let Some(items) = &limits.items {
        out.insert("items".to_owned(), schema(items));
    }
}

fn members(node: &Node, out: &mut Map<String, Value>) {
    if node.members.is_empty() {
        return;
    }
    let rule = |value: &Option<Node>| value.as_ref().map_or_else(nothing, schema);
    let properties: Map<_, _> =
        node.members.iter().map(|(name, member)| (name.to_string(), rule(&member.value))).collect();
    let required: Vec<_> =
        node.members.iter().filter(|(_, member)| !member.may_be_absent).map(|(name, _)| name.to_string()).collect();
    out.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        out.insert("required".to_owned(), json!(required));
    }
}
