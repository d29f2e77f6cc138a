use super::*;

/// Converts the schema at `#/s` of a document for a request, as the root of a tool would have it.
fn convert(document: &Value, version: Version) -> Result<Value, SchemaError> {
    let mut converter = Converter::new(document, version);
    let mut build = Build::default();
    let schema = converter.convert(&document["s"], Side::Request, &mut build)?;
    let Value::Object(mut root) = schema else { return Ok(schema) };
    converter.finish(&mut root, Side::Request, build)?;
    let root = Value::Object(root);
    jsonschema::draft202012::new(&root).expect("a valid 2020-12 schema");
    Ok(root)
}

fn converted_30(schema: &Value) -> Value {
    convert(&json!({"s": schema}), Version::V30).unwrap()
}

#[test]
fn the_dialect_of_3_0_becomes_2020_12() {
    for (old, new) in [
        (json!({"type": "string", "nullable": true}), json!({"type": ["string", "null"]})),
        (
            json!({"type": "string", "nullable": true, "enum": ["a"]}),
            json!({"type": ["string", "null"], "enum": ["a", null]}),
        ),
        (
            json!({"nullable": true, "description": "x", "oneOf": [{"type": "string"}]}),
            json!({"description": "x", "anyOf": [{"oneOf": [{"type": "string"}]}, {"type": "null"}]}),
        ),
        (
            json!({"type": "integer", "minimum": 1, "exclusiveMinimum": true}),
            json!({"type": "integer", "exclusiveMinimum": 1}),
        ),
        (json!({"type": "integer", "maximum": 9, "exclusiveMaximum": false}), json!({"type": "integer", "maximum": 9})),
        (json!({"type": "file"}), json!({"type": "string", "format": "binary"})),
        (json!({"type": "string", "example": "a"}), json!({"type": "string", "examples": ["a"]})),
        (json!({"items": [{"type": "string"}, {}]}), json!({"prefixItems": [{"type": "string"}, {}]})),
        (
            json!({"type": "array", "uniqueItems": true, "maxItems": 2.0}),
            json!({"type": "array", "uniqueItems": true, "maxItems": 2}),
        ),
    ] {
        assert_eq!(converted_30(&old), new, "{old}");
    }
}

#[test]
fn keywords_of_the_wrong_shape_are_dropped() {
    let wrong = json!({
        "type": "any", "enum": "a", "required": true, "properties": [], "minLength": -1, "maxLength": "9", "pattern": 7,
        "multipleOf": 0, "minimum": "1", "items": "x", "allOf": [], "format": 1, "x-thing": {}, "xml": {}, "discriminator": {},
        "externalDocs": {}, "examples": "x", "title": 1, "dependentRequired": {"a": "b"},
    });
    assert_eq!(converted_30(&wrong), json!({"dependentRequired": {}}));
    for odd in [json!(null), json!("x"), json!([1]), json!(7)] {
        assert_eq!(converted_30(&odd), json!({}));
    }
    assert_eq!(converted_30(&json!(false)), json!(false));
}

#[test]
fn patterns_no_validator_bears_are_left_away() {
    let schema = json!({"properties": {
        "ahead": {"pattern": "^(?!x)y$"},
        "back": {"pattern": "(a)\\1"},
        "huge": {"pattern": "^([ab]{1,1000}c){1,1000}$"},
        "broken": {"pattern": "["},
        "good": {"pattern": "^\\d{3}-[\\w\\/]+$"},
    }, "patternProperties": {"(?<=a)b": {}, "^x-": {"type": "string"}}});
    let converted = converted_30(&schema);
    let properties = converted["properties"].as_object().unwrap();
    for (name, kept) in [("ahead", false), ("back", false), ("huge", false), ("broken", false), ("good", true)] {
        assert_eq!(properties[name].get("pattern").is_some(), kept, "{name}");
    }
    assert_eq!(converted["patternProperties"], json!({"^x-": {"type": "string"}}));
}

#[test]
fn properties_of_the_other_direction_are_left_away() {
    let document = json!({
        "components": {"schemas": {"stamp": {"type": "string", "readOnly": true}}},
        "s": {"properties": {
            "id": {"type": "string", "readOnly": true}, "at": {"$ref": "#/components/schemas/stamp"},
            "secret": {"type": "string", "writeOnly": true}, "name": {"type": "string"},
        }, "required": ["id", "at", "name"]},
    });
    let sent = convert(&document, Version::V30).unwrap();
    assert_eq!(sent["properties"].as_object().unwrap().keys().collect::<Vec<_>>(), ["secret", "name"]);
    assert_eq!(sent["required"], json!(["name"]));
    let mut converter = Converter::new(&document, Version::V30);
    let answered = converter.convert(&document["s"], Side::Response, &mut Build::default()).unwrap();
    assert_eq!(answered["properties"].as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "at", "name"]);
}

