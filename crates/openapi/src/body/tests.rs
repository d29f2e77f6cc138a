use super::*;
use crate::{BaseUrl, OperationTool, Options, compile};
use std::sync::Arc;

fn tool(body: &Value) -> Arc<OperationTool> {
    let document = json!({"openapi": "3.0.3", "paths": {"/a": {"post": {"requestBody": body}}}});
    let compiled = compile(&document, &Options::default()).unwrap();
    assert_eq!(compiled.left_out, []);
    Arc::clone(&compiled.tools[0])
}

/// A required body of one media type.
fn of(media: &str, schema: &Value) -> Value {
    json!({"required": true, "content": {media: {"schema": schema}}})
}

fn sent(tool: &OperationTool, arguments: &Value) -> Result<(String, String), BuildError> {
    let request = tool.plan.build(&BaseUrl::parse("https://a.example").unwrap(), arguments)?;
    let media = request.headers.get("content-type").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    Ok((media, request.body.map(|body| String::from_utf8_lossy(&body).into_owned()).unwrap_or_default()))
}

fn argument_names(tool: &OperationTool) -> Vec<String> {
    tool.input_schema["properties"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn a_known_object_becomes_arguments_and_anything_else_is_one() {
    let known = json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]});
    for (schema, names) in [
        (known.clone(), vec!["a", "b"]),
        (json!({"type": "object", "additionalProperties": false, "properties": {"a": {}}}), vec!["a"]),
        (json!({"type": "object", "nullable": true, "properties": {"a": {}}}), vec!["a"]),
        (json!({"type": "object"}), vec!["body"]),
        (json!({"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "string"}}), vec!["body"]),
        (json!({"type": "object", "properties": {"a": {}}, "minProperties": 1}), vec!["body"]),
        (json!({"type": "object", "properties": {"a": {}}, "required": ["b"]}), vec!["body"]),
        (json!({"anyOf": [{"type": "object"}], "properties": {"a": {}}}), vec!["body"]),
        (json!({"type": "array", "items": {}}), vec!["body"]),
        (json!({"allOf": [known.clone()]}), vec!["a", "b"]),
    ] {
        let tool = tool(&of("application/json", &schema.clone()));
        assert_eq!(argument_names(&tool), names, "{schema}");
        let composed =
            ["allOf", "anyOf", "oneOf", "not", "$ref"].iter().any(|key| tool.input_schema.get(key).is_some());
        assert!(!composed && tool.input_schema["additionalProperties"] == json!(false), "{schema}");
    }
    // An optional body that demands members can only be given or left away as a whole.
    let optional = tool(&json!({"required": false, "content": {"application/json": {"schema": known}}}));
    assert_eq!(argument_names(&optional), ["body"]);
    assert_eq!(optional.input_schema.get("required"), None);
    assert_eq!(sent(&optional, &json!({})), Ok((String::new(), String::new())));
    let unsaid = tool(&json!({"content": {"application/json": {"schema": known}}}));
    assert_eq!(unsaid.input_schema["required"], json!(["a"]));
}

#[test]
fn json_is_sent_as_given_with_sorted_members() {
    let fields = tool(&of("application/vnd.x+json; v=2", &json!({"properties": {"z": {}, "a": {}}})));
    assert_eq!(
        sent(&fields, &json!({"z": {"y": 1, "b": 12_345_678_901_234_567_890_u64}, "a": "é\n"})),
        Ok((
            "application/vnd.x+json; v=2".to_owned(),
            "{\"a\":\"é\\n\",\"z\":{\"b\":12345678901234567890,\"y\":1}}".to_owned()
        ))
    );
    assert_eq!(sent(&fields, &json!({})).unwrap().1, "{}");
    let whole = tool(&of("application/json", &json!({"type": "array"})));
    assert_eq!(sent(&whole, &json!({"body": [1, null]})).unwrap().1, "[1,null]");
    assert_eq!(sent(&whole, &json!({})), Err(BuildError::Missing("body".to_owned())));
}

#[test]
fn the_best_media_type_is_chosen_in_any_order() {
    let both = |first: &str, second: &str| {
        tool(&json!({"content": {first: {"schema": {"type": "string"}}, second: {"schema": {"type": "string"}}}}))
    };
    for (first, second, chosen) in [
        ("multipart/form-data", "application/json", "application/json"),
        ("text/x-markdown", "text/plain", "text/plain"),
        ("application/octet-stream", "text/plain", "text/plain"),
        ("application/a+json", "application/json; charset=utf-8", "application/json; charset=utf-8"),
    ] {
        for tool in [both(first, second), both(second, first)] {
            assert_eq!(sent(&tool, &json!({"body": "x"})).unwrap().0, chosen);
        }
    }
}

#[test]
fn forms_are_encoded_by_field() {
    let tool = tool(&json!({"required": true, "content": {"application/x-www-form-urlencoded": {
        "schema": {"properties": {"name": {}, "tags": {}, "meta": {}, "deep": {}, "csv": {}}},
        "encoding": {"deep": {"style": "deepObject", "explode": true}, "csv": {"explode": false}},
    }}}));
    let (media, body) = sent(
        &tool,
        &json!({"name": "a&b=c +", "tags": ["x", "y"], "meta": {"k": [1]}, "deep": {"a": {"b": 1}}, "csv": ["1", "2,3"]}),
    )
    .unwrap();
    assert_eq!(media, "application/x-www-form-urlencoded");
    assert_eq!(
        body,
        "csv=1,2%2C3&deep%5Ba%5D%5Bb%5D=1&meta=%7B%22k%22%3A%5B1%5D%7D&name=a%26b%3Dc%20%2B&tags=x&tags=y"
    );
}

#[test]
fn multipart_carries_files_text_and_json() {
    let tool = tool(&json!({"required": true, "content": {"multipart/form-data": {
        "schema": {"type": "object", "required": ["file"], "properties": {
            "file": {"type": "string", "format": "binary", "description": "A picture."},
            "more": {"type": "array", "items": {"type": "string", "format": "binary"}},
            "thumb": {"type": "string"}, "meta": {"type": "object"}, "note": {"type": "string"}, "base": {"type": "object"},
        }},
        "encoding": {"thumb": {"contentType": "image/png, image/jpeg"}, "file": {"contentType": "image/*"}},
    }}}));
    let file = &tool.input_schema["properties"]["file"];
    assert_eq!(
        (&file["type"], &file["description"], &file["required"]),
        (&json!("object"), &json!("A picture."), &json!(["base64"]))
    );
    let file = json!({"base64": "aGk", "filename": "a\"b.png"});
    let (media, body) = sent(
        &tool,
        &json!({
            "file": file, "more": [{"base64": "YQ=="}, {"base64": "Yg==", "media_type": "text/csv"}], "thumb": {"base64": "\nYw==\n"},
            "meta": {"k": 1}, "note": "x\r\n--y", "base": {"base64": "not a file"},
        }),
    )
    .unwrap();
    let boundary = media.strip_prefix("multipart/form-data; boundary=").unwrap();
    assert!(boundary.len() <= 70);
    let part = |head: &str, content: &str| {
        format!("--{boundary}\r\ncontent-disposition: form-data; {head}\r\n\r\n{content}\r\n")
    };
    let octets = "\r\ncontent-type: application/octet-stream";
    let expected = [
        part("name=\"base\"\r\ncontent-type: application/json", "{\"base64\":\"not a file\"}"),
        part(&format!("name=\"file\"; filename=\"a%22b.png\"{octets}"), "hi"),
        part("name=\"meta\"\r\ncontent-type: application/json", "{\"k\":1}"),
        part(&format!("name=\"more\"; filename=\"more\"{octets}"), "a"),
        part("name=\"more\"; filename=\"more\"\r\ncontent-type: text/csv", "b"),
        part("name=\"note\"", "x\r\n--y"),
        part("name=\"thumb\"; filename=\"thumb\"\r\ncontent-type: image/png", "c"),
        format!("--{boundary}--\r\n"),
    ];
    assert_eq!(body, expected.concat());
    for (file, error) in [
        (json!({"base64": "!"}), BuildError::Base64("file".to_owned())),
        (json!("aGk="), BuildError::Base64("file".to_owned())),
        (json!({"base64": "", "filename": "../x"}), BuildError::FileName("file".to_owned())),
        (json!({"base64": "", "filename": "a\r\nb"}), BuildError::FileName("file".to_owned())),
        (json!({"base64": "", "media_type": "a/b\r\nx: y"}), BuildError::MediaType("file".to_owned())),
        (json!({"base64": "", "media_type": "a/b; c=d"}), BuildError::MediaType("file".to_owned())),
    ] {
        assert_eq!(sent(&tool, &json!({"file": file})), Err(error));
    }
}

#[test]
fn text_and_bytes_are_sent_raw() {
    let text = tool(&of("text/markdown", &json!({"type": "string", "description": "Words."})));
    assert_eq!(text.input_schema["properties"]["body"]["description"], "Words.");
    assert_eq!(sent(&text, &json!({"body": "# Hi"})), Ok(("text/markdown".to_owned(), "# Hi".to_owned())));
    for media in ["application/octet-stream", "image/png", "*/*"] {
        let bytes = tool(&of(media, &json!({"type": "string", "format": "binary"})));
        assert_eq!(bytes.input_schema["properties"]["body"]["contentEncoding"], "base64");
        assert_eq!(sent(&bytes, &json!({"body": "aGk="})).unwrap().1, "hi");
        assert_eq!(sent(&bytes, &json!({"body": "?"})), Err(BuildError::Base64("body".to_owned())));
    }
}

#[test]
fn a_body_that_cannot_be_written_leaves_its_operation_out() {
    for (body, part) in [
        (of("multipart/mixed", &json!({})), "`multipart/mixed`"),
        (of("text/pl\nain", &json!({})), "`text/pl"),
        (of("application/json", &json!({"$ref": "https://x.example/s"})), "never fetched"),
        (json!({"$ref": "#/components/requestBodies/none"}), "points at nothing"),
    ] {
        let document = json!({"openapi": "3.0.3", "paths": {"/a": {"post": {"requestBody": body}}}});
        let compiled = compile(&document, &Options::default()).unwrap();
        assert!(compiled.tools.is_empty() && compiled.left_out[0].reason.contains(part), "{:?}", compiled.left_out);
    }
}
