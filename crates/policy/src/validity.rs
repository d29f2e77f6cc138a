//! Until when a decision stands. Every time a decision compares with now goes through a [`Horizon`], so no fact can be read
//! without its instant of change being noted.

use ambit_model::ids::Millis;

/// Now, and the nearest instants before and after it at which something that was read is different.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Horizon {
    now: Millis,
    since: Millis,
    until: Millis,
}

impl Horizon {
    pub(crate) fn new(now: Millis) -> Self {
        Self { now, since: Millis::MIN, until: Millis::MAX }
    }

    /// Whether an instant has come. The instant itself has.
    pub(crate) fn reached(&mut self, instant: Millis) -> bool {
        if instant <= self.now {
            self.since = self.since.max(instant);
            true
        } else {
            self.until = self.until.min(instant);
            false
        }
    }

    /// Whether now lies in `[start, expiry)`.
    pub(crate) fn within(&mut self, start: Millis, expiry: Millis) -> bool {
        // Both are compared, whatever the first says: each is an instant at which the answer may change.
        let started = self.reached(start);
        let expired = self.reached(expiry);
        started && !expired
    }

    /// The first instant at which the decision is what it is now.
    pub(crate) fn since(&self) -> Millis {
        self.since
    }

    /// The first instant at which the decision has to be made anew.
    pub(crate) fn until(&self) -> Millis {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_half_open_and_noted() {
        for (now, live, since, until) in [
            (9, false, Millis::MIN, 10),
            (10, true, 10, 20),
            (19, true, 10, 20),
            (20, false, 20, Millis::MAX),
            (21, false, 20, Millis::MAX),
        ] {
            let mut horizon = Horizon::new(now);
            assert_eq!(horizon.within(10, 20), live, "{now}");
            assert_eq!((horizon.since(), horizon.until()), (since, until), "{now}");
        }
    }

    #[test]
    fn what_ends_before_it_starts_never_lives() {
        for now in 0..40 {
            assert!(!Horizon::new(now).within(20, 10));
            assert!(!Horizon::new(now).within(20, 20));
        }
    }
}
