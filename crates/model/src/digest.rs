//! SHA-256 digests, written `sha256:<hex>`.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest(pub [u8; 32]);

/// A text that is not `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest: write `sha256:` and 64 lower-case hexadecimal digits")]
pub struct InvalidDigest(String);

impl Digest {
    /// Digests bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Digests the parts with their lengths, so that no two lists of parts collide.
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// The first eight bytes in hexadecimal: enough for a person to compare, never for a decision.
    pub fn short(&self) -> String {
        self.text().iter().skip(PREFIX.len()).take(16).copied().map(char::from).collect()
    }

    /// The text form. Several of them stand in every record of the trail, so it takes no allocation.
    pub(crate) fn text(&self) -> [u8; TEXT_BYTES] {
        let mut text = [0; TEXT_BYTES];
        let (prefix, digits) = text.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX.as_bytes());
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        text
    }
}

const PREFIX: &str = "sha256:";

const TEXT_BYTES: usize = PREFIX.len() + 64;

const fn digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;
    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        let reject = || InvalidDigest(text.chars().take(80).collect());
        let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64).ok_or_else(reject)?;
        let mut bytes = [0_u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let [high, low] = pair else { return Err(reject()) };
            *byte = nibble(*high).zip(nibble(*low)).map(|(h, l)| h << 4 | l).ok_or_else(reject)?;
        }
        Ok(Self(bytes))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_rejects_the_rest() {
        let digest = Digest::of(b"ambit");
        assert_eq!(Digest::try_from(digest.to_string()).unwrap(), digest);
        assert_eq!(serde_json::to_string(&digest).unwrap(), format!("\"{digest}\""));
        let counting = Digest(std::array::from_fn(|at| u8::try_from(at * 8 + 7).unwrap()));
        assert!(counting.to_string().starts_with("sha256:070f171f272f"), "{counting}");
        assert_eq!(counting.short(), "070f171f272f373f");
        let upper = digest.to_string().to_uppercase();
        for bad in ["", "sha256:", "sha256:00", upper.as_str()] {
            assert!(Digest::try_from(bad.to_owned()).is_err());
        }
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(
            Digest::of_parts([b"ab".as_slice(), b"c".as_slice()]),
            Digest::of_parts([b"a".as_slice(), b"bc".as_slice()])
        );
    }
}
