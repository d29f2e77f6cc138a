//! Parameters of an operation: read tolerantly, bound to argument names, written into the request.
//!
//! The style of a parameter and whether it may be set at all are decided here, once, when a document is compiled.
//! Headers that belong to the connection, the body or the credential are never parameters, and neither is what the
//! document itself names as a credential: the server's credential is the gateway's to spend.

pub(crate) mod style;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::names::Place;
use crate::refs::{RefError, Refs};
use crate::text::clean;
use style::Style;

/// Why the parameters of an operation cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// A reference that cannot be used.
    #[error(transparent)]
    Ref(#[from] RefError),
    /// Not an object with `name` and `in`.
    #[error("a parameter is not an object with `name` and `in`")]
    Shape,
    /// An unknown place.
    #[error("the parameter `{name}` has `in: {place}`, which is none of path, query, header, cookie")]
    Place {
        /// The parameter.
        name: String,
        /// What it says.
        place: String,
    },
    /// A style that its place does not have.
    #[error("the parameter `{name}` has the style `{style}`, which `in: {place}` does not have")]
    Style {
        /// The parameter.
        name: String,
        /// What it says.
        style: String,
        /// Where it stands.
        place: &'static str,
    },
    /// A header name that HTTP does not have.
    #[error("the header parameter `{0}` is not a header name")]
    HeaderName(String),
}

/// How a parameter's value becomes text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// By a style.
    Styled { style: Style, explode: bool, reserved: bool },
    /// As JSON text (`content`).
    Json,
    /// As it is (`content` of another media type).
    Text,
}

/// A parameter as the document has it.
#[derive(Debug, Clone)]
pub(crate) struct Declared<'d> {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) required: bool,
    pub(crate) form: Form,
    pub(crate) schema: &'d Value,
    pub(crate) description: Option<&'d str>,
    pub(crate) deprecated: bool,
}

/// A parameter of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    /// The argument's name.
    pub(crate) argument: String,
    /// The name on the wire.
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) form: Form,
    pub(crate) required: bool,
}

/// A credential of `securitySchemes` that travels as a parameter: its place and name.
pub(crate) type Credentials = BTreeSet<(Place, String)>;

/// The `apiKey` credentials of a document.
pub(crate) fn credentials(document: &Value, refs: &Refs<'_>) -> Credentials {
    let schemes = document.pointer("/components/securitySchemes").and_then(Value::as_object);
    let named = |scheme| {
        let scheme = refs.deref(scheme).ok()?;
        let place = place(scheme.get("in")?.as_str()?)?;
        let name = scheme.get("name")?.as_str()?;
        (scheme.get("type")? == "apiKey").then(|| (place, key(place, name)))
    };
    schemes.into_iter().flat_map(Map::values).filter_map(named).collect()
}

/// Headers are one name in every spelling.
fn key(place: Place, name: &str) -> String {
    if place == Place::Header { name.to_ascii_lowercase() } else { name.to_owned() }
}

/// The parameters of an operation: its own and those of its path item, its own winning. In the document's order.
pub(crate) fn declared<'d>(
    item: &'d Value,
    operation: &'d Value,
    refs: &Refs<'d>,
    credentials: &Credentials,
) -> Result<Vec<Declared<'d>>, ParameterError> {
    let mut found: Vec<Declared<'d>> = Vec::new();
    for level in [item, operation] {
        for raw in level.get("parameters").and_then(Value::as_array).into_iter().flatten() {
            let Some(parameter) = read(refs.deref(raw)?)? else { continue };
            if credentials.contains(&(parameter.place, key(parameter.place, &parameter.name))) {
                continue;
            }
            let same = |other: &Declared<'_>| {
                other.place == parameter.place && key(other.place, &other.name) == key(parameter.place, &parameter.name)
            };
            match found.iter_mut().find(|other| same(other)) {
                Some(other) => *other = parameter,
                None => found.push(parameter),
            }
        }
    }
    Ok(found)
}

/// A path variable that the document uses without declaring it.
pub(crate) fn undeclared(name: &str) -> Declared<'static> {
    Declared {
        name: name.to_owned(),
        place: Place::Path,
        required: true,
        form: Form::Styled { style: Style::Simple, explode: false, reserved: false },
        schema: any_string(),
        description: None,
        deprecated: false,
    }
}

fn any_string() -> &'static Value {
    static ANY_STRING: LazyLock<Value> = LazyLock::new(|| json!({"type": "string"}));
    &ANY_STRING
}

