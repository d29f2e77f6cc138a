//! What is known of a trail outside its directory: the checkpoint in a further file, the number of records in the store's index.
//!
//! An older copy of the whole directory fits itself, and its key would sign a second history over it. Only what lies elsewhere
//! can tell, so neither is ever given up silently: a trail that is behind them does not open, and a checkpoint in the further
//! file is never replaced by a smaller or another one.
//!
//! Both are made of synced records alone, so that a power cut never puts a trail behind them.

use std::{io, path::Path};

use ambit_ledger::{Frontier, Hash, SignedCheckpoint, VerifyingKey};

use crate::{
    files::{Files, Open, read_whole, replace},
    recover::OpenError,
    settings::{Acceptance, Settings},
};

/// What is missing, and who puts up with it.
#[derive(Debug)]
pub(crate) struct Loss {
    /// In words.
    pub(crate) what: String,
    /// The further checkpoint that does not fit.
    pub(crate) checkpoint: Option<SignedCheckpoint>,
    /// How many records are indexed, if more than are here.
    pub(crate) indexed: Option<u64>,
    pub(crate) accepted: Acceptance,
}

/// Compares what is here with what is known elsewhere.
pub(crate) fn compare(
    files: &dyn Files,
    settings: &Settings,
    key: &VerifyingKey,
    tree: &Frontier,
    root_at: impl FnOnce(u64) -> Result<Option<Hash>, OpenError>,
) -> Result<Option<Loss>, OpenError> {
    let records = tree.size();
    let mut what = Vec::new();
    let mut checkpoint = None;
    if let Some(path) = &settings.checkpoint_file
        && let Some(further) = further(files, path, key)?
    {
        let size = further.size();
        let root = match size {
            size if size > records => None,
            size if size == records => Some(tree.root()),
            size => root_at(size)?,
        };
        if size > records {
            what.push(format!("the checkpoint in `{}` signs {size}", path.display()));
        } else if root != Some(further.root()) {
            what.push(format!("the checkpoint in `{}` signs other ones as the first {size}", path.display()));
        }
        checkpoint = (root != Some(further.root())).then_some(further);
    }
    let indexed = settings.indexed.filter(|indexed| *indexed > records);
    if let Some(indexed) = indexed {
        what.push(format!(
            "the store's index knows {indexed} of node `{}` (a new node needs a name of its own)",
            settings.node
        ));
    }
    let directory = settings.directory.clone();
    match (&settings.accept_loss, what.is_empty()) {
        (None, true) => Ok(None),
        (Some(_), true) => Err(OpenError::NothingLost(directory)),
        (None, false) => Err(OpenError::Behind { directory, records, what: what.join(", and ") }),
        (Some(accepted), false) => {
            let what = what.join(", and ");
            Ok(Some(Loss { what, checkpoint, indexed, accepted: accepted.clone() }))
        }
    }
}

/// The checkpoint in the further file. An empty file is none.
fn further(files: &dyn Files, path: &Path, key: &VerifyingKey) -> Result<Option<SignedCheckpoint>, OpenError> {
    let bytes = match read_whole(files, path) {
        Ok(bytes) if bytes.is_empty() => return Ok(None),
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(OpenError::Io { path: path.to_owned(), source }),
    };
    let opened = SignedCheckpoint::open(&String::from_utf8_lossy(&bytes), key);
    opened.map(Some).map_err(|source| OpenError::Further { path: path.to_owned(), source })
}

/// Replaces the checkpoint in the further file, if it is one that this one may follow.
pub(crate) fn replace_further(
    files: &dyn Files,
    path: &Path,
    signed: &SignedCheckpoint,
    key: &VerifyingKey,
) -> io::Result<()> {
    if let Some(there) = further(files, path, key).map_err(io::Error::other)? {
        let (size, own) = (there.size(), signed.size());
        if size > own || (size == own && there.root() != signed.root()) {
            return Err(io::Error::other(format!(
                "`{}` holds a checkpoint of {size} records that one of {own} cannot follow, and is not overwritten: another \
                 process may write there; give each node a `checkpoint_file` of its own",
                path.display()
            )));
        }
    }
    replace(files, path, signed.note().as_bytes())
}

/// Gives a checkpoint that cannot be followed another name: it stays as evidence.
pub(crate) fn set_aside(files: &dyn Files, path: &Path, checkpoint: &SignedCheckpoint) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.lost", checkpoint.size()));
    // A second loss at the same size.
    while exists(files, Path::new(&name))? {
        name.push(".lost");
    }
    files.rename(path, Path::new(&name))?;
    path.parent().map_or(Ok(()), |directory| files.sync_directory(directory))
}

fn exists(files: &dyn Files, path: &Path) -> io::Result<bool> {
    match files.open(path, Open::Read) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
