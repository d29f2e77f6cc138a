//! One operation compiled to one tool.

use http::{HeaderValue, Method};
use serde_json::{Map, Value, json};

use super::{OperationTool, Options, OutputSchemas, shown};
use crate::body;
use crate::effect::{Classified, Facts, classify};
use crate::names::{Identity, Place, argument_names};
use crate::parameters::{self, Credentials, Declared, Parameter};
use crate::plan::{Plan, Template};
use crate::schema::{Build, Converter, Side};

/// What all operations of a document share.
pub(super) struct Context<'c, 'd> {
    pub(super) converter: &'c mut Converter<'d>,
    pub(super) credentials: &'c Credentials,
    pub(super) options: &'c Options,
}

/// An operation as it stands in the document.
pub(super) struct Operation<'d> {
    pub(super) path: &'d str,
    pub(super) key: &'static str,
    pub(super) method: Method,
    pub(super) item: &'d Value,
    pub(super) raw: &'d Value,
}

/// An argument before it has a name.
struct Wanted {
    place: Place,
    wire: String,
    schema: Value,
    required: bool,
}

impl<'d> Operation<'d> {
    pub(super) fn identity(&self) -> Identity<'_> {
        Identity { operation_id: self.operation_id(), method: &self.method, path: self.path }
    }

    pub(super) fn pointer(&self) -> String {
        format!("/paths/{}/{}", token(self.path), self.key)
    }

    fn operation_id(&self) -> Option<&'d str> {
        self.text("operationId").filter(|id| !id.trim().is_empty())
    }

    fn text(&self, member: &str) -> Option<&'d str> {
        self.raw.get(member).and_then(Value::as_str)
    }

    /// Compiles the operation; the error is the reason it is left out.
    pub(super) fn compile(&self, name: String, context: &mut Context<'_, 'd>) -> Result<OperationTool, String> {
        if !self.raw.is_object() {
            return Err("the operation is not an object".to_owned());
        }
        if matches!(self.method, Method::OPTIONS | Method::TRACE) {
            return Err(format!(
                "the method `{}` speaks about the connection and is not offered as a tool",
                self.method
            ));
        }
        let template = Template::parse(self.path).map_err(text)?;
        let mut build = Build::default();
        let parameters = self.parameters(&template, context)?;
        let body = body::declared(self.raw, context.converter, &mut build).map_err(text)?;
        let wanted = wanted(&parameters, body.as_ref(), context.converter, &mut build)?;
        let arguments = argument_names(&wanted.iter().map(|one| (one.place, one.wire.as_str())).collect::<Vec<_>>());
        let Classified { effect, reason, by_method_alone } = self.effect(&wanted);
        let input_schema = input_schema(wanted, &arguments, context.converter, build)?;
        let output_schema = self.output_schema(&name, context)?;
        let (in_parameters, in_body) = arguments.split_at(parameters.len());
        let bound =
            parameters.into_iter().zip(in_parameters).map(|(one, argument)| bind(one, argument.clone())).collect();
        let body = body.map(|body| body.plan(in_body));
        let accept = self.accept(context.converter);
        let plan = Plan::new(self.method.clone(), template, bound, body, accept, context.credentials);
        Ok(OperationTool {
            name,
            operation_id: self.operation_id().map(|id| crate::text::clean(id, 200)),
            title: shown::title(self.text("summary")),
            description: shown::description(self.raw, &self.method, self.path),
            input_schema,
            output_schema,
            method: self.method.clone(),
            path: self.path.to_owned(),
            effect,
            reason,
            by_method_alone,
            plan,
        })
    }

    /// The parameters; path parameters are exactly the template's variables.
    fn parameters(&self, template: &Template, context: &Context<'_, 'd>) -> Result<Vec<Declared<'d>>, String> {
        let refs = &context.converter.refs;
        let mut found = parameters::declared(self.item, self.raw, refs, context.credentials).map_err(text)?;
        let variables: Vec<&str> = template.variables().collect();
        found.retain(|one| one.place != Place::Path || variables.contains(&one.name.as_str()));
        for variable in variables {
            if !found.iter().any(|one| one.place == Place::Path && one.name == variable) {
                found.push(parameters::undeclared(variable));
            }
        }
        found.sort_by_key(|one| one.place);
        Ok(found)
    }

    fn effect(&self, wanted: &[Wanted]) -> Classified {
        let arguments: Vec<(&str, &Value)> = wanted.iter().map(|one| (one.wire.as_str(), &one.schema)).collect();
        classify(&Facts {
            method: &self.method,
            path: self.path,
            operation_id: self.operation_id(),
            summary: self.text("summary").unwrap_or_default(),
            description: self.text("description").unwrap_or_default(),
            arguments: &arguments,
        })
    }

    /// Answers of success, by status.
    fn successes<'a>(
        &self,
        converter: &'a Converter<'d>,
    ) -> impl Iterator<Item = &'d Map<String, Value>> + use<'a, 'd> {
        let responses = self.raw.get("responses").and_then(Value::as_object);
        let mut good: Vec<_> = responses.into_iter().flatten().filter(|(status, _)| status.starts_with('2')).collect();
        good.sort_unstable_by(|one, other| one.0.cmp(other.0));
        good.into_iter().filter_map(|(_, raw)| converter.refs.deref(raw).ok()?.get("content")?.as_object())
    }

    /// JSON where the operation has it, else what it has.
    fn accept(&self, converter: &Converter<'d>) -> HeaderValue {
        let mut medias: Vec<&str> = self.successes(converter).flat_map(Map::keys).map(String::as_str).collect();
        medias
            .sort_unstable_by_key(|media| (body::essence(media) != "application/json", !body::is_json(media), *media));
        medias.dedup();
        let named = match medias.first() {
            Some(media) if body::is_json(media) => (*media).to_owned(),
            Some(_) => format!("{}, */*;q=0.1", medias.join(", ")),
            None => "application/json, */*;q=0.1".to_owned(),
        };
        HeaderValue::try_from(named).unwrap_or_else(|_| HeaderValue::from_static("application/json, */*;q=0.1"))
    }

    fn output_schema(&self, name: &str, context: &mut Context<'_, 'd>) -> Result<Option<Value>, String> {
        let OutputSchemas::Of(names) = &context.options.output_schemas else { return Ok(None) };
        if !names.contains(name) {
            return Ok(None);
        }
        let json = self.successes(context.converter).find_map(|content| {
            let (_, entry) =
                content.iter().filter(|(media, _)| body::is_json(media)).min_by_key(|(media, _)| *media)?;
            entry.get("schema")
        });
        let Some(schema) = json else { return Ok(None) };
        let mut build = Build::default();
        let schema = context.converter.refs.deref(schema).map_err(text)?;
        match context.converter.convert(schema, Side::Response, &mut build).map_err(text)? {
            Value::Object(mut root) if root.get("type").is_some_and(|kind| kind == "object") => {
                context.converter.finish(&mut root, Side::Response, build).map_err(text)?;
                Ok(Some(Value::Object(root)))
            }
            // Older revisions know objects only.
            _ => Ok(None),
        }
    }
}

