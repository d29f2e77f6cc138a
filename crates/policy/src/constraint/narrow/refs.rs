//! References within a schema: where they lead, what may be copied, and how they go on leading there when the root around
//! them has changed. Nothing outside the schema is ever looked at.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The largest copy of a definition, in schemas.
const MAX_COPY: usize = 2_000;
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];
/// Keywords whose place in the document has a meaning: a copy would be another thing.
const PLACED: [&str; 6] = ["$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef"];

/// What a reference of this document leads to.
pub(super) fn resolve<'s>(root: &'s Map<String, Value>, reference: &str) -> Option<&'s Value> {
    let mut tokens = reference.strip_prefix("#/")?.split('/').map(unescaped);
    let mut current = root.get(&tokens.next()??)?;
    for token in tokens {
        current = match current {
            Value::Object(members) if !members.contains_key("$id") => members.get(&token?)?,
            Value::Array(items) => items.get(token?.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(current)
}

fn unescaped(token: &str) -> Option<String> {
    (!token.contains('%')).then(|| token.replace("~1", "/").replace("~0", "~"))
}

/// How many schemas a copy would hold. `None` where it cannot be one.
pub(super) fn size_of_copy(target: &Value) -> Option<usize> {
    let mut size = 0;
    let mut can_be = true;
    each(target, &mut |schema| {
        size += 1;
        can_be &= !PLACED.iter().any(|keyword| schema.contains_key(*keyword));
    });
    (can_be && size <= MAX_COPY).then_some(size)
}

/// Whether parts outside the definitions have names of their own, so that a change of them would change what refers to them.
pub(super) fn names_its_parts(root: &Map<String, Value>) -> bool {
    let mut found = ["$anchor", "$dynamicAnchor", "$recursiveAnchor"].iter().any(|keyword| root.contains_key(*keyword));
    for (key, value) in root.iter().filter(|(key, _)| !DEFINITIONS.contains(&key.as_str())) {
        each_below(key, value, &mut |schema| {
            found |= PLACED.iter().any(|keyword| schema.contains_key(*keyword));
        });
    }
    found
}

/// Finishes a changed root: references into its old form get a copy of that to lead to, and definitions that nothing refers
/// to any more are left out.
pub(super) fn settle(mut shown: Map<String, Value>, root: &Map<String, Value>) -> Value {
    let mut used = References::default();
    collect(&shown, &mut used);
    if used.elsewhere {
        let name = fresh(&shown);
        let old: Map<String, Value> = root
            .iter()
            .filter(|(key, _)| !DEFINITIONS.contains(&key.as_str()) && *key != "$id" && *key != "$schema")
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        match shown.get_mut("$defs") {
            Some(Value::Object(definitions)) => {
                definitions.insert(name.clone(), Value::Object(old));
            }
            _ => {
                shown.insert("$defs".to_owned(), Value::Object(Map::from_iter([(name.clone(), Value::Object(old))])));
            }
        }
        let mut whole = Value::Object(shown);
        redirect(&mut whole, &name);
        let Value::Object(redirected) = whole else { return whole };
        shown = redirected;
        used = References::default();
        collect(&shown, &mut used);
    }
    if !used.by_name {
        drop_unused(&mut shown, used.definitions);
    }
    Value::Object(shown)
}

#[derive(Default)]
struct References {
    /// `$defs/Name`, as it stands in the reference.
    definitions: BTreeSet<String>,
    /// Some lead to the root or to a part of it that is no definition.
    elsewhere: bool,
    /// Some lead to an anchor.
    by_name: bool,
}

impl References {
    fn note(&mut self, reference: &str) {
        let Some(pointer) = reference.strip_prefix('#') else {
            self.by_name = true;
            return;
        };
        let mut tokens = pointer.split('/');
        match (tokens.next(), tokens.next(), tokens.next()) {
            (Some(""), Some(group), Some(name)) if DEFINITIONS.contains(&group) => {
                self.definitions.insert(format!("{group}/{name}"));
            }
            (Some(""), _, _) => self.elsewhere = true,
            _ => self.by_name = true,
        }
    }
}

/// Notes the references of the root and of every definition that is reached.
fn collect(shown: &Map<String, Value>, used: &mut References) {
    let note = |schema: &Map<String, Value>, used: &mut References| {
        for keyword in ["$ref", "$dynamicRef", "$recursiveRef"] {
            if let Some(reference) = schema.get(keyword).and_then(Value::as_str) {
                used.note(reference);
            }
        }
    };
    for (key, value) in shown.iter().filter(|(key, _)| !DEFINITIONS.contains(&key.as_str())) {
        each_below(key, value, &mut |schema| note(schema, used));
    }
    let mut done: BTreeSet<String> = BTreeSet::new();
    while let Some(next) = used.definitions.iter().find(|name| !done.contains(*name)).cloned() {
        if let Some(target) = definition(shown, &next) {
            each(target, &mut |schema| note(schema, used));
        }
        done.insert(next);
    }
}

fn definition<'s>(shown: &'s Map<String, Value>, name: &str) -> Option<&'s Value> {
    let (group, name) = name.split_once('/')?;
    shown.get(group)?.as_object()?.get(&unescaped(name)?)
}

