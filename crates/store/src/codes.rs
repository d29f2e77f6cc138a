//! Authorization codes (RFC 6749 §4.1.2): each is exchanged once; shown again, it names the family to revoke.

use ambit_model::{Digest, ids::Millis};

use crate::{
    Source, StoreError, Tx,
    statement::{Row, args},
};

/// A code as it is issued.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Code {
    /// The digest of the code.
    pub hash: Digest,
    /// What it will be exchanged for: JSON of the caller.
    pub payload: String,
    /// The family its tokens will belong to.
    pub family: String,
    /// It counts until just before this instant.
    pub expires_at: Millis,
}

impl Code {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            hash: row.digest("hash")?,
            payload: row.text("payload")?,
            family: row.text("family")?,
            expires_at: row.int("expires_at")?,
        })
    }
}

/// What became of a code that was shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Consumed {
    /// It was good and is now spent.
    Fresh(Code),
    /// It was spent before: somebody has a copy. Revoke what came of it.
    Replayed {
        /// The family its tokens belong to.
        family: String,
    },
    /// It was never spent in time.
    Expired,
    /// No such code.
    Unknown,
}

const INSERT: &str = "insert into codes (hash, payload, family, expires_at) values ($1, $2, $3, $4)";
/// The rule: of any number of calls at once, one finds `consumed_at` empty.
const CONSUME: &str = "
update codes set consumed_at = $2 where hash = $1 and consumed_at is null and expires_at > $2
returning hash, payload, family, expires_at";
const WHY_NOT: &str = "select family, consumed_at from codes where hash = $1";
const PURGE: &str = "delete from codes where expires_at <= $1";

/// Keeps a new code.
///
/// # Errors
/// [`StoreError::Exists`] if the code is taken.
pub async fn insert(tx: &mut Tx, code: &Code) -> Result<(), StoreError> {
    let args = args![&code.hash, code.payload.as_str(), code.family.as_str(), code.expires_at];
    tx.execute(INSERT, args).await.map(drop)
}

/// Whether there is such a code, good or not. Costs a look, not the turn to write.
///
/// # Errors
/// [`StoreError`].
pub async fn is_known(source: impl Source, hash: &Digest) -> Result<bool, StoreError> {
    Ok(source.row(WHY_NOT, args![hash]).await?.is_some())
}

/// Spends a code. Commit also when the exchange fails afterwards: a code that was shown is spent.
///
/// # Errors
/// [`StoreError`].
pub async fn consume(tx: &mut Tx, hash: &Digest, now_ms: Millis) -> Result<Consumed, StoreError> {
    if let Some(row) = (&mut *tx).row(CONSUME, args![hash, now_ms]).await? {
        return Ok(Consumed::Fresh(Code::read(&row)?));
    }
    let Some(row) = tx.row(WHY_NOT, args![hash]).await? else { return Ok(Consumed::Unknown) };
    match row.opt_int("consumed_at")? {
        Some(_) => Ok(Consumed::Replayed { family: row.text("family")? }),
        None => Ok(Consumed::Expired),
    }
}

/// Forgets codes that expired at or before an instant. Choose it well after the expiry, so that a replay is still noticed.
///
/// # Errors
/// [`StoreError`].
pub async fn purge_expired(tx: &mut Tx, before_ms: Millis) -> Result<u64, StoreError> {
    tx.execute(PURGE, args![before_ms]).await
}
