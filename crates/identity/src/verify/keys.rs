//! Public keys, parsed once per load, each bound to exactly one algorithm.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use ambit_model::{ids::Millis, issuer::Algorithm};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents,
};

use super::fault::TokenFault;

/// A public key under its name.
#[derive(Debug, Clone)]
pub struct VerifyKey {
    kid: Option<String>,
    algorithm: Algorithm,
    material: Vec<u8>,
    key: ParsedPublicKey,
}

/// Key material that makes no key of its algorithm: malformed, off the curve, or an RSA key under 2048 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no usable public key: RSA needs 2048 to 8192 bits, EC the curve P-256, OKP the curve Ed25519")]
pub struct UnusableKey;

impl VerifyKey {
    /// A P-256 key from its uncompressed point.
    ///
    /// # Errors
    /// [`UnusableKey`].
    pub fn es256(kid: Option<String>, point: &[u8]) -> Result<Self, UnusableKey> {
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| UnusableKey)?;
        Ok(Self { kid, algorithm: Algorithm::Es256, material: point.to_vec(), key })
    }

    /// An Ed25519 key.
    ///
    /// # Errors
    /// [`UnusableKey`].
    pub fn eddsa(kid: Option<String>, key: &[u8]) -> Result<Self, UnusableKey> {
        let parsed = ParsedPublicKey::new(&ED25519, key).map_err(|_| UnusableKey)?;
        Ok(Self { kid, algorithm: Algorithm::EdDsa, material: key.to_vec(), key: parsed })
    }

    /// An RSA key for one of the two RSA algorithms, from its big-endian modulus and exponent.
    ///
    /// # Errors
    /// [`UnusableKey`].
    pub fn rsa(kid: Option<String>, algorithm: Algorithm, n: &[u8], e: &[u8]) -> Result<Self, UnusableKey> {
        let parameters = match algorithm {
            Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
            Algorithm::Es256 | Algorithm::EdDsa => return Err(UnusableKey),
        };
        let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
        let sound = n.first().is_some_and(|byte| *byte != 0) && (2048..=8192).contains(&bits);
        let exponent_sound = (1..=4).contains(&e.len()) && e != [1] && e.last().is_some_and(|byte| byte & 1 == 1);
        if !sound || !exponent_sound {
            return Err(UnusableKey);
        }
        let key = RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).map_err(|_| UnusableKey)?;
        let material = [n, e].concat();
        Ok(Self { kid, algorithm, material, key })
    }

    /// Its name.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether both are the same key for the same algorithm, whatever they are called.
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.material == other.material
    }

    /// Checks a signature.
    ///
    /// # Errors
    /// [`TokenFault::Signature`].
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), TokenFault> {
        self.key.verify_sig(message, signature).map_err(|_| TokenFault::Signature)
    }
}

/// The keys of one issuer at one time.
#[derive(Debug, Default)]
pub struct KeySet(Vec<VerifyKey>);

impl KeySet {
    /// Collects keys. Two different keys under one name and algorithm cancel each other: nobody can say which is meant.
    pub fn new(keys: impl IntoIterator<Item = VerifyKey>) -> Self {
        let mut kept: Vec<VerifyKey> = Vec::new();
        let mut ambiguous = Vec::new();
        for key in keys {
            let twin = kept.iter().find(|other| {
                let one_name = other.kid == key.kid && other.algorithm == key.algorithm;
                one_name && (key.kid.is_some() || other.is_same_key(&key))
            });
            match twin {
                None => kept.push(key),
                Some(twin) if twin.is_same_key(&key) => {}
                Some(_) => ambiguous.push((key.kid, key.algorithm)),
            }
        }
        kept.retain(|key| !ambiguous.iter().any(|(kid, algorithm)| *kid == key.kid && *algorithm == key.algorithm));
        Self(kept)
    }

    /// The key a header means: the one of its name and algorithm; without a name, the only one of the algorithm.
    ///
    /// # Errors
    /// [`TokenFault::Algorithm`] if the name is another algorithm's, [`TokenFault::UnknownKey`] if there is none.
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&VerifyKey, TokenFault> {
        let mut suitable =
            self.0.iter().filter(|key| key.algorithm == algorithm && (kid.is_none() || key.kid() == kid));
        match (suitable.next(), suitable.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(TokenFault::UnknownKey),
            (None, _) if kid.is_some() && self.0.iter().any(|key| key.kid() == kid) => Err(TokenFault::Algorithm),
            (None, _) => Err(TokenFault::UnknownKey),
        }
    }

    /// Whether a key of this name is here, whatever its algorithm.
    pub fn names(&self, kid: &str) -> bool {
        self.0.iter().any(|key| key.kid() == Some(kid))
    }

    /// Whether every key of another set is here under the same name.
    pub fn includes(&self, other: &Self) -> bool {
        other.0.iter().all(|theirs| self.0.iter().any(|ours| ours.kid == theirs.kid && ours.is_same_key(theirs)))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a remembered verification compares on every hit, without a lock: whether a key was taken away since, and how long
/// the keys may be relied on.
#[derive(Debug)]
pub struct KeyEpoch {
    generation: AtomicU64,
    good_until: AtomicI64,
}

impl KeyEpoch {
    pub(crate) fn new(generation: u64, good_until: Millis) -> Self {
        Self { generation: AtomicU64::new(generation), good_until: AtomicI64::new(good_until) }
    }

    /// Moves whenever a key is taken away.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether the keys may be relied on at an instant.
    pub fn is_good(&self, now_ms: Millis) -> bool {
        now_ms < self.good_until.load(Ordering::Acquire)
    }

    pub(crate) fn set_generation(&self, generation: u64) {
        self.generation.store(generation, Ordering::Release);
    }

    pub(crate) fn advance(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn extend(&self, good_until: Millis) {
        self.good_until.store(good_until, Ordering::Release);
    }
}
