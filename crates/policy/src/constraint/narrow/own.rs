//! What a tool's own schema says, as far as it can be read without a validator: its limits, and whether a value is valid.
//! "Unknown" is an answer; a wrong one is not.

use serde_json::{Map, Value};

use super::{Narrowing, members::own_types, refs};
use crate::constraint::{
    node::{Bound, Node, NumberLimits},
    number,
    types::Types,
    value::same,
};

/// How deep a value is judged.
const MAX_DEPTH: usize = 12;

/// Whether a keyword says nothing about validity.
pub(super) fn is_annotation(keyword: &str) -> bool {
    const ANNOTATIONS: [&str; 16] = [
        "title",
        "description",
        "default",
        "deprecated",
        "example",
        "examples",
        "readOnly",
        "writeOnly",
        "$comment",
        "format",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "externalDocs",
        "xml",
        "nullable",
    ];
    ANNOTATIONS.contains(&keyword) || keyword.starts_with("x-")
}

/// The limits of a schema's own keywords. It admits at least what the schema does.
pub(super) fn lift(own: &Map<String, Value>) -> Node {
    let whole = |key: &str| match own.get(key) {
        Some(Value::Number(count)) => number::canonical(count).as_u64(),
        _ => None,
    };
    let bound = |key: &str, open: bool| match own.get(key) {
        Some(Value::Number(at)) => Some(Bound { at: number::canonical(at), open }),
        _ => None,
    };
    let mut node = Node::of(own_types(own));
    node.text.min = whole("minLength").unwrap_or_default();
    node.text.max = whole("maxLength");
    node.list.min = whole("minItems").unwrap_or_default();
    node.list.max = whole("maxItems");
    let closed = NumberLimits { min: bound("minimum", false), max: bound("maximum", false), steps: Vec::new() };
    let open =
        NumberLimits { min: bound("exclusiveMinimum", true), max: bound("exclusiveMaximum", true), steps: Vec::new() };
    node.number = closed.meet(&open);
    node
}

/// The values a schema lists. Its other keywords may refuse some of them.
pub(super) fn finite_of(own: &Map<String, Value>) -> Option<Vec<Value>> {
    match (own.get("enum"), own.get("const")) {
        (Some(Value::Array(values)), None) => Some(values.clone()),
        (Some(Value::Array(values)), Some(only)) => {
            Some(values.iter().filter(|value| same(value, only)).cloned().collect())
        }
        (_, Some(only)) => Some(vec![only.clone()]),
        (_, None) => None,
    }
}

impl Narrowing<'_> {
    /// Whether a schema admits a value. `None`: unknown.
    pub(super) fn admits(&self, schema: &Value, value: &Value) -> Option<bool> {
        self.judge(schema, value, MAX_DEPTH)
    }

    fn judge(&self, schema: &Value, value: &Value, depth: usize) -> Option<bool> {
        let deeper = depth.checked_sub(1)?;
        let keywords = match schema {
            Value::Bool(said) => return Some(*said),
            Value::Object(keywords) => keywords,
            Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => return None,
        };
        all(keywords.iter().map(|(keyword, argument)| self.keyword(keywords, keyword, argument, value, deeper)))
    }

    fn keyword(
        &self,
        schema: &Map<String, Value>,
        keyword: &str,
        argument: &Value,
        value: &Value,
        depth: usize,
    ) -> Option<bool> {
        let branches = || Some(argument.as_array()?.iter().map(|branch| self.judge(branch, value, depth)));
        match keyword {
            "type" => Types::read(argument).map(|types| types.meets(Types::of(value))),
            "enum" => Some(argument.as_array()?.iter().any(|known| same(known, value))),
            "const" => Some(same(argument, value)),
            "allOf" => all(branches()?),
            "anyOf" => any(branches()?),
            "oneOf" => {
                let verdicts: Option<Vec<bool>> = branches()?.collect();
                verdicts.map(|verdicts| verdicts.into_iter().filter(|valid| *valid).count() == 1)
            }
            "not" => self.judge(argument, value, depth).map(|valid| !valid),
            "$ref" => self.judge(refs::resolve(self.root, argument.as_str()?)?, value, depth),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => match value {
                Value::Number(value) => number_keyword(keyword, argument, value),
                _ => Some(true),
            },
            "minLength" | "maxLength" | "pattern" => match value {
                Value::String(text) => count_keyword(keyword, argument, text.chars().count()),
                _ => Some(true),
            },
            "items" | "minItems" | "maxItems" | "prefixItems" | "contains" | "uniqueItems" | "unevaluatedItems" => {
                match value {
                    Value::Array(items) if keyword == "items" && !schema.contains_key("prefixItems") => {
                        all(items.iter().map(|item| self.judge(argument, item, depth)))
                    }
                    Value::Array(items) => count_keyword(keyword, argument, items.len()),
                    _ => Some(true),
                }
            }
            "properties"
            | "required"
            | "additionalProperties"
            | "patternProperties"
            | "propertyNames"
            | "minProperties"
            | "maxProperties"
            | "dependentRequired"
            | "dependentSchemas"
            | "dependencies"
            | "unevaluatedProperties"
            | "discriminator" => match value {
                Value::Object(_) => None,
                _ => Some(true),
            },
            "if" | "then" | "else" | "$dynamicRef" | "$recursiveRef" => None,
            _ => Some(true),
        }
    }
}

fn number_keyword(keyword: &str, argument: &Value, value: &serde_json::Number) -> Option<bool> {
    let Value::Number(limit) = argument else { return None };
    let order = number::compare(value, limit);
    match keyword {
        "minimum" => Some(order.is_ge()),
        "maximum" => Some(order.is_le()),
        "exclusiveMinimum" => Some(order.is_gt()),
        "exclusiveMaximum" => Some(order.is_lt()),
        _ => limit
            .as_u64()
            .filter(|step| (1..=number::MAX_STEP).contains(step))
            .map(|step| number::is_multiple(value, step)),
    }
}

fn count_keyword(keyword: &str, argument: &Value, count: usize) -> Option<bool> {
    let limit = match argument {
        Value::Number(limit) => number::canonical(limit).as_u64()?,
        _ => return None,
    };
    match keyword {
        "minLength" | "minItems" => Some(count as u64 >= limit),
        "maxLength" | "maxItems" => Some(count as u64 <= limit),
        _ => None,
    }
}

/// All of them, where unknown does not hide a no.
fn all(verdicts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut result = Some(true);
    for verdict in verdicts {
        match verdict {
            Some(false) => return Some(false),
            None => result = None,
            Some(true) => {}
        }
    }
    result
}

/// One of them, where unknown does not hide a yes.
fn any(verdicts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    all(verdicts.map(|verdict| verdict.map(|valid| !valid))).map(|none| !none)
}