fn wanted<'d>(
    parameters: &[Declared<'d>],
    body: Option<&body::Declared>,
    converter: &mut Converter<'d>,
    build: &mut Build,
) -> Result<Vec<Wanted>, String> {
    let mut wanted = Vec::new();
    for one in parameters {
        let schema = converter
            .convert(one.schema, Side::Request, build)
            .map_err(|error| format!("the parameter `{}`: {error}", crate::text::clean(&one.name, 80)))?;
        let schema = shown::parameter(schema, one.description, one.deprecated);
        wanted.push(Wanted { place: one.place, wire: one.name.clone(), schema, required: one.required });
    }
    for field in body.iter().flat_map(|body| &body.fields) {
        let (wire, schema) = (field.name.clone(), field.schema.clone());
        wanted.push(Wanted { place: Place::Body, wire, schema, required: field.required });
    }
    Ok(wanted)
}

/// A closed object of the arguments.
fn input_schema(
    wanted: Vec<Wanted>,
    arguments: &[String],
    converter: &mut Converter<'_>,
    build: Build,
) -> Result<Value, String> {
    let required: Vec<&String> =
        wanted.iter().zip(arguments).filter(|(one, _)| one.required).map(|(_, name)| name).collect();
    let required = json!(required);
    let properties: Map<String, Value> =
        arguments.iter().cloned().zip(wanted.into_iter().map(|one| one.schema)).collect();
    let mut root = Map::new();
    root.insert("type".to_owned(), json!("object"));
    root.insert("properties".to_owned(), Value::Object(properties));
    if required.as_array().is_some_and(|names| !names.is_empty()) {
        root.insert("required".to_owned(), required);
    }
    root.insert("additionalProperties".to_owned(), Value::Bool(false));
    converter.finish(&mut root, Side::Request, build).map_err(text)?;
    Ok(Value::Object(root))
}

fn bind(declared: Declared<'_>, argument: String) -> Parameter {
    Parameter { argument, name: declared.name, place: declared.place, form: declared.form, required: declared.required }
}

/// A path as a token of a JSON pointer.
pub(super) fn token(path: &str) -> String {
    path.replace('~', "~0").replace('/', "~1")
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
