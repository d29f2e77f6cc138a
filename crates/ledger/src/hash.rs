//! The two hashes of RFC 6962 §2.1, and what a leaf of the trail is made of.
//!
//! A leaf's data is its 16-byte salt followed by the exact stored bytes of the record, so any RFC 6962 tool verifies the
//! trail when it is given `salt || record` as the entry. The salt keeps a leaf hash from giving away a guessable record
//! after that record was lawfully erased.

use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Bytes of salt in front of every record.
pub const SALT_BYTES: usize = 16;

/// The salt of one leaf: random, drawn by whoever appends.
pub type Salt = [u8; SALT_BYTES];

/// A hash of the tree: of a leaf, of a node, or of the whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The root of a tree without leaves: SHA-256 of nothing.
    pub fn of_nothing() -> Self {
        sha256(&[])
    }

    /// Hashes a leaf: `SHA-256(0x00 || salt || record)`.
    pub fn of_leaf(salt: &Salt, record: &[u8]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&[0x00]);
        context.update(salt);
        context.update(record);
        Self::finish(context)
    }

    /// Hashes a leaf whose salt and record lie one after the other behind a free byte, which becomes the prefix `0x00`.
    ///
    /// The same value as [`Hash::of_leaf`] in one pass and without an allocation.
    pub(crate) fn of_prefixed_leaf(prefixed: &[u8]) -> Self {
        debug_assert_eq!(prefixed.first(), Some(&0x00));
        sha256(prefixed)
    }

    /// Hashes a node: `SHA-256(0x01 || left || right)`.
    pub fn of_node(left: &Self, right: &Self) -> Self {
        let mut data = [0x01; 65];
        let (_, children) = data.split_at_mut(1);
        let (first, second) = children.split_at_mut(32);
        first.copy_from_slice(&left.0);
        second.copy_from_slice(&right.0);
        sha256(&data)
    }

    /// Reads the base64 form.
    pub fn from_base64(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }

    fn finish(context: digest::Context) -> Self {
        from_digest(&context.finish())
    }
}

fn sha256(data: &[u8]) -> Hash {
    from_digest(&digest::digest(&digest::SHA256, data))
}

fn from_digest(digest: &digest::Digest) -> Hash {
    let mut hash = [0; 32];
    // INVARIANT: SHA-256 has 32 bytes; zip leaves nothing out.
    for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    Hash(hash)
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_rfc_6962() {
        let nothing = ambit_model::Digest(Hash::of_nothing().0).to_string();
        assert_eq!(nothing, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        // The leaf of sixteen zero bytes, from the published test vectors' rule: SHA-256 of seventeen zero bytes.
        let zeros = Hash::of_leaf(&[0; 16], &[]);
        assert_eq!(zeros, sha256(&[0; 17]));
        assert_ne!(Hash::of_node(&zeros, &Hash::of_nothing()), Hash::of_node(&Hash::of_nothing(), &zeros));
    }

    #[test]
    fn both_ways_to_hash_a_leaf_agree() {
        let salt = [7; 16];
        let mut prefixed = vec![0];
        prefixed.extend_from_slice(&salt);
        prefixed.extend_from_slice(b"record");
        assert_eq!(Hash::of_prefixed_leaf(&prefixed), Hash::of_leaf(&salt, b"record"));
    }

    #[test]
    fn the_text_form_round_trips() {
        let hash = Hash::of_nothing();
        assert_eq!(Hash::from_base64(&hash.to_string()), Some(hash));
        for bad in ["", "AA==", "not base64", &format!("{hash}=")] {
            assert_eq!(Hash::from_base64(bad), None, "{bad}");
        }
    }
}
