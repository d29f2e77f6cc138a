//! The head of a segment file: which trail, from which leaf on, and the tree up to there.
//!
//! Lines of text, padded with zero bytes to 4,096: `ambit-trail 1`, origin, node, first leaf, the tree's frontier with one
//! base64 hash a line (largest subtree first), an empty line, and the SHA-256 of all lines before in base64. Records follow
//! at byte 4,096; zero bytes follow the last. A segment ends where the next one begins: what lies in a file at or after the
//! first leaf of the next file does not count.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{hash::Hash, key::is_key_name, tree::Frontier};

/// Bytes before the first record of a segment.
pub const HEADER_BYTES: usize = 4096;
const MAGIC: &str = "ambit-trail 1";
const EXTENSION: &str = ".trail";

/// The head of a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// The trail's origin, as in its checkpoints.
    pub origin: String,
    /// The node that writes it.
    pub node: String,
    /// The tree before its first record.
    pub tree: Frontier,
}

/// The bytes are no head of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// Nothing was ever written there.
    #[error("it is blank")]
    Blank,
    /// Damaged or of something else.
    #[error("it is damaged or not of this format")]
    Damaged,
}

impl Header {
    /// The number of the segment's first leaf.
    pub fn first_leaf(&self) -> u64 {
        self.tree.size()
    }

    /// The file's name: its first leaf in twenty digits, so that names sort as leaves do.
    pub fn file_name(&self) -> String {
        file_name(self.first_leaf())
    }

    /// The bytes of the head.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{MAGIC}\n{}\n{}\n{}\n", self.origin, self.node, self.first_leaf());
        for root in self.tree.roots() {
            text.push_str(&root.to_string());
            text.push('\n');
        }
        text.push('\n');
        let sum = checksum(text.as_bytes());
        text.push_str(&sum);
        text.push('\n');
        let mut bytes = text.into_bytes();
        // INVARIANT: origin and node are bounded and a frontier has at most 64 hashes, so the text is shorter.
        bytes.resize(HEADER_BYTES, 0);
        bytes
    }

    /// Reads a head.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let bytes = bytes.get(..HEADER_BYTES).ok_or(HeaderError::Damaged)?;
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(HeaderError::Blank);
        }
        let header = Self::read(bytes).ok_or(HeaderError::Damaged)?;
        if header.to_bytes() == bytes { Ok(header) } else { Err(HeaderError::Damaged) }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == 0)?;
        let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
        let mut lines = text.split('\n');
        if lines.next()? != MAGIC {
            return None;
        }
        let origin = lines.next().filter(|origin| is_key_name(origin))?.to_owned();
        let node = lines.next().filter(|node| is_node(node))?.to_owned();
        let first_leaf = lines.next()?.parse().ok()?;
        let roots: Option<Vec<Hash>> = lines.take_while(|line| !line.is_empty()).map(Hash::from_base64).collect();
        let tree = Frontier::from_parts(first_leaf, roots?).ok()?;
        // The checksum is compared with the whole: what is read must be what would be written.
        Some(Self { origin, node, tree })
    }
}

fn checksum(text: &[u8]) -> String {
    STANDARD.encode(digest::digest(&digest::SHA256, text))
}

/// Whether a text can name a node: 1 to 64 of `a-z`, `0-9`, `-`, `.` and `_`.
pub fn is_node(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_');
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

/// The name of the segment that begins with a leaf.
pub fn file_name(first_leaf: u64) -> String {
    format!("{first_leaf:020}{EXTENSION}")
}

/// The first leaf that a file name says, if it is the name of a segment.
pub fn first_leaf_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(EXTENSION)?;
    let plain = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(leaves: u64) -> Header {
        let mut tree = Frontier::new();
        (0..leaves).for_each(|n| tree.push(Hash::of_leaf(&[0; 16], &n.to_be_bytes())));
        Header { origin: "example.com/trail/n1".into(), node: "n1".into(), tree }
    }

    #[test]
    fn heads_round_trip() {
        for leaves in [0, 1, 2, 3, 1000, 1023] {
            let header = header(leaves);
            let bytes = header.to_bytes();
            assert_eq!(bytes.len(), HEADER_BYTES);
            assert_eq!(Header::parse(&bytes).unwrap(), header);
            assert_eq!(first_leaf_of(&header.file_name()), Some(leaves));
        }
    }

    #[test]
    fn the_longest_head_fits() {
        let tree = Frontier::from_parts(u64::MAX, vec![Hash([255; 32]); 64]).unwrap();
        let header = Header { origin: "x".repeat(200), node: "n".repeat(64), tree };
        assert_eq!(Header::parse(&header.to_bytes()).unwrap(), header);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let bytes = header(5).to_bytes();
        for index in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[index] ^= 1;
            assert_eq!(Header::parse(&altered), Err(HeaderError::Damaged), "{index}");
        }
        assert_eq!(Header::parse(&[0; HEADER_BYTES]), Err(HeaderError::Blank));
        assert_eq!(Header::parse(&bytes[..100]), Err(HeaderError::Damaged));
    }

    #[test]
    fn only_segment_names_are_segments() {
        for bad in ["checkpoint", "1.trail", "+0000000000000000001.trail", "00000000000000000000.torn", ".trail"] {
            assert_eq!(first_leaf_of(bad), None, "{bad}");
        }
    }
}
