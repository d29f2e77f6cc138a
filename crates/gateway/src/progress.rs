//! What a client that asked for it is told of its call while that runs: the upstream's progress, under the client's own token.
//!
//! A [`Wish`] is read off the request; it becomes a [`Relay`] only where the intent of the call stands in the trail. What an
//! upstream tells is bounded in number, rate and length, goes only forward, and has the spent credential taken out of it.
//! Progress may get lost, at the bounds or because the client does not read; the result never waits for it.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use ambit_live::{catalogue::Binding, credentials::Spendable};
use ambit_mcp::{OwnedRaw, headers, sse::Event, upstream::Progress};
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{
    filter::without_secrets,
    finish::Finish,
    guard::{Brought, Guarded},
    upstream::mcp::OnProgress,
};

/// A longer token is not repeated with every notification; nobody has to report progress.
const LONGEST_TOKEN: usize = 256;

/// Most notifications for one call.
const MOST: u32 = 1_000;

/// So many may come at once; after that ten a second.
const AT_ONCE: u128 = 20;
const MILLIS_EACH: u128 = 100;

/// Most that wait for a client to read them.
const WAITING: usize = 32;

/// A client's wish to be told.
pub(crate) struct Wish {
    token: OwnedRaw,
    credential: Option<Arc<Spendable>>,
    finish: Finish,
}

impl Wish {
    /// The wish of a call, if it has one that can come true: the client sent a token and takes a stream, and the upstream
    /// is one that tells.
    pub(crate) fn of(brought: &Brought<'_>, guarded: &Guarded, finish: &Finish) -> Option<Self> {
        let token = brought.params.meta.progress_token?;
        let tells = match guarded.tool().binding {
            Binding::Mcp { .. } => true,
            Binding::Operation(_) => false,
        };
        if !tells || token.as_str().len() > LONGEST_TOKEN || !headers::names_stream(brought.headers) {
            return None;
        }
        let credential = guarded.credential().cloned();
        Some(Self { token: token.into_owned(), credential, finish: finish.clone() })
    }

    /// Lets it come true. Only the trail calls this, with the intent written.
    pub(crate) fn granted(self) -> Relay {
        Relay { wish: self, state: Mutex::default() }
    }
}

/// The way of an upstream's progress to the client.
pub(crate) struct Relay {
    wish: Wish,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Open from the first notification on.
    line: Option<mpsc::Sender<Bytes>>,
    began: Option<Instant>,
    last: Option<f64>,
    passed: u32,
}

impl State {
    /// Whether one more may pass now that goes this far.
    fn admits(&mut self, value: f64, now: Instant) -> bool {
        let began = *self.began.get_or_insert(now);
        let earned = AT_ONCE + now.saturating_duration_since(began).as_millis() / MILLIS_EACH;
        let admitted =
            self.last.is_none_or(|last| value > last) && self.passed < MOST && u128::from(self.passed) < earned;
        if admitted {
            self.last = Some(value);
            self.passed += 1;
        }
        admitted
    }
}

impl OnProgress for Relay {
    fn told(&self, progress: Progress<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.admits(progress.value(), Instant::now()) {
            return;
        }
        let Some(progress) = self.clean(progress) else { return };
        let notification = progress.to_notification(self.wish.token.as_raw());
        let event = Bytes::from(Event::message(&notification).encode());
        let line = state.line.get_or_insert_with(|| {
            let (line, told) = mpsc::channel(WAITING);
            self.wish.finish.tell(told);
            line
        });
        // A client that does not read misses some; one that has left misses all.
        let _ = line.try_send(event);
    }
}

impl Relay {
    /// The progress without the credential that was spent. A number that spells it is none.
    fn clean<'p>(&self, progress: Progress<'p>) -> Option<Progress<'p>> {
        let Some(credential) = &self.wish.credential else { return Some(progress) };
        if progress.numbers().any(|number| without_secrets(number.as_bytes(), credential).is_some()) {
            return None;
        }
        match progress.message().and_then(|message| without_secrets(message.as_bytes(), credential)) {
            Some(clean) => Some(progress.with_message(Some(String::from_utf8_lossy(&clean).into_owned()))),
            None => Some(progress),
        }
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn progress_goes_forward_at_a_bounded_rate_and_not_for_ever() {
        let (mut state, start) = (State::default(), Instant::now());
        assert!(state.admits(1.0, start));
        for back in [1.0, 0.5, -1.0] {
            assert!(!state.admits(back, start), "{back}");
        }
        let at_once = (2..100).filter(|value| state.admits(f64::from(*value), start)).count();
        assert_eq!(at_once, 19);
        let later = start + Duration::from_secs(1);
        assert_eq!((100..200).filter(|value| state.admits(f64::from(*value), later)).count(), 10);
        let much_later = start + Duration::from_hours(24);
        let rest = (200..10_000).filter(|value| state.admits(f64::from(*value), much_later)).count();
        assert_eq!(rest, 970);
    }
}
