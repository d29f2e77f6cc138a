//! Random grants, tools and calls, from so few names and values that they meet; and what grants mean, said a second time.

use std::fmt;

use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{select, subsequence},
};
use serde_json::{Map, Value, json};

const ARGUMENTS: [&str; 4] = ["a", "b", "c", "d"];
const TEXTS: [&str; 5] = ["dev", "prod", "staging", "7", ""];
const PATTERNS: [&str; 4] = ["^dev$", "^(dev|prod)$", "a", "^\\d+$"];

#[derive(Clone)]
pub(super) struct World {
    /// Factors of grants; `null` is a grant without a constraint.
    pub(super) factors: Vec<Vec<Value>>,
    pub(super) tool: Value,
    pub(super) calls: Vec<Value>,
}

/// As JSON, to be read and tried by hand.
impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls: Vec<_> = self.calls.iter().map(Value::to_string).collect();
        write!(f, "factors {} tool {} calls {}", json!(self.factors), self.tool, calls.join(" "))
    }
}

pub(super) fn world(calls: usize) -> impl Strategy<Value = World> {
    let grant = prop_oneof![1 => Just(Value::Null), 9 => fragment()];
    let factors = vec(vec(grant, 1..4), 1..3);
    (factors, tool(), vec(call(), calls)).prop_map(|(factors, tool, calls)| World { factors, tool, calls })
}

fn number() -> impl Strategy<Value = Value> {
    select(vec![json!(0), json!(1), json!(2), json!(2.5), json!(4.0), json!(6), json!(10)])
}

fn text() -> impl Strategy<Value = Value> {
    select(&TEXTS[..]).prop_map(|text| json!(text))
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![4 => text(), 3 => number(), 1 => select(vec![json!(null), json!(true), json!(false)])]
}

fn object_of(names: &'static [&'static str], most: usize, part: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    subsequence(names, 0..=most).prop_flat_map(move |names| {
        vec(part.clone(), names.len())
            .prop_map(move |parts| Value::Object(names.iter().map(|name| (*name).to_owned()).zip(parts).collect()))
    })
}

fn merge(parts: impl IntoIterator<Item = Value>) -> Value {
    let mut out = Map::new();
    for part in parts {
        if let Value::Object(part) = part {
            out.extend(part);
        }
    }
    Value::Object(out)
}

// Calls.

fn call() -> impl Strategy<Value = Value> {
    let nested = object_of(&["x", "y"], 2, scalar().boxed()).boxed();
    let list = vec(prop_oneof![scalar(), nested.clone()], 0..3).prop_map(Value::Array);
    let value = prop_oneof![6 => scalar(), 2 => nested, 1 => list];
    object_of(&["a", "b", "c", "d", "e"], 5, value.boxed())
}

// Fragments of grants.

