//! Somebody who answers for a toolset says yes or no to one confirmed request. A yes makes the grant in the same transaction;
//! of several who decide at once, one does. Counted only if they may at this moment, and if the wish still stands.

use ambit_live::{Live, Snapshot, notices::NoticeKind, recorder::Deed};
use ambit_model::{
    access::{AccessDecision, AccessRequest, AccessStage},
    approval::{Says, Via},
    constraints::Constraints,
    grant::{Grant, GrantOrigin, GrantSubject},
    ids::{AccessId, GrantId, Millis, UserKey},
};
use ambit_store::{Tx, access_requests as rows, grants, revision};
use serde_json::json;

use super::{Unable, lapse, people, record, tell, why_not};
use crate::approvals::{Repeatable, fresh_id, repeated};

/// How often a decision is made again because something was changed while it was made.
const ANEW: u32 = 3;

/// A person's word on a request.
#[derive(Debug, Clone, Copy)]
pub struct Ruling<'a> {
    /// The request.
    pub id: &'a AccessId,
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
pub enum DecideError {
    /// There is none of this id, or not for this person: the same answer for both.
    #[error("there is no request `{0}` that you can decide")]
    NotFound(AccessId),
    /// It does not wait (any more).
    #[error("the request is {0}: there is nothing to decide any more")]
    Over(&'static str),
    /// Not now.
    #[error("it could not be decided: {0}")]
    Unable(#[from] Unable),
    /// What it was decided on has changed.
    #[error("it could not be decided: too much was changed meanwhile; try again")]
    Moved,
}

impl From<ambit_store::StoreError> for DecideError {
    fn from(error: ambit_store::StoreError) -> Self {
        Self::Unable(error.into())
    }
}

impl Repeatable for DecideError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Unable(error) if error.is_conflict())
    }
}

/// Decides a request, gives where it stands then, and returns when requests here see the grant.
///
/// # Errors
/// [`DecideError`].
pub async fn decide(live: &Live, ruling: Ruling<'_>) -> Result<AccessStage, DecideError> {
    let mut anew = 0;
    loop {
        match repeated(|| once(live, ruling)).await {
            Err(DecideError::Moved) if anew < ANEW => {
                anew += 1;
                // Whatever it was, it is judged on what holds now.
                if let Err(error) = live.refresh().await {
                    tracing::warn!(%error, "a request for access was not decided: what holds now is not known");
                    return Err(DecideError::Moved);
                }
            }
            result => return result,
        }
    }
}

async fn once(live: &Live, ruling: Ruling<'_>) -> Result<AccessStage, DecideError> {
    let (snapshot, now) = (live.current(), live.clock().now());
    let mut tx = live.store().begin().await?;
    let not_found = || DecideError::NotFound(ruling.id.clone());
    let request = rows::hold(&mut tx, ruling.id).await?.ok_or_else(not_found)?;
    // Read behind the hold: whatever was revoked before this instant is seen.
    if revision::current(&mut tx).await? != snapshot.store_revision {
        return Err(DecideError::Moved);
    }
    people::decider(&mut tx, &snapshot, &request, ruling.by, ruling.since).await?.ok_or_else(not_found)?;
    match request.stage.clone().at(now) {
        AccessStage::Waiting { .. } => {}
        // Until the person wants it, it is nobody's to see.
        AccessStage::Unconfirmed { .. } => return Err(not_found()),
        over => return Err(DecideError::Over(over.as_str())),
    }
    if let Some(why) = why_not(&mut tx, &snapshot, &request).await? {
        lapse(live, &mut tx, &request, why, now).await?;
        tx.commit().await?;
        return Err(DecideError::Over("lapsed"));
    }
    let grant = match ruling.says {
        Says::Yes => Some(grant(live, &request, ruling, now)?),
        Says::No => None,
    };
    let (stage, kind) = write(live, &mut tx, (&request, grant.as_ref()), ruling, now).await?;
    let revision = tx.commit().await?;
    tell(live, &snapshot, kind, &request);
    see(live, &snapshot, revision).await;
    Ok(stage)
}

/// Writes the decision and the grant, with their records.
async fn write(
    live: &Live,
    tx: &mut Tx,
    (request, grant): (&AccessRequest, Option<&Grant>),
    ruling: Ruling<'_>,
    now: Millis,
) -> Result<(AccessStage, NoticeKind), DecideError> {
    let reason = ruling.reason.map(ToOwned::to_owned);
    let decision = AccessDecision { by: ruling.by.clone(), via: ruling.via, reason };
    if !rows::decide(tx, &request.id, &decision, grant.map(|grant| &grant.id), now).await? {
        return Err(DecideError::Over("decided"));
    }
    let actor = format!("user {}", ruling.by);
    let (stage, act, kind) = match grant {
        Some(grant) => {
            grants::insert(tx, grant, &actor, now).await?;
            let stage = AccessStage::Approved { at: now, grant: grant.id.clone() };
            (stage, "access.approve", NoticeKind::AccessApproved)
        }
        None => (AccessStage::Denied { at: now }, "access.deny", NoticeKind::AccessDenied),
    };
    let after = json!({
        "stage": stage.as_str(),
        "via": ruling.via.as_str(),
        "grant": grant.map(|grant| &grant.id),
    });
    record(live, (&actor, act), request, after, ruling.reason).await.map_err(Unable::from)?;
    if let Some(grant) = grant {
        let subject = grant.subject.to_string();
        let deed = Deed {
            by: &actor,
            act: "grant.create",
            subject: &subject,
            before: None,
            after: Some(json!(grant)),
            reason: Some(&grant.reason),
        };
        live.recorder().act(deed).await.map_err(Unable::from)?;
    }
    Ok((stage, kind))
}

/// The grant that a yes makes: for exactly the person, the toolset and the length that was asked for.
fn grant(live: &Live, request: &AccessRequest, ruling: Ruling<'_>, now: Millis) -> Result<Grant, DecideError> {
    let id = fresh_id(live.keys()).map_err(Unable::from)?;
    let id = GrantId::parse(&format!("request:{id}")).map_err(|_| ambit_live::keys::KeyError::NoRandomness);
    Ok(Grant {
        id: id.map_err(Unable::from)?,
        subject: GrantSubject::User(request.user.clone()),
        toolset: request.toolset.clone(),
        reason: request.reason().to_owned(),
        ticket: None,
        approved_by: Some(ruling.by.to_string()),
        starts_at: now,
        expires_at: now.saturating_add(request.life_ms),
        origin: GrantOrigin::Request,
        constraints: Constraints::default(),
    })
}

/// Waits until requests here see it.
async fn see(live: &Live, snapshot: &Snapshot, revision: Option<u64>) {
    if let Some(revision) = revision
        && let Err(error) = live.refresh().await
    {
        tracing::warn!(revision, seen = snapshot.store_revision, %error, "requests here see the grant a moment later");
    }
}
