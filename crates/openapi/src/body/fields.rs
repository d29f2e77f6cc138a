//! Members of form-encoded and multipart bodies: each written as its `encoding` entry says.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value, json};

use super::{essence, is_json, is_text, multipart::Part};
use crate::parameters::style::{self, Style};
use crate::plan::BuildError;
use crate::text::clean;

/// What `encoding` says about the members of a body.
#[derive(Debug, Clone, Default)]
pub(super) struct FieldForms {
    forms: BTreeMap<String, FieldForm>,
    /// Members that are bytes, or lists of bytes.
    files: BTreeSet<String>,
}

#[derive(Debug, Clone, Default)]
struct FieldForm {
    style: Option<(Style, bool)>,
    reserved: bool,
    media: Option<String>,
}

/// Members of a file argument.
const FILE_BYTES: &str = "base64";
const FILE_NAME: &str = "filename";
const FILE_MEDIA: &str = "media_type";

impl FieldForms {
    /// Reads `encoding` of a media type whose converted schema is `schema`.
    pub(super) fn read(entry: &Value, schema: &Value) -> Self {
        let encoding = entry.get("encoding").and_then(Value::as_object);
        let forms: BTreeMap<_, _> =
            encoding.into_iter().flatten().map(|(name, raw)| (name.clone(), FieldForm::read(raw))).collect();
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let files = properties
            .filter(|(name, member)| {
                let media = forms.get(*name).and_then(|form: &FieldForm| form.media.as_deref());
                let by_media = media.is_some_and(|media| !is_json(media) && !is_text(media));
                let member = member.get("items").unwrap_or(member);
                is_bytes(member) || (by_media && is_string(member))
            })
            .map(|(name, _)| name.clone())
            .collect();
        Self { forms, files }
    }

    /// `application/x-www-form-urlencoded` text.
    pub(super) fn urlencoded(&self, body: &Map<String, Value>) -> String {
        let mut members: Vec<_> = body.iter().collect();
        members.sort_unstable_by(|one, other| one.0.cmp(other.0));
        let pairs = members.into_iter().flat_map(|(name, value)| {
            let form = self.forms.get(name);
            let (style, explode) = form.and_then(|form| form.style).unwrap_or((Style::Form, true));
            let reserved = form.is_some_and(|form| form.reserved);
            match value {
                // Without a style, an object is one field of JSON text.
                Value::Object(_) if form.is_none_or(|form| form.style.is_none()) => {
                    vec![(style::encoded(name), style::encoded(&style::json(value)))]
                }
                _ => style::in_query(style, explode, reserved, name, value),
            }
        });
        pairs.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }

    /// The parts of a multipart body, by name.
    pub(super) fn parts(&self, body: &Map<String, Value>) -> Result<Vec<Part>, BuildError> {
        let mut members: Vec<_> = body.iter().collect();
        members.sort_unstable_by(|one, other| one.0.cmp(other.0));
        let mut parts = Vec::new();
        for (name, value) in members {
            let items = match value {
                Value::Array(items) => items.as_slice(),
                single => std::slice::from_ref(single),
            };
            for item in items {
                parts.extend(self.part(name, item)?);
            }
        }
        Ok(parts)
    }

    fn part(&self, name: &str, value: &Value) -> Result<Option<Part>, BuildError> {
        let media = self.forms.get(name).and_then(|form| form.media.clone());
        let Some(text) = style::text(value) else { return Ok(None) };
        if self.files.contains(name) {
            let file = value.as_object().ok_or_else(|| BuildError::Base64(name.to_owned()))?;
            return self::file(name, file, media).map(Some);
        }
        let media = media
            .filter(|media| !media.contains('*'))
            .or_else(|| value.is_object().then(|| "application/json".to_owned()));
        Ok(Some(Part { name: name.to_owned(), filename: None, media, bytes: text.into_owned().into_bytes() }))
    }

    /// A member's schema as an argument: bytes become a file object.
    pub(super) fn shown(&self, name: &str, schema: Value) -> Value {
        match schema {
            schema if !self.files.contains(name) => schema,
            Value::Object(mut members) if members.contains_key("items") => {
                if let Some(items) = members.get_mut("items") {
                    *items = file_schema(items);
                }
                Value::Object(members)
            }
            schema => file_schema(&schema),
        }
    }

