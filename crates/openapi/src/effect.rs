//! The effect of an operation, by meaning.
//!
//! The method is where reading starts, never where it ends: what the operation is called, what its path ends in, what its
//! summary and description say and what its arguments can choose are heard too, and the gravest word wins.
//!
//! - A safe method reads, unless one of those words does more than look. Verbs that are also nouns (`release`, `log`) are
//!   what is looked at only where the operation id or the summary is led by a verb that looks. A name without a verb that
//!   is known reads too where it is a thing's: named in the path, plural, told apart (`dailyForecast`). `armDevice` of
//!   `/device/arm` is no thing. A path that nothing is said about, and one word that repeats it, stay the method's to judge.
//!   What reads by its method alone says so, and an owner is told to look.
//! - `POST` reads where its words agree that it looks; that its name begins with a verb that looks is not enough. Nothing
//!   else may be said to happen, in any sentence and any voice (`the sample is consumed`), and what a verb that nobody knows
//!   is said to do is unclear. A verb that reaches out (`show`, `fetch`, `download`) needs an object and no destination, one
//!   that goes either way (`resolve`, `check`, `query`) a witness: a sentence led by a verb that looks, or arguments that
//!   filter and page. That nothing is kept is believed only of what looks or makes.
//! - `DELETE` destroys, unless it only gives something back.
//! - What may change something and does not say clearly what is destructive until the server's owner says otherwise, and so
//!   is whatever runs what it is given or moves money.
//! - Of a tool known by name and description the gravest word of the name counts, and the description can raise it, as it
//!   does with `POST`.
//!
//! Every answer comes with the sentence that explains it. The document is written by a stranger: its words vouch for
//! reading as far as said above and no further, and one that lies about its verbs is found out by the owner who accepts
//! it, not here. Hints of the document (`x-…`) are not heard at all.
//!
//! In reading order: `words` is the vocabulary, `names` and `prose` find verbs in names and sentences, `happens` what a
//! text says besides its leading verbs, `evidence` knows phrases and arguments of loss, `operation` and `named` judge.

mod evidence;
mod happens;
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

/// The effect of an operation of a REST API, why, and whether somebody should look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Classified {
    pub(crate) effect: Effect,
    pub(crate) reason: String,
    /// It is taken to read because of its method, and no word that is known says so.
    pub(crate) by_method_alone: bool,
}

/// The effect of an operation of a REST API.
pub(crate) fn classify(facts: &Facts<'_>) -> Classified {
    let reading = operation::Reading::of(facts);
    let (effect, reason) = reading.effect();
    Classified { effect, reason, by_method_alone: reading.is_by_method_alone(effect) }
}

#[cfg(test)]
mod tests;
