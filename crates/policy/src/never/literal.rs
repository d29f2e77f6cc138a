//! Literals of rules, and the facts they are compared with.

use std::fmt;

use jiff::{Timestamp, civil::Date};
use serde_json::{Map, Value};

use super::facts::{self, Fact};

/// A value that stands in a rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Literal {
    /// `"text"`
    Text(String),
    /// `7`
    Number(i64),
    /// `true`
    Truth(bool),
    /// `datetime("…")`, with its text.
    Instant(i64, String),
    /// `Type::"id"`
    Entity(String, String),
}

impl Literal {
    /// The literal an expression is.
    pub(crate) fn of(expression: &Value) -> Option<Self> {
        if let Some(negated) = expression.get("neg") {
            return match Self::of(negated.get("arg")?)? {
                Self::Number(number) => Some(Self::Number(number.checked_neg()?)),
                Self::Text(_) | Self::Truth(_) | Self::Instant(..) | Self::Entity(..) => None,
            };
        }
        if let Some(arguments) = expression.get("datetime").and_then(Value::as_array) {
            let text = arguments.first()?.get("Value")?.as_str()?;
            return Some(Self::Instant(instant(text)?, text.to_owned()));
        }
        match expression.get("Value")? {
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Number(number) => number.as_i64().map(Self::Number),
            Value::Bool(truth) => Some(Self::Truth(*truth)),
            Value::Object(members) => {
                let entity = members.get("__entity")?;
                let part = |name| entity.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
                Some(Self::Entity(part("type")?, part("id")?))
            }
            Value::Null | Value::Array(_) => None,
        }
    }

    /// The text between the quotes.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Instant(_, text) | Self::Entity(_, text) => Some(text),
            Self::Number(_) | Self::Truth(_) => None,
        }
    }

    /// What it is on a line of numbers.
    pub(crate) fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) | Self::Instant(number, _) => Some(*number),
            Self::Text(_) | Self::Truth(_) | Self::Entity(..) => None,
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Instant(_, text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Truth(truth) => write!(f, "{truth}"),
            Self::Entity(kind, id) => write!(f, "{kind}::\"{id}\""),
        }
    }
}

/// The instant of a text, as the engine reads it. What is not read here is left alone.
fn instant(text: &str) -> Option<i64> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_millisecond());
    }
    let day: Date = text.parse().ok().filter(|day: &Date| day.to_string() == text)?;
    format!("{day}T00:00:00Z").parse().ok().map(Timestamp::as_millisecond)
}

/// A fact, how it is compared, and with what. The operator is turned so that the fact stands left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Compared<'a> {
    pub(crate) fact: Fact,
    pub(crate) operator: &'a str,
    pub(crate) literal: Literal,
}

/// Every comparison of a fact with a literal that a node makes by itself.
pub(crate) fn compared(node: &Map<String, Value>) -> Vec<Compared<'static>> {
    let mut found = Vec::new();
    let mut add = |fact: &Value, operator: &'static str, literal: &Value| {
        let each = match literal.get("Set").and_then(Value::as_array) {
            Some(items) => items.iter().collect(),
            None => vec![literal],
        };
        let Some(fact) = facts::of(fact) else { return };
        let literals = each.into_iter().filter_map(Literal::of);
        found.extend(literals.map(|literal| Compared { fact: fact.clone(), operator, literal }));
    };
    let turned = |operator: &'static str| match operator {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        as_it_is => as_it_is,
    };
    for operator in ["==", "!=", "<", "<=", ">", ">=", "in", "contains", "containsAny", "containsAll"] {
        let Some(sides) = node.get(operator) else { continue };
        let (Some(left), Some(right)) = (sides.get("left"), sides.get("right")) else { continue };
        // Of what a set holds it is asked like of what a fact is.
        let operator = if operator.starts_with("contains") || operator == "in" { "==" } else { operator };
        add(left, operator, right);
        add(right, turned(operator), left);
    }
    found
}
