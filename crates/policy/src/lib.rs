//! The judge: who may see and call which tool, and why.
//!
//! One pure function over one revision of the deployment: no IO, no clock, no randomness, no async. Facts come in as
//! [`JudgeInput`], are indexed once, and every list and every call reads the same [`Verdict`]. Index look-ups gather the
//! facts of one decision; the verdict over them is Cedar's: default deny, a `forbid` wins, an evaluation error denies.

mod arguments;
mod class;
pub mod constraint;
mod context;
mod decide;
mod explain;
mod facts;
mod fits;
mod held;
mod index;
mod judge;
mod names;
mod never;
mod organisation;
mod per_call;
mod problem;
mod reads;
mod rule;
mod rules;
mod schema;
mod slice;
mod slices;
mod statements;
mod typing;
mod validity;
mod verdict;
mod words;
mod zone;

pub use arguments::Narrowing;
pub use class::{CallerClass, ClassKey};
pub use explain::{Explanation, explain, explain_call};
pub use facts::{BuildError, EndpointFacts, JudgeInput, ServerFacts, ToolFacts};
pub use held::Held;
pub use index::{EndpointIndex, ToolIndex};
pub use judge::{Judge, RuleFacts};
pub use names::Declared;
pub use organisation::{KeptPolicies, MAX_BYTES, Policies, PolicyFile};
pub use per_call::{CallFacts, CallVerdict, Login, Missing, kept_within};
pub use problem::RuleProblem;
pub use rules::{RulesError, check, id::ARGUMENTS};
pub use verdict::{Verdict, Visible};
pub use zone::UnknownTimezone;

#[cfg(test)]
mod tests;
