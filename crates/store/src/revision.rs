//! The revision: one number that moves with every change of what requests see.
//!
//! Written by the commit of a marked transaction alone; read by every node once a second.

use crate::{Source, StoreError, Tx, statement::args};

/// The channel PostgreSQL announces a new revision on.
pub(crate) const CHANNEL: &str = "ambit_revision";

const CURRENT: &str = "select value from revision where id = 1";
const ADVANCE: &str = "update revision set value = value + 1 where id = 1 returning value";
/// Delivered to listeners when, and only when, the transaction commits.
const ANNOUNCE: &str = "select pg_notify($1, $2)";

/// The current revision.
///
/// # Errors
/// [`StoreError`].
pub async fn current(source: impl Source) -> Result<u64, StoreError> {
    value(source.row(CURRENT, &[]).await?.as_ref())
}

/// Marks that this transaction changes what requests see. The functions of this crate do so themselves; this is for a
/// change that lives elsewhere, such as a file of accepted definitions. [`Tx::commit`] returns the new revision.
pub fn bump(tx: &mut Tx) {
    tx.changes_what_requests_see();
}

/// Moves the revision. Called by the commit, as its last statement.
pub(crate) async fn advance(tx: &mut Tx) -> Result<u64, StoreError> {
    let revision = value((&mut *tx).row(ADVANCE, &[]).await?.as_ref())?;
    if tx.is_postgres() {
        tx.rows(ANNOUNCE, args![CHANNEL, revision.to_string()]).await?;
    }
    Ok(revision)
}

fn value(row: Option<&crate::statement::Row>) -> Result<u64, StoreError> {
    row.ok_or_else(|| StoreError::corrupt("revision.value", "the row is missing"))?.count("value")
}
