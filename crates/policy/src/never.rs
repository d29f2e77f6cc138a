//! Rules that can be seen to match never, whatever is called and by whom. A `forbid` that never matches protects nothing and
//! looks as if it did, so it is refused like one that does not fit the schema. What cannot be seen through is left alone.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::reads::path_of;

/// Why a rule never matches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Never {
    /// Why, in words.
    pub(crate) message: String,
    /// What to do.
    pub(crate) remedy: String,
    /// A text of the rule that shows where.
    pub(crate) at: Option<String>,
}

/// Facts with few values: where they are read, and what they can be.
const WORDS: [(&str, &[&str], &[&str]); 3] = [
    ("resource", &["effect"], &["read", "write", "destructive"]),
    ("principal", &["client", "assurance"], &["dynamic", "cimd-loopback", "cimd", "confidential"]),
    ("context", &["time", "weekday"], &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]),
];

/// Facts that are numbers: where they are read, and the largest; the smallest is 0.
const NUMBERS: [(&str, &[&str], i64); 3] = [
    ("context", &["time", "hour"], 23),
    ("context", &["time", "minute"], 59),
    ("context", &["login", "age_seconds"], i64::MAX),
];

const VARIABLES: [&str; 3] = ["principal", "resource", "context"];

/// What is seen in the conditions of a rule, in Cedar's JSON form.
pub(crate) fn seen_in(conditions: &Value) -> Option<Never> {
    impossible(conditions).or_else(|| contradiction(conditions))
}

