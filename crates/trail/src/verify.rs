//! Verifies a trail: the directory it is kept in, or an export of it.
//!
//! Only reads, and reads everything. The judgement is `ambit_ledger::verify`'s.

use std::{
    io::{self, BufRead},
    path::{Path, PathBuf},
};

use ambit_ledger::{
    Frontier, VerifyingKey,
    export::{NotAnExport, Verifier},
    segment::Header,
    verify::{Audit, Report, Trusted},
};

use crate::{
    export::KEY_NAME,
    files::{Files, read_whole},
    history,
    keep::CHECKPOINT_NAME,
    segments::{ReadError, SegmentReader, Step, segments},
};

/// An export's line is refused when it is longer: a record's longest form is shorter.
const LONGEST_LINE: u64 = 1024 * 1024;

/// Why nothing could be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The trail cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The export cannot be read.
    #[error("the export cannot be read: {0}")]
    Export(#[from] io::Error),
    /// The file is something else.
    #[error(transparent)]
    NotAnExport(#[from] NotAnExport),
}

/// Verifies an export.
///
/// # Errors
/// [`VerifyError`] if it cannot be read or is no export. That something does not fit is no error: the report says it.
pub fn verify_export(export: &mut dyn BufRead, trusted: Trusted) -> Result<Report, VerifyError> {
    let mut line = Vec::new();
    read_line(export, &mut line)?;
    let mut verifier = Verifier::begin(&line, trusted)?;
    while read_line(export, &mut line)? {
        verifier.line(&line);
    }
    Ok(verifier.finish())
}

/// Reads a line with its line feed; a piece of one that is too long. False at the end.
fn read_line(from: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    use io::Read as _;
    line.clear();
    Ok(from.take(LONGEST_LINE).read_until(b'\n', line)? > 0)
}

/// Verifies the trail in a directory, also while a process writes to it.
///
/// # Errors
/// [`VerifyError`] if it cannot be read or holds no trail. That something does not fit is no error: the report says it.
pub fn verify_directory(files: &dyn Files, directory: &Path, trusted: Trusted) -> Result<Report, VerifyError> {
    // The checkpoint first: whatever it covers is in the segments that are read after it.
    let latest = read_text(files, directory, CHECKPOINT_NAME)?;
    let kept = history::read(files, directory).map_err(|source| io_error(directory, history::NAME, source))?;
    let named = read_text(files, directory, KEY_NAME)?;
    let segments = segments(files, directory)?;

    let (origin, before) = beginning(files, directory, &segments, named.as_deref())?;
    let named_key: Option<VerifyingKey> = named.as_deref().and_then(|text| text.trim_end().parse().ok());
    let mut audit = Audit::new(&origin, trusted, named_key.clone(), before);
    if named_key.is_none() {
        let what = if named.is_some() { "it holds no verifier key" } else { "it is missing" };
        audit.find(KEY_NAME, None, what.into());
    }
    for line in &kept.damaged {
        audit.find(&format!("line {line} of `{}`", history::NAME), None, "it holds no checkpoint".into());
    }
    for (line, note) in &kept.notes {
        audit.claim(&format!("line {line} of `{}`", history::NAME), note);
    }
    match latest {
        Some(note) => audit.claim(&format!("`{CHECKPOINT_NAME}`"), &note),
        None => audit.find(&format!("`{CHECKPOINT_NAME}`"), None, "it is missing".into()),
    }
    let mut node = None;
    let mut rest = segments.iter().peekable();
    while let Some((first, name)) = rest.next() {
        let (first, end) = (*first, rest.peek().map(|(next, _)| *next));
        match SegmentReader::open(files, directory, name) {
            Err(ReadError::Header { source, .. }) => {
                let next = end.unwrap_or(first);
                audit.disorder(&format!("the head of `{name}`"), source.to_string(), next);
            }
            Err(error) => return Err(error.into()),
            Ok((header, reader)) => {
                check_header(&mut audit, name, first, &header, &origin, &mut node);
                read_segment(&mut audit, reader, end)
                    .map_err(|source| ReadError::Io { path: directory.join(name), source })?;
            }
        }
    }
    Ok(audit.finish())
}

/// Origin and tree before the first record, as the first segment says. Without a readable head, as well as can be told.
fn beginning(
    files: &dyn Files,
    directory: &Path,
    segments: &[(u64, String)],
    named: Option<&str>,
) -> Result<(String, Frontier), ReadError> {
    for (index, (_, name)) in segments.iter().enumerate() {
        match SegmentReader::open(files, directory, name) {
            Ok((header, _)) if index == 0 => return Ok((header.origin, header.tree)),
            Ok((header, _)) => return Ok((header.origin, Frontier::new())),
            Err(ReadError::Header { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let of_key = named.and_then(|key| key.split_once('+')).map(|(name, _)| name.to_owned());
    Ok((of_key.unwrap_or_default(), Frontier::new()))
}

fn check_header(audit: &mut Audit, name: &str, first: u64, header: &Header, origin: &str, node: &mut Option<String>) {
    let place = format!("the head of `{name}`");
    if header.origin != origin {
        audit.find(&place, None, format!("it is of the trail `{}`", header.origin));
    }
    let node = node.get_or_insert_with(|| header.node.clone());
    if header.node != *node {
        audit.find(&place, None, format!("it is of the node `{}`, not `{node}`", header.node));
    }
    if header.first_leaf() != first {
        audit.find(
            &place,
            None,
            format!("it begins with record {}, the file's name says {first}", header.first_leaf()),
        );
    }
    let next = audit.next_leaf();
    if header.first_leaf() > next {
        let what = format!("the records {next} to {} are missing before it", header.first_leaf() - 1);
        audit.disorder(&place, what, header.first_leaf());
    } else if !audit.follows(&header.tree) {
        audit.find(&place, None, "the tree it continues is not the one before it".into());
    }
}

fn read_segment(audit: &mut Audit, mut reader: SegmentReader, end: Option<u64>) -> io::Result<()> {
    let name = reader.name().clone();
    while end.is_none_or(|end| reader.leaf() < end) {
        let place = format!("byte {} of `{name}`", reader.offset());
        match reader.next()? {
            Step::Record(stored) => {
                audit.read(&stored.bytes);
                audit.leaf(stored.hash);
            }
            Step::End => return Ok(()),
            Step::Broken { resume } => {
                // At the very end it may be a record in the making, or one that a crash cut off.
                let unsigned = !audit.is_claimed(reader.leaf());
                match resume {
                    Some(next) if !unsigned || holds_more(&reader, next)? => {
                        audit.altered(&place, None, "its bytes, its salt or its length was altered");
                        reader.skip_to(next);
                    }
                    Some(_) | None if unsigned => {
                        audit
                            .note(format!("{place} begins something that is no whole record; no checkpoint covers it"));
                        return Ok(());
                    }
                    Some(_) | None => {
                        let next = reader.leaf();
                        audit.disorder(&place, "its length was altered; what follows it cannot be read".into(), next);
                        return Ok(());
                    }
                }
            }
        }
    }
    Ok(())
}

/// Whether a whole record stands at a place.
fn holds_more(reader: &SegmentReader, offset: u64) -> io::Result<bool> {
    let mut ahead = SegmentReader::at(reader.file().clone(), reader.name().clone(), 0, offset);
    Ok(matches!(ahead.next()?, Step::Record(_)))
}

fn read_text(files: &dyn Files, directory: &Path, name: &str) -> Result<Option<String>, ReadError> {
    match read_whole(files, &directory.join(name)) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io_error(directory, name, source)),
    }
}

fn io_error(directory: &Path, name: &str, source: io::Error) -> ReadError {
    let path: PathBuf = directory.join(name);
    ReadError::Io { path, source }
}
