//! Documents and arguments nobody vouches for: nothing panics, nothing leaves its place, nothing takes for ever.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{BaseUrl, Options, compile, parse};

/// Any JSON whose object keys are often those of OpenAPI.
fn openapi_like() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "openapi",
        "paths",
        "/a/{b}",
        "/a",
        "get",
        "post",
        "delete",
        "parameters",
        "name",
        "in",
        "path",
        "query",
        "header",
        "schema",
        "type",
        "object",
        "array",
        "string",
        "properties",
        "items",
        "required",
        "$ref",
        "#/paths",
        "#/components/schemas/a",
        "components",
        "schemas",
        "a",
        "b",
        "requestBody",
        "content",
        "application/json",
        "multipart/form-data",
        "encoding",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "enum",
        "pattern",
        "(",
        "^a",
        "style",
        "deepObject",
        "explode",
        "nullable",
        "default",
        "$defs",
        "#/$defs/a",
        "additionalProperties",
        "responses",
        "200",
        "servers",
        "url",
        "operationId",
        "summary",
        "format",
        "binary",
        "",
        "~",
        "/",
        "é\u{202e}",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let key = prop_oneof![9 => word.prop_map(str::to_owned), 1 => ".{0,6}"];
    leaf.prop_recursive(6, 96, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A document around an arbitrary operation.
fn around(operation: &Value, schemas: &Value, version: &str) -> Value {
    json!({"openapi": version, "paths": {"/x/{b}/y": {"post": operation}}, "components": {"schemas": {"a": schemas}}})
}

fn check_all(document: &Value) -> Result<(), TestCaseError> {
    let Ok(compiled) = compile(document, &Options::default()) else { return Ok(()) };
    let base = BaseUrl::parse("https://api.example.com/v1").unwrap();
    for tool in compiled.tools {
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .with_pattern_options(jsonschema::PatternOptions::regex().size_limit(256 << 10))
            .build(&tool.input_schema);
        prop_assert!(validator.is_ok(), "{}: {:?}", tool.input_schema, validator.err());
        let root = tool.input_schema.as_object().unwrap();
        prop_assert!(["allOf", "anyOf", "oneOf", "not", "$ref"].iter().all(|key| !root.contains_key(*key)));
        let names = root["properties"].as_object().unwrap().keys();
        let arguments: Map<String, Value> = names.map(|name| (name.clone(), json!("x"))).collect();
        if let Ok(request) = tool.plan.build(&base, &Value::Object(arguments)) {
            prop_assert!(request.path_and_query.path().starts_with("/v1/"));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn bytes_never_panic_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..400), text in "[\\[\\]{}:,&*!|>'\"%@`a-c \n-]{0,200}") {
        let _ = parse(&bytes).map(|document| compile(&document, &Options::default()).is_ok());
        let _ = parse(text.as_bytes());
        let _ = parse(format!("openapi: 3.1.0\npaths:\n  {text}").as_bytes());
    }

    #[test]
    fn any_json_compiles_or_is_refused(value in openapi_like()) {
        check_all(&value)?;
        check_all(&json!({"openapi": "3.1.0", "paths": value}))?;
    }

    #[test]
    fn any_operation_compiles_or_is_left_out(operation in openapi_like(), schema in openapi_like(), old in any::<bool>()) {
        let version = if old { "3.0.3" } else { "3.1.0" };
        check_all(&around(&operation, &schema, version))?;
        let body = json!({"operationId": "a", "requestBody": {"required": true, "content": {"application/json": {"schema": operation}}},
            "parameters": [{"name": "q", "in": "query", "schema": schema}]});
        let document = around(&body, &schema, version);
        let compiled = compile(&document, &Options::default()).unwrap();
        prop_assert_eq!(compiled.tools.len() + compiled.left_out.len(), 1);
        check_all(&document)?;
    }
}

/// One parameter of every style and place, and a body of every kind.
fn styles() -> Value {
    let mut paths = Map::new();
    for (index, (place, style, explode)) in [
        ("path", "simple", false),
        ("path", "simple", true),
        ("path", "label", false),
        ("path", "label", true),
        ("path", "matrix", false),
        ("path", "matrix", true),
        ("query", "form", true),
        ("query", "form", false),
        ("query", "spaceDelimited", false),
        ("query", "pipeDelimited", false),
        ("query", "deepObject", true),
        ("header", "simple", true),
        ("cookie", "form", true),
    ]
    .into_iter()
    .enumerate()
    {
        let path = if place == "path" { format!("/p{index}/{{v}}/end") } else { format!("/p{index}") };
        let parameter = json!({"name": "v", "in": place, "style": style, "explode": explode, "schema": {}});
        paths.insert(path, json!({"get": {"operationId": format!("op{index:02}"), "parameters": [parameter]}}));
    }
    json!({"openapi": "3.1.0", "paths": paths})
}

fn argument() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        "[./\\\\%a-f0-9;?#&=\r\n\u{0}]{0,12}",
        prop::sample::select(vec![
            "..",
            ".",
            "../..",
            "%2e%2e",
            "%2f",
            "a/b",
            "..;",
            "\r\nx: y",
            "a?b",
            "a#b",
            "http://evil.example/",
            "//evil"
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        text.clone().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(Value::Null)
    ];
    leaf.prop_recursive(2, 12, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((text.clone(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_argument_leaves_its_place(value in argument()) {
        let compiled = compile(&styles(), &Options::default()).unwrap();
        let base = BaseUrl::parse("https://api.example.com/v1").unwrap();
        for tool in &compiled.tools {
            let Ok(request) = tool.plan.build(&base, &json!({"v": value})) else { continue };
            let target = request.path_and_query.as_str();
            prop_assert!(target.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'#' | b'\\')), "{target}");
            let path = request.path_and_query.path();
            // The shape of the path is the template's, whoever reads it and however often it is decoded.
            let written = path.split('/').count();
            prop_assert_eq!(written, tool.path.split('/').count() + 1, "{}", target);
            let once = decoded(path);
            for reading in [once.clone(), decoded(&once)] {
                prop_assert_eq!(reading.split(['/', '\\']).count(), written, "{}", target);
                prop_assert!(!reading.split('/').any(|part| part == "." || part == ".."), "{target}");
                prop_assert!(!reading.chars().any(char::is_control), "{target}");
            }
            let whole = url::Url::parse(&format!("{}{target}", base.origin())).unwrap();
            prop_assert_eq!((whole.host_str(), whole.path()), (Some("api.example.com"), path));
            // A query parameter that does not spread writes its own name only.
            if let Some(query) = request.path_and_query.query()
                && !matches!(tool.name.as_str(), "op06" | "op10")
            {
                prop_assert!(query.starts_with("v=") && !query.contains('&'), "{query}");
            }
            for (_, header) in &request.headers {
                prop_assert!(header.to_str().is_ok_and(|text| !text.contains(['\r', '\n', '\0'])));
            }
        }
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match escape {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
