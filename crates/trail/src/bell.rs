//! Wakes one thread, at most once per wish: appenders ring, the thread answers all rings at once.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

const NOW: u8 = 0b01;
const SOON: u8 = 0b10;

/// What the thread was woken for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wish {
    /// Somebody waits.
    Now,
    /// Something is to be done within a while.
    Soon,
}

/// The bell of one thread.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    wishes: AtomicU8,
    thread: OnceLock<Thread>,
}

impl Bell {
    /// Says which thread answers. Before anybody rings, or the first ring may go unheard.
    pub(crate) fn answered_by(&self, thread: &Thread) {
        self.thread.get_or_init(|| thread.clone());
    }

    /// Rings. Costs a load when the same wish is already heard.
    pub(crate) fn ring(&self, wish: Wish) {
        let bit = match wish {
            Wish::Now => NOW,
            Wish::Soon => SOON,
        };
        // A wish that stands was not yet answered, so whoever answers it will also see what this caller did before.
        if self.wishes.load(Ordering::SeqCst) & bit != 0 {
            return;
        }
        if self.wishes.fetch_or(bit, Ordering::SeqCst) & bit == 0
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Waits for a ring: at once for `Now`, after the delay for `Soon`, for ever without either. Wishes heard are taken back.
    pub(crate) fn wait(&self, delay: Duration) {
        let mut due: Option<Instant> = None;
        loop {
            let wishes = self.wishes.load(Ordering::SeqCst);
            if wishes & NOW != 0 {
                break;
            }
            match due {
                None if wishes & SOON != 0 => due = Instant::now().checked_add(delay),
                None => thread::park(),
                Some(due) => match due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                    Some(left) => thread::park_timeout(left),
                    None => break,
                },
            }
        }
        self.wishes.swap(0, Ordering::SeqCst);
    }

    /// Waits for a ring of `Now`, at most so long.
    pub(crate) fn wait_at_most(&self, longest: Duration) {
        let due = Instant::now().checked_add(longest);
        while self.wishes.load(Ordering::SeqCst) & NOW == 0 {
            match due.and_then(|due| due.checked_duration_since(Instant::now())).filter(|left| !left.is_zero()) {
                Some(left) => thread::park_timeout(left),
                None => break,
            }
        }
        self.wishes.swap(0, Ordering::SeqCst);
    }
}
