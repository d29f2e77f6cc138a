//! Ends requests for access whose time is over, forgets what the trail remembers. To be called about once a minute; nothing
//! depends on when, since every reader compares times itself.

use ambit_live::Live;
use ambit_model::{access::AccessLapse, ids::Millis};
use ambit_store::access_requests;

use super::{Unable, record_lapse};

/// How long a request that is over is kept for lists.
const KEPT_MS: Millis = 90 * 24 * 3_600_000;

/// Sweeps, and says how many requests it ended.
///
/// # Errors
/// [`Unable`]; what was swept before stays swept.
pub async fn sweep(live: &Live) -> Result<usize, Unable> {
    let now = live.clock().now();
    let mut tx = live.store().begin().await?;
    let due = access_requests::lapse_due(&mut tx, now).await?;
    for request in &due {
        record_lapse(live, request, AccessLapse::Expired).await?;
    }
    access_requests::purge(&mut tx, now.saturating_sub(KEPT_MS)).await?;
    tx.commit().await?;
    Ok(due.len())
}
