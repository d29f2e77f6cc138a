//! What requests see: one snapshot of the deployment, how it is swapped, and where what happens is recorded.
//!
//! A request reads [`Live::current`] once and decides everything on that [`Snapshot`]. A snapshot is immutable; a changed
//! row of the store, a reload or a re-read listing makes the next one. Nothing on the request path asks the store.

pub mod catalogue;
pub mod clock;
pub mod credentials;
pub mod deployment;
pub mod flow;
pub mod keys;
pub mod lock;
pub mod mode;
pub mod notices;
pub mod recorder;
pub mod revocations;
pub mod snapshot;

mod live;
mod preview;

pub use live::{Live, LiveError, Parts};
pub use mode::Mode;
pub use preview::{preview, preview_revealing, preview_since};
pub use recorder::{Open, Recorder};
pub use snapshot::Snapshot;
