//! Keywords of one schema object that hold no other schema: types, annotations, values, limits, patterns.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use super::{Build, MAX_ENUM, SchemaError};
use crate::text::clean;

const MAX_DESCRIPTION_BYTES: usize = 1_500;
const MAX_EXAMPLE_BYTES: usize = 200;
const MAX_DEFAULT_BYTES: usize = 2_000;
const MAX_PATTERN_BYTES: usize = 512;
/// As small as the validator that will use the pattern allows.
const MAX_AUTOMATON_BYTES: usize = 256 << 10;
const TYPES: [&str; 7] = ["string", "number", "integer", "boolean", "object", "array", "null"];

/// Patterns a validator can use, each tried once.
#[derive(Debug, Default)]
pub(super) struct Patterns(HashMap<String, bool>);

impl Patterns {
    /// Whether a pattern compiles to an automaton of bounded size that runs in linear time. One that does not (look-around,
    /// back-references, another dialect) is left away, which only moves the refusal to the API.
    pub(super) fn usable(&mut self, pattern: &str) -> bool {
        if pattern.len() > MAX_PATTERN_BYTES {
            return false;
        }
        *self.0.entry(pattern.to_owned()).or_insert_with(|| {
            jsonschema::options()
                .with_draft(jsonschema::Draft::Draft202012)
                .with_pattern_options(jsonschema::PatternOptions::regex().size_limit(MAX_AUTOMATON_BYTES))
                .build(&json!({"pattern": pattern}))
                .is_ok()
        })
    }
}

pub(super) fn types(raw: &Map<String, Value>, out: &mut Map<String, Value>) {
    match raw.get("type") {
        Some(Value::String(name)) if TYPES.contains(&name.as_str()) => {
            out.insert("type".to_owned(), json!(name));
        }
        Some(Value::String(name)) if name == "file" => {
            out.insert("type".to_owned(), json!("string"));
            out.insert("format".to_owned(), json!("binary"));
        }
        Some(Value::Array(names)) => {
            let known: BTreeSet<_> =
                names.iter().filter_map(Value::as_str).filter(|name| TYPES.contains(name)).collect();
            if !known.is_empty() {
                out.insert("type".to_owned(), json!(known));
            }
        }
        _ => {}
    }
}

pub(super) fn annotations_of(raw: &Map<String, Value>, build: &mut Build) -> Result<Map<String, Value>, SchemaError> {
    let mut out = Map::new();
    for key in ["title", "description"] {
        let Some(text) = raw.get(key).and_then(Value::as_str) else { continue };
        let text = clean(text, MAX_DESCRIPTION_BYTES);
        if !text.is_empty() {
            build.add(0, text.len())?;
            out.insert(key.to_owned(), Value::String(text));
        }
    }
    if let Some(value) = raw.get("default").filter(|value| small(value, MAX_DEFAULT_BYTES)) {
        build.add(0, text_size(value))?;
        out.insert("default".to_owned(), value.clone());
    }
    let examples = raw.get("examples").and_then(Value::as_array).and_then(|all| all.first());
    if let Some(value) =
        raw.get("example").or(examples).filter(|value| value.is_string() && small(value, MAX_EXAMPLE_BYTES))
    {
        build.add(0, text_size(value))?;
        out.insert("examples".to_owned(), json!([value]));
    }
    if is_true(raw, "deprecated") {
        out.insert("deprecated".to_owned(), Value::Bool(true));
    }
    Ok(out)
}

pub(super) fn values(
    raw: &Map<String, Value>,
    out: &mut Map<String, Value>,
    build: &mut Build,
) -> Result<(), SchemaError> {
    if let Some(Value::Array(values)) = raw.get("enum") {
        if values.len() > MAX_ENUM {
            return Err(SchemaError::EnumTooLong(values.len()));
        }
        build.add(values.len() / 8, values.iter().map(text_size).sum())?;
        let mut distinct: Vec<Value> = Vec::with_capacity(values.len());
        for value in values {
            if !distinct.contains(value) {
                distinct.push(value.clone());
            }
        }
        if !distinct.is_empty() {
            out.insert("enum".to_owned(), Value::Array(distinct));
        }
    }
    if let Some(value) = raw.get("const") {
        build.add(0, text_size(value))?;
        out.insert("const".to_owned(), value.clone());
    }
    Ok(())
}

pub(super) fn limits(raw: &Map<String, Value>, out: &mut Map<String, Value>, patterns: &mut Patterns) {
    for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        let value = raw.get(bound).filter(|value| value.is_number());
        match (raw.get(exclusive), value) {
            (Some(Value::Bool(true)), Some(value)) => out.insert(exclusive.to_owned(), value.clone()),
            (Some(limit @ Value::Number(_)), value) => {
                if let Some(value) = value {
                    out.insert(bound.to_owned(), value.clone());
                }
                out.insert(exclusive.to_owned(), limit.clone())
            }
            (_, Some(value)) => out.insert(bound.to_owned(), value.clone()),
            (_, None) => None,
        };
    }
    if let Some(step) = raw.get("multipleOf").filter(|step| step.as_f64().is_some_and(|step| step > 0.0)) {
        out.insert("multipleOf".to_owned(), step.clone());
    }
    for key in [
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "minContains",
        "maxContains",
    ] {
        if let Some(count) = raw.get(key).and_then(whole) {
            out.insert(key.to_owned(), json!(count));
        }
    }
    if is_true(raw, "uniqueItems") {
        out.insert("uniqueItems".to_owned(), Value::Bool(true));
    }
    for key in ["format", "contentEncoding", "contentMediaType"] {
        if let Some(text) = raw.get(key).and_then(Value::as_str) {
            out.insert(key.to_owned(), Value::String(clean(text, 100)));
        }
    }
    if let Some(pattern) = raw.get("pattern").and_then(Value::as_str)
        && patterns.usable(pattern)
    {
        out.insert("pattern".to_owned(), json!(pattern));
    }
    if let Some(Value::Object(dependencies)) = raw.get("dependentRequired") {
        let kept: Map<_, _> = dependencies
            .iter()
            .filter_map(|(name, needs)| {
                let needs: BTreeSet<_> = needs.as_array()?.iter().filter_map(Value::as_str).collect();
                Some((name.clone(), json!(needs)))
            })
            .collect();
        out.insert("dependentRequired".to_owned(), Value::Object(kept));
    }
}

pub(super) fn is_true(schema: &Map<String, Value>, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool) == Some(true)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be a small whole number")]
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64().filter(|f| f.fract() == 0.0 && (0.0..1e15).contains(f)).map(|f| f as u64))
}

fn small(value: &Value, limit: usize) -> bool {
    text_size(value) <= limit
}

fn text_size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(text_size).sum(),
        Value::Object(members) => members.iter().map(|(name, member)| name.len() + text_size(member)).sum(),
    }
}
