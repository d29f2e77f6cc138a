//! Checkpoints (C2SP `tlog-checkpoint`): which trail, how many leaves, which root, as a signed note.
//!
//! Whoever keeps one can tell later whether the trail still begins with the very records it covered.

use std::{fmt, sync::Arc};

use crate::{
    hash::Hash,
    key::{SigningKey, VerifyingKey, is_key_name},
    note::{self, NoteError},
};

/// What a checkpoint says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Which trail: the name of its signing key.
    pub origin: String,
    /// How many leaves the tree has.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// Why a text is no checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The note does not open.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text of the note is no checkpoint.
    #[error("not a checkpoint: expected three lines, origin, number of records and root hash")]
    Form,
    /// It is of another trail.
    #[error("the checkpoint is of the trail `{found}`, not of `{expected}`")]
    Origin {
        /// The trail at hand.
        expected: String,
        /// The one it names.
        found: String,
    },
}

impl Checkpoint {
    /// The note's text.
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    /// Reads a note's text. It must be exactly what [`Checkpoint::to_text`] writes: no extension lines, no leading zeros.
    ///
    /// # Errors
    /// [`CheckpointError::Form`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.split('\n');
        let parsed = (|| {
            let origin = lines.next().filter(|origin| is_key_name(origin))?.to_owned();
            let size = lines.next()?.parse().ok()?;
            let root = Hash::from_base64(lines.next()?)?;
            Some(Self { origin, size, root })
        })();
        parsed.filter(|parsed| parsed.to_text() == text).ok_or(CheckpointError::Form)
    }
}

/// A checkpoint with its signed note.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Arc<str>,
}

impl SignedCheckpoint {
    /// Signs. The origin is the key's name.
    pub fn sign(size: u64, root: Hash, key: &SigningKey) -> Self {
        let checkpoint = Checkpoint { origin: key.verifying().name().to_owned(), size, root };
        let note = note::sign(&checkpoint.to_text(), key).into();
        Self { checkpoint, note }
    }

    /// Opens a note with the key of its trail.
    ///
    /// # Errors
    /// [`CheckpointError`] if it is not signed by the key or is of another trail.
    pub fn open(note: &str, key: &VerifyingKey) -> Result<Self, CheckpointError> {
        let checkpoint = Checkpoint::parse(note::open(note, key)?)?;
        if checkpoint.origin != key.name() {
            return Err(CheckpointError::Origin { expected: key.name().to_owned(), found: checkpoint.origin });
        }
        Ok(Self { checkpoint, note: note.into() })
    }

    /// Reads a note without verifying its signature: for a checkpoint that is trusted because of where it was kept.
    ///
    /// # Errors
    /// [`CheckpointError::Form`].
    pub fn read_unverified(note: &str) -> Result<Self, CheckpointError> {
        let cut = note.rfind("\n\n").ok_or(CheckpointError::Form)?;
        let text = note.get(..=cut).ok_or(CheckpointError::Form)?;
        Ok(Self { checkpoint: Checkpoint::parse(text)?, note: note.into() })
    }

    /// What it says.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// How many leaves it covers.
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// The root it signs.
    pub fn root(&self) -> Hash {
        self.checkpoint.root
    }

    /// The signed note, as published.
    pub fn note(&self) -> &Arc<str> {
        &self.note
    }
}

impl fmt::Debug for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.checkpoint, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_seed("example.com/trail", &[9; 32]).unwrap()
    }

    #[test]
    fn a_checkpoint_round_trips() {
        let signed = SignedCheckpoint::sign(3, Hash([5; 32]), &key());
        let again = SignedCheckpoint::open(signed.note(), key().verifying()).unwrap();
        assert_eq!(again, signed);
        assert_eq!(SignedCheckpoint::read_unverified(signed.note()).unwrap(), signed);
        assert!(
            signed
                .note()
                .starts_with("example.com/trail\n3\nBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=\n\n\u{2014} ")
        );
    }

    #[test]
    fn the_published_example_parses() {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let parsed = Checkpoint::parse(text).unwrap();
        assert_eq!((parsed.size, parsed.to_text().as_str()), (20_852_163, text));
    }

    #[test]
    fn other_forms_are_refused() {
        let root = Hash([0; 32]);
        for bad in [
            String::new(),
            "o\n1\n".into(),
            format!("o\n01\n{root}\n"),
            format!("o\n+1\n{root}\n"),
            format!("o\n-1\n{root}\n"),
            format!("o\n18446744073709551616\n{root}\n"),
            format!("\n1\n{root}\n"),
            format!("o\n1\n{root}\nextension\n"),
            format!("o\n1\n{root}"),
            format!("o\n1\n{root}=\n"),
        ] {
            assert_eq!(Checkpoint::parse(&bad), Err(CheckpointError::Form), "{bad}");
        }
    }

    #[test]
    fn a_key_signs_only_for_its_own_trail() {
        let other = Checkpoint { origin: "example.com/other".into(), size: 1, root: Hash([0; 32]) };
        let note = note::sign(&other.to_text(), &key());
        let refused = SignedCheckpoint::open(&note, key().verifying());
        assert!(matches!(refused, Err(CheckpointError::Origin { .. })), "{refused:?}");
    }
}
