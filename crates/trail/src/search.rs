//! Searches through the index: bundles that may hold what is asked for, then their records one by one.
//!
//! The index only says where to look: a record is found by what stands in it, or in the intent it belongs to.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use ambit_model::event::RequestId;
use ambit_store::{
    Store, StoreError,
    trail_index::{self, BundleRef, Query},
};

use crate::{
    files::Files,
    index::decode_position,
    record::{Keys, Peek},
    segments::{ReadError, Reader, SegmentReader, Stored, segments},
};

/// Bundles asked for at a time.
const PAGE: u16 = 100;

/// Why a search failed.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The index cannot be asked.
    #[error("the index of the trail cannot be asked: {0}")]
    Store(#[from] StoreError),
    /// The segments cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The index does not fit the segments.
    #[error("the index does not fit the segment `{segment}` from record {leaf} on; run `ambit audit verify`")]
    Index {
        /// The segment.
        segment: String,
        /// The first record of the bundle.
        leaf: u64,
    },
    /// Reading was given up.
    #[error("reading the segments was given up: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Found {
    /// The records, oldest first.
    pub records: Vec<Stored>,
    /// Bundles that lie with other nodes and may hold more: search there too.
    pub elsewhere: BTreeMap<String, u64>,
    /// Whether there may be older ones that were left out.
    pub is_cut: bool,
}

/// Finds the latest records that match, at most so many; an outcome is found with its intent. `query.limit` and `query.after`
/// are this function's own. Records of the last second may not be indexed yet.
///
/// # Errors
/// [`SearchError`].
pub async fn search(
    files: Arc<dyn Files>,
    directory: &Path,
    store: &Store,
    query: &Query,
    most: usize,
) -> Result<Found, SearchError> {
    let node = node_of(files.as_ref(), directory)?;
    let mut query = Query { limit: PAGE, after: None, ..query.clone() };
    let mut picker = Picker { query: query.clone(), leaning: HashMap::new(), records: Vec::new() };
    let mut found = Found::default();
    loop {
        let page = trail_index::search(store, &query).await?;
        let Some(last) = page.last() else { break };
        query.after = Some(last.cursor());
        for bundle in page {
            if bundle.node != node {
                *found.elsewhere.entry(bundle.node).or_default() += 1;
                continue;
            }
            let (files, directory) = (files.clone(), directory.to_owned());
            let records = tokio::task::spawn_blocking(move || read_bundle(files, &directory, &bundle)).await??;
            records.into_iter().rev().for_each(|stored| picker.look_at(stored));
        }
        if picker.records.len() > most {
            found.is_cut = true;
            break;
        }
    }
    found.records = picker.records;
    found.records.sort_by_key(|stored| stored.leaf);
    let excess = found.records.len().saturating_sub(most);
    found.is_cut |= excess > 0;
    found.records.drain(..excess);
    Ok(found)
}

/// Picks the records that match, seen newest first.
struct Picker {
    query: Query,
    /// Outcomes whose intent was not seen yet.
    leaning: HashMap<RequestId, Stored>,
    records: Vec<Stored>,
}

impl Picker {
    fn look_at(&mut self, stored: Stored) {
        let Some(peek) = Peek::read(&stored.bytes) else { return };
        if peek.leans_on_intent() && !matches_keys(&self.query, &peek.keys()) {
            self.leaning.insert(peek.request, stored);
            return;
        }
        let in_time =
            self.query.from_ms.is_none_or(|from| peek.at >= from) && self.query.to_ms.is_none_or(|to| peek.at <= to);
        let outcome = if peek.event == "intent" { self.leaning.remove(&peek.request) } else { None };
        if in_time && matches_keys(&self.query, &peek.keys()) {
            self.records.push(stored);
            self.records.extend(outcome);
        }
    }
}

/// Whether a record has every key that is asked for.
fn matches_keys(query: &Query, keys: &Keys) -> bool {
    [
        (&query.subject, &keys.subject),
        (&query.agent, &keys.agent),
        (&query.client, &keys.client),
        (&query.tool, &keys.tool),
        (&query.endpoint, &keys.endpoint),
        (&query.decision, &keys.decision),
    ]
    .into_iter()
    .all(|(wanted, own)| wanted.as_ref().is_none_or(|wanted| own.as_deref() == Some(wanted.as_str())))
}

fn read_bundle(files: Arc<dyn Files>, directory: &Path, bundle: &BundleRef) -> Result<Vec<Stored>, SearchError> {
    let unfit = || SearchError::Index { segment: bundle.segment.clone(), leaf: bundle.first_leaf };
    let offset = decode_position(&bundle.positions).ok_or_else(unfit)?;
    let mut reader = Reader::open_at(files, directory, &bundle.segment, offset, bundle.first_leaf)?;
    let mut records = Vec::new();
    while reader.leaf() <= bundle.last_leaf {
        records.push(reader.next()?.ok_or_else(unfit)?);
    }
    Ok(records)
}

/// The node whose trail a directory holds.
pub(crate) fn node_of(files: &dyn Files, directory: &Path) -> Result<String, ReadError> {
    let segments = segments(files, directory)?;
    let (_, name) = segments.first().ok_or_else(|| ReadError::Nothing(directory.to_owned()))?;
    Ok(SegmentReader::open(files, directory, name)?.0.node)
}
