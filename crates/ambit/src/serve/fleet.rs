//! One configuration per deployment: nodes that share a store must agree on it.
//!
//! A store of its own (SQLite) belongs to one node, so its configuration is simply the applied one. On a shared store a node
//! whose configuration differs does not start, because two nodes would decide differently; applying a new one is said
//! outright.

use ambit_live::clock::Clock;
use ambit_store::{Store, StoreUrl, nodes};

use crate::config::Resolved;

/// Who applies a configuration at start.
const BY: &str = "ambit serve";

/// Adopts or compares the applied configuration.
///
/// # Errors
/// If another configuration is applied, or the store cannot be asked.
pub async fn agree(store: &Store, resolved: &Resolved, apply: bool, clock: &Clock) -> anyhow::Result<()> {
    let digest = resolved.deployment.digest;
    let mut tx = store.begin().await?;
    let own_store = match &resolved.store {
        StoreUrl::Memory | StoreUrl::File(_) => true,
        StoreUrl::Postgres(_) => false,
    };
    if apply || own_store {
        nodes::apply_config(&mut tx, &digest, BY, clock.now()).await?;
    } else if let nodes::Agreement::Differs { applied } = nodes::adopt_config(&mut tx, &digest, BY, clock.now()).await?
    {
        anyhow::bail!(
            "this configuration ({digest}) is not the one applied to the shared store ({applied}): give every node the \
             same files, then start one with `--apply-config`"
        );
    }
    tx.commit().await?;
    Ok(())
}
