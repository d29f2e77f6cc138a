//! The schema that is shown: readable, exact or noted, never wider.

use serde_json::{Value, json};

use super::super::{Contradiction, Narrowed, narrow};
use super::{across, allowed, is_valid};

fn shown(schema: &Value, factors: &Value) -> Narrowed {
    narrow(schema, &allowed(factors)).unwrap_or_else(|error| panic!("{factors}: {error}"))
}

/// One grant, one property of a tool: what stands there afterwards.
fn property(own: &Value, constraint: &Value) -> Value {
    let tool = json!({"type": "object", "properties": {"p": own}, "$defs": {
        "Env": {"type": "string", "enum": ["dev", "staging", "production"], "description": "where"},
        "Target": {"type": "object", "properties": {"region": {"type": "string"}, "env": {"$ref": "#/$defs/Env"}},
                   "required": ["env"], "additionalProperties": false},
        "Tree": {"type": "object", "properties": {"label": {"type": "string"}, "child": {"$ref": "#/$defs/Tree"}}},
    }});
    let narrowed = shown(&tool, &json!([[{"properties": {"p": constraint}}]]));
    assert!(narrowed.exact, "{own} {constraint}");
    assert_eq!(narrowed.note, None);
    narrowed.schema["properties"]["p"].clone()
}

fn narrowed_to(cases: Vec<(Value, Value, Value)>) {
    for (own, constraint, expected) in cases {
        assert_eq!(property(&own, &constraint), expected, "{own} {constraint}");
    }
}

