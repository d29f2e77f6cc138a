//! The whole gateway through its own socket: real store, real trail, real tokens, a scripted upstream behind it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod corridor;
mod world;
