//! A person says yes or no to one exact call. Counted only if they may, at this moment; a no ends it whatever others said.

use ambit_live::{Live, Snapshot, notices::NoticeKind};
use ambit_model::{
    approval::{Approval, Party, Says, Stage, Tally, UNUSED_LIFE_MS, Via, Vote, tally},
    ids::{ApprovalId, Millis, UserKey},
};
use ambit_store::{Tx, approvals};
use serde_json::json;

use super::{Repeatable, Unable, is_revoked, people, record, repeated, tell};

/// A person's word on a request.
#[derive(Debug, Clone, Copy)]
pub struct Ballot<'a> {
    /// The request.
    pub id: &'a ApprovalId,
    /// Who. That it is them was proved by the caller.
    pub by: &'a UserKey,
    /// When they proved it.
    pub since: Millis,
    /// What they say.
    pub says: Says,
    /// How.
    pub via: Via,
    /// Why, in their words.
    pub reason: Option<&'a str>,
}

/// Why a word does not count.
#[derive(Debug, thiserror::Error)]
pub enum VoteError {
    /// There is none of this id, or not for this person: the same answer for both.
    #[error("there is no request `{0}` that you can decide")]
    NotFound(ApprovalId),
    /// It does not wait (any more).
    #[error("the request is {0}: there is nothing to decide any more")]
    Over(&'static str),
    /// Not now.
    #[error("it could not be decided: {0}")]
    Unable(#[from] Unable),
}

impl From<ambit_store::StoreError> for VoteError {
    fn from(error: ambit_store::StoreError) -> Self {
        Self::Unable(error.into())
    }
}

impl Repeatable for VoteError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Unable(error) if error.is_conflict())
    }
}

/// Casts a vote and gives where the request stands then.
///
/// # Errors
/// [`VoteError`].
pub async fn vote(live: &Live, ballot: Ballot<'_>) -> Result<Stage, VoteError> {
    repeated(|| once(live, ballot)).await
}

async fn once(live: &Live, ballot: Ballot<'_>) -> Result<Stage, VoteError> {
    let snapshot = live.current();
    let now = live.clock().now();
    let mut tx = live.store().begin().await?;
    let not_found = || VoteError::NotFound(ballot.id.clone());
    let approval = approvals::hold(&mut tx, ballot.id).await?.ok_or_else(not_found)?;
    let by = people::eligible(&mut tx, &snapshot, &approval, ballot.by, ballot.since).await?.ok_or_else(not_found)?;
    if is_revoked(&snapshot, &approval) {
        return Err(VoteError::Over("revoked"));
    }
    let stage = approval.stage.clone().at(now);
    let open = match ballot.says {
        Says::Yes => matches!(stage, Stage::Pending { .. }),
        Says::No => matches!(stage, Stage::Pending { .. } | Stage::Approved { .. }),
    };
    if !open {
        return Err(VoteError::Over(stage.as_str()));
    }
    let reason = ballot.reason.map(ToOwned::to_owned);
    let word = Vote { by, says: ballot.says, at: now, via: ballot.via, reason };
    approvals::vote(&mut tx, &approval.id, &word).await?;
    let outcome = count(&mut tx, &snapshot, &approval).await?;
    let (stage, act) = match &outcome {
        Tally::Denied(_) => {
            approvals::deny(&mut tx, &approval.id, now).await?;
            (Stage::Denied { at: now }, "approval.deny")
        }
        Tally::Approved(_) => {
            let until = now.saturating_add(UNUSED_LIFE_MS);
            approvals::approve(&mut tx, &approval.id, until, now).await?;
            (Stage::Approved { at: now, until }, "approval.approve")
        }
        Tally::Open { .. } => (approval.stage.clone(), "approval.vote"),
    };
    let after = json!({
        "says": ballot.says.as_str(),
        "via": ballot.via.as_str(),
        "stage": stage.as_str(),
        "tool": approval.tool,
        "call": approval.digest,
        "needed": approval.needed,
        "yes": yes_of(&outcome),
    });
    let actor = format!("user {}", ballot.by);
    record(live, (&actor, act), &approval, after, ballot.reason).await.map_err(Unable::from)?;
    tx.commit().await?;
    match outcome {
        Tally::Approved(_) => tell(live, &snapshot, NoticeKind::ApprovalApproved, &approval),
        Tally::Denied(_) => tell(live, &snapshot, NoticeKind::ApprovalDenied, &approval),
        Tally::Open { .. } => {}
    }
    Ok(stage)
}

fn yes_of(outcome: &Tally) -> serde_json::Value {
    match outcome {
        Tally::Open { yes } => json!(yes),
        Tally::Approved(people) => json!(people.iter().map(ToString::to_string).collect::<Vec<_>>()),
        Tally::Denied(_) => json!(null),
    }
}

/// What the votes of those who may still say yes come to.
pub(super) async fn count(tx: &mut Tx, snapshot: &Snapshot, approval: &Approval) -> Result<Tally, Unable> {
    let votes = approvals::votes(&mut *tx, &approval.id).await?;
    let mut counting: Vec<Party> = Vec::new();
    for vote in &votes {
        counting.extend(people::eligible(&mut *tx, snapshot, approval, &vote.by.user, vote.at).await?);
    }
    let Some((_, needed)) = people::rule_for(snapshot, approval) else { return Ok(Tally::Open { yes: 0 }) };
    Ok(tally(needed, &votes, |vote| counting.iter().any(|party| party.user == vote.by.user)))
}
