//! The keeper: a thread that prepares segments ahead, signs checkpoints, and opens the line again when there is room.
//!
//! It works beside the commit thread so that no waiting record pays for any of this. A checkpoint covers only what is on
//! disk: a published one can never name a record that a crash takes back.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use ambit_ledger::SignedCheckpoint;

use crate::{
    bell::Wish,
    commit::Shared,
    condition::{Condition, Unavailable},
    elsewhere,
    files::{File, Open, replace},
    history,
    progress::lock,
    record::Record,
    writer::{Filled, SPARE_NAME},
};

/// The file that holds the latest checkpoint.
pub(crate) const CHECKPOINT_NAME: &str = "checkpoint";

/// Zeros are written in pieces of this size.
const PIECE: usize = 64 * 1024;
/// Zeros are put on disk after so many bytes, so that no sync of records has many of them to carry.
const STRIDE: u64 = 1024 * 1024;
/// A checkpoint is kept for good after so many further records …
const HISTORY_RECORDS: u64 = 4096;
/// … or after so long.
const HISTORY_PAUSE: Duration = Duration::from_mins(1);

/// What the keeper remembers between two rounds.
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    kept_size: u64,
    kept_at: Instant,
    trouble: bool,
}

impl Keeper {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let kept_size = lock(&shared.checkpoint).size();
        Self { shared, kept_size, kept_at: Instant::now(), trouble: false }
    }

    /// Until the trail is closed.
    pub(crate) fn keep(mut self) {
        let shared = self.shared.clone();
        loop {
            let committed = shared.committed.load(Ordering::Acquire);
            if !committed {
                shared.prepare();
                if matches!(shared.health.condition(), Condition::Hindered(_)) {
                    // Tried again in the next round if it is still too early.
                    drop(shared.recover());
                }
            }
            self.checkpoint(committed);
            if committed {
                drop(lock(&shared.held).take());
                shared.ended.send_replace(true);
                return;
            }
            shared.keeper.wait_at_most(shared.settings.checkpoint_every);
        }
    }

    /// Signs and stores a checkpoint if the trail grew.
    fn checkpoint(&mut self, last: bool) {
        let shared = &self.shared;
        let tree = lock(&shared.durable).clone();
        let grown = tree.size() > lock(&shared.checkpoint).size();
        let unkept = last && self.kept_size < tree.size();
        if !grown && !unkept {
            return;
        }
        let signed = SignedCheckpoint::sign(tree.size(), tree.root(), &shared.key);
        let keep = last || tree.size() - self.kept_size >= HISTORY_RECORDS || self.kept_at.elapsed() >= HISTORY_PAUSE;
        if keep {
            self.kept_size = tree.size();
            self.kept_at = Instant::now();
        }
        let stored = shared.store_checkpoint(&signed, keep);
        // Published even if it could not be stored: what it covers is on disk.
        *lock(&shared.checkpoint) = signed;
        if let Err(error) = &stored
            && !self.trouble
        {
            tracing::warn!(%error, "a checkpoint of the trail could not be stored; the records are kept");
        }
        self.trouble = stored.is_err();
    }
}

impl Shared {
    /// Stores a checkpoint: in the directory, in the further file if one is set, and in the history if it is to be kept.
    pub(crate) fn store_checkpoint(&self, signed: &SignedCheckpoint, keep: bool) -> io::Result<()> {
        let files = self.files.as_ref();
        if keep {
            history::add(files, &self.settings.directory, signed.note())?;
        }
        replace(files, &self.path(CHECKPOINT_NAME), signed.note().as_bytes())?;
        match &self.settings.checkpoint_file {
            Some(path) => elsewhere::replace_further(files, path, signed, self.key.verifying()),
            None => Ok(()),
        }
    }

