//! Pending authorization requests: an authorize request that waits for login or consent.
//!
//! The browser carries a random id; the row is found by its digest. The request is the caller's JSON, already validated when
//! it was written.

use ambit_model::{Digest, ids::Millis};

use crate::{Source, StoreError, Tx, statement::args};

const INSERT: &str = "insert into pending_requests (id_hash, request, expires_at) values ($1, $2, $3)";
const FIND: &str = "select request from pending_requests where id_hash = $1 and expires_at > $2";
const REPLACE: &str = "update pending_requests set request = $2 where id_hash = $1 and expires_at > $3";
const TAKE: &str = "delete from pending_requests where id_hash = $1 and expires_at > $2 returning request";
const PURGE: &str = "delete from pending_requests where expires_at <= $1";

/// Keeps a request.
///
/// # Errors
/// [`StoreError::Exists`] if the id is taken.
pub async fn insert(tx: &mut Tx, id_hash: &Digest, request: &str, expires_at: Millis) -> Result<(), StoreError> {
    tx.execute(INSERT, args![id_hash, request, expires_at]).await.map(drop)
}

/// The request of this id, if it has not expired.
///
/// # Errors
/// [`StoreError`].
pub async fn find(source: impl Source, id_hash: &Digest, now_ms: Millis) -> Result<Option<String>, StoreError> {
    source.row(FIND, args![id_hash, now_ms]).await?.map(|row| row.text("request")).transpose()
}

/// Replaces the JSON of a request, for instance after the login. False if it is gone or expired.
///
/// # Errors
/// [`StoreError`].
pub async fn replace(tx: &mut Tx, id_hash: &Digest, request: &str, now_ms: Millis) -> Result<bool, StoreError> {
    Ok(tx.execute(REPLACE, args![id_hash, request, now_ms]).await? == 1)
}

/// Takes a request out, once.
///
/// # Errors
/// [`StoreError`].
pub async fn take(tx: &mut Tx, id_hash: &Digest, now_ms: Millis) -> Result<Option<String>, StoreError> {
    tx.row(TAKE, args![id_hash, now_ms]).await?.map(|row| row.text("request")).transpose()
}

/// Forgets expired requests.
///
/// # Errors
/// [`StoreError`].
pub async fn purge_expired(tx: &mut Tx, now_ms: Millis) -> Result<u64, StoreError> {
    tx.execute(PURGE, args![now_ms]).await
}
