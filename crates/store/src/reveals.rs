//! Reveals: at most eight hours, naming user and client. The bound also stands in the schema.

use ambit_model::{
    grant::Reveal,
    ids::{AgentId, ClientId, GrantId, Millis, UserKey},
};

use crate::{
    Source, StoreError, Tx,
    statement::{Row, args},
};

/// A reveal with who made it and who ended it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RevealRecord {
    /// The reveal.
    pub reveal: Reveal,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Millis,
    /// Who ended it early, and when.
    pub ended: Option<(String, Millis)>,
}

impl RevealRecord {
    pub(crate) fn read(row: &Row) -> Result<Self, StoreError> {
        let reveal = Reveal {
            id: row.id("id")?,
            user: row.user("user_key")?,
            client: row.id("client")?,
            agent: row.opt_id("agent")?,
            toolset: row.id("toolset")?,
            reason: row.text("reason")?,
            approved_by: row.opt_text("approved_by")?,
            starts_at: row.int("starts_at")?,
            expires_at: row.int("expires_at")?,
        };
        Ok(Self {
            reveal: reveal
                .checked()
                .map_err(|_| StoreError::corrupt("reveals.expires_at", "the reveal lives longer than eight hours"))?,
            created_by: row.text("created_by")?,
            created_at: row.int("created_at")?,
            ended: row.opt_text("ended_by")?.zip(row.opt_int("ended_at")?),
        })
    }
}

/// Which records to list. The default lists all.
#[derive(Clone, Debug, Default)]
pub struct RevealFilter {
    /// Only of this user.
    pub user: Option<UserKey>,
    /// Only in this client.
    pub client: Option<ClientId>,
    /// Only those that count, or will count, at this instant.
    pub live_at: Option<Millis>,
}

const INSERT: &str = "
insert into reveals
    (id, user_key, client, agent, toolset, reason, approved_by, starts_at, expires_at, created_by, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
const END: &str = "update reveals set ended_by = $2, ended_at = $3 where id = $1 and ended_at is null";
const FIND: &str = "select * from reveals where id = $1";
const LOAD_LIVE: &str = "select * from reveals where ended_at is null and expires_at > $1 order by id";
const LIST: &str = "
select * from reveals
where ($1 is null or user_key = $1)
  and ($2 is null or client = $2)
  and ($3 is null or (ended_at is null and expires_at > $3))
order by created_at desc, id";

/// Makes a reveal.
///
/// # Errors
/// [`StoreError::Exists`] if the id is taken, [`StoreError::Refused`] if it lives longer than eight hours or not at all.
pub async fn insert(tx: &mut Tx, reveal: &Reveal, created_by: &str, now_ms: Millis) -> Result<(), StoreError> {
    tx.changes_what_requests_see();
    let args = args![
        reveal.id.as_str(),
        &reveal.user,
        reveal.client.as_str(),
        reveal.agent.as_ref().map(AgentId::as_str),
        reveal.toolset.as_str(),
        reveal.reason.as_str(),
        reveal.approved_by.as_deref(),
        reveal.starts_at,
        reveal.expires_at,
        created_by,
        now_ms,
    ];
    tx.execute(INSERT, args).await.map(drop)
}

/// Ends a reveal before its time. False if it is unknown or was ended before.
///
/// # Errors
/// [`StoreError`].
pub async fn end(tx: &mut Tx, id: &GrantId, by: &str, now_ms: Millis) -> Result<bool, StoreError> {
    tx.changes_what_requests_see();
    Ok(tx.execute(END, args![id.as_str(), by, now_ms]).await? == 1)
}

/// The record of this id.
///
/// # Errors
/// [`StoreError`].
pub async fn find(source: impl Source, id: &GrantId) -> Result<Option<RevealRecord>, StoreError> {
    source.row(FIND, args![id.as_str()]).await?.as_ref().map(RevealRecord::read).transpose()
}

/// The reveals that count now or will later, by id.
///
/// # Errors
/// [`StoreError`].
pub async fn load_live(source: impl Source, now_ms: Millis) -> Result<Vec<Reveal>, StoreError> {
    source.rows(LOAD_LIVE, args![now_ms]).await?.iter().map(|row| Ok(RevealRecord::read(row)?.reveal)).collect()
}

/// The records that pass a filter, newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn list(source: impl Source, filter: &RevealFilter) -> Result<Vec<RevealRecord>, StoreError> {
    let user = filter.user.as_ref().map(UserKey::to_string);
    let args = args![user, filter.client.as_ref().map(ClientId::as_str), filter.live_at];
    source.rows(LIST, args).await?.iter().map(RevealRecord::read).collect()
}