fn limits(nested: bool) -> BoxedStrategy<Value> {
    let values = prop_oneof![
        3 => vec(scalar(), 1..4).prop_map(|values| json!({"enum": values})),
        1 => scalar().prop_map(|value| json!({"const": value})),
    ];
    let texts = prop_oneof![
        select(&PATTERNS[..]).prop_map(|pattern| json!({"pattern": pattern})),
        (0..5_u8).prop_map(|length| json!({"minLength": length})),
        (0..5_u8).prop_map(|length| json!({"maxLength": length})),
        (select(&PATTERNS[..]), 1..5_u8).prop_map(|(pattern, length)| json!({"pattern": pattern, "maxLength": length})),
    ];
    let numbers = prop_oneof![
        (number(), select(vec!["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]))
            .prop_map(|(at, keyword)| json!({keyword: at})),
        (number(), number()).prop_map(|(min, max)| json!({"minimum": min, "exclusiveMaximum": max})),
        (1..4_u8).prop_map(|step| json!({"multipleOf": step})),
    ];
    let types = subsequence(&["string", "integer", "number", "null", "boolean", "object", "array"][..], 1..4)
        .prop_map(|types| json!({"type": types}));
    let flat = prop_oneof![5 => values, 3 => texts, 3 => numbers, 1 => types].boxed();
    if !nested {
        return flat;
    }
    let list = (flat.clone(), option::of(0..3_u8), option::of(0..3_u8)).prop_map(|(items, min, max)| {
        merge([
            json!({"items": items}),
            min.map_or(json!({}), |min| json!({"minItems": min})),
            max.map_or(json!({}), |max| json!({"maxItems": max})),
        ])
    });
    let member = prop_oneof![5 => flat.clone(), 1 => Just(json!(false))].boxed();
    let object = (object_of(&["x", "y"], 2, lenient(member)), option::of(select(vec!["x", "y"]))).prop_map(
        |(properties, required)| {
            merge([json!({"properties": properties}), required.map_or(json!({}), |name| json!({"required": [name]}))])
        },
    );
    prop_oneof![6 => flat, 1 => list, 2 => object].boxed()
}

/// Some of them may be absent.
fn lenient(schema: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    (schema, prop::bool::weighted(0.25))
        .prop_map(
            |(schema, lenient)| {
                if lenient { merge([schema.clone(), json!({"x-may-be-absent": true})]) } else { schema }
            },
        )
        .boxed()
}

pub(super) fn fragment() -> impl Strategy<Value = Value> {
    let property = prop_oneof![8 => lenient(limits(true)), 1 => Just(json!(false))];
    let required =
        prop_oneof![4 => Just(json!({})), 1 => select(&ARGUMENTS[..]).prop_map(|name| json!({"required": [name]}))];
    let forbidden = prop_oneof![
        9 => Just(json!({})),
        1 => select(&ARGUMENTS[..]).prop_map(|name| json!({"not": {"required": [name]}})),
    ];
    (object_of(&ARGUMENTS, 2, property.boxed()), required, forbidden)
        .prop_map(|(properties, required, forbidden)| merge([json!({"properties": properties}), required, forbidden]))
}

// Tools.

fn own(depth: u8) -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        3 => Just(json!({"type": "string"})),
        2 => vec(scalar(), 1..6).prop_map(|values| json!({"enum": values, "description": "d", "default": "prod"})),
        1 => Just(json!({"type": ["string", "null"]})),
        1 => select(&PATTERNS[..]).prop_map(|pattern| json!({"type": "string", "pattern": pattern})),
        2 => (number(), number()).prop_map(|(min, max)| json!({"type": "number", "minimum": min, "exclusiveMaximum": max})),
        1 => Just(json!({"type": "integer", "multipleOf": 2})),
        2 => select(vec!["#/$defs/text", "#/$defs/some", "#/$defs/tree", "#/$defs/any"]).prop_map(|to| json!({"$ref": to, "title": "t"})),
        1 => select(vec![json!({}), json!(true), json!(false), json!({"not": {"type": "null"}}), json!({"const": "dev"})]),
    ]
    .boxed();
    if depth == 0 {
        return leaf;
    }
    let deeper = own(depth - 1);
    prop_oneof![
        6 => leaf,
        2 => object_schema(&["x", "y"], deeper.clone()),
        1 => (deeper.clone(), 0..2_u8).prop_map(|(items, min)| json!({"type": "array", "items": items, "minItems": min})),
        1 => (deeper.clone(), deeper.clone()).prop_map(|(first, rest)| json!({"prefixItems": [first], "items": rest})),
        2 => (vec(deeper.clone(), 1..3), select(vec!["anyOf", "oneOf", "allOf"])).prop_map(|(parts, keyword)| json!({keyword: parts})),
        1 => (deeper.clone(), deeper).prop_map(|(one, other)| merge([json!({"anyOf": [one, {"type": "null"}]}), other])),
    ]
    .boxed()
}

fn object_schema(names: &'static [&'static str], part: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let others = select(vec![
        json!({}),
        json!({}),
        json!({"additionalProperties": false}),
        json!({"additionalProperties": {"type": "string"}}),
        json!({"unevaluatedProperties": false}),
        json!({"patternProperties": {"^[ax]$": {"maxLength": 4}}, "additionalProperties": false}),
        json!({"patternProperties": {"^[bx]$": {"type": ["string", "number"]}}}),
    ]);
    let required = subsequence(names, 0..2).prop_map(|names| json!({"required": names}));
    (object_of(names, names.len(), part), others, required)
        .prop_map(|(properties, others, required)| {
            merge([json!({"type": "object", "properties": properties}), others, required])
        })
        .boxed()
}

