//! How many refusals one source prefix is answered in full. Only refusals are counted: whoever holds a good token is never
//! slowed down by neighbours who do not.

use std::{convert::Infallible, net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use ambit_model::source::prefix;
use governor::{
    DefaultDirectRateLimiter, Quota,
    clock::{Clock as _, DefaultClock},
};
use quick_cache::sync::Cache;

use crate::gateway::RefusalRate;

/// Most source prefixes remembered; the least recent is forgotten, which only gives it a fresh allowance.
const MOST: usize = 16 * 1024;

pub(crate) struct Throttle {
    quota: Quota,
    clock: DefaultClock,
    sources: Cache<IpAddr, Arc<DefaultDirectRateLimiter>>,
}

impl Throttle {
    pub(crate) fn new(rate: RefusalRate) -> Self {
        let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(rate.per_second)).allow_burst(at_least_one(rate.burst));
        Self { quota, clock: DefaultClock::default(), sources: Cache::new(MOST) }
    }

    /// Counts one refusal.
    ///
    /// # Errors
    /// How long this source has to wait until the next one is answered in full.
    pub(crate) fn count(&self, source: IpAddr) -> Result<(), Duration> {
        let fresh = || Ok::<_, Infallible>(Arc::new(DefaultDirectRateLimiter::direct(self.quota)));
        let Ok(limiter) = self.sources.get_or_insert_with(&prefix(source), fresh);
        limiter.check().map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_prefix_runs_out_and_another_does_not() {
        let throttle = Throttle::new(RefusalRate { per_second: 1, burst: 3 });
        let from = |text: &str| throttle.count(text.parse().unwrap());
        for last in 1..=3 {
            assert!(from(&format!("192.0.2.{last}")).is_ok());
        }
        let wait = from("192.0.2.200").unwrap_err();
        assert!(wait <= Duration::from_secs(1) && !wait.is_zero(), "{wait:?}");
        assert!(from("::ffff:192.0.2.5").is_err());
        assert!(from("192.0.3.1").is_ok());
    }

    #[test]
    fn a_flood_of_prefixes_is_bounded() {
        let throttle = Throttle::new(RefusalRate { per_second: 1, burst: 1 });
        for n in 0..100_000_u32 {
            let _ = throttle.count(IpAddr::V4((n << 8).into()));
        }
        assert!(throttle.sources.len() <= MOST);
    }
}
