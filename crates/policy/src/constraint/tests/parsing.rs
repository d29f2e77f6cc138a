//! Fragments: what is refused at the door, and what is meant by those that pass.

use serde_json::{Map, Value, json};

use super::super::{Constraint, Fault};
use super::constraint;

#[test]
fn what_is_not_understood_is_refused_with_place_keyword_and_remedy() {
    let deep = (0..9).fold(json!({"const": 1}), |inner, _| json!({"properties": {"a": inner}}));
    let property = |schema: Value| json!({"properties": {"a": schema}});
    let cases: Vec<(Value, &str, &str)> = vec![
        (json!(true), "", "this is no schema"),
        (json!(["a"]), "", "write an object of keywords"),
        (json!({}), "", "constrains nothing"),
        (json!({"properties": {}}), "", "constrains nothing"),
        (json!({"type": "object"}), "", "constrains nothing"),
        (property(json!({})), "/properties/a", "constrains nothing"),
        (property(json!(true)), "/properties/a", "name the property in `required`"),
        (property(json!({"x-may-be-absent": true})), "/properties/a", "constrains nothing"),
        (property(json!("staging")), "/properties/a", "this is no schema"),
        (property(json!({"enmu": ["x"]})), "/properties/a", "`enmu` is no keyword of a constraint"),
        (property(json!({"format": "uri"})), "/properties/a", "`format` is no keyword"),
        (json!({"$schema": "x", "required": ["a"]}), "", "`$schema` is no keyword"),
        (json!({"additionalProperties": false}), "", "`additionalProperties` is no keyword"),
        (property(json!({"$ref": "https://example.com/schema"})), "/properties/a", "`$ref` is not followed"),
        (json!({"$ref": "#/$defs/a"}), "", "write what it refers to in its place"),
        (json!({"anyOf": [{"required": ["a"]}]}), "", "make one grant of each alternative"),
        (property(json!({"oneOf": []})), "/properties/a", "grants of one holder add up"),
        (json!({"allOf": []}), "", "side by side"),
        (json!({"not": {"required": ["a", "b"]}}), "", "`not` can only forbid one property"),
        (json!({"not": {"properties": {}}}), "", "`not` can only forbid one property"),
        (json!({"enum": [{}]}), "", "name the argument it is about in `properties`"),
        (json!({"minimum": 1}), "", "`minimum` speaks of a type that the other keywords exclude"),
        (property(json!({"pattern": "a", "minimum": 1})), "/properties/a", "`pattern` speaks of a type"),
        (property(json!({"type": "string", "maxItems": 1})), "/properties/a", "`maxItems` speaks of a type"),
        (property(json!({"type": "text"})), "/properties/a", "`type` must be a JSON type"),
        (property(json!({"enum": []})), "/properties/a", "`enum` must be a list of at least one value"),
        (property(json!({"enum": "a"})), "/properties/a", "`enum` must be a list"),
        (property(json!({"minLength": -1})), "/properties/a", "`minLength` must be a whole number of at least 0"),
        (property(json!({"maximum": "9"})), "/properties/a", "`maximum` must be a number"),
        (property(json!({"multipleOf": 0.1})), "/properties/a", "`multipleOf` must be a whole number from 1"),
        (property(json!({"multipleOf": 0})), "/properties/a", "`multipleOf` must be a whole number from 1"),
        (property(json!({"pattern": 1})), "/properties/a", "`pattern` must be a regular expression"),
        (property(json!({"pattern": "(?<=a)b"})), "/properties/a", "leave out look-around"),
        (property(json!({"pattern": "["})), "/properties/a", "`pattern` cannot be used"),
        (property(json!({"pattern": "(a{500}){500}"})), "/properties/a", "use smaller repetitions"),
        (property(json!({"x-may-be-absent": 1, "const": 1})), "/properties/a", "`x-may-be-absent` must be"),
        (json!({"x-may-be-absent": true, "required": ["a"]}), "", "it stands in the schema of a property"),
        (json!({"required": []}), "", "`required` must be a list of property names"),
        (json!({"required": ["a"], "properties": {"a": false}}), "", "property `a` is required and also forbidden"),
        (
            json!({"not": {"required": ["a"]}, "properties": {"a": {"const": 1}}}),
            "",
            "property `a` is constrained and also forbidden",
        ),
        (
            json!({"required": ["a"], "properties": {"a": {"const": 1, "x-may-be-absent": true}}}),
            "",
            "also `x-may-be-absent`: decide for one",
        ),
        (property(json!({"minimum": 2, "exclusiveMaximum": 2})), "/properties/a", "no value can satisfy"),
        (property(json!({"enum": ["a"], "const": "b"})), "/properties/a", "no value can satisfy"),
        (property(json!({"enum": ["a"], "type": "number"})), "/properties/a", "no value can satisfy"),
        (property(json!({"items": {"type": "x"}})), "/properties/a/items", "`type` must be"),
        (json!({"properties": {"a/b~": {"x": 1}}}), "/properties/a~1b~0", "`x` is no keyword"),
        (deep, "", "nested more than 8 levels"),
        (property(json!({"enum": (0..257).collect::<Vec<_>>()})), "/properties/a", "at most 256"),
        (property(json!({"const": "a".repeat(17_000)})), "", "at most 16384"),
    ];
    for (fragment, pointer, complaint) in cases {
        let error = Constraint::parse(&fragment).expect_err(&fragment.to_string());
        assert!(error.pointer.starts_with(pointer), "{fragment}: {error}");
        assert!(error.to_string().contains(complaint), "{fragment}: {error}");
    }
}

