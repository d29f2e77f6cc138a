//! Requests for access, as the gateway, the pages and the command line use them: a client asks in a person's name ([`ask`]),
//! the person wants it ([`confirm`]), somebody who answers for every server it reaches says yes or no ([`decide`]). What
//! may be asked for stands in [`catalogue`], who decides in [`people`].
//!
//! What a client says changes nothing but a list of wishes. Everything is held again to what holds now at each step; the
//! store decides what happens once; the trail has every step before it counts.

pub mod ask;
pub mod catalogue;
pub mod confirm;
pub mod decide;
pub mod people;
mod sweep;

pub use ask::{Asked, Wish, ask};
pub use confirm::{ConfirmError, confirm, withdraw};
pub use decide::{DecideError, Ruling, decide};
pub use sweep::sweep;

use ambit_live::{
    Live, Snapshot,
    notices::{About, Notice, NoticeKind},
    recorder::{Deed, RecordError},
};
use ambit_model::{
    access::{AccessLapse, AccessRequest},
    ids::{AccessId, Millis, UserKey},
    revocation::Scope,
};
use ambit_store::{Source, StoreError, Tx, access_requests as rows};

pub use crate::approvals::Unable;
use crate::server::person;

/// Most requests of a person that are shown.
const SHOWN: u32 = 20;

/// The latest requests of a person, newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn of_person(live: &Live, person: &UserKey) -> Result<Vec<AccessRequest>, StoreError> {
    rows::list_of_user(live.store(), person, SHOWN).await
}

/// The confirmed requests that a person who proved who they are `since` may decide now, oldest first.
///
/// # Errors
/// [`StoreError`].
pub async fn waiting_for(live: &Live, person: &UserKey, since: Millis) -> Result<Vec<AccessRequest>, StoreError> {
    let (snapshot, store) = (live.current(), live.store());
    let mut theirs = Vec::new();
    for request in rows::list_waiting(store, live.clock().now()).await? {
        if people::decider(store, &snapshot, &request, person, since).await?.is_some() {
            theirs.push(request);
        }
    }
    Ok(theirs)
}

/// The address of a request.
pub fn path(id: &AccessId) -> String {
    format!("/access/{id}")
}

/// Why a request can no longer come to anything, if it cannot: what it was made by was revoked, the person may not act or
/// not ask for it any more, or it is not there any more.
///
/// # Errors
/// [`StoreError`].
async fn why_not(
    source: impl Source,
    snapshot: &Snapshot,
    request: &AccessRequest,
) -> Result<Option<AccessLapse>, StoreError> {
    let mut scopes = vec![
        Scope::Deployment,
        Scope::Endpoint(request.endpoint.clone()),
        Scope::Client(request.client.clone()),
        Scope::User(request.user.clone()),
    ];
    scopes.extend(request.agent.clone().map(Scope::Agent));
    if snapshot.revocations.judge(&scopes, request.requested_at).is_some() {
        return Ok(Some(AccessLapse::Revoked));
    }
    let Some(facts) = person::standing(source, snapshot, &request.user).await? else {
        return Ok(Some(AccessLapse::NotRequestable));
    };
    let endpoint = snapshot.deployment.endpoint(&request.endpoint);
    let toolset = endpoint.and_then(|at| catalogue::find(&snapshot.deployment, at, &facts, request.toolset.as_str()));
    Ok(if toolset.is_some() { None } else { Some(AccessLapse::NotRequestable) })
}

/// Ends an open request, and writes that down.
async fn lapse(live: &Live, tx: &mut Tx, request: &AccessRequest, why: AccessLapse, now: Millis) -> Result<(), Unable> {
    if rows::lapse(tx, &request.id, why, now).await? {
        record_lapse(live, request, why).await?;
    }
    Ok(())
}

async fn record_lapse(live: &Live, request: &AccessRequest, why: AccessLapse) -> Result<(), RecordError> {
    let after = serde_json::json!({ "why": why.as_str() });
    record(live, ("ambit", "access.lapse"), request, after, None).await
}

/// Writes an act about a request down, with the stage it had if that is still known; what it says counts only afterwards.
async fn record(
    live: &Live,
    (by, act): (&str, &str),
    request: &AccessRequest,
    after: serde_json::Value,
    reason: Option<&str>,
) -> Result<(), RecordError> {
    let subject = format!("access {}", request.id);
    let before = serde_json::json!({
        "stage": request.stage.is_open().then(|| request.stage.as_str()),
        "user": request.user.to_string(),
        "toolset": request.toolset,
    });
    live.recorder().act(Deed { by, act, subject: &subject, before: Some(before), after: Some(after), reason }).await
}

/// Tells people outside what became of a request, once it counts.
fn tell(live: &Live, snapshot: &Snapshot, kind: NoticeKind, request: &AccessRequest) {
    live.notices().tell(Notice {
        kind,
        at: live.clock().now(),
        id: request.id.to_string(),
        about: About::Access { toolset: request.toolset.to_string(), life_ms: request.life_ms },
        requester: crate::approvals::caller_text(Some(&request.user), request.agent.as_ref()),
        link: format!("{}{}", snapshot.deployment.public_url, path(&request.id)),
    });
}
