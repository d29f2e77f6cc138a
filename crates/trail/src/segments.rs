//! Reads records back from the segments, in leaf order. Only reads: works beside the process that writes.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ambit_ledger::{
    Hash, Salt,
    frame::{Decoded, FRAME_OVERHEAD, decode},
    segment::{HEADER_BYTES, Header, HeaderError, first_leaf_of},
};

use crate::files::{File, Files, Open};

const CHUNK: usize = 256 * 1024;

/// A record as it lies in the trail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Its number, from zero.
    pub leaf: u64,
    /// The segment file, by name.
    pub segment: Arc<str>,
    /// Where its frame begins in the file.
    pub offset: u64,
    /// Its salt.
    pub salt: Salt,
    /// Its leaf hash.
    pub hash: Hash,
    /// The event, exactly as stored.
    pub bytes: Vec<u8>,
}

/// Why records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file operation failed.
    #[error("cannot read `{path}`: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// There is no trail.
    #[error("`{0}` holds no trail: give the directory in which ambit keeps `*.trail` files")]
    Nothing(PathBuf),
    /// The head of a segment is damaged.
    #[error("the head of `{path}` cannot be read: {source}; run `ambit audit verify`")]
    Header {
        /// The segment.
        path: PathBuf,
        /// The cause.
        source: HeaderError,
    },
    /// A record is damaged, and others follow.
    #[error("record {leaf} at byte {offset} of `{path}` is damaged; run `ambit audit verify`")]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// Which record.
        leaf: u64,
    },
    /// The record asked for is older than the oldest segment.
    #[error("record {leaf} is not in `{directory}`: the oldest there is {oldest}")]
    Gone {
        /// The directory.
        directory: PathBuf,
        /// Which record.
        leaf: u64,
        /// The first there is.
        oldest: u64,
    },
}

/// The segments of a directory: first leaf and name, in order.
pub(crate) fn list(files: &dyn Files, directory: &Path) -> io::Result<Vec<(u64, String)>> {
    let names = files.list(directory)?;
    let mut segments: Vec<_> = names.into_iter().filter_map(|name| Some((first_leaf_of(&name)?, name))).collect();
    segments.sort();
    Ok(segments)
}

/// What stands at the place a segment reader has reached.
#[derive(Debug)]
pub(crate) enum Step {
    /// A record; the reader is behind it now.
    Record(Stored),
    /// Zeros or the end of the file.
    End,
    /// Bytes that are no record. With a length that makes sense, the reader can go on behind them.
    Broken { resume: Option<u64> },
}

/// Reads one segment.
pub(crate) struct SegmentReader {
    file: Arc<dyn File>,
    name: Arc<str>,
    leaf: u64,
    /// Where the next frame begins.
    offset: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    buffered_from: u64,
}

impl SegmentReader {
    /// Opens a segment and reads its head.
    pub(crate) fn open(files: &dyn Files, directory: &Path, name: &str) -> Result<(Header, Self), ReadError> {
        let path = directory.join(name);
        let io = |source| ReadError::Io { path: path.clone(), source };
        let file = files.open(&path, Open::Read).map_err(io)?;
        let mut head = vec![0; HEADER_BYTES];
        let read = file.read_at(&mut head, 0).map_err(io)?;
        head.truncate(read);
        let header = Header::parse(&head).map_err(|source| ReadError::Header { path: path.clone(), source })?;
        let leaf = header.first_leaf();
        Ok((header, Self::at(file, name.into(), leaf, HEADER_BYTES as u64)))
    }

