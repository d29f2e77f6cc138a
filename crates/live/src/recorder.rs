//! Where requests and acts are written down. A request reserves its places in the trail before anything is done for it, so
//! that a full or broken trail refuses work instead of losing records.
//!
//! Nothing here decides what an event says; it only gives it an id, a place and a time.

mod ids;
mod rollup;

use std::{net::IpAddr, sync::Arc};

use ambit_ledger::{InvalidKey, SigningKey};
use ambit_model::{
    event::{Act, Event, RequestId, VERSION, Who},
    ids::UserKey,
};
pub use ambit_trail::{AppendError, Appended, Durability, Keys as IndexKeys, Unavailable};
use ambit_trail::{Files, OpenError, Record, Reservation, Settings, Trail};

use crate::{
    clock::Clock,
    keys::{KeyError, Keys},
};
use ids::Ids;
pub use rollup::Counted;
use rollup::Rollups;

/// Writes events. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    trail: Trail,
    clock: Clock,
    ids: Ids,
    rollups: Rollups,
}

/// Why something could not be written down. What it was about must not happen.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// There is no place.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Writing failed.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// The places of one request in the trail.
#[derive(Debug)]
pub struct Open {
    request: RequestId,
    reservation: Reservation,
}

/// What somebody did to the deployment.
#[derive(Debug, Clone, Default)]
pub struct Deed<'a> {
    /// `operator:<os user>`, `user issuer:subject`, `ambit`.
    pub by: &'a str,
    /// `grant.create`, `revoke`, `login`, ….
    pub act: &'a str,
    /// To whom or what.
    pub subject: &'a str,
    /// The state before, without secrets.
    pub before: Option<serde_json::Value>,
    /// The state after, without secrets.
    pub after: Option<serde_json::Value>,
    /// Why, in the actor's words.
    pub reason: Option<&'a str>,
}

/// Opens this node's trail with the deployment's key for it. Blocks for file operations.
///
/// # Errors
/// [`OpenTrailError`], with what to do.
pub fn open_trail(settings: Settings, keys: &Keys, files: impl Files, clock: &Clock) -> Result<Trail, OpenTrailError> {
    let key = SigningKey::from_seed(&settings.origin, &keys.own("trail")?)?;
    let clock = clock.clone();
    Ok(Trail::open(settings, key, files, move || clock.now())?)
}

/// Why the trail cannot be opened. Nothing is served without it.
#[derive(Debug, thiserror::Error)]
pub enum OpenTrailError {
    /// Its key cannot be read.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Its origin names no key.
    #[error(transparent)]
    Origin(#[from] InvalidKey),
    /// Its files do not stand.
    #[error(transparent)]
    Trail(#[from] OpenError),
}

impl Recorder {
    /// A recorder over an open trail.
    pub fn new(trail: Trail, clock: Clock) -> Self {
        let shared = Shared { trail, clock, ids: Ids::new(), rollups: Rollups::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Reserves the places of a request.
    ///
    /// # Errors
    /// [`Unavailable`]: the request must be refused.
    pub fn open(&self, places: u32) -> Result<Open, Unavailable> {
        let reservation = self.shared.trail.reserve(places)?;
        Ok(Open { request: self.shared.ids.next(), reservation })
    }

    /// Reserves places for more of a request that was closed: of an answer that went on for long.
    ///
    /// # Errors
    /// [`Unavailable`]: it cannot be written.
    pub fn open_again(&self, request: RequestId, places: u32) -> Result<Open, Unavailable> {
        Ok(Open { request, reservation: self.shared.trail.reserve(places)? })
    }

    /// Writes an act down; durable when this returns.
    ///
    /// # Errors
    /// [`RecordError`]: the act must not count.
    pub async fn act(&self, deed: Deed<'_>) -> Result<(), RecordError> {
        let mut open = self.open(1)?;
        let at = self.shared.clock.now();
        let Deed { by, act, subject, before, after, reason } = deed;
        let event = Event::Act(Act { v: VERSION, request: open.request, at, by, act, subject, before, after, reason });
        open.write(&event, at, IndexKeys::of(&event), Durability::Synced).await?;
        Ok(())
    }

    /// Counts a request that was refused before anybody was identified. Written once a minute per source prefix and reason.
    pub fn refused_early(&self, endpoint: &str, source: IpAddr, reason: &'static str) {
        self.shared.rollups.count(endpoint, &Counted::Source(source), reason, self.shared.clock.now());
    }

    /// Counts a refused login, under the account it was for if there is one of that name. What was typed otherwise may be a
    /// password in the wrong field, and is not written down.
    pub fn refused_login(&self, account: Option<&UserKey>, source: IpAddr, reason: &'static str) {
        let counted = match account {
            Some(account) => Counted::Account(source, account),
            None => Counted::Source(source),
        };
        self.shared.rollups.count("login", &counted, reason, self.shared.clock.now());
    }

    /// Counts a request of a verified caller that was refused before it was looked at, because there were too many. Written
    /// once a minute per caller and reason, wherever the caller is.
    pub fn refused_caller(&self, endpoint: &str, who: &Who<'_>, reason: &'static str) {
        self.shared.rollups.count(endpoint, &Counted::Caller(who), reason, self.shared.clock.now());
    }

    /// Writes the counts of minutes that are over; all of them if `closing`.
    ///
    /// # Errors
    /// [`RecordError`]; the counts that were not written are kept.
    pub async fn flush_refusals(&self, closing: bool) -> Result<(), RecordError> {
        let now = self.shared.clock.now();
        let due = self.shared.rollups.take_due(now, closing);
        let mut waiting = Vec::with_capacity(due.len());
        let mut due = due.into_iter();
        while let Some(count) = due.next() {
            match self.open(1) {
                Ok(mut open) => {
                    let event = count.event(open.request, now);
                    waiting.push(open.write(&event, now, IndexKeys::of(&event), Durability::Written));
                }
                Err(unavailable) => {
                    self.shared.rollups.put_back(std::iter::once(count).chain(due));
                    return Err(unavailable.into());
                }
            }
        }
        for written in waiting {
            written.await?;
        }
        Ok(())
    }

    /// The trail beneath, for its checkpoint and its health.
    pub fn trail(&self) -> &Trail {
        &self.shared.trail
    }
}

impl Open {
    /// Links the events of this request.
    pub fn request(&self) -> RequestId {
        self.request
    }

    /// Writes one event into one of the reserved places. The record is kept even if the returned future is dropped.
    pub fn write(
        &mut self,
        event: &Event<'_>,
        at: ambit_model::ids::Millis,
        keys: IndexKeys,
        durability: Durability,
    ) -> Appended {
        self.reservation.append(Record { bytes: event.to_bytes(), at, keys, durability })
    }
}
