use super::*;
use crate::{OperationTool, Options, compile};
use serde_json::json;
use std::sync::Arc;

/// The one tool of a path with one operation.
fn tool(path: &str, method: &str, operation: &Value) -> Arc<OperationTool> {
    let document = json!({
        "openapi": "3.1.0",
        "paths": {path: {method: operation}},
        "components": {"securitySchemes": {
            "key": {"type": "apiKey", "in": "query", "name": "api_key"},
            "login": {"type": "apiKey", "in": "cookie", "name": "login_id"},
        }},
    });
    let compiled = compile(&document, &Options::default()).unwrap();
    assert_eq!(compiled.left_out, []);
    Arc::clone(&compiled.tools[0])
}

fn base() -> BaseUrl {
    BaseUrl::parse("https://api.example.com/v1/").unwrap()
}

fn build(tool: &OperationTool, arguments: &Value) -> Result<BuiltRequest, BuildError> {
    tool.plan.build(&base(), arguments)
}

fn parameter(name: &str, place: &str) -> Value {
    json!({"name": name, "in": place, "schema": {}})
}

#[test]
fn every_argument_goes_to_its_place() {
    let tool = tool(
        "/assets/{id}/clips/{at}.mp4",
        "post",
        &json!({
            "parameters": [
                parameter("id", "path"), {"name": "at", "in": "path", "style": "label"},
                {"name": "ids[]", "in": "query", "schema": {"type": "array"}},
                {"name": "filter", "in": "query", "style": "deepObject", "schema": {"type": "object"}},
                {"name": "where", "in": "query", "content": {"application/json": {"schema": {}}}},
                parameter("X-Trace", "header"), parameter("session", "cookie"), parameter("id", "query"),
            ],
            "requestBody": {"content": {"application/json": {"schema": {"type": "object", "properties": {"id": {}, "z": {}, "a": {}}}}}},
        }),
    );
    let request = build(
        &tool,
        &json!({
            "id": "a b?c", "at": 12, "ids": [1, 2], "filter": {"b": "&x=1"}, "where": {"z": 1, "a": [true]},
            "X-Trace": "abc", "session": "s;t", "query_id": "q", "body_id": "b", "z": 1, "a": null,
        }),
    )
    .unwrap();
    assert_eq!(
        request.path_and_query.as_str(),
        "/v1/assets/a%20b%3Fc/clips/.12.mp4?ids%5B%5D=1&ids%5B%5D=2&filter%5Bb%5D=%26x%3D1&where=%7B%22a%22%3A%5Btrue%5D%2C%22z%22%3A1%7D&id=q"
    );
    assert_eq!(request.method, Method::POST);
    assert_eq!(request.headers["x-trace"], "abc");
    assert_eq!(request.headers["cookie"], "session=s%3Bt");
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.body.as_deref(), Some(br#"{"a":null,"id":"b","z":1}"#.as_slice()));
}

#[test]
fn a_whole_number_is_sent_as_an_integer_wherever_it_stands() {
    let tool = tool(
        "/pages/{page}",
        "post",
        &json!({
            "parameters": [
                {"name": "page", "in": "path", "schema": {"type": "integer"}},
                {"name": "limit", "in": "query", "schema": {"type": "integer"}},
                {"name": "X-Depth", "in": "header", "schema": {"type": "integer"}},
            ],
            "requestBody": {"content": {"application/json": {"schema": {"type": "object", "properties": {
                "sizes": {"type": "array", "items": {"type": "integer"}}, "ratio": {"type": "number"},
            }}}}},
        }),
    );
    let arguments: Value =
        serde_json::from_str(r#"{"page":2.0,"limit":1e2,"X-Depth":3e0,"sizes":[1.0,2e1],"ratio":0.5}"#).unwrap();
    let request = build(&tool, &arguments).unwrap();
    assert_eq!(request.path_and_query.as_str(), "/v1/pages/2?limit=100");
    assert_eq!(request.headers["x-depth"], "3");
    assert_eq!(request.body.as_deref(), Some(br#"{"ratio":0.5,"sizes":[1,20]}"#.as_slice()));
}

#[test]
fn a_path_takes_plain_values_only() {
    let tool = tool("/files/{name}/{more}{rest}", "get", &json!({}));
    let good = build(&tool, &json!({"name": "ä", "more": "a", "rest": "b"})).unwrap();
    assert_eq!(good.path_and_query.as_str(), "/v1/files/%C3%A4/ab");
    for bad in [
        json!(""),
        json!(".."),
        json!("a/b"),
        json!("a\\b"),
        json!("a\r\nx"),
        json!("\0"),
        json!("%2e%2e"),
        json!([]),
        json!({}),
        json!(["a", "../b"]),
        json!({"..": 1}),
        json!(null),
    ] {
        let error = build(&tool, &json!({"name": bad, "more": "a", "rest": "b"})).unwrap_err();
        assert!(matches!(error, BuildError::Path { .. } | BuildError::Missing(_)), "{bad}: {error}");
    }
    // Each is a plain value; together they would be a dot segment.
    let error = build(&tool, &json!({"name": "a", "more": ["."], "rest": "."})).unwrap_err();
    assert!(matches!(error, BuildError::Path { .. }), "{error}");
    assert_eq!(build(&tool, &json!({"name": "a", "more": "b"})).unwrap_err(), BuildError::Missing("rest".to_owned()));
}

/// Half an escape in each of two values, or in a value and the text beside it, is one to a server that decodes twice.
#[test]
fn values_beside_each_other_are_held_to_the_same_together() {
    let template = json!({});
    let path = |path: &str, arguments: Value| {
        build(&tool(path, "get", &template), &arguments).map(|request| request.path_and_query.to_string())
    };
    for (a, b) in [
        ("%2", "e%2e"),
        ("%", "2e."),
        (".%", "2e"),
        ("x%2", "f.."),
        ("%5", "c"),
        ("%0", "a"),
        ("..%3", "bx"),
        (".", ".;x"),
    ] {
        let error = path("/x/{a}{b}", json!({"a": a, "b": b})).unwrap_err();
        assert!(matches!(error, BuildError::Path { .. }), "{a} {b}: {error}");
    }
    assert!(path("/x/%252{a}", json!({"a": "f"})).is_err());
    assert!(path("/x/.{a}", json!({"a": "%2e"})).is_err());
    for (template, a, b, sent) in [
        ("/x/{a}{b}", "%", "zz", "/v1/x/%25zz"),
        ("/x/{a}...{b}", "main", "dev", "/v1/x/main...dev"),
        ("/x/{a}:{b}", "1", "2;y", "/v1/x/1:2%3By"),
        // The document's own escape is its own; a value's is not.
        ("/x/{a}%2F{b}", "group", "name", "/v1/x/group%2Fname"),
    ] {
        assert_eq!(path(template, json!({"a": a, "b": b})).unwrap(), sent);
    }
    assert!(path("/x/{a}%2F{b}", json!({"a": "a%2f", "b": "b"})).is_err());
}

#[test]
fn nothing_but_declared_arguments_is_taken() {
    let tool = tool(
        "/a",
        "get",
        &json!({"parameters": [
            {"name": "free", "in": "query", "schema": {"type": "object"}}, parameter("admin", "query"), parameter("api_key", "query"),
        ]}),
    );
    assert_eq!(build(&tool, &json!({"other": 1})).unwrap_err(), BuildError::Unknown("other".to_owned()));
    assert_eq!(build(&tool, &json!({"api_key": "mine"})).unwrap_err(), BuildError::Unknown("api_key".to_owned()));
    assert_eq!(build(&tool, &json!([1])).unwrap_err(), BuildError::NotAnObject("arguments".to_owned()));
    assert_eq!(build(&tool, &json!({"free": {"x": 1}})).unwrap().path_and_query, "/v1/a?x=1");
    for member in ["admin", "api_key"] {
        let error = build(&tool, &json!({"free": {member: "x"}})).unwrap_err();
        assert!(matches!(error, BuildError::Taken { .. }), "{error}");
    }
}

#[test]
fn an_exploded_object_sets_no_other_cookie() {
    let object =
        |explode: bool| json!({"name": "free", "in": "cookie", "explode": explode, "schema": {"type": "object"}});
    let cookies = |explode| {
        let parameters = [object(explode), parameter("admin", "cookie"), parameter("page", "query")];
        tool("/a", "get", &json!({"parameters": parameters}))
    };
    let exploded = cookies(true);
    for member in ["admin", "login_id"] {
        let error = build(&exploded, &json!({"free": {member: "x"}})).unwrap_err();
        assert!(matches!(error, BuildError::Taken { .. }), "{error}");
    }
    // A name is taken in its own place only, and a whole value takes none.
    let cookie = |tool: &OperationTool, member: &str| {
        build(tool, &json!({"free": {member: "x"}})).unwrap().headers["cookie"].to_str().unwrap().to_owned()
    };
    assert_eq!(cookie(&exploded, "page"), "page=x");
    assert_eq!(cookie(&cookies(false), "login_id"), "free=login_id,x");
}

#[test]
fn headers_hold_visible_characters_only() {
    let tool = tool(
        "/a",
        "get",
        &json!({"parameters": [
            {"name": "X-Tags", "in": "header", "schema": {"type": "array"}},
            {"name": "Must", "in": "header", "required": true},
        ]}),
    );
    let request = build(&tool, &json!({"X-Tags": ["a", "b"], "Must": "x"})).unwrap();
    assert_eq!(request.headers["x-tags"], "a,b");
    for bad in ["a\r\nAuthorization: Bearer x", "a\n", "\0", "é", " padded", "\u{7f}"] {
        assert_eq!(build(&tool, &json!({"Must": bad})).unwrap_err(), BuildError::Header("Must".to_owned()), "{bad:?}");
    }
    assert_eq!(build(&tool, &json!({})).unwrap_err(), BuildError::Missing("Must".to_owned()));
}

#[test]
fn accept_asks_for_what_the_operation_answers() {
    let answering =
        |content: Value| json!({"responses": {"200": {"content": content}, "404": {"content": {"text/html": {}}}}});
    for (content, accept) in [
        (json!({"text/plain": {}, "application/json": {}}), "application/json"),
        (json!({"application/vnd.a+json": {}}), "application/vnd.a+json"),
        (json!({"text/html": {}, "image/png": {}}), "image/png, text/html, */*;q=0.1"),
        (json!({}), "application/json, */*;q=0.1"),
        (json!({"bad\nname": {}}), "application/json, */*;q=0.1"),
    ] {
        let request = build(&tool("/a", "get", &answering(content)), &json!({})).unwrap();
        assert_eq!(request.headers["accept"], accept);
    }
}

#[test]
fn a_target_is_bounded() {
    let tool = tool("/a", "get", &json!({"parameters": [parameter("q", "query")]}));
    let error = build(&tool, &json!({"q": "x".repeat(MAX_TARGET_BYTES)})).unwrap_err();
    assert!(matches!(error, BuildError::TooLong(_)));
}
