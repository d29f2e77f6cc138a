//! A pattern: ECMA-262 as JSON Schema means it (`\d` is an ASCII digit), run by an engine that takes linear time. Patterns
//! that need more (look-around, back-references) or too large an automaton are refused, never approximated.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

/// The longest pattern, in bytes.
pub(super) const MAX_PATTERN_BYTES: usize = 512;
/// As small as the validators that will use it in a shown schema allow.
const MAX_AUTOMATON_BYTES: usize = 256 << 10;

/// A compiled pattern. Two are equal if their texts are.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    source: Arc<str>,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// Why a text is no pattern that can be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PatternFault {
    /// More than 512 bytes.
    #[error("it is longer than {MAX_PATTERN_BYTES} bytes: shorten it")]
    TooLong,
    /// Not a regular expression, or one that needs look-around or back-references.
    #[error("it is no regular expression that runs in linear time: leave out look-around and back-references")]
    Syntax,
    /// The automaton is too large.
    #[error("it compiles to more than {} KiB: use smaller repetitions", MAX_AUTOMATON_BYTES >> 10)]
    TooLarge,
}

impl Pattern {
    pub(super) fn compile(source: &str) -> Result<Self, PatternFault> {
        if source.len() > MAX_PATTERN_BYTES {
            return Err(PatternFault::TooLong);
        }
        let translated = jsonschema_regex::to_rust_regex(source).map_err(|()| PatternFault::Syntax)?;
        let regex = RegexBuilder::new(&translated).size_limit(MAX_AUTOMATON_BYTES).build();
        let regex = regex.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => PatternFault::TooLarge,
            _ => PatternFault::Syntax,
        })?;
        Ok(Self { source: source.into(), regex })
    }

    /// As it was written.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Whether it plainly speaks of the whole text: `^…$` without alternatives at the top.
    pub(super) fn is_anchored(&self) -> bool {
        let Some(inner) = self.source.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')) else { return false };
        let (mut depth, mut escaped, mut in_class) = (0_usize, false, false);
        for c in inner.chars() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                ']' => in_class = false,
                _ if in_class => {}
                '[' => in_class = true,
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                '|' if depth == 0 => return false,
                _ => {}
            }
        }
        !escaped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_json_schema_means() {
        let digits = Pattern::compile("^\\d+$").unwrap();
        assert!(digits.matches("12") && !digits.matches("١٢") && !digits.matches("12\n"));
        assert!(Pattern::compile("prod").unwrap().matches("non-production"));
        assert_eq!(Pattern::compile("(?=a)b").unwrap_err(), PatternFault::Syntax);
        assert_eq!(Pattern::compile("(a)\\1").unwrap_err(), PatternFault::Syntax);
        assert_eq!(Pattern::compile("(").unwrap_err(), PatternFault::Syntax);
        assert_eq!(Pattern::compile("(a{1000}){1000}").unwrap_err(), PatternFault::TooLarge);
        assert_eq!(Pattern::compile(&"a".repeat(513)).unwrap_err(), PatternFault::TooLong);
    }

    #[test]
    fn anchors_are_seen() {
        for (source, anchored) in [
            ("^a$", true),
            ("^(a|b)$", true),
            ("^[|]\\|$", true),
            ("^a|b$", false),
            ("^a", false),
            ("a$", false),
            ("^a\\$", false),
            ("", false),
        ] {
            assert_eq!(Pattern::compile(source).unwrap().is_anchored(), anchored, "{source}");
        }
    }
}