    /// Reads on from a place that is known to begin a frame.
    pub(crate) fn at(file: Arc<dyn File>, name: Arc<str>, leaf: u64, offset: u64) -> Self {
        Self { file, name, leaf, offset, buffer: Vec::new(), buffered_from: offset }
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn leaf(&self) -> u64 {
        self.leaf
    }

    pub(crate) fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Goes on behind a broken record, which keeps its number.
    pub(crate) fn skip_to(&mut self, offset: u64) {
        self.offset = offset;
        self.leaf += 1;
    }

    /// Reads the next frame. What was read before is read again from the file only after [`Step::End`] or [`Step::Broken`].
    pub(crate) fn next(&mut self) -> io::Result<Step> {
        let mut needed = FRAME_OVERHEAD;
        loop {
            let within = usize::try_from(self.offset - self.buffered_from).unwrap_or(usize::MAX);
            let bytes = self.buffer.get(within..).unwrap_or_default();
            let step = match decode(bytes) {
                Decoded::Frame(frame) => {
                    let stored = Stored {
                        leaf: self.leaf,
                        segment: self.name.clone(),
                        offset: self.offset,
                        salt: frame.salt,
                        hash: frame.hash,
                        bytes: frame.record.to_vec(),
                    };
                    self.offset += frame.bytes as u64;
                    self.leaf += 1;
                    return Ok(Step::Record(stored));
                }
                Decoded::Short { needed: more } => {
                    needed = needed.max(more);
                    if bytes.len() < needed && self.fill(needed)? {
                        continue;
                    }
                    let is_end = self.buffer.iter().all(|byte| *byte == 0);
                    if is_end { Step::End } else { Step::Broken { resume: None } }
                }
                Decoded::End => Step::End,
                Decoded::BadLength { .. } => Step::Broken { resume: None },
                Decoded::Altered { bytes } => Step::Broken { resume: Some(self.offset + bytes as u64) },
            };
            self.forget();
            return Ok(step);
        }
    }

    /// Fills the buffer from the current place; false if the file does not hold so many bytes.
    fn fill(&mut self, needed: usize) -> io::Result<bool> {
        self.buffer.resize(CHUNK.max(needed), 0);
        let read = self.file.read_at(&mut self.buffer, self.offset)?;
        self.buffer.truncate(read);
        self.buffered_from = self.offset;
        Ok(read >= needed)
    }

    fn forget(&mut self) {
        self.buffer.clear();
        self.buffered_from = self.offset;
    }
}

/// Reads the trail of a directory from one leaf on.
pub struct Reader {
    files: Arc<dyn Files>,
    directory: PathBuf,
    segment: SegmentReader,
}

impl Reader {
    /// Begins at a leaf.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Gone`] if the leaf is older than the oldest segment.
    pub fn open(files: Arc<dyn Files>, directory: &Path, from: u64) -> Result<Self, ReadError> {
        let segments = segments(files.as_ref(), directory)?;
        let oldest = segments.first().map_or(0, |(first, _)| *first);
        let found = segments.iter().rev().find(|(first, _)| *first <= from);
        let Some((_, name)) = found else {
            return Err(ReadError::Gone { directory: directory.to_owned(), leaf: from, oldest });
        };
        let (_, segment) = SegmentReader::open(files.as_ref(), directory, name)?;
        let mut reader = Self { files, directory: directory.to_owned(), segment };
        while reader.segment.leaf() < from {
            if reader.next()?.is_none() {
                break;
            }
        }
        Ok(reader)
    }

    /// Begins at the oldest record there is.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open_oldest(files: Arc<dyn Files>, directory: &Path) -> Result<Self, ReadError> {
        let oldest = segments(files.as_ref(), directory)?.first().map_or(0, |(first, _)| *first);
        Self::open(files, directory, oldest)
    }

    /// Begins at a record whose place is known.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open_at(
        files: Arc<dyn Files>,
        directory: &Path,
        segment: &str,
        offset: u64,
        leaf: u64,
    ) -> Result<Self, ReadError> {
        let path = directory.join(segment);
        let file = files.open(&path, Open::Read).map_err(|source| ReadError::Io { path, source })?;
        let segment = SegmentReader::at(file, segment.into(), leaf, offset);
        Ok(Self { files, directory: directory.to_owned(), segment })
    }

    /// The number of the next record.
    pub fn leaf(&self) -> u64 {
        self.segment.leaf()
    }

    /// The next record; `None` if there is none yet. Asked again later, it may have come.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Damaged`] for a broken record that others follow. A broken one at the very end counts as
    /// not yet written.
    #[expect(clippy::should_implement_trait, reason = "an iterator that ended does not begin again; this one does")]
    pub fn next(&mut self) -> Result<Option<Stored>, ReadError> {
        loop {
            let leaf = self.segment.leaf();
            let step = self.segment.next();
            let path = || self.directory.join(&**self.segment.name());
            let step = step.map_err(|source| ReadError::Io { path: path(), source })?;
            if let Step::Record(stored) = step {
                return Ok(Some(stored));
            }
            // Full, or nothing more was written yet: the name of the next segment tells.
            let segments = segments(self.files.as_ref(), &self.directory)?;
            if let Some((_, name)) =
                segments.iter().find(|(first, name)| *first == leaf && **name != **self.segment.name())
            {
                self.segment = SegmentReader::open(self.files.as_ref(), &self.directory, name)?.1;
                continue;
            }
            let is_last = segments.last().is_none_or(|(_, name)| **name == **self.segment.name());
            if is_last {
                return Ok(None);
            }
            return Err(ReadError::Damaged { path: path(), offset: self.segment.offset(), leaf });
        }
    }
}

/// The segments of a directory, at least one.
pub(crate) fn segments(files: &dyn Files, directory: &Path) -> Result<Vec<(u64, String)>, ReadError> {
    let segments = list(files, directory).map_err(|source| ReadError::Io { path: directory.to_owned(), source })?;
    if segments.is_empty() { Err(ReadError::Nothing(directory.to_owned())) } else { Ok(segments) }
}
