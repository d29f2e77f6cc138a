//! The index: after the fact, one bundle row per group of records with its distinct keys, so that a search finds segments and
//! places without reading them all.
//!
//! Never on the way of a request. Takes what was written from the feed; what the feed forgot while the store was away, or what
//! an earlier process left, it reads from the segments. A store that is away costs nothing but the index's age.

use std::{
    collections::{BTreeSet, HashMap},
    future::Future,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use ambit_model::{event::RequestId, ids::Millis};
use ambit_store::{
    Store, StoreError,
    trail_index::{self, BundleRef, KeyKind},
};

use crate::{
    commit::Shared,
    feed::Entry,
    progress::lock,
    record::{Keys, Peek},
    segments::{ReadError, Reader, Stored},
    trail::Trail,
};

/// How often bundles are made.
const EVERY: Duration = Duration::from_secs(1);
/// At most so many records make a bundle.
const BUNDLE: usize = 1024;
/// Reading on, so many earlier records are looked through for the intents of outcomes.
const LOOK_BACK: u64 = 4096;
/// At most so many intents wait for their outcome.
const MOST_INTENTS: usize = 65_536;
/// How long the last round may take when the process ends.
const LAST_ROUND: Duration = Duration::from_secs(2);

/// Why records could not be indexed.
#[derive(Debug, thiserror::Error)]
enum IndexError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("reading the segments was given up: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Trail {
    /// Indexes into the store until the shutdown resolves, beginning after what is indexed. Spawn it once per process.
    pub async fn index_into(&self, store: Store, shutdown: impl Future<Output = ()> + Send) {
        let shared = self.shared().clone();
        shared.feed.start();
        let mut indexer = Indexer { shared: shared.clone(), store, next: None, catching_up: None };
        let mut shutdown = pin!(shutdown);
        let mut reachable = true;
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                () = tokio::time::sleep(EVERY) => {}
            }
            let round = tokio::select! {
                () = &mut shutdown => break,
                round = indexer.round() => round,
            };
            match &round {
                Err(error) if reachable => tracing::warn!(%error, "the trail cannot be indexed; the records are kept"),
                Ok(()) if !reachable => tracing::info!("the trail is indexed again"),
                Ok(()) | Err(_) => {}
            }
            reachable = round.is_ok();
        }
        if let Ok(Err(error)) = tokio::time::timeout(LAST_ROUND, indexer.round()).await {
            tracing::debug!(%error, "the last records will be indexed at the next start");
        }
        shared.feed.stop();
    }
}

struct Indexer {
    shared: Arc<Shared>,
    store: Store,
    /// The first leaf that is not indexed; unknown until the store was asked.
    next: Option<u64>,
    catching_up: Option<CatchUp>,
}

impl Indexer {
    /// Indexes everything that is on disk. Dropped in the middle, it goes on from the last whole bundle.
    async fn round(&mut self) -> Result<(), IndexError> {
        let node = self.shared.settings.node.clone();
        let mut next = match self.next {
            Some(next) => next,
            None => trail_index::last_indexed(&self.store, &node).await?.map_or(0, |last| last + 1),
        };
        let known = lock(&self.shared.durable).size();
        if self.next.is_none() && next > known {
            tracing::warn!(
                %node, indexed = next, records = known,
                "the store's index knows more records of this node than its trail holds; if the trail was begun anew, give the \
                 node another name"
            );
        }
        self.next = Some(next);
        loop {
            let below = lock(&self.shared.durable).size();
            if next >= below {
                return Ok(());
            }
            let mut entries = self.shared.feed.take(next, below, BUNDLE);
            if entries.is_empty() {
                entries = self.read(next, below).await?;
            }
            for bundle in entries.chunk_by(|a, b| a.segment == b.segment) {
                let Some((row, keys)) = make_bundle(&node, bundle) else { continue };
                let last = row.last_leaf;
                let mut tx = self.store.begin().await?;
                trail_index::insert(&mut tx, &row, &keys).await?;
                tx.commit().await?;
                next = last + 1;
                self.next = Some(next);
            }
            if entries.is_empty() {
                return Ok(());
            }
        }
    }

