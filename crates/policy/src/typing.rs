//! The types of a tool's arguments, as far as rules can read them: what the `inputSchema` says plainly, and *opaque* for the
//! rest. One odd property never spoils another one, and one odd tool never spoils its server.

use std::collections::{BTreeMap, BTreeSet};

use ambit_model::canonical;
use cedar_policy::{EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use serde_json::{Map, Value, json};

use crate::reads::Reads;

/// The deepest nesting that is typed; below, everything is opaque. Recursive schemas end here.
const MAX_DEPTH: usize = 8;

/// The type of an argument.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum ArgumentType {
    /// `String`
    Text,
    /// `Long`
    Whole,
    /// `Bool`
    Truth,
    /// `Set`
    List(Box<ArgumentType>),
    /// A record.
    Record(Record),
    /// Rules can ask whether it is there, and nothing else.
    Opaque,
}

/// The members of an object.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Record {
    /// By name: the type, and whether it is always there.
    members: BTreeMap<String, (ArgumentType, bool)>,
    /// Whether members may come that are not declared.
    open: bool,
    /// Names that rules read and the schema does not declare. A call that brings one is not judged as if it were absent.
    undeclared: BTreeSet<String>,
}

/// Arguments that rules read and cannot judge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Unjudgeable {
    /// The argument, as a JSON pointer.
    pub(crate) at: String,
}

impl ArgumentType {
    /// The type of the arguments of a tool with this `inputSchema`.
    pub(crate) fn of(schema: &Value) -> Self {
        let Some(members) = schema.as_object() else { return Self::Opaque };
        if members.contains_key("properties") || !members.contains_key("$ref") {
            return Reader { root: schema }.object(members, 0);
        }
        match (Reader { root: schema }).read(schema, 0) {
            record @ Self::Record(_) => record,
            _ => Self::Opaque,
        }
    }

    /// What is left of it when only this is read.
    pub(crate) fn pruned(&self, reads: &Reads, at: &[&str]) -> Self {
        let Self::Record(record) = self else { return self.clone() };
        if reads.reads_whole(at) {
            // An open object cannot be compared as a whole: what it may hold is not known.
            return if record.open { Self::Opaque } else { self.clone() };
        }
        let mut left = Record { open: record.open, ..Record::default() };
        for name in reads.below(at) {
            let path: Vec<&str> = at.iter().copied().chain([name]).collect();
            match record.members.get(name) {
                Some((kind, required)) => {
                    left.members.insert(name.to_owned(), (kind.pruned(reads, &path), *required));
                }
                None if record.open => {
                    left.undeclared.insert(name.to_owned());
                }
                None => {}
            }
        }
        Self::Record(left)
    }

    /// An opaque part that is read for more than its being there, as a JSON pointer.
    pub(crate) fn opaque_read(&self, reads: &Reads, at: &[&str]) -> Option<String> {
        match self {
            Self::Opaque if at.len() > 1 && !reads.reads_into(at) => None,
            Self::Opaque => Some(pointer(at)),
            Self::Record(record) => record.members.iter().find_map(|(name, (kind, _))| {
                let path: Vec<&str> = at.iter().copied().chain([name.as_str()]).collect();
                if reads.touches(&path) { kind.opaque_read(reads, &path) } else { None }
            }),
            Self::List(_) | Self::Text | Self::Whole | Self::Truth => None,
        }
    }

    /// The type in Cedar's JSON form of schemas.
    pub(crate) fn schema(&self) -> Value {
        match self {
            Self::Text => json!({ "type": "String" }),
            Self::Whole => json!({ "type": "Long" }),
            Self::Truth => json!({ "type": "Boolean" }),
            Self::List(items) => json!({ "type": "Set", "element": items.schema() }),
            Self::Record(record) => {
                let member = |(name, (kind, required)): (&String, &(Self, bool))| {
                    let mut schema = kind.schema();
                    if let Some(schema) = schema.as_object_mut() {
                        schema.insert("required".to_owned(), (*required).into());
                    }
                    (name.clone(), schema)
                };
                json!({ "type": "Record", "attributes": record.members.iter().map(member).collect::<Map<_, _>>() })
            }
            Self::Opaque => json!({ "type": "Entity", "name": "Opaque" }),
        }
    }

