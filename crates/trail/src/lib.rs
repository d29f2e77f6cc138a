//! Segment files, group commit, signed checkpoints and the trail's index.
