//! Forgets what is over: sessions, links, waiting requests, codes, unused registrations, families. To be called about once
//! a minute; nothing depends on when, since every reader compares times itself.

use ambit_model::ids::Millis;
use ambit_store::{Store, StoreError, accounts, clients, codes, families, pending, revocations, sessions};

use super::{client::UNUSED_MS, exchange::REFRESH_LIFE_MS};

/// How long a spent code is kept, so that its replay is still noticed.
const CODE_KEPT_MS: Millis = 24 * 3_600_000;

/// Removes rows that mean nothing any more, and says how many.
///
/// # Errors
/// [`StoreError`]; what was removed before stays removed.
pub async fn sweep(store: &Store, now_ms: Millis) -> Result<u64, StoreError> {
    let mut removed = 0;
    // One short transaction each: on SQLite every other writer waits.
    let mut tx = store.begin().await?;
    removed += sessions::purge_expired(&mut tx, now_ms).await?;
    removed += pending::purge_expired(&mut tx, now_ms).await?;
    removed += accounts::purge_expired_links(&mut tx, now_ms).await?;
    removed += clients::purge_unused(&mut tx, now_ms - UNUSED_MS).await?;
    tx.commit().await?;
    let mut tx = store.begin().await?;
    removed += codes::purge_expired(&mut tx, now_ms - CODE_KEPT_MS).await?;
    removed += families::purge_expired(&mut tx, now_ms - REFRESH_LIFE_MS).await?;
    removed += revocations::purge_outlived(&mut tx, now_ms - REFRESH_LIFE_MS).await?;
    tx.commit().await?;
    Ok(removed)
}
