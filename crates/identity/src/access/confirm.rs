//! The person a request is for wants it, or does not. Nobody else confirms or withdraws anything, and neither does a client.

use ambit_live::{Live, notices::NoticeKind};
use ambit_model::{
    access::{AccessRequest, AccessStage, WAITING_LIFE_MS},
    ids::{AccessId, Millis, UserKey},
};
use ambit_store::access_requests as rows;
use serde_json::json;

use super::{Unable, lapse, people, record, tell, why_not};
use crate::approvals::{Repeatable, repeated};

/// Why a request was neither confirmed nor withdrawn.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// There is none of this id, or it is not theirs: the same answer for both.
    #[error("there is no request `{0}` of yours")]
    NotFound(AccessId),
    /// There is nothing to confirm or withdraw (any more).
    #[error("the request is {0}")]
    Over(&'static str),
    /// Nobody could decide it.
    #[error("nobody can decide the request")]
    Nobody,
    /// Not now.
    #[error("it could not be done: {0}")]
    Unable(#[from] Unable),
}

impl From<ambit_store::StoreError> for ConfirmError {
    fn from(error: ambit_store::StoreError) -> Self {
        Self::Unable(error.into())
    }
}

impl Repeatable for ConfirmError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Unable(error) if error.is_conflict())
    }
}

/// The person wants it, for a reason in their own words if they give one. From now on it waits for a decision.
///
/// # Errors
/// [`ConfirmError`].
pub async fn confirm(live: &Live, id: &AccessId, by: &UserKey, words: Option<&str>) -> Result<(), ConfirmError> {
    repeated(|| confirm_once(live, id, by, words)).await
}

async fn confirm_once(live: &Live, id: &AccessId, by: &UserKey, words: Option<&str>) -> Result<(), ConfirmError> {
    let (snapshot, now) = (live.current(), live.clock().now());
    let mut tx = live.store().begin().await?;
    let request = rows::hold(&mut tx, id).await?.filter(|request| request.user == *by);
    let request = request.ok_or_else(|| ConfirmError::NotFound(id.clone()))?;
    let stage = request.stage.clone().at(now);
    if !matches!(stage, AccessStage::Unconfirmed { .. }) {
        return Err(ConfirmError::Over(stage.as_str()));
    }
    if let Some(why) = why_not(&mut tx, &snapshot, &request).await? {
        lapse(live, &mut tx, &request, why, now).await?;
        tx.commit().await?;
        return Err(ConfirmError::Over("lapsed"));
    }
    let excluded = &request.told.excluded;
    if people::deciders(&mut tx, &snapshot, &request.toolset, excluded, now).await?.is_empty() {
        return Err(ConfirmError::Nobody);
    }
    let until = now.saturating_add(WAITING_LIFE_MS);
    if !rows::confirm(&mut tx, id, words, until, now).await? {
        return Err(ConfirmError::Over(stage.as_str()));
    }
    let after = json!({ "stage": "waiting", "expires_at": until });
    record(live, (&format!("user {by}"), "access.confirm"), &request, after, words).await.map_err(Unable::from)?;
    tx.commit().await?;
    tell(live, &snapshot, NoticeKind::AccessRequested, &request);
    Ok(())
}

/// The person does not want it (any more).
///
/// # Errors
/// [`ConfirmError`].
pub async fn withdraw(live: &Live, id: &AccessId, by: &UserKey) -> Result<(), ConfirmError> {
    repeated(|| withdraw_once(live, id, by, live.clock().now())).await
}

async fn withdraw_once(live: &Live, id: &AccessId, by: &UserKey, now: Millis) -> Result<(), ConfirmError> {
    let mut tx = live.store().begin().await?;
    let request: Option<AccessRequest> = rows::hold(&mut tx, id).await?.filter(|request| request.user == *by);
    let request = request.ok_or_else(|| ConfirmError::NotFound(id.clone()))?;
    if !rows::withdraw(&mut tx, id, now).await? {
        return Err(ConfirmError::Over(request.stage.at(now).as_str()));
    }
    let after = json!({ "stage": "withdrawn" });
    record(live, (&format!("user {by}"), "access.withdraw"), &request, after, None).await.map_err(Unable::from)?;
    tx.commit().await?;
    Ok(())
}
