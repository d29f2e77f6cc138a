//! Appending: a reservation is a right to append, an [`Appended`] is the wait until it is done.
//!
//! The record is in line before `append` returns; dropping the future loses nothing but the answer.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    bell::Wish,
    commit::Shared,
    progress::{AppendError, lock},
    record::{Durability, Record},
};

/// The right to append some records. Places that are not used are given back when it is dropped.
#[must_use = "a reservation that is not kept is given back at once"]
pub struct Reservation {
    shared: Arc<Shared>,
    places: u32,
}

impl Reservation {
    pub(crate) fn new(shared: Arc<Shared>, places: u32) -> Self {
        Self { shared, places }
    }

    /// How many records it still has room for.
    pub fn places(&self) -> u32 {
        self.places
    }

    /// Puts a record in line. It will be written whether or not the future is polled.
    pub fn append(&mut self, record: Record) -> Appended {
        let Some(rest) = self.places.checked_sub(1) else {
            return Appended(State::Refused(AppendError::NoPlace));
        };
        let durability = record.durability;
        let pushed = lock(&self.shared.intake).push(record);
        match pushed {
            Err(error) => Appended(State::Refused(error)),
            Ok(ticket) => {
                // The place now belongs to the record and is given back when that is on disk.
                self.places = rest;
                self.shared.committer.ring(match durability {
                    Durability::Synced => Wish::Now,
                    Durability::Written => Wish::Soon,
                });
                let shared = self.shared.clone();
                Appended(State::Waiting { shared, ticket, durability, gave_way: false, listening: false })
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared.places.give_back(u64::from(self.places));
    }
}

impl std::fmt::Debug for Reservation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reservation").field("places", &self.places).finish_non_exhaustive()
    }
}

/// Resolves to the record's leaf number when the record is as durable as was asked for.
#[must_use = "a record counts as recorded only when this has resolved"]
pub struct Appended(State);

enum State {
    Refused(AppendError),
    Waiting { shared: Arc<Shared>, ticket: u64, durability: Durability, gave_way: bool, listening: bool },
    Done,
}

impl Future for Appended {
    type Output = Result<u64, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let done = match &mut self.0 {
            State::Done => return Poll::Pending,
            State::Refused(error) => Err(error.clone()),
            State::Waiting { shared, ticket, durability, gave_way, listening } => {
                if *durability == Durability::Written && shared.progress.look(*ticket, *durability).is_none() {
                    if !std::mem::replace(gave_way, true) {
                        // Whoever is ready to run on this thread lines up first: then one write carries the records of all.
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    shared.combine();
                }
                let polled = shared.progress.poll(*ticket, *durability, context.waker());
                *listening = polled.is_pending();
                match polled {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(done) => done,
                }
            }
        };
        self.0 = State::Done;
        Poll::Ready(done)
    }
}

impl Drop for Appended {
    fn drop(&mut self) {
        if let State::Waiting { shared, ticket, durability, listening: true, .. } = &self.0 {
            shared.progress.forget(*ticket, *durability);
        }
    }
}

impl std::fmt::Debug for Appended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match &self.0 {
            State::Refused(_) => "refused",
            State::Waiting { .. } => "waiting",
            State::Done => "done",
        };
        f.debug_tuple("Appended").field(&state).finish()
    }
}
