//! `[trail] retain`: lets go of the oldest segments of this node's trail.
//!
//! First the trail says so, on disk, then the index forgets them, then the files go. Whatever interrupts it leaves records
//! that nobody misses; what is not indexed and covered by a stored checkpoint never goes.

use std::time::Duration;

use ambit_ledger::verify::LETS_GO;
use ambit_live::{Live, recorder::Deed};
use ambit_model::ids::Millis;
use ambit_store::trail_index;
use ambit_trail::Trail;
use anyhow::Context as _;
use serde_json::json;

/// Lets go of what is older than `retain`. Whether anything was.
pub async fn let_go(live: &Live, trail: &Trail, retain: Duration) -> anyhow::Result<bool> {
    let node = trail.settings().node.clone();
    let since = live.clock().now().saturating_sub(Millis::try_from(retain.as_millis()).unwrap_or(Millis::MAX));
    let mut tx = live.store().begin().await?;
    let below = trail_index::first_since(&mut tx, &node, since).await?;
    drop(tx);
    let looking = trail.clone();
    let expired = tokio::task::spawn_blocking(move || looking.expired(below)).await??;
    let Some(expired) = expired else { return Ok(false) };

    let (first, segments) = (expired.first, expired.segments.len());
    let after = json!({ "first": first, "root": expired.root.to_string(), "segments": segments });
    let reason = format!("`[trail] retain` keeps {} days", retain.as_secs() / 86_400);
    let deed = Deed {
        by: "ambit",
        act: LETS_GO,
        subject: &format!("trail {node}"),
        after: Some(after),
        reason: Some(&reason),
        ..Deed::default()
    };
    live.recorder().act(deed).await.context("that records are let go of could not be recorded, so they stay")?;
    let mut tx = live.store().begin().await?;
    trail_index::forget_below(&mut tx, &node, first).await?;
    tx.commit().await?;
    let removing = trail.clone();
    tokio::task::spawn_blocking(move || removing.let_go(&expired)).await??;
    tracing::info!(%node, first, segments, "old records were let go of; the trail begins with the first that stays");
    Ok(true)
}
