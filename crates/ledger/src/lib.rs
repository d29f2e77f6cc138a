//! The trail's record format, Merkle tree, checkpoints and verification: pure.
//!
//! A record becomes a leaf ([`hash`]), lies in a frame ([`frame`]) of a segment ([`segment`]), is covered by a tree
//! ([`tree`], [`proof`]) whose head is signed ([`key`], [`note`], [`checkpoint`]), leaves as an export ([`export`]) and is
//! verified ([`verify`]). No files, no clock, no randomness: salts and
//! bytes are arguments, and what is written here can be checked by tools that know RFC 6962 and C2SP but not Ambit.

pub mod checkpoint;
pub mod export;
pub mod frame;
pub mod hash;
pub mod key;
pub mod note;
pub mod proof;
pub mod segment;
pub mod tree;
pub mod verify;

pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
pub use hash::{Hash, Salt};
pub use key::{InvalidKey, SigningKey, VerifyingKey};
pub use tree::Frontier;
