//! When a server does not answer, calls of it are not sent for a while: they would only wait, and pile up where they wait.
//! Then one call tries, and the rest follows if it is answered. A read and a write alike; no list changes by it.
//!
//! While a server answers, a call looks at one flag and takes no lock.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use ambit_model::{
    budget::Breaker,
    ids::{Millis, ServerSlug},
};

use crate::upstream::Performed;

/// How long a call waits that comes while another one tries.
const WHILE_TRIED_MS: u64 = 1_000;

/// The breakers of all servers. Servers are declared, so there are few.
#[derive(Default)]
pub(crate) struct Breakers {
    servers: RwLock<BTreeMap<ServerSlug, Arc<Circuit>>>,
}

#[derive(Default, Debug)]
struct Circuit {
    /// Whether anything in the state differs from a server that answers.
    troubled: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default, Debug)]
struct State {
    /// Calls without an answer, in a row.
    failures: u32,
    /// When the first of them ended.
    since: Millis,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    until: Millis,
    is_tried: bool,
}

/// A call's leave to be sent. Dropped without a word of what came of it, it leaves the breaker as it is.
pub(crate) struct Pass {
    circuit: Arc<Circuit>,
    settings: Breaker,
    tries: bool,
}

/// The breaker is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct IsOpen {
    /// When to come back, in milliseconds from now; at least one.
    pub(crate) wait_ms: u64,
}

/// What a breaker did when it heard of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turned {
    Open,
    Closed,
}

impl Breakers {
    /// Lets a call of a server through, or not.
    ///
    /// # Errors
    /// [`IsOpen`].
    pub(crate) fn pass(&self, server: &ServerSlug, settings: Breaker, now: Millis) -> Result<Pass, IsOpen> {
        let circuit = self.circuit(server);
        if !circuit.troubled.load(Ordering::Acquire) {
            return Ok(Pass { circuit, settings, tries: false });
        }
        let mut state = circuit.state();
        let tries = match &mut state.open {
            None => false,
            Some(open) => {
                // Further ahead than a rest is a clock that stepped back.
                open.until = open.until.min(now.saturating_add(settings.rest_ms));
                if now < open.until {
                    return Err(IsOpen { wait_ms: u64::try_from(open.until - now).unwrap_or(1) });
                }
                if open.is_tried {
                    return Err(IsOpen { wait_ms: WHILE_TRIED_MS });
                }
                open.is_tried = true;
                true
            }
        };
        drop(state);
        Ok(Pass { circuit, settings, tries })
    }

    /// The servers that are not sent to now.
    pub(crate) fn open(&self) -> Vec<ServerSlug> {
        let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner);
        let open = servers.iter().filter(|(_, circuit)| circuit.troubled.load(Ordering::Acquire));
        open.filter(|(_, circuit)| circuit.state().open.is_some()).map(|(server, _)| server.clone()).collect()
    }

    fn circuit(&self, server: &ServerSlug) -> Arc<Circuit> {
        if let Some(circuit) = self.servers.read().unwrap_or_else(PoisonError::into_inner).get(server) {
            return Arc::clone(circuit);
        }
        let mut servers = self.servers.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(servers.entry(server.clone()).or_default())
    }
}

impl Circuit {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// Hears what came of the call.
    pub(crate) fn heard(self, performed: &Performed, now: impl FnOnce() -> Millis) -> Option<Turned> {
        match performed.is_answered() {
            Some(true) => self.answered(),
            Some(false) => self.failed(now()),
            None => None,
        }
    }

    fn answered(mut self) -> Option<Turned> {
        if !self.circuit.troubled.load(Ordering::Acquire) {
            return None;
        }
        self.tries = false;
        let mut state = self.circuit.state();
        let was_open = state.open.is_some();
        *state = State::default();
        self.circuit.troubled.store(false, Ordering::Release);
        drop(state);
        was_open.then_some(Turned::Closed)
    }

