//! What one person may hold of something that everybody needs: the requests that run to their end, the places at a server.
//! Whoever holds a share waits for their own places to be free again, and nobody else's.
//!
//! Takes no place of what is shared itself; that stands beside it. A person who is known costs no allocation.

use std::{convert::Infallible, hash::Hash, sync::Arc, time::Duration};

use quick_cache::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// When to come back who holds every place they may, in milliseconds: nobody knows when one of them is free again.
pub(crate) const UNTIL_A_PLACE_MS: u64 = 1_000;

/// Most holders kept. The least recent is forgotten, which only gives it a fresh share.
const MOST: usize = 64 * 1024;

pub(crate) struct Shares<K> {
    kept: Cache<K, Arc<Semaphore>>,
}

/// A place of somebody's share. Dropping it frees the place.
pub(crate) type Place = OwnedSemaphorePermit;

/// Everything of the share is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Held;

impl<K: Hash + Eq + Clone> Shares<K> {
    pub(crate) fn new() -> Self {
        Self { kept: Cache::new(MOST) }
    }

    /// A place out of so many, if one is free.
    ///
    /// # Errors
    /// [`Held`].
    pub(crate) fn try_take(&self, who: &K, most: usize) -> Result<Place, Held> {
        self.share(who, most).try_acquire_owned().map_err(|_| Held)
    }

    /// A place out of so many, waited for; in the order of asking.
    ///
    /// # Errors
    /// [`Held`], after this time.
    pub(crate) async fn take(&self, who: &K, most: usize, at_most: Duration) -> Result<Place, Held> {
        match self.try_take(who, most) {
            Ok(place) => Ok(place),
            // Boxed, because every call would carry the room for it.
            Err(Held) => Box::pin(wait(self.share(who, most), at_most)).await,
        }
    }

    fn share(&self, who: &K, most: usize) -> Arc<Semaphore> {
        let fresh = || Ok::<_, Infallible>(Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS))));
        let Ok(share) = self.kept.get_or_insert_with(who, fresh);
        share
    }
}

async fn wait(share: Arc<Semaphore>, at_most: Duration) -> Result<Place, Held> {
    match tokio::time::timeout(at_most, share.acquire_owned()).await {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(_)) | Err(_) => Err(Held),
    }
}

#[cfg(test)]
mod tests {
    use ambit_model::Digest;

    use super::*;

    #[tokio::test]
    async fn a_person_holds_a_share_and_leaves_the_others_theirs() {
        let shares = Shares::<Digest>::new();
        let [alice, bob] = [&b"alice"[..], b"bob"].map(Digest::of);
        let hers: Vec<_> = (0..3).map(|_| shares.try_take(&alice, 3).unwrap()).collect();
        assert_eq!(shares.try_take(&alice, 3).err(), Some(Held));
        assert!(shares.try_take(&bob, 3).is_ok());
        drop(hers);
        assert!(shares.try_take(&alice, 3).is_ok());
    }

    #[tokio::test]
    async fn who_waits_gets_the_next_place_or_is_told_in_time() {
        let shares = Arc::new(Shares::<Digest>::new());
        let alice = Digest::of(b"alice");
        let only = shares.try_take(&alice, 1).unwrap();
        assert_eq!(shares.take(&alice, 1, Duration::from_millis(5)).await.err(), Some(Held));
        let waiting = {
            let shares = Arc::clone(&shares);
            tokio::spawn(async move { shares.take(&alice, 1, Duration::from_secs(10)).await.is_ok() })
        };
        tokio::task::yield_now().await;
        drop(only);
        assert!(waiting.await.unwrap());
        // Who stopped waiting holds nothing.
        assert!(shares.try_take(&alice, 1).is_ok());
    }
}
