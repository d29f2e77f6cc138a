//! One tool as it can be shown and called: definition, effect, argument schema and what stands behind it.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use ambit_mcp::headers::mirror::{self, Mirrors};
use ambit_model::{
    Digest, Effect,
    ids::ToolId,
    tool::{ClassifiedEffect, Definition},
};
use ambit_openapi::OperationTool;
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Value, json};

use super::effort;
use crate::lock::Pin;

/// A tool of one server, whatever its acceptance.
#[derive(Debug)]
pub struct PublishedTool {
    /// What it says it is.
    pub definition: Definition,
    /// The digest of that.
    pub digest: Digest,
    /// Its effect and why.
    pub effect: ClassifiedEffect,
    /// Whether the owner's override decided the effect.
    pub overridden: bool,
    /// What a call reaches.
    pub binding: Binding,
    /// What records of the trail are found by: `server/tool`.
    name: Arc<str>,
    /// The JSON of the tool in a list, after its name: `,"description":…}`.
    listing_tail: String,
    /// What it says there about its effect.
    annotations: Value,
    /// The schema clients are shown, unless grants narrow it.
    shown_schema: Arc<Value>,
    /// The whole schema; the same one where nothing of it is left out.
    input_schema: Arc<Value>,
    /// Which arguments modern clients repeat in headers.
    mirrors: Mirrors,
    /// Why one of its annotations for that cannot be followed.
    mirror_fault: Option<String>,
    arguments: OnceLock<Result<Arguments, InvalidSchema>>,
    shown_digest: OnceLock<Digest>,
}

/// What a call of a tool reaches.
#[derive(Debug, Clone)]
pub enum Binding {
    /// An operation of a REST API.
    Operation(Arc<OperationTool>),
    /// A tool of an MCP server, under its own name there.
    Mcp {
        /// The upstream's name of the tool.
        name: String,
    },
}

/// A schema no argument can be held to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the argument schema cannot be used: {0}")]
pub struct InvalidSchema(pub String);

/// The compiled argument schema.
#[derive(Debug)]
pub struct Arguments {
    validator: jsonschema::Validator,
}

impl Arguments {
    /// Checks arguments.
    ///
    /// # Errors
    /// One sentence per violation (at most five), each with the JSON pointer of the argument.
    pub fn check(&self, arguments: &Value) -> Result<(), Vec<String>> {
        if self.validator.is_valid(arguments) {
            return Ok(());
        }
        Err(self
            .validator
            .iter_errors(arguments)
            .take(5)
            .map(|error| {
                let pointer = error.instance_path().to_string();
                let place = if pointer.is_empty() { "the arguments".to_owned() } else { format!("`{pointer}`") };
                format!("{place}: {}", shorten(&error.to_string()))
            })
            .collect())
    }
}

fn shorten(text: &str) -> String {
    const LONGEST: usize = 300;
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text.to_owned(),
    }
}

impl PublishedTool {
    /// Puts a tool together.
    pub fn new(definition: Definition, effect: ClassifiedEffect, overridden: bool, binding: Binding) -> Self {
        let shown_schema = Arc::new(without_root_composition(&definition.input_schema));
        let input_schema = if *shown_schema == definition.input_schema {
            Arc::clone(&shown_schema)
        } else {
            Arc::new(definition.input_schema.clone())
        };
        let (mirrors, faults) = mirror::compile(&shown_schema);
        let annotations = annotations(&definition, effect.effect, &binding);
        let listing_tail = listing_tail(&definition, &definition.description, &shown_schema, &annotations);
        Self {
            digest: definition.digest(),
            name: definition.id.to_string().into(),
            definition,
            effect,
            overridden,
            binding,
            listing_tail,
            annotations,
            shown_schema,
            input_schema,
            mirrors,
            mirror_fault: faults.first().map(|fault| format!("`{}`: {}", fault.pointer, fault.reason)),
            arguments: OnceLock::new(),
            shown_digest: OnceLock::new(),
        }
    }

    /// The tool.
    pub fn id(&self) -> &ToolId {
        &self.definition.id
    }

    /// The same in one word, `server/tool`, shared.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether it counts as reading because of its HTTP method, with no word that says so, and nobody has looked: its owner
    /// should.
    pub fn reads_by_method_alone(&self) -> bool {
        match &self.binding {
            Binding::Operation(operation) => operation.by_method_alone && !self.overridden,
            Binding::Mcp { .. } => false,
        }
    }

    /// What a lock file would pin.
    pub fn pin(&self) -> Pin {
        Pin { effect: self.effect.effect, digest: self.digest }
    }

    /// The schema clients are shown, unless grants narrow it.
    pub fn shown_schema(&self) -> &Value {
        &self.shown_schema
    }

