//! The index of the trail: one row per bundle of records, one key row per distinct value in it, never a row per record.
//!
//! It says where to look; the segment files are what counts. Written after the fact by the node that owns the segment.

use std::collections::BTreeSet;

use ambit_model::{Digest, ids::Millis};

use crate::{
    Source, StoreError, Tx,
    statement::{Row, args},
};

/// What a bundle can be found by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KeyKind {
    /// `issuer:subject` of the person.
    Subject,
    /// The agent.
    Agent,
    /// The client.
    Client,
    /// `server/tool`.
    Tool,
    /// The endpoint's slug.
    Endpoint,
    /// The outcome of the decision.
    Decision,
}

impl KeyKind {
    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Agent => "agent",
            Self::Client => "client",
            Self::Tool => "tool",
            Self::Endpoint => "endpoint",
            Self::Decision => "decision",
        }
    }
}

/// Where a bundle lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BundleRef {
    /// The node whose trail it is part of.
    pub node: String,
    /// Its first leaf.
    pub first_leaf: u64,
    /// Its last leaf.
    pub last_leaf: u64,
    /// The time of its earliest record.
    pub from_ms: Millis,
    /// The time of its latest record.
    pub to_ms: Millis,
    /// The segment file, by name.
    pub segment: String,
    /// Where in it the records lie, in the trail's own encoding.
    pub positions: Vec<u8>,
}

impl BundleRef {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            node: row.text("node")?,
            first_leaf: row.count("first_leaf")?,
            last_leaf: row.count("last_leaf")?,
            from_ms: row.int("from_ms")?,
            to_ms: row.int("to_ms")?,
            segment: row.text("segment")?,
            positions: row.bytes("positions")?,
        })
    }

    /// The cursor that continues a search after this bundle.
    pub fn cursor(&self) -> Cursor {
        Cursor { to_ms: self.to_ms, node: self.node.clone(), first_leaf: self.first_leaf }
    }
}

/// Where a page of a search ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// The latest time of the last bundle.
    pub to_ms: Millis,
    /// Its node.
    pub node: String,
    /// Its first leaf.
    pub first_leaf: u64,
}

/// What to look for. Every key given must occur in a bundle; two keys of one bundle need not be of one record, so the reader
/// of the bundle compares record by record.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The person.
    pub subject: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// The client.
    pub client: Option<String>,
    /// The tool.
    pub tool: Option<String>,
    /// The endpoint.
    pub endpoint: Option<String>,
    /// The decision.
    pub decision: Option<String>,
    /// Not before this instant.
    pub from_ms: Option<Millis>,
    /// Not after this instant.
    pub to_ms: Option<Millis>,
    /// After the page that ended here.
    pub after: Option<Cursor>,
    /// At most so many bundles; 1 to 1000.
    pub limit: u16,
}

const INSERT: &str = "
insert into trail_bundles (node, first_leaf, last_leaf, from_ms, to_ms, segment, positions)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (node, first_leaf) do nothing";
const INSERT_KEY: &str = "
insert into trail_keys (kind, value, to_ms, node, first_leaf, from_ms) values ($1, $2, $3, $4, $5, $6)";
const LAST_INDEXED: &str = "select max(last_leaf) as last_leaf from trail_bundles where node = $1";
const FIRST_SINCE: &str = "select min(first_leaf) as first_leaf from trail_bundles where node = $1 and to_ms >= $2";
const FORGET_BELOW: &str = "delete from trail_bundles where node = $1 and last_leaf < $2";
const FORGET: &str = "delete from trail_bundles where node = $1 and last_leaf >= $2";
const PURGE: &str = "delete from trail_bundles where to_ms < $1";

/// What both searches share: keys, time range, cursor, order.
macro_rules! search {
    ($from:literal) => {
        concat!(
            "select b.* from ",
            $from,
            "
  and ($3 is null or exists (select 1 from trail_keys k where k.node = b.node and k.first_leaf = b.first_leaf
       and k.kind = 'subject' and k.value = $3))
  and ($4 is null or exists (select 1 from trail_keys k where k.node = b.node and k.first_leaf = b.first_leaf
       and k.kind = 'agent' and k.value = $4))
  and ($5 is null or exists (select 1 from trail_keys k where k.node = b.node and k.first_leaf = b.first_leaf
       and k.kind = 'client' and k.value = $5))
  and ($6 is null or exists (select 1 from trail_keys k where k.node = b.node and k.first_leaf = b.first_leaf
       and k.kind = 'tool' and k.value = $6))
  and ($7 is null or exists (select 1 from trail_keys k where k.node = b.node and k.first_leaf = b.first_leaf
       and k.kind = 'endpoint' and k.value = $7))
  and ($8 is null or exists (select 1 from trail_keys k where k.node = b.node and k.first_leaf = b.first_leaf
       and k.kind = 'decision' and k.value = $8))
  and b.to_ms >= $9 and b.from_ms <= $10
  and ($11 is null or b.to_ms < $11
       or (b.to_ms = $11 and (b.node < $12 or (b.node = $12 and b.first_leaf < $13))))
order by b.to_ms desc, b.node desc, b.first_leaf desc
limit $14"
        )
    };
}
/// Walks the bundles themselves, newest first.
const SEARCH_ALL: &str = search!("trail_bundles b where $1 is null and $2 is null");
/// Walks the entries of one key: a rare person is found without reading past everybody else's bundles.
const SEARCH_BY_KEY: &str = search!(
    "trail_keys d join trail_bundles b on b.node = d.node and b.first_leaf = d.first_leaf
where d.kind = $1 and d.value = $2"
);

