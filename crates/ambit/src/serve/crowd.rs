//! How many connections there may be, in all and from one source. Sockets are files: their number follows what the system
//! lets the process open, with a reserve for trail, store, upstreams and the operators' socket.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use ambit_egress::Network;
use ambit_model::source::host;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most connections at once; more wait in the backlog of the kernel.
const MOST: usize = 16_384;

/// Files that are not left to connections.
const RESERVE: u64 = 256;

/// The part of all connections that one source may have.
const SHARE_OF_ONE: usize = 8;

/// The connections that are open.
#[derive(Clone, Debug)]
pub struct Crowd {
    slots: Arc<Semaphore>,
    sources: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most_of_one: usize,
    /// Behind these are many sources, told apart by what they forward.
    proxies: Arc<[Network]>,
}

/// One connection's place. Dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    _slot: OwnedSemaphorePermit,
    crowd: Crowd,
    source: Option<IpAddr>,
}

impl Crowd {
    /// As many as the process may have, after asking the system for all it would grant.
    pub fn new(proxies: &[Network]) -> Self {
        Self::of(most(), proxies)
    }

    /// As many as said.
    pub fn of(most: usize, proxies: &[Network]) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(most)),
            sources: Arc::default(),
            most_of_one: (most / SHARE_OF_ONE).max(16),
            proxies: proxies.into(),
        }
    }

    /// Waits for a place among all.
    pub async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }

    /// Takes a place for a source; none if it has its share.
    pub fn admit(&self, slot: OwnedSemaphorePermit, peer: IpAddr) -> Option<Place> {
        let peer = peer.to_canonical();
        if self.proxies.iter().any(|proxy| proxy.contains(peer)) {
            return Some(Place { _slot: slot, crowd: self.clone(), source: None });
        }
        let source = host(peer);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let open = sources.entry(source).or_default();
        if *open >= self.most_of_one {
            return None;
        }
        *open += 1;
        drop(sources);
        Some(Place { _slot: slot, crowd: self.clone(), source: Some(source) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(source) = self.source else { return };
        let mut sources = self.crowd.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = sources.get_mut(&source) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                sources.remove(&source);
            }
        }
    }
}

/// How many connections the process may have, after asking the system for all it would grant.
pub fn most() -> usize {
    connections_for(raise_files())
}

/// Raises the soft limit of open files to the hard one, and says what it is now.
fn raise_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        tracing::debug!(%error, "the limit of open files could not be raised");
    }
    // No limit is none.
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn connections_for(files: u64) -> usize {
    // A request may need a connection to its upstream as well.
    let half = files.saturating_sub(RESERVE) / 2;
    usize::try_from(half).unwrap_or(MOST).clamp(16, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_everything_else() {
        assert_eq!(connections_for(1024), 384);
        assert_eq!(connections_for(u64::MAX), MOST);
        assert_eq!(connections_for(0), 16);
    }

    #[tokio::test]
    async fn one_source_gets_its_share_and_gives_it_back() {
        let crowd = Crowd::of(1_000, &["192.0.2.0/24".parse().unwrap()]);
        let mut held = Vec::new();
        let admit = async |from: &str| crowd.admit(crowd.slot().await.unwrap(), from.parse().unwrap());
        for _ in 0..125 {
            held.push(admit("198.51.100.7").await.unwrap());
        }
        assert!(admit("198.51.100.7").await.is_none());
        assert!(admit("::ffff:198.51.100.7").await.is_none(), "the same address in another spelling");
        assert!(admit("198.51.100.8").await.is_some());
        for _ in 0..200 {
            held.push(admit("192.0.2.1").await.expect("a trusted proxy stands for many"));
        }
        held.clear();
        assert!(admit("198.51.100.7").await.is_some());
        let one = admit("2001:db8::1").await.unwrap();
        assert_eq!(crowd.sources.lock().unwrap().len(), 1);
        drop(one);
        assert!(crowd.sources.lock().unwrap().is_empty());
    }
}