    /// The whole schema of the arguments, which its digest covers.
    pub fn input_schema(&self) -> &Arc<Value> {
        &self.input_schema
    }

    /// Which arguments modern clients repeat in `Mcp-Param-…` headers.
    pub fn mirrors(&self) -> &Mirrors {
        &self.mirrors
    }

    /// Why an `x-mcp-header` annotation cannot be followed, if one cannot: clients drop such a tool.
    pub fn mirror_fault(&self) -> Option<&str> {
        self.mirror_fault.as_deref()
    }

    /// The compiled schema of the arguments; compiled at the first call, since a large document has far more tools than
    /// are ever called.
    ///
    /// # Errors
    /// [`InvalidSchema`]: the tool cannot be called.
    pub fn arguments(&self) -> Result<&Arguments, &InvalidSchema> {
        self.arguments.get_or_init(|| compile(&self.definition.input_schema)).as_ref()
    }

    /// Stands for everything that a list shows of it besides its name, unless grants narrow it.
    pub fn shown_digest(&self) -> Digest {
        *self.shown_digest.get_or_init(|| Digest::of(self.listing_tail.as_bytes()))
    }

    /// Appends the tool as an element of a list, under the name this endpoint shows.
    pub fn write_listing(&self, shown_name: &str, out: &mut String) {
        out.push_str("{\"name\":\"");
        // Shown names are `[A-Za-z0-9_-]`: nothing to escape.
        out.push_str(shown_name);
        out.push('"');
        out.push_str(&self.listing_tail);
    }

    /// The same for a caller whose grants limit its arguments: with the schema that is left, and what it cannot say in the
    /// description.
    pub fn write_narrowed(&self, shown_name: &str, schema: &Value, note: Option<&str>, out: &mut String) {
        out.push_str("{\"name\":\"");
        out.push_str(shown_name);
        out.push('"');
        let own = self.definition.description.as_str();
        let description = match note {
            None => Cow::Borrowed(own),
            Some(note) if own.is_empty() => Cow::Borrowed(note),
            Some(note) => Cow::Owned(format!("{own}\n\n{note}")),
        };
        out.push_str(&listing_tail(&self.definition, &description, schema, &self.annotations));
    }
}

/// Whether arguments can be held to a schema.
///
/// # Errors
/// [`InvalidSchema`].
pub(super) fn check_schema(schema: &Value) -> Result<(), InvalidSchema> {
    compile(schema).map(|_| ())
}

/// Compiles a schema: linear-time patterns only, no reference leaves the document, and checking by it ends.
fn compile(schema: &Value) -> Result<Arguments, InvalidSchema> {
    effort::is_bounded(schema).map_err(|error| InvalidSchema(error.to_string()))?;
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .with_pattern_options(jsonschema::PatternOptions::regex().size_limit(256 * 1024))
        .build(schema)
        .map(|validator| Arguments { validator })
        .map_err(|error| InvalidSchema(shorten(&error.to_string())))
}

/// Some clients drop a tool whose root schema has a composition keyword. What is shown leaves it out; what is checked
/// keeps it.
fn without_root_composition(schema: &Value) -> Value {
    const DROPPED: [&str; 7] = ["anyOf", "oneOf", "allOf", "not", "if", "then", "else"];
    match schema {
        Value::Object(members) => {
            let mut shown: Map<String, Value> = members
                .iter()
                .filter(|(key, _)| !DROPPED.contains(&key.as_str()))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            shown.entry("type").or_insert_with(|| json!("object"));
            Value::Object(shown)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            json!({"type": "object"})
        }
    }
}

/// Everything of a list element after its name. Annotations are ours: the upstream's word on its own harm is not passed
/// on. Only members that the digest covers are shown.
fn listing_tail(definition: &Definition, description: &str, schema: &Value, annotations: &Value) -> String {
    let title = definition.title.as_deref();
    let rest = match &definition.rest {
        Some(Value::Object(rest)) => Some(rest),
        _ => None,
    };
    let object = serde_json::to_string(&Listed { title, description, input_schema: schema, annotations, rest });
    // INVARIANT: strings and JSON always serialise. `{"title":…}` becomes `,"title":…}`.
    object.unwrap_or_else(|_| "{}".to_owned()).replacen('{', ",", 1)
}

/// A list element without its name. Members of the upstream come last, and never in place of ours.
struct Listed<'a> {
    title: Option<&'a str>,
    description: &'a str,
    input_schema: &'a Value,
    annotations: &'a Value,
    rest: Option<&'a Map<String, Value>>,
}

