//! What one caller has spent of one budget: a rate, the places under way, and the count of the day, each one atomic number.
//!
//! The rate is a generic cell rate: one instant says how much is left. A clock that steps back costs at most one emptied
//! burst, never the length of the step.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering},
};

use ambit_model::{
    budget::{Limits, Rate},
    ids::Millis,
};

use crate::shares;

const NANOS_PER_MS: i64 = 1_000_000;

const DAY_MS: Millis = 86_400_000;

#[derive(Default, Debug)]
pub(super) struct Spent {
    /// Each at its own place; the last is shared by those that found none.
    rates: [Poured; RATES + 1],
    under_way: AtomicU32,
    day: Counted,
}

/// So many rates are counted apart for one use. Where more are configured for one person, the further ones use each other up.
const RATES: usize = 8;

/// What was taken at one rate. A person may be held to several: one of their own, and one through a client or an agent that
/// has another. Each refills by itself, or the looser would refill the stricter.
#[derive(Default, Debug)]
struct Poured {
    /// Stands for the rate; zero for none yet.
    of: AtomicU64,
    /// When everything taken so far will have been refilled, in nanoseconds.
    full_at: AtomicI64,
}

/// A count of one day.
#[derive(Default, Debug)]
pub(super) struct Counted {
    /// The number of the day in the upper half, the count in the lower.
    now: AtomicU64,
    /// The same, as it was last written to the store.
    saved: AtomicU64,
}

/// Which limit is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Over {
    Rate { rate: Rate, wait_ms: u64 },
    AtOnce { most: u32 },
    PerDay { most: u32, wait_ms: u64 },
}

impl Over {
    pub(crate) fn wait_ms(self) -> u64 {
        match self {
            Self::Rate { wait_ms, .. } | Self::PerDay { wait_ms, .. } => wait_ms,
            Self::AtOnce { .. } => shares::UNTIL_A_PLACE_MS,
        }
    }
}

/// One use, taken. Its place is free again when this is dropped; the rest is given back unless it was kept.
#[derive(Debug)]
pub(crate) struct Taken {
    spent: Arc<Spent>,
    /// At which of the rates, and what one takes of it.
    poured: Option<(usize, i64)>,
    place: bool,
    day: Option<u32>,
    kept: bool,
}

impl Taken {
    /// Takes one use, or nothing at all.
    pub(super) fn from(spent: &Arc<Spent>, limits: Limits, now: Millis) -> Result<Self, Over> {
        let mut taken = Self { spent: Arc::clone(spent), poured: None, place: false, day: None, kept: false };
        if let Some(most) = limits.at_once {
            // Over the limit, the drop below gives it back.
            taken.place = true;
            if spent.under_way.fetch_add(1, Ordering::AcqRel) >= most.get() {
                return Err(Over::AtOnce { most: most.get() });
            }
        }
        if let Some(most) = limits.per_day {
            let (day, left_ms) = day_of(now);
            if !spent.day.count(day, most.get()) {
                return Err(Over::PerDay { most: most.get(), wait_ms: left_ms });
            }
            taken.day = Some(day);
        }
        if let Some(rate) = limits.rate {
            taken.poured = Some((spent.pour(rate, now)?, rate.interval_ns()));
        }
        Ok(taken)
    }

    /// It was used.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.place {
            self.spent.under_way.fetch_sub(1, Ordering::AcqRel);
        }
        if self.kept {
            return;
        }
        if let Some((at, interval)) = self.poured
            && let Some(poured) = self.spent.rates.get(at)
        {
            poured.full_at.fetch_sub(interval, Ordering::AcqRel);
        }
        if let Some(day) = self.day {
            self.spent.day.give_back(day);
        }
    }
}

impl Spent {
    /// Takes one at a rate, and says where that is counted.
    fn pour(&self, rate: Rate, now: Millis) -> Result<usize, Over> {
        let (now, interval) = (now.saturating_mul(NANOS_PER_MS), rate.interval_ns());
        let burst = interval.saturating_mul(i64::from(rate.burst.get()));
        let (at, poured) = self.counted_at(rate, now);
        if at < RATES {
            // More than a burst ahead is a clock that stepped back. Of several rates it may be the longer one's.
            poured.full_at.fetch_min(now.saturating_add(burst), Ordering::AcqRel);
        }
        let next = |full_at: i64| {
            let full_at = full_at.max(now);
            let then = full_at.saturating_add(interval);
            let early = then.saturating_sub(now).saturating_sub(burst);
            (then, early)
        };
        let fits = |full_at: i64| Some(next(full_at)).filter(|(_, early)| *early <= 0).map(|(then, _)| then);
        match poured.full_at.try_update(Ordering::AcqRel, Ordering::Acquire, fits) {
            Ok(_) => Ok(at),
            Err(full_at) => {
                let early = u64::try_from(next(full_at).1).unwrap_or(0);
                Err(Over::Rate { rate, wait_ms: early.div_ceil(NANOS_PER_MS.unsigned_abs()).max(1) })
            }
        }
    }

