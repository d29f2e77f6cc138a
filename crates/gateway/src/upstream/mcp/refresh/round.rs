//! One reading for everyone who asks at about the same time.
//!
//! Whoever needs a reading joins the round that has not begun yet. When a round begins it stops
//! being joinable, so that a reading is never shared with someone who asked after it had begun; at
//! most one round runs and one waits. The reading is driven by those who wait for it: if the first
//! gives up, the next takes over.
//!
//! Building what was read is work of this process that the server brought about, so the next round
//! does not begin before ten times of it have passed: a server whose tools never stay the same costs
//! at most a tenth of a core. A reading that found nothing new builds nothing and is followed at once.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ambit_live::catalogue::ServerCatalogue;
use ambit_live::credentials::Spendable;
use ambit_model::Digest;
use ambit_model::server::Server;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use super::NotFresh;

/// How many times as long as building took nothing is read.
const REST: u32 = 10;

/// The longest such rest: the first reading of a large server on a busy machine must not stop its calls for long.
const LONGEST_REST: Duration = Duration::from_mins(1);

/// The readings of one server.
#[derive(Debug)]
pub(super) struct Slot {
    state: Mutex<State>,
    /// One reading at a time.
    turn: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    /// Not begun: whoever asks now may join.
    waiting: Option<Arc<Round>>,
    /// Begun: whoever does not insist on a later one may join.
    running: Option<Arc<Round>>,
    /// The last failure, until a reading succeeds.
    failed: Option<(Instant, NotFresh)>,
    /// Before that no round begins.
    rests_until: Option<Instant>,
    /// How long the last reading took.
    took: Duration,
    /// The last reading that was published.
    known: Option<Known>,
}

/// What was read last, so that the same pages need not be looked into again.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// What the pages said.
    pub(super) pages: Digest,
    /// What they were read with: a tool that repeats it is left out.
    pub(super) credential: Option<Arc<Spendable>>,
    /// What became of them, as long as it is published.
    pub(super) catalogue: Weak<ServerCatalogue>,
}

impl Known {
    /// What became of the pages, if it still holds for this declaration and credential.
    pub(super) fn of(&self, server: &Server, credential: Option<&Arc<Spendable>>) -> Option<Arc<ServerCatalogue>> {
        let same = match (&self.credential, credential) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, Some(_)) | (Some(_), None) => false,
        };
        self.catalogue.upgrade().filter(|catalogue| same && catalogue.is_of(server))
    }
}

/// One reading.
#[derive(Debug, Default)]
pub(super) struct Round {
    result: OnceCell<Result<(), NotFresh>>,
}

/// Which reading will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    /// One that runs, or the next.
    Any,
    /// One that has not begun: something happened that an earlier one may not show.
    Later,
    /// The same, and whatever failed a moment ago.
    Now,
}

/// What asking led to.
pub(super) enum Joined {
    /// A reading failed just now.
    Rest(NotFresh),
    /// A reading to wait for.
    Round(Arc<Round>),
}

impl Default for Slot {
    fn default() -> Self {
        Self { state: Mutex::default(), turn: Semaphore::new(1) }
    }
}

impl Slot {
    /// Joins a round.
    pub(super) fn join(&self, wants: Wants, rest: Duration) -> Joined {
        let mut state = self.state();
        if wants != Wants::Now
            && let Some((at, failure)) = &state.failed
            && at.elapsed() < rest
        {
            return Joined::Rest(failure.clone());
        }
        if wants == Wants::Any
            && let Some(running) = &state.running
        {
            return Joined::Round(Arc::clone(running));
        }
        Joined::Round(Arc::clone(state.waiting.get_or_insert_default()))
    }

    /// Waits for a round's result, reading it if nobody else does.
    pub(super) async fn result_of<F>(&self, round: &Arc<Round>, read: impl FnOnce() -> F) -> Result<(), NotFresh>
    where
        F: Future<Output = Result<(), NotFresh>>,
    {
        let result = round.result.get_or_init(|| async {
            // The semaphore is never closed.
            let _turn = self.turn.acquire().await;
            let rests_until = self.state().rests_until;
            if let Some(until) = rests_until {
                // The round can still be joined.
                tokio::time::sleep_until(until).await;
            }
            self.begin(round);
            let began = Instant::now();
            let result = read().await;
            self.end(round, began, &result);
            result
        });
        result.await.clone()
    }

    fn begin(&self, round: &Arc<Round>) {
        let mut state = self.state();
        if is(state.waiting.as_ref(), round) {
            state.waiting = None;
        }
        state.running = Some(Arc::clone(round));
    }

    fn end(&self, round: &Arc<Round>, began: Instant, result: &Result<(), NotFresh>) {
        let mut state = self.state();
        state.took = began.elapsed();
        if is(state.running.as_ref(), round) {
            state.running = None;
        }
        state.failed = result.as_ref().err().map(|failure| (Instant::now(), failure.clone()));
    }