/// A comparison that no value of its fact can satisfy.
fn impossible(expression: &Value) -> Option<Never> {
    match expression {
        Value::Array(items) => items.iter().find_map(impossible),
        Value::Object(node) => comparison(node).or_else(|| node.values().find_map(impossible)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn comparison(node: &serde_json::Map<String, Value>) -> Option<Never> {
    for operator in ["==", "!=", "<", "<=", ">", ">=", "contains"] {
        let Some(sides) = node.get(operator) else { continue };
        let (Some(left), Some(right)) = (sides.get("left"), sides.get("right")) else { continue };
        if operator == "contains" {
            // `["read", "wirte"].contains(resource.effect)`
            let listed = left.get("Set").and_then(Value::as_array).into_iter().flatten();
            return listed.filter_map(text_of).find_map(|text| no_such_word(right, text));
        }
        for (fact, value, turned) in [(left, right, false), (right, left, true)] {
            if let Some(never) = text_of(value).and_then(|text| no_such_word(fact, text)) {
                return Some(never);
            }
            let number = value.get("Value").and_then(Value::as_i64);
            if let Some(never) = number.and_then(|number| no_such_number(fact, (operator, turned), number)) {
                return Some(never);
            }
        }
    }
    None
}

fn text_of(value: &Value) -> Option<&str> {
    value.get("Value").and_then(Value::as_str)
}

fn no_such_word(fact: &Value, text: &str) -> Option<Never> {
    let (variable, path, words) = WORDS.iter().find(|(variable, path, _)| is_at(fact, variable, path))?;
    if words.contains(&text) {
        return None;
    }
    let name = format!("{variable}.{}", path.join("."));
    let words = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    Some(Never {
        message: format!("`{name}` is never `{text}`"),
        remedy: format!("it is one of {words}"),
        at: Some(format!("\"{text}\"")),
    })
}

fn no_such_number(fact: &Value, (operator, turned): (&str, bool), number: i64) -> Option<Never> {
    let (variable, path, most) = NUMBERS.iter().find(|(variable, path, _)| is_at(fact, variable, path))?;
    // `5 > fact` is `fact < 5`.
    let operator = match (operator, turned) {
        ("<", true) => ">",
        ("<=", true) => ">=",
        (">", true) => "<",
        (">=", true) => "<=",
        (as_it_is, _) => as_it_is,
    };
    let possible = match operator {
        "==" => (0..=*most).contains(&number),
        "<" => number > 0,
        "<=" => number >= 0,
        ">" => number < *most,
        ">=" => number <= *most,
        // Whatever it is unequal to, something is.
        _ => true,
    };
    if possible {
        return None;
    }
    let name = format!("{variable}.{}", path.join("."));
    let range = if *most == i64::MAX { "0 or more".to_owned() } else { format!("0 to {most}") };
    Some(Never {
        message: format!("`{name}` is never {operator} {number}"),
        remedy: format!("it is {range}"),
        at: Some(path.last().copied().unwrap_or_default().to_owned()),
    })
}

fn is_at(fact: &Value, variable: &str, path: &[&str]) -> bool {
    path_of(fact, variable).is_some_and(|read| read == path)
}

/// Two conditions of which at most one holds: `when { a == 1 } when { a == 2 }`, `when { a == 1 } unless { a == 1 }`.
fn contradiction(conditions: &Value) -> Option<Never> {
    let mut must: BTreeMap<Vec<String>, &Value> = BTreeMap::new();
    let bodies = |kind: &'static str| {
        let all = conditions.as_array().into_iter().flatten();
        all.filter(move |condition| condition.get("kind").and_then(Value::as_str) == Some(kind))
            .filter_map(|condition| condition.get("body"))
    };
    for body in bodies("when") {
        for (fact, value) in joined(body, "&&").into_iter().filter_map(equality) {
            if let Some(other) = must.insert(fact.clone(), value).filter(|other| *other != value) {
                return Some(Never {
                    message: format!("`{}` cannot be {} and {} at once", fact.join("."), shown(other), shown(value)),
                    remedy: "join the two with `||`, or write two rules".to_owned(),
                    at: text_of(value).map(|text| format!("\"{text}\"")),
                });
            }
        }
    }
    for body in bodies("unless") {
        for (fact, value) in joined(body, "||").into_iter().filter_map(equality) {
            if must.get(&fact) == Some(&value) {
                return Some(Never {
                    message: format!(
                        "the rule asks that `{}` is {}, and leaves exactly that out",
                        fact.join("."),
                        shown(value)
                    ),
                    remedy: "take one of the two away".to_owned(),
                    at: text_of(value).map(|text| format!("\"{text}\"")),
                });
            }
        }
    }
    None
}

fn shown(value: &Value) -> String {
    let plain = value.get("Value").unwrap_or(value);
    match plain {
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

/// The parts of an expression that are joined by nothing but this operator.
fn joined<'a>(expression: &'a Value, operator: &str) -> Vec<&'a Value> {
    match expression.get(operator) {
        Some(both) => ["left", "right"]
            .into_iter()
            .filter_map(|side| both.get(side))
            .flat_map(|side| joined(side, operator))
            .collect(),
        None => vec![expression],
    }
}

/// A fact and the literal it is compared with.
fn equality(expression: &Value) -> Option<(Vec<String>, &Value)> {
    let sides = expression.get("==")?;
    let (left, right) = (sides.get("left")?, sides.get("right")?);
    [(left, right), (right, left)].into_iter().find_map(|(fact, value)| {
        value.get("Value")?;
        let read = |variable: &&str| Some((**variable).to_owned()).zip(path_of(fact, variable));
        let (variable, path) = VARIABLES.iter().find_map(read)?;
        Some((std::iter::once(variable).chain(path).collect(), value))
    })
}

#[cfg(test)]
mod tests {
    use cedar_policy::Policy;

    use super::*;

    fn seen(conditions: &str) -> Option<String> {
        let policy = Policy::parse(None, format!("forbid (principal, action, resource) {conditions};")).unwrap();
        seen_in(policy.to_json().unwrap().get("conditions").unwrap()).map(|never| never.message)
    }

    #[test]
    fn a_comparison_that_nothing_satisfies_is_seen() {
        for (conditions, message) in [
            ("when { resource.effect == \"destroy\" }", "`resource.effect` is never `destroy`"),
            ("unless { \"Read\" == resource.effect }", "`resource.effect` is never `Read`"),
            ("when { resource.effect != \"delete\" }", "`resource.effect` is never `delete`"),
            ("when { [\"read\", \"wirte\"].contains(resource.effect) }", "`resource.effect` is never `wirte`"),
            (
                "when { resource.accepted && principal.client.assurance == \"strong\" }",
                "`principal.client.assurance` is never `strong`",
            ),
            ("when { context.time.weekday == \"Sunday\" }", "`context.time.weekday` is never `Sunday`"),
            ("when { context.time.hour == 24 }", "`context.time.hour` is never == 24"),
            ("when { context.time.hour >= 24 || context.time.hour < 6 }", "`context.time.hour` is never >= 24"),
            ("when { 0 > context.time.minute }", "`context.time.minute` is never < 0"),
            ("when { context.time.minute > 59 }", "`context.time.minute` is never > 59"),
            ("when { context has login && context.login.age_seconds < 0 }", "`context.login.age_seconds` is never < 0"),
        ] {
            assert_eq!(seen(conditions).as_deref(), Some(message), "{conditions}");
        }
    }

    #[test]
    fn conditions_that_exclude_each_other_are_seen() {
        for (conditions, part) in [
            ("when { resource.effect == \"read\" && resource.effect == \"write\" }", "cannot be `read` and `write`"),
            (
                "when { resource.server.slug == \"a\" } when { \"b\" == resource.server.slug }",
                "`resource.server.slug` cannot be `a` and `b`",
            ),
            ("when { principal.operator == true } unless { principal.operator == true }", "leaves exactly that out"),
            (
                "when { context.arguments.n == 1 } unless { context.approved || context.arguments.n == 1 }",
                "`context.arguments.n` is `1`",
            ),
        ] {
            let message = seen(conditions).unwrap_or_default();
            assert!(message.contains(part), "{conditions}: {message}");
        }
    }

    #[test]
    fn what_may_match_is_left_alone() {
        for conditions in [
            "",
            "when { resource.effect == \"write\" || resource.effect == \"read\" }",
            "when { resource.effect == \"write\" } unless { resource.effect == \"read\" }",
            "when { [\"read\", \"write\"].contains(resource.effect) }",
            "when { resource.server.environment == \"anything\" }",
            "when { context.time.hour < 24 && context.time.hour >= 0 && 23 == context.time.hour }",
            "when { context.time.weekday != \"sunday\" }",
            "when { resource.effect == principal.wish }",
            "when { resource.effect == \"read\" } unless { resource.effect == \"read\" && context.approved }",
            "when { context.arguments.effect == \"destroy\" }",
        ] {
            assert_eq!(seen(conditions), None, "{conditions}");
        }
    }
}
