//! A fragment of JSON Schema becomes a [`Constraint`]: every keyword is understood or refused, none is skipped.

mod keywords;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

use super::{
    error::{ConstraintError, Fault},
    node::{Node, Rule},
    render,
    types::Types,
    value,
};

/// The largest fragment, in bytes of its text.
const MAX_BYTES: usize = 16 << 10;
/// The deepest nesting of schemas. A schema takes two levels of JSON, its values a few more.
const MAX_DEPTH: usize = 8;
const MAX_JSON_DEPTH: usize = 2 * MAX_DEPTH + 8;
/// The longest `enum`.
const MAX_VALUES: usize = 256;

/// What a grant says about the arguments of its tools.
#[derive(Clone, Debug)]
pub struct Constraint(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    origin: Box<str>,
    node: Node,
    canonical: Box<str>,
    advice: Vec<String>,
}

impl Constraint {
    /// Reads a fragment as it stands in a grant.
    ///
    /// # Errors
    /// [`ConstraintError`] for anything that is not understood, bounded and satisfiable.
    pub fn parse(fragment: &Value) -> Result<Self, ConstraintError> {
        let mut reader = Reader { path: Vec::new(), advice: Vec::new() };
        if value::within(fragment, MAX_JSON_DEPTH, MAX_BYTES).is_none() {
            // Which of the two it is; the walk below is only safe within both.
            let fault = match value::within(fragment, MAX_JSON_DEPTH, usize::MAX) {
                None => Fault::TooDeep(MAX_DEPTH),
                Some(_) => {
                    Fault::TooLarge { what: "a constraint", limit: MAX_BYTES, remedy: "make several grants of it" }
                }
            };
            return Err(reader.refuse(fault));
        }
        let read = reader.schema(fragment, Place::Arguments)?;
        let node = read.node;
        if node.members.is_empty() {
            return Err(reader.refuse(Fault::SaysNothing));
        }
        let canonical = render::text(&render::schema(&node)).into();
        Ok(Self(Arc::new(Inner { origin: "grant".into(), node, canonical, advice: reader.advice })))
    }

    /// The same, known by where it came from: `grant g1`. Contradictions name it.
    #[must_use]
    pub fn from_origin(self, origin: impl Into<Box<str>>) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        inner.origin = origin.into();
        Self(Arc::new(inner))
    }

    /// Where it came from.
    pub fn origin(&self) -> &str {
        &self.0.origin
    }

    /// What its author may have meant differently, a sentence each. Nothing that makes it unusable.
    pub fn advice(&self) -> &[String] {
        &self.0.advice
    }

    /// The one text of what it means, spelled out as JSON Schema. Its origin is not part of it.
    pub fn canonical(&self) -> &str {
        &self.0.canonical
    }

    /// Whether the grant allows these arguments.
    pub fn accepts(&self, arguments: &Value) -> bool {
        self.0.node.accepts(arguments)
    }

    pub(super) fn node(&self) -> &Node {
        &self.0.node
    }
}

impl PartialEq for Constraint {
    fn eq(&self, other: &Self) -> bool {
        self.origin() == other.origin() && self.canonical() == other.canonical()
    }
}

/// What a schema is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Arguments,
    Property,
    Items,
}

struct Read {
    node: Node,
    may_be_absent: bool,
    /// Says nothing but which properties must be absent.
    only_forbids: bool,
}

struct Reader {
    path: Vec<String>,
    advice: Vec<String>,
}