    /// Zero-fills the rest of the segment in use and makes the next one. Failing is no error yet: there may be room left.
    pub(crate) fn prepare(&self) {
        let _one_at_a_time = lock(&self.preparing);
        let trouble = match self.fill_active().and_then(|()| self.make_spare()) {
            Ok(()) => None,
            Err(error) => Some(Arc::from(format!(
                "there is no room for the next segment in `{}`: {error}; free space, ambit tries again by itself",
                self.settings.directory.display()
            ))),
        };
        self.with_writer(|writer| {
            if trouble.is_some() && writer.spare_trouble.is_none() {
                tracing::warn!(why = ?trouble, "the next segment of the trail could not be prepared");
            }
            writer.spare_trouble = trouble;
            if let Some(why) = writer.shortage() {
                self.hinder(&why);
            }
        });
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    fn fill_active(&self) -> io::Result<()> {
        let zeros = vec![0; PIECE];
        let mut own: Option<(Arc<str>, Arc<dyn File>)> = None;
        let mut unsynced = 0;
        while !self.is_closing() {
            let filled = self.with_writer(|writer| {
                let capacity = if writer.lost { 0 } else { self.settings.segment_bytes };
                writer.active.fill(&zeros, capacity)
            })?;
            let Some(Filled { segment, bytes, is_last }) = filled else { return Ok(()) };
            unsynced += bytes;
            // Synced through a handle of its own: an error that one handle was told of must not be missing from another.
            let file = match own.take().filter(|(name, _)| *name == segment) {
                Some((_, file)) => file,
                None => self.files.open(&self.path(&segment), Open::Write)?,
            };
            if unsynced >= STRIDE || is_last {
                unsynced = 0;
                if let Err(error) = file.sync_data() {
                    self.lose(&error);
                    return Err(error);
                }
            }
            own = Some((segment, file));
        }
        Ok(())
    }

    fn make_spare(&self) -> io::Result<()> {
        let is_needed = self.with_writer(|writer| writer.spare.is_none() && !writer.lost);
        if !is_needed || self.is_closing() {
            return Ok(());
        }
        let path = self.path(SPARE_NAME);
        let made = self.files.open(&path, Open::Create).and_then(|file| {
            let zeros = vec![0; PIECE];
            let mut offset = 0;
            while offset < self.settings.segment_bytes {
                if self.is_closing() {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                let step = (self.settings.segment_bytes - offset).min(PIECE as u64);
                let piece = zeros.get(..usize::try_from(step).unwrap_or(0)).unwrap_or_default();
                file.write_all_at(piece, offset)?;
                offset += step;
                if offset.is_multiple_of(STRIDE) {
                    file.sync_data()?;
                }
            }
            file.sync_data()?;
            Ok(file)
        });
        match made {
            Ok(file) => {
                self.with_writer(|writer| writer.spare = Some(file));
                Ok(())
            }
            Err(error) => {
                // What was made of it may be the very room that is missing.
                drop(self.files.remove(&path));
                Err(error)
            }
        }
    }

    /// Opens the line again after a failed write or a shortage, if it can be.
    pub(crate) fn recover(&self) -> Result<(), Unavailable> {
        let Condition::Hindered(_) = self.health.condition() else { return self.health.check() };
        self.prepare();
        let reopened = self.with_writer(|writer| {
            if let Err(error) = writer.blank_torn() {
                return Err(format!("blanking a half-written record failed: {error}").into());
            }
            let no_spare = writer.spare_trouble.clone().filter(|_| writer.spare.is_none());
            if let Some(why) = writer.shortage().or(no_spare) {
                return Err(why);
            }
            let owed = self.reopen(writer.take_owed());
            self.health.become_(Condition::Sound);
            Ok(owed)
        });
        let owed = reopened.map_err(|why| Unavailable::Unwritable { why })?;
        tracing::info!(owed_outcomes = owed, "the trail takes records again");
        self.committer.ring(Wish::Now);
        Ok(())
    }

    /// Takes records again, the owed ones first; says how many those are.
    fn reopen(&self, owed: Vec<Record>) -> u64 {
        let mut intake = lock(&self.intake);
        intake.reopen();
        let mut lined_up = 0;
        for record in owed {
            // INVARIANT: the line is open and the record had passed it before.
            lined_up += u64::from(intake.push(record).is_ok());
        }
        drop(intake);
        self.places.take_regardless(lined_up);
        lined_up
    }
}
