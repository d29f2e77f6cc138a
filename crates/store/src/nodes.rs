//! The nodes of a fleet, and the one configuration they must agree on.

use ambit_model::{Digest, ids::Millis};

use crate::{
    Source, StoreError, Tx,
    statement::{Row, args},
};

/// A node as it last reported itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// The digest of the configuration it runs.
    pub config_digest: Digest,
    /// The revision of the snapshot it serves.
    pub applied_revision: u64,
    /// When it last reported.
    pub last_seen_at: Millis,
}

impl Node {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text("id")?,
            config_digest: row.digest("config_digest")?,
            applied_revision: row.count("applied_revision")?,
            last_seen_at: row.int("last_seen_at")?,
        })
    }
}

/// How a node's configuration stands to the applied one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Agreement {
    /// The same.
    Same,
    /// Another one is applied: a node does not start with this one.
    Differs {
        /// The digest of the applied configuration.
        applied: Digest,
    },
}

const REPORT: &str = "
insert into nodes (id, config_digest, applied_revision, last_seen_at) values ($1, $2, $3, $4)
on conflict (id) do update set
    config_digest = excluded.config_digest,
    applied_revision = excluded.applied_revision,
    last_seen_at = excluded.last_seen_at";
const LIST: &str = "select * from nodes where last_seen_at >= $1 order by id";
const PURGE: &str = "delete from nodes where last_seen_at < $1";
const LEAVE: &str = "delete from nodes where id = $1";
const APPLIED: &str = "select digest from applied_config where id = 1";
const ADOPT: &str = "
insert into applied_config (id, digest, applied_by, applied_at) values (1, $1, $2, $3)
on conflict (id) do nothing";
const APPLY: &str = "
insert into applied_config (id, digest, applied_by, applied_at) values (1, $1, $2, $3)
on conflict (id) do update set
    digest = excluded.digest, applied_by = excluded.applied_by, applied_at = excluded.applied_at";

/// Reports a node.
///
/// # Errors
/// [`StoreError`].
pub async fn report(tx: &mut Tx, node: &Node) -> Result<(), StoreError> {
    let args = args![node.id.as_str(), &node.config_digest, node.applied_revision, node.last_seen_at];
    tx.execute(REPORT, args).await.map(drop)
}

/// The nodes that reported at or after an instant, by id.
///
/// # Errors
/// [`StoreError`].
pub async fn list(source: impl Source, since_ms: Millis) -> Result<Vec<Node>, StoreError> {
    source.rows(LIST, args![since_ms]).await?.iter().map(Node::read).collect()
}

/// Forgets a node that stops in order, so that its name is free at once. False if it never reported.
///
/// # Errors
/// [`StoreError`].
pub async fn leave(tx: &mut Tx, id: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(LEAVE, args![id]).await? == 1)
}

/// Forgets nodes that last reported before an instant.
///
/// # Errors
/// [`StoreError`].
pub async fn purge(tx: &mut Tx, before_ms: Millis) -> Result<u64, StoreError> {
    tx.execute(PURGE, args![before_ms]).await
}

/// The digest of the applied configuration, if any was applied yet.
///
/// # Errors
/// [`StoreError`].
pub async fn applied_config(source: impl Source) -> Result<Option<Digest>, StoreError> {
    source.row(APPLIED, &[]).await?.map(|row| row.digest("digest")).transpose()
}

/// Applies a configuration if none was applied yet, and says whether the applied one is this one. Of several first starts at
/// once, one decides.
///
/// # Errors
/// [`StoreError`].
pub async fn adopt_config(tx: &mut Tx, digest: &Digest, by: &str, now_ms: Millis) -> Result<Agreement, StoreError> {
    if tx.execute(ADOPT, args![digest, by, now_ms]).await? == 1 {
        tx.changes_what_requests_see();
        return Ok(Agreement::Same);
    }
    match applied_config(tx).await? {
        Some(applied) if applied == *digest => Ok(Agreement::Same),
        Some(applied) => Ok(Agreement::Differs { applied }),
        None => Err(StoreError::corrupt("applied_config.digest", "the row is missing")),
    }
}

/// Applies a configuration in place of another.
///
/// # Errors
/// [`StoreError`].
pub async fn apply_config(tx: &mut Tx, digest: &Digest, by: &str, now_ms: Millis) -> Result<(), StoreError> {
    tx.changes_what_requests_see();
    tx.execute(APPLY, args![digest, by, now_ms]).await.map(drop)
}