    /// A value of this type, as rules read it.
    ///
    /// # Errors
    /// [`Unjudgeable`] for a value that is not of the type, or an argument the schema does not declare.
    pub(crate) fn value(&self, given: &Value, opaque: &EntityTypeName) -> Result<RestrictedExpression, Unjudgeable> {
        self.value_at(given, opaque, "")
    }

    fn value_at(&self, given: &Value, opaque: &EntityTypeName, at: &str) -> Result<RestrictedExpression, Unjudgeable> {
        let wrong = || Unjudgeable { at: at.to_owned() };
        match self {
            Self::Text => given.as_str().map(|text| RestrictedExpression::new_string(text.to_owned())),
            Self::Whole => whole(given).map(RestrictedExpression::new_long),
            Self::Truth => given.as_bool().map(RestrictedExpression::new_bool),
            Self::List(items) => {
                let given = given.as_array().ok_or_else(wrong)?.iter().enumerate();
                let items = given.map(|(number, item)| items.value_at(item, opaque, &format!("{at}/{number}")));
                Some(RestrictedExpression::new_set(items.collect::<Result<Vec<_>, _>>()?))
            }
            Self::Record(record) => {
                let given = given.as_object().ok_or_else(wrong)?;
                if let Some(name) = record.undeclared.iter().find(|name| given.contains_key(*name)) {
                    return Err(Unjudgeable { at: format!("{at}/{name}") });
                }
                let mut members = Vec::with_capacity(record.members.len());
                for (name, (kind, required)) in &record.members {
                    match given.get(name) {
                        Some(value) => {
                            members.push((name.clone(), kind.value_at(value, opaque, &format!("{at}/{name}"))?));
                        }
                        None if *required => return Err(Unjudgeable { at: format!("{at}/{name}") }),
                        None => {}
                    }
                }
                RestrictedExpression::new_record(members).ok()
            }
            Self::Opaque => {
                // Two opaque values are equal when their canonical texts are.
                let text = String::from_utf8_lossy(&canonical::to_vec(given)).into_owned();
                let uid = EntityUid::from_type_name_and_id(opaque.clone(), EntityId::new(text));
                Some(RestrictedExpression::new_entity_uid(uid))
            }
        }
        .ok_or_else(wrong)
    }

    /// Where it ends, as JSON pointers: what a value of it was cut down to. With a `?` where only its being there was read.
    pub(crate) fn ends(&self) -> Vec<String> {
        let mut ends = Vec::new();
        self.ends_at("", &mut ends);
        ends
    }

    fn ends_at(&self, at: &str, ends: &mut Vec<String>) {
        match self {
            Self::Record(record) => {
                for (name, (kind, _)) in &record.members {
                    let below = format!("{at}/{name}");
                    match kind {
                        // Asked only whether it is there.
                        Self::Record(inner) if inner.members.is_empty() && inner.undeclared.is_empty() => {
                            ends.push(format!("{below}?"));
                        }
                        _ => kind.ends_at(&below, ends),
                    }
                }
                ends.extend(record.undeclared.iter().map(|name| format!("{at}/{name}")));
            }
            Self::Text | Self::Whole | Self::Truth | Self::List(_) | Self::Opaque => ends.push(at.to_owned()),
        }
    }

    /// Whether some arguments are watched for that the schema does not declare.
    pub(crate) fn watches(&self) -> bool {
        match self {
            Self::Record(record) => {
                !record.undeclared.is_empty() || record.members.values().any(|(kind, _)| kind.watches())
            }
            Self::List(_) | Self::Text | Self::Whole | Self::Truth | Self::Opaque => false,
        }
    }

