//! Checkpoints kept for good, one JSON string a line: they narrow an alteration down to the records between two of them.

use std::{io, path::Path};

use crate::files::{Files, Open, read_whole, replace};

/// The file's name.
pub(crate) const NAME: &str = "checkpoints";

/// What the file holds.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The notes with their line numbers, oldest first.
    pub(crate) notes: Vec<(usize, String)>,
    /// Lines that hold none.
    pub(crate) damaged: Vec<usize>,
    /// Whether the last line is cut off, as a crash or a full disk may leave it.
    pub(crate) is_torn: bool,
}

/// Appends a note.
pub(crate) fn add(files: &dyn Files, directory: &Path, note: &str) -> io::Result<()> {
    let path = directory.join(NAME);
    let mut line = serde_json::to_vec(note).map_err(io::Error::other)?;
    line.push(b'\n');
    let file = match files.open(&path, Open::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return replace(files, &path, &line),
        opened => opened?,
    };
    let length = file.length()?;
    let mut last = [b'\n'];
    file.read_at(&mut last, length.saturating_sub(1))?;
    if last == *b"\n" {
        file.write_all_at(&line, length)?;
        file.sync_data()
    } else {
        mend(files, directory)?;
        add(files, directory, note)
    }
}

/// Reads the file; a missing one is empty.
pub(crate) fn read(files: &dyn Files, directory: &Path) -> io::Result<History> {
    let bytes = match read_whole(files, &directory.join(NAME)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(History::default()),
        Err(error) => return Err(error),
    };
    let mut history = History::default();
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        match line.strip_suffix(b"\n") {
            None => history.is_torn = true,
            Some(line) => match serde_json::from_slice(line) {
                Ok(note) => history.notes.push((number, note)),
                Err(_) => history.damaged.push(number),
            },
        }
    }
    Ok(history)
}

/// Cuts off half a line that a crash or a full disk left at the end.
pub(crate) fn mend(files: &dyn Files, directory: &Path) -> io::Result<()> {
    let path = directory.join(NAME);
    let bytes = match read_whole(files, &path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    match bytes.get(..whole) {
        Some(kept) if whole < bytes.len() => replace(files, &path, kept),
        Some(_) | None => Ok(()),
    }
}
