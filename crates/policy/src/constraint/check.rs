//! One call held to what the grants allow, exactly and whatever the shown schema said. What is refused is told in one
//! sentence: which argument, what it was, what it may be.

use std::fmt;

use serde_json::Value;

use super::{
    allowed::Allowed,
    alternatives::{Slot, hull},
    node::{Node, Rule},
    words::{self, Length},
};

/// How many combinations a refusal names.
const NAMED_COMBINATIONS: usize = 4;

/// A call outside of what the grants allow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The JSON pointer of the argument; empty where it is about several together.
    pub pointer: String,
    /// What is wrong, what is allowed and what to do, for the caller.
    pub sentence: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Violation {}

impl Allowed {
    /// Holds a call's arguments to what every factor's grants allow.
    ///
    /// # Errors
    /// [`Violation`]: nothing may be sent.
    pub fn check(&self, arguments: &Value) -> Result<(), Violation> {
        if self.accepts(arguments) { Ok(()) } else { Err(self.violation(arguments)) }
    }

    fn violation(&self, arguments: &Value) -> Violation {
        let Value::Object(members) = arguments else {
            return Violation {
                pointer: String::new(),
                sentence: "the arguments must be an object; correct them and call again".to_owned(),
            };
        };
        let slots = hull(self.alternatives()).unwrap_or_default();
        let offending = slots.iter().find(|(name, slot)| !slot.accepts(members.get(&***name)));
        match offending {
            Some((name, slot)) => Finding::at(name).slot(slot, members.get(&**name)),
            None => self.together(),
        }
    }

    /// Each argument by itself is fine.
    fn together(&self) -> Violation {
        let all = self.alternatives();
        let named: Vec<_> = all
            .iter()
            .take(NAMED_COMBINATIONS)
            .enumerate()
            .map(|(index, one)| format!("({}) {}", index + 1, words::combination(one, Length::Short)))
            .collect();
        let more = if all.len() > NAMED_COMBINATIONS { "; the description of the tool names more" } else { "" };
        let sentence = format!(
            "these arguments are allowed by themselves but not together; allowed is {}{more}; change them to fit one and \
             call again",
            named.join(", or ")
        );
        Violation { pointer: String::new(), sentence }
    }
}

/// The place of a violation, while it is looked for.
struct Finding {
    pointer: String,
    words: String,
}

impl Finding {
    fn at(name: &str) -> Self {
        Self { pointer: token(name), words: words::quoted(name, Length::Short) }
    }

    fn member(&self, name: &str) -> Self {
        Self {
            pointer: format!("{}{}", self.pointer, token(name)),
            words: format!("{} in {}", words::quoted(name, Length::Short), self.words),
        }
    }

    fn element(&self, index: usize) -> Self {
        Self { pointer: format!("{}/{index}", self.pointer), words: format!("element {} of {}", index + 1, self.words) }
    }

    fn slot(self, slot: &Slot, value: Option<&Value>) -> Violation {
        match (slot.values.as_slice(), value) {
            ([], _) => self.forbidden(),
            ([only], Some(value)) => self.node(only, value),
            (nodes, Some(value)) => self.wrong(value, &words::one_of(nodes, Length::Short)),
            (nodes, None) => self.missing(nodes),
        }
    }

    /// The innermost place that is wrong.
    fn node(self, node: &Node, value: &Value) -> Violation {
        if node.values.is_none() {
            match value {
                Value::Object(members) if node.types.meets(super::types::Types::OBJECT) => {
                    let wrong = node.members.iter().find(|(name, rule)| !rule.accepts(members.get(&***name)));
                    if let Some((name, rule)) = wrong {
                        return self.member(name).rule(rule, members.get(&**name));
                    }
                }
                Value::Array(items) if node.types.meets(super::types::Types::ARRAY) => {
                    if let Some(each) = &node.list.items
                        && let Some((index, item)) = items.iter().enumerate().find(|(_, item)| !each.accepts(item))
                    {
                        return self.element(index).node(each, item);
                    }
                }
                _ => {}
            }
        }
        self.wrong(value, &words::node_text(node, Length::Short))
    }

    fn rule(self, rule: &Rule, value: Option<&Value>) -> Violation {
        match (&rule.value, value) {
            (None, _) => self.forbidden(),
            (Some(node), Some(value)) => self.node(node, value),
            (Some(node), None) => self.missing(std::slice::from_ref(node)),
        }
    }

    fn wrong(self, value: &Value, allowed: &str) -> Violation {
        let was = words::value_text(value, Length::Short);
        let sentence = format!("argument {} is {was}, but must be {allowed}; change it and call again", self.words);
        Violation { pointer: self.pointer, sentence }
    }

    fn missing(self, nodes: &[Node]) -> Violation {
        let what = if nodes.iter().any(Node::is_any) {
            String::new()
        } else {
            format!(" and must be {}", words::one_of(nodes, Length::Short))
        };
        let sentence = format!("argument {} is missing{what}; add it and call again", self.words);
        Violation { pointer: self.pointer, sentence }
    }

    fn forbidden(self) -> Violation {
        let sentence = format!("argument {} may not be given; leave it out and call again", self.words);
        Violation { pointer: self.pointer, sentence }
    }
}

fn token(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}