    /// Where a rate is counted: its own place, else one that is empty or refilled, else the shared one.
    fn counted_at(&self, rate: Rate, now: i64) -> (usize, &Poured) {
        let of = mark(rate);
        let known = |poured: &Poured| poured.of.load(Ordering::Acquire) == of;
        let [own @ .., shared] = &self.rates;
        let places = || own.iter().enumerate();
        if let Some(place) = places().find(|(_, poured)| known(poured)) {
            return place;
        }
        let Some((at, free)) = places().find(|(_, poured)| poured.full_at.load(Ordering::Acquire) <= now) else {
            return (RATES, shared);
        };
        free.of.store(of, Ordering::Release);
        (at, free)
    }

    pub(super) fn day(&self) -> &Counted {
        &self.day
    }
}

impl Counted {
    /// Counts one of a day, if there are fewer than `most`.
    fn count(&self, day: u32, most: u32) -> bool {
        let one_more = |packed| {
            let (known, count) = unpacked(packed);
            let count = if known == day { count } else { 0 };
            (count < most).then(|| packed_of(day, count + 1))
        };
        self.now.try_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_ok()
    }

    fn give_back(&self, day: u32) {
        let one_less = |packed| {
            let (known, count) = unpacked(packed);
            (known == day).then(|| packed_of(day, count.saturating_sub(1)))
        };
        // Of another day there is nothing to give back.
        let _ = self.now.try_update(Ordering::AcqRel, Ordering::Acquire, one_less);
    }

    /// The count of a day if it changed since it was last asked for.
    pub(super) fn changed(&self, day: u32) -> Option<u32> {
        let now = self.now.load(Ordering::Acquire);
        let (known, count) = unpacked(now);
        (known == day && self.saved.swap(now, Ordering::AcqRel) != now).then_some(count)
    }

    /// It was not written after all.
    pub(super) fn unsaved(&self) {
        self.saved.store(0, Ordering::Release);
    }

    /// Starts from a count that was written before.
    pub(super) fn restore(&self, day: u32, count: u32) {
        let packed = packed_of(day, count);
        self.now.fetch_max(packed, Ordering::AcqRel);
        self.saved.store(packed, Ordering::Release);
    }
}

/// Stands for a rate; never zero.
fn mark(rate: Rate) -> u64 {
    let interval = rate.interval_ns().unsigned_abs();
    interval.rotate_left(32) ^ u64::from(rate.burst.get()) | 1 << 63
}

fn unpacked(packed: u64) -> (u32, u32) {
    let half = |part: u64| u32::try_from(part).unwrap_or(u32::MAX);
    (half(packed >> 32), half(packed & u64::from(u32::MAX)))
}

fn packed_of(day: u32, count: u32) -> u64 {
    u64::from(day) << 32 | u64::from(count)
}