impl Reader {
    fn schema(&mut self, schema: &Value, place: Place) -> Result<Read, ConstraintError> {
        let Value::Object(keywords) = schema else { return Err(self.refuse(Fault::NotASchema)) };
        if self.path.len() > 2 * MAX_DEPTH {
            return Err(self.refuse(Fault::TooDeep(MAX_DEPTH)));
        }
        let mut node = Node::any();
        // The types the keywords speak of; where `type` names them, it decides.
        let mut spoken = Types::ALL;
        let named = keywords.get("type").map(|names| self.types(names)).transpose()?;
        if place == Place::Arguments {
            spoken = Types::OBJECT;
        }
        let mut finite: Option<Vec<Value>> = None;
        let mut said = named.is_some();
        let mut keys: Vec<&String> = keywords.keys().collect();
        keys.sort_unstable();
        for key in keys {
            let Some(argument) = keywords.get(key) else { continue };
            let about = match key.as_str() {
                "type" | "x-may-be-absent" => continue,
                "enum" | "const" if place == Place::Arguments => {
                    let keyword = if key == "enum" { "enum" } else { "const" };
                    let remedy = "name the argument it is about in `properties`";
                    return Err(self.refuse(Fault::Misplaced { keyword, remedy }));
                }
                "enum" | "const" => {
                    let values = self.values(key, argument)?;
                    finite = Some(match finite {
                        None => values,
                        Some(known) => {
                            known.into_iter().filter(|one| values.iter().any(|v| value::same(v, one))).collect()
                        }
                    });
                    Types::ALL
                }
                "pattern" | "minLength" | "maxLength" => self.text(key, argument, &mut node)?,
                "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
                    self.number(key, argument, &mut node)?
                }
                "items" | "minItems" | "maxItems" => self.list(key, argument, &mut node)?,
                "properties" | "required" | "not" => Types::OBJECT,
                other => return Err(self.refuse(unknown(other))),
            };
            said = true;
            spoken = spoken.and(about);
            if spoken.is_empty() && named.is_none() || named.is_some_and(|named| !named.meets(about)) {
                return Err(self.refuse(Fault::Mixed(key.clone())));
            }
        }
        let forbids = self.members(keywords, &mut node)?;
        let may_be_absent = self.may_be_absent(keywords, place)?;
        if !said {
            return Err(self.refuse(Fault::SaysNothing));
        }
        node.types = named.unwrap_or(spoken);
        if place == Place::Arguments {
            node.types = node.types.and(Types::OBJECT);
        }
        node.values = finite.map(Into::into);
        let only_forbids = forbids && node.types == Types::OBJECT && node.values.is_none();
        let node = node.normal().ok_or_else(|| self.refuse(Fault::AdmitsNothing))?;
        Ok(Read { node, may_be_absent, only_forbids })
    }

    /// Reads `properties`, `required` and `not`. Whether they only forbid.
    fn members(&mut self, keywords: &Map<String, Value>, node: &mut Node) -> Result<bool, ConstraintError> {
        let mut only_forbids = keywords.contains_key("properties") || keywords.contains_key("not");
        let mut lenient = Vec::new();
        let mut rules: BTreeMap<Box<str>, Rule> = BTreeMap::new();
        if let Some(properties) = keywords.get("properties") {
            let expected = "an object of schemas, one per property";
            let Value::Object(properties) = properties else {
                return Err(self.refuse(Fault::Value { keyword: "properties", expected }));
            };
            let mut names: Vec<_> = properties.iter().collect();
            names.sort_unstable_by(|one, other| one.0.cmp(other.0));
            for (name, schema) in names {
                let rule = if *schema == Value::Bool(false) {
                    Rule { may_be_absent: true, value: None }
                } else {
                    self.path.extend(["properties".to_owned(), name.clone()]);
                    if *schema == Value::Bool(true) {
                        return Err(self.refuse(Fault::SaysNothing));
                    }
                    let read = self.schema(schema, Place::Property)?;
                    self.path.truncate(self.path.len() - 2);
                    only_forbids &= read.only_forbids;
                    if read.may_be_absent {
                        lenient.push(name.as_str());
                    }
                    Rule { may_be_absent: read.may_be_absent || read.only_forbids, value: Some(read.node) }
                };
                rules.insert(name.as_str().into(), rule);
            }
            only_forbids &= !properties.is_empty();
        }
        if let Some(not) = keywords.get("not") {
            let name = self.forbidden(not)?;
            let rule = Rule { may_be_absent: true, value: None };
            if rules.insert(name.into(), rule).is_some_and(|known| known.value.is_some()) {
                return Err(self.refuse(Fault::Undecided(name.to_owned(), "constrained", "forbidden")));
            }
        }
        if let Some(required) = keywords.get("required") {
            only_forbids = false;
            for name in self.names(required)? {
                let rule =
                    rules.entry(name.into()).or_insert_with(|| Rule { may_be_absent: true, value: Some(Node::any()) });
                if rule.value.is_none() {
                    return Err(self.refuse(Fault::Undecided(name.to_owned(), "required", "forbidden")));
                }
                if lenient.contains(&name) {
                    return Err(self.refuse(Fault::Undecided(name.to_owned(), "required", "`x-may-be-absent`")));
                }
                rule.may_be_absent = false;
            }
        }
        node.members = rules;
        Ok(only_forbids)
    }

    fn names<'v>(&self, required: &'v Value) -> Result<Vec<&'v str>, ConstraintError> {
        let expected = "a list of property names";
        let fault = || self.refuse(Fault::Value { keyword: "required", expected });
        let names = required.as_array().filter(|names| !names.is_empty()).ok_or_else(fault)?;
        names.iter().map(|name| name.as_str().ok_or_else(fault)).collect()
    }

    fn forbidden<'v>(&self, not: &'v Value) -> Result<&'v str, ConstraintError> {
        let inner = not.as_object().filter(|inner| inner.len() == 1).and_then(|inner| inner.get("required"));
        match inner.and_then(Value::as_array).map(Vec::as_slice) {
            Some([Value::String(name)]) => Ok(name),
            _ => Err(self.refuse(Fault::Not)),
        }
    }

    fn may_be_absent(&self, keywords: &Map<String, Value>, place: Place) -> Result<bool, ConstraintError> {
        let keyword = "x-may-be-absent";
        match (keywords.get(keyword), place) {
            (None, _) => Ok(false),
            (Some(Value::Bool(said)), Place::Property) => Ok(*said),
            (Some(_), Place::Property) => Err(self.refuse(Fault::Value { keyword, expected: "`true` or `false`" })),
            (Some(_), Place::Arguments | Place::Items) => {
                Err(self.refuse(Fault::Misplaced { keyword, remedy: "it stands in the schema of a property" }))
            }
        }
    }

    fn refuse(&self, fault: Fault) -> ConstraintError {
        ConstraintError { pointer: self.pointer(), fault }
    }

    fn pointer(&self) -> String {
        self.path.iter().fold(String::new(), |mut pointer, token| {
            pointer.push('/');
            pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
            pointer
        })
    }
}

fn unknown(keyword: &str) -> Fault {
    match keyword {
        "$ref" | "$dynamicRef" | "$recursiveRef" => Fault::Reference(keyword.to_owned()),
        "anyOf" | "oneOf" => Fault::Alternatives(keyword.to_owned()),
        "allOf" => Fault::AllOf,
        other => Fault::UnknownKeyword(other.chars().take(60).collect()),
    }
}
