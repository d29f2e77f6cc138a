//! What opening a trail finds and sets right.
//!
//! First it only looks: it reads the last segments, and refuses if they hold less or other than the last checkpoint signs.
//! Then it mends: a half-written tail is set aside under another name, never thrown away; every record behind the last
//! checkpoint is written and synced again, because what an earlier process read back from memory may not be on disk.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ambit_ledger::{
    CheckpointError, Frontier, Hash, SignedCheckpoint, VerifyingKey,
    segment::{HEADER_BYTES, Header, is_node},
};
use ambit_model::{event::RequestId, ids::Millis};

use crate::{
    elsewhere::{self, Loss},
    files::{Files, Open, read_whole, replace},
    history,
    keep::CHECKPOINT_NAME,
    record::Peek,
    segments::{ReadError, SegmentReader, Step, list},
    settings::Settings,
    writer::Active,
};

/// Why a trail does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the trail in `{0}` is in use by another process: stop that one, or give this one a directory of its own")]
    InUse(PathBuf),
    /// A file operation failed.
    #[error("cannot use the trail in `{path}`: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A setting does not fit.
    #[error("the trail cannot be kept with {what} `{value}`: {rule}")]
    Setting {
        /// Which.
        what: &'static str,
        /// Its value.
        value: String,
        /// What fits.
        rule: &'static str,
    },
    /// The stored checkpoint is not ours.
    #[error("`{path}` is no checkpoint of this trail's key: {source}; restore the key, or begin a new directory")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: CheckpointError,
    },
    /// The segments belong to another trail or node.
    #[error("`{path}` belongs to the trail `{origin}` of node `{node}`: give this node a directory of its own")]
    Foreign {
        /// The segment.
        path: PathBuf,
        /// Its origin.
        origin: String,
        /// Its node.
        node: String,
    },
    /// Records that were signed for are missing or changed.
    #[error(
        "the trail in `{directory}` is not what its checkpoint of {size} records signs: {what}; nothing was changed, run \
         `ambit audit verify {directory}` and restore the directory from a copy"
    )]
    Altered {
        /// The directory.
        directory: PathBuf,
        /// The size of the checkpoint.
        size: u64,
        /// What differs.
        what: String,
    },
    /// More is known elsewhere than is here, or other things.
    #[error(
        "the trail in `{directory}` holds {records} records, but {what}: an older or another copy of it may have been put back; \
         nothing was changed. Put the newer one back; if it is gone for good, start once with \
         `ambit serve --accept-trail-loss \"the reason\"`, which is recorded"
    )]
    Behind {
        /// The directory.
        directory: PathBuf,
        /// How many records it holds.
        records: u64,
        /// Who knows what else.
        what: String,
    },
    /// The further file holds something else.
    #[error(
        "`{path}` holds no checkpoint of this trail and is not overwritten: {source}; move it away, or name another \
         `checkpoint_file` under `[trail]`"
    )]
    Further {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: CheckpointError,
    },
    /// A loss is accepted that there is not.
    #[error("nothing is missing from the trail in `{0}`: start without `--accept-trail-loss`")]
    NothingLost(PathBuf),
    /// A thread could not be started, or the first records could not be written.
    #[error("the trail in `{directory}` cannot be started: {why}")]
    Start {
        /// The directory.
        directory: PathBuf,
        /// The cause.
        why: String,
    },
}

/// What was found and set right.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recovery {
    /// Records that were there.
    pub records: u64,
    /// Bytes of half-written records that were set aside.
    pub torn_bytes: u64,
    /// Requests whose outcome was unknown and is now recorded as such.
    pub closed: u64,
}

/// A trail as found, mended, ready to be written to.
pub(crate) struct Recovered {
    pub(crate) tree: Frontier,
    pub(crate) active: Active,
    pub(crate) torn_bytes: u64,
    /// Intents without an outcome, oldest first.
    pub(crate) dangling: Vec<Peek>,
    /// What is missing and may be.
    pub(crate) loss: Option<Loss>,
}

/// An intent older than this, counted back from the last segment, was closed by an earlier start or never will be.
const INTENTS_LIVE: Millis = 60 * 60 * 1000;

