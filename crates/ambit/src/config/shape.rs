//! Holds a file to the schema: unknown keys, missing keys, kinds and single values. Every deviation is reported, each once.
//!
//! The result always has the schema's shape: what was missing or wrong is replaced by an empty value of the right kind, so
//! that the checks across entries still run over the rest. It is only ever used after all problems were counted.

use serde_json::{Map, Value as Json, json};

use super::{
    format,
    place::Place,
    problem::{Findings, shown},
    tree::{Node, Value},
};

/// The format of a JSON Schema that stands in a configuration.
const FRAGMENT: &str = "ambit-fragment";

/// Checks a tree against a schema and gives what the raw types are read from.
pub fn check(tree: &Node, schema: &Json, findings: &mut Findings) -> Json {
    Checker { root: schema, findings }.value(tree, schema, &Place::root())
}

struct Checker<'a> {
    root: &'a Json,
    findings: &'a mut Findings,
}

impl<'a> Checker<'a> {
    fn value(&mut self, node: &Node, schema: &'a Json, place: &Place) -> Json {
        let whole = self.resolve(schema);
        if whole.get("format").and_then(Json::as_str) == Some(FRAGMENT) {
            return self.fragment(node, place);
        }
        let schema = self.branch_for(node, whole);
        let Some(kind) = kind_of(schema) else { return Json::Null };
        match (&node.value, kind) {
            (Value::Table(members), "object") => self.table(members, schema, place),
            (Value::Array(items), "array") => self.array(items, schema, place),
            (Value::String(text) | Value::Datetime(text), "string") => self.string(text, schema, place),
            (Value::Boolean(value), "boolean") => json!(value),
            (Value::Integer(Some(value)), "integer") => self.integer(*value, schema, place),
            (found, expected) => {
                let alternatives = whole.get("anyOf").and_then(Json::as_array).into_iter().flatten();
                let kinds = alternatives.filter_map(|branch| kind_of(self.resolve(branch))).map(word_for);
                let kinds: Vec<_> = kinds.collect();
                let wanted = if kinds.is_empty() { word_for(expected).to_owned() } else { kinds.join(" or ") };
                self.findings.error(place, format!("is {}: write {wanted}", found.kind()));
                self.empty(schema)
            }
        }
    }

    fn table(&mut self, members: &[(String, Node)], schema: &'a Json, place: &Place) -> Json {
        let known = schema.get("properties").and_then(Json::as_object);
        let mut object = Map::new();
        for (key, node) in members {
            let at = place.key(key);
            if let Some(property) = known.and_then(|known| known.get(key)) {
                object.insert(key.clone(), self.value(node, property, &at));
            } else if let Some(entry @ Json::Object(_)) = schema.get("additionalProperties") {
                self.key(key, schema, &at);
                object.insert(key.clone(), self.value(node, entry, &at));
            } else {
                let names = known.into_iter().flat_map(Map::keys).map(String::as_str);
                self.findings.error(&at, unknown(key, names));
            }
        }
        for name in required(schema) {
            if object.contains_key(name) {
                continue;
            }
            let property = known.and_then(|known| known.get(name)).unwrap_or(&Json::Null);
            self.findings.error(&place.key(name), missing(name, property));
            object.insert(name.to_owned(), self.empty(self.resolve(property)));
        }
        Json::Object(object)
    }

    /// The rule of a key that the operator chooses.
    fn key(&mut self, key: &str, schema: &Json, place: &Place) {
        if let Some(rule) = schema.pointer("/propertyNames/format").and_then(Json::as_str)
            && let Err(message) = format::check(rule, key)
        {
            self.findings.error(place, format!("has a name that {message}"));
        }
    }

    fn array(&mut self, items: &[Node], schema: &'a Json, place: &Place) -> Json {
        if items.is_empty() && schema.get("minItems").is_some() {
            self.findings.error(place, "is empty: name at least one");
        }
        let each = schema.get("items").unwrap_or(&Json::Null);
        Json::Array(items.iter().enumerate().map(|(index, item)| self.value(item, each, &place.index(index))).collect())
    }

