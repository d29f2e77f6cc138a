//! Schemas of a document turned into JSON Schema 2020-12, as a client and a validator can use them.
//!
//! Tolerant of what real documents contain: OpenAPI 3.0's `nullable`, boolean `exclusiveMinimum`, `example` and `type: file`
//! are translated; keywords that are unknown or of the wrong shape are dropped; properties of the wrong direction
//! (`readOnly` in a request, `writeOnly` in an answer) are left away. Strict about size: depth, nodes, enumerations and
//! text are bounded, and a schema over a bound is an error of its operation alone. References become inlined copies or
//! entries of `$defs` as [`crate::refs`] decides; nothing is fetched.

mod definitions;
mod keywords;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use serde_json::{Map, Value, json};

use crate::document::Version;
use crate::refs::{RefError, Refs};
use definitions::{def_name, refuse_self_containing};
use keywords::{Patterns, annotations_of, is_true, limits, types, values};

/// The deepest nesting of a tool's schema.
pub const MAX_DEPTH: usize = 48;
/// The most nodes in a tool's schema, `$defs` included.
pub const MAX_NODES: usize = 20_000;
/// The most values of one `enum`.
pub const MAX_ENUM: usize = 2_000;
/// The most text (descriptions, enumerations, defaults) in a tool's schema, in bytes.
pub const MAX_TEXT_BYTES: usize = 512 << 10;

/// Why a schema cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A reference that cannot be used.
    #[error(transparent)]
    Ref(#[from] RefError),
    /// `$dynamicRef`, whose meaning depends on who asks.
    #[error("`$dynamicRef` is not supported: use `$ref`")]
    DynamicRef,
    /// Deeper than [`MAX_DEPTH`].
    #[error("the schema nests deeper than `{MAX_DEPTH}` levels")]
    TooDeep,
    /// More nodes than [`MAX_NODES`].
    #[error("the schema has more than `{MAX_NODES}` parts")]
    TooLarge,
    /// An enumeration with more values than [`MAX_ENUM`].
    #[error("an `enum` has `{0}` values, at most `{MAX_ENUM}` are taken")]
    EnumTooLong(usize),
    /// More text than [`MAX_TEXT_BYTES`].
    #[error("descriptions, enumerations and defaults of the schema have more than `{MAX_TEXT_BYTES}` bytes")]
    TooMuchText,
    /// A definition that contains itself without any property or item between.
    #[error("the definition `{0}` contains itself, so nothing can satisfy it")]
    SelfContaining(String),
}

/// The direction a schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    /// What is sent: `readOnly` properties are left away.
    Request,
    /// What is answered: `writeOnly` properties are left away.
    Response,
}

/// What a schema under construction has used so far.
#[derive(Debug, Default)]
pub(crate) struct Build {
    nodes: usize,
    text: usize,
    defs: BTreeSet<Rc<str>>,
}

impl Build {
    fn add(&mut self, nodes: usize, text: usize) -> Result<(), SchemaError> {
        self.nodes = self.nodes.saturating_add(nodes);
        self.text = self.text.saturating_add(text);
        if self.nodes > MAX_NODES {
            return Err(SchemaError::TooLarge);
        }
        if self.text > MAX_TEXT_BYTES {
            return Err(SchemaError::TooMuchText);
        }
        Ok(())
    }

    fn absorb(&mut self, part: &Converted) -> Result<(), SchemaError> {
        self.defs.extend(part.defs.iter().cloned());
        self.add(part.nodes, part.text)
    }
}

/// A reference target after conversion, shared by every tool that uses it.
struct Converted {
    schema: Value,
    nodes: usize,
    text: usize,
    defs: BTreeSet<Rc<str>>,
}

/// Converts the schemas of one document and remembers what it has converted.
pub(crate) struct Converter<'d> {
    pub(crate) refs: Refs<'d>,
    version: Version,
    patterns: Patterns,
    memo: HashMap<(Side, Rc<str>), Result<Rc<Converted>, SchemaError>>,
}

impl<'d> Converter<'d> {
    pub(crate) fn new(document: &'d Value, version: Version) -> Self {
        Self { refs: Refs::new(document), version, patterns: Patterns::default(), memo: HashMap::new() }
    }

    /// Converts one schema; what it needs in `$defs` is noted in `build` and added by [`Self::finish`].
    pub(crate) fn convert(&mut self, raw: &'d Value, side: Side, build: &mut Build) -> Result<Value, SchemaError> {
        self.schema(raw, side, build, 1)
    }