    /// What was read last.
    pub(super) fn known(&self) -> Option<Known> {
        self.state().known.clone()
    }

    /// Something new was read, and building it took some time.
    pub(super) fn built(&self, took: Duration, known: Option<Known>) {
        let mut state = self.state();
        state.rests_until = Some(Instant::now() + (took * REST).min(LONGEST_REST));
        state.known = known;
    }

    /// Before that no reading begins.
    #[cfg(test)]
    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.state().rests_until
    }

    /// How long after a reading the next one is not asked for by who is in no hurry.
    pub(super) fn pause(&self) -> Duration {
        self.state().took * REST
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is(one: Option<&Arc<Round>>, other: &Arc<Round>) -> bool {
    one.is_some_and(|one| Arc::ptr_eq(one, other))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const AFTER_FAILURE: Duration = Duration::from_millis(300);

    async fn ask(slot: &Slot, wants: Wants, readings: &AtomicUsize, takes: u64) -> Result<(), NotFresh> {
        match slot.join(wants, AFTER_FAILURE) {
            Joined::Rest(failure) => Err(failure),
            Joined::Round(round) => {
                let read = || async {
                    readings.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(takes)).await;
                    Ok(())
                };
                slot.result_of(&round, read).await
            }
        }
    }

    #[tokio::test]
    async fn who_asks_before_it_begins_shares_and_who_asks_later_does_not() {
        let (slot, readings) = (Slot::default(), AtomicUsize::new(0));
        let first = ask(&slot, Wants::Now, &readings, 100);
        let later = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            // Insisting on one that begins after now; the second and third share it.
            let (a, b, c) = tokio::join!(
                ask(&slot, Wants::Now, &readings, 100),
                ask(&slot, Wants::Later, &readings, 100),
                // Content with the one that runs.
                ask(&slot, Wants::Any, &readings, 100),
            );
            a.and(b).and(c)
        };
        let (first, later) = tokio::join!(first, later);
        assert_eq!((first, later), (Ok(()), Ok(())));
        assert_eq!(readings.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_reading_that_is_given_up_is_taken_over() {
        let (slot, readings) = (Slot::default(), AtomicUsize::new(0));
        let hasty = tokio::time::timeout(Duration::from_millis(10), ask(&slot, Wants::Now, &readings, 100));
        let patient = ask(&slot, Wants::Now, &readings, 100);
        let (hasty, patient) = tokio::join!(hasty, patient);
        assert!(hasty.is_err());
        assert_eq!(patient, Ok(()));
        // Given up by everyone, and asked for again.
        let hasty = tokio::time::timeout(Duration::from_millis(10), ask(&slot, Wants::Now, &readings, 100));
        assert!(hasty.await.is_err());
        assert_eq!(ask(&slot, Wants::Any, &readings, 100).await, Ok(()));
    }

    #[tokio::test]
    async fn a_failure_is_remembered_for_a_while_by_those_who_do_not_insist() {
        let slot = Slot::default();
        let failure = NotFresh { server: "up".parse().unwrap(), why: "it is gone".into() };
        let Joined::Round(round) = slot.join(Wants::Any, AFTER_FAILURE) else { panic!("no failure yet") };
        let failed = slot.result_of(&round, || std::future::ready(Err(failure.clone()))).await;
        assert_eq!(failed, Err(failure));
        assert!(matches!(slot.join(Wants::Any, AFTER_FAILURE), Joined::Rest(_)));
        assert!(matches!(slot.join(Wants::Later, AFTER_FAILURE), Joined::Rest(_)));
        assert!(matches!(slot.join(Wants::Now, AFTER_FAILURE), Joined::Round(_)));
        tokio::time::sleep(AFTER_FAILURE).await;
        assert!(matches!(slot.join(Wants::Any, AFTER_FAILURE), Joined::Round(_)));
    }

    #[tokio::test]
    async fn after_something_was_built_nothing_is_read_for_ten_times_as_long() {
        let (slot, readings) = (Slot::default(), AtomicUsize::new(0));
        slot.built(Duration::from_millis(30), None);
        let until = slot.rests_until().unwrap();
        // Insisting does not help, and everyone who comes meanwhile shares one reading.
        let all = futures_util::future::join_all((0..5).map(|_| ask(&slot, Wants::Now, &readings, 1))).await;
        assert!(all.iter().all(Result::is_ok));
        assert!(Instant::now() >= until && until.elapsed() < LONGEST_REST);
        assert_eq!(readings.load(Ordering::SeqCst), 1);
        // Who has no time for that goes without.
        slot.built(Duration::from_hours(1), None);
        let hasty = tokio::time::timeout(Duration::from_millis(20), ask(&slot, Wants::Now, &readings, 1));
        assert!(hasty.await.is_err());
        assert_eq!(readings.load(Ordering::SeqCst), 1);
        assert!(slot.rests_until().unwrap() <= Instant::now() + LONGEST_REST);
    }
}
