//! The file operations the trail rests on: a trait, so that tests can drop what was never synced, and the disk behind it.
//!
//! Nothing else in this crate touches a file. An operation does what its name says and no more: whether a write survives a
//! power cut is decided by `sync_data` and `sync_directory` alone.

use std::{
    fs::{self, DirBuilder, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::Path,
    sync::Arc,
};

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Open {
    /// To read; it must exist.
    Read,
    /// To read and write; it must exist.
    Write,
    /// To read and write; made, or emptied if it exists. Readable by its owner alone.
    Create,
}

/// An open file.
pub trait File: Send + Sync + 'static {
    /// Reads at a place; fewer bytes than asked for only at the end of the file.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all bytes at a place.
    ///
    /// # Errors
    /// The system's; then any part of the bytes may have been written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Puts all written bytes on disk (`fdatasync`).
    ///
    /// # Errors
    /// The system's; then nobody knows what is on disk, and a later success says nothing about it.
    fn sync_data(&self) -> io::Result<()>;
    /// Its length in bytes.
    ///
    /// # Errors
    /// The system's.
    fn length(&self) -> io::Result<u64>;
}

/// Held while this process owns a directory; released when dropped.
pub trait Held: Send + Sync + 'static {}

/// A file system.
pub trait Files: Send + Sync + 'static {
    /// Makes a directory and those above it, open to its owner alone. It may exist.
    ///
    /// # Errors
    /// The system's.
    fn make_directory(&self, path: &Path) -> io::Result<()>;
    /// Takes the exclusive lock of a file, made if missing; `None` if another process or handle holds it.
    ///
    /// # Errors
    /// The system's.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Held>>>;
    /// The names in a directory.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// Opens a file.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>>;
    /// Gives a file another name, replacing what had it.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Puts the names of a directory on disk.
    ///
    /// # Errors
    /// The system's.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
}

/// Whoever starts a process chooses the file system once.
impl Files for Arc<dyn Files> {
    fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.as_ref().make_directory(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Held>>> {
        self.as_ref().lock(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.as_ref().list(directory)
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        self.as_ref().open(path, how)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.as_ref().rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.as_ref().remove(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.as_ref().sync_directory(directory)
    }
}

/// Reads a whole file.
pub(crate) fn read_whole(files: &dyn Files, path: &Path) -> io::Result<Vec<u8>> {
    let file = files.open(path, Open::Read)?;
    let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Replaces a file so that after a power cut it holds either the old bytes or the new ones.
pub(crate) fn replace(files: &dyn Files, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let neighbour = path.with_extension("new");
    let file = files.open(&neighbour, Open::Create)?;
    file.write_all_at(bytes, 0)?;
    file.sync_data()?;
    files.rename(&neighbour, path)?;
    match path.parent() {
        Some(directory) => files.sync_directory(directory),
        None => Ok(()),
    }
}

/// The disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

struct DiskFile(fs::File);

struct DiskLock {
    _file: fs::File,
}

impl Held for DiskLock {}

impl Files for Disk {
    fn make_directory(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Held>>> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => {}
        }
        // For people who look who holds it; the lock itself is the system's and ends with the process.
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Some(Box::new(DiskLock { _file: file })))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            // A name that is not text is not ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true).mode(0o600);
        let file = match how {
            Open::Read => options.open(path),
            Open::Write => options.write(true).open(path),
            Open::Create => options.write(true).create(true).truncate(true).open(path),
        }?;
        Ok(Arc::new(DiskFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        // The path of a file named without a directory has an empty parent.
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        fs::File::open(directory)?.sync_all()
    }
}

impl File for DiskFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}
