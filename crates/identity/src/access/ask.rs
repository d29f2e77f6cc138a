//! A client asks for a toolset in a person's name. The same wish is the same request, whoever repeats it how often; one is
//! opened only if the person may ask for that and somebody could decide it, and a person has few open at a time.
//!
//! Nothing is entitled by it. Whatever is not to be asked for gets one answer, whether or not there is such a thing.

use std::sync::Arc;

use ambit_live::{Live, Snapshot, keys::KeyError};
use ambit_model::{
    access::{AccessRequest, AccessStage, AccessTold, UNCONFIRMED_LIFE_MS},
    caller::CallerFacts,
    endpoint::Endpoint,
    ids::{AccessId, Millis},
};
use ambit_store::access_requests::{self as rows, Opened};
use serde_json::json;

use super::{Unable, catalogue, lapse, people, record, why_not};
use crate::{
    approvals::{
        caller_text, fresh_id,
        people::{askers, name},
        repeated,
    },
    server::{fields, person},
};

/// What a client asks for.
#[derive(Debug)]
pub struct Wish<'a> {
    /// The toolset, as asked: any text.
    pub toolset: &'a str,
    /// Why, in the client's words: any text.
    pub reason: &'a str,
    /// For how long; as long as it may be if absent.
    pub life_ms: Option<Millis>,
    /// Where.
    pub endpoint: &'a Endpoint,
    /// Who calls.
    pub caller: &'a CallerFacts,
    /// What the client software calls itself.
    pub claimed: Option<String>,
}

/// What became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    /// It is a request, new or known: open, or denied a while ago.
    Request {
        /// The request.
        request: Box<AccessRequest>,
        /// Who can decide it, as people call them.
        deciders: Vec<String>,
    },
    /// The person holds it already, until then.
    Held(Millis),
    /// It is nothing this person may ask for here.
    NotRequestable,
    /// It would live longer than it may: at most that long.
    TooLong(Millis),
    /// No reason is left of what was said.
    NoReason,
    /// As many requests of this person are open as may.
    TooMany,
    /// Nobody could decide it.
    Nobody,
}

/// Finds the request of a wish, or opens one.
///
/// # Errors
/// [`Unable`]: nothing was asked for.
pub async fn ask(live: &Live, snapshot: &Arc<Snapshot>, wish: &Wish<'_>) -> Result<Asked, Unable> {
    let (deployment, now) = (&snapshot.deployment, live.clock().now());
    let facts = wish.caller.user().and_then(|user| person::declared(snapshot, &user.key));
    let Some(facts) = facts else { return Ok(Asked::NotRequestable) };
    let toolset = catalogue::find(deployment, wish.endpoint, &facts, wish.toolset);
    let Some(toolset) = toolset else { return Ok(Asked::NotRequestable) };
    let class = snapshot.judge.class(wish.caller);
    let mut held = snapshot.judge.holdings(&class, now).into_iter();
    let held = held.find(|held| held.toolset == toolset.slug).and_then(|held| held.granted_until);
    if let Some(until) = held {
        return Ok(Asked::Held(until));
    }
    let life_ms = match deployment.access.life(wish.life_ms) {
        Ok(life_ms) => life_ms,
        Err(too_long) => return Ok(Asked::TooLong(too_long.longest_ms)),
    };
    let reason = fields::reason(wish.reason);
    if reason.is_empty() {
        return Ok(Asked::NoReason);
    }
    let excluded = askers(deployment, wish.caller);
    let deciders = people::deciders(live.store(), snapshot, &toolset.slug, &excluded, now).await?;
    if deciders.is_empty() {
        return Ok(Asked::Nobody);
    }
    let id = fresh_id(live.keys())?;
    let fresh = AccessRequest {
        id: AccessId::parse(&id).map_err(|_| KeyError::NoRandomness)?,
        user: facts.key.clone(),
        toolset: toolset.slug.clone(),
        endpoint: wish.endpoint.slug.clone(),
        client: wish.caller.client.id.clone(),
        agent: wish.caller.agent().map(|agent| agent.id.clone()),
        life_ms,
        told: AccessTold {
            reason,
            assurance: wish.caller.client.assurance.as_str().to_owned(),
            claimed: wish.claimed.clone(),
            excluded,
        },
        words: None,
        requested_at: now,
        asked: 1,
        decided: None,
        stage: AccessStage::Unconfirmed { until: now.saturating_add(UNCONFIRMED_LIFE_MS) },
    };
    let deciders = deciders.iter().map(|party| name(snapshot, &party.user)).collect();
    Ok(match repeated(|| open(live, snapshot, &fresh, now)).await? {
        Opened::New(request) | Opened::Known(request) => Asked::Request { request: Box::new(request), deciders },
        Opened::TooMany => Asked::TooMany,
    })
}

async fn open(live: &Live, snapshot: &Snapshot, fresh: &AccessRequest, now: Millis) -> Result<Opened, Unable> {
    let mut tx = live.store().begin().await?;
    // One that can come to nothing any more does not stand in the way of a new one.
    if let Some(known) = rows::find_latest(&mut tx, &fresh.user, &fresh.toolset).await?
        && known.stage.clone().at(now).is_open()
        && let Some(why) = why_not(&mut tx, snapshot, &known).await?
    {
        lapse(live, &mut tx, &known, why, now).await?;
    }
    let until = now.saturating_add(UNCONFIRMED_LIFE_MS);
    let opened = rows::open(&mut tx, fresh, until, now).await?;
    if let Opened::New(request) = &opened {
        let after = json!({
            "stage": request.stage.as_str(),
            "toolset": request.toolset,
            "endpoint": request.endpoint,
            "client": request.client,
            "life_ms": request.life_ms,
            "expires_at": until,
        });
        let by = caller_text(Some(&request.user), request.agent.as_ref());
        let reason = Some(request.told.reason.as_str());
        record(live, (&by, "access.request"), request, after, reason).await?;
    }
    tx.commit().await?;
    Ok(opened)
}
