//! Path templates: literal text and variables, checked when compiled, expanded into exactly as many segments as written.
//!
//! A value fills one place inside one segment. One that is empty, a dot segment, or holds a separator, a control character
//! or an escape of one of these is refused: servers and proxies disagree on what those mean, and some decode twice. Where
//! several pieces make a segment, the whole of it is held to the same: half an escape in each of two values is one.

use serde_json::Value;

use super::BuildError;
use crate::encode::{percent_decode, push_template};
use crate::parameters::style::{self, Style};
use crate::parameters::{Form, Parameter};
use crate::text::clean;

/// Why a path cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Not absolute.
    #[error("the path `{0}` does not begin with `/`")]
    NotAbsolute(String),
    /// Braces that do not match.
    #[error("the path `{0}` has braces that do not match")]
    Braces(String),
    /// Text that would change the request's shape.
    #[error(
        "the path `{0}` has a query, a fragment, a backslash, a control character, a dot segment or an empty segment"
    )]
    Text(String),
}

/// A checked path template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    pieces: Vec<Piece>,
    /// Whether the document's own text, with a plain value in each place, is what a value may be: then the whole segment
    /// has to be as well. A document may write an encoded slash between two places, and means it.
    is_plain: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// Text of the document, encoded.
    Text(String),
    /// The wire name of a path parameter.
    Variable(String),
}

impl Template {
    pub(crate) fn parse(path: &str) -> Result<Self, TemplateError> {
        let shown = || clean(path, 200);
        let rest = path.strip_prefix('/').ok_or_else(|| TemplateError::NotAbsolute(shown()))?;
        if path.contains(['?', '#', '\\']) || path.chars().any(char::is_control) {
            return Err(TemplateError::Text(shown()));
        }
        let count = rest.split('/').count();
        let mut segments = Vec::with_capacity(count);
        for (index, segment) in rest.split('/').enumerate() {
            let pieces = pieces(segment).ok_or_else(|| TemplateError::Braces(shown()))?;
            let is_last = index + 1 == count;
            let literal: String =
                pieces.iter().map(|piece| if let Piece::Text(text) = piece { text.as_str() } else { "x" }).collect();
            if (segment.is_empty() && !is_last) || is_dots(&literal) {
                return Err(TemplateError::Text(shown()));
            }
            let is_plain = pieces.len() > 1 && check_whole(&literal).is_ok();
            segments.push(Segment { pieces, is_plain });
        }
        Ok(Self { segments })
    }

    /// The variables, in order.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().flat_map(|segment| &segment.pieces).filter_map(|piece| match piece {
            Piece::Variable(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// Appends the path.
    pub(crate) fn expand<'a>(
        &self,
        value_of: impl Fn(&str) -> Option<(&'a Parameter, Option<&'a Value>)>,
        out: &mut String,
    ) -> Result<(), BuildError> {
        for segment in &self.segments {
            out.push('/');
            let start = out.len();
            let mut last = None;
            for piece in &segment.pieces {
                match piece {
                    Piece::Text(text) => out.push_str(text),
                    Piece::Variable(name) => {
                        let (parameter, value) = value_of(name).ok_or_else(|| BuildError::Missing(name.clone()))?;
                        out.push_str(&written(parameter, value)?);
                        last = Some(parameter);
                    }
                }
            }
            // Two values beside each other, or a value beside a dot, may still be together what each is not.
            if let Some(parameter) = last {
                let whole = out.get(start..).unwrap_or_default();
                if whole.is_empty() || is_dots(whole) {
                    return Err(refused(parameter, "would be a dot segment"));
                }
                if segment.is_plain {
                    check_whole(whole).map_err(|problem| refused(parameter, problem))?;
                }
            }
        }
        Ok(())
    }
}

fn pieces(segment: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = segment;
    while let Some((text, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}')?;
        if text.contains('}') || name.is_empty() || name.contains('{') {
            return None;
        }
        push_text(&mut pieces, text);
        pieces.push(Piece::Variable(name.to_owned()));
        rest = tail;
    }
    if rest.contains('}') {
        return None;
    }
    push_text(&mut pieces, rest);
    Some(pieces)
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        let mut encoded = String::with_capacity(text.len());
        push_template(&mut encoded, text);
        pieces.push(Piece::Text(encoded));
    }
}

