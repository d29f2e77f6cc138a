//! The files of the signing keys. Every change happens under a lock file shared by the nodes, and replaces the manifest
//! whole: written beside it, synced, renamed.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use ambit_model::ids::Millis;
use aws_lc_rs::{
    digest,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

const MANIFEST: &str = "manifest.json";

/// Why the signing keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// A file operation failed.
    #[error("cannot use the signing keys at `{path}`: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error(
        "`{0}` is not a usable file of signing keys: restore the directory from a backup, or move it away to begin anew; clients then have to log in again"
    )]
    Malformed(PathBuf),
    /// Others can read a key.
    #[error("`{0}` is readable by others: run `chmod 600` on it, and treat it as leaked if others share this machine")]
    Exposed(PathBuf),
    /// Nothing signs now.
    #[error("no signing key is in use at this time: check the clock of this machine")]
    NoCurrentKey,
    /// There is no such key.
    #[error("there is no signing key `{0}`")]
    NoSuchKey(String),
    /// The cryptographic library failed.
    #[error("the system could not make a key or signature")]
    Crypto,
}

/// What the nodes agree on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    version: u8,
    /// Moves whenever a key is removed before its time.
    pub(super) generation: u64,
    /// Ascending by `signs_from`.
    pub(super) keys: Vec<Listed>,
}

/// One key of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    /// Its RFC 7638 thumbprint.
    pub(super) kid: String,
    /// When it was first published.
    pub(super) published_at: Millis,
    /// From this instant on it signs.
    pub(super) signs_from: Millis,
}

/// The directory.
pub(super) struct KeyFiles {
    directory: PathBuf,
}

impl KeyFiles {
    pub(super) fn open(directory: PathBuf) -> Result<Self, SigningError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(|source| SigningError::Io { path: directory.clone(), source })?;
        Ok(Self { directory })
    }

    /// The manifest as it stands; an empty one if there is none yet.
    pub(super) fn manifest(&self) -> Result<Manifest, SigningError> {
        let path = self.directory.join(MANIFEST);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Manifest { version: 1, ..Manifest::default() });
            }
            Err(source) => return Err(SigningError::Io { path, source }),
        };
        let manifest: Option<Manifest> = serde_json::from_slice(&bytes).ok();
        manifest
            .filter(|manifest| manifest.version == 1 && manifest.keys.iter().all(|key| is_kid(&key.kid)))
            .ok_or(SigningError::Malformed(path))
    }

    /// Changes the manifest under the lock, and gives it as it then stands.
    pub(super) fn change(
        &self,
        change: impl FnOnce(&mut Manifest, &Self) -> Result<(), SigningError>,
    ) -> Result<Manifest, SigningError> {
        let path = self.directory.join("lock");
        let io = |source| SigningError::Io { path: path.clone(), source };
        let lock =
            fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(io)?;
        lock.lock().map_err(io)?;
        let before = self.manifest()?;
        let mut after = before.clone();
        change(&mut after, self)?;
        after.keys.sort_by(|a, b| (a.signs_from, &a.kid).cmp(&(b.signs_from, &b.kid)));
        if after != before {
            let bytes = serde_json::to_vec_pretty(&after).map_err(|_| SigningError::Crypto)?;
            self.replace(&self.directory.join(MANIFEST), &bytes)?;
        }
        // Only once no manifest lists them.
        for key in before.keys.iter().filter(|key| after.keys.iter().all(|kept| kept.kid != key.kid)) {
            self.delete(&key.kid);
        }
        // The lock is let go when the file closes, also if this process is killed.
        Ok(after)
    }

    /// Makes a key and writes it; it counts once the manifest lists it.
    pub(super) fn generate(&self, published_at: Millis, signs_from: Millis) -> Result<Listed, SigningError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| SigningError::Crypto)?;
        let kid = thumbprint(pair.public_key().as_ref()).ok_or(SigningError::Crypto)?;
        let document = pair.to_pkcs8v1().map_err(|_| SigningError::Crypto)?;
        self.replace(&self.path(&kid), document.as_ref())?;
        Ok(Listed { kid, published_at, signs_from })
    }

    /// Reads a listed key, with its public point.
    pub(super) fn key(&self, kid: &str) -> Result<(EcdsaKeyPair, Vec<u8>), SigningError> {
        let path = self.path(kid);
        let io = |source| SigningError::Io { path: path.clone(), source };
        if fs::metadata(&path).map_err(io)?.permissions().mode() & 0o077 != 0 {
            return Err(SigningError::Exposed(path));
        }
        let bytes = fs::read(&path).map_err(io)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &bytes)
            .map_err(|_| SigningError::Malformed(path.clone()))?;
        let point = pair.public_key().as_ref().to_vec();
        if thumbprint(&point).as_deref() != Some(kid) {
            return Err(SigningError::Malformed(path));
        }
        Ok((pair, point))
    }

    pub(super) fn path(&self, kid: &str) -> PathBuf {
        self.directory.join(format!("{kid}.pk8"))
    }

    fn delete(&self, kid: &str) {
        let path = self.path(kid);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "a retired signing key could not be deleted: delete it by hand");
        }
    }

    /// Writes a file whole or not at all.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), SigningError> {
        let io = |source| SigningError::Io { path: path.to_owned(), source };
        let neighbour = path.with_extension("new");
        // A leftover of a killed process may have another owner's mode.
        match fs::remove_file(&neighbour) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            Ok(()) | Err(_) => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&neighbour).map_err(io)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io)?;
        fs::rename(&neighbour, path).map_err(io)?;
        fs::File::open(&self.directory).and_then(|directory| directory.sync_all()).map_err(io)
    }
}

/// The base64url coordinates of an uncompressed P-256 point.
pub(super) fn coordinates(point: &[u8]) -> Option<(String, String)> {
    let (4, rest) = point.split_first().map(|(first, rest)| (*first, rest))? else { return None };
    let (x, y) = rest.split_at_checked(32).filter(|(_, y)| y.len() == 32)?;
    Some((URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y)))
}

/// RFC 7638 §3: the digest of the required members in lexicographic order without white space.
fn thumbprint(point: &[u8]) -> Option<String> {
    let (x, y) = coordinates(point)?;
    let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    Some(URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, members.as_bytes())))
}

/// Whether a text has the form of a thumbprint, so that it may become part of a path.
fn is_kid(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
