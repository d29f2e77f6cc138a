//! How much memory the bodies of requests may take, all together. Small ones are not counted: there are only so many
//! connections. Whoever sends a large one while there is no room is told to come back.

use std::sync::Arc;

use ambit_mcp::RpcError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::answer::Reply;

/// A body of so many bytes is not counted.
const SMALL: u64 = 64 * 1024;

/// What is counted with: KiB.
const UNIT: u64 = 1024;

/// When to come back, in milliseconds.
const COME_BACK_MS: u64 = 2_000;

/// The room for large bodies.
#[derive(Debug)]
pub(crate) struct Bodies {
    room: Arc<Semaphore>,
}

/// A body's part of the room, held until its request is answered.
#[derive(Debug)]
pub(crate) struct Part {
    _held: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// Room for so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        let units = bytes / usize::try_from(UNIT).unwrap_or(1);
        Self { room: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))) }
    }

    /// Takes the part of a body. One that does not say how long it is counts as the longest.
    ///
    /// # Errors
    /// The answer of a full room.
    pub(crate) fn part(&self, announced: Option<u64>, longest: usize) -> Result<Part, Reply> {
        let bytes = announced.unwrap_or_else(|| u64::try_from(longest).unwrap_or(u64::MAX));
        if bytes <= SMALL {
            return Ok(Part { _held: None });
        }
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        if let Ok(held) = Arc::clone(&self.room).try_acquire_many_owned(units) {
            return Ok(Part { _held: Some(held) });
        }
        let error = RpcError::rate_limited("too many large requests at once: send it again in a moment", COME_BACK_MS);
        Err(Reply::error(&error, None, "no_room"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_share_a_room_and_small_ones_need_none() {
        let bodies = Bodies::new(1024 * 1024);
        let longest = 512 * 1024;
        let first = bodies.part(Some(512 * 1024), longest).unwrap();
        let second = bodies.part(None, longest).unwrap();
        let refused = bodies.part(Some(100 * 1024), longest).unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.note.result), (429, "no_room"));
        assert!(bodies.part(Some(SMALL), longest).is_ok() && bodies.part(Some(0), longest).is_ok());
        drop(first);
        assert!(bodies.part(Some(100 * 1024), longest).is_ok());
        drop(second);
        assert!(bodies.part(Some(u64::MAX), longest).is_err());
    }
}
