//! How far the trail has come, and who waits for it.
//!
//! Every append draws a *ticket*; tickets count up and are never used twice. Written and synced each have a high-water mark.
//! A ticket whose record could not be kept lies in a failed range; the records after it move up, so a leaf number is the
//! ticket less the failed tickets before it.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
};

use crate::record::Durability;

/// Locks; a thread that panicked while it held the lock leaves plain data behind, which stays usable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a record is not in the trail.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AppendError {
    /// It could not be written or synced. It may or may not be found after a restart; it does not count as recorded.
    #[error("the trail could not keep the record: {why}")]
    Unwritable {
        /// The cause.
        why: Arc<str>,
    },
    /// The trail was closed before.
    #[error("the trail is closed")]
    Closed,
    /// The record is empty or too long.
    #[error("the record has {bytes} bytes; a record has 1 to {limit}")]
    Size {
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        limit: usize,
    },
    /// The reservation has no place left.
    #[error("the reservation has no place left for another record")]
    NoPlace,
}

/// The marks, the failures, the waiters.
#[derive(Debug)]
pub(crate) struct Progress {
    written: AtomicU64,
    synced: AtomicU64,
    failures: AtomicUsize,
    failed: Mutex<Vec<(Range<u64>, AppendError)>>,
    waiting_for_write: Mutex<BTreeMap<u64, Waker>>,
    waiting_for_sync: Mutex<BTreeMap<u64, Waker>>,
}

impl Progress {
    /// Begins after the leaves that are there.
    pub(crate) fn new(leaves: u64) -> Self {
        Self {
            written: AtomicU64::new(leaves),
            synced: AtomicU64::new(leaves),
            failures: AtomicUsize::new(0),
            failed: Mutex::default(),
            waiting_for_write: Mutex::default(),
            waiting_for_sync: Mutex::default(),
        }
    }

    fn mark(&self, durability: Durability) -> &AtomicU64 {
        match durability {
            Durability::Synced => &self.synced,
            Durability::Written => &self.written,
        }
    }

    fn waiting(&self, durability: Durability) -> &Mutex<BTreeMap<u64, Waker>> {
        match durability {
            Durability::Synced => &self.waiting_for_sync,
            Durability::Written => &self.waiting_for_write,
        }
    }

    /// How many tickets are synced or failed.
    pub(crate) fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Whether a ticket is done, and how.
    pub(crate) fn look(&self, ticket: u64, durability: Durability) -> Option<Result<u64, AppendError>> {
        if self.mark(durability).load(Ordering::Acquire) <= ticket {
            return None;
        }
        if self.failures.load(Ordering::Acquire) == 0 {
            return Some(Ok(ticket));
        }
        let mut leaf = ticket;
        for (range, error) in lock(&self.failed).iter() {
            if range.contains(&ticket) {
                return Some(Err(error.clone()));
            }
            if range.end <= ticket {
                leaf -= range.end - range.start;
            }
        }
        Some(Ok(leaf))
    }

    /// Whether a ticket is done; if not, the waker is kept and woken once when it is.
    pub(crate) fn poll(&self, ticket: u64, durability: Durability, waker: &Waker) -> Poll<Result<u64, AppendError>> {
        let mut waiting = lock(self.waiting(durability));
        // Looked at under the lock: a mark that moves later finds the waker.
        if let Some(done) = self.look(ticket, durability) {
            return Poll::Ready(done);
        }
        match waiting.get_mut(&ticket) {
            Some(kept) => kept.clone_from(waker),
            None => {
                waiting.insert(ticket, waker.clone());
            }
        }
        Poll::Pending
    }

    /// Nobody waits for the ticket any more.
    pub(crate) fn forget(&self, ticket: u64, durability: Durability) {
        lock(self.waiting(durability)).remove(&ticket);
    }

    /// All tickets below are in the file.
    pub(crate) fn advance_written(&self, below: u64) {
        self.advance(Durability::Written, below);
    }

    /// All tickets below are on disk.
    pub(crate) fn advance_synced(&self, below: u64) {
        self.advance(Durability::Synced, below);
    }

    /// The tickets of a range are lost. Done for both kinds of waiters; earlier marks stay, for none may pass an older ticket.
    pub(crate) fn fail(&self, range: Range<u64>, error: &AppendError) {
        if range.is_empty() {
            return;
        }
        let mut failed = lock(&self.failed);
        failed.push((range.clone(), error.clone()));
        self.failures.store(failed.len(), Ordering::Release);
        drop(failed);
        self.advance_written(range.end);
    }

    fn advance(&self, durability: Durability, below: u64) {
        self.mark(durability).fetch_max(below, Ordering::AcqRel);
        let mut waiting = lock(self.waiting(durability));
        if waiting.first_key_value().is_none_or(|(first, _)| *first >= below) {
            return;
        }
        let rest = waiting.split_off(&below);
        let done = std::mem::replace(&mut *waiting, rest);
        drop(waiting);
        done.into_values().for_each(Waker::wake);
    }
}
