//! What requests see: the snapshot, its swap, revocations, clock and recorder.
