//! Login sessions. The cookie is a random id; the row is found by its digest.
//!
//! Whether a session still counts also depends on revocations, which the caller compares with `auth_time`.

use ambit_model::{
    Digest,
    ids::{Millis, UserKey},
};

use crate::{
    Source, StoreError, Tx,
    statement::{Row, args, json},
};

/// A login session.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// The digest of the id in the cookie.
    pub id_hash: Digest,
    /// Who logged in.
    pub user: UserKey,
    /// When the person last proved who they are.
    pub auth_time: Millis,
    /// How (RFC 8176).
    pub amr: Vec<String>,
    /// The digest or the sealed form of the session's CSRF secret.
    pub csrf: Vec<u8>,
    /// When it was made.
    pub created_at: Millis,
    /// It counts until just before this instant.
    pub expires_at: Millis,
    /// When it was last used, to the caller's precision.
    pub last_seen_at: Millis,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("user", &self.user).field("auth_time", &self.auth_time).finish_non_exhaustive()
    }
}

impl Session {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id_hash: row.digest("id_hash")?,
            user: row.user("user_key")?,
            auth_time: row.int("auth_time")?,
            amr: row.json("amr")?,
            csrf: row.bytes("csrf")?,
            created_at: row.int("created_at")?,
            expires_at: row.int("expires_at")?,
            last_seen_at: row.int("last_seen_at")?,
        })
    }
}

const INSERT: &str = "
insert into login_sessions (id_hash, user_key, auth_time, amr, csrf, created_at, expires_at, last_seen_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)";
const FIND: &str = "select * from login_sessions where id_hash = $1 and expires_at > $2";
const LIST_BY_USER: &str = "
select * from login_sessions where user_key = $1 and expires_at > $2 order by created_at desc";
const TOUCH: &str = "
update login_sessions set last_seen_at = $2 where id_hash = $1 and expires_at > $2 and last_seen_at < $2";
const DELETE: &str = "delete from login_sessions where id_hash = $1";
const DELETE_BY_USER: &str = "delete from login_sessions where user_key = $1";
const PURGE: &str = "delete from login_sessions where expires_at <= $1";

/// Keeps a new session.
///
/// # Errors
/// [`StoreError::Exists`] if the id is taken.
pub async fn insert(tx: &mut Tx, session: &Session) -> Result<(), StoreError> {
    let amr = json("amr", &session.amr)?;
    let args = args![
        &session.id_hash,
        &session.user,
        session.auth_time,
        amr,
        session.csrf.as_slice(),
        session.created_at,
        session.expires_at,
        session.last_seen_at,
    ];
    tx.execute(INSERT, args).await.map(drop)
}

/// The session of this id, if it has not expired.
///
/// # Errors
/// [`StoreError`].
pub async fn find(source: impl Source, id_hash: &Digest, now_ms: Millis) -> Result<Option<Session>, StoreError> {
    source.row(FIND, args![id_hash, now_ms]).await?.as_ref().map(Session::read).transpose()
}

/// The sessions of a user that have not expired, newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn list_by_user(source: impl Source, user: &UserKey, now_ms: Millis) -> Result<Vec<Session>, StoreError> {
    source.rows(LIST_BY_USER, args![user, now_ms]).await?.iter().map(Session::read).collect()
}

/// Notes that a session was used. False if it is gone or expired, or was noted at this instant or later.
///
/// # Errors
/// [`StoreError`].
pub async fn touch(tx: &mut Tx, id_hash: &Digest, now_ms: Millis) -> Result<bool, StoreError> {
    Ok(tx.execute(TOUCH, args![id_hash, now_ms]).await? == 1)
}

/// Ends a session. False if there was none.
///
/// # Errors
/// [`StoreError`].
pub async fn delete(tx: &mut Tx, id_hash: &Digest) -> Result<bool, StoreError> {
    Ok(tx.execute(DELETE, args![id_hash]).await? == 1)
}

/// Ends every session of a user and says how many there were.
///
/// # Errors
/// [`StoreError`].
pub async fn delete_by_user(tx: &mut Tx, user: &UserKey) -> Result<u64, StoreError> {
    tx.execute(DELETE_BY_USER, args![user]).await
}

/// Forgets expired sessions.
///
/// # Errors
/// [`StoreError`].
pub async fn purge_expired(tx: &mut Tx, now_ms: Millis) -> Result<u64, StoreError> {
    tx.execute(PURGE, args![now_ms]).await
}