    /// Adds `$defs` to a finished root.
    pub(crate) fn finish(
        &mut self,
        root: &mut Map<String, Value>,
        side: Side,
        mut build: Build,
    ) -> Result<(), SchemaError> {
        let mut defs = BTreeMap::new();
        while let Some(reference) = build.defs.iter().find(|name| !defs.contains_key(*name)).cloned() {
            let part = self.target(&reference, side)?;
            build.absorb(&part)?;
            defs.insert(reference, part);
        }
        if defs.is_empty() {
            return Ok(());
        }
        refuse_self_containing(&defs)?;
        let entries: BTreeMap<_, _> = defs.iter().map(|(name, part)| (def_name(name), part.schema.clone())).collect();
        root.insert("$defs".to_owned(), Value::Object(entries.into_iter().collect()));
        Ok(())
    }

    /// The converted target of a reference.
    fn target(&mut self, reference: &Rc<str>, side: Side) -> Result<Rc<Converted>, SchemaError> {
        let key = (side, reference.clone());
        if let Some(known) = self.memo.get(&key) {
            return known.clone();
        }
        let converted = self.refs.lookup(reference).map_err(SchemaError::from).and_then(|raw| {
            let mut build = Build::default();
            let schema = self.schema(raw, side, &mut build, 1)?;
            Ok(Rc::new(Converted { schema, nodes: build.nodes, text: build.text, defs: build.defs }))
        });
        self.memo.insert(key, converted.clone());
        converted
    }

    fn schema(&mut self, raw: &'d Value, side: Side, build: &mut Build, depth: usize) -> Result<Value, SchemaError> {
        if depth > MAX_DEPTH {
            return Err(SchemaError::TooDeep);
        }
        build.add(1, 0)?;
        match raw {
            Value::Bool(any) => Ok(Value::Bool(*any)),
            Value::Object(members) if members.contains_key("$dynamicRef") => Err(SchemaError::DynamicRef),
            Value::Object(members) => match members.get("$ref").and_then(Value::as_str) {
                Some(reference) => self.reference(reference, members, side, build, depth),
                None => self.plain(members, side, build, depth).map(Value::Object),
            },
            Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => Ok(json!({})),
        }
    }

    /// A reference and its neighbours. OpenAPI 3.0 ignores neighbours; descriptions and `nullable` are honoured there too,
    /// because documents mean them.
    fn reference(
        &mut self,
        reference: &str,
        members: &'d Map<String, Value>,
        side: Side,
        build: &mut Build,
        depth: usize,
    ) -> Result<Value, SchemaError> {
        let name: Rc<str> = Rc::from(reference);
        let target = self.refs.target(reference)?;
        self.refs.deref(self.refs.lookup(reference)?)?;
        let mut base = if target.inline {
            if depth + target.height > MAX_DEPTH {
                return Err(SchemaError::TooDeep);
            }
            let part = self.target(&name, side)?;
            build.absorb(&part)?;
            into_object(part.schema.clone())
        } else {
            let pointer = format!("#/$defs/{}", def_name(reference));
            build.defs.insert(name);
            Map::from_iter([("$ref".to_owned(), Value::String(pointer))])
        };
        let mut beside = match self.version {
            Version::V31 => self.plain(members, side, build, depth)?,
            Version::V30 => annotations_of(members, build)?,
        };
        for key in ["title", "description", "default", "deprecated", "examples"] {
            if let Some(value) = beside.remove(key) {
                base.insert(key.to_owned(), value);
            }
        }
        if !beside.is_empty() {
            if beside.keys().any(|key| base.contains_key(key)) {
                beside.insert("allOf".to_owned(), json!([base]));
                base = beside;
            } else {
                base.extend(beside);
            }
        }
        if self.version == Version::V30 && is_true(members, "nullable") {
            base = nullable(base);
        }
        Ok(Value::Object(base))
    }

    fn plain(
        &mut self,
        raw: &'d Map<String, Value>,
        side: Side,
        build: &mut Build,
        depth: usize,
    ) -> Result<Map<String, Value>, SchemaError> {
        let mut out = Map::new();
        types(raw, &mut out);
        out.extend(annotations_of(raw, build)?);
        values(raw, &mut out, build)?;
        limits(raw, &mut out, &mut self.patterns);
        self.applicators(raw, &mut out, side, build, depth)?;
        if is_true(raw, "nullable") {
            out = nullable(out);
        }
        Ok(out)
    }

