//! Entries of `$defs`: their names, and the refusal of those that nothing can satisfy.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ambit_model::Digest;
use serde_json::{Map, Value};

use super::{Converted, SchemaError};

/// The name of a reference target in `$defs`: its last pointer token where that is unmistakable, else with a hash.
pub(super) fn def_name(reference: &str) -> String {
    if let Some(name) = reference.strip_prefix("#/components/schemas/")
        && (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && !name.contains("__")
    {
        return name.to_owned();
    }
    let last = reference.rsplit('/').next().unwrap_or_default();
    let stem: String = last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(40).collect();
    // The two underscores keep this form apart from every name above.
    format!("{stem}__{}", Digest::of(reference.as_bytes()).short())
}

/// Refuses definitions that apply themselves to the same value, on which a validator would never end.
pub(super) fn refuse_self_containing(defs: &BTreeMap<Rc<str>, Rc<Converted>>) -> Result<(), SchemaError> {
    let mut applied: BTreeMap<String, BTreeSet<String>> =
        defs.iter().map(|(name, part)| (def_name(name), in_place_refs(&part.schema))).collect();
    loop {
        let ends: Vec<String> = applied
            .iter()
            .filter(|(_, to)| !to.iter().any(|name| applied.contains_key(name)))
            .map(|(name, _)| name.clone())
            .collect();
        if ends.is_empty() {
            break;
        }
        for name in ends {
            applied.remove(&name);
        }
    }
    match applied.keys().next() {
        Some(name) => Err(SchemaError::SelfContaining(name.clone())),
        None => Ok(()),
    }
}

/// References that a schema applies to the same value it is applied to.
fn in_place_refs(schema: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![schema];
    while let Some(value) = open.pop() {
        if let Some(name) = value.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix("#/$defs/")) {
            found.insert(name.to_owned());
        }
        let lists = ["allOf", "anyOf", "oneOf"].iter().filter_map(|key| value.get(*key)?.as_array()).flatten();
        let ones = ["not", "if", "then", "else"].iter().filter_map(|key| value.get(*key));
        let named = value.get("dependentSchemas").and_then(Value::as_object).into_iter().flat_map(Map::values);
        open.extend(lists.chain(ones).chain(named));
    }
    found
}
