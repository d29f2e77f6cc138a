//! The root of a tool's schema as it can be shown: an object without composition keywords. `allOf` and `$ref` are written
//! into it, of alternatives what they have in common; the rest is left out, which only moves a refusal to the call. Never
//! narrower than the tool's own schema.

use serde_json::{Map, Value, json};

use super::{members::own_types, refs};
use crate::constraint::types::Types;

/// How deep composition is followed, and over how many branches.
const MAX_DEPTH: usize = 8;
const MAX_BRANCHES: usize = 64;

const COMPOSITION: [&str; 8] = ["$ref", "allOf", "anyOf", "oneOf", "not", "if", "then", "else"];

/// The root without composition. `None` where it admits no object.
pub(super) fn shown(root: &Map<String, Value>) -> Option<Map<String, Value>> {
    if !own_types(root).meets(Types::OBJECT) {
        return None;
    }
    let composed = COMPOSITION.iter().any(|keyword| root.contains_key(*keyword));
    let mut out: Map<String, Value> = Map::new();
    out.insert("type".to_owned(), json!("object"));
    for (key, value) in root {
        // What is evaluated elsewhere cannot be told once composition is gone.
        let dropped = COMPOSITION.contains(&key.as_str()) || (composed && key == "unevaluatedProperties");
        if !dropped && key != "type" {
            out.insert(key.clone(), value.clone());
        }
    }
    if composed {
        let mut branches = MAX_BRANCHES;
        absorb_composition(&mut out, root, root, MAX_DEPTH, &mut branches);
    }
    Some(out)
}

/// Writes what a schema's composition says into an object.
fn absorb_composition(
    out: &mut Map<String, Value>,
    schema: &Map<String, Value>,
    root: &Map<String, Value>,
    depth: usize,
    branches: &mut usize,
) {
    let Some(deeper) = depth.checked_sub(1) else { return };
    let reference = schema.get("$ref").and_then(Value::as_str).and_then(|text| refs::resolve(root, text));
    let all = list(schema, "allOf");
    for part in reference.into_iter().chain(all).filter_map(Value::as_object) {
        if let Some(part) = flat(part, root, deeper, branches) {
            absorb(out, &part);
        }
    }
    for keyword in ["anyOf", "oneOf"] {
        let parts: Option<Vec<_>> =
            list(schema, keyword).iter().map(|part| flat(part.as_object()?, root, deeper, branches)).collect();
        if let Some(common) = parts.filter(|parts| !parts.is_empty()).map(|parts| common(&parts)) {
            absorb(out, &common);
        }
    }
}

/// What a branch says of properties, its own composition included.
fn flat(
    schema: &Map<String, Value>,
    root: &Map<String, Value>,
    depth: usize,
    branches: &mut usize,
) -> Option<Map<String, Value>> {
    *branches = branches.checked_sub(1)?;
    let kept = ["properties", "patternProperties", "additionalProperties", "required"];
    let mut out: Map<_, _> =
        kept.iter().filter_map(|key| Some(((*key).to_owned(), schema.get(*key)?.clone()))).collect();
    absorb_composition(&mut out, schema, root, depth, branches);
    Some(out)
}

fn list<'v>(schema: &'v Map<String, Value>, keyword: &str) -> &'v [Value] {
    schema.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Makes an object say what a part of it says too.
fn absorb(out: &mut Map<String, Value>, part: &Map<String, Value>) {
    let has_patterns = |schema: &Map<String, Value>| schema.contains_key("patternProperties");
    let named = part.get("properties").and_then(Value::as_object);
    let mut properties = match out.get("properties") {
        Some(Value::Object(known)) => known.clone(),
        _ => Map::new(),
    };
    let others = out.get("additionalProperties").cloned();
    let open_patterns = has_patterns(out);
    for (name, schema) in named.into_iter().flatten() {
        let both = match (properties.get(name), &others) {
            (Some(known), _) if known == schema => continue,
            (Some(known), _) => json!({"allOf": [known, schema]}),
            (None, None | Some(Value::Bool(true))) => schema.clone(),
            // To name a property takes it out of `additionalProperties`: only where that changes nothing.
            (None, Some(_)) if open_patterns => continue,
            (None, Some(Value::Bool(false))) => continue,
            (None, Some(others)) => json!({"allOf": [others, schema]}),
        };
        properties.insert(name.clone(), both);
    }
    let closes = part.get("additionalProperties") == Some(&Value::Bool(false)) && !has_patterns(part);
    if closes && !open_patterns {
        let kept = properties.into_iter().filter(|(name, _)| named.is_some_and(|named| named.contains_key(name)));
        properties = kept.collect();
        out.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    if !properties.is_empty() {
        out.insert("properties".to_owned(), Value::Object(properties));
    } else if out.contains_key("properties") {
        out.insert("properties".to_owned(), json!({}));
    }
    let mut required = list(out, "required").to_vec();
    for name in list(part, "required") {
        if !required.contains(name) {
            required.push(name.clone());
        }
    }
    if !required.is_empty() {
        out.insert("required".to_owned(), Value::Array(required));
    }
}

/// What all of some branches say of properties.
fn common(parts: &[Map<String, Value>]) -> Map<String, Value> {
    let Some((first, rest)) = parts.split_first() else { return Map::new() };
    let property = |part: &Map<String, Value>, name: &str| part.get("properties")?.as_object()?.get(name).cloned();
    let mut properties = Map::new();
    for (name, schema) in first.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let mut schemas = vec![schema.clone()];
        let in_all = rest.iter().all(|part| {
            property(part, name).is_some_and(|schema| {
                if !schemas.contains(&schema) {
                    schemas.push(schema);
                }
                true
            })
        });
        if in_all {
            let schema = if let [only] = schemas.as_slice() { only.clone() } else { json!({"anyOf": schemas}) };
            properties.insert(name.clone(), schema);
        }
    }
    let required: Vec<_> = list(first, "required")
        .iter()
        .filter(|name| rest.iter().all(|part| list(part, "required").contains(name)))
        .cloned()
        .collect();
    let mut out = Map::new();
    out.insert("properties".to_owned(), Value::Object(properties));
    out.insert("required".to_owned(), Value::Array(required));
    out
}
