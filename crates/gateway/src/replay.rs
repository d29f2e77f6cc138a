//! What a record keeps so that its decision can be made again under other rules or grants: the caller's facts, and what rules
//! read of the call. Sealed, because groups, claims and arguments are nobody's business who reads records. A record without it
//! is still a record; a replay then says that it cannot decide.

use std::sync::Arc;

use ambit_live::keys::Keys;
use ambit_model::replay::KeptCaller;
use ambit_policy::{CallFacts, CallerClass, Judge, ToolIndex};

/// The caller's facts: sealed once for each token and revision, not for each call.
pub(crate) fn caller(keys: &Keys, class: &CallerClass) -> Option<Arc<str>> {
    class.note(|facts| keys.seal_for_replay(&KeptCaller::from(facts)).map(Into::into))
}

/// What the rules about a tool read of a call. Nothing for a tool without such rules.
pub(crate) fn call(keys: &Keys, judge: &Judge, tool: ToolIndex, facts: &CallFacts<'_>) -> Option<String> {
    keys.seal_for_replay(&judge.kept(tool, facts)?)
}
