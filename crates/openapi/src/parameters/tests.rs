use super::*;

fn read_all(parameters: &Value) -> Result<Vec<(String, Place, Form)>, ParameterError> {
    let document = json!({"components": {"securitySchemes": {
        "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
        "query": {"type": "apiKey", "in": "query", "name": "token"},
    }}});
    let operation = json!({"parameters": parameters});
    let item = json!({"parameters": [{"name": "shared", "in": "query", "style": "pipeDelimited"}]});
    let refs = Refs::new(&document);
    let found = declared(&item, &operation, &refs, &credentials(&document, &refs))?;
    Ok(found.into_iter().map(|one| (one.name, one.place, one.form)).collect())
}

#[test]
fn credentials_and_connection_headers_are_nobodys_parameters() {
    let names = [
        "Authorization",
        "cookie",
        "HOST",
        "Content-Length",
        "content-type",
        "Transfer-Encoding",
        "Connection",
        "TE",
        "Proxy-Authorization",
        "X-HTTP-Method-Override",
        "X-Forwarded-For",
        "x-api-key",
    ];
    let parameters: Vec<_> = names.iter().map(|name| json!({"name": name, "in": "header", "required": true})).collect();
    let mut parameters = parameters;
    parameters.push(json!({"name": "token", "in": "query"}));
    parameters.push(json!({"name": "Notion-Version", "in": "header"}));
    let found = read_all(&Value::Array(parameters)).unwrap();
    let names: Vec<_> = found.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["shared", "Notion-Version"]);
}

#[test]
fn an_operation_overrides_its_path_item() {
    let found = read_all(&json!([{"name": "shared", "in": "query", "explode": false}])).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].2, Form::Styled { style: Style::Form, explode: false, reserved: false });
}

#[test]
fn a_list_that_prose_sends_in_brackets_is_sent_in_brackets() {
    let schema = json!({"type": "array", "description": "e.g. `timeframe[]=24:hours`"});
    let found = read_all(&json!([
        {"name": "timeframe", "in": "query", "schema": schema},
        {"name": "timeframe", "in": "query", "schema": schema, "explode": true},
        {"name": "plain", "in": "query", "schema": {"type": "array"}},
    ]))
    .unwrap();
    let names: Vec<_> = found.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["shared", "timeframe[]", "timeframe", "plain"]);
}

#[test]
fn what_cannot_be_read_is_named() {
    for (parameter, part) in [
        (json!({"name": "a", "in": "body"}), "`in: body`"),
        (json!({"name": "a", "in": "path", "style": "form"}), "style `form`"),
        (json!({"name": "a b", "in": "header"}), "`a b`"),
        (json!({"in": "query"}), "`name`"),
        (json!("x"), "`name`"),
        (json!({"$ref": "https://example.com/p"}), "never fetched"),
    ] {
        let error = read_all(&json!([parameter])).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
