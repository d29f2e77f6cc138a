//! The labels that callers touched, for nodes of a fleet: each notes what its calls bring, and asks before something leaves.

use ambit_model::{Digest, ids::Millis, label::Label};

use crate::{Source, StoreError, Tx, statement::args};

const NOTE: &str = "
insert into touched (caller, label, until) values ($1, $2, $3)
on conflict (caller, label) do update set until = excluded.until where touched.until < excluded.until";
const OF: &str = "select label from touched where caller = $1 and until > $2";
const FORGET: &str = "delete from touched where until <= $1";

/// Notes that a caller carries a label until an instant. What is noted longer stays.
///
/// # Errors
/// [`StoreError`].
pub async fn note(tx: &mut Tx, caller: &Digest, label: Label, until: Millis) -> Result<(), StoreError> {
    tx.execute(NOTE, args![caller, label.as_str(), until]).await.map(drop)
}

/// The labels a caller carries at an instant.
///
/// # Errors
/// [`StoreError`]; a label of a later version is one, too: what it means is not known here.
pub async fn of(source: impl Source, caller: &Digest, now_ms: Millis) -> Result<Vec<Label>, StoreError> {
    let rows = source.rows(OF, args![caller, now_ms]).await?;
    let label = |text: String| {
        Label::parse(&text).ok_or_else(|| StoreError::corrupt("touched.label", "there is no such label"))
    };
    rows.iter().map(|row| row.text("label").and_then(label)).collect()
}

/// Forgets what is not carried any more.
///
/// # Errors
/// [`StoreError`].
pub async fn forget(tx: &mut Tx, now_ms: Millis) -> Result<u64, StoreError> {
    tx.execute(FORGET, args![now_ms]).await
}