    fn failed(mut self, now: Millis) -> Option<Turned> {
        let mut state = self.circuit.state();
        self.circuit.troubled.store(true, Ordering::Release);
        let until = now.saturating_add(self.settings.rest_ms);
        let turned = match &mut state.open {
            Some(open) if self.tries => {
                *open = Open { until, is_tried: false };
                None
            }
            // It was sent before the breaker opened.
            Some(_) => None,
            None => {
                let apart = now.saturating_sub(state.since);
                if state.failures == 0 || !(0..=self.settings.within_ms).contains(&apart) {
                    (state.failures, state.since) = (0, now);
                }
                state.failures = state.failures.saturating_add(1);
                let opens = state.failures >= self.settings.failures.get();
                opens.then(|| state.open = Some(Open { until, is_tried: false })).map(|()| Turned::Open)
            }
        };
        drop(state);
        self.tries = false;
        turned
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.tries
            && let Some(open) = &mut self.circuit.state().open
        {
            open.is_tried = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Millis = 1_800_000_000_000;

    fn settings() -> Breaker {
        Breaker { failures: 3.try_into().unwrap(), within_ms: 10_000, rest_ms: 5_000 }
    }

    fn server() -> ServerSlug {
        ServerSlug::parse("api").unwrap()
    }

    fn pass(breakers: &Breakers, now: Millis) -> Result<Pass, u64> {
        breakers.pass(&server(), settings(), now).map_err(|open| open.wait_ms)
    }

    fn opened() -> Breakers {
        let breakers = Breakers::default();
        let turns: Vec<_> =
            (0..3).map(|n| pass(&breakers, T0 + n).unwrap_or_else(|_| panic!()).failed(T0 + n)).collect();
        assert_eq!(turns, [None, None, Some(Turned::Open)]);
        breakers
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_between_them_does_not() {
        let breakers = Breakers::default();
        for n in 0..20 {
            let call = pass(&breakers, T0 + n).ok().unwrap();
            let turned = if n % 3 == 2 { call.answered() } else { call.failed(T0 + n) };
            assert_eq!(turned, None);
        }
        assert!(breakers.open().is_empty());
        let breakers = opened();
        assert_eq!(breakers.open(), [server()]);
        assert_eq!(pass(&breakers, T0 + 1_002).err(), Some(4_000));
        assert!(breakers.pass(&ServerSlug::parse("other").unwrap(), settings(), T0).is_ok());
    }

    #[test]
    fn failures_far_apart_do_not_open_it() {
        let breakers = Breakers::default();
        for n in 0..20 {
            let at = T0 + n * 6_000;
            assert_eq!(pass(&breakers, at).ok().unwrap().failed(at), None);
        }
    }

    #[test]
    fn after_the_rest_one_call_tries_and_closes_it_or_does_not() {
        let breakers = opened();
        let after = T0 + 6_000;
        let trying = pass(&breakers, after).ok().unwrap();
        assert_eq!(pass(&breakers, after).err(), Some(1_000));
        assert_eq!(trying.failed(after), None);
        assert_eq!(pass(&breakers, after + 4_000).err(), Some(1_000));
        let trying = pass(&breakers, after + 5_000).ok().unwrap();
        assert_eq!(trying.answered(), Some(Turned::Closed));
        assert!(pass(&breakers, after + 5_000).is_ok() && breakers.open().is_empty());
    }

    #[test]
    fn a_try_that_is_dropped_lets_the_next_one_try() {
        let breakers = opened();
        drop(pass(&breakers, T0 + 6_000).ok().unwrap());
        assert!(pass(&breakers, T0 + 6_000).is_ok());
        assert_eq!(breakers.open(), [server()]);
    }

    #[test]
    fn a_late_failure_moves_nothing_and_a_late_answer_closes() {
        let breakers = Breakers::default();
        let (late, later) = (pass(&breakers, T0).ok().unwrap(), pass(&breakers, T0).ok().unwrap());
        for n in 0..3 {
            pass(&breakers, T0 + n).ok().unwrap().failed(T0 + n);
        }
        assert_eq!(late.failed(T0 + 4_000), None);
        assert_eq!(pass(&breakers, T0 + 4_002).err(), Some(1_000));
        assert_eq!(later.answered(), Some(Turned::Closed));
    }

    #[test]
    fn a_clock_that_steps_back_keeps_it_open_for_a_rest_only() {
        let breakers = opened();
        let before = T0 - 3_600_000;
        assert_eq!(pass(&breakers, before).err(), Some(5_000));
        assert!(pass(&breakers, before + 5_000).is_ok());
    }
}
