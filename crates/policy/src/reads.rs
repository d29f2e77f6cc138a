//! What a rule reads of one of its variables, as paths of attributes. It tells the standing half of a decision from the
//! per-call half, and what a decision has to bring along. In doubt a rule reads everything.

use std::collections::BTreeSet;

use serde_json::Value;

/// The name under which the tags of an entity are read.
pub(crate) const TAGS: &str = "#tags";

/// Paths of attributes. The empty path is the whole.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Reads(BTreeSet<Read>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Read {
    path: Vec<String>,
    /// Only whether it is there.
    presence: bool,
}

impl Reads {
    /// Everything there is.
    pub(crate) fn everything() -> Self {
        Self(BTreeSet::from([Read { path: Vec::new(), presence: false }]))
    }

    /// What an expression (or anything that holds expressions) in Cedar's JSON form reads of a variable.
    pub(crate) fn of(expression: &Value, variable: &str) -> Self {
        let mut reads = Self::default();
        reads.walk(expression, variable);
        reads
    }

    /// Whether nothing is read.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether anything at, above or below a path is read.
    pub(crate) fn touches(&self, path: &[&str]) -> bool {
        self.0.iter().any(|read| run_together(&read.path, path))
    }

    /// Whether the value at a path is read as a whole.
    pub(crate) fn reads_whole(&self, path: &[&str]) -> bool {
        self.0.iter().any(|read| !read.presence && read.path.len() <= path.len() && run_together(&read.path, path))
    }

    /// Whether the value at a path, or a part of it, is read for more than its being there.
    pub(crate) fn reads_into(&self, path: &[&str]) -> bool {
        self.reads_whole(path)
            || self.0.iter().any(|read| read.path.len() > path.len() && run_together(&read.path, path))
    }

    /// Whether the whole, or this attribute of it, is read.
    pub(crate) fn touches_exactly(&self, attribute: &str) -> bool {
        self.0.iter().any(|read| read.path.first().is_none_or(|first| first == attribute))
    }

    /// The names read directly below a path.
    pub(crate) fn below(&self, path: &[&str]) -> BTreeSet<&str> {
        let longer = self.0.iter().filter(|read| run_together(&read.path, path));
        longer.filter_map(|read| read.path.get(path.len())).map(String::as_str).collect()
    }

    /// Adds what something else reads.
    pub(crate) fn add(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    fn walk(&mut self, expression: &Value, variable: &str) {
        if let Some(path) = path_of(expression, variable) {
            self.0.insert(Read { path, presence: expression.get("has").is_some() });
            return;
        }
        if let Some(tag) = expression.get("hasTag").or_else(|| expression.get("getTag"))
            && let Some(mut path) = tag.get("left").and_then(|left| path_of(left, variable))
        {
            path.push(TAGS.to_owned());
            self.0.insert(Read { path, presence: false });
            self.walk(tag.get("right").unwrap_or(&Value::Null), variable);
            return;
        }
        match expression {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item, variable)),
            Value::Object(members) => members.values().for_each(|member| self.walk(member, variable)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// Whether one of two paths starts with the other.
fn run_together(read: &[String], path: &[&str]) -> bool {
    read.iter().zip(path).all(|(read, asked)| read == asked)
}

/// The path an expression takes from a variable, if that is all it does: `context.a.b`, `context.a has b.c`.
pub(crate) fn path_of(expression: &Value, variable: &str) -> Option<Vec<String>> {
    let Value::Object(node) = expression else { return None };
    if node.get("Var").and_then(Value::as_str) == Some(variable) {
        return Some(Vec::new());
    }
    let step = node.get(".").or_else(|| node.get("has"))?;
    let mut path = path_of(step.get("left")?, variable)?;
    match step.get("attr")? {
        Value::String(attribute) => path.push(attribute.clone()),
        Value::Array(attributes) => {
            path.extend(
                attributes.iter().map(|attribute| attribute.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()?,
            );
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use cedar_policy::Policy;

    use super::*;

    fn reads(condition: &str) -> Vec<String> {
        let policy = format!("forbid (principal, action, resource) when {{ {condition} }};");
        let json = Policy::parse(None, policy).unwrap().to_json().unwrap();
        let reads = Reads::of(&json, "context").0;
        reads.iter().map(|read| read.path.join(".") + if read.presence { "?" } else { "" }).collect()
    }

    #[test]
    fn paths_are_read_off_wherever_they_stand() {
        for (condition, expected) in [
            ("resource.accepted", &[][..]),
            ("context.approved", &["approved"]),
            ("!(context.approved || resource.accepted)", &["approved"]),
            ("context.arguments.a.b == 1", &["arguments.a.b"]),
            ("context has source && context.source.isLoopback()", &["source", "source?"]),
            ("context has arguments.a && context.arguments.a == 1", &["arguments.a", "arguments.a?"]),
            ("context.arguments[\"x y\"] like \"a*\"", &["arguments.x y"]),
            ("[context.a].contains(if context.b then 1 else 2)", &["a", "b"]),
            ("{a: context}.a.b == 1", &[""]),
            ("context == {}", &[""]),
            ("context.who.hasTag(context.name) && context.who.getTag(\"a\") == 1", &["name", "who.#tags"]),
        ] {
            assert_eq!(reads(condition), expected, "{condition}");
        }
    }

    #[test]
    fn a_part_touches_its_whole_and_the_other_way_round() {
        let path = vec!["arguments".to_owned(), "a".to_owned()];
        let reads = Reads(BTreeSet::from([Read { path, presence: false }]));
        assert!(reads.touches(&["arguments"]) && reads.touches(&["arguments", "a"]));
        assert!(reads.touches(&["arguments", "a", "b"]) && reads.touches(&[]));
        assert!(!reads.touches(&["arguments", "b"]) && !reads.touches(&["approved"]));
        assert!(Reads::everything().touches(&["approved"]) && !Reads::default().touches(&[]));
    }
}
