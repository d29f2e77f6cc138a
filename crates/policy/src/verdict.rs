//! What a decision comes to, with everything a trail, an answer and an operator need of it.

use std::sync::Arc;

use ambit_model::{
    Digest, Outcome,
    ids::{Millis, ToolsetSlug},
};

use crate::{arguments::Narrowing, index::ToolIndex};

/// The standing half of a decision. Remembered and shared.
#[derive(Clone, PartialEq, Debug)]
pub struct Verdict {
    /// Which of the five. The standing half never comes to `NeedsApproval`.
    pub outcome: Outcome,
    /// The ids of the deciding policies, sorted. Empty when nothing permits: the default is to deny.
    pub policies: Vec<String>,
    /// Sentences for operators. Never for a caller: they name what is hidden.
    pub reasons: Vec<String>,
    /// The complete set of toolsets whose scopes the operation needs and the token lacks. Only with `NeedsScope`, and then
    /// never empty.
    pub missing_scopes: Vec<ToolsetSlug>,
    /// The first instant at which the verdict holds.
    pub valid_from: Millis,
    /// The first instant at which it has to be made anew.
    pub valid_until: Millis,
    /// The ids of rules that would have decided if they were enforced.
    pub reported: Vec<String>,
    /// What the caller is told beside that nothing was executed, where the verdict is a refusal and a rule says it.
    pub sentence: Option<String>,
    /// The digest of the rule set. Grants are not part of it.
    pub rules: Digest,
    /// The revision of the facts.
    pub revision: u64,
    /// A rule could not be evaluated, so this is a deny: alert.
    pub evaluation_error: bool,
    /// What the grants limit the arguments to, and how the tool is shown for it. `None` for most.
    pub narrowing: Option<Arc<Narrowing>>,
}

impl Verdict {
    /// Whether it still says what a fresh decision would.
    pub fn is_valid_at(&self, now_ms: Millis) -> bool {
        self.valid_from <= now_ms && now_ms < self.valid_until
    }
}

/// What a caller class sees at an endpoint.
#[derive(Clone, PartialEq, Debug)]
pub struct Visible {
    /// Every listed tool, in the order of ids.
    pub tools: Vec<ToolIndex>,
    /// Those whose arguments the grants limit, in the same order.
    pub narrowed: Vec<(ToolIndex, Arc<Narrowing>)>,
    /// The ids of rules that could not be evaluated, sorted: what they concern is not listed, and somebody has to look.
    pub broken: Vec<String>,
    /// The first instant at which the list holds.
    pub valid_from: Millis,
    /// The first instant at which it has to be made anew.
    pub valid_until: Millis,
}

impl Visible {
    /// How a tool is narrowed; `None` if it is shown as it is.
    pub fn narrowing_of(&self, tool: ToolIndex) -> Option<&Narrowing> {
        let at = self.narrowed.binary_search_by_key(&tool, |(tool, _)| *tool).ok()?;
        self.narrowed.get(at).map(|(_, narrowing)| &**narrowing)
    }

    /// Whether it still says what fresh decisions would.
    pub fn is_valid_at(&self, now_ms: Millis) -> bool {
        self.valid_from <= now_ms && now_ms < self.valid_until
    }
}
