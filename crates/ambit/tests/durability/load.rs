//! Many callers at once, each call with a number of its own, and what was acknowledged to them.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::task::JoinSet;

use crate::{
    person::{Person, is_done},
    world::eventually,
};

/// How many call at once.
const CALLERS: usize = 16;

/// Calls under way, until stopped.
pub struct Load {
    shared: Arc<Shared>,
    callers: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    next: AtomicU64,
    stopped: AtomicBool,
    acknowledged: Mutex<Acknowledged>,
    failed: Mutex<Vec<String>>,
}

/// The numbers of the calls whose success their callers were told.
#[derive(Clone, Default)]
pub struct Acknowledged {
    pub writes: BTreeSet<u64>,
    pub reads: BTreeSet<u64>,
}

impl Acknowledged {
    pub fn len(&self) -> usize {
        self.writes.len() + self.reads.len()
    }
}

impl Load {
    /// Begins, with numbers from `first` on. Each caller sends its next call once the last one was answered, and none twice.
    pub fn start(person: &Person, first: u64) -> Self {
        let shared = Arc::new(Shared { next: AtomicU64::new(first), ..Shared::default() });
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            callers.spawn(call_on(Arc::clone(&shared), person.clone()));
        }
        Self { shared, callers }
    }

    /// What was acknowledged until now.
    pub fn acknowledged(&self) -> Acknowledged {
        self.shared.acknowledged.lock().unwrap().clone()
    }

    /// Waits until so many were acknowledged.
    pub async fn until(&self, count: usize) {
        eventually(&format!("{count} answers; failures: {:?}", self.shared.failed.lock().unwrap()), || {
            self.acknowledged().len() >= count
        })
        .await;
    }

    /// The number of the next call.
    pub fn next(&self) -> u64 {
        self.shared.next.load(Ordering::Acquire)
    }

    /// Lets every caller finish its call. Gives what was acknowledged, and the answers that were not a success.
    pub async fn stop(mut self) -> (Acknowledged, Vec<String>) {
        self.shared.stopped.store(true, Ordering::Release);
        while let Some(ended) = self.callers.join_next().await {
            ended.unwrap();
        }
        let failed = std::mem::take(&mut *self.shared.failed.lock().unwrap());
        (self.acknowledged(), failed)
    }
}

async fn call_on(shared: Arc<Shared>, person: Person) {
    while !shared.stopped.load(Ordering::Acquire) {
        let number = shared.next.fetch_add(1, Ordering::AcqRel);
        let is_write = number.is_multiple_of(3);
        let answer = if is_write { person.write(number).await } else { person.read(number).await };
        match answer {
            Ok(answer) if is_done(&answer) => {
                let mut acknowledged = shared.acknowledged.lock().unwrap();
                if is_write {
                    acknowledged.writes.insert(number)
                } else {
                    acknowledged.reads.insert(number)
                };
            }
            Ok(answer) => {
                shared.failed.lock().unwrap().push(format!("{number}: {} {}", answer.status, answer.text()));
                return;
            }
            Err(error) => {
                shared.failed.lock().unwrap().push(format!("{number}: {error}"));
                return;
            }
        }
    }
}