/// Reads one parameter; `None` for one that is not the caller's to set.
fn read(raw: &Value) -> Result<Option<Declared<'_>>, ParameterError> {
    let name = raw.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()).ok_or(ParameterError::Shape)?;
    let place_text = raw.get("in").and_then(Value::as_str).ok_or(ParameterError::Shape)?;
    let shown = clean(name, 80);
    let place =
        place(place_text).ok_or_else(|| ParameterError::Place { name: shown.clone(), place: clean(place_text, 40) })?;
    if place == Place::Header {
        if http::HeaderName::try_from(name).is_err() {
            return Err(ParameterError::HeaderName(shown));
        }
        if is_kept_header(name) {
            return Ok(None);
        }
    }
    let (form, schema) = match content(raw) {
        Some(content) => content,
        None => (styled(raw, place, &shown)?, raw.get("schema").unwrap_or_else(|| any_string())),
    };
    let description = raw.get("description").and_then(Value::as_str);
    Ok(Some(Declared {
        name: wire_name(name, place, form, raw, schema),
        place,
        required: place == Place::Path || raw.get("required").and_then(Value::as_bool) == Some(true),
        form,
        schema,
        description,
        deprecated: raw.get("deprecated").and_then(Value::as_bool) == Some(true),
    }))
}

fn place(text: &str) -> Option<Place> {
    match text {
        "path" => Some(Place::Path),
        "query" => Some(Place::Query),
        "header" => Some(Place::Header),
        "cookie" => Some(Place::Cookie),
        _ => None,
    }
}

/// `content` instead of `schema`: exactly one media type.
fn content(raw: &Value) -> Option<(Form, &Value)> {
    let content = raw.get("content")?.as_object()?;
    let (media, entry) = content.iter().min_by_key(|(media, _)| (!crate::body::is_json(media), media.as_str()))?;
    let form = if crate::body::is_json(media) { Form::Json } else { Form::Text };
    Some((form, entry.get("schema").unwrap_or_else(|| any_string())))
}

fn styled(raw: &Value, place: Place, shown: &str) -> Result<Form, ParameterError> {
    let text = raw.get("style").and_then(Value::as_str);
    let style = match (place, text) {
        (Place::Path | Place::Header, None | Some("simple")) => Style::Simple,
        (Place::Path, Some("label")) => Style::Label,
        (Place::Path, Some("matrix")) => Style::Matrix,
        (Place::Query | Place::Cookie, None | Some("form")) => Style::Form,
        (Place::Query, Some("spaceDelimited")) => Style::Space,
        (Place::Query, Some("pipeDelimited")) => Style::Pipe,
        (Place::Query, Some("deepObject")) => Style::DeepObject,
        (_, other) => {
            let style = clean(other.unwrap_or_default(), 40);
            return Err(ParameterError::Style { name: shown.to_owned(), style, place: place.as_str() });
        }
    };
    // `form` explodes unless told otherwise; `deepObject` has no other form.
    let by_default = matches!(style, Style::Form | Style::DeepObject);
    let explode = raw.get("explode").and_then(Value::as_bool).unwrap_or(by_default);
    let reserved = place == Place::Query && raw.get("allowReserved").and_then(Value::as_bool) == Some(true);
    Ok(Form::Styled { style, explode, reserved })
}

/// The name on the wire. Some documents declare a list `ids` and say only in prose that it is sent as `ids[]=`; without
/// an explicit style, those words count.
fn wire_name(name: &str, place: Place, form: Form, raw: &Value, schema: &Value) -> String {
    let explodes = matches!(form, Form::Styled { style: Style::Form, explode: true, .. });
    let bracketed = format!("{name}[]");
    let said = |value: &Value| {
        let text = value.get("description").and_then(Value::as_str);
        text.is_some_and(|text| text.contains(&format!("{bracketed}=")))
    };
    let by_prose = place == Place::Query
        && explodes
        && raw.get("style").is_none()
        && raw.get("explode").is_none()
        && schema.get("type").is_some_and(|kind| kind == "array")
        && (said(raw) || said(schema));
    if by_prose { bracketed } else { name.to_owned() }
}

/// Headers that are the gateway's, the connection's or the body's, and those that turn one method into another or name
/// another client.
fn is_kept_header(name: &str) -> bool {
    const KEPT: [&str; 26] = [
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "cookie",
        "cookie2",
        "date",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "origin",
        "set-cookie",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-url",
        "x-real-ip",
        "x-rewrite-url",
        "http2-settings",
    ];
    const KEPT_FAMILIES: [&str; 5] = ["content-", "proxy-", "sec-", "x-forwarded-", "access-control-"];
    let name = name.to_ascii_lowercase();
    KEPT.contains(&name.as_str()) || KEPT_FAMILIES.iter().any(|family| name.starts_with(family))
}

#[cfg(test)]
mod tests;
