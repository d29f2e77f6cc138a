//! Keeps what callers used of their budgets of the day over a restart: written every few seconds and at the end, read once at
//! the start. While the store is down the counts go on in memory and are written later.

use std::{future::Future, time::Duration};

use ambit_gateway::Gateway;
use ambit_live::Live;
use ambit_model::budget::DayCount;
use ambit_store::{StoreError, day_counts};
use tokio::time::{MissedTickBehavior, interval};

/// How often. A crash gives back what was used since.
const EVERY: Duration = Duration::from_secs(10);

const DAY_MS: i64 = 86_400_000;

/// Begins with what this node used of today. What cannot be read is not counted: budgets are no reason not to start.
pub async fn restore(gateway: &Gateway, live: &Live, node: &str) {
    match day_counts::load(live.store(), node, today(live)).await {
        Ok(kept) => gateway.restore_day_counts(&kept),
        Err(error) => tracing::warn!(%error, "what was used of today's budgets could not be read; the day begins anew"),
    }
}

/// Writes counts until the end, and once more then.
pub async fn keep(gateway: Gateway, live: Live, node: String, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut forgotten = None;
    loop {
        let ends = tokio::select! {
            () = &mut stop => true,
            _ = tick.tick() => false,
        };
        let (counts, today) = (gateway.changed_day_counts(), today(&live));
        if !counts.is_empty() || forgotten != Some(today) {
            match write(&live, &node, &counts, today).await {
                Ok(()) => forgotten = Some(today),
                Err(error) => {
                    tracing::warn!(%error, "what was used of today's budgets could not be written; tried again later");
                    gateway.unsaved_day_counts(&counts);
                }
            }
        }
        if ends {
            return;
        }
    }
}

async fn write(live: &Live, node: &str, counts: &[DayCount], today: u32) -> Result<(), StoreError> {
    let mut tx = live.store().begin().await?;
    day_counts::keep(&mut tx, node, counts).await?;
    day_counts::forget_before(&mut tx, today).await?;
    tx.commit().await.map(drop)
}

fn today(live: &Live) -> u32 {
    u32::try_from(live.clock().now().div_euclid(DAY_MS)).unwrap_or(0)
}
