//! The keys that sign our access tokens (ES256), and their rotation.
//!
//! They are files of the key directory, shared by every node: `tokens/<kid>.pk8` (PKCS#8) and `tokens/manifest.json`, which
//! says since when each is published and from when on it signs. What a key is *now* follows from those times and the clock
//! alone, so nodes agree without talking: a key is **next** until it signs, **current** until the following one does, then
//! **retiring** until the last token it signed is dead. Removing a key before that moves the generation, and nothing it
//! signed is believed again. A key id is a thumbprint (RFC 7638); it never comes from a token into a path.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use ambit_model::{ids::Millis, issuer::Algorithm};
use arc_swap::ArcSwap;
use aws_lc_rs::{
    rand::{SecureRandom as _, SystemRandom},
    signature::EcdsaKeyPair,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use crate::verify::{KeyEpoch, KeySet, LEEWAY_MS, VerifyKey};

mod files;

pub use files::SigningError;
use files::{KeyFiles, Listed, Manifest};

/// How long a key is published before it signs: longer than any verifier keeps a key set.
pub const PUBLISHED_AHEAD_MS: Millis = 24 * 3_600_000;

/// How long a key signs before the next one is due.
pub const ROTATE_AFTER_MS: Millis = 30 * 24 * 3_600_000;

/// The longest life of a token we sign.
pub const MAX_TOKEN_LIFE_MS: Millis = 15 * 60_000;

/// What a key is at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Published, signs later.
    Next,
    /// Signs.
    Current,
    /// Signs no more; what it signed may still be shown.
    Retiring,
    /// Nothing it signed can be alive.
    Retired,
}

/// The signing keys of the deployment. Shared by everything that signs or verifies our tokens.
pub struct Signing {
    files: KeyFiles,
    loaded: ArcSwap<Loaded>,
    epoch: Arc<KeyEpoch>,
    algorithms: BTreeSet<Algorithm>,
    random: SystemRandom,
}

struct Loaded {
    manifest: Manifest,
    /// Ascending by the instant they sign from.
    keys: Vec<SigningKey>,
    verify: Arc<KeySet>,
}

struct SigningKey {
    listed: Listed,
    pair: Arc<EcdsaKeyPair>,
    coordinates: (String, String),
}

impl Signing {
    /// Opens the signing keys under a key directory (`Keys::directory`), making the first one if there is none.
    ///
    /// # Errors
    /// [`SigningError`] if the files cannot be used.
    pub fn open(key_directory: &std::path::Path, now_ms: Millis) -> Result<Self, SigningError> {
        let files = KeyFiles::open(key_directory.join("tokens"))?;
        let manifest = files.change(|manifest, files| {
            if manifest.keys.is_empty() {
                // No verifier can remember an older set: the first key signs at once.
                manifest.keys.push(files.generate(now_ms, now_ms)?);
            }
            Ok(())
        })?;
        let loaded = Loaded::read(&files, manifest)?;
        let epoch = Arc::new(KeyEpoch::new(loaded.manifest.generation, Millis::MAX));
        let algorithms = [Algorithm::Es256].into();
        Ok(Self { files, loaded: ArcSwap::from_pointee(loaded), epoch, algorithms, random: SystemRandom::new() })
    }

    /// Signs claims with the current key and gives the compact form.
    ///
    /// # Errors
    /// [`SigningError::NoCurrentKey`], [`SigningError::Crypto`].
    pub fn sign(&self, typ: &str, claims: &[u8], now_ms: Millis) -> Result<String, SigningError> {
        let loaded = self.loaded.load();
        let key = loaded.current(now_ms).ok_or(SigningError::NoCurrentKey)?;
        let header = json!({ "alg": "ES256", "typ": typ, "kid": key.listed.kid }).to_string();
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = key.pair.sign(&self.random, token.as_bytes()).map_err(|_| SigningError::Crypto)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        Ok(token)
    }

