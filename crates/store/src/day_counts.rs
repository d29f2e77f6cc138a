//! What callers used of their budgets of a day, so that a restart does not give it back. Written by each node for itself every
//! few seconds: after a crash a little is missing.

use ambit_model::budget::DayCount;

use crate::{
    Source, StoreError, Tx,
    statement::{Row, args},
};

fn read(row: &Row) -> Result<DayCount, StoreError> {
    Ok(DayCount {
        day: small(row, "day")?,
        person: row.digest("person")?,
        what: row.text("what")?,
        count: small(row, "count")?,
    })
}

fn small(row: &Row, column: &'static str) -> Result<u32, StoreError> {
    u32::try_from(row.int(column)?).map_err(|_| StoreError::corrupt(column, "it is no small number"))
}

const KEEP: &str = "
insert into day_counts (node, day, person, what, count) values ($1, $2, $3, $4, $5)
on conflict (node, day, person, what) do update set count = excluded.count";
const LOAD: &str = "select day, person, what, count from day_counts where node = $1 and day = $2";
const FORGET: &str = "delete from day_counts where day < $1";

/// Keeps what a node counted, in place of what it kept of the same before.
///
/// # Errors
/// [`StoreError`].
pub async fn keep(tx: &mut Tx, node: &str, counts: &[DayCount]) -> Result<(), StoreError> {
    for DayCount { day, person, what, count } in counts {
        tx.execute(KEEP, args![node, i64::from(*day), person, what.as_str(), i64::from(*count)]).await?;
    }
    Ok(())
}

/// What a node counted on a day.
///
/// # Errors
/// [`StoreError`].
pub async fn load(source: impl Source, node: &str, day: u32) -> Result<Vec<DayCount>, StoreError> {
    source.rows(LOAD, args![node, i64::from(day)]).await?.iter().map(read).collect()
}

/// Forgets the days before one.
///
/// # Errors
/// [`StoreError`].
pub async fn forget_before(tx: &mut Tx, day: u32) -> Result<u64, StoreError> {
    tx.execute(FORGET, args![i64::from(day)]).await
}