#[test]
fn recursion_becomes_definitions_and_small_targets_are_written_out() {
    let document = json!({
        "components": {"schemas": {
            "tree": {"type": "object", "properties": {"left": {"$ref": "#/components/schemas/tree"}, "leaf": {"$ref": "#/components/schemas/leaf"}}},
            "leaf": {"type": "string", "description": "small"},
        }},
        "s": {"properties": {"tree": {"$ref": "#/components/schemas/tree", "description": "mine"}}},
    });
    let converted = convert(&document, Version::V31).unwrap();
    assert_eq!(
        converted,
        json!({
            "properties": {"tree": {"$ref": "#/$defs/tree", "description": "mine"}},
            "$defs": {"tree": {"type": "object", "properties": {
                "left": {"$ref": "#/$defs/tree"}, "leaf": {"type": "string", "description": "small"},
            }}},
        })
    );
}

#[test]
fn what_stands_beside_a_reference_counts_in_3_1() {
    let document = json!({
        "components": {"schemas": {"name": {"type": "string", "maxLength": 9}}},
        "s": {"properties": {
            "narrow": {"$ref": "#/components/schemas/name", "maxLength": 3},
            "wide": {"$ref": "#/components/schemas/name", "minLength": 1},
        }},
    });
    let properties = convert(&document, Version::V31).unwrap()["properties"].clone();
    assert_eq!(properties["narrow"], json!({"maxLength": 3, "allOf": [{"type": "string", "maxLength": 9}]}));
    assert_eq!(properties["wide"], json!({"type": "string", "maxLength": 9, "minLength": 1}));
    let old = convert(&document, Version::V30).unwrap();
    assert_eq!(old["properties"]["narrow"], json!({"type": "string", "maxLength": 9}));
}

#[test]
fn what_nothing_can_satisfy_or_nobody_can_follow_is_an_error() {
    let with = |schemas: Value| json!({"components": {"schemas": schemas}, "s": {"properties": {"a": {"$ref": "#/components/schemas/a"}}}});
    for (document, part) in [
        (with(json!({"a": {"allOf": [{"$ref": "#/components/schemas/a"}]}})), "contains itself"),
        (
            with(json!({"a": {"$ref": "#/components/schemas/b"}, "b": {"$ref": "#/components/schemas/a"}})),
            "leads back to itself",
        ),
        (with(json!({})), "points at nothing"),
        (with(json!({"a": {"$dynamicRef": "#x"}})), "`$dynamicRef`"),
        (with(json!({"a": {"items": {"$ref": "file:///etc/passwd"}}})), "never fetched"),
    ] {
        let error = convert(&document, Version::V31).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn size_is_bounded() {
    let mut deep = json!({"type": "string"});
    for _ in 0..60 {
        deep = json!({"items": deep});
    }
    assert_eq!(convert(&json!({"s": deep}), Version::V31), Err(SchemaError::TooDeep));
    let wide: Map<String, Value> = (0..=MAX_NODES).map(|n| (format!("p{n}"), json!({}))).collect();
    assert_eq!(convert(&json!({"s": {"properties": wide}}), Version::V31), Err(SchemaError::TooLarge));
    let values: Vec<_> = (0..=MAX_ENUM).collect();
    assert_eq!(convert(&json!({"s": {"enum": values}}), Version::V31), Err(SchemaError::EnumTooLong(MAX_ENUM + 1)));
    let wordy: Map<String, Value> =
        (0..600).map(|n| (format!("p{n}"), json!({"description": "x".repeat(1_000)}))).collect();
    assert_eq!(convert(&json!({"s": {"properties": wordy}}), Version::V31), Err(SchemaError::TooMuchText));
}

#[test]
fn names_of_definitions_never_meet() {
    let names = [
        "#/components/schemas/a",
        "#/components/parameters/a/schema",
        "#/components/schemas/a~1b",
        "#/components/schemas/a__b",
    ];
    let names: BTreeSet<_> = names.iter().map(|name| def_name(name)).collect();
    assert_eq!(names.len(), 4);
    assert!(names.contains("a"), "{names:?}");
}
