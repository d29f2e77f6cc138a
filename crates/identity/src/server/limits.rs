//! Bounds on what one source may ask for. In this process alone: a fleet of n nodes allows n times as much.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    time::Duration,
};

use ambit_live::clock::Clock;
use governor::{Quota, RateLimiter, middleware::NoOpMiddleware, state::keyed::HashMapStateStore};

/// Above this many sources, those that have recovered are forgotten first.
const SOURCES: usize = 10_000;

/// A rate per source, on the deployment's clock.
pub(crate) struct PerSource {
    limiter: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, OnClock, NoOpMiddleware<Duration>>,
    clock: OnClock,
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
        Self { limiter: RateLimiter::new(quota, HashMapStateStore::default(), clock.clone()), clock }
    }

    /// Takes one.
    ///
    /// # Errors
    /// In how many seconds there is another.
    pub(crate) fn admit(&self, source: IpAddr) -> Result<(), u64> {
        if self.limiter.len() > SOURCES {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&neighbourhood(source)).map_err(|not_until| {
            let now = governor::clock::Clock::now(&self.clock);
            not_until.wait_time_from(now).as_secs().saturating_add(1)
        })
    }
}

/// What counts as one source: an IPv4 address, or the /64 an IPv6 address was picked from.
pub(crate) fn neighbourhood(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => IpAddr::V4(mapped),
            None => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        },
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
    fn an_ipv6_network_is_one_source() {
        let near: IpAddr = neighbourhood("2001:db8::1".parse().unwrap());
        assert_eq!(near, neighbourhood("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(near, neighbourhood("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(neighbourhood("::ffff:192.0.2.1".parse().unwrap()), "192.0.2.1".parse::<IpAddr>().unwrap());
    }
}
