//! What a reload changes about who holds what: every grant that came, went or reads differently, with before and after, as an
//! act of an operator would leave it.

use std::collections::BTreeMap;

use ambit_live::{Live, recorder::Deed};
use ambit_model::{grant::Grant, ids::GrantId};
use serde_json::json;

/// The most grants that are written down one by one; beyond, the digest of the configuration has to do.
const MOST: usize = 200;

/// Writes down what is different. Grants are told apart by who holds which toolset since when.
pub(super) async fn record(live: &Live, before: &[Grant], after: &[Grant]) {
    let by_id = |grants: &[Grant]| -> BTreeMap<GrantId, Grant> {
        grants.iter().map(|grant| (grant.id.clone(), grant.clone())).collect()
    };
    let (before, after) = (by_id(before), by_id(after));
    let ids = before.keys().chain(after.keys().filter(|id| !before.contains_key(*id)));
    let changed: Vec<_> = ids.filter(|id| before.get(*id) != after.get(*id)).collect();
    if changed.len() > MOST {
        tracing::info!(
            changed = changed.len(),
            "more grants changed with the configuration than are recorded one by one"
        );
    }
    for id in changed.into_iter().take(MOST) {
        let (before, after) = (before.get(id), after.get(id));
        let (Some(grant), act) = (match (before, after) {
            (None, Some(_)) => (after, "grant.declare"),
            (Some(_), Some(_)) => (after, "grant.change"),
            (Some(_) | None, None) => (before, "grant.withdraw"),
        }) else {
            continue;
        };
        let subject = grant.subject.to_string();
        let deed = Deed {
            by: "ambit",
            act,
            subject: &subject,
            before: before.map(|grant| json!(grant)),
            after: after.map(|grant| json!(grant)),
            reason: Some("reload"),
        };
        if let Err(error) = live.recorder().act(deed).await {
            tracing::error!(%error, grant = %id, "a changed grant could not be recorded");
            return;
        }
    }
}
