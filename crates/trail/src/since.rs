//! The records of the last while, for whoever begins again from what the trail says.

use std::{path::Path, sync::Arc};

use ambit_model::ids::Millis;

use crate::{
    files::Files,
    record::Peek,
    segments::{ReadError, Reader, segments},
};

/// Shows every record from an instant on, oldest first; a few from before it may come along. Blocks for file operations, and
/// reads at least the newest segment whole.
///
/// # Errors
/// [`ReadError`]; records before the damage were shown.
pub fn since(
    files: &Arc<dyn Files>,
    directory: &Path,
    from: Millis,
    show: &mut dyn FnMut(&Peek),
) -> Result<(), ReadError> {
    let mut begin = None;
    for (first, _) in segments(files.as_ref(), directory)?.iter().rev() {
        let mut reader = Reader::open(Arc::clone(files), directory, *first)?;
        let first_at = reader.next()?.and_then(|stored| Peek::read(&stored.bytes)).map(|peek| peek.at);
        begin = Some(*first);
        if first_at.is_some_and(|at| at < from) {
            break;
        }
    }
    let Some(begin) = begin else { return Ok(()) };
    let mut reader = Reader::open(Arc::clone(files), directory, begin)?;
    while let Some(stored) = reader.next()? {
        if let Some(peek) = Peek::read(&stored.bytes).filter(|peek| peek.at >= from) {
            show(&peek);
        }
    }
    Ok(())
}
