//! The trail's record format, Merkle tree, checkpoints and verification: pure.
