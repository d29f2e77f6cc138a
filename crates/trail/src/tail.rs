//! The end of a trail: its last records, and those that follow.

use std::{path::Path, sync::Arc};

use crate::{
    files::Files,
    segments::{ReadError, Reader, SegmentReader, Step, Stored, segments},
};

/// The last records, oldest first, and a reader that stands behind them: [`Reader::next`] gives what comes later.
///
/// Works on the directory of a running process as well.
///
/// # Errors
/// [`ReadError`].
pub fn tail(files: Arc<dyn Files>, directory: &Path, last: u64) -> Result<(Vec<Stored>, Reader), ReadError> {
    let segments = segments(files.as_ref(), directory)?;
    let oldest = segments.first().map_or(0, |(first, _)| *first);
    let end = match segments.last() {
        Some((_, name)) => end_of(files.as_ref(), directory, name)?,
        None => 0,
    };
    let mut reader = Reader::open(files, directory, end.saturating_sub(last).max(oldest))?;
    let mut records = Vec::new();
    while let Some(stored) = reader.next()? {
        records.push(stored);
    }
    Ok((records, reader))
}

/// One more than the number of the last record in a segment.
fn end_of(files: &dyn Files, directory: &Path, name: &str) -> Result<u64, ReadError> {
    let (_, mut reader) = SegmentReader::open(files, directory, name)?;
    while let Step::Record(_) = reader.next().map_err(|source| ReadError::Io { path: directory.join(name), source })? {}
    Ok(reader.leaf())
}
