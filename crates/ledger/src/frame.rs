//! How a record lies in a segment.
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | length of the record, little endian; zero where no record follows |
//! | 8 | the first eight bytes of the leaf hash: finds torn writes, proves nothing |
//! | 1 | `0x00`, the leaf prefix of RFC 6962 |
//! | 16 | the salt |
//! | length | the record |
//!
//! From the prefix on, the bytes are exactly what the leaf hash is taken of.

use crate::hash::{Hash, SALT_BYTES, Salt};

/// The longest record. With its salt it is an entry of at most 65 535 bytes, which C2SP tiles can hold.
pub const MAX_RECORD_BYTES: usize = 65_535 - SALT_BYTES;
/// Bytes of a frame before the record.
pub const FRAME_OVERHEAD: usize = LENGTH_BYTES + CHECK_BYTES + 1 + SALT_BYTES;

const LENGTH_BYTES: usize = 4;
const CHECK_BYTES: usize = 8;
const LEAF_START: usize = LENGTH_BYTES + CHECK_BYTES;

/// The record is empty or too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the record has {bytes} bytes; a record has 1 to {MAX_RECORD_BYTES}")]
pub struct RecordSize {
    /// How many it has.
    pub bytes: usize,
}

/// Whether a record of so many bytes can be framed.
///
/// # Errors
/// [`RecordSize`].
pub fn check_size(bytes: usize) -> Result<(), RecordSize> {
    if (1..=MAX_RECORD_BYTES).contains(&bytes) { Ok(()) } else { Err(RecordSize { bytes }) }
}

/// Appends the frame of a record and returns its leaf hash.
///
/// # Errors
/// [`RecordSize`]; then nothing is appended.
pub fn encode(out: &mut Vec<u8>, salt: &Salt, record: &[u8]) -> Result<Hash, RecordSize> {
    check_size(record.len())?;
    let length = u32::try_from(record.len()).map_err(|_| RecordSize { bytes: record.len() })?;
    out.reserve(FRAME_OVERHEAD + record.len());
    let start = out.len();
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[0; CHECK_BYTES + 1]);
    out.extend_from_slice(salt);
    out.extend_from_slice(record);
    let frame = out.get_mut(start..).unwrap_or_default();
    let (head, leaf) = frame.split_at_mut(LEAF_START);
    let hash = Hash::of_prefixed_leaf(leaf);
    for (to, from) in head.iter_mut().skip(LENGTH_BYTES).zip(&hash.0) {
        *to = *from;
    }
    Ok(hash)
}

/// What stands at a place in a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decoded<'a> {
    /// A whole record.
    Frame(Frame<'a>),
    /// No record follows.
    End,
    /// The bytes end before the record does: so many are needed.
    Short {
        /// Bytes of the whole frame.
        needed: usize,
    },
    /// A length that no record has.
    BadLength {
        /// The length.
        length: u32,
    },
    /// The bytes are not those that were hashed. The length says where the next frame should begin.
    Altered {
        /// Bytes of the frame, as its length says.
        bytes: usize,
    },
}

/// A whole record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// Its salt.
    pub salt: Salt,
    /// The record.
    pub record: &'a [u8],
    /// Its leaf hash.
    pub hash: Hash,
    /// Bytes of the frame: the next one begins so far on.
    pub bytes: usize,
}

/// Reads the frame at the start of the bytes.
pub fn decode(bytes: &[u8]) -> Decoded<'_> {
    let Some((length, _)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Decoded::Short { needed: FRAME_OVERHEAD };
    };
    let length = u32::from_le_bytes(*length);
    let record_bytes = length as usize;
    if record_bytes == 0 {
        return Decoded::End;
    }
    if record_bytes > MAX_RECORD_BYTES {
        return Decoded::BadLength { length };
    }
    let needed = FRAME_OVERHEAD + record_bytes;
    let Some((head, leaf)) = bytes.get(..needed).and_then(|frame| frame.split_at_checked(LEAF_START)) else {
        return Decoded::Short { needed };
    };
    let altered = Decoded::Altered { bytes: needed };
    let Some((0x00, salted)) = leaf.split_first() else { return altered };
    let Some((salt, record)) = salted.split_first_chunk::<SALT_BYTES>() else { return altered };
    let hash = Hash::of_prefixed_leaf(leaf);
    let check = hash.0.get(..CHECK_BYTES);
    if check.is_none() || check != head.get(LENGTH_BYTES..) {
        return altered;
    }
    Decoded::Frame(Frame { salt: *salt, record, hash, bytes: needed })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_bounded() {
        let mut out = Vec::new();
        assert_eq!(encode(&mut out, &[0; 16], b""), Err(RecordSize { bytes: 0 }));
        assert!(encode(&mut out, &[0; 16], &vec![b'x'; MAX_RECORD_BYTES + 1]).is_err());
        assert!(out.is_empty());
        assert!(encode(&mut out, &[0; 16], &vec![b'x'; MAX_RECORD_BYTES]).is_ok());
        assert!(matches!(decode(&out), Decoded::Frame(frame) if frame.bytes == out.len()));
    }

    #[test]
    fn zeros_are_the_end() {
        assert_eq!(decode(&[0; 64]), Decoded::End);
        assert!(matches!(decode(&[]), Decoded::Short { .. }));
        assert!(matches!(decode(&[0xff; 64]), Decoded::BadLength { .. }));
    }

    proptest! {
        #[test]
        fn frames_round_trip(record in prop::collection::vec(any::<u8>(), 1..2000), salt in any::<[u8; 16]>()) {
            let mut out = vec![1, 2, 3];
            let hash = encode(&mut out, &salt, &record).unwrap();
            prop_assert_eq!(hash, Hash::of_leaf(&salt, &record));
            let whole = out[3..].to_vec();
            let expected = Frame { salt, record: &record, hash, bytes: whole.len() };
            prop_assert_eq!(decode(&whole), Decoded::Frame(expected));
            for cut in 0..whole.len() {
                let short = matches!(decode(&whole[..cut]), Decoded::Short { .. });
                prop_assert!(short);
            }
        }

        #[test]
        fn no_flipped_bit_passes(record in prop::collection::vec(any::<u8>(), 1..300), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let mut out = Vec::new();
            encode(&mut out, &[9; 16], &record).unwrap();
            let index = at.index(out.len());
            out[index] ^= 1 << bit;
            let passed = matches!(decode(&out), Decoded::Frame(_));
            prop_assert!(!passed);
        }
    }
}
