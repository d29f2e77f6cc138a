//! Group commit: appenders write what is in line, one thread syncs it for all that wait.
//!
//! Whoever finds the writer free writes everybody's records; whoever finds it busy leaves, for the holder looks again after
//! letting go. The commit thread does one `fdatasync` for all records written before it. When that fails, every record it
//! would have covered fails, and none is taken until the trail is opened again: the pages that did not reach the disk may
//! since count as clean, so a later success would prove nothing.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, TryLockError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ambit_ledger::{Frontier, SignedCheckpoint, SigningKey};

use crate::{
    bell::{Bell, Wish},
    condition::{Condition, Health, Places},
    feed::Feed,
    files::{Files, Held},
    intake::Intake,
    progress::{AppendError, Progress, lock},
    settings::{Now, Settings},
    writer::{Unsynced, Writer},
};

/// What appenders, the commit thread and the keeper share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) files: Arc<dyn Files>,
    pub(crate) key: SigningKey,
    pub(crate) now: Now,
    pub(crate) places: Places,
    pub(crate) health: Health,
    pub(crate) intake: Mutex<Intake>,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) progress: Progress,
    pub(crate) feed: Feed,
    pub(crate) committer: Bell,
    pub(crate) keeper: Bell,
    /// The tree over what is on disk.
    pub(crate) durable: Mutex<Frontier>,
    pub(crate) checkpoint: Mutex<SignedCheckpoint>,
    pub(crate) closing: AtomicBool,
    /// The last sync is done.
    pub(crate) committed: AtomicBool,
    /// The last checkpoint is stored and the directory given up.
    pub(crate) ended: tokio::sync::watch::Sender<bool>,
    /// One at a time prepares segments.
    pub(crate) preparing: Mutex<()>,
    /// The directory is ours until this is taken.
    pub(crate) held: Mutex<Option<Box<dyn Held>>>,
}

/// How often an appender writes for others in a row before the commit thread takes over.
const PATIENCE: usize = 8;

impl Shared {
    /// Writes what is in line, unless somebody is at it.
    pub(crate) fn combine(&self) {
        for _ in 0..PATIENCE {
            let mut writer = match self.writer.try_lock() {
                Ok(writer) => writer,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            self.write_line(&mut writer);
            drop(writer);
            // Records that came while the writer was held found it busy and left: they are ours.
            if lock(&self.intake).is_empty() {
                return;
            }
        }
        self.committer.ring(Wish::Now);
    }

    /// Writes what is in line, waiting for the writer.
    fn write_all(&self) {
        loop {
            let mut writer = lock(&self.writer);
            self.write_line(&mut writer);
            drop(writer);
            if lock(&self.intake).is_empty() {
                return;
            }
        }
    }

    /// Does something with the writer, then what appenders left undone who found it taken.
    pub(crate) fn with_writer<T>(&self, work: impl FnOnce(&mut Writer) -> T) -> T {
        let mut writer = lock(&self.writer);
        let done = work(&mut writer);
        drop(writer);
        if !lock(&self.intake).is_empty() {
            self.combine();
        }
        done
    }

    fn write_line(&self, writer: &mut Writer) {
        let segment = writer.active.name.clone();
        if let Err(given_up) = writer.drain(&self.intake, &self.progress, &self.feed) {
            // Nobody may hear of the failure and still be given a place.
            self.hinder(&given_up.why);
            self.progress.fail(given_up.tickets, &AppendError::Unwritable { why: given_up.why });
            // The failed tickets are passed over by the next sync.
            self.committer.ring(Wish::Now);
            self.keeper.ring(Wish::Now);
        } else if let Some(why) = writer.shortage() {
            self.hinder(&why);
        }
        if !Arc::ptr_eq(&segment, &writer.active.name) {
            self.keeper.ring(Wish::Now);
        }
    }

    pub(crate) fn hinder(&self, why: &Arc<str>) {
        if self.health.become_(Condition::Hindered(why.clone())) {
            tracing::error!(%why, "the trail takes no records");
        }
    }

    /// Puts everything written so far on disk and says so.
    pub(crate) fn sync(&self) {
        self.write_all();
        let Some(Unsynced { ticket, tree, dirty, renamed }) = self.with_writer(Writer::take_unsynced) else { return };
        let synced = dirty
            .iter()
            .try_for_each(|file| file.sync_data())
            .and_then(|()| if renamed { self.files.sync_directory(&self.settings.directory) } else { Ok(()) });
        match synced {
            Ok(()) => {
                *lock(&self.durable) = tree;
                self.advance(ticket);
            }
            Err(error) => self.lose(&error),
        }
    }

    fn advance(&self, ticket: u64) {
        let before = self.progress.synced();
        self.progress.advance_synced(ticket);
        self.places.give_back(ticket.saturating_sub(before));
    }

    /// Fails everything that is not known to be on disk, for good.
    pub(crate) fn lose(&self, error: &io::Error) {
        let why: Arc<str> = format!(
            "syncing the trail in `{}` failed: {error}; what was not synced before is not acknowledged; \
             repair the disk and start ambit again",
            self.settings.directory.display()
        )
        .into();
        if self.health.become_(Condition::Lost(why.clone())) {
            tracing::error!(%why, "the trail takes no records until it is opened again");
        }
        let error = AppendError::Unwritable { why };
        let next = self.with_writer(|writer| {
            let (_, next) = lock(&self.intake).shut(error.clone());
            self.progress.fail(self.progress.synced()..next, &error);
            writer.ticket = next;
            writer.lost = true;
            next
        });
        self.advance(next);
    }

    /// The commit thread: until the trail is closed.
    pub(crate) fn commit(&self) {
        // Half of the time to wait, half for the disk.
        let delay: Duration = self.settings.sync_within / 2;
        loop {
            self.committer.wait(delay);
            let last = self.closing.load(Ordering::Acquire);
            if last {
                // What is in line is still written; nothing is taken after it.
                lock(&self.intake).close();
            }
            self.sync();
            if last {
                self.committed.store(true, Ordering::Release);
                self.keeper.ring(Wish::Now);
                return;
            }
        }
    }

    /// The path of a file of the trail.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.settings.directory.join(name)
    }
}
