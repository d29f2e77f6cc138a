//! The request body of an operation: which media type is sent, what of it becomes arguments, and how it is written.
//!
//! An object body whose members are all known becomes one argument per member; anything else (a list, a composition, an
//! open object) is one argument `body`, so that the root of the arguments' schema stays a plain closed object. JSON is
//! preferred, then forms, then text, then bytes.

mod fields;
mod media;
mod multipart;

use serde_json::{Map, Value, json};

use crate::parameters::style;
use crate::plan::BuildError;
use crate::refs::RefError;
use crate::schema::{Build, Converter, SchemaError, Side};
use crate::text::clean;
use fields::FieldForms;
use media::{Rank, concrete, preferred, rank};
pub(crate) use media::{essence, is_json, is_text};

/// Why a body cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// A reference that cannot be used.
    #[error(transparent)]
    Ref(#[from] RefError),
    /// A schema that cannot be used.
    #[error("the request body: {0}")]
    Schema(#[from] SchemaError),
    /// A media type nothing can be written in.
    #[error("the request body has only media types that cannot be written (`{0}`)")]
    Media(String),
    /// A media type that is no header value.
    #[error("the media type `{0}` of the request body is not one")]
    MediaName(String),
}

/// How a body is written.
#[derive(Debug, Clone)]
enum Encoding {
    Json,
    Form(FieldForms),
    Multipart(FieldForms),
    Text,
    /// Bytes, given as base64.
    Bytes,
}

/// A member of a body that becomes an argument.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) schema: Value,
    pub(crate) required: bool,
}

/// A body as the document has it, before its arguments have names.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    media: String,
    encoding: Encoding,
    required: bool,
    /// The members, or the whole as one.
    pub(crate) fields: Vec<Field>,
    whole: bool,
}

impl Declared {
    /// Binds the arguments, named in the order of [`Self::fields`].
    pub(crate) fn plan(self, arguments: &[String]) -> BodyPlan {
        let bound = self.fields.into_iter().zip(arguments).map(|(field, argument)| (argument.clone(), field.name));
        let mut bound: Vec<_> = bound.collect();
        let shape = match bound.pop() {
            Some((argument, _)) if self.whole => Shape::Whole(argument),
            last => Shape::Fields(bound.into_iter().chain(last).collect()),
        };
        BodyPlan { media: self.media, encoding: self.encoding, required: self.required, shape }
    }
}

/// Reads a request body; `None` where the operation has none.
pub(crate) fn declared<'d>(
    operation: &'d Value,
    converter: &mut Converter<'d>,
    build: &mut Build,
) -> Result<Option<Declared>, BodyError> {
    let Some(raw) = operation.get("requestBody").filter(|raw| raw.is_object()) else { return Ok(None) };
    let raw = converter.refs.deref(raw)?;
    let Some(content) = raw.get("content").and_then(Value::as_object).filter(|all| !all.is_empty()) else {
        return Ok(None);
    };
    let Some((media, entry)) = preferred(content) else {
        let names: Vec<_> = content.keys().map(String::as_str).collect();
        return Err(BodyError::Media(clean(&names.join(", "), 200)));
    };
    let schema = match entry.get("schema") {
        Some(schema) => converter.convert(converter.refs.deref(schema)?, Side::Request, build)?,
        None => json!({}),
    };
    let said = raw.get("required").and_then(Value::as_bool);
    let encoding = encoding(media, entry, &schema);
    let media = concrete(media);
    if http::HeaderValue::try_from(&media).is_err() {
        return Err(BodyError::MediaName(clean(&media, 100)));
    }
    let description = raw.get("description").and_then(Value::as_str);
    Ok(Some(shaped(media, encoding, schema, said, description)))
}

fn shaped(media: String, encoding: Encoding, schema: Value, said: Option<bool>, description: Option<&str>) -> Declared {
    let demands = schema.get("required").and_then(Value::as_array).is_some_and(|names| !names.is_empty());
    // Many documents leave `required` out and mean it; one that says `false` is believed.
    let required = said.unwrap_or(demands);
    let shown = |name: &str, schema| match &encoding {
        Encoding::Multipart(forms) => forms.shown(name, schema),
        Encoding::Json | Encoding::Form(_) | Encoding::Text | Encoding::Bytes => schema,
    };
    let fields = match (&encoding, &schema) {
        (Encoding::Json | Encoding::Form(_) | Encoding::Multipart(_), Value::Object(members))
            if opens(members) && (required || !demands) =>
        {
            members_of(members)
                .map(|(name, schema, needed)| Field {
                    name: name.to_owned(),
                    schema: shown(name, schema),
                    required: needed,
                })
                .collect()
        }
        _ => {
            let schema = match &encoding {
                Encoding::Json => schema,
                Encoding::Form(_) => object_or_any(schema),
                Encoding::Multipart(forms) => forms.shown_members(object_or_any(schema)),
                Encoding::Text => text_schema(schema),
                Encoding::Bytes => bytes_schema(&schema),
            };
            let field = Field { name: "body".to_owned(), schema: described(schema, description), required };
            return Declared { media, encoding, required, fields: vec![field], whole: true };
        }
    };
    Declared { media, encoding, required, fields, whole: false }
}