fn drop_unused(shown: &mut Map<String, Value>, used: BTreeSet<String>) {
    // A name that cannot be read could be any.
    if used.iter().any(|name| name.contains('%')) {
        return;
    }
    let used: BTreeSet<String> = used.into_iter().filter_map(|name| unescaped(&name)).collect();
    for group in DEFINITIONS {
        let Some(Value::Object(definitions)) = shown.get_mut(group) else { continue };
        definitions.retain(|name, _| used.contains(&format!("{group}/{name}")));
        if definitions.is_empty() {
            *shown = std::mem::take(shown).into_iter().filter(|(key, _)| key != group).collect();
        }
    }
}

fn fresh(shown: &Map<String, Value>) -> String {
    let taken = |name: &str| shown.get("$defs").and_then(|definitions| definitions.get(name)).is_some();
    let mut name = "tool".to_owned();
    while taken(&name) {
        name.push('_');
    }
    name
}

/// Turns references to the root, or to parts of it that are no definitions, to the copy of its old form.
fn redirect(schema: &mut Value, name: &str) {
    let Value::Object(members) = schema else { return };
    if let Some(Value::String(reference)) = members.get_mut("$ref") {
        let definition = DEFINITIONS.iter().any(|group| reference.starts_with(&format!("#/{group}/")));
        if let Some(rest) =
            reference.strip_prefix('#').filter(|rest| !definition && (rest.is_empty() || rest.starts_with('/')))
        {
            *reference = format!("#/$defs/{name}{rest}");
        }
    }
    for (keyword, argument) in members.iter_mut() {
        match (shape(keyword), argument) {
            (Shape::One, one @ Value::Object(_)) => redirect(one, name),
            (Shape::Many | Shape::One, Value::Array(many)) => many.iter_mut().for_each(|one| redirect(one, name)),
            (Shape::Named, Value::Object(named)) => named.values_mut().for_each(|one| redirect(one, name)),
            _ => {}
        }
    }
}

/// How a keyword holds schemas.
enum Shape {
    None,
    One,
    Many,
    Named,
}

fn shape(keyword: &str) -> Shape {
    match keyword {
        "items"
        | "additionalItems"
        | "additionalProperties"
        | "not"
        | "if"
        | "then"
        | "else"
        | "contains"
        | "propertyNames"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "contentSchema" => Shape::One,
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Shape::Many,
        "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" | "dependencies" => {
            Shape::Named
        }
        _ => Shape::None,
    }
}

/// Visits a schema and all schemas in it.
fn each(schema: &Value, visit: &mut dyn FnMut(&Map<String, Value>)) {
    let Value::Object(members) = schema else { return };
    visit(members);
    for (keyword, argument) in members {
        each_below(keyword, argument, visit);
    }
}

fn each_below(keyword: &str, argument: &Value, visit: &mut dyn FnMut(&Map<String, Value>)) {
    match (shape(keyword), argument) {
        (Shape::One, one @ Value::Object(_)) => each(one, visit),
        (Shape::Many | Shape::One, Value::Array(many)) => many.iter().for_each(|one| each(one, visit)),
        (Shape::Named, Value::Object(named)) => named.values().for_each(|one| each(one, visit)),
        _ => {}
    }
}
