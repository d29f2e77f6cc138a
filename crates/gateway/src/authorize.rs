//! Stage *authorize*: a target becomes a [`Permit`], or a denial. The one place where a permit is made, and the one place
//! that asks what a caller sees; lists and calls read the same remembered verdicts.
//!
//! No IO, no clock, nothing of the arguments. Unknown, absent and error all deny.

use std::sync::Arc;

use ambit_identity::caller::Caller;
use ambit_live::{Snapshot, catalogue::PublishedTool};
use ambit_model::{Outcome, ids::Millis};
use ambit_policy::{ToolIndex, Verdict, Visible};

use crate::{http::Place, resolve::Target, trail::Judged};

/// The proof that the standing half of a decision allows a tool to a caller.
pub(crate) struct Permit {
    snapshot: Arc<Snapshot>,
    tool: Arc<PublishedTool>,
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
pub(crate) fn authorize(target: &Target<'_>, caller: &Caller, now: Millis) -> Result<Permit, Denied> {
    let snapshot = target.snapshot();
    let verdict = snapshot.judge.standing(caller.class(), target.endpoint(), target.judged(), now);
    let entry = snapshot.catalogue.entry(target.position());
    let revoked = entry.is_none_or(|entry| snapshot.revocations.hides_tool(entry.tool.id(), caller.issued_at()));
    let Some(entry) = entry.filter(|_| target.is_there()) else {
        return Err(Denied::Hidden(Judged::Absent { asked: target.asked().to_owned() }));
    };
    if verdict.evaluation_error {
        tracing::error!(tool = %entry.tool.id(), policies = ?verdict.policies, "a rule could not be evaluated: denied");
    }
    let outcome = if revoked { Outcome::Hidden } else { verdict.outcome };
    let judged = |verdict| Judged::Tool { tool: Arc::clone(&entry.tool), verdict, outcome };
    match outcome {
        Outcome::Allow => Ok(Permit { snapshot: Arc::clone(snapshot), tool: Arc::clone(&entry.tool), verdict }),
        Outcome::Hidden => Err(Denied::Hidden(judged(verdict))),
        Outcome::NeedsScope => Err(Denied::NeedsScope(judged(Arc::clone(&verdict)), verdict)),
        // The standing half never asks for an approval; should it, nothing runs without one.
        Outcome::NeedsApproval | Outcome::Refused => Err(Denied::Refused(judged(verdict))),
    }
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

    /// What the trail says about it.
    pub(crate) fn judged(&self) -> Judged {
        Judged::Tool { tool: Arc::clone(&self.tool), verdict: Arc::clone(&self.verdict), outcome: Outcome::Allow }
    }
}

/// Everything a caller sees at an endpoint.
pub(crate) fn visible(place: &Place, caller: &Caller, now: Millis) -> Arc<Visible> {
    place.snapshot().judge.visible(caller.class(), place.number(), now)
}

/// Whether a revocation hides a tool that is otherwise visible.
pub(crate) fn is_revoked(snapshot: &Snapshot, tool: ToolIndex, caller: &Caller) -> bool {
    snapshot.revocations.reach_tools()
        && snapshot
            .catalogue
            .entry(ambit_live::snapshot::position_of(tool))
            .is_none_or(|entry| snapshot.revocations.hides_tool(entry.tool.id(), caller.issued_at()))
}
