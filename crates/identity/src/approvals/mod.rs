//! Approvals, as the gateway, the pages and the command line use them: a call asks ([`ask`]), people answer ([`vote`]), the
//! call spends the answer ([`spend`]), once. What people are shown is in [`show`], whom they are in [`people`].
//!
//! Everything is held again to what holds now at each step: who may say yes, what was revoked, which rules stand. The store
//! decides what happens once; the trail has every step before it counts. No argument is written down unsealed.

pub mod ask;
pub mod people;
pub mod show;
pub mod spend;
mod sweep;
pub mod vote;

pub use ask::{Asked, Standing, ask, retry_after_ms};
pub use spend::{Spending, Spent, spend};
pub use sweep::sweep;
pub use vote::{Ballot, VoteError, vote};

use ambit_live::{
    Live, Snapshot,
    keys::{KeyError, Keys, Use},
    notices::{About, Notice, NoticeKind},
    recorder::{Deed, RecordError},
};
use ambit_model::{
    Digest,
    approval::{Approval, Lapse},
    event::RequestId,
    ids::{AgentId, ApprovalId, Millis, UserKey},
    revocation::Scope,
};
use ambit_store::{StoreError, Tx, approvals};

/// How often a transaction that met another one is repeated.
const REPEATS: u32 = 5;

/// Why nothing could be said or done about a request of somebody. Nothing was dispatched, granted or decided.
#[derive(Debug, thiserror::Error)]
pub enum Unable {
    /// The store does not take part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be written down, so it does not count.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Arguments could not be sealed or opened.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// An error that may say that a transaction met another one and may simply be repeated.
pub(crate) trait Repeatable {
    fn is_conflict(&self) -> bool;
}

impl Repeatable for Unable {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(StoreError::Conflict | StoreError::Exists))
    }
}

/// Does something in one transaction, again if it met another one, a few times.
pub(crate) async fn repeated<T, E, F>(mut once: impl FnMut() -> F) -> Result<T, E>
where
    E: Repeatable,
    F: Future<Output = Result<T, E>>,
{
    let mut repeats = 0;
    loop {
        match once().await {
            Err(error) if error.is_conflict() && repeats < REPEATS => repeats += 1,
            result => return result,
        }
    }
}

/// An id that nobody can guess.
pub(crate) fn fresh_id(keys: &Keys) -> Result<String, KeyError> {
    Ok(RequestId(u128::from_be_bytes(keys.random()?)).to_text())
}

/// Who made a call, in the words of the trail.
pub fn caller_text(user: Option<&UserKey>, agent: Option<&AgentId>) -> String {
    match (user, agent) {
        (Some(user), None) => format!("user {user}"),
        (None, Some(agent)) => format!("agent {agent}"),
        (Some(user), Some(agent)) => format!("agent {agent} for user {user}"),
        (None, None) => "nobody".to_owned(),
    }
}

/// Every scope whose revocation ends a request, and an approval that was not used.
fn reach(approval: &Approval) -> Vec<Scope> {
    let mut scopes = vec![
        Scope::Deployment,
        Scope::Endpoint(approval.endpoint.clone()),
        Scope::Server(approval.server.clone()),
        Scope::Tool(approval.tool.clone()),
        Scope::Client(approval.client.clone()),
    ];
    scopes.extend(approval.user.clone().map(Scope::User));
    scopes.extend(approval.agent.clone().map(Scope::Agent));
    scopes
}

/// Whether what a request was made for or by was revoked since.
fn is_revoked(snapshot: &Snapshot, approval: &Approval) -> bool {
    snapshot.revocations.judge(&reach(approval), approval.requested_at).is_some()
}

/// Ends a request that was not spent, and writes that down.
async fn lapse(live: &Live, tx: &mut Tx, approval: &Approval, why: Lapse, now: Millis) -> Result<(), Unable> {
    if approvals::lapse(tx, &approval.id, why, now).await? {
        record_lapse(live, approval, why).await?;
    }
    Ok(())
}

async fn record_lapse(live: &Live, approval: &Approval, why: Lapse) -> Result<(), RecordError> {
    let after = serde_json::json!({ "why": why.as_str() });
    record(live, ("ambit", "approval.lapse"), approval, after, None).await
}

/// The requests that a person who proved who they are `since` may decide now, oldest first.
///
/// # Errors
/// [`StoreError`].
pub async fn waiting_for(live: &Live, person: &UserKey, since: Millis) -> Result<Vec<Approval>, StoreError> {
    let (snapshot, store) = (live.current(), live.store());
    let mut theirs = Vec::new();
    for approval in approvals::list_waiting(store, live.clock().now()).await? {
        if people::eligible(store, &snapshot, &approval, person, since).await?.is_some() {
            theirs.push(approval);
        }
    }
    Ok(theirs)
}

/// The latest requests of a person's calls, newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn of_person(live: &Live, person: &UserKey) -> Result<Vec<Approval>, StoreError> {
    approvals::list_of_user(live.store(), person, 20).await
}

fn seal(keys: &Keys, id: &ApprovalId, digest: &Digest, arguments: &[u8]) -> Result<Vec<u8>, KeyError> {
    keys.seal(Use::ApprovalArguments, arguments, &bound_to(id, digest))
}

fn unseal(keys: &Keys, id: &ApprovalId, digest: &Digest, sealed: &[u8]) -> Option<Vec<u8>> {
    keys.unseal(Use::ApprovalArguments, sealed, &bound_to(id, digest))
}

fn bound_to(id: &ApprovalId, digest: &Digest) -> [u8; 32] {
    Digest::of_parts([id.as_str().as_bytes(), &digest.0]).0
}

/// Tells people outside what became of a request, once it counts.
fn tell(live: &Live, snapshot: &Snapshot, kind: NoticeKind, approval: &Approval) {
    live.notices().tell(Notice {
        kind,
        at: live.clock().now(),
        id: approval.id.to_string(),
        about: About::Call {
            tool: approval.tool.clone(),
            server: approval.server.clone(),
            effect: approval.told.effect,
            environment: approval.told.environment.clone(),
        },
        requester: caller_text(approval.user.as_ref(), approval.agent.as_ref()),
        link: format!("{}/approvals/{}", snapshot.deployment.public_url, approval.id),
    });
}

/// Writes an act about a request down; what it says counts only afterwards.
async fn record(
    live: &Live,
    (by, act): (&str, &str),
    approval: &Approval,
    after: serde_json::Value,
    reason: Option<&str>,
) -> Result<(), RecordError> {
    let subject = format!("approval {}", approval.id);
    live.recorder().act(Deed { by, act, subject: &subject, before: None, after: Some(after), reason }).await
}

#[cfg(test)]
mod tests;