#[test]
fn a_deep_value_is_refused_before_anything_descends_into_it() {
    let deep = (0..1_000).fold(json!(1), |inner, _| Value::Array(vec![inner]));
    let properties = Map::from_iter([("a".to_owned(), Value::Object(Map::from_iter([("const".to_owned(), deep)])))]);
    let fragment = Value::Object(Map::from_iter([("properties".to_owned(), Value::Object(properties))]));
    let error = Constraint::parse(&fragment).unwrap_err();
    assert!(matches!(error.fault, Fault::TooDeep(_)), "{error}");
}

#[test]
fn what_an_author_may_have_meant_differently_is_told() {
    let anchored = constraint("g", &json!({"properties": {"a": {"pattern": "^staging-[a-z]+$"}}}));
    assert_eq!(anchored.advice(), [""; 0]);
    let open = constraint("g", &json!({"properties": {"a": {"items": {"pattern": "prod"}}}}));
    assert_eq!(
        open.advice(),
        ["pattern `prod` at `/properties/a/items` also matches inside a longer text: write `^(…)$` to mean all of it"]
    );
}

#[test]
fn constraints_that_mean_the_same_have_one_text() {
    let one =
        json!({"properties": {"n": {"enum": [2, 1.0, 1]}, "b": {"minimum": 1, "exclusiveMinimum": 1}, "c": false}});
    let other = json!({
        "not": {"required": ["c"]},
        "required": ["n"],
        "properties": {"b": {"exclusiveMinimum": 1.0, "type": "number"}, "n": {"enum": [1, 2], "type": "integer"}},
    });
    let (one, other) = (constraint("a", &one), constraint("b", &other));
    assert_eq!(one.canonical(), other.canonical());
    assert_eq!(
        one.canonical(),
        "{\"properties\":{\"b\":{\"exclusiveMinimum\":1,\"type\":\"number\"},\"c\":{\"not\":{}},\
         \"n\":{\"enum\":[1,2],\"type\":\"integer\"}},\"required\":[\"b\",\"n\"],\"type\":\"object\"}"
    );
    assert_ne!(one, other, "they come from different grants");
}