/// A longer value is indexed by its digest, so that no record can outgrow an index entry.
const LONGEST_VALUE: usize = 2200;

fn indexed(value: &str) -> String {
    if value.len() <= LONGEST_VALUE { value.to_owned() } else { Digest::of(value.as_bytes()).to_string() }
}

/// Indexes a bundle with its distinct keys. False if it was indexed before; then nothing changes.
///
/// # Errors
/// [`StoreError::Refused`] if the last leaf comes before the first.
pub async fn insert(tx: &mut Tx, bundle: &BundleRef, keys: &BTreeSet<(KeyKind, String)>) -> Result<bool, StoreError> {
    let args = args![
        bundle.node.as_str(),
        bundle.first_leaf,
        bundle.last_leaf,
        bundle.from_ms,
        bundle.to_ms,
        bundle.segment.as_str(),
        bundle.positions.as_slice(),
    ];
    if tx.execute(INSERT, args).await? == 0 {
        return Ok(false);
    }
    for (kind, value) in keys {
        let value = indexed(value);
        let args = args![kind.as_str(), value, bundle.to_ms, bundle.node.as_str(), bundle.first_leaf, bundle.from_ms];
        tx.execute(INSERT_KEY, args).await?;
    }
    Ok(true)
}

/// The last leaf of a node that is indexed.
///
/// # Errors
/// [`StoreError`].
pub async fn last_indexed(source: impl Source, node: &str) -> Result<Option<u64>, StoreError> {
    match source.row(LAST_INDEXED, args![node]).await? {
        Some(row) if row.opt_int("last_leaf")?.is_some() => row.count("last_leaf").map(Some),
        _ => Ok(None),
    }
}

/// The bundles that may hold what is asked for, newest first, one page.
///
/// # Errors
/// [`StoreError`].
pub async fn search(source: impl Source, query: &Query) -> Result<Vec<BundleRef>, StoreError> {
    let [subject, agent, client, tool, endpoint, decision] =
        [&query.subject, &query.agent, &query.client, &query.tool, &query.endpoint, &query.decision]
            .map(|value| value.as_deref().map(indexed));
    // The most telling key drives the search.
    let driver = [
        (KeyKind::Agent, &agent),
        (KeyKind::Subject, &subject),
        (KeyKind::Tool, &tool),
        (KeyKind::Client, &client),
        (KeyKind::Decision, &decision),
        (KeyKind::Endpoint, &endpoint),
    ]
    .into_iter()
    .find_map(|(kind, value)| value.clone().map(|value| (kind.as_str(), value)));
    let sql = if driver.is_some() { SEARCH_BY_KEY } else { SEARCH_ALL };
    let (kind, value) = driver.unzip();
    let args = args![
        kind,
        value,
        subject,
        agent,
        client,
        tool,
        endpoint,
        decision,
        query.from_ms.unwrap_or(i64::MIN),
        query.to_ms.unwrap_or(i64::MAX),
        query.after.as_ref().map(|cursor| cursor.to_ms),
        query.after.as_ref().map(|cursor| cursor.node.as_str()),
        query.after.as_ref().map(|cursor| i64::try_from(cursor.first_leaf).unwrap_or(i64::MAX)),
        i64::from(query.limit.clamp(1, 1000)),
    ];
    source.rows(sql, args).await?.iter().map(BundleRef::read).collect()
}

/// Forgets bundles whose latest record is older than an instant. The segments stay.
///
/// # Errors
/// [`StoreError`].
pub async fn purge(tx: &mut Tx, before_ms: Millis) -> Result<u64, StoreError> {
    tx.execute(PURGE, args![before_ms]).await
}

/// The first leaf of a node that is not both indexed and older than an instant: every one before it is.
///
/// # Errors
/// [`StoreError`].
pub async fn first_since(source: &mut Tx, node: &str, since_ms: Millis) -> Result<u64, StoreError> {
    match (&mut *source).row(FIRST_SINCE, args![node, since_ms]).await? {
        Some(row) if row.opt_int("first_leaf")?.is_some() => row.count("first_leaf"),
        _ => Ok(last_indexed(source, node).await?.map_or(0, |last| last + 1)),
    }
}

/// Forgets the bundles of a node before a leaf: their records are let go of.
///
/// # Errors
/// [`StoreError`].
pub async fn forget_below(tx: &mut Tx, node: &str, leaf: u64) -> Result<u64, StoreError> {
    tx.execute(FORGET_BELOW, args![node, leaf]).await
}

/// Forgets the bundles of a node that reach this leaf or later ones: they are of records that are lost.
///
/// # Errors
/// [`StoreError`].
pub async fn forget_from(tx: &mut Tx, node: &str, leaf: u64) -> Result<u64, StoreError> {
    tx.execute(FORGET, args![node, leaf]).await
}