impl Serialize for Listed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        if let Some(title) = self.title {
            members.serialize_entry("title", title)?;
        }
        members.serialize_entry("description", self.description)?;
        members.serialize_entry("inputSchema", self.input_schema)?;
        members.serialize_entry("annotations", self.annotations)?;
        for (key, value) in self.rest.into_iter().flatten() {
            let ours = matches!(key.as_str(), "description" | "inputSchema" | "annotations" | "name")
                || (key == "title" && self.title.is_some());
            if !ours {
                members.serialize_entry(key, value)?;
            }
        }
        members.end()
    }
}

fn annotations(definition: &Definition, effect: Effect, binding: &Binding) -> Value {
    match binding {
        Binding::Operation(operation) => {
            serde_json::to_value(ambit_openapi::annotations(effect, &operation.method)).unwrap_or(Value::Null)
        }
        Binding::Mcp { .. } => {
            let said =
                |hint: &str| definition.annotations.as_ref().and_then(|all| all.get(hint)).and_then(Value::as_bool);
            let mut hints = Map::new();
            hints.insert("readOnlyHint".into(), json!(effect == Effect::Read));
            hints.insert("destructiveHint".into(), json!(effect == Effect::Destructive));
            hints
                .insert("idempotentHint".into(), json!(effect == Effect::Read || said("idempotentHint") == Some(true)));
            hints.insert("openWorldHint".into(), json!(said("openWorldHint") != Some(false)));
            Value::Object(hints)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(schema: Value, annotations: Value) -> PublishedTool {
        let definition = Definition {
            id: ToolId::parse("up/search").unwrap(),
            title: Some("Search \"all\"".into()),
            description: "finds\nthings".into(),
            input_schema: schema,
            output_schema: Some(json!({"type": "object"})),
            annotations: Some(annotations),
            rest: Some(json!({"_meta": {"a": 1}, "description": "not this one"})),
            binding: None,
        };
        let effect = ClassifiedEffect { effect: Effect::Destructive, reason: "unclear".into() };
        PublishedTool::new(definition, effect, false, Binding::Mcp { name: "search".into() })
    }

    #[test]
    fn a_list_element_is_whole_json_with_our_annotations() {
        let tool = tool(json!({"type": "object", "anyOf": [{"required": ["a"]}]}), json!({"readOnlyHint": true}));
        let mut text = String::new();
        tool.write_listing("up_search", &mut text);
        let shown: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            shown,
            json!({
                "name": "up_search", "title": "Search \"all\"", "description": "finds\nthings",
                "inputSchema": {"type": "object"}, "_meta": {"a": 1},
                "annotations": {"readOnlyHint": false, "destructiveHint": true, "idempotentHint": false, "openWorldHint": true},
            })
        );
    }

    #[test]
    fn a_narrowed_list_element_differs_in_schema_and_description_alone() {
        let tool = tool(json!({"type": "object", "properties": {"env": {"type": "string"}}}), json!({}));
        let schema = json!({"type": "object", "properties": {"env": {"const": "staging"}}, "required": ["env"]});
        let (mut plain, mut narrowed) = (String::new(), String::new());
        tool.write_listing("up_search", &mut plain);
        tool.write_narrowed("up_search", &schema, Some("only staging"), &mut narrowed);
        let mut plain: Value = serde_json::from_str(&plain).unwrap();
        plain["inputSchema"] = schema;
        plain["description"] = json!("finds\nthings\n\nonly staging");
        assert_eq!(serde_json::from_str::<Value>(&narrowed).unwrap(), plain);
    }

    #[test]
    fn what_is_not_shown_of_the_schema_is_still_checked() {
        let tool = tool(json!({"type": "object", "anyOf": [{"required": ["a"]}]}), json!({}));
        let arguments = tool.arguments().unwrap();
        assert!(arguments.check(&json!({"a": 1})).is_ok());
        let errors = arguments.check(&json!({"b": 1})).unwrap_err();
        assert!(errors[0].starts_with("the arguments: "), "{errors:?}");
    }

    #[test]
    fn a_violation_names_its_argument() {
        let tool = tool(json!({"type": "object", "properties": {"n": {"type": "integer"}}}), json!({}));
        let errors = tool.arguments().unwrap().check(&json!({"n": "x"})).unwrap_err();
        assert!(errors[0].starts_with("`/n`: "), "{errors:?}");
    }

    #[test]
    fn remote_references_and_catastrophic_patterns_do_not_compile() {
        for schema in [
            json!({"type": "object", "properties": {"a": {"$ref": "https://attacker.example/s.json"}}}),
            json!({"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}),
            json!({"type": "object", "properties": {"a": {"pattern": "(?=x)y\\1"}}}),
        ] {
            assert!(tool(schema.clone(), json!({})).arguments().is_err(), "{schema}");
        }
    }
}
