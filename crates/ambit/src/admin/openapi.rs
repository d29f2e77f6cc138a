//! The description of the admin API: OpenAPI 3.1, made from the table of routes and the types that travel. There is no second
//! description; the checked-in copy is held to this one.

use ambit_identity::admin;
use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    problem::Problem,
    routes::{ROUTES, Route, Takes},
};
use crate::config::schema::without_null;

/// The document as text.
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

/// The document.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Problem>();
    let mut paths = Map::new();
    for route in &ROUTES {
        let operation = operation(route, &mut generator);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.to_ascii_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "The admin API of Ambit",
            "version": "1",
            "description": "The acts of operators, for persons who have a role. Each is recorded with their name.",
        },
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": {
                "Problem": {
                    "description": "It was not done: what is wrong, where, and what to do (RFC 9457)",
                    "content": { "application/problem+json": { "schema": problem } },
                },
            },
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": format!(
                        "A token of `ambit login --admin`, of {} minutes. Tokens for MCP endpoints are refused.",
                        admin::TOKEN_LIFE_MS / 60_000
                    ),
                },
            },
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.purpose,
        "description": format!("For {}.", route.who),
        "responses": {
            route.status().to_string(): {
                "description": "Done",
                "content": { "application/json": { "schema": (route.gives.schema)(generator) } },
            },
            "default": { "$ref": "#/components/responses/Problem" },
        },
    });
    let mut parameters = Vec::new();
    if route.path.contains("{id}") {
        parameters.push(json!({ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }));
    }
    let Some(members) = operation.as_object_mut() else { return operation };
    match route.takes {
        Takes::Nothing => {}
        Takes::Body(shape) => {
            let content = json!({ "application/json": { "schema": (shape.schema)(generator) } });
            members.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
        }
        Takes::Query(shape) => parameters.extend(in_query((shape.schema)(generator).as_value(), generator)),
    }
    if !parameters.is_empty() {
        members.insert("parameters".to_owned(), parameters.into());
    }
    if route.is_public() {
        members.insert("security".to_owned(), json!([]));
    }
    operation
}

/// Each member of a type as a parameter of its own.
fn in_query(schema: &Value, generator: &SchemaGenerator) -> Vec<Value> {
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
    let Some(schema) = name.and_then(|name| generator.definitions().get(name)) else { return Vec::new() };
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let members = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let parameter = |(name, schema): (&String, &Value)| {
        let mut schema = Schema::try_from(schema.clone()).unwrap_or_default();
        without_null(&mut schema);
        let description = schema.remove("description");
        json!({
            "name": name,
            "in": "query",
            "required": required.contains(&name.as_str()),
            "description": description,
            "schema": schema,
        })
    };
    members.map(parameter).collect()
}

fn operation_id(route: &Route) -> String {
    let word = format!("{:?}", route.operation);
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| first.to_lowercase().collect::<String>() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the checked-in copy lies.
    const COPY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/admin-api.json");

    #[test]
    fn the_checked_in_description_is_the_generated_one() {
        let checked_in = std::fs::read_to_string(COPY).unwrap_or_default();
        assert!(
            checked_in == text(),
            "docs/admin-api.json is not what the code says: run `ambit schema --admin-api > docs/admin-api.json`"
        );
    }

    #[test]
    fn every_reference_leads_somewhere_and_nothing_is_unnamed() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(members) => {
                    found.extend(members.get("$ref").and_then(Value::as_str));
                    members.values().for_each(|member| references(member, found));
                }
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                _ => {}
            }
        }
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > ROUTES.len());
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let mut ids: Vec<_> = ROUTES.iter().map(operation_id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), ROUTES.len());
    }
}
