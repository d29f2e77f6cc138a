//! Slows guessing down without locking anybody out: each failure at one account from one source makes the next try there
//! wait longer. Others, elsewhere, are not touched; waiting is all it takes.

use std::{
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use ambit_model::{Digest, ids::Millis};
use quick_cache::unsync::Cache;

use ambit_model::source::host;

/// Pairs of account and source remembered at once.
const PAIRS: usize = 16 * 1024;

/// Failures that cost nothing: people mistype.
const FREE: u32 = 3;

/// The first delay; it doubles.
const FIRST_MS: Millis = 1_000;

/// The longest delay.
const LONGEST_MS: Millis = 5 * 60_000;

/// After this long without a try, it starts anew.
const FORGET_MS: Millis = 3_600_000;

/// The failures of every account and source.
pub(crate) struct Throttle {
    tries: Mutex<Cache<Digest, Tries>>,
}

#[derive(Debug, Clone, Copy)]
struct Tries {
    count: u32,
    last_at: Millis,
    next_at: Millis,
}

/// A try that was let through.
pub(crate) struct Admitted(Digest);

impl Throttle {
    pub(crate) fn new() -> Self {
        Self { tries: Mutex::new(Cache::new(PAIRS)) }
    }

    /// Lets a try through and counts it as failed, so that many at once wait like many in a row.
    ///
    /// # Errors
    /// For how many seconds to wait.
    pub(crate) fn admit(&self, account: &str, source: IpAddr, now_ms: Millis) -> Result<Admitted, u64> {
        let pair = pair(account, source);
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let count = standing(&tries, &pair, now_ms)?.saturating_add(1);
        tries.insert(pair, Tries { count, last_at: now_ms, next_at: now_ms + delay(count) });
        Ok(Admitted(pair))
    }

    /// Lets a try through without counting it; [`Throttle::failed`] does that. For tries whose outcome is known at once.
    ///
    /// # Errors
    /// For how many seconds to wait.
    pub(crate) fn look(&self, account: &str, source: IpAddr, now_ms: Millis) -> Result<Admitted, u64> {
        let pair = pair(account, source);
        let tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        standing(&tries, &pair, now_ms).map(|_| Admitted(pair))
    }

    /// It was wrong.
    pub(crate) fn failed(&self, admitted: &Admitted, now_ms: Millis) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        // While it was looked at, others may have failed: those who came together count together.
        let count = match standing(&tries, &admitted.0, now_ms) {
            Ok(count) => count.saturating_add(1),
            Err(_) => return,
        };
        tries.insert(admitted.0, Tries { count, last_at: now_ms, next_at: now_ms + delay(count) });
    }

    /// The password was right: what came before is forgotten.
    pub(crate) fn passed(&self, admitted: &Admitted) {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner).remove(&admitted.0);
    }
}

fn pair(account: &str, source: IpAddr) -> Digest {
    let source = host(source).to_string();
    Digest::of_parts([account.as_bytes(), source.as_bytes()])
}

/// How many failures stand, or for how many seconds to wait.
fn standing(tries: &Cache<Digest, Tries>, pair: &Digest, now_ms: Millis) -> Result<u32, u64> {
    match tries.get(pair).copied().filter(|tries| tries.last_at + FORGET_MS > now_ms) {
        Some(tries) if now_ms < tries.next_at => Err(u64::try_from(tries.next_at - now_ms).unwrap_or(0).div_ceil(1000)),
        Some(tries) => Ok(tries.count),
        None => Ok(0),
    }
}

fn delay(failures: u32) -> Millis {
    match failures.checked_sub(FREE + 1) {
        None => 0,
        Some(doublings) => FIRST_MS.checked_shl(doublings.min(20)).unwrap_or(LONGEST_MS).min(LONGEST_MS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_bound_and_never_lock() {
        let throttle = Throttle::new();
        let source = "192.0.2.1".parse().unwrap();
        let mut now = 0;
        for _ in 0..FREE {
            assert!(throttle.admit("alice", source, now).is_ok());
        }
        assert!(throttle.admit("alice", source, now).is_ok());
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert_eq!(throttle.admit("alice", source, now).err(), Some(expected));
            now += Millis::try_from(expected).unwrap() * 1000;
            assert!(throttle.admit("alice", source, now).is_ok());
        }
    }

    #[test]
    fn neither_another_account_nor_another_source_waits() {
        let throttle = Throttle::new();
        let (one, two) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..4 {
            throttle.admit("alice", one, 0).ok();
        }
        assert!(throttle.admit("alice", one, 0).is_err());
        assert!(throttle.admit("bob", one, 0).is_ok());
        let admitted = throttle.admit("alice", two, 0).unwrap_or_else(|_| panic!("another source"));
        throttle.passed(&admitted);
        assert!(throttle.admit("alice", one, FORGET_MS).is_ok());
    }
}
