//! The rule sets that were applied, whole, so that any of them can be applied again. Nothing decides on what is kept here.

use ambit_model::{Digest, ids::Millis};

use crate::{
    Source, StoreError, Tx,
    statement::{Row, args},
};

/// An applied rule set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleSet {
    /// The digest that decisions name.
    pub digest: Digest,
    /// Its files and their schema: JSON of the caller.
    pub rules: String,
    /// When it was first applied.
    pub first_applied_at: Millis,
    /// When it was last applied.
    pub last_applied_at: Millis,
}

impl RuleSet {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            digest: row.digest("digest")?,
            rules: row.text("rules")?,
            first_applied_at: row.int("first_applied_at")?,
            last_applied_at: row.int("last_applied_at")?,
        })
    }
}

const KEEP: &str = "
insert into rule_sets (digest, rules, first_applied_at, last_applied_at) values ($1, $2, $3, $3)
on conflict (digest) do update set last_applied_at = excluded.last_applied_at";
const LIST: &str = "select * from rule_sets order by last_applied_at desc, digest";

/// Keeps a rule set that was applied.
///
/// # Errors
/// [`StoreError`].
pub async fn keep(tx: &mut Tx, digest: &Digest, rules: &str, now_ms: Millis) -> Result<(), StoreError> {
    tx.execute(KEEP, args![digest, rules, now_ms]).await.map(drop)
}

/// Every rule set, the one applied last first.
///
/// # Errors
/// [`StoreError`].
pub async fn list(source: impl Source) -> Result<Vec<RuleSet>, StoreError> {
    source.rows(LIST, &[]).await?.iter().map(RuleSet::read).collect()
}