/// Where JSON Schema would say less than the author of a grant means.
#[test]
fn a_constraint_means_the_safe_thing() {
    let staging = json!({"properties": {"env": {"enum": ["staging"]}}});
    let lenient = json!({"properties": {"env": {"enum": ["staging"], "x-may-be-absent": true}}});
    let pattern = json!({"properties": {"env": {"pattern": "^s"}}});
    let nested = json!({"properties": {"options": {"properties": {"region": {"const": "eu"}}}}});
    let nested_lenient = json!({"properties": {"options": {
        "x-may-be-absent": true, "properties": {"region": {"const": "eu", "x-may-be-absent": true}}}}});
    let forbidding = json!({"properties": {"options": {"properties": {"force": false}}}});
    let typed = json!({"properties": {"n": {"type": ["string", "null"], "pattern": "^s"}}});
    let number = json!({"properties": {"n": {"enum": [1, 9_007_199_254_740_993_u64]}}});
    let each = json!({"properties": {"tags": {"items": {"enum": ["a", "b"]}, "minItems": 1}}});
    let length = json!({"properties": {"t": {"maxLength": 2}}});
    let step = json!({"properties": {"n": {"multipleOf": 3, "minimum": 0}}});
    let given = json!({"required": ["a"]});
    let whole = json!({"properties": {"o": {"const": {"a": [1, {"b": null}]}}}});
    let cases: Vec<(&Value, Value, bool)> = vec![
        (&staging, json!({"env": "staging"}), true),
        (&staging, json!({"env": "staging", "other": 1}), true),
        (&staging, json!({"env": "production"}), false),
        (&staging, json!({}), false),
        (&staging, json!({"env": null}), false),
        (&staging, json!({"env": ["staging"]}), false),
        (&staging, json!([]), false),
        (&staging, Value::Null, false),
        (&lenient, json!({}), true),
        (&lenient, json!({"env": null}), false),
        (&pattern, json!({"env": "staging"}), true),
        (&pattern, json!({"env": 7}), false),
        (&pattern, json!({"env": {"s": 1}}), false),
        (&nested, json!({"options": {"region": "eu", "x": 1}}), true),
        (&nested, json!({"options": {}}), false),
        (&nested, json!({"options": "region=us"}), false),
        (&nested, json!({"options": [{"region": "eu"}]}), false),
        (&nested, json!({"region": "eu"}), false),
        (&nested, json!({}), false),
        (&nested_lenient, json!({}), true),
        (&nested_lenient, json!({"options": {}}), true),
        (&nested_lenient, json!({"options": {"region": "us"}}), false),
        (&nested_lenient, json!({"options": null}), false),
        (&forbidding, json!({}), true),
        (&forbidding, json!({"options": {"other": 1}}), true),
        (&forbidding, json!({"options": {"force": null}}), false),
        (&forbidding, json!({"options": "force"}), false),
        (&typed, json!({"n": "s"}), true),
        (&typed, json!({"n": null}), true),
        (&typed, json!({"n": "x"}), false),
        (&number, json!({"n": 1.0}), true),
        (&number, json!({"n": "1"}), false),
        (&number, json!({"n": true}), false),
        (&number, json!({"n": 9_007_199_254_740_993_u64}), true),
        (&number, json!({"n": 9_007_199_254_740_992_u64}), false),
        (&each, json!({"tags": ["a", "b", "a"]}), true),
        (&each, json!({"tags": ["a", "c"]}), false),
        (&each, json!({"tags": []}), false),
        (&each, json!({"tags": "a"}), false),
        (&length, json!({"t": "é😀"}), true),
        (&length, json!({"t": "abc"}), false),
        (&step, json!({"n": 6.0}), true),
        (&step, json!({"n": 4}), false),
        (&step, json!({"n": -3}), false),
        (&given, json!({"a": null}), true),
        (&given, json!({"b": 1}), false),
        (&whole, json!({"o": {"a": [1.0, {"b": null}]}}), true),
        (&whole, json!({"o": {"a": [1, {"b": null}], "c": 1}}), false),
    ];
    for (fragment, arguments, expected) in cases {
        assert_eq!(constraint("g", fragment).accepts(&arguments), expected, "{fragment} {arguments}");
    }
}