    /// Reads records back. The reader is kept for the next piece.
    async fn read(&mut self, from: u64, below: u64) -> Result<Vec<Entry>, IndexError> {
        let kept = self.catching_up.take().filter(|kept| kept.reader.leaf() == from);
        let shared = self.shared.clone();
        let (kept, entries) = tokio::task::spawn_blocking(move || {
            let mut reading = match kept {
                Some(kept) => kept,
                None => CatchUp::open(&shared, from)?,
            };
            let entries = reading.read(from, below)?;
            Ok::<_, ReadError>((reading, entries))
        })
        .await??;
        let behind = kept.reader.leaf() < below;
        self.catching_up = behind.then_some(kept);
        Ok(entries)
    }
}

/// Reads records in order and gives outcomes the keys of their intents.
struct CatchUp {
    reader: Reader,
    intents: HashMap<RequestId, Keys>,
    /// The time of the last record that says one.
    at: Millis,
}

impl CatchUp {
    fn open(shared: &Shared, from: u64) -> Result<Self, ReadError> {
        let directory = &shared.settings.directory;
        let reader = match Reader::open(shared.files.clone(), directory, from.saturating_sub(LOOK_BACK)) {
            Err(ReadError::Gone { oldest, .. }) => Reader::open(shared.files.clone(), directory, oldest)?,
            opened => opened?,
        };
        Ok(Self { reader, intents: HashMap::new(), at: 0 })
    }

    fn read(&mut self, from: u64, below: u64) -> Result<Vec<Entry>, ReadError> {
        let mut entries = Vec::new();
        while self.reader.leaf() < below && entries.len() < BUNDLE {
            let Some(stored) = self.reader.next()? else { break };
            let keys = Peek::read(&stored.bytes).map_or_else(Keys::default, |peek| {
                self.at = peek.at;
                self.keys(&peek)
            });
            if stored.leaf >= from {
                let Stored { leaf, segment, offset, .. } = stored;
                entries.push(Entry { leaf, segment, offset, at: self.at, keys });
            }
        }
        Ok(entries)
    }

    /// The keys of a record; an outcome has those of its intent.
    fn keys(&mut self, peek: &Peek) -> Keys {
        let keys = peek.keys();
        if peek.event == "intent" {
            if self.intents.len() >= MOST_INTENTS {
                self.intents.clear();
            }
            self.intents.insert(peek.request, keys.clone());
        } else if peek.leans_on_intent()
            && let Some(of_intent) = self.intents.remove(&peek.request)
        {
            return of_intent;
        }
        keys
    }
}

/// One bundle of records that follow each other in one segment.
fn make_bundle(node: &str, entries: &[Entry]) -> Option<(BundleRef, BTreeSet<(KeyKind, String)>)> {
    let (first, last) = (entries.first()?, entries.last()?);
    // Borrowed while they are gathered: a bundle has few distinct values and many records.
    let mut keys = BTreeSet::new();
    let mut before: Option<&Keys> = None;
    for entry in entries {
        let own = &entry.keys;
        // An outcome mostly follows its intent, with the very same keys.
        if before.is_some_and(|before| before.is_same(own)) {
            continue;
        }
        before = Some(own);
        for (kind, value) in [
            (KeyKind::Subject, &own.subject),
            (KeyKind::Agent, &own.agent),
            (KeyKind::Client, &own.client),
            (KeyKind::Tool, &own.tool),
            (KeyKind::Endpoint, &own.endpoint),
            (KeyKind::Decision, &own.decision),
        ] {
            if let Some(value) = value {
                keys.insert((kind, value.as_ref()));
            }
        }
    }
    let row = BundleRef {
        node: node.to_owned(),
        first_leaf: first.leaf,
        last_leaf: last.leaf,
        from_ms: entries.iter().map(|entry| entry.at).min()?,
        to_ms: entries.iter().map(|entry| entry.at).max()?,
        segment: first.segment.as_ref().to_owned(),
        positions: encode_position(first.offset),
    };
    Some((row, keys.into_iter().map(|(kind, value)| (kind, value.to_owned())).collect()))
}

/// Records of a bundle lie one behind the other: the place of the first says where all are.
fn encode_position(offset: u64) -> Vec<u8> {
    offset.to_le_bytes().to_vec()
}

/// Where the first record of a bundle begins.
pub(crate) fn decode_position(positions: &[u8]) -> Option<u64> {
    positions.try_into().ok().map(u64::from_le_bytes)
}
