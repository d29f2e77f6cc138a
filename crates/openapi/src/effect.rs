//! The effect of an operation, by meaning.
//!
//! The method is where reading starts, never where it ends: what the operation is called, what its path ends in, what its
//! summary and description say and what its arguments can choose are heard too, and the gravest answer wins. `POST` that
//! only searches reads; `POST` that removes destroys. What says nothing clearly is destructive until the server's owner
//! says otherwise. Every answer comes with the sentence that explains it. Hints of the document (`x-…`) are not heard: they
//! may be written by whoever profits from them.

mod evidence;
mod named;
mod names;
mod operation;
mod prose;
mod words;

use ambit_model::Effect;
use http::Method;
use serde_json::Value;

pub use named::classify_named;

/// What is known of an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) operation_id: Option<&'a str>,
    pub(crate) summary: &'a str,
    pub(crate) description: &'a str,
    /// Arguments by wire name, with their converted schemas.
    pub(crate) arguments: &'a [(&'a str, &'a Value)],
}

/// An effect and why.
type Judged = (Effect, String);

/// The effect of an operation of a REST API.
pub(crate) fn classify(facts: &Facts<'_>) -> Judged {
    operation::Reading::of(facts).effect()
}

#[cfg(test)]
mod tests;
