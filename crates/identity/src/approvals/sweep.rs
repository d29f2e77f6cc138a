//! Ends requests whose time is over, erases arguments that were kept long enough, forgets what the trail remembers. To be
//! called about once a minute; nothing depends on when, since every reader compares times itself.

use ambit_live::Live;
use ambit_model::{approval::Lapse, ids::Millis};
use ambit_store::approvals;

use super::{Unable, record_lapse};

/// How long a request that is over is kept for lists.
const KEPT_MS: Millis = 30 * 24 * 3_600_000;

/// Sweeps, and says how many requests it ended.
///
/// # Errors
/// [`Unable`]; what was swept before stays swept.
pub async fn sweep(live: &Live) -> Result<usize, Unable> {
    let now = live.clock().now();
    let mut tx = live.store().begin().await?;
    let due = approvals::lapse_due(&mut tx, now).await?;
    for approval in &due {
        record_lapse(live, approval, Lapse::Expired).await?;
    }
    tx.commit().await?;
    let mut tx = live.store().begin().await?;
    approvals::erase_arguments(&mut tx, now).await?;
    approvals::purge(&mut tx, now.saturating_sub(KEPT_MS)).await?;
    tx.commit().await?;
    Ok(due.len())
}