/// Whether an object's members can become arguments: all of them are known and nothing else is said about the object.
fn opens(schema: &Map<String, Value>) -> bool {
    const SAID_BY_THE_ARGUMENTS: [&str; 10] = [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "title",
        "description",
        "default",
        "deprecated",
        "examples",
        "format",
    ];
    let is_object = match schema.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().all(|kind| kind == "object" || kind == "null"),
        _ => schema.contains_key("properties"),
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
    let open = !closed && schema.contains_key("additionalProperties");
    // A demanded member that is not declared could never be given.
    let undeclared =
        |name: &Value| !name.as_str().is_some_and(|name| properties.is_some_and(|all| all.contains_key(name)));
    let demanded = schema.get("required").and_then(Value::as_array);
    is_object
        && !open
        && (closed || properties.is_some_and(|all| !all.is_empty()))
        && !demanded.is_some_and(|names| names.iter().any(undeclared))
        && schema.keys().all(|key| SAID_BY_THE_ARGUMENTS.contains(&key.as_str()))
}

fn members_of(schema: &Map<String, Value>) -> impl Iterator<Item = (&str, Value, bool)> {
    let required = schema.get("required").and_then(Value::as_array);
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().map(move |(name, schema)| {
        let needed = required.is_some_and(|names| names.iter().any(|needed| needed == name.as_str()));
        (name.as_str(), schema.clone(), needed)
    })
}

fn described(schema: Value, description: Option<&str>) -> Value {
    match (schema, description.map(|text| clean(text, 1_000)).filter(|text| !text.is_empty())) {
        (Value::Object(mut members), Some(text)) => {
            members.entry("description").or_insert(Value::String(text));
            Value::Object(members)
        }
        (schema, _) => schema,
    }
}

fn object_or_any(schema: Value) -> Value {
    if schema.as_object().is_some_and(|members| !members.is_empty()) { schema } else { json!({"type": "object"}) }
}

fn text_schema(schema: Value) -> Value {
    if schema.get("type").is_some_and(|kind| kind == "string") {
        schema
    } else {
        described(json!({"type": "string"}), schema.get("description").and_then(Value::as_str))
    }
}

fn bytes_schema(schema: &Value) -> Value {
    let about = schema.get("description").and_then(Value::as_str).map(|text| format!("{text} ")).unwrap_or_default();
    json!({"type": "string", "contentEncoding": "base64", "description": format!("{about}The bytes to send, as base64.")})
}

fn encoding(media: &str, entry: &Value, schema: &Value) -> Encoding {
    let format = schema.get("format").and_then(Value::as_str);
    match rank(media) {
        Some(Rank::Json | Rank::JsonSuffix) => Encoding::Json,
        Some(Rank::Form) => Encoding::Form(FieldForms::read(entry, schema)),
        Some(Rank::Multipart) => Encoding::Multipart(FieldForms::read(entry, schema)),
        Some(Rank::Text) if !matches!(format, Some("binary" | "byte")) => Encoding::Text,
        Some(Rank::Text | Rank::Bytes) | None => Encoding::Bytes,
    }
}

/// How the body of a request is made of arguments.
#[derive(Debug, Clone)]
pub(crate) struct BodyPlan {
    media: String,
    encoding: Encoding,
    required: bool,
    shape: Shape,
}

#[derive(Debug, Clone)]
enum Shape {
    /// Argument and member.
    Fields(Vec<(String, String)>),
    /// One argument is the body.
    Whole(String),
}

impl BodyPlan {
    /// The arguments that make the body.
    pub(crate) fn arguments(&self) -> Vec<&str> {
        match &self.shape {
            Shape::Fields(fields) => fields.iter().map(|(argument, _)| argument.as_str()).collect(),
            Shape::Whole(argument) => vec![argument],
        }
    }

    /// Content type and bytes; nothing where an optional body has no member.
    pub(crate) fn write(&self, arguments: &Map<String, Value>) -> Result<Option<(String, Vec<u8>)>, BuildError> {
        let body = match &self.shape {
            Shape::Whole(argument) => match arguments.get(argument) {
                Some(body) => body.clone(),
                None if self.required => return Err(BuildError::Missing(argument.clone())),
                None => return Ok(None),
            },
            Shape::Fields(fields) => {
                let given =
                    |(argument, name): &(String, String)| Some((name.clone(), arguments.get(argument)?.clone()));
                let members: Map<String, Value> = fields.iter().filter_map(given).collect();
                if members.is_empty() && !self.required {
                    return Ok(None);
                }
                Value::Object(members)
            }
        };
        self.encode(&body).map(Some)
    }

    fn encode(&self, body: &Value) -> Result<(String, Vec<u8>), BuildError> {
        let media = self.media.clone();
        match &self.encoding {
            Encoding::Json => Ok((media, ambit_model::canonical::to_vec(body))),
            Encoding::Form(forms) => Ok((media, forms.urlencoded(object(body)?).into_bytes())),
            Encoding::Multipart(forms) => multipart::write(&forms.parts(object(body)?)?),
            Encoding::Text => {
                let text = style::text(body).unwrap_or_default();
                Ok((media, text.into_owned().into_bytes()))
            }
            Encoding::Bytes => {
                let text = body.as_str().ok_or_else(|| BuildError::Base64("body".to_owned()))?;
                Ok((media, fields::base64(text, "body")?))
            }
        }
    }
}

fn object(body: &Value) -> Result<&Map<String, Value>, BuildError> {
    body.as_object().ok_or_else(|| BuildError::NotAnObject("body".to_owned()))
}

#[cfg(test)]
mod tests;
