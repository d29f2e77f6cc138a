//! Ids of requests, drawn from the system's generator a page at a time: one draw for each costs more than the rest of opening
//! a request's trail.

use std::sync::{Mutex, PoisonError};

use ambit_model::event::RequestId;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};

const ID_BYTES: usize = 16;
const PAGE: usize = 128 * ID_BYTES;

/// Ids that nobody has yet.
#[derive(Debug)]
pub(super) struct Ids {
    random: SystemRandom,
    page: Mutex<Page>,
}

#[derive(Debug)]
struct Page {
    bytes: [u8; PAGE],
    used: usize,
}

impl Ids {
    pub(super) fn new() -> Self {
        Self { random: SystemRandom::new(), page: Mutex::new(Page { bytes: [0; PAGE], used: PAGE }) }
    }

    /// An id nobody else gets.
    pub(super) fn next(&self) -> RequestId {
        let mut page = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        if page.used == PAGE {
            // Should the system have no randomness, ids repeat but nothing is decided by them.
            if self.random.fill(&mut page.bytes).is_err() {
                tracing::error!("the system gave no random bytes for the ids of requests");
            }
            page.used = 0;
        }
        let id = page.bytes.get(page.used..).and_then(|rest| rest.first_chunk::<ID_BYTES>()).copied();
        page.used += ID_BYTES;
        RequestId(u128::from_be_bytes(id.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_are_alike_over_many_pages_and_threads() {
        let ids = Ids::new();
        let drawn = std::thread::scope(|scope| {
            let draw = || (0..1_000).map(|_| ids.next()).collect::<Vec<_>>();
            let threads = [scope.spawn(draw), scope.spawn(draw), scope.spawn(draw)];
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<HashSet<_>>()
        });
        assert_eq!(drawn.len(), 3_000);
    }
}