    /// The part of some arguments that rules read, which is what a replay needs.
    pub(crate) fn kept(&self, given: &Value) -> Value {
        match (self, given) {
            (Self::Record(record), Value::Object(given)) => {
                let declared =
                    record.members.iter().filter_map(|(name, (kind, _))| Some((name, kind.kept(given.get(name)?))));
                let undeclared = record.undeclared.iter().filter_map(|name| Some((name, given.get(name)?.clone())));
                Value::Object(declared.chain(undeclared).map(|(name, value)| (name.clone(), value)).collect())
            }
            _ => given.clone(),
        }
    }
}

/// A JSON pointer into the arguments, of a path that starts with `arguments`.
fn pointer(at: &[&str]) -> String {
    at.iter().skip(1).fold(String::new(), |text, name| format!("{text}/{name}"))
}

/// An integer by value, as JSON Schema reads it: `1.0` is one.
fn whole(given: &Value) -> Option<i64> {
    if let Some(whole) = given.as_i64() {
        return Some(whole);
    }
    let number = given.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0)?;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and within 2^53")]
    Some(number as i64)
}

/// Whether an object may have members its schema does not declare in `properties`.
fn is_open(schema: &Map<String, Value>) -> bool {
    schema.get("additionalProperties") != Some(&Value::Bool(false)) || schema.contains_key("patternProperties")
}

struct Reader<'a> {
    root: &'a Value,
}

impl Reader<'_> {
    fn read(&self, schema: &Value, depth: usize) -> ArgumentType {
        let Some(schema) = schema.as_object().filter(|_| depth <= MAX_DEPTH) else { return ArgumentType::Opaque };
        if let Some(reference) = schema.get("$ref") {
            let target = reference.as_str().and_then(|text| text.strip_prefix('#'));
            return match target.and_then(|target| self.root.pointer(target)) {
                Some(target) => self.read(target, depth + 1),
                None => ArgumentType::Opaque,
            };
        }
        if schema.get("nullable") == Some(&Value::Bool(true)) {
            return ArgumentType::Opaque;
        }
        // Keywords beside a type only restrict it further, so a plain type stays what it is.
        match schema.get("type").and_then(Value::as_str) {
            Some("string") => ArgumentType::Text,
            Some("integer") => ArgumentType::Whole,
            Some("boolean") => ArgumentType::Truth,
            Some("array") => match schema.get("items") {
                Some(items) if !schema.contains_key("prefixItems") => match self.read(items, depth + 1) {
                    ArgumentType::Opaque => ArgumentType::Opaque,
                    items => ArgumentType::List(Box::new(items)),
                },
                Some(_) | None => ArgumentType::Opaque,
            },
            Some("object") if schema.contains_key("properties") => self.object(schema, depth),
            Some(_) => ArgumentType::Opaque,
            None if schema.contains_key("type") => ArgumentType::Opaque,
            None => Self::by_values(schema),
        }
    }

    fn object(&self, schema: &Map<String, Value>, depth: usize) -> ArgumentType {
        let required: BTreeSet<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let member = |(name, schema): (&String, &Value)| {
            (name.clone(), (self.read(schema, depth + 1), required.contains(name.as_str())))
        };
        let properties = schema.get("properties").and_then(Value::as_object);
        let members = properties.into_iter().flatten().map(member).collect();
        ArgumentType::Record(Record { members, open: is_open(schema), undeclared: BTreeSet::new() })
    }

    /// Without a `type`: what the listed values have in common.
    fn by_values(schema: &Map<String, Value>) -> ArgumentType {
        let values: Vec<&Value> = match (schema.get("enum"), schema.get("const")) {
            (Some(Value::Array(values)), None) => values.iter().collect(),
            (None, Some(value)) => vec![value],
            _ => return ArgumentType::Opaque,
        };
        if values.is_empty() {
            ArgumentType::Opaque
        } else if values.iter().all(|value| value.is_string()) {
            ArgumentType::Text
        } else if values.iter().all(|value| value.is_boolean()) {
            ArgumentType::Truth
        } else if values.iter().all(|value| value.is_i64()) {
            ArgumentType::Whole
        } else {
            ArgumentType::Opaque
        }
    }
}

#[cfg(test)]
mod tests;
