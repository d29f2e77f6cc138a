//! Dynamically registered clients (RFC 7591). One that is never used is forgotten.

use ambit_model::{
    Digest,
    ids::{ClientId, Millis},
};

use crate::{
    Source, StoreError, Tx,
    statement::{Row, args},
};

/// A registration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Client {
    /// The id it was given.
    pub id: ClientId,
    /// Its metadata as registered: JSON of the caller.
    pub metadata: String,
    /// The digest of its secret, if it has one.
    pub secret_hash: Option<Digest>,
    /// When it registered.
    pub created_at: Millis,
    /// When somebody first logged in with it.
    pub first_used_at: Option<Millis>,
}

impl Client {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            metadata: row.text("metadata")?,
            secret_hash: row.opt_digest("secret_hash")?,
            created_at: row.int("created_at")?,
            first_used_at: row.opt_int("first_used_at")?,
        })
    }
}

const INSERT: &str = "
insert into clients (id, metadata, secret_hash, created_at, first_used_at) values ($1, $2, $3, $4, $5)";
const FIND: &str = "select * from clients where id = $1";
const LIST: &str = "select * from clients order by created_at, id";
const MARK_USED: &str = "update clients set first_used_at = $2 where id = $1 and first_used_at is null";
const DELETE: &str = "delete from clients where id = $1";
const PURGE_UNUSED: &str = "delete from clients where first_used_at is null and created_at < $1";

/// Keeps a registration.
///
/// # Errors
/// [`StoreError::Exists`] if the id is taken.
pub async fn insert(tx: &mut Tx, client: &Client) -> Result<(), StoreError> {
    let args = args![
        client.id.as_str(),
        client.metadata.as_str(),
        client.secret_hash.as_ref(),
        client.created_at,
        client.first_used_at,
    ];
    tx.execute(INSERT, args).await.map(drop)
}

/// The registration of this id.
///
/// # Errors
/// [`StoreError`].
pub async fn find(source: impl Source, id: &ClientId) -> Result<Option<Client>, StoreError> {
    source.row(FIND, args![id.as_str()]).await?.as_ref().map(Client::read).transpose()
}

/// Every registration, oldest first.
///
/// # Errors
/// [`StoreError`].
pub async fn list(source: impl Source) -> Result<Vec<Client>, StoreError> {
    source.rows(LIST, &[]).await?.iter().map(Client::read).collect()
}

/// Notes the first use; from then on the registration stays. False if it is gone or was used before.
///
/// # Errors
/// [`StoreError`].
pub async fn mark_used(tx: &mut Tx, id: &ClientId, now_ms: Millis) -> Result<bool, StoreError> {
    Ok(tx.execute(MARK_USED, args![id.as_str(), now_ms]).await? == 1)
}

/// Removes a registration. False if there was none.
///
/// # Errors
/// [`StoreError`].
pub async fn delete(tx: &mut Tx, id: &ClientId) -> Result<bool, StoreError> {
    Ok(tx.execute(DELETE, args![id.as_str()]).await? == 1)
}

/// Forgets registrations made before an instant and never used.
///
/// # Errors
/// [`StoreError`].
pub async fn purge_unused(tx: &mut Tx, before_ms: Millis) -> Result<u64, StoreError> {
    tx.execute(PURGE_UNUSED, args![before_ms]).await
}