    /// The public halves, parsed. A key that has not signed yet is among them; one that has retired is until
    /// [`Signing::tend`] deletes it, and then everything it signed has expired.
    pub fn verify_keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.loaded.load().verify)
    }

    /// The algorithms our tokens may be signed with.
    pub fn algorithms(&self) -> &BTreeSet<Algorithm> {
        &self.algorithms
    }

    /// What remembered verifications compare.
    pub fn epoch(&self) -> &Arc<KeyEpoch> {
        &self.epoch
    }

    /// The published key set (RFC 7517 §5), keys ascending by the instant they sign from.
    pub fn jwks(&self, now_ms: Millis) -> String {
        let loaded = self.loaded.load();
        let keys: Vec<_> = loaded
            .keys
            .iter()
            .filter(|key| loaded.manifest.state(&key.listed, now_ms) != KeyState::Retired)
            .map(|key| {
                let (x, y) = &key.coordinates;
                json!({
                    "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": key.listed.kid, "x": x, "y": y,
                })
            })
            .collect();
        json!({ "keys": keys }).to_string()
    }

    /// The key ids with their states, ascending by the instant they sign from.
    pub fn states(&self, now_ms: Millis) -> Vec<(String, KeyState)> {
        let loaded = self.loaded.load();
        let state = |listed: &Listed| (listed.kid.clone(), loaded.manifest.state(listed, now_ms));
        loaded.manifest.keys.iter().map(state).collect()
    }

    /// Publishes the next key, to sign after [`PUBLISHED_AHEAD_MS`]; gives its id. If one is waiting already, that one.
    ///
    /// # Errors
    /// [`SigningError`] if the files cannot be changed; the keys stay as they were.
    pub fn rotate(&self, now_ms: Millis) -> Result<String, SigningError> {
        let mut next = String::new();
        let manifest = self.files.change(|manifest, files| {
            if let Some(waiting) = manifest.keys.iter().find(|key| key.signs_from > now_ms) {
                next.clone_from(&waiting.kid);
                return Ok(());
            }
            let key = files.generate(now_ms, now_ms + PUBLISHED_AHEAD_MS)?;
            next.clone_from(&key.kid);
            manifest.keys.push(key);
            Ok(())
        })?;
        self.adopt(manifest)?;
        Ok(next)
    }

    /// The emergency: takes a key away at once, whatever it is. Nothing it signed is believed on this node from now on, on
    /// the others once they tend their keys. If nothing is left that signs, the waiting key signs now, or a new one.
    ///
    /// # Errors
    /// [`SigningError::NoSuchKey`], or if the files cannot be changed; the keys stay as they were.
    pub fn remove(&self, kid: &str, now_ms: Millis) -> Result<(), SigningError> {
        let manifest = self.files.change(|manifest, files| {
            let before = manifest.keys.len();
            manifest.keys.retain(|key| key.kid != kid);
            if manifest.keys.len() == before {
                return Err(SigningError::NoSuchKey(kid.chars().take(80).collect()));
            }
            manifest.generation += 1;
            if manifest.current(now_ms).is_none() {
                match manifest.keys.first_mut() {
                    Some(waiting) => waiting.signs_from = now_ms,
                    None => manifest.keys.push(files.generate(now_ms, now_ms)?),
                }
            }
            Ok(())
        })?;
        self.adopt(manifest)
    }

    /// Takes over what another node changed, deletes keys whose last token is dead, and rotates when it is due. To be called
    /// about once a second; reads one small file, and waits for a lock only when something is due.
    ///
    /// # Errors
    /// [`SigningError`] if the files cannot be used; the keys in memory stay as they were.
    pub fn tend(&self, now_ms: Millis) -> Result<(), SigningError> {
        let manifest = self.files.manifest()?;
        if manifest != self.loaded.load().manifest {
            self.adopt(manifest)?;
        }
        let states = self.states(now_ms);
        if states.iter().any(|(_, state)| *state == KeyState::Retired) {
            let manifest = self.files.change(|manifest, _| {
                let all = manifest.clone();
                manifest.keys.retain(|key| all.state(key, now_ms) != KeyState::Retired);
                Ok(())
            })?;
            self.adopt(manifest)?;
        }
        let waiting = states.iter().any(|(_, state)| *state == KeyState::Next);
        let current = self.loaded.load().manifest.current(now_ms).map(|key| key.signs_from);
        if !waiting && current.is_none_or(|signs_from| signs_from + ROTATE_AFTER_MS <= now_ms) {
            self.rotate(now_ms)?;
        }
        Ok(())
    }

    /// A fresh token id: 128 random bits.
    ///
    /// # Errors
    /// [`SigningError::Crypto`].
    pub fn token_id(&self) -> Result<String, SigningError> {
        let mut id = [0_u8; 16];
        self.random.fill(&mut id).map_err(|_| SigningError::Crypto)?;
        Ok(URL_SAFE_NO_PAD.encode(id))
    }

    fn adopt(&self, manifest: Manifest) -> Result<(), SigningError> {
        let loaded = Loaded::read(&self.files, manifest)?;
        let generation = loaded.manifest.generation;
        // The keys first: whoever sees the new generation verifies against the new keys.
        self.loaded.store(Arc::new(loaded));
        self.epoch.set_generation(generation);
        Ok(())
    }
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signing").field("generation", &self.epoch.generation()).finish_non_exhaustive()
    }
}

impl Manifest {
    /// The key that signs at an instant: the one that began last.
    fn current(&self, now_ms: Millis) -> Option<&Listed> {
        self.keys.iter().filter(|key| key.signs_from <= now_ms).max_by_key(|key| key.signs_from)
    }

    /// What a key is at an instant.
    fn state(&self, key: &Listed, now_ms: Millis) -> KeyState {
        if key.signs_from > now_ms {
            return KeyState::Next;
        }
        let successor = self.keys.iter().map(|other| other.signs_from).filter(|from| *from > key.signs_from).min();
        match successor {
            Some(from) if from + MAX_TOKEN_LIFE_MS + 2 * LEEWAY_MS <= now_ms => KeyState::Retired,
            Some(from) if from <= now_ms => KeyState::Retiring,
            Some(_) | None => KeyState::Current,
        }
    }
}

impl Loaded {
    fn read(files: &KeyFiles, manifest: Manifest) -> Result<Self, SigningError> {
        let mut keys = Vec::with_capacity(manifest.keys.len());
        let mut verify = Vec::with_capacity(manifest.keys.len());
        for listed in &manifest.keys {
            let (pair, point) = files.key(&listed.kid)?;
            let path: PathBuf = files.path(&listed.kid);
            let coordinates = files::coordinates(&point).ok_or_else(|| SigningError::Malformed(path.clone()))?;
            let public = VerifyKey::es256(Some(listed.kid.clone()), &point);
            verify.push(public.map_err(|_| SigningError::Malformed(path))?);
            keys.push(SigningKey { listed: listed.clone(), pair: Arc::new(pair), coordinates });
        }
        Ok(Self { manifest, keys, verify: Arc::new(KeySet::new(verify)) })
    }

    fn current(&self, now_ms: Millis) -> Option<&SigningKey> {
        self.keys.iter().filter(|key| key.listed.signs_from <= now_ms).max_by_key(|key| key.listed.signs_from)
    }
}

#[cfg(test)]
mod tests;
