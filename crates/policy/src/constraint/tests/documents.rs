//! Constraints on the tools of real documents, and on schemas as MCP servers write them.

use ambit_openapi::{Compiled, Options, compile, parse};
use serde_json::{Value, json};

use super::super::{Narrowed, narrow};
use super::{allowed, is_valid, validator};

fn compiled(document: &str) -> Compiled {
    let path = format!("{}/../../examples/{document}/openapi.json", env!("CARGO_MANIFEST_DIR"));
    compile(&parse(&std::fs::read(path).unwrap()).unwrap(), &Options::default()).unwrap()
}

/// The schema of a tool, by method and path.
fn schema(document: &str, method: &str, path: &str) -> Value {
    let tools = compiled(document).tools;
    let tool = tools.iter().find(|tool| tool.path == path && tool.method.as_str() == method);
    tool.unwrap_or_else(|| panic!("{method} {path}")).input_schema.clone()
}

fn shown(schema: &Value, factors: &Value) -> Narrowed {
    let narrowed = narrow(schema, &allowed(factors)).unwrap_or_else(|error| panic!("{factors}: {error}"));
    assert!(narrowed.exact && narrowed.note.is_none(), "{factors}");
    narrowed
}

/// A value a property plainly takes, where it has one type.
fn some_value(own: &Value) -> Option<Value> {
    if let Some(Value::Array(values)) = own.get("enum") {
        // One document lists numbers of type `string`, which nothing is.
        return values.last().filter(|value| own["type"] != "string" || value.is_string()).cloned();
    }
    let plain = ["pattern", "minLength", "minimum", "exclusiveMinimum", "anyOf", "oneOf", "allOf", "not"];
    match own.get("type").and_then(Value::as_str) {
        _ if plain.iter().any(|keyword| own.get(*keyword).is_some()) => None,
        Some("string") => Some(json!("x")),
        Some("integer") => Some(json!(1)),
        Some("boolean") => Some(json!(false)),
        _ => None,
    }
}

#[test]
fn every_plain_argument_of_every_tool_can_be_limited_to_one_value() {
    let mut limited = 0;
    for document in ["mux", "github", "notion"] {
        for tool in compiled(document).tools {
            let own = &tool.input_schema;
            for (name, property) in own["properties"].as_object().unwrap() {
                let Some(value) = some_value(property) else { continue };
                let narrowed = shown(own, &json!([[{"properties": {name: {"const": value}}}]])).schema;
                let case = format!("{} {name}", tool.name);
                assert_eq!(narrowed["properties"][name]["enum"], json!([value]), "{case}");
                if property["type"].is_string() {
                    assert_eq!(narrowed["properties"][name]["type"], property["type"], "{case}");
                }
                assert_eq!(narrowed["properties"][name].get("description"), property.get("description"), "{case}");
                assert!(narrowed["required"].as_array().unwrap().contains(&json!(name)), "{case}");
                for (other, schema) in own["properties"].as_object().unwrap() {
                    assert!(other == name || narrowed["properties"][other] == *schema, "{case} {other}");
                }
                limited += 1;
            }
        }
    }
    assert!(limited > 2_000, "{limited}");
}

