//! The deployment's keys: files outside the store, one per use, readable by their owner alone.
//!
//! A key directory is made on first start; every node of a fleet is given the same one. Derived uses come from one sealing
//! key with HKDF, so that a state sealed for one purpose never opens for another.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    aead, hkdf, hmac,
    rand::{SecureRandom as _, SystemRandom},
};

use ambit_model::Digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Why the key directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file or directory operation failed.
    #[error("cannot use the key directory `{path}`: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A key has the wrong length.
    #[error("`{0}` is not a key: 32 bytes are expected; restore it from a backup, or remove it to make a new one")]
    Malformed(PathBuf),
    /// Others can read it.
    #[error("`{0}` is readable by others: run `chmod 600` on it, and treat it as leaked if others share this machine")]
    Exposed(PathBuf),
    /// The system gave no randomness.
    #[error("the system gave no random bytes")]
    NoRandomness,
}

/// What a sealed state is for. A state opens only for the use it was sealed for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// A legacy MCP session id.
    LegacySession,
    /// `requestState` of a modern multi-round-trip request.
    RequestState,
    /// A list cursor.
    Cursor,
    /// A form's CSRF token.
    Csrf,
    /// The arguments of a call that waits for an approval.
    ApprovalArguments,
    /// What a decision was made of, in the trail.
    Replay,
}

impl Use {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::LegacySession => b"ambit/v1/legacy-session",
            Self::RequestState => b"ambit/v1/request-state",
            Self::Cursor => b"ambit/v1/cursor",
            Self::Csrf => b"ambit/v1/csrf",
            Self::ApprovalArguments => b"ambit/v1/approval-arguments",
            Self::Replay => b"ambit/v1/replay",
        }
    }
}

/// The deployment's keys.
pub struct Keys {
    directory: PathBuf,
    seals: [(Use, aead::LessSafeKey); 6],
    arguments: hmac::Key,
    random: SystemRandom,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Keys {
    /// Opens a key directory, making what is missing.
    ///
    /// # Errors
    /// [`KeyError`] if it cannot be read or written, or is exposed to others.
    pub fn open(directory: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { path: directory.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io)?;
        let random = SystemRandom::new();
        let master = load_or_make(&directory.join("seal.key"), &random)?;
        let arguments = load_or_make(&directory.join("arguments.key"), &random)?;
        let derive = |purpose: Use| {
            let mut key = [0_u8; 32];
            hkdf::Salt::new(hkdf::HKDF_SHA256, b"ambit")
                .extract(&master)
                .expand(&[purpose.label()], hkdf::HKDF_SHA256)
                .and_then(|okm| okm.fill(&mut key))
                .and_then(|()| aead::UnboundKey::new(&aead::AES_256_GCM, &key))
                .map(|key| (purpose, aead::LessSafeKey::new(key)))
                .map_err(|_| KeyError::Malformed(directory.join("seal.key")))
        };
        Ok(Self {
            seals: [
                derive(Use::LegacySession)?,
                derive(Use::RequestState)?,
                derive(Use::Cursor)?,
                derive(Use::Csrf)?,
                derive(Use::ApprovalArguments)?,
                derive(Use::Replay)?,
            ],
            arguments: hmac::Key::new(hmac::HMAC_SHA256, &arguments),
            random,
            directory: directory.to_owned(),
        })
    }

    /// A 32-byte key of its own file, for a use with an algorithm of its own (trail signing, token signing).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn own(&self, name: &str) -> Result<[u8; 32], KeyError> {
        load_or_make(&self.directory.join(format!("{name}.key")), &self.random)
    }

