//! The trail on disk: segments, group commit, signed checkpoints, recovery, and what reads them.
//!
//! A record is reserved a place ([`Trail::reserve`]), appended ([`Reservation::append`]), written by whoever holds the writer,
//! synced by one thread for all that wait, covered by a signed checkpoint within a second, and indexed into the store
//! afterwards. The segment files count; everything else can be made from them. The format is `ambit_ledger`'s.
//!
//! Nothing that was acknowledged as [`Durability::Synced`] is lost by a crash; after a failed `fdatasync` nothing is
//! acknowledged again.

mod bell;
mod condition;
mod elsewhere;
mod feed;
mod history;
mod intake;
mod progress;
mod record;
mod salts;
mod settings;

pub mod files;

mod append;
mod commit;
mod index;
mod keep;
mod recover;
mod segments;
mod trail;
mod writer;

mod export;
mod retain;
mod search;
mod since;
mod tail;
mod verify;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

#[cfg(test)]
mod tests;

pub use append::{Appended, Reservation};
pub use condition::Unavailable;
pub use export::{ExportError, Exported, export};
pub use files::{Disk, File, Files};
pub use progress::AppendError;
pub use record::{Durability, Keys, Peek, Record, parse_request};
pub use recover::{OpenError, Recovery};
pub use retain::{Expired, RetainError};
pub use search::{Found, SearchError, search};
pub use segments::{ReadError, Reader, Stored};
pub use settings::{Acceptance, Settings};
pub use since::since;
pub use tail::tail;
pub use trail::{Trail, UNKNOWN_RESULT};
pub use verify::{VerifyError, verify_directory, verify_export};

/// The latest signed note of a trail.
pub type Checkpoint = ambit_ledger::SignedCheckpoint;
