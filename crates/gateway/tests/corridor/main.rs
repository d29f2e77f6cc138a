//! The corridor from router to upstream: a real store, trail and authenticator, and an upstream that does as it is told.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that meets these has failed")]

mod room;
mod stream;
mod upstream;

mod affording;
mod allowing;
mod approving;
mod asking;
mod breaking;
mod crashing;
mod deciding;
mod echoing;
mod entering;
mod failing;
mod flowing;
mod hiding;
mod leaving;
mod legacy;
mod listening;
mod progressing;
mod reaching;
mod refusing;
mod replaying;
mod ruling;
mod separating;