fn written(parameter: &Parameter, value: Option<&Value>) -> Result<String, BuildError> {
    let value =
        value.filter(|value| !value.is_null()).ok_or_else(|| BuildError::Missing(parameter.argument.clone()))?;
    match parameter.form {
        Form::Styled { style, explode, .. } => {
            let mut parts = Vec::new();
            collect(value, &mut parts);
            if parts.is_empty() {
                return Err(refused(parameter, "is empty"));
            }
            for part in &parts {
                check(part).map_err(|problem| refused(parameter, problem))?;
            }
            Ok(style::in_path(style, explode, &parameter.name, value))
        }
        Form::Json | Form::Text => {
            let text = if parameter.form == Form::Json {
                style::json(value)
            } else {
                style::text(value).unwrap_or_default().into_owned()
            };
            check(&text).map_err(|problem| refused(parameter, problem))?;
            Ok(style::in_path(Style::Simple, false, &parameter.name, &Value::String(text)))
        }
    }
}

/// Every text that a style writes for a value.
fn collect(value: &Value, parts: &mut Vec<String>) {
    match value {
        Value::Array(items) => parts.extend(items.iter().filter_map(style::text).map(std::borrow::Cow::into_owned)),
        Value::Object(object) => {
            for (name, item) in style::members(object) {
                parts.push(name.to_owned());
                parts.push(item.into_owned());
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            parts.extend(style::text(value).map(std::borrow::Cow::into_owned));
        }
    }
}

/// What a value inside a path must not be, as it stands and after it is decoded once, twice, three times.
fn check(text: &str) -> Result<(), &'static str> {
    check_bytes(text.as_bytes().to_vec())
}

fn check_bytes(mut seen: Vec<u8>) -> Result<(), &'static str> {
    for _ in 0..4 {
        if seen.is_empty() {
            return Err("is empty");
        }
        // `..;x` is a dot segment to servers that cut path parameters off.
        if matches!(seen.split(|byte| *byte == b';').next(), Some(b"." | b"..")) {
            return Err("is a dot segment");
        }
        if seen.iter().any(|byte| matches!(byte, b'/' | b'\\')) {
            return Err("has a slash or a backslash");
        }
        if seen.iter().any(u8::is_ascii_control) || String::from_utf8_lossy(&seen).chars().any(char::is_control) {
            return Err("has a control character");
        }
        let decoded = percent_decode(&seen);
        if decoded == seen {
            return Ok(());
        }
        seen = decoded;
    }
    Err("is percent-encoded several times")
}

/// The same for an encoded segment.
fn check_whole(segment: &str) -> Result<(), &'static str> {
    check_bytes(percent_decode(segment.as_bytes()))
}

fn is_dots(segment: &str) -> bool {
    matches!(percent_decode(segment.as_bytes()).as_slice(), b"." | b"..")
}

fn refused(parameter: &Parameter, problem: &'static str) -> BuildError {
    BuildError::Path { argument: parameter.argument.clone(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_checked_when_compiled() {
        for good in ["/", "/a/{b}", "/a/{b}.json", "/a/{b}...{c}", "/a/", "/a b/é", "/{a}{b}", "/a:run"] {
            assert!(Template::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "/a?b=c",
            "/a#b",
            "/a\\b",
            "//a",
            "/a//b",
            "/../a",
            "/a/./b",
            "/%2e%2e/a",
            "/a/{b",
            "/a/b}",
            "/{}",
            "/{a{b}}",
            "/a\nb",
            "/\0",
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
        let template = Template::parse("/repos/{owner}/compare/{base}...{head}").unwrap();
        assert_eq!(template.variables().collect::<Vec<_>>(), ["owner", "base", "head"]);
    }

    #[test]
    fn what_changes_a_path_is_refused_in_every_spelling() {
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a\\b",
            "/",
            "../../admin",
            "%2e%2e",
            "%2E%2e%2f",
            "%252e%252e",
            "a%2fb",
            "a%5cb",
            "a\r\nb",
            "a%0d%0ab",
            "a\0b",
            "a%00b",
            "..;x",
            ".;",
            "a\u{85}b",
            "%25252525252e",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "a..b", "main...dev", "…", "a b", "100%", "%zz", "a;b", "...", "日本", "a?b#c&d"] {
            assert!(check(good).is_ok(), "{good:?}");
        }
    }
}
