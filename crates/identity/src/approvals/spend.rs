//! An approval is spent: once, in the store, for exactly the call it was given for, and only while all it stands on holds.
//!
//! The caller of this has judged the call on a snapshot; if the store has moved on since, it judges again. What is given back
//! is the proof that nobody else will ever get one for the same approval.

use std::sync::Arc;

use ambit_live::{Live, Snapshot};
use ambit_model::{
    Digest,
    approval::{Approval, Lapse, Tally},
    event::Executed,
    ids::{ApprovalId, UserKey},
};
use ambit_store::{approvals, revision};
use serde_json::json;

use super::{Unable, caller_text, is_revoked, lapse, record, repeated, vote};

/// The proof that an approval was spent for one exact call.
#[derive(Debug, PartialEq, Eq)]
pub struct Spent {
    id: ApprovalId,
    call: Digest,
    by: Vec<UserKey>,
    record: String,
}

/// What became of an attempt to spend.
#[derive(Debug)]
pub enum Spending {
    /// It is spent, for this call.
    Spent(Spent),
    /// The store has changed since the call was judged: judge it again.
    Moved,
    /// It cannot be spent: it was, by another, or it is over. Ask again where the call stands.
    Gone,
}

impl Spent {
    /// The request.
    pub fn id(&self) -> &ApprovalId {
        &self.id
    }

    /// The digest of the call it was given for.
    pub fn call(&self) -> &Digest {
        &self.call
    }

    /// Who said yes.
    pub fn by(&self) -> &[UserKey] {
        &self.by
    }
}

/// Spends an approval. `record` is the trail's name for the request that does.
///
/// # Errors
/// [`Unable`]: nothing may be dispatched. The approval may be spent all the same.
pub async fn spend(
    live: &Live,
    snapshot: &Arc<Snapshot>,
    approval: &Approval,
    call: &Digest,
    trail_record: &str,
) -> Result<Spending, Unable> {
    repeated(|| once(live, snapshot, approval, call, trail_record)).await
}

async fn once(
    live: &Live,
    snapshot: &Arc<Snapshot>,
    approval: &Approval,
    call: &Digest,
    trail_record: &str,
) -> Result<Spending, Unable> {
    let now = live.clock().now();
    let mut tx = live.store().begin().await?;
    let Some(held) = approvals::hold(&mut tx, &approval.id).await? else { return Ok(Spending::Gone) };
    // Read behind the hold: whatever was revoked before this instant is seen.
    if revision::current(&mut tx).await? != snapshot.store_revision {
        return Ok(Spending::Moved);
    }
    let why = if is_revoked(snapshot, &held) { Lapse::Revoked } else { Lapse::Approvers };
    let people = match (why, vote::count(&mut tx, snapshot, &held).await?) {
        (Lapse::Approvers, Tally::Approved(people)) => people,
        (why, _) => {
            lapse(live, &mut tx, &held, why, now).await?;
            tx.commit().await?;
            return Ok(Spending::Gone);
        }
    };
    if approvals::consume(&mut tx, &held.id, call, trail_record, now).await?.is_none() {
        return Ok(Spending::Gone);
    }
    let after = json!({
        "record": trail_record,
        "call": call,
        "tool": held.tool,
        "approved_by": people.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    let actor = caller_text(held.user.as_ref(), held.agent.as_ref());
    record(live, (&actor, "approval.consume"), &held, after, None).await?;
    tx.commit().await?;
    let (id, record) = (held.id, trail_record.to_owned());
    Ok(Spending::Spent(Spent { id, call: *call, by: people, record }))
}

/// Notes what came of the call. Should the store be gone by now, the approval stays spent and nobody is told it was not.
pub async fn note_outcome(live: &Live, spent: &Spent, executed: Executed) {
    let noted = async {
        let mut tx = live.store().begin().await?;
        approvals::executed(&mut tx, &spent.id, &spent.record, executed).await?;
        tx.commit().await
    };
    if let Err(error) = noted.await {
        tracing::warn!(%error, approval = %spent.id, "what came of an approved call is in the trail alone");
    }
}
