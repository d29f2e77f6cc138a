//! The judge: who may see and call which tool, and why.
//!
//! One pure function over one revision of the deployment: no IO, no clock, no randomness, no async. Facts come in as
//! [`JudgeInput`], are indexed once, and every list and every call reads the same [`Verdict`]. Index look-ups gather the
//! facts of one decision; the verdict over them is Cedar's: default deny, a `forbid` wins, an evaluation error denies.

mod arguments;
mod class;
pub mod constraint;
mod decide;
mod explain;
mod facts;
mod held;
mod index;
mod judge;
mod per_call;
mod reads;
mod rule;
mod rules;
mod slice;
mod slices;
mod validity;
mod verdict;
mod words;

pub use arguments::Narrowing;
pub use class::{CallerClass, ClassKey};
pub use explain::{Explanation, explain};
pub use facts::{BuildError, EndpointFacts, JudgeInput, ServerFacts, ToolFacts};
pub use index::{EndpointIndex, ToolIndex};
pub use judge::Judge;
pub use per_call::{CallFacts, CallVerdict, Login};
pub use rules::RulesError;
pub use verdict::{Verdict, Visible};

#[cfg(test)]
mod tests;
