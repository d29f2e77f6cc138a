//! Descriptions in words, for people and models: what an argument may be.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    alternatives::{Alternative, Slot},
    node::{Bound, ListLimits, Node, NumberLimits, Rule, TextLimits},
    types::Types,
};

/// How many values, and how much of each, a short text holds.
const SHORT_VALUES: usize = 12;
const SHORT_CHARS: usize = 80;

/// Whether everything is told, or only enough to find the mistake.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Full,
    Short,
}

/// Grants by name.
pub(super) fn origins(origins: &BTreeSet<Box<str>>) -> String {
    list(origins.iter().map(|origin| quoted(origin, Length::Short)).collect(), "and")
}

/// One combination: what each argument must be.
pub(super) fn combination(alternative: &Alternative, length: Length) -> String {
    let clauses: Vec<_> = alternative.slots.iter().map(|(name, slot)| clause(name, slot, length)).collect();
    list(clauses, "and")
}

/// `` `name` must be … ``
pub(super) fn clause(name: &str, slot: &Slot, length: Length) -> String {
    let name = quoted(name, length);
    let value = one_of(&slot.values, length);
    match (slot.may_be_absent, slot.values.as_slice()) {
        (_, []) => format!("{name} must be left out"),
        (false, nodes) if nodes.iter().any(Node::is_any) => format!("{name} must be given"),
        (false, _) => format!("{name} must be {value}"),
        (true, _) => format!("{name} must be {value}, or left out"),
    }
}

/// What one of these descriptions holds of, after "must be".
pub(super) fn one_of(nodes: &[Node], length: Length) -> String {
    list(nodes.iter().map(|node| node_text(node, length)).collect(), "or")
}

/// A description, after "must be".
pub(super) fn node_text(node: &Node, length: Length) -> String {
    if let Some(values) = &node.values {
        return finite(values, length);
    }
    if node.types == Types::ALL && node.is_any() {
        return "any value".to_owned();
    }
    let kinds = node.types.names().into_iter().map(|name| kind(name, node, length)).collect();
    list(kinds, "or")
}

/// A piece of the caller's or an author's text: in backticks, on one line, of bounded length.
pub(super) fn quoted(text: &str, length: Length) -> String {
    let limit = match length {
        Length::Full => usize::MAX,
        Length::Short => SHORT_CHARS,
    };
    let mut out = String::from("`");
    for (count, c) in text.chars().enumerate() {
        if count == limit {
            out.push('…');
            break;
        }
        match c {
            '`' => out.push('\''),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out.push('`');
    out
}

/// A value, as [`quoted`].
pub(super) fn value_text(value: &Value, length: Length) -> String {
    match value {
        Value::String(text) if text.is_empty() => quoted("\"\"", length),
        Value::String(text) if serde_json::from_str::<Value>(text).is_ok() => {
            // Without its quotes it would read like another value.
            quoted(&value.to_string(), length)
        }
        Value::String(text) => quoted(text, length),
        _ => quoted(&value.to_string(), length),
    }
}

fn finite(values: &[Value], length: Length) -> String {
    if length == Length::Full || values.len() <= SHORT_VALUES {
        return list(values.iter().map(|value| value_text(value, length)).collect(), "or");
    }
    let first: Vec<_> = values.iter().take(SHORT_VALUES).map(|value| value_text(value, length)).collect();
    format!("one of {} values such as {}", values.len(), first.join(", "))
}

fn kind(name: &str, node: &Node, length: Length) -> String {
    match name {
        "string" => text(&node.text, length),
        "number" => number("a number", &node.number),
        "integer" => number("a whole number", &node.number),
        "boolean" => "`true` or `false`".to_owned(),
        "array" => array(&node.list, length),
        "object" => object(node, length),
        _ => "`null`".to_owned(),
    }
}

fn text(limits: &TextLimits, length: Length) -> String {
    let mut out = "a text".to_owned();
    out.push_str(&count(limits.min, limits.max, "character"));
    let patterns: Vec<_> = limits.patterns.iter().map(|pattern| quoted(pattern.source(), length)).collect();
    if !patterns.is_empty() {
        out.push_str(" that matches ");
        out.push_str(&list(patterns, "and"));
    }
    out
}

fn number(kind: &str, limits: &NumberLimits) -> String {
    let end = |bound: &Option<Bound>, closed: &str, open: &str| {
        bound.as_ref().map(|bound| format!("{} `{}`", if bound.open { open } else { closed }, bound.at))
    };
    let mut parts: Vec<String> = Vec::new();
    parts.extend(end(&limits.min, "of at least", "above"));
    parts.extend(end(&limits.max, "of at most", "below"));
    parts.extend(limits.steps.iter().map(|step| format!("a multiple of `{step}`")));
    if parts.is_empty() { kind.to_owned() } else { format!("{kind} {}", list(parts, "and")) }
}

fn array(limits: &ListLimits, length: Length) -> String {
    let items = limits.items.as_ref().map(|items| format!(" in which each is {}", node_text(items, length)));
    format!("a list{}{}", count(limits.min, limits.max, "element"), items.unwrap_or_default())
}

fn object(node: &Node, length: Length) -> String {
    if node.members.is_empty() {
        return "an object".to_owned();
    }
    let slot = |rule: &Rule| Slot { may_be_absent: rule.may_be_absent, values: rule.value.iter().cloned().collect() };
    let clauses = node.members.iter().map(|(name, rule)| clause(name, &slot(rule), length)).collect();
    format!("an object in which {}", list(clauses, "and"))
}

fn count(min: u64, max: Option<u64>, unit: &str) -> String {
    let plural = |number: u64| if number == 1 { unit.to_owned() } else { format!("{unit}s") };
    match (min, max) {
        (0, None) => String::new(),
        (min, None) => format!(" of at least {min} {}", plural(min)),
        (0, Some(max)) => format!(" of at most {max} {}", plural(max)),
        (min, Some(max)) if min == max => format!(" of exactly {min} {}", plural(min)),
        (min, Some(max)) => format!(" of {min} to {max} {}", plural(max)),
    }
}

/// `a`, `a or b`, `a, b or c`.
fn list(mut parts: Vec<String>, word: &str) -> String {
    let Some(last) = parts.pop() else { return String::new() };
    if parts.is_empty() { last } else { format!("{} {word} {last}", parts.join(", ")) }
}
