//! The key sets of external issuers: fetched through the egress client, parsed once, refreshed in the background.
//!
//! A token never causes a fetch of what it names. A key id that is not known causes at most one fetch of the issuer's own
//! set per cool-down, shared by everybody who waits for it. When a fetch fails, the last good set serves on for a day;
//! when a key is gone from a new set, nothing it signed is believed from that moment on.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ambit_egress::Client;
use ambit_live::deployment::Deployment;
use ambit_model::{
    Digest,
    ids::Millis,
    issuer::{Algorithm, Issuer},
};
use arc_swap::{ArcSwap, ArcSwapOption};
use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, watch};

use crate::verify::{KeyEpoch, KeySet, TokenFault};

mod fetch;
mod parse;

pub use fetch::KeysError;

/// How long a set serves when no newer one can be had.
pub const SERVES_ON_MS: Millis = 24 * 3_600_000;

/// The least time between two fetches from one issuer.
pub const COOL_DOWN_MS: Millis = 30_000;

/// When a set is fetched anew, if its answer does not say.
const REFRESH_MS: Millis = 10 * 60_000;

/// The bounds of what an answer may say. A removed key is noticed within the longer one.
const REFRESH_BOUNDS_MS: (Millis, Millis) = (60_000, 15 * 60_000);

/// How long a key id that a fresh set does not have is not asked for again. Short, because an issuer may sign with a key
/// before every copy of its set has it.
const UNKNOWN_FOR_MS: Millis = 60_000;

/// Most requests that wait for one fetch; the others are refused at once.
const MOST_WAITING: usize = 64;

/// Longest wait for a fetch that another request began.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// The key sets of all external issuers.
pub struct Jwks {
    client: Client,
    issuers: ArcSwap<Vec<Arc<IssuerKeys>>>,
}

/// What of an issuer's configuration its keys depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    issuer: String,
    jwks_uri: Option<String>,
    algorithms: BTreeSet<Algorithm>,
}

/// The keys of one issuer.
pub struct IssuerKeys {
    source: Source,
    client: Client,
    set: ArcSwapOption<KeySet>,
    epoch: Arc<KeyEpoch>,
    flight: Mutex<Flight>,
    landed: watch::Sender<Landed>,
    waiting: Semaphore,
    unknown: Cache<Digest, Millis>,
}

#[derive(Debug, Default)]
struct Flight {
    running: bool,
    began_at: Option<Millis>,
    refresh_at: Millis,
    last_error: Option<String>,
}

/// The last fetch that came to an end.
#[derive(Debug, Clone, Copy, Default)]
struct Landed {
    count: u64,
    brought_a_set: bool,
}

/// Keys with the generation they were read under. If that has moved, they have to be read again.
#[derive(Debug, Clone)]
pub struct Held {
    /// The keys.
    pub set: Arc<KeySet>,
    /// What [`IssuerKeys::epoch`] said before they were read.
    pub generation: u64,
}

/// How an issuer's keys stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysHealth {
    /// The issuer.
    pub issuer: String,
    /// Whether its tokens can be verified.
    pub usable: bool,
    /// How many usable keys its set has.
    pub keys: usize,
    /// Why the last fetch failed, if it did.
    pub last_error: Option<String>,
}

impl Jwks {
    /// Key sets fetched with a client. None is known before [`Jwks::warm`] or the first token.
    pub fn new(client: Client) -> Self {
        Self { client, issuers: ArcSwap::default() }
    }

    /// Keeps the issuers of a deployment and forgets others. Those whose keys come from the same place keep their set.
    pub fn follow(&self, deployment: &Deployment) {
        let wanted: Vec<Source> = deployment.issuers.values().map(Source::of).collect();
        self.issuers.rcu(|known| {
            wanted
                .iter()
                .map(|source| find(known, source).unwrap_or_else(|| self.begin(source.clone())))
                .collect::<Vec<_>>()
        });
    }

    /// Fetches every set that is not there yet and waits for it. Whoever fails is tried again by [`Jwks::tend`].
    pub async fn warm(&self, now_ms: Millis) {
        self.tend(now_ms);
        for issuer in self.issuers.load_full().iter() {
            issuer.await_landing().await;
        }
    }

    /// Begins the fetches that are due, each in a task of its own, at most one per issuer. To be called every few seconds
    /// inside a runtime.
    pub fn tend(&self, now_ms: Millis) {
        for issuer in self.issuers.load().iter() {
            if issuer.is_due(now_ms) {
                issuer.take_off(now_ms);
            }
        }
    }