#[test]
fn a_property_shows_what_both_admit() {
    narrowed_to(vec![
        (json!({"type": "string"}), json!({"enum": ["staging"]}), json!({"type": "string", "enum": ["staging"]})),
        (
            json!({"type": "string", "enum": ["dev", "staging", "production"], "default": "production", "title": "Env"}),
            json!({"enum": ["staging", "dev", "other"]}),
            json!({"type": "string", "enum": ["dev", "staging"], "title": "Env"}),
        ),
        (
            json!({"$ref": "#/$defs/Env"}),
            json!({"const": "staging"}),
            json!({"type": "string", "enum": ["staging"], "description": "where"}),
        ),
        (
            json!({"allOf": [{"$ref": "#/$defs/Env"}], "description": "my own"}),
            json!({"pattern": "^s"}),
            json!({"type": "string", "enum": ["staging"], "description": "my own"}),
        ),
        (
            json!({"anyOf": [{"$ref": "#/$defs/Env"}, {"type": "null"}], "default": null}),
            json!({"const": "dev"}),
            json!({"type": "string", "enum": ["dev"], "description": "where"}),
        ),
        (
            json!({"anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}], "x-mcp-header": "P"}),
            json!({"pattern": "^a"}),
            json!({"type": "string", "maxLength": 9, "x-mcp-header": "P", "pattern": "^a"}),
        ),
        (
            json!({"type": ["string", "null"], "pattern": "b"}),
            json!({"pattern": "^a", "maxLength": 4}),
            json!({"type": "string", "pattern": "b", "maxLength": 4, "allOf": [{"pattern": "^a"}]}),
        ),
        (
            json!({"type": "string", "pattern": "^[a-z]+$"}),
            json!({"enum": ["abc", "DEF"]}),
            json!({"type": "string", "pattern": "^[a-z]+$", "enum": ["DEF", "abc"]}),
        ),
        (
            json!({"type": "integer", "minimum": 0, "exclusiveMaximum": 100, "default": 50, "examples": [5, 60]}),
            json!({"maximum": 10}),
            json!({"type": "integer", "minimum": 0, "maximum": 10, "examples": [5]}),
        ),
        (json!({"type": "number"}), json!({"multipleOf": 4}), json!({"type": "integer", "multipleOf": 4})),
        (
            json!({"type": "integer", "multipleOf": 6}),
            json!({"multipleOf": 4}),
            json!({"type": "integer", "multipleOf": 12}),
        ),
        (json!({}), json!({"const": {"a": 1}}), json!({"type": "object", "enum": [{"a": 1}]})),
        (json!(true), json!({"minLength": 2}), json!({"type": "string", "minLength": 2})),
    ]);
}

#[test]
fn lists_and_objects_are_narrowed_inside() {
    narrowed_to(vec![
        (
            json!({"type": "array", "items": {"$ref": "#/$defs/Env"}, "maxItems": 9}),
            json!({"items": {"enum": ["dev"]}, "maxItems": 3}),
            json!({"type": "array", "maxItems": 3,
                   "items": {"type": "string", "enum": ["dev"], "description": "where"}}),
        ),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            json!({"items": {"type": "integer"}}),
            json!({"type": "array", "items": {"type": "string"}, "maxItems": 0}),
        ),
        (
            json!({"type": "array", "prefixItems": [{"type": "string"}]}),
            json!({"items": {"maxLength": 3}}),
            json!({"type": "array", "prefixItems": [{"type": "string"}],
                   "allOf": [{"items": {"type": "string", "maxLength": 3}}]}),
        ),
        (
            json!({"$ref": "#/$defs/Target"}),
            json!({"properties": {"env": {"const": "dev"}, "region": false}}),
            json!({"type": "object", "additionalProperties": false, "required": ["env"], "properties": {
                "env": {"type": "string", "enum": ["dev"], "description": "where"}}}),
        ),
        (
            json!({"oneOf": [{"$ref": "#/$defs/Target"}, {"type": "object", "properties": {"region": {"type": "string"}}}]}),
            json!({"properties": {"region": {"const": "eu"}}}),
            json!({"oneOf": [{"$ref": "#/$defs/Target"}, {"type": "object", "properties": {"region": {"type": "string"}}}],
                   "type": "object", "properties": {"region": {"type": "string", "enum": ["eu"]}}, "required": ["region"]}),
        ),
        (
            json!({"$ref": "#/$defs/Tree"}),
            json!({"properties": {"child": {"properties": {"label": {"const": "leaf"}}}}}),
            json!({"type": "object", "required": ["child"], "properties": {"label": {"type": "string"}, "child": {
                "type": "object", "required": ["label"], "properties": {
                    "label": {"type": "string", "enum": ["leaf"]}, "child": {"$ref": "#/$defs/Tree"}}}}}),
        ),
    ]);
}

#[test]
fn arguments_are_required_forbidden_and_gone() {
    let tool = json!({"type": "object", "required": ["a"], "additionalProperties": false, "properties": {
        "a": {"type": "string"}, "env": {"type": "string"}, "force": {"type": "boolean"}}});
    let factors = json!([[{"properties": {"env": {"const": "dev"}, "force": false, "unknown": false}}]]);
    assert_eq!(
        shown(&tool, &factors).schema,
        json!({"type": "object", "required": ["a", "env"], "additionalProperties": false, "properties": {
            "a": {"type": "string"}, "env": {"type": "string", "enum": ["dev"]}}})
    );
    let open = json!({"properties": {"force": {"type": "boolean"}}});
    assert_eq!(
        shown(&open, &json!([[{"properties": {"force": false}}], [{"required": ["reason"]}]])).schema,
        json!({"type": "object", "properties": {"force": {"not": {}}}, "required": ["reason"]})
    );
}

#[test]
fn what_does_not_fit_the_tool_hides_it_with_the_reason() {
    let tool = json!({"type": "object", "required": ["id"], "additionalProperties": false, "properties": {
        "id": {"type": "string"}, "env": {"enum": ["dev", "prod"]}, "n": {"type": "integer", "maximum": 5},
        "o": {"type": "object", "additionalProperties": false, "properties": {"x": {"type": "string"}}}}});
    for (factors, reason) in [
        (
            json!([[{"properties": {"environment": {"const": "dev"}}}]]),
            "by `g1` `environment` must be `dev`, but the tool has no argument `environment`",
        ),
        (
            json!([[{"properties": {"env": {"const": "test"}}}]]),
            "by `g1` `env` must be `test`, but the tool takes no such value of `env`",
        ),
        (
            json!([[{"properties": {"id": false}}]]),
            "by `g1` `id` must be left out, but the tool cannot be called without `id`",
        ),
        (json!([[{"properties": {"n": {"minimum": 6}}}]]), "the tool takes no such value of `n`"),
        (
            json!([[{"properties": {"id": {"type": "integer", "x-may-be-absent": true}}}]]),
            "the tool takes no such value of `id`",
        ),
        (json!([[{"properties": {"o": {"properties": {"y": {"const": 1}}}}}]]), "the tool takes no such value of `o`"),
        (
            json!([[{"properties": {"env": {"const": "test"}, "n": {"const": 1}}}, {"properties": {"n": {"const": 9}}}]]),
            "the tool takes no such value of `env`",
        ),
    ] {
        let error = narrow(&tool, &allowed(&factors)).expect_err(&factors.to_string());
        assert!(error.to_string().contains(reason), "{factors}: {error}");
        assert!(matches!(error, Contradiction::Tool(_)));
    }
    // An argument that may be absent and is not known to the tool changes nothing.
    let lenient = json!([[{"properties": {"environment": {"const": "dev", "x-may-be-absent": true}}}]]);
    assert_eq!(shown(&tool, &lenient).schema, tool);
}

#[test]
fn several_grants_are_shown_exactly_where_each_argument_can_tell() {
    let tool = json!({"type": "object", "properties": {
        "env": {"type": "string", "enum": ["dev", "staging", "production"]}, "action": {"type": "string"}}});
    let one = shown(
        &tool,
        &json!([[
        {"properties": {"env": {"const": "dev"}, "action": {"const": "stop"}}},
        {"properties": {"env": {"const": "staging"}, "action": {"const": "stop"}}}]]),
    );
    assert!(one.exact && one.note.is_none());
    assert_eq!(one.schema["properties"]["env"], json!({"type": "string", "enum": ["dev", "staging"]}));
    let union = shown(
        &tool,
        &json!([[
        {"properties": {"action": {"pattern": "^a"}}}, {"properties": {"action": {"maxLength": 2}}}]]),
    );
    assert!(union.exact);
    assert_eq!(
        union.schema["properties"]["action"],
        json!({"type": "string", "anyOf": [{"type": "string", "maxLength": 2}, {"type": "string", "pattern": "^a"}]})
    );
    let crossed = shown(
        &tool,
        &json!([[
        {"properties": {"env": {"const": "dev"}}},
        {"properties": {"env": {"const": "production"}, "action": {"const": "restart"}}}]]),
    );
    assert!(!crossed.exact);
    assert_eq!(
        crossed.schema,
        json!({"type": "object", "required": ["env"], "properties": {
            "env": {"type": "string", "enum": ["dev", "production"]}, "action": {"type": "string"}}})
    );
    assert_eq!(
        crossed.note.unwrap(),
        "Allowed combinations of arguments: (1) `action` must be `restart` and `env` must be `production`; \
         (2) `env` must be `dev`. Any other is refused."
    );
    // A combination the tool never takes is not told.
    let half = shown(
        &tool,
        &json!([[
        {"properties": {"env": {"const": "dev"}, "action": {"const": "stop"}}},
        {"properties": {"env": {"const": "nowhere"}, "action": {"const": "restart"}}}]]),
    );
    assert!(half.exact);
    assert_eq!(half.schema["properties"]["action"], json!({"type": "string", "enum": ["stop"]}));
}

#[test]
fn composition_at_the_root_is_written_into_it() {
    let tool = json!({
        "$ref": "#/$defs/Base", "$defs": {
            "Base": {"type": "object", "properties": {"env": {"$ref": "#/$defs/Env"}}, "required": ["env"]},
            "Env": {"enum": ["dev", "prod"]}},
        "allOf": [{"properties": {"name": {"type": "string"}}}],
        "oneOf": [
            {"properties": {"id": {"type": "string"}, "a": {"type": "string"}}, "required": ["id", "a"]},
            {"properties": {"id": {"type": "integer"}}, "required": ["id"]}],
        "unevaluatedProperties": false,
    });
    let narrowed = shown(&tool, &json!([[{"properties": {"env": {"const": "dev"}, "id": {"type": "integer"}}}]]));
    assert_eq!(
        narrowed.schema,
        json!({"type": "object", "required": ["env", "id"], "properties": {
            "env": {"enum": ["dev"], "type": "string"}, "name": {"type": "string"}, "id": {"type": "integer"}}})
    );
    assert!(narrowed.exact);
}

#[test]
fn references_to_what_was_narrowed_go_on_meaning_the_old() {
    let tool = json!({"type": "object", "properties": {
        "env": {"enum": ["dev", "prod"]},
        "other": {"$ref": "#/properties/env"},
        "steps": {"type": "array", "items": {"$ref": "#"}}}});
    let narrowed = shown(&tool, &json!([[{"properties": {"env": {"const": "dev"}}}]]));
    assert!(narrowed.exact);
    for (arguments, valid) in [
        (json!({"env": "dev", "other": "prod", "steps": [{"env": "prod"}]}), true),
        (json!({"env": "prod"}), false),
        (json!({"env": "dev", "other": "nowhere"}), false),
        (json!({"env": "dev", "steps": [{"env": "nowhere"}]}), false),
    ] {
        assert_eq!(is_valid(&narrowed.schema, &arguments), valid, "{arguments}");
    }
}

#[test]
fn what_cannot_be_written_into_the_schema_is_told_and_enforced() {
    let tool = json!({"type": "object", "properties": {"o": {
        "type": "object", "allOf": [{"properties": {"known": {"type": "string"}}}], "unevaluatedProperties": false}}});
    let factors = json!([[{"properties": {"o": {"properties": {"known": {"const": "x"}}}}}]]);
    let narrowed = shown(&tool, &factors);
    assert!(!narrowed.exact);
    assert_eq!(
        narrowed.note.unwrap(),
        "Allowed arguments: `o` must be an object in which `known` must be `x`. Any other call is refused."
    );
    assert!(!is_valid(&narrowed.schema, &json!({"o": {"known": "x", "unknown": 1}})), "never wider");
    assert!(allowed(&factors).check(&json!({"o": {"known": "y"}})).is_err());
    let anchored = json!({"type": "object", "properties": {"a": {"$anchor": "a"}, "b": {"$ref": "#a"}}});
    let error = narrow(&anchored, &allowed(&json!([[{"required": ["a"]}]]))).unwrap_err();
    assert!(error.to_string().contains("`$anchor`"), "{error}");
}

#[test]
fn a_note_that_would_be_too_long_hides_the_tool() {
    let values = |tag: &str| (0..200).map(|n| format!("{tag}-{n}-{}", "x".repeat(20))).collect::<Vec<_>>();
    let factors = json!([[
        {"properties": {"a": {"enum": values("a")}, "b": {"const": 1}}},
        {"properties": {"a": {"enum": values("b")}, "b": {"const": 2}}}]]);
    assert!(across(&factors).is_ok());
    let error = narrow(&json!({"type": "object"}), &allowed(&factors)).unwrap_err();
    assert!(matches!(error, Contradiction::TooMany { limit: 6_000, .. }), "{error}");
}
