//! What the index learns of written records without reading them again. Bounded: when the store is away the feed forgets its
//! oldest entries, and the indexer reads those records from the segments later.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use ambit_model::ids::Millis;

use crate::{progress::lock, record::Keys};

/// At most so many entries wait.
const LONGEST: usize = 65_536;

/// A written record, as the index sees it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) leaf: u64,
    pub(crate) segment: Arc<str>,
    pub(crate) offset: u64,
    pub(crate) at: Millis,
    pub(crate) keys: Keys,
}

/// The entries in leaf order. Empty and idle unless somebody indexes.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    wanted: AtomicBool,
    entries: Mutex<VecDeque<Entry>>,
}

impl Feed {
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    pub(crate) fn start(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    pub(crate) fn stop(&self) {
        self.wanted.store(false, Ordering::Relaxed);
        lock(&self.entries).clear();
    }

    pub(crate) fn add(&self, entries: impl Iterator<Item = Entry>) {
        let mut waiting = lock(&self.entries);
        waiting.extend(entries);
        let excess = waiting.len().saturating_sub(LONGEST);
        waiting.drain(..excess);
    }

    /// Takes the entries from a leaf up to before another, at most so many; none if the feed does not reach back to the first.
    pub(crate) fn take(&self, from: u64, below: u64, most: usize) -> Vec<Entry> {
        let mut waiting = lock(&self.entries);
        while waiting.front().is_some_and(|entry| entry.leaf < from) {
            waiting.pop_front();
        }
        if waiting.front().is_none_or(|entry| entry.leaf != from) {
            return Vec::new();
        }
        let count = waiting.iter().take(most).take_while(|entry| entry.leaf < below).count();
        waiting.drain(..count).collect()
    }
}
