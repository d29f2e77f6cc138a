//! Writes the line of records into the segment: frames, hashes, one `write` per batch, and the next segment when one is full.
//!
//! One writer at a time, whoever holds its lock; it never syncs and never waits for anybody. What it wrote is durable only
//! after the commit thread synced the files it names here.

use std::{
    io,
    ops::Range,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use ambit_ledger::{
    Frontier, Hash,
    frame::{self, FRAME_OVERHEAD},
    segment::{HEADER_BYTES, Header},
};

use crate::{
    feed::{Entry, Feed},
    files::{File, Files, Open},
    intake::Intake,
    progress::{AppendError, Progress, lock},
    record::Record,
    salts::Salts,
    settings::Settings,
};

/// The name of the next segment until it has a first leaf.
pub(crate) const SPARE_NAME: &str = "next.spare";
/// The same for one that is needed before the spare is ready. Another name, for the spare may be in the making.
const UNFILLED_NAME: &str = "unfilled.spare";

/// The segment that is written to.
pub(crate) struct Active {
    pub(crate) file: Arc<dyn File>,
    pub(crate) name: Arc<str>,
    /// Where the next frame goes.
    pub(crate) offset: u64,
    /// Up to where the file is zero-filled.
    pub(crate) filled: u64,
    /// Whether something was written since the last sync.
    pub(crate) dirty: bool,
}

/// What one step of filling did.
pub(crate) struct Filled {
    pub(crate) segment: Arc<str>,
    pub(crate) bytes: u64,
    pub(crate) is_last: bool,
}

impl Active {
    /// Writes zeros behind what is filled or written; none are left to write when it says nothing. Under the writer's lock,
    /// so that no record gets below them. A segment that was not to be is not filled.
    pub(crate) fn fill(&mut self, zeros: &[u8], segment_bytes: u64) -> io::Result<Option<Filled>> {
        let start = self.filled.max(self.offset);
        let left = segment_bytes.saturating_sub(start);
        if left == 0 {
            return Ok(None);
        }
        let bytes = left.min(zeros.len() as u64);
        let piece = zeros.get(..usize::try_from(bytes).unwrap_or(0)).unwrap_or_default();
        self.file.write_all_at(piece, start)?;
        self.filled = start + bytes;
        Ok(Some(Filled { segment: self.name.clone(), bytes, is_last: bytes == left }))
    }
}

/// What the writer knows. Behind one lock.
pub(crate) struct Writer {
    files: Arc<dyn Files>,
    directory: PathBuf,
    origin: String,
    node: String,
    segment_bytes: u64,
    /// The ticket of the next record to write.
    pub(crate) ticket: u64,
    /// The tree over what was written.
    pub(crate) tree: Frontier,
    pub(crate) active: Active,
    /// A zero-filled file that becomes the next segment.
    pub(crate) spare: Option<Arc<dyn File>>,
    /// Full segments with bytes that are not synced.
    pub(crate) full: Vec<Arc<dyn File>>,
    /// Whether a name changed since the directory was synced.
    pub(crate) renamed: bool,
    /// Why the next segment could not be prepared, if that was tried and failed.
    pub(crate) spare_trouble: Option<Arc<str>>,
    /// A sync failed: nothing is written or synced any more.
    pub(crate) lost: bool,
    /// Bytes behind the offset that a failed write may have left.
    torn: u64,
    /// Outcomes that could not be written: what happened, happened. Written first when there is room again.
    owed: Vec<Record>,
    salts: Salts,
    batch: Vec<Record>,
    out: Vec<u8>,
    hashes: Vec<Hash>,
}

/// Records that could not be written, and why.
pub(crate) struct GivenUp {
    pub(crate) why: Arc<str>,
    /// Their tickets.
    pub(crate) tickets: Range<u64>,
}

/// A write of at least so many bytes is not made longer.
const PIECE: usize = 256 * 1024;
/// What a sync has to bring to the disk, and what it can say when it did.
pub(crate) struct Unsynced {
    /// All tickets below are covered.
    pub(crate) ticket: u64,
    /// The tree over their records.
    pub(crate) tree: Frontier,
    /// The segments to sync.
    pub(crate) dirty: Vec<Arc<dyn File>>,
    /// Whether the directory is to be synced as well.
    pub(crate) renamed: bool,
}

/// At most so many outcomes are kept for later.
const MOST_OWED: usize = 4096;

impl Writer {
    pub(crate) fn new(settings: &Settings, files: Arc<dyn Files>, ticket: u64, tree: Frontier, active: Active) -> Self {
        Self {
            files,
            directory: settings.directory.clone(),
            origin: settings.origin.clone(),
            node: settings.node.clone(),
            segment_bytes: settings.segment_bytes,
            ticket,
            tree,
            active,
            spare: None,
            full: Vec::new(),
            renamed: false,
            spare_trouble: None,
            lost: false,
            torn: 0,
            owed: Vec::new(),
            salts: Salts::new(),
            batch: Vec::new(),
            out: Vec::new(),
            hashes: Vec::new(),
        }
    }

    /// Why no more should be reserved: room runs out and the next segment cannot be prepared. What is reserved still fits.
    pub(crate) fn shortage(&self) -> Option<Arc<str>> {
        let margin = (self.segment_bytes / 4).min(4 * 1024 * 1024);
        let short = self.spare.is_none() && self.active.filled.saturating_sub(self.active.offset) < margin;
        short.then(|| self.spare_trouble.clone()).flatten()
    }

    /// What was written since the last sync; none after a failed one, when no sync says anything any more.
    pub(crate) fn take_unsynced(&mut self) -> Option<Unsynced> {
        if self.lost {
            return None;
        }
        let mut dirty = std::mem::take(&mut self.full);
        if std::mem::take(&mut self.active.dirty) {
            dirty.push(self.active.file.clone());
        }
        let renamed = std::mem::take(&mut self.renamed);
        Some(Unsynced { ticket: self.ticket, tree: self.tree.clone(), dirty, renamed })
    }

    /// Writes all records in line.
    pub(crate) fn drain(&mut self, intake: &Mutex<Intake>, progress: &Progress, feed: &Feed) -> Result<(), GivenUp> {
        lock(intake).take_all(&mut self.batch);
        if self.batch.is_empty() {
            return Ok(());
        }
        let mut batch = std::mem::take(&mut self.batch);
        let written = self.write_batch(&mut batch, feed);
        let result = match written {
            Ok(()) => {
                progress.advance_written(self.ticket);
                Ok(())
            }
            Err(error) => Err(self.give_up(&error, &batch, intake)),
        };
        batch.clear();
        self.batch = batch;
        result
    }

    /// Writes a batch, in as many pieces as segments need. On an error the records from [`Self::ticket`] on are not written;
    /// `batch` then holds exactly those.
    fn write_batch(&mut self, batch: &mut Vec<Record>, feed: &Feed) -> io::Result<()> {
        self.out.clear();
        self.hashes.clear();
        let before = self.ticket;
        let written = self.frame_and_flush(batch, feed);
        let count = usize::try_from(self.ticket - before).unwrap_or(usize::MAX);
        batch.drain(..count.min(batch.len()));
        written
    }

    fn frame_and_flush(&mut self, batch: &mut [Record], feed: &Feed) -> io::Result<()> {
        let mut flushed = 0;
        for index in 0..batch.len() {
            let Some(record) = batch.get(index) else { break };
            let needed = (FRAME_OVERHEAD + record.bytes.len()) as u64;
            let is_full = self.active.offset + self.out.len() as u64 + needed > self.segment_bytes;
            if is_full || self.out.len() >= PIECE {
                flushed += self.flush(batch.get_mut(flushed..).unwrap_or_default(), feed)?;
                if is_full {
                    self.turn()?;
                }
            }
            let Some(record) = batch.get(index) else { break };
            let salt = self.salts.draw()?;
            let hash = frame::encode(&mut self.out, &salt, &record.bytes).map_err(io::Error::other)?;
            self.hashes.push(hash);
        }
        self.flush(batch.get_mut(flushed..).unwrap_or_default(), feed).map(drop)
    }

    /// Writes the frames in hand and counts their records as written.
    fn flush(&mut self, records: &mut [Record], feed: &Feed) -> io::Result<usize> {
        let count = self.hashes.len();
        if count == 0 {
            return Ok(0);
        }
        let bytes = self.out.len() as u64;
        if let Err(error) = self.active.file.write_all_at(&self.out, self.active.offset) {
            self.torn = self.torn.max(bytes);
            return Err(error);
        }
        self.active.dirty = true;
        if feed.is_wanted() {
            let mut offset = self.active.offset;
            let first = self.tree.size();
            feed.add(records.iter_mut().take(count).zip(first..).map(|(record, leaf)| {
                let entry = Entry {
                    leaf,
                    segment: self.active.name.clone(),
                    offset,
                    at: record.at,
                    keys: std::mem::take(&mut record.keys),
                };
                offset += (FRAME_OVERHEAD + record.bytes.len()) as u64;
                entry
            }));
        }
        self.active.offset += bytes;
        for hash in self.hashes.drain(..) {
            self.tree.push(hash);
        }
        self.ticket += count as u64;
        self.out.clear();
        Ok(count)
    }

    /// Begins the next segment: the spare if it is ready, else a file that is filled while it is used.
    fn turn(&mut self) -> io::Result<()> {
        let header = Header { origin: self.origin.clone(), node: self.node.clone(), tree: self.tree.clone() };
        let name = header.file_name();
        let (path, file, filled) = if let Some(file) = &self.spare {
            (self.directory.join(SPARE_NAME), file.clone(), self.segment_bytes)
        } else {
            let path = self.directory.join(UNFILLED_NAME);
            let file = self.files.open(&path, Open::Create)?;
            (path, file, HEADER_BYTES as u64)
        };
        file.write_all_at(&header.to_bytes(), 0)?;
        self.files.rename(&path, &self.directory.join(&name))?;
        self.spare = None;
        self.renamed = true;
        let next = Active { file, name: name.into(), offset: HEADER_BYTES as u64, filled, dirty: true };
        let full = std::mem::replace(&mut self.active, next);
        if full.dirty {
            self.full.push(full.file);
        }
        Ok(())
    }

    /// Ends the line: what is not written fails, and nothing more is taken until there is room again.
    ///
    /// What was written before counts; whoever waits for the rest is told by the caller.
    fn give_up(&mut self, error: &io::Error, unwritten: &[Record], intake: &Mutex<Intake>) -> GivenUp {
        let why: Arc<str> = format!(
            "writing `{}` in `{}` failed: {error}; free space or repair the disk, ambit tries again by itself",
            self.active.name,
            self.directory.display()
        )
        .into();
        let (in_line, next) = lock(intake).shut(AppendError::Unwritable { why: why.clone() });
        let owed = unwritten.iter().chain(&in_line).filter(|record| record.bytes.starts_with(br#"{"event":"outcome""#));
        let room = MOST_OWED.saturating_sub(self.owed.len());
        self.owed.extend(owed.take(room).cloned());
        let tickets = self.ticket..next;
        self.ticket = next;
        self.out.clear();
        self.hashes.clear();
        GivenUp { why, tickets }
    }

    /// Makes good after a failed write: blanks what it may have left, so that no half frame is ever taken for a record.
    ///
    /// The blanks are synced by the caller before the line is opened again.
    pub(crate) fn blank_torn(&mut self) -> io::Result<()> {
        let blank = vec![0; 64 * 1024];
        let mut done = 0;
        while done < self.torn {
            let step = (self.torn - done).min(blank.len() as u64);
            let piece = blank.get(..usize::try_from(step).unwrap_or(0)).unwrap_or_default();
            self.active.file.write_all_at(piece, self.active.offset + done)?;
            self.active.dirty = true;
            done += step;
        }
        self.torn = 0;
        Ok(())
    }

    /// The outcomes that could not be written, to be put in line first.
    pub(crate) fn take_owed(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.owed)
    }
}
