//! What is known about one server: where it is, its era, its connections, and whether it told that
//! its tools changed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ambit_egress::{Client, Target};
use ambit_live::credentials::Spendable;
use ambit_mcp::upstream::ClientInfo;
use ambit_model::ids::ServerSlug;
use ambit_model::server::{Server, Upstream as Address};
use http::{HeaderName, HeaderValue};
use tokio::sync::{Notify, OnceCell};

use super::super::PATIENCE;
use super::connection::Connection;
use super::failure::UpstreamFailure;

/// Places for all that is no call: without its listing being read and its sessions being opened no call would go through.
const FOR_UPKEEP: usize = 16;

/// Most credentials a server's connections are kept for. There are three effects, and old values
/// after a rotation.
const MOST_CONNECTIONS: usize = 16;

/// A connection that is made once, by whoever needs it first, while others wait for it.
type Pending = Arc<OnceCell<Arc<Connection>>>;

/// The header a credential goes into, and its value: a session belongs to who opened it.
pub(super) type Presented = Option<(HeaderName, HeaderValue)>;

/// One server.
pub(super) struct Upstream {
    pub(super) slug: ServerSlug,
    pub(super) egress: Client,
    pub(super) client: ClientInfo,
    target: Target,
    upkeep: Target,
    url: String,
    ids: AtomicU64,
    era: AtomicU8,
    connections: Mutex<HashMap<Presented, Pending>>,
    /// How often it was told, or is to be feared, that the tools changed.
    told: AtomicU64,
    /// The count of `told` that the last complete listing began with.
    heard: AtomicU64,
    /// Wakes whoever keeps the listing fresh.
    pub(super) changed: Notify,
}

/// The era a server was last found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KnownEra {
    Unknown = 0,
    Modern = 1,
    Legacy = 2,
}

/// Whose places a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// A caller's call.
    Calls,
    /// Our own: handshake, listing, listening, answers to what the server asks.
    Upkeep,
}

/// The address of an MCP server.
pub(super) fn url_of(server: &Server) -> Result<&str, UpstreamFailure> {
    match &server.upstream {
        Address::Mcp { url } => Ok(url),
        Address::OpenApi { .. } => Err(UpstreamFailure::not_mcp(&server.slug)),
    }
}

/// How a credential is presented.
pub(super) fn presented(credential: Option<&Spendable>) -> Presented {
    credential.map(|credential| (credential.header.clone(), credential.value().clone()))
}

impl Upstream {
    pub(super) fn new(
        slug: &ServerSlug,
        url: &str,
        (egress, places): (&Client, usize),
        client: &ClientInfo,
    ) -> Result<Self, UpstreamFailure> {
        let parsed = Target::parse(url, egress.rules()).map_err(|error| UpstreamFailure::address(slug, &error))?;
        let upkeep = parsed.clone().with_max_in_flight(FOR_UPKEEP, PATIENCE);
        let target = parsed.with_max_in_flight(places, PATIENCE);
        Ok(Self {
            slug: slug.clone(),
            egress: egress.clone(),
            client: client.clone(),
            target,
            upkeep,
            url: url.to_owned(),
            ids: AtomicU64::new(1),
            era: AtomicU8::new(KnownEra::Unknown as u8),
            connections: Mutex::default(),
            told: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            changed: Notify::new(),
        })
    }

    /// Where a request of this kind is sent.
    pub(super) fn target(&self, lane: Lane) -> &Target {
        match lane {
            Lane::Calls => &self.target,
            Lane::Upkeep => &self.upkeep,
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// A number for the next message.
    pub(super) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn era(&self) -> KnownEra {
        match self.era.load(Ordering::Relaxed) {
            1 => KnownEra::Modern,
            2 => KnownEra::Legacy,
            _ => KnownEra::Unknown,
        }
    }

    pub(super) fn set_era(&self, era: KnownEra) {
        self.era.store(era as u8, Ordering::Relaxed);
    }

    /// The connection for a credential, made or still to be made.
    pub(super) fn pending(&self, presented: &Presented) -> Pending {
        let mut connections = self.connections();
        if let Some(known) = connections.get(presented) {
            return Arc::clone(known);
        }
        if connections.len() >= MOST_CONNECTIONS {
            connections.clear();
        }
        Arc::clone(connections.entry(presented.clone()).or_default())
    }

    /// Drops a connection that failed, unless someone else has replaced it already.
    pub(super) fn forget(&self, presented: &Presented, failed: &Arc<Connection>) {
        let mut connections = self.connections();
        let is_current = connections
            .get(presented)
            .and_then(|pending| pending.get())
            .is_some_and(|current| Arc::ptr_eq(current, failed));
        if is_current {
            connections.remove(presented);
            if failed.is_modern() {
                self.set_era(KnownEra::Unknown);
            }
        }
    }

    /// Takes every connection that was made.
    pub(super) fn take_connections(&self) -> Vec<(Presented, Arc<Connection>)> {
        let all = std::mem::take(&mut *self.connections());
        all.into_iter().filter_map(|(presented, pending)| Some((presented, Arc::clone(pending.get()?)))).collect()
    }

    /// The server said that its tools changed, or was restarted and may have changed them.
    pub(super) fn suspect(&self) {
        self.doubt();
        self.changed.notify_one();
    }

    /// The connection broke: what answers next may be another program. Calls look again before they go
    /// out; nobody is woken, or a server that is down would be asked without pause.
    pub(super) fn doubt(&self) {
        self.told.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it did so since the last complete listing began.
    pub(super) fn is_suspect(&self) -> bool {
        self.told.load(Ordering::Relaxed) != self.heard.load(Ordering::Relaxed)
    }

    /// Before a listing is read: what [`Upstream::listed`] takes when it was complete.
    pub(super) fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// A complete listing began when `told` stood at this.
    pub(super) fn listed(&self, told: u64) {
        self.heard.fetch_max(told, Ordering::Relaxed);
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<Presented, Pending>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