    /// How every issuer's keys stand.
    pub fn health(&self, now_ms: Millis) -> Vec<KeysHealth> {
        self.issuers.load().iter().map(|issuer| issuer.health(now_ms)).collect()
    }

    /// The keys of an issuer.
    pub fn of(&self, issuer: &Issuer) -> Arc<IssuerKeys> {
        let source = Source::of(issuer);
        if let Some(known) = find(&self.issuers.load(), &source) {
            return known;
        }
        let fresh = self.begin(source.clone());
        self.issuers.rcu(|known| {
            let mut all = known.as_ref().clone();
            if find(&all, &source).is_none() {
                all.push(Arc::clone(&fresh));
            }
            all
        });
        find(&self.issuers.load(), &source).unwrap_or(fresh)
    }

    fn begin(&self, source: Source) -> Arc<IssuerKeys> {
        Arc::new(IssuerKeys {
            source,
            client: self.client.clone(),
            set: ArcSwapOption::empty(),
            epoch: Arc::new(KeyEpoch::new(0, Millis::MIN)),
            flight: Mutex::new(Flight { refresh_at: Millis::MIN, ..Flight::default() }),
            landed: watch::Sender::new(Landed::default()),
            waiting: Semaphore::new(MOST_WAITING),
            unknown: Cache::new(256),
        })
    }
}

impl std::fmt::Debug for Jwks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jwks").field("issuers", &self.issuers.load().len()).finish_non_exhaustive()
    }
}

impl Source {
    fn of(issuer: &Issuer) -> Self {
        Self { issuer: issuer.issuer.clone(), jwks_uri: issuer.jwks_uri.clone(), algorithms: issuer.algorithms.clone() }
    }
}

fn find(issuers: &[Arc<IssuerKeys>], source: &Source) -> Option<Arc<IssuerKeys>> {
    issuers.iter().find(|issuer| issuer.source == *source).map(Arc::clone)
}

impl IssuerKeys {
    /// What remembered verifications compare.
    pub fn epoch(&self) -> &Arc<KeyEpoch> {
        &self.epoch
    }

    /// The keys; none before the first fetch, or if the last good one is a day old.
    pub fn held(&self, now_ms: Millis) -> Option<Held> {
        // Before the keys: a removal in between makes the reader verify again, never believe.
        let generation = self.epoch.generation();
        let set = self.epoch.is_good(now_ms).then(|| self.set.load_full()).flatten()?;
        Some(Held { set, generation })
    }

    /// The keys for a token of this header. If none of them fits, or there are none, waits for a fetch: one that is under
    /// way, or a new one unless the last began within the cool-down.
    ///
    /// A token without a key id fits whatever single key there is; that one was replaced is noticed at the next refresh.
    pub async fn held_for(self: &Arc<Self>, kid: Option<&str>, algorithm: Algorithm, now_ms: Millis) -> Option<Held> {
        let held = self.held(now_ms);
        let fits = |held: &Held| !matches!(held.set.find(kid, algorithm), Err(TokenFault::UnknownKey));
        if held.as_ref().is_some_and(fits) {
            return held;
        }
        self.await_fetch(kid, now_ms).await;
        // Whatever became of it: another request's fetch may have landed since.
        self.held(now_ms)
    }

    /// Waits for a fetch because a key is not known. One that a fresh set lacked a moment ago is not asked for again.
    async fn await_fetch(self: &Arc<Self>, kid: Option<&str>, now_ms: Millis) {
        let unknown = kid.map(|kid| Digest::of(kid.as_bytes()));
        if unknown.is_some_and(|slot| self.unknown.get(&slot).is_some_and(|until| now_ms < until)) {
            return;
        }
        let Ok(_place) = self.waiting.try_acquire() else { return };
        let mut landed = self.landed.subscribe();
        if !self.take_off(now_ms) {
            return;
        }
        let arrived = tokio::time::timeout(LONGEST_WAIT, landed.changed()).await.is_ok_and(|changed| changed.is_ok());
        // A fetch that failed says nothing about the key.
        if arrived
            && landed.borrow().brought_a_set
            && let (Some(kid), Some(slot)) = (kid, unknown)
            && self.set.load().as_ref().is_some_and(|set| !set.names(kid))
        {
            self.unknown.insert(slot, now_ms.saturating_add(UNKNOWN_FOR_MS));
        }
    }

