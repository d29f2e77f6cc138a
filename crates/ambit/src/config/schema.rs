//! The JSON Schema of `ambit.toml`, generated from [`super::raw`]. It is what editors complete against, and what
//! [`super::shape`] holds every file to; there is no second description of the file.

use schemars::{Schema, generate::SchemaSettings, transform::transform_subschemas};
use serde_json::{Value, json};

use super::raw::File;

/// The schema.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12();
    let settings = settings.with_transform(without_null as fn(&mut Schema)).with_transform(bounded as fn(&mut Schema));
    let mut schema = settings.into_generator().into_root_schema_for::<File>();
    schema.insert("title".to_owned(), json!("ambit.toml"));
    schema.to_value()
}

/// The schema as the file in `docs/` holds it.
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

/// TOML has no null: an optional value is one that may be absent.
pub(crate) fn without_null(schema: &mut Schema) {
    if let Some(members) = schema.as_object_mut() {
        if let Some(Value::Array(kinds)) = members.get_mut("type") {
            kinds.retain(|kind| kind != "null");
            if let [only] = kinds.as_slice() {
                let only = only.clone();
                members.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(mut branches)) = members.remove("anyOf") {
            branches.retain(|branch| branch != &json!({"type": "null"}));
            match branches.pop() {
                Some(Value::Object(only)) if branches.is_empty() => {
                    for (key, value) in only {
                        members.entry(key).or_insert(value);
                    }
                }
                Some(last) => {
                    branches.push(last);
                    members.insert("anyOf".to_owned(), Value::Array(branches));
                }
                None => {}
            }
        }
        if members.get("default") == Some(&Value::Null) {
            members.remove("default");
        }
    }
    transform_subschemas(&mut (without_null as fn(&mut Schema)), schema);
}

/// The width of a number in this program is said as the bound it means.
fn bounded(schema: &mut Schema) {
    if let Some(members) = schema.as_object_mut()
        && members.get("format") == Some(&json!("uint32"))
    {
        members.remove("format");
        members.entry("maximum").or_insert(json!(u32::MAX));
    }
    transform_subschemas(&mut (bounded as fn(&mut Schema)), schema);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the checked-in copy lies.
    const COPY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ambit.schema.json");

    #[test]
    fn the_checked_in_schema_is_the_generated_one() {
        let generated = text();
        let checked_in = std::fs::read_to_string(COPY).unwrap_or_default();
        assert!(
            checked_in == generated,
            "docs/ambit.schema.json is not what the code says: run `ambit schema > docs/ambit.schema.json`"
        );
    }

    /// The reference for people.
    const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");

    #[test]
    fn every_key_is_in_the_reference() {
        fn keys<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(members) => {
                    let named = members.get("properties").and_then(Value::as_object);
                    found.extend(named.into_iter().flat_map(serde_json::Map::keys).map(String::as_str));
                    members.values().for_each(|member| keys(member, found));
                }
                Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
                _ => {}
            }
        }
        let reference = std::fs::read_to_string(REFERENCE).unwrap();
        let words: Vec<&str> = reference.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
        let schema = document();
        let mut all = Vec::new();
        keys(&schema, &mut all);
        assert!(all.len() > 40, "{}", all.len());
        all.retain(|key| !words.contains(key));
        assert!(all.is_empty(), "docs/configuration.md does not have {all:?}");
    }

    #[test]
    fn nothing_in_it_may_be_null() {
        assert!(!text().contains("\"null\""));
    }
}
