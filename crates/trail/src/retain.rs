//! Lets go of the beginning of a trail: whole segments, the oldest first.
//!
//! A segment may go if a stored checkpoint covers it, and if whoever asks says that its records are old and indexed. That they
//! go is itself a record, which the caller writes between looking and doing: without it the rest does not verify. The tree
//! lives on: every segment names the roots of what came before it.

use std::{io, path::Path};

use ambit_ledger::Hash;

use crate::{
    export::{ExportError, read_checkpoint},
    segments::{ReadError, SegmentReader, segments},
    trail::Trail,
};

/// So many segments stay whatever their age: what opening a trail reads is never among those that go.
const STAY: usize = 2;

/// Why nothing can be let go of.
#[derive(Debug, thiserror::Error)]
pub enum RetainError {
    /// The trail cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] ExportError),
    /// Files cannot be removed.
    #[error("old segments of the trail cannot be removed: {0}")]
    Remove(#[from] io::Error),
}

/// What may go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expired {
    /// The first record that stays.
    pub first: u64,
    /// The root over everything before it, as a checkpoint of that size would sign.
    pub root: Hash,
    /// The segments, by name, oldest first.
    pub segments: Vec<String>,
}

impl Trail {
    /// The segments that hold nothing but records before this one and may go. Blocks for file operations.
    ///
    /// # Errors
    /// [`RetainError`].
    pub fn expired(&self, below: u64) -> Result<Option<Expired>, RetainError> {
        let shared = self.shared();
        let (files, directory) = (shared.files.as_ref(), shared.settings.directory.as_path());
        let signed = read_checkpoint(files, directory, shared.key.verifying())?.size();
        let segments = segments(files, directory)?;
        let may_begin = segments.len().saturating_sub(STAY);
        let mut begins = segments.iter().enumerate().take(may_begin + 1).skip(1);
        let Some((gone, (first, name))) = begins.rfind(|(_, (first, _))| *first <= below.min(signed)) else {
            return Ok(None);
        };
        let (header, _) = SegmentReader::open(files, directory, name)?;
        let segments = segments.iter().take(gone).map(|(_, name)| name.clone()).collect();
        Ok(Some(Expired { first: *first, root: header.tree.root(), segments }))
    }

    /// Lets go. The record that says so has to be on disk. Blocks for file operations.
    ///
    /// # Errors
    /// [`RetainError::Remove`]; then some of them may be gone, and the rest goes the next time.
    pub fn let_go(&self, expired: &Expired) -> Result<(), RetainError> {
        let shared = self.shared();
        let (files, directory) = (shared.files.as_ref(), shared.settings.directory.as_path());
        // From the beginning: whatever interrupts this leaves a trail that begins later, never one with a hole.
        for name in &expired.segments {
            match files.remove(&directory.join(Path::new(name))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                Ok(()) | Err(_) => {}
            }
        }
        files.sync_directory(directory).map_err(Into::into)
    }
}