    fn is_due(&self, now_ms: Millis) -> bool {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner).refresh_at <= now_ms
    }

    /// Begins a fetch unless one is under way; whether one is. The attempt counts from now, whatever becomes of it.
    fn take_off(self: &Arc<Self>, now_ms: Millis) -> bool {
        {
            let mut flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
            if flight.running {
                return true;
            }
            // A start that lies in the future is of a clock that was set back since, and stops nothing.
            if flight.began_at.is_some_and(|at| (0..COOL_DOWN_MS).contains(&now_ms.saturating_sub(at))) {
                return false;
            }
            flight.running = true;
            flight.began_at = Some(now_ms);
        }
        // A task of its own, so that a client that hangs up cannot spend the cool-down for everybody. It only reads and
        // ends within the fetch's own bounds, so nobody has to wait for it at shutdown.
        let keys = Arc::clone(self);
        tokio::spawn(async move { keys.fly(now_ms).await });
        true
    }

    async fn fly(&self, now_ms: Millis) {
        let landing = Landing { keys: self, now_ms, outcome: None };
        let fetched =
            fetch::key_set(&self.client, &self.source.issuer, self.source.jwks_uri.as_deref(), &self.source.algorithms);
        landing.with(fetched.await);
    }

    fn land(&self, now_ms: Millis, outcome: Option<Result<fetch::FreshSet, KeysError>>) {
        let brought_a_set = matches!(outcome, Some(Ok(_)));
        let (refresh_at, last_error) = match outcome {
            Some(Ok(fresh)) => {
                let (least, most) = REFRESH_BOUNDS_MS;
                let wait =
                    fresh.fresh_for.and_then(|wait| Millis::try_from(wait.as_millis()).ok()).unwrap_or(REFRESH_MS);
                self.adopt(fresh.keys, now_ms);
                (now_ms.saturating_add(wait.clamp(least, most)), None)
            }
            Some(Err(error)) => {
                tracing::warn!(issuer = %self.source.issuer, %error, "the keys of an issuer could not be read");
                (now_ms.saturating_add(COOL_DOWN_MS), Some(error.to_string()))
            }
            None => (now_ms.saturating_add(COOL_DOWN_MS), Some("the fetch was broken off".to_owned())),
        };
        {
            let mut flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
            flight.running = false;
            flight.refresh_at = refresh_at;
            flight.last_error = last_error;
        }
        self.landed.send_modify(|landed| *landed = Landed { count: landed.count + 1, brought_a_set });
    }

    fn adopt(&self, fresh: KeySet, now_ms: Millis) {
        let fresh = Arc::new(fresh);
        let before = self.set.swap(Some(Arc::clone(&fresh)));
        if before.is_some_and(|before| !fresh.includes(&before)) {
            tracing::info!(issuer = %self.source.issuer, "a key of an issuer is gone: what it signed is no longer believed");
            self.epoch.advance();
        }
        self.epoch.extend(now_ms.saturating_add(SERVES_ON_MS));
    }

    async fn await_landing(&self) {
        let mut landed = self.landed.subscribe();
        if self.flight.lock().unwrap_or_else(PoisonError::into_inner).running {
            // Late is as good as never: the next fetch comes by itself.
            let _ = tokio::time::timeout(LONGEST_WAIT, landed.changed()).await;
        }
    }

    fn health(&self, now_ms: Millis) -> KeysHealth {
        let held = self.held(now_ms);
        KeysHealth {
            issuer: self.source.issuer.clone(),
            usable: held.as_ref().is_some_and(|held| !held.set.is_empty()),
            keys: held.map_or(0, |held| held.set.len()),
            last_error: self.flight.lock().unwrap_or_else(PoisonError::into_inner).last_error.clone(),
        }
    }
}

impl std::fmt::Debug for IssuerKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuerKeys").field("source", &self.source).finish_non_exhaustive()
    }
}

/// Lands a fetch however it ends, also when its task is dropped.
struct Landing<'a> {
    keys: &'a IssuerKeys,
    now_ms: Millis,
    outcome: Option<Result<fetch::FreshSet, KeysError>>,
}

impl Landing<'_> {
    fn with(mut self, outcome: Result<fetch::FreshSet, KeysError>) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.keys.land(self.now_ms, self.outcome.take());
    }
}

#[cfg(test)]
mod tests;
