//! Reveals that came from a broken glass, each with the review that follows. A review is written once and stays.

use ambit_model::ids::{GrantId, Millis, UserKey};

use crate::{
    Source, StoreError, Tx,
    reveals::RevealRecord,
    statement::{Row, args},
};

/// A broken glass.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokenGlass {
    /// The reveal it gave, whatever became of it.
    pub reveal: RevealRecord,
    /// What somebody else said of it.
    pub review: Option<Review>,
}

/// What somebody said of a broken glass afterwards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Review {
    /// Who.
    pub by: String,
    /// When.
    pub at: Millis,
    /// What.
    pub says: String,
}

/// The most of those that somebody has looked at that are listed.
pub const MOST_REVIEWED: i64 = 200;

impl BrokenGlass {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let review = match row.opt_int("reviewed_at")? {
            Some(at) => Some(Review {
                by: row.opt_text("reviewed_by")?.unwrap_or_default(),
                at,
                says: row.opt_text("review")?.unwrap_or_default(),
            }),
            None => None,
        };
        Ok(Self { reveal: RevealRecord::read(row)?, review })
    }
}

const INSERT: &str = "insert into broken_glass (reveal) values ($1)";
const LOAD_LIVE: &str = "
select reveals.id from reveals join broken_glass on broken_glass.reveal = reveals.id
where reveals.ended_at is null and reveals.expires_at > $1";
const FIND: &str = "
select reveals.*, broken_glass.reviewed_by, broken_glass.reviewed_at, broken_glass.review
from reveals join broken_glass on broken_glass.reveal = reveals.id
where reveals.id = $1";
const LIST: &str = "
select reveals.*, broken_glass.reviewed_by, broken_glass.reviewed_at, broken_glass.review
from reveals join broken_glass on broken_glass.reveal = reveals.id
where ($1 is null or reveals.user_key = $1)
  and (broken_glass.reviewed_at is null or reveals.id in (
    select earlier.id from reveals as earlier join broken_glass as seen on seen.reveal = earlier.id
    where seen.reviewed_at is not null and ($1 is null or earlier.user_key = $1)
    order by earlier.created_at desc, earlier.id limit $2))
order by case when broken_glass.reviewed_at is null then 0 else 1 end, reveals.created_at desc, reveals.id";
const EVERY: &str = "select reveal from broken_glass";
/// Once: whoever comes second finds it done.
const REVIEW: &str = "
update broken_glass set reviewed_by = $2, reviewed_at = $3, review = $4 where reveal = $1 and reviewed_at is null";

/// Marks a reveal that was just made as one of a broken glass.
///
/// # Errors
/// [`StoreError::Exists`] if it is one already, [`StoreError::Refused`] if there is no such reveal.
pub async fn insert(tx: &mut Tx, reveal: &GrantId) -> Result<(), StoreError> {
    tx.changes_what_requests_see();
    tx.execute(INSERT, args![reveal.as_str()]).await.map(drop)
}

/// The reveals of broken glass that count now.
///
/// # Errors
/// [`StoreError`].
pub async fn load_live(source: impl Source, now_ms: Millis) -> Result<Vec<GrantId>, StoreError> {
    source.rows(LOAD_LIVE, args![now_ms]).await?.iter().map(|row| row.id("id")).collect()
}

/// The one of this id.
///
/// # Errors
/// [`StoreError`].
pub async fn find(source: impl Source, id: &GrantId) -> Result<Option<BrokenGlass>, StoreError> {
    source.row(FIND, args![id.as_str()]).await?.as_ref().map(BrokenGlass::read).transpose()
}

/// Those of everybody or of one user, newest first: every one that nobody has looked at, and then the latest
/// [`MOST_REVIEWED`] that somebody has.
///
/// # Errors
/// [`StoreError`].
pub async fn list(source: impl Source, of: Option<&UserKey>) -> Result<Vec<BrokenGlass>, StoreError> {
    let args = args![of.map(UserKey::to_string), MOST_REVIEWED];
    source.rows(LIST, args).await?.iter().map(BrokenGlass::read).collect()
}

/// The reveals that came from a broken glass, whatever became of them.
///
/// # Errors
/// [`StoreError`].
pub async fn every(source: impl Source) -> Result<Vec<GrantId>, StoreError> {
    source.rows(EVERY, args![]).await?.iter().map(|row| row.id("reveal")).collect()
}

/// Writes down what somebody says of it. False if there is none of this id, or somebody did before.
///
/// # Errors
/// [`StoreError`].
pub async fn review(tx: &mut Tx, id: &GrantId, review: &Review) -> Result<bool, StoreError> {
    let args = args![id.as_str(), review.by.as_str(), review.at, review.says.as_str()];
    Ok(tx.execute(REVIEW, args).await? == 1)
}
