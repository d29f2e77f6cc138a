//! The text of a configuration file as a tree that knows its lines. No meaning yet, and no failure but syntax.

use std::ops::Range;

use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use super::place::{Place, Step};

/// A value with where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    /// Byte offsets of what names it: its key, or itself inside an array.
    pub span: Range<usize>,
    /// What it is.
    pub value: Value,
}

/// A TOML value.
#[derive(Debug, Clone)]
pub enum Value {
    /// A text.
    String(String),
    /// A whole number, if it fits.
    Integer(Option<i64>),
    /// Any other number, if it is one.
    Float(Option<f64>),
    /// True or false.
    Boolean(bool),
    /// A date or time, as written.
    Datetime(String),
    /// An array, or an array of tables.
    Array(Vec<Node>),
    /// A table in the order of the file.
    Table(Vec<(String, Node)>),
}

/// The syntax is broken.
#[derive(Debug)]
pub struct SyntaxError {
    /// What the parser says; never a line of the file.
    pub message: String,
    /// Where.
    pub span: Option<Range<usize>>,
}

impl Node {
    /// Reads the text. Every syntax error is reported, not the first alone.
    ///
    /// # Errors
    /// [`SyntaxError`]s in the order of the file.
    pub fn parse(text: &str) -> Result<Self, Vec<SyntaxError>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let error =
                |error: toml::de::Error| SyntaxError { message: error.message().to_owned(), span: error.span() };
            return Err(errors.into_iter().map(error).collect());
        }
        Ok(Self { span: 0..0, value: of_table(table.get_ref()) })
    }

    /// The value as JSON, whatever it is. A number that JSON does not have is null.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::String(text) | Value::Datetime(text) => Json::from(text.as_str()),
            Value::Integer(number) => Json::from(*number),
            Value::Float(number) => Json::from(*number),
            Value::Boolean(value) => Json::from(*value),
            Value::Array(items) => items.iter().map(Self::to_json).collect(),
            Value::Table(members) => {
                Json::Object(members.iter().map(|(key, node)| (key.clone(), node.to_json())).collect())
            }
        }
    }

    /// The member of a table.
    pub fn member(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Table(members) => members.iter().find(|(own, _)| own == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// What stands at a place, or the nearest thing around it.
    pub fn nearest(&self, place: &Place) -> &Self {
        let mut node = self;
        for step in place.steps() {
            let next = match (step, &node.value) {
                (Step::Key(key), _) => node.member(key),
                (Step::Index(index), Value::Array(items)) => items.get(*index),
                (Step::Index(_), _) => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }
}

impl Value {
    /// What it is called in messages.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Boolean(_) => "a boolean",
            Self::Datetime(_) => "a date",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

/// The line of a byte offset, from 1.
pub fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

fn of_table(table: &DeTable<'_>) -> Value {
    Value::Table(
        table
            .iter()
            .map(|(key, value)| {
                (key.get_ref().to_string(), Node { span: key.span(), value: of_value(value.get_ref()) })
            })
            .collect(),
    )
}

fn of_value(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Float(number) => Value::Float(number.as_str().parse().ok().filter(|number: &f64| number.is_finite())),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(time) => Value::Datetime(time.to_string()),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| Node { span: item.span(), value: of_value(item.get_ref()) }).collect())
        }
        DeValue::Table(table) => of_table(table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a = 1\n\n[servers.mux]\nowner = \"x\"\n\n[[grants]]\nuser = \"a\"\n[[grants]]\nuser = \"b\"\n";

    #[test]
    fn every_place_knows_its_line() {
        let tree = Node::parse(TEXT).unwrap();
        let line = |place: Place| line_of(TEXT, tree.nearest(&place).span.start);
        let root = Place::root();
        assert_eq!(line(root.key("a")), 1);
        assert_eq!(line(root.key("servers").key("mux").key("owner")), 4);
        assert_eq!(line(root.key("servers").key("mux").key("missing")), 3);
        assert_eq!(line(root.key("grants").index(1).key("user")), 9);
    }

    #[test]
    fn every_syntax_error_is_reported_without_the_line() {
        let errors = Node::parse("a = hunter2\nb = \"x\"\nc = = 1\n").unwrap_err();
        assert!(errors.len() >= 2, "{errors:?}");
        assert!(!format!("{errors:?}").contains("hunter2"));
    }
}
