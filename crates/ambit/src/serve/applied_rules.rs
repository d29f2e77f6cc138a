//! Keeps every rule set that was applied, so that `ambit policy rollback` can apply it again. Nothing decides on what is kept
//! here: a failure is said and changes no start or reload.

use ambit_live::Live;
use ambit_policy::KeptPolicies;
use ambit_store::{StoreError, rule_sets};

/// Keeps the rules that count now.
pub async fn keep(live: &Live) {
    if let Err(error) = try_keep(live).await {
        tracing::warn!(%error, "the applied rules could not be kept; `ambit policy rollback` will not know them");
    }
}

async fn try_keep(live: &Live) -> Result<(), StoreError> {
    let snapshot = live.current();
    let Ok(rules) = serde_json::to_string(&KeptPolicies::of(snapshot.judge.policies())) else { return Ok(()) };
    let mut tx = live.store().begin().await?;
    rule_sets::keep(&mut tx, &snapshot.judge.rules_digest(), &rules, live.clock().now()).await?;
    tx.commit().await?;
    Ok(())
}
