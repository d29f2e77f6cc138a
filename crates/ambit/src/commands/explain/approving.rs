//! Who could say yes to the call that is asked about, by the function that a call is held to; and whether it waits at all.

use ambit_identity::approvals::people;
use ambit_live::Snapshot;
use ambit_model::{
    Outcome,
    caller::CallerFacts,
    ids::{Millis, ToolId},
};
use ambit_policy::Explanation;

use crate::{
    commands::{Failure, view},
    config::{Resolved, quantity::instant_text},
};

/// Who can approve, and how many of them it takes.
pub(super) struct Approving {
    pub(super) needed: u32,
    pub(super) people: Vec<String>,
}

impl Approving {
    pub(super) async fn of(
        resolved: &Resolved,
        snapshot: &Snapshot,
        (caller, tool): (&CallerFacts, &ToolId),
        at: Millis,
    ) -> Result<Self, Failure> {
        let Some(server) = snapshot.deployment.servers.get(&tool.server) else {
            return Ok(Self { needed: 1, people: Vec::new() });
        };
        let excluded = people::excluded(&snapshot.deployment, server, caller);
        let eligible = match view::store_if_any(resolved).await? {
            Some(store) => {
                let eligible = people::all_eligible(&store, snapshot, server, &excluded, at).await;
                store.close().await;
                eligible.map_err(Failure::because)?
            }
            // Nobody has ever logged in here: those count that configuration names.
            None => people::named(snapshot, |facts, email| server.approvals.rule.admits(facts, email, &excluded)),
        };
        let people = eligible.into_iter().map(|party| party.user.to_string()).collect();
        Ok(Self { needed: server.approvals.rule.needed, people })
    }

    /// A call that nobody can approve is refused.
    pub(super) fn settle(&self, explanation: &mut Explanation, tool: &ToolId) {
        let there = self.people.len();
        if there >= usize::try_from(self.needed).unwrap_or(usize::MAX) {
            let who = self.people.join(", ");
            let needed = self.needed;
            explanation.what_would_change.insert(0, format!("{needed} of these can approve it: {who}"));
            return;
        }
        explanation.outcome = Outcome::Refused;
        explanation.reasons.push(format!(
            "it needs the approval of {} who may give it, and there are {there} beside the one who calls",
            self.needed
        ));
        explanation.what_would_change.retain(|change| !change.starts_with("let another person approve"));
        explanation.what_would_change.insert(
            0,
            format!(
                "name more people in `approvers` of `[servers.{}]`: local accounts that can log in, not the one who calls",
                tool.server
            ),
        );
    }
}

/// A call that would wait, of a caller who broke the glass for its tool, waits for nobody.
pub(super) fn under_glass(
    snapshot: &Snapshot,
    (caller, tool): (&CallerFacts, &ToolId),
    at: Millis,
    explanation: &mut Explanation,
) {
    if explanation.outcome != Outcome::NeedsApproval || !explanation.asks_only_for_a_second_person() {
        return;
    }
    let position = snapshot.catalogue.position(tool);
    let Some(entry) = position.and_then(|position| snapshot.catalogue.entry(position)) else { return };
    let Some(reveal) = snapshot.broken_glass(caller, (tool, entry.tool.effect.effect), at) else { return };
    explanation.outcome = Outcome::Allow;
    explanation.reasons = vec![format!(
        "the glass is broken until {} (`{}`): it waits for nobody",
        instant_text(reveal.expires_at),
        reveal.id
    )];
    explanation.what_would_change = vec![format!("end it with `ambit revoke grant {}`", reveal.id)];
}