    /// A JSON Schema: a table, or a text that holds one. What it means is looked at where it is resolved.
    fn fragment(&mut self, node: &Node, place: &Place) -> Json {
        match &node.value {
            Value::Table(_) => node.to_json(),
            Value::String(text) => {
                if let Err(message) = format::check(FRAGMENT, text) {
                    self.findings.error(place, message);
                }
                serde_json::from_str(text).unwrap_or_else(|_| json!({}))
            }
            found => {
                self.findings.error(place, format!("is {}: write a table, or JSON in quotes", found.kind()));
                json!({})
            }
        }
    }

    fn integer(&mut self, value: i64, schema: &Json, place: &Place) -> Json {
        let bound = |name| schema.get(name).and_then(Json::as_i64);
        let (least, most) = (bound("minimum").unwrap_or(i64::MIN), bound("maximum").unwrap_or(i64::MAX));
        if (least..=most).contains(&value) {
            return json!(value);
        }
        self.findings.error(place, format!("is `{value}`: write a number from {least} to {most}"));
        json!(least)
    }

    fn string(&mut self, text: &str, schema: &'a Json, place: &Place) -> Json {
        let words = words_of(schema);
        if !words.is_empty() && !words.contains(&text) {
            let list: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            self.findings.error(place, format!("is {}: write {}", shown(text), list.join(", ")));
            return self.empty(schema);
        }
        if let Some(rule) = schema.get("format").and_then(Json::as_str)
            && let Err(message) = format::check(rule, text)
        {
            self.findings.error(place, message);
        }
        json!(text)
    }

    /// Follows a reference; siblings of the reference describe the use, not the value.
    fn resolve(&self, schema: &'a Json) -> &'a Json {
        match schema.get("$ref").and_then(Json::as_str).and_then(|reference| reference.strip_prefix('#')) {
            Some(pointer) => self.root.pointer(pointer).unwrap_or(schema),
            None => schema,
        }
    }

    /// Of alternatives, the one of the value's kind; the first if none is.
    fn branch_for(&self, node: &Node, schema: &'a Json) -> &'a Json {
        let Some(branches) = schema.get("anyOf").and_then(Json::as_array) else { return schema };
        let wanted = match node.value {
            Value::Table(_) => "object",
            Value::Array(_) => "array",
            Value::Boolean(_) => "boolean",
            Value::Integer(_) => "integer",
            Value::Float(_) => "number",
            Value::String(_) | Value::Datetime(_) => "string",
        };
        let mut resolved = branches.iter().map(|branch| self.resolve(branch));
        let first = resolved.clone().next().unwrap_or(schema);
        resolved.find(|branch| kind_of(branch) == Some(wanted)).unwrap_or(first)
    }

    /// An empty value of the schema's shape.
    fn empty(&self, schema: &'a Json) -> Json {
        let schema = self.resolve(schema);
        if let Some(first) = schema.get("anyOf").and_then(Json::as_array).and_then(|all| all.first()) {
            return self.empty(first);
        }
        match kind_of(schema) {
            Some("object") => {
                let known = schema.get("properties").and_then(Json::as_object);
                let members = required(schema)
                    .filter_map(|name| Some((name.to_owned(), self.empty(known.and_then(|known| known.get(name))?))));
                Json::Object(members.collect())
            }
            Some("array") => json!([]),
            Some("boolean") => json!(false),
            Some("integer") => json!(0),
            _ => json!(words_of(schema).first().copied().unwrap_or("")),
        }
    }
}

fn kind_of(schema: &Json) -> Option<&str> {
    let kind = schema.get("type").and_then(Json::as_str);
    kind.or_else(|| (!words_of(schema).is_empty()).then_some("string"))
}

/// The words of an enumeration, documented ones (`oneOf` of constants) and plain ones.
fn words_of(schema: &Json) -> Vec<&str> {
    let mut words: Vec<&str> = Vec::new();
    words.extend(schema.get("enum").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str));
    words.extend(schema.get("const").and_then(Json::as_str));
    for branch in schema.get("oneOf").and_then(Json::as_array).into_iter().flatten() {
        words.extend(words_of(branch));
    }
    words
}

fn required(schema: &Json) -> impl Iterator<Item = &str> {
    schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

fn word_for(kind: &str) -> &'static str {
    match kind {
        "object" => "a table",
        "array" => "an array",
        "boolean" => "`true` or `false`",
        "integer" => "a whole number",
        _ => "a string in quotes",
    }
}

/// What is missing, with the first sentence of its documentation.
fn missing(name: &str, property: &Json) -> String {
    let about = property.get("description").and_then(Json::as_str).unwrap_or_default();
    let sentence = about.split_once(". ").map_or(about, |(first, _)| first).trim_end_matches('.').replace('\n', " ");
    let mut chars = sentence.chars();
    let sentence: String = chars.next().into_iter().flat_map(char::to_lowercase).chain(chars).collect();
    format!("is missing: add `{name} = …` ({sentence})")
}

fn unknown<'a>(key: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    if key == "reveal" {
        return "is not a key: configuration cannot hold a reveal; make one for at most 8 hours with `ambit grant --reveal`"
            .to_owned();
    }
    let near = names
        .clone()
        .map(|name| (distance(key, name), name))
        .min()
        .filter(|(far, name)| *far <= name.len().div_ceil(3));
    if let Some((_, name)) = near {
        return format!("is not a key: did you mean `{name}`?");
    }
    let list: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    format!("is not a key: remove it, or use one of {}", list.join(", "))
}

