//! Why a fragment is refused: where it stands, which keyword, and what to write instead.

use super::pattern::PatternFault;

/// A fragment that is no constraint. Whoever carries it must not count: refused at the door, it never widens.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}: {fault}", place(pointer))]
pub struct ConstraintError {
    /// The JSON pointer of the offending schema within the fragment; empty for the fragment itself.
    pub pointer: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a fragment.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// Not an object of keywords.
    #[error("this is no schema: write an object of keywords")]
    NotASchema,
    /// A keyword that has no meaning here.
    #[error(
        "`{0}` is no keyword of a constraint: use `type`, `enum`, `const`, `pattern`, `minLength`, `maxLength`, `minimum`, \
         `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `multipleOf`, `properties`, `required`, `items`, `minItems`, \
         `maxItems` or `x-may-be-absent`"
    )]
    UnknownKeyword(String),
    /// `$ref` and its kin.
    #[error("`{0}` is not followed: write what it refers to in its place")]
    Reference(String),
    /// `anyOf`, `oneOf`.
    #[error("`{0}` cannot be part of one constraint: make one grant of each alternative, grants of one holder add up")]
    Alternatives(String),
    /// `allOf`.
    #[error("`allOf` is not needed: write its keywords side by side")]
    AllOf,
    /// `not` other than `{"required": ["one name"]}`.
    #[error(
        "`not` can only forbid one property: write `\"not\": {{\"required\": [\"name\"]}}` or `\"name\": false` in \
         `properties`"
    )]
    Not,
    /// A keyword with a value it cannot have.
    #[error("`{keyword}` must be {expected}")]
    Value {
        /// The keyword.
        keyword: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// A pattern that cannot be used.
    #[error("`pattern` cannot be used: {0}")]
    Pattern(PatternFault),
    /// A keyword of a place where it has no meaning.
    #[error("`{keyword}` has no meaning here: {remedy}")]
    Misplaced {
        /// The keyword.
        keyword: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Keywords of types that exclude each other.
    #[error(
        "`{0}` speaks of a type that the other keywords exclude: keep the keywords of one type, or name the types in `type`"
    )]
    Mixed(String),
    /// A property both wanted and not.
    #[error("property `{0}` is {1} and also {2}: decide for one")]
    Undecided(String, &'static str, &'static str),
    /// No keyword at all.
    #[error("this constrains nothing: leave it out, or name the property in `required`")]
    SaysNothing,
    /// Nothing is left.
    #[error("no value can satisfy these keywords together: correct them")]
    AdmitsNothing,
    /// Nested too deep.
    #[error("this is nested more than {0} levels deep: constrain fewer levels")]
    TooDeep(usize),
    /// Too much of something.
    #[error("{what} may hold at most {limit}: {remedy}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How much of it is taken.
        limit: usize,
        /// What to do.
        remedy: &'static str,
    },
}

fn place(pointer: &str) -> String {
    if pointer.is_empty() { "the constraint".to_owned() } else { format!("the constraint at `{pointer}`") }
}
