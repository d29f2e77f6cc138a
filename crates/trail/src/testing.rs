//! A disk for tests that keeps in mind what was synced: a crash takes back everything else, writes and syncs fail when told to.
//!
//! After a failed sync the lost bytes stay readable and no later sync brings them to the disk, as on Linux.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
};

use crate::{
    files::{File, Files, Held, Open},
    progress::lock,
};

/// What the disk keeps of the bytes that were not synced when the power goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsynced {
    /// Nothing.
    Dropped,
    /// Any part of it, in pieces of 512 bytes, chosen by this number.
    Torn(u64),
    /// All of it: the process was killed, the machine went on.
    Kept,
}

/// A file system in memory. Clones are the same one.
#[derive(Clone, Default)]
pub struct FaultFiles {
    state: Arc<Mutex<State>>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

#[derive(Clone, Default)]
struct State {
    next_id: u64,
    contents: BTreeMap<u64, Content>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    locked: BTreeSet<PathBuf>,
    space: Option<u64>,
    failing_writes: bool,
    failing_syncs: bool,
    writes: u64,
    syncs: u64,
}

#[derive(Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// Pieces of 512 bytes that were written and not synced.
    dirty: BTreeSet<usize>,
}

const SECTOR: usize = 512;

impl FaultFiles {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk as it is found after the power went at this instant. This one goes on as if nothing had happened.
    #[must_use]
    pub fn crash(&self, unsynced: Unsynced) -> Self {
        let mut state = lock(&self.state).clone();
        let mut coins = Coins(match unsynced {
            Unsynced::Torn(seed) => seed | 1,
            Unsynced::Dropped | Unsynced::Kept => 1,
        });
        for content in state.contents.values_mut() {
            let dirty = std::mem::take(&mut content.dirty);
            for sector in dirty {
                let kept = match unsynced {
                    Unsynced::Dropped => false,
                    Unsynced::Kept => true,
                    Unsynced::Torn(_) => coins.toss(),
                };
                if kept {
                    content.persist(sector);
                }
            }
            content.bytes.clone_from(&content.durable);
        }
        let keeps_names = match unsynced {
            Unsynced::Dropped => false,
            Unsynced::Kept => true,
            Unsynced::Torn(_) => coins.toss(),
        };
        if keeps_names {
            state.durable_names.clone_from(&state.names);
        } else {
            state.names.clone_from(&state.durable_names);
        }
        state.locked.clear();
        state.space = None;
        state.failing_writes = false;
        state.failing_syncs = false;
        Self { state: Arc::new(Mutex::new(state)), gate: Arc::default() }
    }

    /// All files together may hold so many bytes; `None` for any number.
    pub fn limit_space(&self, bytes: Option<u64>) {
        lock(&self.state).space = bytes;
    }

    /// How many bytes all files hold.
    pub fn used(&self) -> u64 {
        lock(&self.state).used()
    }

    /// Writes fail, or no longer.
    pub fn fail_writes(&self, fail: bool) {
        lock(&self.state).failing_writes = fail;
    }

    /// Syncs fail, or no longer. What a failed one should have brought to the disk is lost.
    pub fn fail_syncs(&self, fail: bool) {
        lock(&self.state).failing_syncs = fail;
    }

    /// Syncs wait until they are let go.
    pub fn hold_syncs(&self, hold: bool) {
        let (gate, changed) = &*self.gate;
        *lock(gate) = hold;
        changed.notify_all();
    }

    /// How many writes there were.
    pub fn writes(&self) -> u64 {
        lock(&self.state).writes
    }

    /// How many syncs of files there were.
    pub fn syncs(&self) -> u64 {
        lock(&self.state).syncs
    }

    /// The bytes of a file, if there is one.
    pub fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let state = lock(&self.state);
        let id = state.names.get(path)?;
        state.contents.get(id).map(|content| content.bytes.clone())
    }

    /// Replaces the bytes of a file, synced, as somebody with an editor would.
    pub fn overwrite(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = lock(&self.state);
        if let Some(id) = state.names.get(path).copied() {
            let content = Content { durable: bytes.clone(), bytes, dirty: BTreeSet::new() };
            state.contents.insert(id, content);
        }
    }

    fn pass_gate(&self) {
        let (held, changed) = &*self.gate;
        let guard = lock(held);
        drop(changed.wait_while(guard, |held| *held));
    }
}

