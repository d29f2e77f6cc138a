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
    approval::Approval,
    ids::{AgentId, ApprovalId, UserKey},
    revocation::Scope,
};
use ambit_store::StoreError;

/// How often a transaction that met another one is repeated.
const REPEATS: u32 = 5;

/// Why nothing could be said or done about an approval. Nothing was dispatched.
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

impl Unable {
    /// Whether the transaction may simply be repeated.
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(StoreError::Conflict | StoreError::Exists))
    }
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
