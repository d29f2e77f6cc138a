//! Stage *authorize*: a target becomes a [`Permit`], or a denial. The one place where a permit is made, and the one place
//! that asks what a caller sees; lists and calls read the same remembered verdicts.
//!
//! No IO, no clock, nothing of the arguments. Unknown, absent and error all deny.

use std::sync::Arc;

use ambit_identity::{authenticate::Standing, caller::Caller};
use ambit_live::{Snapshot, catalogue::PublishedTool, keys::Keys};
use ambit_model::{
    Outcome,
    ids::{EndpointSlug, Millis},
};
use ambit_policy::{CallFacts, CallerClass, EndpointIndex, ToolIndex, Verdict, Visible};

use crate::{http::Place, resolve::Target, ruled::Ruled, trail::Judged};

/// The proof that the standing half of a decision allows a tool to a caller.
pub(crate) struct Permit {
    snapshot: Arc<Snapshot>,
    endpoint: EndpointIndex,
    caller: Arc<Caller>,
    tool: Arc<PublishedTool>,
    number: ToolIndex,
    verdict: Arc<Verdict>,
}

/// Why there is no permit.
pub(crate) enum Denied {
    /// Answered like a tool that does not exist, which it may be.
    Hidden(Judged),
    /// Only the token's scopes are missing.
    NeedsScope(Judged, Arc<Verdict>),
    /// Listed, but a rule refuses calls.
    Refused(Judged),
}

/// Judges a target.
///
/// # Errors
/// [`Denied`].
pub(crate) fn authorize(target: &Target<'_>, caller: &Arc<Caller>, now: Millis) -> Result<Permit, Denied> {
    let snapshot = target.snapshot();
    let who = (caller.class(), caller.issued_at());
    let (verdict, outcome) = standing(snapshot, who, (target.endpoint(), target.judged()), now);
    let entry = snapshot.catalogue.entry(target.position());
    let hidden = |judged| {
        let (asked, is_there) = (target.asked().to_owned(), target.is_there());
        Denied::Hidden(Judged::Hidden { asked, is_there, judged })
    };
    let Some(entry) = entry else { return Err(hidden(None)) };
    if !target.is_there() {
        return Err(hidden(Some((Arc::clone(&entry.tool), verdict))));
    }
    if verdict.evaluation_error {
        tracing::error!(tool = %entry.tool.id(), policies = ?verdict.policies, "a rule could not be evaluated: denied");
    }
    let judged = |verdict| Judged::Tool { tool: Arc::clone(&entry.tool), verdict, outcome };
    match outcome {
        Outcome::Allow => Ok(Permit {
            snapshot: Arc::clone(snapshot),
            endpoint: target.endpoint(),
            caller: Arc::clone(caller),
            tool: Arc::clone(&entry.tool),
            number: target.judged(),
            verdict,
        }),
        Outcome::Hidden => Err(hidden(Some((Arc::clone(&entry.tool), verdict)))),
        Outcome::NeedsScope => Err(Denied::NeedsScope(judged(Arc::clone(&verdict)), verdict)),
        // The standing half never asks for an approval; should it, nothing runs without one.
        Outcome::NeedsApproval | Outcome::Refused => Err(Denied::Refused(judged(verdict))),
    }
}

/// The remembered verdict over one tool for a class of callers, and what it comes to: hidden, whatever the verdict, once a
/// revocation reaches the tool for what was issued then. No permit: whoever only asks gets this.
pub(crate) fn standing(
    snapshot: &Snapshot,
    (class, issued_at): (&CallerClass, Millis),
    (endpoint, tool): (EndpointIndex, ToolIndex),
    now: Millis,
) -> (Arc<Verdict>, Outcome) {
    let verdict = snapshot.judge.standing(class, endpoint, tool, now);
    let outcome = if is_revoked(snapshot, tool, issued_at) { Outcome::Hidden } else { verdict.outcome };
    (verdict, outcome)
}

impl Permit {
    pub(crate) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    pub(crate) fn tool(&self) -> &Arc<PublishedTool> {
        &self.tool
    }

    pub(crate) fn verdict(&self) -> &Arc<Verdict> {
        &self.verdict
    }

    /// The verdict by which it would be given now, on what holds now. Asked again right before a call leaves, which may have
    /// waited for its record, a place or a connection.
    pub(crate) fn stands(&self, current: &Arc<Snapshot>, now: Millis) -> Option<Arc<Verdict>> {
        if Arc::ptr_eq(current, &self.snapshot) {
            let stands = self.verdict.is_valid_at(now) && self.caller.is_valid_at(now);
            return stands.then(|| Arc::clone(&self.verdict));
        }
        self.given_by(current, now)
    }

    fn given_by(&self, current: &Snapshot, now: Millis) -> Option<Arc<Verdict>> {
        let endpoint = &self.snapshot.judge.endpoint(self.endpoint)?.slug;
        // Another configuration may read the very token differently: whoever waited for that asks again.
        if !current.deployment.reads_tokens_like(&self.snapshot.deployment, endpoint) {
            return None;
        }
        let caller = self.caller.at(&Standing::from(current), now)?;
        let endpoint = current.judge.endpoint_index(endpoint)?;
        let number = current.judge.tool_index(self.tool.id())?;
        // Rules that read the call were asked with it. Under others it is asked anew.
        let rules_are_same = current.judge.rules_digest() == self.snapshot.judge.rules_digest();
        if !rules_are_same && current.judge.reads_calls(number) {
            return None;
        }
        let entry = current.catalogue.entry(ambit_live::snapshot::position_of(number))?;
        let who = (caller.class(), caller.issued_at());
        let (verdict, outcome) = standing(current, who, (endpoint, number), now);
        (outcome == Outcome::Allow && entry.tool.pin() == self.tool.pin()).then_some(verdict)
    }

    pub(crate) fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// Where it is called.
    pub(crate) fn endpoint(&self) -> Option<&EndpointSlug> {
        let view = self.snapshot.catalogue.endpoints().get(usize::try_from(self.endpoint.0).ok()?)?;
        Some(&view.endpoint.slug)
    }

    /// Whether the rules about the tool read which labels the caller touched.
    pub(crate) fn asks_what_was_touched(&self) -> bool {
        self.snapshot.judge.asks_what_was_touched(self.number)
    }

    /// The per-call half of the decision, over what is particular to this call.
    pub(crate) fn judge_call(&self, keys: &Keys, facts: &CallFacts<'_>) -> Ruled {
        Ruled::ask((keys, &self.snapshot.judge), self.caller.class(), (self.endpoint, self.number), facts)
    }

    /// What the trail says about it.
    pub(crate) fn judged(&self) -> Judged {
        Judged::Tool { tool: Arc::clone(&self.tool), verdict: Arc::clone(&self.verdict), outcome: Outcome::Allow }
    }
}

/// Everything a caller sees at an endpoint.
pub(crate) fn visible(place: &Place, caller: &Caller, now: Millis) -> Arc<Visible> {
    place.snapshot().judge.visible(caller.class(), place.number(), now)
}

/// Whether a revocation hides a tool that is otherwise visible to what was issued then.
pub(crate) fn is_revoked(snapshot: &Snapshot, tool: ToolIndex, issued_at: Millis) -> bool {
    snapshot.revocations.reach_tools()
        && snapshot
            .catalogue
            .entry(ambit_live::snapshot::position_of(tool))
            .is_none_or(|entry| snapshot.revocations.hides_tool(entry.tool.id(), issued_at))
}
