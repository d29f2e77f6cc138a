//! How many streams there are: in all and of one person. And which of several on one legacy session speaks.
//!
//! A stream holds a seat for as long as it is open, and none of the places that running calls hold.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ambit_model::Digest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::shares::{self, Shares};

/// How far apart two streams look at their lists when all are woken at once.
const APART: Duration = Duration::from_millis(2);

/// Every seat.
pub(crate) struct Seats {
    all: Arc<Semaphore>,
    most: usize,
    by_person: Shares<Digest>,
    per_person: usize,
    next: AtomicU64,
    open: Arc<Mutex<Open>>,
    stopping: watch::Sender<bool>,
}

#[derive(Default, Debug)]
struct Open {
    many: u64,
    /// The streams of each legacy session, in the order of their opening.
    of_session: HashMap<Digest, Vec<u64>>,
}

/// No seat is free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Full {
    /// Of this person's.
    OfPerson,
    /// Of all.
    OfAll,
}

/// The seat of one stream. Dropping it frees it.
#[derive(Debug)]
pub(crate) struct Seat {
    number: u64,
    session: Option<Digest>,
    open: Arc<Mutex<Open>>,
    _own: shares::Place,
    _of_all: OwnedSemaphorePermit,
}

impl Seats {
    pub(crate) fn new(at_once: usize, per_person: usize) -> Self {
        let most = at_once.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            all: Arc::new(Semaphore::new(most)),
            most,
            by_person: Shares::new(),
            per_person,
            next: AtomicU64::new(0),
            open: Arc::default(),
            stopping: watch::Sender::new(false),
        }
    }

    /// Takes a seat for a person, for a stream of this legacy session if it is one's.
    ///
    /// # Errors
    /// [`Full`].
    pub(crate) fn take(&self, person: Digest, session: Option<Digest>) -> Result<Seat, Full> {
        let own = self.by_person.try_take(&person, self.per_person).map_err(|shares::Held| Full::OfPerson)?;
        let of_all = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Full::OfAll)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.many += 1;
        if let Some(session) = session {
            open.of_session.entry(session).or_default().push(number);
        }
        drop(open);
        Ok(Seat { number, session, open: Arc::clone(&self.open), _own: own, _of_all: of_all })
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.most.saturating_sub(self.all.available_permits())
    }

    /// Has every stream end.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Whether they are to end.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }
}

impl Seat {
    /// Whether this stream speaks: of several on one session that is the youngest, because a message goes out on one of them
    /// and the others may be what is left of connections that broke.
    pub(crate) fn speaks(&self) -> bool {
        let Some(session) = &self.session else { return true };
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.of_session.get(session).and_then(|streams| streams.last()) == Some(&self.number)
    }

    /// How long it waits for its turn when all are woken.
    pub(crate) fn turn(&self) -> Duration {
        let many = self.open.lock().unwrap_or_else(PoisonError::into_inner).many.max(1);
        APART.saturating_mul(u32::try_from(self.number % many).unwrap_or(u32::MAX))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.many = open.many.saturating_sub(1);
        if let Some(session) = &self.session
            && let Some(streams) = open.of_session.get_mut(session)
        {
            streams.retain(|number| *number != self.number);
            if streams.is_empty() {
                open.of_session.remove(session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_so_many_seats_and_all_have_so_many() {
        let seats = Seats::new(3, 2);
        let [alice, bob, carol] = [&b"alice"[..], b"bob", b"carol"].map(Digest::of);
        let hers = [seats.take(alice, None).unwrap(), seats.take(alice, None).unwrap()];
        assert_eq!(seats.take(alice, None).err(), Some(Full::OfPerson));
        let his = seats.take(bob, None).unwrap();
        assert_eq!(seats.take(carol, None).err(), Some(Full::OfAll));
        assert_eq!(seats.taken(), 3);
        drop(hers);
        // What was not to be had for all left nothing of the share behind.
        let hers = [seats.take(carol, None).unwrap(), seats.take(carol, None).unwrap()];
        drop((his, hers));
        assert_eq!((seats.taken(), seats.open.lock().unwrap().many), (0, 0));
    }

    #[test]
    fn one_stream_of_a_session_speaks_and_another_when_that_is_gone() {
        let seats = Seats::new(8, 8);
        let [alice, session, other] = [&b"alice"[..], b"session", b"other"].map(Digest::of);
        let old = seats.take(alice, Some(session)).unwrap();
        assert!(old.speaks());
        let young = seats.take(alice, Some(session)).unwrap();
        let beside = seats.take(alice, Some(other)).unwrap();
        let modern = seats.take(alice, None).unwrap();
        assert!(!old.speaks() && young.speaks() && beside.speaks() && modern.speaks());
        drop(young);
        assert!(old.speaks());
        drop((old, beside));
        assert!(seats.open.lock().unwrap().of_session.is_empty());
    }

    #[test]
    fn those_that_are_woken_together_take_turns() {
        let seats = Seats::new(64, 64);
        let alice = Digest::of(b"alice");
        let open: Vec<_> = (0..50).map(|_| seats.take(alice, None).unwrap()).collect();
        let mut turns: Vec<_> = open.iter().map(Seat::turn).collect();
        turns.sort_unstable();
        turns.dedup();
        assert_eq!(turns.len(), 50);
        assert!(turns.last().unwrap() < &Duration::from_millis(100));
    }
}
