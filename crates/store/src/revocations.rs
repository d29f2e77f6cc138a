//! Revocations and blocks, one row per scope. An instant of revocation only moves forward.

use ambit_model::{
    ids::Millis,
    revocation::{Mark, Scope},
};

use crate::{
    Source, StoreError, Tx,
    statement::{Row, args},
};

/// Who acted, why and when.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// `operator:<os user>`, `user issuer:subject`, `ambit`.
    pub by: &'a str,
    /// In the actor's words.
    pub reason: &'a str,
    /// When.
    pub at_ms: Millis,
}

/// A scope with its mark and the latest act on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Marked {
    /// What it reaches.
    pub scope: Scope,
    /// What holds for it.
    pub mark: Mark,
    /// Who acted last; who set the block, while there is one.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Millis,
}

impl Marked {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let scope = Scope::parse(&row.text("kind")?, &row.text("id")?)
            .map_err(|_| StoreError::corrupt("revocations.id", "it names no scope"))?;
        Ok(Self {
            scope,
            mark: Mark { revoked_at: row.opt_int("revoked_at")?, blocked: row.flag("blocked")? },
            by: row.text("acted_by")?,
            reason: row.text("reason")?,
            at: row.int("acted_at")?,
        })
    }
}

/// The rule: the later of the stored and the given instant stands; who set a block stands until it is lifted.
const REVOKE: &str = "
insert into revocations (kind, id, revoked_at, blocked, acted_by, reason, acted_at)
values ($1, $2, $3, 0, $4, $5, $6)
on conflict (kind, id) do update set
    revoked_at = case
        when revocations.revoked_at is null or revocations.revoked_at < excluded.revoked_at then excluded.revoked_at
        else revocations.revoked_at
    end,
    acted_by = case when revocations.blocked = 1 then revocations.acted_by else excluded.acted_by end,
    reason = case when revocations.blocked = 1 then revocations.reason else excluded.reason end,
    acted_at = case when revocations.blocked = 1 then revocations.acted_at else excluded.acted_at end";
const BLOCK: &str = "
insert into revocations (kind, id, revoked_at, blocked, acted_by, reason, acted_at)
values ($1, $2, null, 1, $3, $4, $5)
on conflict (kind, id) do update set
    blocked = 1, acted_by = excluded.acted_by, reason = excluded.reason, acted_at = excluded.acted_at
where revocations.blocked = 0 or $6 = 1";
/// The rule: what is lifted is the block that was seen.
const UNBLOCK: &str = "
update revocations set blocked = 0, acted_by = $3, reason = $4, acted_at = $5
where kind = $1 and id = $2 and blocked = 1 and acted_by = $6 and acted_at = $7";
const FIND: &str = "select * from revocations where kind = $1 and id = $2";
const LOAD_ALL: &str = "select * from revocations order by kind, id";
/// Only scopes that name something short-lived: what they reached has expired by itself.
const PURGE: &str = "
delete from revocations where kind in ('family', 'sid', 'jti') and blocked = 0 and revoked_at <= $1";

/// Ends everything of a scope issued at or before an instant.
///
/// # Errors
/// [`StoreError`].
pub async fn revoke(tx: &mut Tx, scope: &Scope, until: Millis, act: Act<'_>) -> Result<(), StoreError> {
    tx.changes_what_requests_see();
    tx.execute(REVOKE, args![scope.kind(), scope.id(), until, act.by, act.reason, act.at_ms]).await.map(drop)
}

/// Refuses everything of a scope until it is lifted. A block that is there already becomes this one.
///
/// # Errors
/// [`StoreError`].
pub async fn block(tx: &mut Tx, scope: &Scope, act: Act<'_>) -> Result<(), StoreError> {
    tx.changes_what_requests_see();
    tx.execute(BLOCK, args![scope.kind(), scope.id(), act.by, act.reason, act.at_ms, 1_i64]).await.map(drop)
}

/// The same, but a block that is there already stays what it is.
///
/// # Errors
/// [`StoreError`].
pub async fn block_unless_blocked(tx: &mut Tx, scope: &Scope, act: Act<'_>) -> Result<(), StoreError> {
    tx.changes_what_requests_see();
    tx.execute(BLOCK, args![scope.kind(), scope.id(), act.by, act.reason, act.at_ms, 0_i64]).await.map(drop)
}

/// Lifts a block that was seen; an instant of revocation stays. False if it is not there any more, or is another one now.
///
/// # Errors
/// [`StoreError`].
pub async fn unblock(tx: &mut Tx, seen: &Marked, act: Act<'_>) -> Result<bool, StoreError> {
    tx.changes_what_requests_see();
    let (kind, id) = (seen.scope.kind(), seen.scope.id());
    Ok(tx.execute(UNBLOCK, args![kind, id, act.by, act.reason, act.at_ms, seen.by.as_str(), seen.at]).await? == 1)
}

/// The mark of one scope.
///
/// # Errors
/// [`StoreError`].
pub async fn find(source: impl Source, scope: &Scope) -> Result<Option<Marked>, StoreError> {
    source.row(FIND, args![scope.kind(), scope.id()]).await?.as_ref().map(Marked::read).transpose()
}

/// Every mark. One that cannot be read fails the whole: a block must not be lost because another row is odd.
///
/// # Errors
/// [`StoreError`].
pub async fn load_all(source: impl Source) -> Result<Vec<Marked>, StoreError> {
    source.rows(LOAD_ALL, &[]).await?.iter().map(Marked::read).collect()
}

/// Forgets revocations of families, foreign sessions and foreign tokens made at or before an instant. Choose it so that no
/// access token issued by then can still be alive.
///
/// # Errors
/// [`StoreError`].
pub async fn purge_outlived(tx: &mut Tx, before_ms: Millis) -> Result<u64, StoreError> {
    tx.execute(PURGE, args![before_ms]).await
}
