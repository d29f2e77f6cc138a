//! Writes the trail into one file that can be verified anywhere: `ambit_ledger::export` says how it looks.
//!
//! Holds exactly what the latest checkpoint covers, so that the file is complete in itself; works beside the process that
//! writes.

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use ambit_ledger::{
    CheckpointError, Frontier, SignedCheckpoint, VerifyingKey,
    export::{FORMAT, Head, Writer},
};

use crate::{
    files::{Files, read_whole},
    history,
    keep::CHECKPOINT_NAME,
    search::node_of,
    segments::{ReadError, Reader, SegmentReader, segments},
    tail::tail,
};

/// The file that holds the verifier key.
pub(crate) const KEY_NAME: &str = "verifier.key";

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The trail cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file cannot be written.
    #[error("the export cannot be written: {0}")]
    Write(#[from] io::Error),
    /// The directory's key or checkpoint cannot be used.
    #[error("`{name}` in the trail's directory cannot be used: {why}")]
    Beside {
        /// Which file.
        name: &'static str,
        /// The cause.
        why: String,
    },
    /// The records are not what the checkpoint signs.
    #[error("the records are not what the checkpoint of {0} records signs; run `ambit audit verify` on the directory")]
    Altered(u64),
}

/// What was exported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exported {
    /// How many records.
    pub records: u64,
    /// The checkpoint that covers them, as a signed note.
    pub checkpoint: Arc<str>,
    /// The key that verifies it. Compare it with one known from elsewhere.
    pub key: String,
    /// Later records that no checkpoint covers yet, and that are not in the export.
    pub left_out: u64,
}

/// How long the checkpoint of a running process is waited for, so that what was just recorded is exported too.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Exports the trail of a directory.
///
/// Blocks: reads the whole trail, and waits up to two seconds for a checkpoint that covers its last records.
///
/// # Errors
/// [`ExportError`]; what was written before an error is of no use.
pub fn export(files: Arc<dyn Files>, directory: &Path, out: &mut dyn Write) -> Result<Exported, ExportError> {
    let key = read_key(files.as_ref(), directory)?;
    let (latest, left_out) = covering_checkpoint(&files, directory, &key)?;
    let mut kept = read_history(files.as_ref(), directory, &key, latest.size())?;
    kept.retain(|checkpoint| checkpoint.size() < latest.size());
    kept.push(latest.clone());

    let segments = segments(files.as_ref(), directory)?;
    let (first, name) = segments.first().ok_or_else(|| ReadError::Nothing(directory.to_owned()))?;
    let (header, _) = SegmentReader::open(files.as_ref(), directory, name)?;
    let mut tree: Frontier = header.tree;
    let mut writer = Writer::default();
    out.write_all(&writer.head(&Head {
        format: FORMAT.to_owned(),
        origin: key.name().to_owned(),
        node: node_of(files.as_ref(), directory)?,
        key: key.to_string(),
        first: *first,
        frontier: tree.roots().iter().map(ToString::to_string).collect(),
        records: latest.size().saturating_sub(*first),
    }))?;
    let mut reader = Reader::open(files, directory, *first)?;
    for checkpoint in kept.iter().filter(|checkpoint| checkpoint.size() >= *first) {
        while tree.size() < checkpoint.size() {
            let stored = reader.next()?.ok_or(ExportError::Altered(latest.size()))?;
            tree.push(stored.hash);
            out.write_all(&writer.record(stored.leaf, &stored.salt, stored.hash, &stored.bytes))?;
        }
        if tree.root() != checkpoint.root() {
            return Err(ExportError::Altered(checkpoint.size()));
        }
        out.write_all(&writer.checkpoint(checkpoint.note()))?;
    }
    out.write_all(&writer.end())?;
    out.flush()?;
    Ok(Exported { records: tree.size() - *first, checkpoint: latest.note().clone(), key: key.to_string(), left_out })
}

/// The latest checkpoint and how many records it leaves out. Waits a little for one that leaves out none.
fn covering_checkpoint(
    files: &Arc<dyn Files>,
    directory: &Path,
    key: &VerifyingKey,
) -> Result<(SignedCheckpoint, u64), ExportError> {
    let end = tail(files.clone(), directory, 0)?.1.leaf();
    let since = Instant::now();
    loop {
        let latest = read_checkpoint(files.as_ref(), directory, key)?;
        let left_out = end.saturating_sub(latest.size());
        if left_out == 0 || since.elapsed() >= PATIENCE {
            return Ok((latest, left_out));
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// The verifier key that lies in the directory.
pub(crate) fn read_key(files: &dyn Files, directory: &Path) -> Result<VerifyingKey, ExportError> {
    let text = read_beside(files, directory, KEY_NAME)?;
    text.trim_end().parse().map_err(|error| beside(KEY_NAME, &error))
}

pub(crate) fn read_checkpoint(
    files: &dyn Files,
    directory: &Path,
    key: &VerifyingKey,
) -> Result<SignedCheckpoint, ExportError> {
    let note = read_beside(files, directory, CHECKPOINT_NAME)?;
    SignedCheckpoint::open(&note, key).map_err(|error: CheckpointError| beside(CHECKPOINT_NAME, &error))
}

/// The checkpoints kept for good, smallest first, one per size.
fn read_history(
    files: &dyn Files,
    directory: &Path,
    key: &VerifyingKey,
    below: u64,
) -> Result<Vec<SignedCheckpoint>, ExportError> {
    let history = history::read(files, directory).map_err(|error| beside(history::NAME, &error))?;
    let mut kept: Vec<SignedCheckpoint> = Vec::new();
    for (_, note) in history.notes {
        let checkpoint = SignedCheckpoint::open(&note, key).map_err(|error| beside(history::NAME, &error))?;
        let is_next = kept.last().is_none_or(|last| last.size() < checkpoint.size());
        if is_next && checkpoint.size() < below {
            kept.push(checkpoint);
        }
    }
    Ok(kept)
}

fn read_beside(files: &dyn Files, directory: &Path, name: &'static str) -> Result<String, ExportError> {
    let bytes = read_whole(files, &directory.join(name)).map_err(|error| beside(name, &error))?;
    String::from_utf8(bytes).map_err(|error| beside(name, &error))
}

fn beside(name: &'static str, why: &dyn ToString) -> ExportError {
    ExportError::Beside { name, why: why.to_string() }
}