#[test]
fn grants_over_real_tools_say_what_their_authors_mean() {
    let create = schema("mux", "POST", "/video/v1/assets");
    // Only signed playback, whichever argument says it.
    let signed = json!([[{"properties": {
        "playback_policies": {"items": {"enum": ["signed"]}, "minItems": 1},
        "advanced_playback_policies": false,
        "playback_policy": false,
    }}]]);
    let narrowed = shown(&create, &signed).schema;
    assert_eq!(narrowed["properties"]["playback_policies"]["items"]["enum"], json!(["signed"]));
    assert!(narrowed["properties"].get("advanced_playback_policies").is_none());
    let check = |call: Value| allowed(&signed).check(&call).map_err(|violation| violation.sentence);
    assert_eq!(check(json!({"playback_policies": ["signed"]})), Ok(()));
    assert_eq!(
        check(json!({"playback_policies": ["signed", "public"]})).unwrap_err(),
        "argument element 2 of `playback_policies` is `public`, but must be `signed`; change it and call again"
    );
    assert_eq!(
        check(json!({"playback_policies": ["signed"], "advanced_playback_policies": []})).unwrap_err(),
        "argument `advanced_playback_policies` may not be given; leave it out and call again"
    );

    let restriction = schema("mux", "POST", "/video/v1/playback-restrictions");
    let domains = json!([[{"properties": {"referrer": {"properties": {
        "allowed_domains": {"items": {"pattern": "^([a-z0-9-]+\\.)*example\\.com$"}, "minItems": 1, "maxItems": 3},
        "allow_no_referrer": {"const": false, "x-may-be-absent": true}}}}}]]);
    let narrowed = shown(&restriction, &domains).schema;
    let referrer = &narrowed["properties"]["referrer"];
    assert_eq!(referrer["properties"]["allow_no_referrer"]["enum"], json!([false]));
    assert_eq!(referrer["properties"]["allowed_domains"]["maxItems"], json!(3));
    for (list, valid) in [(json!(["a.example.com"]), true), (json!(["*"]), false), (json!([]), false)] {
        let call = json!({"referrer": {"allowed_domains": list}, "user_agent": {}});
        assert_eq!(is_valid(&narrowed, &call), valid, "{call}");
        assert_eq!(allowed(&domains).check(&call).is_ok(), valid, "{call}");
    }

    let merge = schema("github", "PUT", "/repos/{owner}/{repo}/pulls/{pull_number}/merge");
    let squash = json!([
        [{"properties": {"owner": {"const": "acme"}, "repo": {"enum": ["web", "api"]}}},
         {"properties": {"owner": {"const": "acme"}, "repo": {"pattern": "^sandbox-"}}}],
        [{"properties": {"merge_method": {"const": "squash"}}}],
    ]);
    let narrowed = shown(&merge, &squash).schema;
    let validator = validator(&narrowed);
    for (repo, method, valid) in
        [("web", "squash", true), ("sandbox-7", "squash", true), ("web", "merge", false), ("billing", "squash", false)]
    {
        let call = json!({"owner": "acme", "repo": repo, "pull_number": 7, "merge_method": method});
        assert_eq!(validator.is_valid(&call), valid, "{call}");
        assert_eq!(allowed(&squash).check(&call).is_ok(), valid, "{call}");
    }
    assert!(!validator.is_valid(&json!({"owner": "acme", "repo": "web", "pull_number": 7})), "the default is `merge`");

    let page = schema("notion", "POST", "/v1/pages");
    let below =
        json!([[{"properties": {"parent": {"properties": {"page_id": {"const": "p1"}, "database_id": false}}}}]]);
    let narrowed = shown(&page, &below).schema;
    for (parent, valid) in [
        (json!({"page_id": "p1"}), true),
        (json!({"page_id": "p2"}), false),
        (json!({"database_id": "d"}), false),
        (json!({"type": "workspace"}), false),
    ] {
        assert_eq!(is_valid(&narrowed, &json!({"parent": parent, "properties": {}})), valid, "{parent}");
    }
}

#[test]
fn schemas_of_mcp_servers_are_narrowed_through_their_definitions() {
    // As pydantic writes them.
    let deploy = json!({
        "type": "object", "title": "deployArguments", "required": ["request"],
        "properties": {
            "request": {"$ref": "#/$defs/DeployRequest"},
            "ticket": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": null, "title": "Ticket"},
        },
        "$defs": {
            "Environment": {"type": "string", "enum": ["development", "staging", "production"], "title": "Environment"},
            "DeployRequest": {"type": "object", "title": "DeployRequest", "required": ["service"], "properties": {
                "service": {"type": "string"},
                "environment": {"$ref": "#/$defs/Environment", "default": "production"},
                "replicas": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "default": null}}},
        },
    });
    let staging = json!([[{"properties": {
        "request": {"properties": {
            "environment": {"enum": ["staging"]},
            "replicas": {"maximum": 3, "x-may-be-absent": true}}},
        "ticket": {"pattern": "^OPS-\\d+$"}}}]]);
    assert_eq!(
        shown(&deploy, &staging).schema,
        json!({
            "type": "object", "title": "deployArguments", "required": ["request", "ticket"],
            "properties": {
                "request": {"type": "object", "title": "DeployRequest", "required": ["service", "environment"], "properties": {
                    "service": {"type": "string"},
                    "environment": {"type": "string", "enum": ["staging"], "title": "Environment"},
                    "replicas": {"type": "integer", "minimum": 1, "maximum": 3}}},
                "ticket": {"type": "string", "title": "Ticket", "pattern": "^OPS-\\d+$"},
            },
        })
    );
}