    fn applicators(
        &mut self,
        raw: &'d Map<String, Value>,
        out: &mut Map<String, Value>,
        side: Side,
        build: &mut Build,
        depth: usize,
    ) -> Result<(), SchemaError> {
        self.properties(raw, out, side, build, depth)?;
        for key in crate::refs::ONE {
            match raw.get(key) {
                Some(schema @ (Value::Object(_) | Value::Bool(_))) => {
                    out.insert(key.to_owned(), self.schema(schema, side, build, depth + 1)?);
                }
                // Draft 4's tuple form.
                Some(Value::Array(items)) if key == "items" && !items.is_empty() => {
                    out.insert("prefixItems".to_owned(), self.list(items, side, build, depth)?);
                }
                _ => {}
            }
        }
        for key in crate::refs::LIST {
            if let Some(Value::Array(schemas)) = raw.get(key)
                && !schemas.is_empty()
            {
                out.insert(key.to_owned(), self.list(schemas, side, build, depth)?);
            }
        }
        unwrap_single_all_of(out);
        for key in ["patternProperties", "dependentSchemas"] {
            let Some(Value::Object(schemas)) = raw.get(key) else { continue };
            let mut named = Map::new();
            for (name, schema) in schemas {
                if key == "patternProperties" && !self.patterns.usable(name) {
                    continue;
                }
                named.insert(name.clone(), self.schema(schema, side, build, depth + 1)?);
            }
            out.insert(key.to_owned(), Value::Object(named));
        }
        Ok(())
    }

    fn list(
        &mut self,
        schemas: &'d [Value],
        side: Side,
        build: &mut Build,
        depth: usize,
    ) -> Result<Value, SchemaError> {
        let converted: Result<Vec<_>, _> =
            schemas.iter().map(|schema| self.schema(schema, side, build, depth + 1)).collect();
        converted.map(Value::Array)
    }

    fn properties(
        &mut self,
        raw: &'d Map<String, Value>,
        out: &mut Map<String, Value>,
        side: Side,
        build: &mut Build,
        depth: usize,
    ) -> Result<(), SchemaError> {
        let mut dropped = BTreeSet::new();
        if let Some(Value::Object(properties)) = raw.get("properties") {
            let mut converted = Map::new();
            for (name, schema) in properties {
                if self.is_other_direction(schema, side) {
                    dropped.insert(name.as_str());
                } else {
                    converted.insert(name.clone(), self.schema(schema, side, build, depth + 1)?);
                }
            }
            out.insert("properties".to_owned(), Value::Object(converted));
        }
        if let Some(Value::Array(required)) = raw.get("required") {
            let names: BTreeSet<_> =
                required.iter().filter_map(Value::as_str).filter(|name| !dropped.contains(name)).collect();
            if !names.is_empty() {
                out.insert("required".to_owned(), json!(names));
            }
        }
        Ok(())
    }

    /// Whether a property belongs to the other direction only.
    pub(crate) fn is_other_direction(&self, schema: &'d Value, side: Side) -> bool {
        let flag = match side {
            Side::Request => "readOnly",
            Side::Response => "writeOnly",
        };
        let marked = |value: &Value| value.get(flag).and_then(Value::as_bool) == Some(true);
        marked(schema) || self.refs.deref(schema).is_ok_and(marked)
    }
}

/// Adds `null` to what a schema accepts.
fn nullable(mut schema: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Array(values)) = schema.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    let composed =
        ["$ref", "allOf", "anyOf", "oneOf", "not", "const", "if"].iter().any(|key| schema.contains_key(*key));
    if composed {
        let mut outer = Map::new();
        for key in ["title", "description", "default", "deprecated"] {
            if let Some(value) = schema.remove(key) {
                outer.insert(key.to_owned(), value);
            }
        }
        outer.insert("anyOf".to_owned(), json!([schema, {"type": "null"}]));
        return outer;
    }
    match schema.get_mut("type") {
        Some(kind @ Value::String(_)) if *kind != "null" => *kind = json!([kind.take(), "null"]),
        Some(Value::Array(kinds)) if !kinds.iter().any(|kind| kind == "null") => kinds.push(json!("null")),
        _ => {}
    }
    schema
}

/// `allOf` of one schema says no more than the schema itself, and clients read it worse.
fn unwrap_single_all_of(out: &mut Map<String, Value>) {
    const OUTER_WINS: [&str; 5] = ["title", "description", "default", "deprecated", "examples"];
    let Some(Value::Array(parts)) = out.get("allOf") else { return };
    let [Value::Object(only)] = parts.as_slice() else { return };
    if only.keys().any(|key| key != "allOf" && out.contains_key(key) && !OUTER_WINS.contains(&key.as_str())) {
        return;
    }
    let only = only.clone();
    out.remove("allOf");
    for (key, value) in only {
        if !out.contains_key(&key) {
            out.insert(key, value);
        }
    }
}

fn into_object(schema: Value) -> Map<String, Value> {
    match schema {
        Value::Object(members) => members,
        Value::Bool(false) => Map::from_iter([("not".to_owned(), json!({}))]),
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests;