fn tool() -> impl Strategy<Value = Value> {
    let branch = object_schema(&["a", "b"], own(0));
    let composition = prop_oneof![
        6 => Just(json!({})),
        1 => (vec(branch.clone(), 1..3), select(vec!["anyOf", "oneOf", "allOf"])).prop_map(|(parts, keyword)| json!({keyword: parts})),
        1 => Just(json!({"$ref": "#/$defs/base"})),
        1 => branch.prop_map(|part| json!({"allOf": [{"$ref": "#/$defs/base"}, part], "not": {"required": ["e"]}})),
    ];
    let within = prop_oneof![
        8 => Just(None),
        1 => Just(Some(json!({"$ref": "#"}))),
        1 => Just(Some(json!({"anyOf": [{"$ref": "#/properties/a"}, {"type": "array", "items": {"$ref": "#"}}]}))),
    ];
    (object_schema(&ARGUMENTS, own(2)), composition, within).prop_map(|(mut tool, composition, within)| {
        if let Some(within) = within {
            tool["properties"]["d"] = within;
            let properties = tool["properties"].as_object_mut().unwrap();
            properties.entry("a").or_insert_with(|| json!({"type": "string"}));
        }
        let definitions = json!({"$defs": {
            "text": {"type": "string", "maxLength": 6},
            "some": {"enum": ["dev", "staging", 1, 2.0, null]},
            "any": {"anyOf": [{"$ref": "#/$defs/text"}, {"$ref": "#/$defs/tree"}, {"type": "number", "maximum": 4}]},
            "tree": {"type": "object", "properties": {"x": {"$ref": "#/$defs/some"}, "y": {"$ref": "#/$defs/tree"}}},
            "base": {"properties": {"a": {"$ref": "#/$defs/any"}, "c": {"type": ["string", "number"]}}, "required": ["a"]},
        }});
        merge([tool, composition, definitions])
    })
}

/// What a fragment means, as plain JSON Schema; whether its place may be left empty; whether it only forbids.
pub(super) fn strict(fragment: &Value) -> (Value, bool, bool) {
    let Value::Object(keywords) = fragment else { return (fragment.clone(), true, true) };
    let mut out = keywords.clone();
    let lenient = out.remove("x-may-be-absent") == Some(json!(true));
    let has = |names: &[&str]| names.iter().any(|name| keywords.contains_key(*name));
    let about_objects = has(&["properties", "required", "not"]);
    if !keywords.contains_key("type") {
        if has(&["pattern", "minLength", "maxLength"]) {
            out.insert("type".into(), json!("string"));
        } else if has(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]) {
            out.insert("type".into(), json!("number"));
        } else if has(&["items", "minItems", "maxItems"]) {
            out.insert("type".into(), json!("array"));
        } else if about_objects {
            out.insert("type".into(), json!("object"));
        }
    }
    let mut only_forbids =
        about_objects && keywords.keys().all(|key| matches!(key.as_str(), "properties" | "not" | "x-may-be-absent"));
    let mut forbids = keywords.contains_key("not");
    if let Some(items) = keywords.get("items") {
        out.insert("items".into(), strict(items).0);
    }
    let mut required: Vec<Value> = keywords.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    if let Some(Value::Object(properties)) = keywords.get("properties") {
        let mut written = Map::new();
        for (name, schema) in properties {
            let (schema, may_be_absent, forbidding) = strict(schema);
            written.insert(name.clone(), schema);
            if !may_be_absent {
                required.push(json!(name));
            }
            only_forbids &= forbidding;
            forbids = true;
        }
        out.insert("properties".into(), Value::Object(written));
    }
    required.sort_by_key(Value::to_string);
    required.dedup();
    if !required.is_empty() {
        out.insert("required".into(), Value::Array(required));
    }
    (Value::Object(out), lenient || (only_forbids && forbids), only_forbids && forbids)
}