    /// The same for every member of a whole body.
    pub(super) fn shown_members(&self, mut schema: Value) -> Value {
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            for (name, member) in properties.iter_mut() {
                *member = self.shown(name, member.take());
            }
        }
        schema
    }
}

impl FieldForm {
    fn read(raw: &Value) -> Self {
        let explode = raw.get("explode").and_then(Value::as_bool);
        let style = match raw.get("style").and_then(Value::as_str) {
            Some("spaceDelimited") => Some((Style::Space, explode.unwrap_or(false))),
            Some("pipeDelimited") => Some((Style::Pipe, explode.unwrap_or(false))),
            Some("deepObject") => Some((Style::DeepObject, explode.unwrap_or(true))),
            Some("form") => Some((Style::Form, explode.unwrap_or(true))),
            Some(_) | None => explode.map(|explode| (Style::Form, explode)),
        };
        // Several media types are a choice; the first one is concrete more often than not.
        let media = raw.get("contentType").and_then(Value::as_str).and_then(|media| media.split(',').next());
        let media = media.map(str::trim).filter(|media| is_media_type(media)).map(str::to_owned);
        Self { style, reserved: raw.get("allowReserved").and_then(Value::as_bool) == Some(true), media }
    }
}

fn is_string(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "string")
}

/// 3.0 says `format: binary`, 3.1 a string with a media type and no encoding of its own.
fn is_bytes(schema: &Value) -> bool {
    let text = |key: &str| schema.get(key).and_then(Value::as_str);
    let by_media = text("contentMediaType").is_some_and(|media| !is_json(media) && !is_text(media));
    text("format") == Some("binary") || (by_media && text("contentEncoding").is_none())
}

fn file_schema(schema: &Value) -> Value {
    let about = schema.get("description").and_then(Value::as_str).unwrap_or("A file.");
    json!({
        "type": "object",
        "description": clean(about, 1_000),
        "properties": {
            FILE_BYTES: {"type": "string", "contentEncoding": "base64", "description": "The bytes of the file, as base64."},
            FILE_NAME: {"type": "string", "maxLength": 255, "description": "The name of the file, without a folder."},
            FILE_MEDIA: {"type": "string", "maxLength": 127, "description": "The media type of the file, e.g. `image/png`."},
        },
        "required": [FILE_BYTES],
        "additionalProperties": false,
    })
}

fn file(name: &str, file: &Map<String, Value>, media: Option<String>) -> Result<Part, BuildError> {
    let text = |key: &str| file.get(key).and_then(Value::as_str);
    let bytes = base64(text(FILE_BYTES).unwrap_or_default(), name)?;
    let filename = text(FILE_NAME).unwrap_or(name);
    if filename.is_empty() || filename.chars().any(|c| c.is_control() || matches!(c, '/' | '\\')) {
        return Err(BuildError::FileName(name.to_owned()));
    }
    let media = match text(FILE_MEDIA) {
        Some(media) if is_media_type(media) => Some(media.to_owned()),
        Some(_) => return Err(BuildError::MediaType(name.to_owned())),
        None => media.filter(|media| !media.contains('*')),
    };
    let media = media.or_else(|| Some("application/octet-stream".to_owned()));
    Ok(Part { name: name.to_owned(), filename: Some(filename.to_owned()), media, bytes })
}

/// `type/subtype` of token characters: nothing that could end a header line or open a parameter.
fn is_media_type(media: &str) -> bool {
    let token =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-*".contains(&b));
    essence(media) == media.to_ascii_lowercase()
        && media.split_once('/').is_some_and(|(kind, sub)| token(kind) && token(sub))
}

/// Decodes base64 in the standard alphabet, with or without padding; white space between is skipped.
pub(super) fn base64(text: &str, argument: &str) -> Result<Vec<u8>, BuildError> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let compact: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    LENIENT.decode(compact).map_err(|_| BuildError::Base64(argument.to_owned()))
}