/// The number of a day, and how much of it is left, in milliseconds.
pub(super) fn day_of(now: Millis) -> (u32, u64) {
    let day = u32::try_from(now.div_euclid(DAY_MS)).unwrap_or(0);
    let left = DAY_MS.saturating_sub(now.rem_euclid(DAY_MS));
    (day, u64::try_from(left).unwrap_or(1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    const T0: Millis = 1_800_000_000_000;

    fn number(number: u32) -> Option<NonZeroU32> {
        NonZeroU32::new(number)
    }

    fn rate(text: &str, burst: u32) -> Limits {
        Limits { rate: Rate::parse(text, number(burst)), ..Limits::default() }
    }

    /// Takes one and uses it up.
    fn used(spent: &Arc<Spent>, limits: Limits, now: Millis) -> Result<(), Over> {
        Taken::from(spent, limits, now).map(|mut taken| taken.keep())
    }

    #[test]
    fn a_rate_runs_out_says_when_and_refills() {
        let (spent, limits) = (Arc::default(), rate("10/s", 3));
        for _ in 0..3 {
            assert!(used(&spent, limits, T0).is_ok());
        }
        let over = used(&spent, limits, T0).unwrap_err();
        assert_eq!(over.wait_ms(), 100, "{over:?}");
        assert!(used(&spent, limits, T0 + 99).is_err());
        assert!(used(&spent, limits, T0 + 100).is_ok());
        assert!(used(&spent, limits, T0 + 100).is_err());
        let after_a_rest = (0..10).filter(|_| used(&spent, limits, T0 + 60_000).is_ok()).count();
        assert_eq!(after_a_rest, 3);
    }

    #[test]
    fn a_looser_rate_refills_no_stricter_one_and_is_not_used_up_by_it() {
        let (spent, strict, loose) = (Arc::default(), rate("10/h", 5), rate("600/m", 400));
        let strict_ones = (0..50).filter(|_| used(&spent, strict, T0).is_ok()).count();
        assert_eq!(strict_ones, 5);
        let both = (0..300).map(|_| (used(&spent, loose, T0).is_ok(), used(&spent, strict, T0).is_ok()));
        assert!(both.into_iter().all(|both| both == (true, false)));
        assert!(used(&spent, strict, T0 + 360_000).is_ok() && used(&spent, strict, T0 + 360_000).is_err());
    }

    #[test]
    fn more_rates_than_places_are_all_held() {
        let spent = Arc::default();
        let rates: Vec<_> = (1..30).map(|burst| rate("1/h", burst)).collect();
        let let_through = (0..100).flat_map(|_| &rates).filter(|rate| used(&spent, **rate, T0).is_ok()).count();
        let allowed: usize = (1..30).sum();
        assert!(let_through <= allowed, "{let_through} of {allowed}");
    }

    #[test]
    fn a_rate_holds_over_time() {
        let (spent, limits) = (Arc::default(), rate("600/m", 20));
        let let_through = (0..60_000).filter(|ms| used(&spent, limits, T0 + ms).is_ok()).count();
        assert!((600..=620).contains(&let_through), "{let_through}");
    }

    #[test]
    fn a_clock_that_steps_back_costs_a_burst_and_no_more() {
        let (spent, limits) = (Arc::default(), rate("1/s", 5));
        assert!(used(&spent, limits, T0).is_ok());
        let an_hour_ago = T0 - 3_600_000;
        assert_eq!(used(&spent, limits, an_hour_ago).unwrap_err().wait_ms(), 1_000);
        assert!(used(&spent, limits, an_hour_ago + 1_000).is_ok());
    }

    #[test]
    fn what_was_not_used_is_given_back_and_a_place_always() {
        let limits = Limits { at_once: number(1), per_day: number(1), ..rate("1/h", 1) };
        let spent = Arc::default();
        drop(Taken::from(&spent, limits, T0).unwrap());
        let mut taken = Taken::from(&spent, limits, T0).unwrap();
        taken.keep();
        assert_eq!(Taken::from(&spent, limits, T0).unwrap_err(), Over::AtOnce { most: 1 });
        drop(taken);
        assert_eq!(spent.under_way.load(Ordering::Acquire), 0);
        assert!(matches!(Taken::from(&spent, limits, T0).unwrap_err(), Over::PerDay { most: 1, .. }));
        assert_eq!(spent.under_way.load(Ordering::Acquire), 0);
    }

    #[test]
    fn a_refusal_by_one_limit_takes_nothing_of_the_others() {
        let (spent, limits) = (Arc::default(), Limits { per_day: number(5), ..rate("1/h", 2) });
        for _ in 0..50 {
            let _ = used(&spent, limits, T0);
        }
        assert_eq!(spent.day().changed(day_of(T0).0), Some(2));
    }

    #[test]
    fn a_day_ends_at_midnight_utc_and_says_so() {
        let (spent, limits) = (Arc::default(), Limits { per_day: number(2), ..Limits::default() });
        assert!(used(&spent, limits, T0).is_ok() && used(&spent, limits, T0).is_ok());
        let over = used(&spent, limits, T0).unwrap_err();
        let midnight = T0 + i64::try_from(over.wait_ms()).unwrap();
        assert_eq!(midnight % DAY_MS, 0);
        assert!(used(&spent, limits, midnight - 1).is_err());
        assert!(used(&spent, limits, midnight).is_ok());
    }

    #[test]
    fn no_more_than_the_limit_pass_from_many_threads() {
        let (spent, limits) = (Arc::default(), Limits { per_day: number(700), ..rate("1/h", 500) });
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..1_000).filter(|_| used(&spent, limits, T0).is_ok()).count()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed, 500);
    }
}