impl State {
    fn used(&self) -> u64 {
        self.names.values().filter_map(|id| self.contents.get(id)).map(|content| content.bytes.len() as u64).sum()
    }
}

impl Content {
    fn persist(&mut self, sector: usize) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(self.bytes.len());
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        if let (Some(to), Some(from)) = (self.durable.get_mut(start..end), self.bytes.get(start..end)) {
            to.copy_from_slice(from);
        }
    }
}

/// A reproducible row of coin tosses (xorshift).
struct Coins(u64);

impl Coins {
    fn toss(&mut self) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 & 0x100 == 0
    }
}

struct FaultFile {
    files: FaultFiles,
    id: u64,
}

struct FaultLock {
    files: FaultFiles,
    path: PathBuf,
}

impl Held for FaultLock {}

impl Drop for FaultLock {
    fn drop(&mut self) {
        lock(&self.files.state).locked.remove(&self.path);
    }
}

impl Files for FaultFiles {
    fn make_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Held>>> {
        let taken = lock(&self.state).locked.insert(path.to_owned());
        let held = FaultLock { files: self.clone(), path: path.to_owned() };
        if taken {
            Ok(Some(Box::new(held)))
        } else {
            std::mem::forget(held);
            Ok(None)
        }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let state = lock(&self.state);
        let inside = state.names.keys().filter(|path| path.parent() == Some(directory));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let mut state = lock(&self.state);
        let found = state.names.get(path).copied();
        let id = match (found, how) {
            (Some(id), Open::Read | Open::Write) => id,
            (None, Open::Read | Open::Write) => return Err(io::ErrorKind::NotFound.into()),
            (_, Open::Create) => {
                state.next_id += 1;
                let id = state.next_id;
                state.contents.insert(id, Content::default());
                state.names.insert(path.to_owned(), id);
                id
            }
        };
        Ok(Arc::new(FaultFile { files: self.clone(), id }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        let id = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), id);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        lock(&self.state).names.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        if state.failing_syncs {
            return Err(io::Error::other("the disk did not answer"));
        }
        let State { names, durable_names, .. } = &mut *state;
        let inside = |path: &Path| path.parent() == Some(directory);
        durable_names.retain(|path, _| !inside(path));
        durable_names.extend(names.iter().filter(|(path, _)| inside(path)).map(|(path, id)| (path.clone(), *id)));
        Ok(())
    }
}

impl File for FaultFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = lock(&self.files.state);
        let content = state.contents.get(&self.id).ok_or(io::ErrorKind::NotFound)?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let there = content.bytes.get(start..).unwrap_or_default();
        let count = there.len().min(bytes.len());
        for (to, from) in bytes.iter_mut().zip(there) {
            *to = *from;
        }
        Ok(count)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = lock(&self.files.state);
        state.writes += 1;
        if state.failing_writes {
            return Err(io::Error::other("the disk refused the write"));
        }
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let left = state.space.map(|space| space.saturating_sub(state.used()));
        let content = state.contents.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?;
        let wanted = start + bytes.len();
        let grows = wanted.saturating_sub(content.bytes.len()) as u64;
        // A full disk takes what still fits, and says so.
        let missing = left.map_or(0, |left| usize::try_from(grows.saturating_sub(left)).unwrap_or(usize::MAX));
        let fitting = bytes.len().saturating_sub(missing);
        let end = start + fitting;
        if content.bytes.len() < end {
            content.bytes.resize(end, 0);
        }
        if let Some(to) = content.bytes.get_mut(start..end) {
            for (to, from) in to.iter_mut().zip(bytes) {
                *to = *from;
            }
        }
        if fitting > 0 {
            content.dirty.extend(start / SECTOR..=(end - 1) / SECTOR);
        }
        if missing > 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.files.pass_gate();
        let mut state = lock(&self.files.state);
        state.syncs += 1;
        let failing = state.failing_syncs;
        let content = state.contents.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?;
        let dirty = std::mem::take(&mut content.dirty);
        if failing {
            return Err(io::Error::other("the disk did not answer"));
        }
        for sector in dirty {
            content.persist(sector);
        }
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let state = lock(&self.files.state);
        state
            .contents
            .get(&self.id)
            .map(|content| content.bytes.len() as u64)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
