//! Bounds on what one source may ask for. In this process alone: a fleet of n nodes allows n times as much.

use std::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use ambit_live::clock::Clock;
use ambit_model::source::host;
use governor::{Quota, RateLimiter, middleware::NoOpMiddleware, state::keyed::HashMapStateStore};

/// Most sources with a rate of their own. Above, those that have recovered are forgotten; if that does not help, whoever
/// is new shares one rate with everybody else who is.
const SOURCES: usize = 10_000;

/// Stands for everybody beyond [`SOURCES`].
const OTHERS: IpAddr = IpAddr::V4(Ipv4Addr::BROADCAST);

/// A rate per source, on the deployment's clock.
pub(crate) struct PerSource {
    limiter: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, OnClock, NoOpMiddleware<Duration>>,
    clock: OnClock,
    forgot_at: AtomicI64,
}

#[derive(Debug, Clone)]
struct OnClock(Clock);

impl governor::clock::Clock for OnClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.now()).unwrap_or(0))
    }
}

impl PerSource {
    /// Allows `burst` at once; a used one comes back every `burst`th part of `per`.
    pub(crate) fn new(clock: &Clock, burst: NonZeroU32, per: Duration) -> Self {
        let each = Quota::with_period(per / burst.get()).unwrap_or(Quota::per_hour(NonZeroU32::MIN));
        let quota = each.allow_burst(burst);
        let clock = OnClock(clock.clone());
        Self {
            limiter: RateLimiter::new(quota, HashMapStateStore::default(), clock.clone()),
            clock,
            forgot_at: AtomicI64::new(0),
        }
    }

    /// Takes one.
    ///
    /// # Errors
    /// In how many seconds there is another.
    pub(crate) fn admit(&self, source: IpAddr) -> Result<(), u64> {
        let mut key = host(source);
        if self.limiter.len() >= SOURCES {
            self.forget_recovered();
            if self.limiter.len() >= SOURCES {
                key = OTHERS;
            }
        }
        self.limiter.check_key(&key).map_err(|not_until| {
            let now = governor::clock::Clock::now(&self.clock);
            not_until.wait_time_from(now).as_secs().saturating_add(1)
        })
    }

    /// Looking through all of them costs time, so a flood makes it happen once a second at most.
    fn forget_recovered(&self) {
        let now = self.clock.0.now();
        let before = self.forgot_at.load(Ordering::Relaxed);
        let due = now.saturating_sub(before) >= 1000;
        if due && self.forgot_at.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.limiter.retain_recent();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_its_own_and_gets_it_back() {
        let clock = Clock::manual(1_000_000);
        let limit = PerSource::new(&clock, NonZeroU32::new(2).unwrap(), Duration::from_mins(1));
        let (one, two): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert!(limit.admit(one).is_ok() && limit.admit(one).is_ok());
        assert_eq!(limit.admit(one), Err(31));
        assert!(limit.admit(two).is_ok());
        clock.advance(30_000);
        assert!(limit.admit(one).is_ok() && limit.admit(one).is_err());
    }

    #[test]
    fn a_flood_of_sources_is_one_source() {
        let clock = Clock::manual(1_000_000);
        let limit = PerSource::new(&clock, NonZeroU32::new(2).unwrap(), Duration::from_mins(1));
        let admitted = (0..30_000_u32).filter(|n| limit.admit(IpAddr::V4((0x0a00_0000 + n).into())).is_ok()).count();
        assert_eq!(admitted, SOURCES + 2);
        assert_eq!(limit.limiter.len(), SOURCES + 1);
        clock.advance(120_000);
        assert!(limit.admit([192, 0, 2, 1].into()).is_ok());
        assert!(limit.limiter.len() <= 2, "those that recovered are forgotten");
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let near: IpAddr = host("2001:db8::1".parse().unwrap());
        assert_eq!(near, host("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(near, host("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(host("::ffff:192.0.2.1".parse().unwrap()), "192.0.2.1".parse::<IpAddr>().unwrap());
    }
}
