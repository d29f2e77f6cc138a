//! Which schemas become which types, and which values fit them.

use super::*;

fn of(properties: &Value) -> BTreeMap<String, (ArgumentType, bool)> {
    let schema = json!({"type": "object", "properties": properties, "required": ["needed"]});
    match ArgumentType::of(&schema) {
        ArgumentType::Record(record) => record.members,
        other => panic!("no record: {other:?}"),
    }
}

#[test]
fn plain_schemas_are_typed_and_the_rest_is_opaque_by_itself() {
    use ArgumentType::{List, Opaque, Text, Truth, Whole};
    for (schema, expected) in [
        (json!({"type": "string", "enum": ["a", "b"]}), Text),
        (json!({"type": "string", "format": "date"}), Text),
        (json!({"type": "string", "anyOf": [{"minLength": 1}, {"const": ""}]}), Text),
        (json!({"type": "integer", "minimum": 0}), Whole),
        (json!({"type": "boolean"}), Truth),
        (json!({"enum": ["a", "b"]}), Text),
        (json!({"const": true}), Truth),
        (json!({"enum": [1, 2]}), Whole),
        (json!({"type": "array", "items": {"type": "string"}}), List(Box::new(Text))),
        (json!({"type": "number"}), Opaque),
        (json!({"type": ["string", "null"]}), Opaque),
        (json!({"type": "string", "nullable": true}), Opaque),
        (json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}), Opaque),
        (json!({"enum": ["a", 1]}), Opaque),
        (json!({"enum": []}), Opaque),
        (json!({}), Opaque),
        (json!(true), Opaque),
        (json!({"type": "array"}), Opaque),
        (json!({"type": "array", "items": {"type": "number"}}), Opaque),
        (json!({"type": "object"}), Opaque),
        (json!({"$ref": "https://elsewhere.example/schema"}), Opaque),
        (json!({"$ref": "#/nowhere"}), Opaque),
    ] {
        let typed = of(&json!({"odd": schema, "needed": {"type": "string"}, "in": {"type": "boolean"}}));
        assert_eq!(typed["odd"], (expected, false), "{schema}");
        assert_eq!(typed["needed"], (Text, true));
        assert_eq!(typed["in"], (Truth, false));
    }
}

#[test]
fn references_are_followed_as_far_as_they_end() {
    let schema = json!({
        "type": "object",
        "properties": {"node": {"$ref": "#/$defs/node"}},
        "$defs": {"node": {"type": "object", "properties": {
            "name": {"type": "string"}, "next": {"$ref": "#/$defs/node"},
        }}},
    });
    let text = serde_json::to_string(&ArgumentType::of(&schema).schema()).unwrap();
    assert!(text.contains("Opaque") && text.matches("\"name\":{").count() >= 3, "{text}");
    let endless = json!({"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}});
    assert!(matches!(ArgumentType::of(&endless), ArgumentType::Record(_)));
    // A composition at the root only restricts what is declared beside it.
    let open = ArgumentType::Record(Record { open: true, ..Record::default() });
    for schema in [json!({"anyOf": []}), json!({"type": "object"}), json!({})] {
        assert_eq!(ArgumentType::of(&schema), open, "{schema}");
    }
    assert_eq!(ArgumentType::of(&json!(true)), ArgumentType::Opaque);
    assert_eq!(ArgumentType::of(&json!({"$ref": "https://elsewhere.example"})), ArgumentType::Opaque);
}

#[test]
fn values_that_do_not_fit_are_not_judged() {
    let schema = json!({"type": "object", "required": ["n"], "properties": {
        "n": {"type": "integer"}, "s": {"type": "string"}, "l": {"type": "array", "items": {"type": "boolean"}}, "o": {},
    }});
    let everything = ArgumentType::of(&schema);
    let opaque: EntityTypeName = "Opaque".parse().unwrap();
    for (given, at) in [
        (json!({"n": 1, "s": "x", "l": [true], "o": {"any": 1}}), None),
        (json!({"n": 1.0}), None),
        (json!({"n": 1.5}), Some("/n")),
        (json!({"n": 18_446_744_073_709_551_615_u64}), Some("/n")),
        (json!({"n": 1, "s": null}), Some("/s")),
        (json!({"n": 1, "l": [true, "x"]}), Some("/l/1")),
        (json!({}), Some("/n")),
        (json!([]), Some("")),
    ] {
        let result = everything.value(&given, &opaque).err().map(|unjudgeable| unjudgeable.at);
        assert_eq!(result.as_deref(), at, "{given}");
    }
}

#[test]
fn only_what_is_read_is_left_and_kept() {
    let schema = json!({"type": "object", "properties": {
        "a": {"type": "object", "properties": {"b": {"type": "string"}, "c": {"type": "string"}}},
        "d": {"type": "string"},
    }});
    let expression = cedar_policy::Policy::parse(
        None,
        "forbid (principal, action, resource) when { context.arguments has a && context.arguments.a has b && \
         context.arguments.a.b == \"x\" && context.arguments has e };",
    );
    let reads = Reads::of(&expression.unwrap().to_json().unwrap(), "context");
    let pruned = ArgumentType::of(&schema).pruned(&reads, &["arguments"]);
    assert_eq!(
        pruned.schema(),
        json!({"type": "Record", "attributes": {
            "a": {"type": "Record", "required": false, "attributes": {"b": {"type": "String", "required": false}}},
        }})
    );
    let given = json!({"a": {"b": "x", "c": "secret"}, "d": "secret"});
    assert_eq!(pruned.kept(&given), json!({"a": {"b": "x"}}));
    let opaque: EntityTypeName = "Opaque".parse().unwrap();
    assert!(pruned.value(&given, &opaque).is_ok());
    // What a rule reads and the schema does not declare is not judged as if it were not there.
    let undeclared = json!({"e": 1});
    assert_eq!(pruned.value(&undeclared, &opaque).unwrap_err().at, "/e");
    assert_eq!(pruned.kept(&undeclared), undeclared);
}