/// Checks what cannot be checked later.
pub(crate) fn check(settings: &Settings, key: &VerifyingKey) -> Result<(), OpenError> {
    let refuse = |what, value: &dyn ToString, rule| Err(OpenError::Setting { what, value: value.to_string(), rule });
    if !is_node(&settings.node) {
        return refuse("the node", &settings.node, "use 1 to 64 of a-z, 0-9, `-`, `.` and `_`");
    }
    if settings.origin != key.name() {
        return refuse("the origin", &settings.origin, "it must be the name of the signing key");
    }
    if settings.segment_bytes < 256 * 1024 {
        return refuse("segment_bytes", &settings.segment_bytes, "a segment has at least 262144 bytes");
    }
    if settings.queue == 0 {
        return refuse("queue", &settings.queue, "at least one record must fit");
    }
    Ok(())
}

/// Reads the stored checkpoint, if there is one. One that was kept for good and covers more counts instead: neither removing
/// nor replacing one file must undo what was signed.
pub(crate) fn stored_checkpoint(
    files: &dyn Files,
    directory: &Path,
    key: &VerifyingKey,
) -> Result<Option<SignedCheckpoint>, OpenError> {
    let path = directory.join(CHECKPOINT_NAME);
    let latest = match read_whole(files, &path) {
        Ok(bytes) => {
            let opened = SignedCheckpoint::open(&String::from_utf8_lossy(&bytes), key);
            Some(opened.map_err(|source| OpenError::Checkpoint { path, source })?)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(OpenError::Io { path, source }),
    };
    let kept = last_in_history(files, directory, key)?;
    Ok(match (latest, kept) {
        (Some(latest), Some(kept)) if kept.size() > latest.size() => Some(kept),
        (latest, kept) => latest.or(kept),
    })
}

/// The last checkpoint that was kept for good.
fn last_in_history(
    files: &dyn Files,
    directory: &Path,
    key: &VerifyingKey,
) -> Result<Option<SignedCheckpoint>, OpenError> {
    let path = directory.join(history::NAME);
    let history = history::read(files, directory).map_err(|source| OpenError::Io { path: path.clone(), source })?;
    let Some((_, note)) = history.notes.last() else { return Ok(None) };
    SignedCheckpoint::open(note, key).map(Some).map_err(|source| OpenError::Checkpoint { path, source })
}

/// One segment as scanned.
struct Scanned {
    name: String,
    /// Where the first record behind the checkpoint begins.
    unsigned_from: Option<u64>,
    /// Behind the last record.
    end: u64,
}

/// All that is found out before anything is changed.
struct Scan {
    tree: Frontier,
    scanned: Vec<Scanned>,
    /// Segments that begin where no record leads.
    loose: Vec<String>,
    open_intents: BTreeMap<RequestId, (u64, Peek)>,
}

/// Looks, refuses or mends.
pub(crate) fn recover(
    files: &dyn Files,
    settings: &Settings,
    checkpoint: Option<&SignedCheckpoint>,
    key: &VerifyingKey,
) -> Result<Recovered, OpenError> {
    let directory = settings.directory.as_path();
    let io = |source| OpenError::Io { path: directory.to_owned(), source };
    let segments = list(files, directory).map_err(io)?;
    let scan = scan(files, settings, &segments, checkpoint)?;
    let loss = elsewhere::compare(files, settings, key, &scan.tree, |size| root_at(files, directory, &segments, size))?;
    for name in files.list(directory).map_err(io)? {
        if Path::new(&name).extension().is_some_and(|end| end == "spare" || end == "new") {
            files.remove(&directory.join(&name)).map_err(io)?;
        }
    }
    let mut torn_bytes = 0;
    for name in &scan.loose {
        let path = directory.join(name);
        let length = files.open(&path, Open::Read).and_then(|file| file.length()).map_err(io)?;
        torn_bytes += length.saturating_sub(HEADER_BYTES as u64);
        files.rename(&path, &directory.join(format!("{name}.torn"))).map_err(io)?;
    }
    let mut active = None;
    for (index, segment) in scan.scanned.iter().enumerate() {
        let is_last = index + 1 == scan.scanned.len();
        if is_last {
            torn_bytes += set_tail_aside(files, directory, segment).map_err(io)?;
        }
        let file = rewrite(files, directory, segment).map_err(io)?;
        let filled = file.length().map_err(io)?;
        let name = segment.name.as_str().into();
        active = Some(Active { file, name, offset: segment.end, filled, dirty: false });
    }
    let active = match active {
        Some(active) => active,
        None => first_segment(files, settings, &scan.tree).map_err(io)?,
    };
    files.sync_directory(directory).map_err(io)?;
    let mut dangling: Vec<_> = scan.open_intents.into_values().collect();
    dangling.sort_by_key(|(leaf, _)| *leaf);
    let dangling = dangling.into_iter().map(|(_, peek)| peek).collect();
    Ok(Recovered { tree: scan.tree, active, torn_bytes, dangling, loss })
}

/// Reads the last segments and compares them with the checkpoint. Changes nothing.
fn scan(
    files: &dyn Files,
    settings: &Settings,
    segments: &[(u64, String)],
    checkpoint: Option<&SignedCheckpoint>,
) -> Result<Scan, OpenError> {
    let directory = settings.directory.as_path();
    let signed = checkpoint.map_or(0, SignedCheckpoint::size);
    let altered = |what: String| OpenError::Altered { directory: directory.to_owned(), size: signed, what };
    let start = start_of_scan(files, directory, segments, signed).map_err(read_error)?;
    let mut scan =
        Scan { tree: Frontier::new(), scanned: Vec::new(), loose: Vec::new(), open_intents: BTreeMap::new() };
    let mut signed_root = (signed == 0).then(|| scan.tree.root());
    let mut rest = segments.iter().skip(start).peekable();
    while let Some((_, name)) = rest.next() {
        let (header, mut reader) = match SegmentReader::open(files, directory, name) {
            Ok(opened) => opened,
            // A crash may leave the name of the next segment without its whole head. If it held records that were signed
            // for, the checkpoint is not met and nothing is touched.
            Err(ReadError::Header { .. }) => {
                scan.loose.push(name.clone());
                continue;
            }
            Err(error) => return Err(read_error(error)),
        };
        if header.origin != settings.origin || header.node != settings.node {
            let (origin, node) = (header.origin, header.node);
            return Err(OpenError::Foreign { path: directory.join(name), origin, node });
        }
        if scan.scanned.is_empty() {
            scan.tree = header.tree.clone();
            if scan.tree.size() == signed {
                signed_root = Some(scan.tree.root());
            }
        } else if header.tree != scan.tree {
            // The segment before lost its end, so nothing in this one was ever on disk for sure.
            scan.loose.push(name.clone());
            continue;
        }
        let end_leaf = rest.peek().map_or(u64::MAX, |(next, _)| *next);
        let mut unsigned_from = (scan.tree.size() >= signed).then(|| reader.offset());
        while reader.leaf() < end_leaf {
            let step = reader.next().map_err(|source| OpenError::Io { path: directory.join(name), source })?;
            let Step::Record(stored) = step else { break };
            scan.tree.push(stored.hash);
            if scan.tree.size() == signed {
                signed_root = Some(scan.tree.root());
                unsigned_from = Some(reader.offset());
            }
            note_request(&mut scan.open_intents, stored.leaf, &stored.bytes);
        }
        scan.scanned.push(Scanned { name: name.clone(), unsigned_from, end: reader.offset() });
    }
    let Some(checkpoint) = checkpoint else { return Ok(scan) };
    match signed_root {
        Some(root) if root == checkpoint.root() => Ok(scan),
        Some(_) => Err(altered("a record it covers was altered, replaced or moved".into())),
        None => Err(altered(format!("only {} can be read", scan.tree.size()))),
    }
}

/// The first segment to read: the checkpoint's last record and every intent that may be open lie behind its start.
fn start_of_scan(
    files: &dyn Files,
    directory: &Path,
    segments: &[(u64, String)],
    signed: u64,
) -> Result<usize, ReadError> {
    let mut since = None;
    for (index, (first, name)) in segments.iter().enumerate().rev() {
        let mut reader = match SegmentReader::open(files, directory, name) {
            Ok((_, reader)) => reader,
            Err(ReadError::Header { .. }) => continue,
            Err(error) => return Err(error),
        };
        let step = reader.next().map_err(|source| ReadError::Io { path: directory.join(name), source })?;
        let Step::Record(stored) = step else { continue };
        let Some(at) = Peek::read(&stored.bytes).map(|peek| peek.at) else { continue };
        let since = *since.get_or_insert(at - INTENTS_LIVE);
        if *first <= signed && at <= since {
            return Ok(index);
        }
    }
    Ok(0)
}

/// The root over the first records, read from the segment that holds the last of them; `None` if they cannot be read.
fn root_at(
    files: &dyn Files,
    directory: &Path,
    segments: &[(u64, String)],
    size: u64,
) -> Result<Option<Hash>, OpenError> {
    for (_, name) in segments.iter().rev().filter(|(first, _)| *first <= size) {
        let (header, mut reader) = match SegmentReader::open(files, directory, name) {
            Ok(opened) => opened,
            Err(ReadError::Header { .. }) => continue,
            Err(error) => return Err(read_error(error)),
        };
        let mut tree = header.tree;
        while tree.size() < size {
            let step = reader.next().map_err(|source| OpenError::Io { path: directory.join(name), source })?;
            let Step::Record(stored) = step else { break };
            tree.push(stored.hash);
        }
        if tree.size() == size {
            return Ok(Some(tree.root()));
        }
    }
    Ok(None)
}

fn note_request(open: &mut BTreeMap<RequestId, (u64, Peek)>, leaf: u64, bytes: &[u8]) {
    if let Some(peek) = Peek::read(bytes) {
        match peek.event.as_str() {
            "intent" => drop(open.insert(peek.request, (leaf, peek))),
            "outcome" => drop(open.remove(&peek.request)),
            _ => {}
        }
    }
}

/// Copies what lies behind the last record into a file of its own and blanks it. Zero bytes are nothing.
fn set_tail_aside(files: &dyn Files, directory: &Path, segment: &Scanned) -> io::Result<u64> {
    let file = files.open(&directory.join(&segment.name), Open::Write)?;
    let length = file.length()?.saturating_sub(segment.end);
    let mut tail = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    let read = file.read_at(&mut tail, segment.end)?;
    tail.truncate(read);
    let Some(last) = tail.iter().rposition(|byte| *byte != 0) else { return Ok(0) };
    tail.truncate(last + 1);
    replace(files, &directory.join(format!("{}.{}.torn", segment.name, segment.end)), &tail)?;
    file.write_all_at(&vec![0; tail.len()], segment.end)?;
    file.sync_data()?;
    Ok(tail.len() as u64)
}

/// Writes the records behind the checkpoint again and syncs them: reading them proved only that memory holds them.
fn rewrite(files: &dyn Files, directory: &Path, segment: &Scanned) -> io::Result<Arc<dyn crate::files::File>> {
    let file = files.open(&directory.join(&segment.name), Open::Write)?;
    let Some(mut offset) = segment.unsigned_from else { return Ok(file) };
    if offset == HEADER_BYTES as u64 {
        offset = 0;
    }
    let mut piece = vec![0; 1024 * 1024];
    while offset < segment.end {
        let want = usize::try_from(segment.end - offset).unwrap_or(usize::MAX).min(piece.len());
        let part = piece.get_mut(..want).unwrap_or_default();
        let read = file.read_at(part, offset)?;
        let part = part.get(..read).filter(|part| !part.is_empty());
        let part = part.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        file.write_all_at(part, offset)?;
        offset += read as u64;
    }
    file.sync_data()?;
    Ok(file)
}

/// Makes the first segment. The keeper fills it with zeros.
fn first_segment(files: &dyn Files, settings: &Settings, tree: &Frontier) -> io::Result<Active> {
    let header = Header { origin: settings.origin.clone(), node: settings.node.clone(), tree: tree.clone() };
    let name = header.file_name();
    let path = settings.directory.join(&name);
    replace(files, &path, &header.to_bytes())?;
    let file = files.open(&path, Open::Write)?;
    let filled = HEADER_BYTES as u64;
    Ok(Active { file, name: name.into(), offset: filled, filled, dirty: false })
}

fn read_error(error: ReadError) -> OpenError {
    match error {
        ReadError::Io { path, source } => OpenError::Io { path, source },
        ReadError::Nothing(ref path)
        | ReadError::Header { ref path, .. }
        | ReadError::Damaged { ref path, .. }
        | ReadError::Gone { directory: ref path, .. } => {
            OpenError::Io { path: path.clone(), source: io::Error::other(error.to_string()) }
        }
    }
}