    /// The directory, for key files with their own format.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Random bytes.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn random<const N: usize>(&self) -> Result<[u8; N], KeyError> {
        let mut bytes = [0_u8; N];
        self.random.fill(&mut bytes).map_err(|_| KeyError::NoRandomness)?;
        Ok(bytes)
    }

    /// The keyed digest of canonical arguments: equal arguments are recognisable, guessing them needs the key.
    pub fn argument_digest(&self, canonical: &[u8]) -> Digest {
        let tag = hmac::sign(&self.arguments, canonical);
        Digest(tag.as_ref().try_into().unwrap_or([0; 32]))
    }

    /// Seals a state (AES-256-GCM, random nonce in front). `bound_to` must be given again to open it.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn seal(&self, purpose: Use, state: &[u8], bound_to: &[u8]) -> Result<Vec<u8>, KeyError> {
        let nonce: [u8; aead::NONCE_LEN] = self.random()?;
        let mut sealed = Vec::with_capacity(nonce.len() + state.len() + 16);
        sealed.extend_from_slice(&nonce);
        let mut body = state.to_vec();
        self.sealing_key(purpose)
            .and_then(|key| {
                key.seal_in_place_append_tag(
                    aead::Nonce::assume_unique_for_key(nonce),
                    aead::Aad::from(bound_to),
                    &mut body,
                )
                .ok()
            })
            .ok_or(KeyError::NoRandomness)?;
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// Opens a sealed state; `None` if it was altered, sealed for another use, or bound to something else.
    pub fn unseal(&self, purpose: Use, sealed: &[u8], bound_to: &[u8]) -> Option<Vec<u8>> {
        let (nonce, body) = sealed.split_at_checked(aead::NONCE_LEN)?;
        let nonce = aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut body = body.to_vec();
        let state = self.sealing_key(purpose)?.open_in_place(nonce, aead::Aad::from(bound_to), &mut body).ok()?;
        Some(state.to_vec())
    }

    /// Seals what a decision was made of, as the text that stands in the trail; `None` if the system gives no randomness, and
    /// then a replay does without.
    pub fn seal_for_replay(&self, kept: &impl serde::Serialize) -> Option<String> {
        let bytes = serde_json::to_vec(kept).ok()?;
        self.seal(Use::Replay, &bytes, &[]).ok().map(|sealed| URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens such a text; `None` if it is not one of this deployment.
    pub fn open_for_replay<T: serde::de::DeserializeOwned>(&self, text: &str) -> Option<T> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        serde_json::from_slice(&self.unseal(Use::Replay, &sealed, &[])?).ok()
    }

    fn sealing_key(&self, purpose: Use) -> Option<&aead::LessSafeKey> {
        self.seals.iter().find(|(own, _)| *own == purpose).map(|(_, key)| key)
    }
}

fn load_or_make(path: &Path, random: &SystemRandom) -> Result<[u8; 32], KeyError> {
    let io = |source| KeyError::Io { path: path.to_owned(), source };
    match fs::read(path) {
        Ok(bytes) => {
            if fs::metadata(path).map_err(io)?.permissions().mode() & 0o077 != 0 {
                return Err(KeyError::Exposed(path.to_owned()));
            }
            bytes.try_into().map_err(|_| KeyError::Malformed(path.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut key = [0_u8; 32];
            random.fill(&mut key).map_err(|_| KeyError::NoRandomness)?;
            write_new(path, &key)?;
            // Another node may have been first: what stands in the file counts.
            let stored = fs::read(path).map_err(io)?;
            stored.try_into().map_err(|_| KeyError::Malformed(path.to_owned()))
        }
        Err(error) => Err(io(error)),
    }
}

/// Writes a key file whole or not at all: a temporary neighbour, synced, then linked to its name unless that exists.
fn write_new(path: &Path, key: &[u8]) -> Result<(), KeyError> {
    let io = |source| KeyError::Io { path: path.to_owned(), source };
    let neighbour = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&neighbour).map_err(io)?;
    file.write_all(key).and_then(|()| file.sync_all()).map_err(io)?;
    let linked = fs::hard_link(&neighbour, path);
    fs::remove_file(&neighbour).map_err(io)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_a_restart_and_seals_open_only_for_their_use_and_binding() {
        let dir = tempfile::tempdir().unwrap();
        let sealed = Keys::open(dir.path()).unwrap().seal(Use::Cursor, b"state", b"alice").unwrap();
        let again = Keys::open(dir.path()).unwrap();
        assert_eq!(again.unseal(Use::Cursor, &sealed, b"alice").as_deref(), Some(b"state".as_slice()));
        assert_eq!(again.unseal(Use::LegacySession, &sealed, b"alice"), None);
        assert_eq!(again.unseal(Use::Cursor, &sealed, b"bob"), None);
        for index in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[index] ^= 1;
            assert_eq!(again.unseal(Use::Cursor, &altered, b"alice"), None);
        }
        assert_eq!(again.unseal(Use::Cursor, b"short", b"alice"), None);
    }

    #[test]
    fn a_key_that_others_can_read_or_of_the_wrong_length_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        Keys::open(dir.path()).unwrap();
        let path = dir.path().join("seal.key");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Keys::open(dir.path()), Err(KeyError::Exposed(_))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, b"short").unwrap();
        assert!(matches!(Keys::open(dir.path()), Err(KeyError::Malformed(_))));
    }

    #[test]
    fn argument_digests_depend_on_the_key() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, two) = (Keys::open(one.path()).unwrap(), Keys::open(two.path()).unwrap());
        assert_eq!(one.argument_digest(b"{}"), one.argument_digest(b"{}"));
        assert_ne!(one.argument_digest(b"{}"), two.argument_digest(b"{}"));
    }
}
