//! Definitions accepted in the store, beside those of `ambit.lock`, and the definitions themselves, kept to show what changed.

use ambit_model::{
    Digest,
    ids::{Millis, ToolId},
};

use crate::{
    Source, StoreError, Tx,
    statement::{Row, args},
};

/// An accepted definition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// The tool.
    pub tool: ToolId,
    /// The digest of its definition.
    pub digest: Digest,
    /// Who accepted it.
    pub accepted_by: String,
    /// When.
    pub accepted_at: Millis,
}

impl Accepted {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            tool: row.id("tool")?,
            digest: row.digest("digest")?,
            accepted_by: row.text("accepted_by")?,
            accepted_at: row.int("accepted_at")?,
        })
    }
}

const ACCEPT: &str = "
insert into acceptances (tool, digest, accepted_by, accepted_at) values ($1, $2, $3, $4)
on conflict (tool) do update set
    digest = excluded.digest, accepted_by = excluded.accepted_by, accepted_at = excluded.accepted_at";
const WITHDRAW: &str = "delete from acceptances where tool = $1";
const LOAD_ALL: &str = "select * from acceptances order by tool";
const KEEP: &str = "
insert into definitions (digest, tool, definition, seen_at) values ($1, $2, $3, $4) on conflict (digest) do nothing";
const DEFINITION: &str = "select definition from definitions where digest = $1 and tool = $2";

/// Accepts a definition in place of an earlier one of the tool.
///
/// # Errors
/// [`StoreError`].
pub async fn accept(tx: &mut Tx, accepted: &Accepted) -> Result<(), StoreError> {
    tx.changes_what_requests_see();
    let tool = accepted.tool.to_string();
    let args = args![tool, &accepted.digest, accepted.accepted_by.as_str(), accepted.accepted_at];
    tx.execute(ACCEPT, args).await.map(drop)
}

/// Takes an acceptance back. False if there was none.
///
/// # Errors
/// [`StoreError`].
pub async fn withdraw(tx: &mut Tx, tool: &ToolId) -> Result<bool, StoreError> {
    tx.changes_what_requests_see();
    Ok(tx.execute(WITHDRAW, args![tool.to_string()]).await? == 1)
}

/// Every acceptance, by tool.
///
/// # Errors
/// [`StoreError`].
pub async fn load_all(source: impl Source) -> Result<Vec<Accepted>, StoreError> {
    source.rows(LOAD_ALL, &[]).await?.iter().map(Accepted::read).collect()
}

/// Keeps a definition that was seen, so that a later one can be compared with it. False if it is kept already.
///
/// # Errors
/// [`StoreError`].
pub async fn keep_definition(
    tx: &mut Tx,
    tool: &ToolId,
    digest: &Digest,
    definition: &str,
    now_ms: Millis,
) -> Result<bool, StoreError> {
    Ok(tx.execute(KEEP, args![digest, tool.to_string(), definition, now_ms]).await? == 1)
}

/// The definition of a tool with this digest: JSON of the caller.
///
/// # Errors
/// [`StoreError`].
pub async fn find_definition(
    source: impl Source,
    tool: &ToolId,
    digest: &Digest,
) -> Result<Option<String>, StoreError> {
    source.row(DEFINITION, args![digest, tool.to_string()]).await?.map(|row| row.text("definition")).transpose()
}
