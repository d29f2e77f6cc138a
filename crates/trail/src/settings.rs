//! How a trail is kept.

use std::{path::PathBuf, time::Duration};

use ambit_model::ids::Millis;

/// How a trail is kept. [`Settings::new`] gives the defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory of the segments. One process at a time.
    pub directory: PathBuf,
    /// The node whose trail it is: `[a-z0-9-]`, as in the store's index.
    pub node: String,
    /// The origin line of its checkpoints, which is also the name of its key: unique to this node's trail.
    pub origin: String,
    /// Bytes of one segment file, zero-filled ahead.
    pub segment_bytes: u64,
    /// Records that may be reserved or not yet on disk at one time.
    pub queue: usize,
    /// Within what time a [`Durability::Written`](crate::Durability::Written) record is on disk.
    pub sync_within: Duration,
    /// How often a checkpoint is signed while the trail grows.
    pub checkpoint_every: Duration,
    /// A further file that always holds the latest checkpoint, on another disk for example.
    pub checkpoint_file: Option<PathBuf>,
    /// How many records of this trail the store's index knows: the trail does not open with fewer.
    pub indexed: Option<u64>,
    /// Opens although records are missing that are known elsewhere, and says so in the trail.
    pub accept_loss: Option<Acceptance>,
}

/// Who puts up with the loss of records, and why.
#[derive(Clone, Debug)]
pub struct Acceptance {
    /// The operator.
    pub by: String,
    /// In their words.
    pub reason: String,
}

impl Settings {
    /// The defaults: segments of 64 MiB, 65 536 records in flight, synced within 50 ms, a checkpoint a second.
    pub fn new(directory: impl Into<PathBuf>, node: impl Into<String>, origin: impl Into<String>) -> Self {
        Self {
            directory: directory.into(),
            node: node.into(),
            origin: origin.into(),
            segment_bytes: 64 * 1024 * 1024,
            queue: 65_536,
            sync_within: Duration::from_millis(50),
            checkpoint_every: Duration::from_secs(1),
            checkpoint_file: None,
            indexed: None,
            accept_loss: None,
        }
    }
}

/// Where the trail learns the time of its own records.
pub type Now = std::sync::Arc<dyn Fn() -> Millis + Send + Sync>;
