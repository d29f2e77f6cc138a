//! What the rules that read a call say of it, and what a replay of that needs. Made where a permit asks them, once for each
//! call; carried to the trail, so that the record names the rules, also those that would only have decided.

use ambit_live::keys::Keys;
use ambit_policy::{CallFacts, CallVerdict, CallerClass, EndpointIndex, Judge, ToolIndex};

use crate::replay;

/// The per-call half of a decision.
#[derive(Debug)]
pub(crate) struct Ruled {
    pub(crate) verdict: CallVerdict,
    /// What the rules read of the call, sealed.
    pub(crate) kept: Option<String>,
}

impl Ruled {
    /// Asks the rules. A tool without a rule that reads the call costs nothing here.
    pub(crate) fn ask(
        (keys, judge): (&Keys, &Judge),
        class: &CallerClass,
        (endpoint, tool): (EndpointIndex, ToolIndex),
        facts: &CallFacts<'_>,
    ) -> Self {
        let verdict = judge.per_call(class, endpoint, tool, facts);
        Self { verdict, kept: replay::call(keys, judge, tool, facts) }
    }

    /// What they say once the approval they asked for is spent.
    pub(crate) fn approved(&self) -> Self {
        Self { verdict: self.verdict.approved(), kept: self.kept.clone() }
    }
}