/// How many letters two names differ by (Levenshtein).
pub(super) fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().take(64).enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let replaced = row.get(j).copied().unwrap_or(0) + usize::from(a != *b);
            let removed = row.get(j + 1).copied().unwrap_or(0) + 1;
            let added = next.get(j).copied().unwrap_or(0) + 1;
            next.push(replaced.min(removed).min(added));
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema;

    #[test]
    fn distances_count_letters() {
        assert_eq!(distance("ownr", "owner"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn every_format_of_the_schema_has_a_rule() {
        fn formats<'a>(value: &'a Json, found: &mut Vec<&'a str>) {
            match value {
                Json::Object(members) => {
                    // A number's bounds say all there is to say.
                    let is_number = members.get("type") == Some(&json!("integer"));
                    found.extend(members.get("format").and_then(Json::as_str).filter(|_| !is_number));
                    members.values().for_each(|member| formats(member, found));
                }
                Json::Array(items) => items.iter().for_each(|item| formats(item, found)),
                _ => {}
            }
        }
        let schema = schema::document();
        let mut found = Vec::new();
        formats(&schema, &mut found);
        assert!(found.len() > 50, "{}", found.len());
        for format in found {
            let message = format::check(format, "\u{1}").unwrap_err();
            assert!(!message.contains("no rule"), "{format}");
        }
    }

    #[test]
    fn every_text_of_the_schema_has_a_format_or_words() {
        fn texts(value: &Json, place: &str, bare: &mut Vec<String>) {
            match value {
                Json::Object(members) => {
                    let is_text = members.get("type") == Some(&json!("string"));
                    if is_text && !["format", "enum", "const"].iter().any(|key| members.contains_key(*key)) {
                        bare.push(place.to_owned());
                    }
                    members.iter().for_each(|(key, member)| texts(member, &format!("{place}/{key}"), bare));
                }
                Json::Array(items) => items.iter().for_each(|item| texts(item, place, bare)),
                _ => {}
            }
        }
        let mut bare = Vec::new();
        texts(&schema::document(), "", &mut bare);
        assert_eq!(bare, Vec::<String>::new());
    }
}
