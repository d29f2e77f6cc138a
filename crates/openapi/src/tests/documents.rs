//! Three real documents compile completely, stably, and to schemas that validators and clients take.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{compiled, example};
use crate::{BaseUrl, parse};

const DOCUMENTS: [(&str, usize); 3] = [("mux", 98), ("github", 1_223), ("notion", 24)];

#[test]
fn every_operation_becomes_a_tool() {
    for (name, operations) in DOCUMENTS {
        let compiled = compiled(&example(name));
        assert_eq!(compiled.left_out, [], "{name}");
        assert_eq!(compiled.tools.len(), operations, "{name}");
        let names: BTreeSet<_> = compiled.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names.len(), operations, "{name}: names are distinct");
        for tool in &compiled.tools {
            assert!((1..=40).contains(&tool.name.len()), "{}", tool.name);
            assert!(tool.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'), "{}", tool.name);
            assert!(!tool.description.is_empty() && tool.description.len() <= 1_800, "{}", tool.name);
            assert!(!tool.reason.is_empty(), "{}", tool.name);
            assert_eq!(tool.output_schema, None, "{}", tool.name);
        }
    }
}

#[test]
fn every_schema_is_one_that_validators_and_clients_take() {
    const COMPOSITION: [&str; 9] =
        ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "$ref", "patternProperties"];
    for (name, _) in DOCUMENTS {
        for tool in compiled(&example(name)).tools {
            let schema = &tool.input_schema;
            let root = schema.as_object().unwrap();
            assert_eq!(
                (&root["type"], &root["additionalProperties"]),
                (&json!("object"), &json!(false)),
                "{}",
                tool.name
            );
            assert!(COMPOSITION.iter().all(|key| !root.contains_key(*key)), "{}", tool.name);
            for argument in root["properties"].as_object().unwrap().keys() {
                let plain = argument.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
                assert!(plain && (1..=64).contains(&argument.len()), "{}: {argument}", tool.name);
            }
            assert!(jsonschema::meta::is_valid(&with_dialect(schema)), "{}", tool.name);
            let validator = jsonschema::options()
                .with_draft(jsonschema::Draft::Draft202012)
                .with_pattern_options(jsonschema::PatternOptions::regex().size_limit(256 << 10))
                .build(schema);
            let validator = validator.unwrap_or_else(|error| panic!("{}: {error}", tool.name));
            assert!(!validator.is_valid(&json!({"no such argument": 1})), "{}", tool.name);
        }
    }
}

fn with_dialect(schema: &Value) -> Value {
    let mut schema = schema.clone();
    let dialect = json!("https://json-schema.org/draft/2020-12/schema");
    schema.as_object_mut().unwrap().insert("$schema".to_owned(), dialect);
    schema
}

#[test]
fn a_reordered_document_gives_the_same_tools() {
    for (name, _) in DOCUMENTS {
        let document = example(name);
        let (once, again, turned) = (compiled(&document), compiled(&document), compiled(&reversed(&document, 0)));
        assert_eq!(once.tools.len(), turned.tools.len());
        for ((one, other), turned) in once.tools.iter().zip(&again.tools).zip(&turned.tools) {
            assert_eq!(one.input_schema.to_string(), other.input_schema.to_string());
            for seen in [other, turned] {
                let parts = (&one.name, &one.method, &one.path, &one.title, &one.description, one.effect, &one.reason);
                assert_eq!(
                    parts,
                    (&seen.name, &seen.method, &seen.path, &seen.title, &seen.description, seen.effect, &seen.reason)
                );
                assert_eq!(one.input_schema, seen.input_schema, "{}", one.name);
            }
        }
    }
}

/// Paths, methods and components in the opposite order.
fn reversed(value: &Value, depth: usize) -> Value {
    match value {
        Value::Object(members) if depth < 4 => {
            let turned: Map<String, Value> =
                members.iter().rev().map(|(key, member)| (key.clone(), reversed(member, depth + 1))).collect();
            Value::Object(turned)
        }
        other => other.clone(),
    }
}

#[test]
fn the_same_document_in_yaml_gives_the_same_tools() {
    // JSON is YAML, so a leading comment is enough to take the other way in.
    let path = format!("{}/../../examples/notion/openapi.json", env!("CARGO_MANIFEST_DIR"));
    let yaml = format!("# a comment\n{}", std::fs::read_to_string(path).unwrap());
    let document = parse(yaml.as_bytes()).unwrap();
    assert_eq!(document, example("notion"));
}

/// Whole requests of real operations, as the API would see them.
#[test]
fn requests_of_real_operations() {
    let mux = compiled(&example("mux"));
    let github = compiled(&example("github"));
    let notion = compiled(&example("notion"));
    let base = BaseUrl::parse("https://api.example.com").unwrap();
    for (compiled, id, arguments, line, body) in [
        (&mux, "get-asset", json!({"ASSET_ID": "a b"}), "GET /video/v1/assets/a%20b", None),
        (
            &mux,
            "list-video-views",
            json!({"limit": 5, "filters": ["country:DE", "os:x&y"]}),
            "GET /data/v1/video-views?filters%5B%5D=country%3ADE&filters%5B%5D=os%3Ax%26y&limit=5",
            None,
        ),
        (
            &mux,
            "create-asset-playback-id",
            json!({"ASSET_ID": "x", "policy": "signed"}),
            "POST /video/v1/assets/x/playback-ids",
            Some(r#"{"policy":"signed"}"#),
        ),
        (
            &github,
            "issues/add-labels",
            json!({"owner": "o", "repo": "r", "issue_number": 7, "body": {"labels": ["a"]}}),
            "POST /repos/o/r/issues/7/labels",
            Some(r#"{"labels":["a"]}"#),
        ),
        (&github, "markdown/render-raw", json!({"body": "# x"}), "POST /markdown/raw", Some("# x")),
        (
            &notion,
            "post-search",
            json!({"query": "q", "page_size": 3}),
            "POST /v1/search",
            Some(r#"{"page_size":3,"query":"q"}"#),
        ),
    ] {
        let tool = compiled.tools.iter().find(|tool| tool.operation_id.as_deref() == Some(id)).unwrap();
        let validator = jsonschema::draft202012::new(&tool.input_schema).unwrap();
        let mut arguments = arguments;
        if tool.input_schema["required"].as_array().is_some_and(|all| all.contains(&json!("Notion-Version"))) {
            arguments.as_object_mut().unwrap().insert("Notion-Version".to_owned(), json!("2025-09-03"));
        }
        let errors: Vec<_> = validator.iter_errors(&arguments).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{id}: {errors:?}");
        let request = tool.plan.build(&base, &arguments).unwrap();
        assert_eq!(format!("{} {}", request.method, request.path_and_query), line, "{id}");
        assert_eq!(request.body.map(|body| String::from_utf8(body).unwrap()).as_deref(), body, "{id}");
    }
}
