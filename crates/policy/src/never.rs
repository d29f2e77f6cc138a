//! Rules that can be seen to match never, whatever is called and by whom. A `forbid` that never matches protects nothing and
//! looks as if it did, so it is refused like one that does not fit the schema. What cannot be seen through is left alone.
//!
//! Only what holds of every deployment at every time is refused here. A name that nothing has today may have something
//! tomorrow: that is told by [`crate::names`].

use serde_json::{Map, Value};

use facts::{Kind, NOTHING_BEFORE};
use literal::{Compared, Literal, compared};

mod conflict;
pub(crate) mod facts;
mod formula;
pub(crate) mod literal;
mod pattern;

/// Why a rule never matches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Never {
    /// Whether it is a part of the rule, one way to match among others.
    pub(crate) part: bool,
    /// Why, in words.
    pub(crate) message: String,
    /// What to do.
    pub(crate) remedy: String,
    /// A text of the rule that shows where.
    pub(crate) at: Option<String>,
}

/// What is seen in the conditions of a rule, in Cedar's JSON form.
pub(crate) fn seen_in(conditions: &Value) -> Option<Never> {
    impossible(conditions).or_else(|| formula::contradiction(conditions))
}

/// A comparison that no value of its fact can satisfy.
fn impossible(expression: &Value) -> Option<Never> {
    match expression {
        Value::Array(items) => items.iter().find_map(impossible),
        Value::Object(node) => comparison(node).or_else(|| node.values().find_map(impossible)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn comparison(node: &Map<String, Value>) -> Option<Never> {
    compared(node).iter().find_map(unsatisfiable).or_else(|| unlike(node))
}

fn unsatisfiable(compared: &Compared<'_>) -> Option<Never> {
    let Compared { fact, operator, literal } = compared;
    let never = |said: &str, remedy: String| {
        let verb = if fact.is_set { "never holds" } else { "is never" };
        Never {
            part: false,
            message: format!("`{}` {verb} {said}", fact.name()),
            remedy,
            at: literal.text().map(|text| format!("\"{text}\"")).or_else(|| fact.path.last().map(ToString::to_string)),
        }
    };
    let in_quotes = format!("`{literal}`");
    if let Literal::Text(text) = literal
        && let Err(remedy) = fact.kind.takes(text)
    {
        return Some(never(&in_quotes, remedy));
    }
    let (number, low, high) = match (&fact.kind, literal) {
        (Kind::Number { most }, Literal::Number(number)) => (*number, 0, *most),
        (Kind::Instant, Literal::Instant(at, _)) => (*at, NOTHING_BEFORE, i64::MAX),
        _ => return None,
    };
    let possible = match *operator {
        "==" => (low..=high).contains(&number),
        "<" => number > low,
        "<=" => number >= low,
        ">" => number < high,
        ">=" => number <= high,
        // Whatever it is unequal to, something is.
        _ => true,
    };
    let remedy = match (&fact.kind, high) {
        (Kind::Instant, _) => "that time is over: take the rule away".to_owned(),
        (_, i64::MAX) => "it is 0 or more".to_owned(),
        (_, most) => format!("it is 0 to {most}"),
    };
    (!possible).then(|| never(&format!("{operator} {literal}"), remedy))
}

/// A pattern that no value of its fact has.
fn unlike(node: &Map<String, Value>) -> Option<Never> {
    let like = node.get("like")?;
    let fact = facts::of(like.get("left")?)?;
    let pattern = pattern::Pattern::of(like.get("pattern")?)?;
    let (possible, remedy) = match fact.kind {
        Kind::Words(words) => (words.iter().any(|word| pattern.fits(word)), facts::one_of(words)),
        Kind::Date => (pattern.may_be_a_date(), facts::DATE.to_owned()),
        _ => return None,
    };
    let message = format!("`{}` is never like `{pattern}`", fact.name());
    (!possible).then(|| Never { part: false, message, remedy, at: Some(format!("\"{pattern}\"")) })
}

#[cfg(test)]
mod tests;
