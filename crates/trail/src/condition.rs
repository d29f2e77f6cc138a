//! Whether the trail takes records, and if not, why.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use crate::progress::lock;

/// Why no place can be reserved.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unavailable {
    /// As many records as allowed are in flight.
    #[error("too many records wait for the disk")]
    Full,
    /// Records cannot be kept at present.
    #[error("the trail is not writable: {why}")]
    Unwritable {
        /// The cause and the remedy.
        why: Arc<str>,
    },
    /// The trail is closing.
    #[error("the trail is closing")]
    Closing,
}

/// How the trail is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Condition {
    /// Takes records.
    Sound,
    /// A write failed or room runs out: takes records again when that is over.
    Hindered(Arc<str>),
    /// A sync failed: takes no record until it is opened again.
    Lost(Arc<str>),
    /// Takes no further reservations.
    Closing,
}

/// The condition, with a flag that costs a load to read.
#[derive(Debug)]
pub(crate) struct Health {
    sound: AtomicBool,
    condition: Mutex<Condition>,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self { sound: AtomicBool::new(true), condition: Mutex::new(Condition::Sound) }
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.sound.load(Ordering::Acquire)
    }

    pub(crate) fn condition(&self) -> Condition {
        lock(&self.condition).clone()
    }

    /// Changes the condition. What is lost or closing does not become better. True if something changed.
    pub(crate) fn become_(&self, next: Condition) -> bool {
        let mut condition = lock(&self.condition);
        let allowed = match (&*condition, &next) {
            (Condition::Lost(_), _) => false,
            (Condition::Closing, Condition::Lost(_)) => true,
            (Condition::Closing, Condition::Sound | Condition::Hindered(_) | Condition::Closing) => false,
            (Condition::Sound | Condition::Hindered(_), _) => *condition != next,
        };
        if allowed {
            self.sound.store(next == Condition::Sound, Ordering::Release);
            *condition = next;
        }
        allowed
    }

    pub(crate) fn check(&self) -> Result<(), Unavailable> {
        if self.is_sound() {
            return Ok(());
        }
        match self.condition() {
            Condition::Sound => Ok(()),
            Condition::Hindered(why) | Condition::Lost(why) => Err(Unavailable::Unwritable { why }),
            Condition::Closing => Err(Unavailable::Closing),
        }
    }
}

/// The places of records that are reserved or not yet on disk.
#[derive(Debug)]
pub(crate) struct Places {
    taken: AtomicU32,
    limit: u32,
}

impl Places {
    pub(crate) fn new(limit: usize) -> Self {
        Self { taken: AtomicU32::new(0), limit: u32::try_from(limit).unwrap_or(u32::MAX) }
    }

    /// Takes so many, or none.
    pub(crate) fn take(&self, places: u32) -> bool {
        self.taken
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |taken| {
                taken.checked_add(places).filter(|sum| *sum <= self.limit)
            })
            .is_ok()
    }

    /// Takes so many, over the limit if need be: for records that were let in before.
    pub(crate) fn take_regardless(&self, places: u64) {
        self.taken.fetch_add(u32::try_from(places).unwrap_or(0), Ordering::AcqRel);
    }

    /// Gives back.
    pub(crate) fn give_back(&self, places: u64) {
        let places = u32::try_from(places).unwrap_or(u32::MAX);
        // Saturating: never more than were taken.
        let given = self.taken.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |t| Some(t.saturating_sub(places)));
        debug_assert!(given.is_ok_and(|before| before >= places), "more places given back than taken");
    }

    #[cfg(test)]
    pub(crate) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Acquire)
    }
}
