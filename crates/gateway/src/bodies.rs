//! How much memory the bodies of requests may take, all together and those of one person. Small ones are not counted: only
//! so many requests run. Whoever sends a large one while there is no room is told to come back.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use ambit_mcp::RpcError;
use ambit_model::Digest;

use crate::answer::Reply;

/// A body of so many bytes is not counted. Times the most requests that outlive their connections, it is half of the usual room.
const SMALL: u64 = 8 * 1024;

/// The part of the room that one person may take: one in so many.
const SHARES: u64 = 8;

/// When to come back, in milliseconds.
const COME_BACK_MS: u64 = 2_000;

/// The room for large bodies.
#[derive(Debug, Clone)]
pub(crate) struct Bodies {
    bytes: u64,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: u64,
    /// By whom, as long as they take any.
    by: HashMap<Digest, u64>,
}

/// A body's part of the room, held until its request is answered.
#[derive(Debug)]
pub(crate) struct Part {
    held: Option<(Bodies, Digest, u64)>,
}

impl Bodies {
    /// Room for so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes: u64::try_from(bytes).unwrap_or(u64::MAX), taken: Arc::default() }
    }

    /// Takes the part of a person's body. One that does not say how long it is counts as the longest.
    ///
    /// # Errors
    /// The answer of a room that is full, or full of this person's bodies.
    pub(crate) fn part(&self, person: Digest, announced: Option<u64>, longest: usize) -> Result<Part, Reply> {
        let bytes = announced.unwrap_or_else(|| u64::try_from(longest).unwrap_or(u64::MAX));
        if bytes <= SMALL {
            return Ok(Part { held: None });
        }
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by.get(&person).copied().unwrap_or(0);
        // A body that alone is more than a share still has a place when nothing else of its person takes one.
        let share = (self.bytes / SHARES).max(bytes);
        let (all, own) = (taken.all.saturating_add(bytes), own.saturating_add(bytes));
        if all > self.bytes || own > share {
            let sentence = "too many large requests at once: send it again in a moment";
            return Err(Reply::error(&RpcError::rate_limited(sentence, COME_BACK_MS), None, "no_room"));
        }
        taken.all = all;
        taken.by.insert(person, own);
        Ok(Part { held: Some((self.clone(), person, bytes)) })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let Some((bodies, person, bytes)) = self.held.take() else { return };
        let mut taken = bodies.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(bytes);
        let left = taken.by.get(&person).map_or(0, |own| own.saturating_sub(bytes));
        if left == 0 {
            taken.by.remove(&person);
        } else {
            taken.by.insert(person, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;

    fn who(user: &str) -> Digest {
        Digest::of(user.as_bytes())
    }

    #[test]
    fn large_bodies_share_a_room_and_small_ones_need_none() {
        let bodies = Bodies::new(1024 * 1024);
        let longest = 256 * 1024;
        let [alice, bob, carol, dave, erin] = ["alice", "bob", "carol", "dave", "erin"].map(who);
        let first = bodies.part(alice, Some(256 * KIB), longest).unwrap();
        let others = [bob, carol].map(|who| bodies.part(who, None, longest).unwrap());
        let last = bodies.part(dave, Some(200 * KIB), longest).unwrap();
        let refused = bodies.part(erin, Some(100 * KIB), longest).unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.note.result), (429, "no_room"));
        assert!(bodies.part(erin, Some(SMALL), longest).is_ok() && bodies.part(erin, Some(0), longest).is_ok());
        drop(first);
        assert!(bodies.part(erin, Some(100 * KIB), longest).is_ok());
        drop((others, last));
        assert!(bodies.part(erin, Some(u64::MAX), longest).is_err());
        assert_eq!(bodies.taken.lock().unwrap().all, 0);
        assert!(bodies.taken.lock().unwrap().by.is_empty());
    }

    #[test]
    fn one_person_does_not_fill_it() {
        let bodies = Bodies::new(1024 * 1024);
        let longest = 64 * 1024 + 1;
        let first = bodies.part(who("alice"), None, longest).unwrap();
        assert!(bodies.part(who("alice"), None, longest).is_err(), "a person has an eighth");
        assert!(bodies.part(who("bob"), None, longest).is_ok());
        drop(first);
        assert!(bodies.part(who("alice"), None, longest).is_ok());
    }
}
