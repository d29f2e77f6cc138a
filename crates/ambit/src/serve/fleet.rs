//! What nodes that share a store must agree on: one configuration, and a name each.
//!
//! A store of its own (SQLite) belongs to one node, so its configuration is simply the applied one. On a shared store a node
//! whose configuration differs does not start, because two nodes would decide differently; applying a new one is said
//! outright.

use std::{future::Future, time::Duration};

use ambit_live::{Live, clock::Clock};
use ambit_model::ids::Millis;
use ambit_store::{
    Store, StoreError,
    nodes::{self, Node},
};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::config::Resolved;

/// How often a node says that it lives.
const EVERY: Duration = Duration::from_secs(3);

/// A node that said nothing for so long is taken for gone.
const SILENT: Duration = Duration::from_secs(10);

/// How often a name that may be taken is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Who applies a configuration at start.
const BY: &str = "ambit serve";

/// Adopts or compares the applied configuration.
///
/// # Errors
/// If another configuration is applied, or the store cannot be asked.
pub async fn agree(store: &Store, resolved: &Resolved, apply: bool, clock: &Clock) -> anyhow::Result<()> {
    let digest = resolved.deployment.digest;
    let mut tx = store.begin().await?;
    if apply || !resolved.shares_its_store() {
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

/// Takes this node's name on a shared store. Two nodes of one name would sign two trails under one origin.
///
/// A name whose last word is recent may belong to this node's own earlier life: then it stays silent, and is taken after
/// [`SILENT`].
///
/// # Errors
/// If another process goes on speaking under the name, or the store cannot be asked.
pub async fn take_name(store: &Store, resolved: &Resolved, name: &str, clock: &Clock) -> anyhow::Result<()> {
    if !resolved.shares_its_store() {
        return Ok(());
    }
    let recent = clock.now().saturating_sub(Millis::try_from(SILENT.as_millis()).unwrap_or(0));
    if let Some(first) = last_word(store, name, recent).await? {
        tracing::info!(name, "the node's name was in use a moment ago: waiting until it is silent");
        let mut waited = Duration::ZERO;
        while waited < SILENT {
            sleep(LOOK).await;
            waited += LOOK;
            match last_word(store, name, recent).await? {
                None => break,
                Some(word) if word != first => anyhow::bail!(
                    "another process serves as node `{name}` on this store: give each node its own name with `--node` or \
                     `[trail] node`"
                ),
                Some(_) => {}
            }
        }
    }
    report(store, name, resolved.deployment.digest, 0, clock.now()).await?;
    Ok(())
}

async fn last_word(store: &Store, name: &str, since: Millis) -> Result<Option<Millis>, StoreError> {
    let nodes = nodes::list(store, since).await?;
    Ok(nodes.into_iter().find(|node| node.id == name).map(|node| node.last_seen_at))
}

async fn report(
    store: &Store,
    name: &str,
    config_digest: ambit_model::Digest,
    applied_revision: u64,
    now: Millis,
) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    let node = Node { id: name.to_owned(), config_digest, applied_revision, last_seen_at: now };
    nodes::report(&mut tx, &node).await?;
    tx.commit().await.map(drop)
}

/// Says every few seconds that this node lives, until the shutdown resolves; then gives the name up.
pub async fn keep_name(live: Live, resolved: Resolved, name: String, shutdown: impl Future<Output = ()>) {
    if !resolved.shares_its_store() {
        return;
    }
    let mut shutdown = std::pin::pin!(shutdown);
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            _ = tick.tick() => {}
        }
        let snapshot = live.current();
        let (digest, revision) = (snapshot.deployment.digest, snapshot.store_revision);
        if let Err(error) = report(live.store(), &name, digest, revision, live.clock().now()).await {
            tracing::debug!(%error, "the node could not say that it lives");
        }
    }
    let left = async {
        let mut tx = live.store().begin().await?;
        nodes::leave(&mut tx, &name).await?;
        tx.commit().await
    };
    if let Err(error) = left.await {
        tracing::debug!(%error, "the node's name could not be given up; it is free in a few seconds");
    }
}
