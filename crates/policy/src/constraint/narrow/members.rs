//! The members of one object schema under the rules of the grants: first what would change, or why nothing fits; then the
//! change. The root's arguments and nested objects go the same way.

use std::{borrow::Cow, fmt};

use serde_json::{Map, Value, json};

use super::Narrowing;
use crate::constraint::{
    node::Node,
    pattern::Pattern,
    render,
    types::Types,
    words::{self, Length},
};

/// One change of an object schema.
pub(super) enum Edit {
    /// The schema of a property.
    Set(String, Value),
    /// A property that must be absent.
    Forbid(String),
    /// A property that must be present.
    Require(String),
}

/// Why no object that the tool takes fits the rules.
pub(super) struct Misfit {
    pub(super) argument: String,
    why: Why,
}

enum Why {
    Unknown,
    Demanded,
    Disjoint,
}

/// What an object schema says of one property.
enum Own<'s> {
    /// Only what holds for others too, and to name it changes nothing.
    Free,
    Never,
    Schema(&'s Value),
    /// Depends on more than this schema: to name it could widen.
    Unclear,
}

impl Narrowing<'_> {
    /// What would make an object schema keep the rules: the name of each member, whether it may be absent, and what it may
    /// be.
    pub(super) fn plan<'r>(
        &mut self,
        object: &Map<String, Value>,
        rules: impl Iterator<Item = (&'r str, bool, &'r [Node])>,
    ) -> Result<Vec<Edit>, Misfit> {
        let mut edits = Vec::new();
        for (name, may_be_absent, nodes) in rules {
            let demanded = requires(object, name);
            let misfit = |why| Misfit { argument: name.to_owned(), why };
            if !may_be_absent && !demanded {
                edits.push(Edit::Require(name.to_owned()));
            }
            let own = own_of(object, name);
            if nodes.is_empty() {
                if demanded {
                    return Err(misfit(Why::Demanded));
                }
                if !matches!(own, Own::Never) {
                    edits.push(Edit::Forbid(name.to_owned()));
                }
                continue;
            }
            let needed = demanded || !may_be_absent;
            let narrowed = match own {
                Own::Never if needed => return Err(misfit(Why::Unknown)),
                Own::Never => continue,
                _ if nodes.iter().any(Node::is_any) => continue,
                Own::Free => Some(render::any_of(nodes)),
                Own::Schema(own) => self.values(own, nodes),
                Own::Unclear => {
                    self.told = false;
                    continue;
                }
            };
            match narrowed {
                Some(schema) => edits.push(Edit::Set(name.to_owned(), schema)),
                None if needed => return Err(misfit(Why::Disjoint)),
                None => edits.push(Edit::Forbid(name.to_owned())),
            }
        }
        Ok(edits)
    }
}

/// Makes the changes. Members keep their order, new ones come last.
pub(super) fn apply(edits: Vec<Edit>, object: &mut Map<String, Value>) {
    if edits.is_empty() {
        return;
    }
    let closed =
        object.get("additionalProperties") == Some(&Value::Bool(false)) && !object.contains_key("patternProperties");
    let mut properties = match object.get_mut("properties") {
        Some(Value::Object(properties)) => std::mem::take(properties),
        _ => Map::new(),
    };
    let mut required = match object.get_mut("required") {
        Some(Value::Array(required)) => std::mem::take(required),
        _ => Vec::new(),
    };
    for edit in edits {
        match edit {
            Edit::Set(name, schema) => {
                properties.insert(name, schema);
            }
            // Where others are refused anyway it need not be named.
            Edit::Forbid(name) if closed => {
                properties = properties.into_iter().filter(|(known, _)| *known != name).collect();
            }
            Edit::Forbid(name) => {
                properties.insert(name, render::nothing());
            }
            Edit::Require(name) => required.push(Value::String(name)),
        }
    }
    if !properties.is_empty() || object.contains_key("properties") {
        object.insert("properties".to_owned(), Value::Object(properties));
    }
    if !required.is_empty() {
        object.insert("required".to_owned(), json!(required));
    }
}

/// The types a schema admits.
pub(super) fn own_types(schema: &Map<String, Value>) -> Types {
    schema.get("type").and_then(Types::read).unwrap_or(Types::ALL)
}

fn requires(object: &Map<String, Value>, name: &str) -> bool {
    let required = object.get("required").and_then(Value::as_array);
    required.is_some_and(|required| required.iter().any(|known| known == name))
}

fn own_of<'s>(object: &'s Map<String, Value>, name: &str) -> Own<'s> {
    const APPLICATORS: [&str; 8] =
        ["$ref", "$dynamicRef", "$recursiveRef", "allOf", "anyOf", "oneOf", "if", "dependentSchemas"];
    if let Some(schema) = object.get("properties").and_then(|properties| properties.get(name)) {
        return own(schema);
    }
    let others = match (object.get("additionalProperties"), object.get("unevaluatedProperties")) {
        (Some(others), _) => others,
        (None, None | Some(Value::Bool(true))) => return Own::Free,
        (None, Some(_)) if APPLICATORS.iter().any(|keyword| object.contains_key(*keyword)) => return Own::Unclear,
        (None, Some(others)) => others,
    };
    if *others == Value::Bool(true) {
        return Own::Free;
    }
    let patterns = object.get("patternProperties").and_then(Value::as_object);
    for source in patterns.into_iter().flat_map(Map::keys) {
        match Pattern::compile(source) {
            // Its schema goes on counting for the property.
            Ok(pattern) if pattern.matches(name) => return Own::Free,
            Ok(_) => {}
            Err(_) => return Own::Unclear,
        }
    }
    own(others)
}

fn own(schema: &Value) -> Own<'_> {
    match schema {
        Value::Bool(true) => Own::Free,
        Value::Bool(false) => Own::Never,
        _ => Own::Schema(schema),
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name: Cow<'_, str> = words::quoted(&self.argument, Length::Short).into();
        match self.why {
            Why::Unknown => write!(f, "the tool has no argument {name}"),
            Why::Demanded => write!(f, "the tool cannot be called without {name}"),
            Why::Disjoint => write!(f, "the tool takes no such value of {name}"),
        }
    }
}
