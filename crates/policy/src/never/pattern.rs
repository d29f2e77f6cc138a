//! The patterns of `like`: characters, and `*` for any.

use std::fmt;

use serde_json::Value;

/// How a day is written, a `0` for each digit.
const DAY: &str = "0000-00-00";

/// A pattern; `None` is `*`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Pattern(Vec<Option<char>>);

impl Pattern {
    /// Reads Cedar's JSON form.
    pub(super) fn of(pattern: &Value) -> Option<Self> {
        let mut parts = Vec::new();
        for part in pattern.as_array()? {
            match part {
                Value::String(word) if word == "Wildcard" => parts.push(None),
                other => parts.extend(other.get("Literal")?.as_str()?.chars().map(Some)),
            }
        }
        Some(Self(parts))
    }

    /// Whether a text fits it.
    pub(super) fn fits(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        fits(&self.0, &text, |wanted, there| wanted == there)
    }

    /// Whether some day fits it.
    pub(super) fn may_be_a_date(&self) -> bool {
        let shape: Vec<char> = DAY.chars().collect();
        fits(&self.0, &shape, |wanted, there| if there == '0' { wanted.is_ascii_digit() } else { wanted == there })
    }
}

/// Which ends of the text can be reached, one part of the pattern after the other: no backtracking, however many `*`.
fn fits(pattern: &[Option<char>], text: &[char], same: impl Fn(char, char) -> bool) -> bool {
    let mut reached = vec![false; text.len() + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for part in pattern {
        let mut next = vec![false; text.len() + 1];
        match part {
            None => {
                let mut any = false;
                for (now, before) in next.iter_mut().zip(&reached) {
                    any |= *before;
                    *now = any;
                }
            }
            Some(wanted) => {
                for ((now, before), there) in next.iter_mut().skip(1).zip(&reached).zip(text) {
                    *now = *before && same(*wanted, *there);
                }
            }
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| write!(f, "{}", part.unwrap_or('*')))
    }
}
