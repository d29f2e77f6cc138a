//! Keeps what is published of MCP servers true.
//!
//! A listing is read again on a schedule, when the server says that it changed, after a session had
//! to be opened anew, before a call when it is older than a minute, and before every destructive
//! call. What was read is published through the snapshot, where a tool whose definition is not the
//! accepted one is hidden.
//!
//! A server that cannot be read keeps its tools listed: health never changes a list. Its calls are
//! refused instead, reads as well: whether a tool only reads is itself a thing that the listing says.

mod round;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ambit_live::catalogue::ServerCatalogue;
use ambit_live::{Live, LiveError, Snapshot};
use ambit_model::Effect;
use ambit_model::ids::{Millis, ServerSlug};
use ambit_model::server::{Server, Upstream as Address};
use tokio::time::{Instant, timeout_at};

use super::McpUpstreams;
use super::list::Relisted;
use round::{Known, Slot, Wants};

/// How fresh listings are kept.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A listing older than this is read again before a call, and on a schedule somewhat faster.
    pub every: Duration,
    /// Longest time for one listing.
    pub time_for_listing: Duration,
    /// How long a failed listing is not tried again by calls that are not destructive.
    pub rest_after_failure: Duration,
    /// Whether servers are listened to for changes.
    pub listen: bool,
}

impl Default for Settings {
    /// Every minute; 20 s for one listing; 5 s of rest; listening.
    fn default() -> Self {
        Self {
            every: Duration::from_mins(1),
            time_for_listing: Duration::from_secs(20),
            rest_after_failure: Duration::from_secs(5),
            listen: true,
        }
    }
}

/// Why a call is not made: nobody can say that the tool still is what was accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tools of server `{server}` could not be read again ({why}), so the call was not made; try again later")]
pub struct NotFresh {
    /// The server.
    pub server: ServerSlug,
    /// What stopped the reading, in words for the caller.
    pub why: String,
}

/// Reads listings again. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Refresher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    live: Live,
    upstreams: McpUpstreams,
    settings: Settings,
    slots: Mutex<HashMap<ServerSlug, Arc<Slot>>>,
}

impl Refresher {
    /// Publishes what `upstreams` list through `live`.
    pub fn new(live: Live, upstreams: McpUpstreams, settings: Settings) -> Self {
        Self { inner: Arc::new(Inner { live, upstreams, settings, slots: Mutex::default() }) }
    }

    /// Before a call is dispatched, after it was authorised: makes sure that the definition it was
    /// authorised on is recent enough for its effect. Afterwards the caller compares the tool's
    /// digest in the current snapshot with the one it decided on.
    ///
    /// A server of another kind is always fresh: its document is read at start and reload.
    ///
    /// # Errors
    /// [`NotFresh`]: the call must be refused.
    pub async fn before_dispatch(
        &self,
        server: &ServerSlug,
        effect: Effect,
        deadline: Instant,
    ) -> Result<(), NotFresh> {
        let max_age = match effect {
            Effect::Destructive => Duration::ZERO,
            Effect::Read | Effect::Write => self.inner.settings.every,
        };
        self.ensure_fresh(server, max_age, deadline).await
    }

    /// Makes sure that the published listing of a server was confirmed within `max_age`; zero reads
    /// it now, however fresh it is. Concurrent callers share one reading, but never one that began
    /// before they asked for zero.
    ///
    /// # Errors
    /// [`NotFresh`]: the last good listing stays published.
    pub async fn ensure_fresh(
        &self,
        server: &ServerSlug,
        max_age: Duration,
        deadline: Instant,
    ) -> Result<(), NotFresh> {
        let snapshot = self.inner.live.current();
        let Some(known) = snapshot.deployment.servers.get(server).filter(|known| is_mcp(known)) else { return Ok(()) };
        let suspect = self.inner.upstreams.is_suspect(known);
        let wants = match (max_age.is_zero(), suspect) {
            (true, _) => Wants::Now,
            (false, true) => Wants::Later,
            (false, false) if self.is_within(&snapshot, server, max_age) => return Ok(()),
            (false, false) => Wants::Any,
        };
        let slot = self.slot(server);
        let round = match slot.join(wants, self.inner.settings.rest_after_failure) {
            round::Joined::Rest(failure) => return Err(failure),
            round::Joined::Round(round) => round,
        };
        match timeout_at(deadline, slot.result_of(&round, || self.read(server, &slot))).await {
            Ok(result) => result,
            Err(_) => Err(NotFresh { server: server.clone(), why: "there was no time left".into() }),
        }
    }

    /// Reads the listing of a server and publishes it; if it says what it said, only the time of reading moves.
    async fn read(&self, slug: &ServerSlug, slot: &Slot) -> Result<(), NotFresh> {
        let inner = &self.inner;
        let not_fresh = |why: String| NotFresh { server: slug.clone(), why };
        let snapshot = inner.live.current();
        let Some(server) = snapshot.deployment.servers.get(slug) else { return Ok(()) };
        let credential = snapshot.credentials.find(slug, Effect::Read);
        // The time before it was asked: whatever changes later is not in it.
        let read_at = inner.live.clock().now();
        let deadline = Instant::now() + inner.settings.time_for_listing;
        let known = slot.known().and_then(|known| Some((known.pages, known.of(server, credential)?)));
        let pages = known.as_ref().map(|(pages, _)| *pages);
        let relisted = inner.upstreams.list_again(server, credential.map(AsRef::as_ref), deadline, pages).await;
        let relisted = relisted.map_err(|failure| {
            tracing::warn!(server = %slug, kind = failure.kind().as_str(), detail = failure.detail(), "{}", failure.what());
            not_fresh(failure.what())
        })?;
        let unpublished = |error: LiveError| {
            tracing::error!(server = %slug, %error, "a listing could not be published; the old one stays");
            not_fresh("the gateway could not publish it".into())
        };
        let (listing, looking) = match (relisted, known) {
            (Relisted::Other(listing, looking), _) => (listing, looking),
            (Relisted::Same, Some((_, catalogue))) => {
                catalogue.touch(read_at);
                return inner.live.replace_server(catalogue).await.map(|_| ()).map_err(unpublished);
            }
            (Relisted::Same, None) => return Err(not_fresh("reading it was interrupted".into())),
        };
        let began = Instant::now();
        let pages = listing.digest;
        let (of, before) = (server.clone(), snapshot.catalogue.server(slug).cloned());
        // Compiling the schemas of a large listing takes a while.
        let compiling = tokio::task::spawn_blocking(move || match before {
            Some(before) => ServerCatalogue::from_mcp_after(&before, &of, listing.tools, listing.left_out, read_at),
            None => ServerCatalogue::from_mcp(&of, listing.tools, listing.left_out, read_at),
        });
        let catalogue = compiling.await.map_err(|_| not_fresh("reading it was interrupted".into()))?;
        let published = inner.live.replace_server(Arc::new(catalogue)).await;
        let known = published.as_ref().ok().and_then(|now| now.catalogue.server(slug)).map(|now| Known {
            pages,
            credential: credential.cloned(),
            catalogue: Arc::downgrade(now),
        });
        slot.built(looking + began.elapsed(), known.filter(|known| known.of(server, credential).is_some()));
        published.map(|_| ()).map_err(unpublished)
    }

    /// Whether the published listing is good and was confirmed within `age`.
    fn is_within(&self, snapshot: &Snapshot, server: &ServerSlug, age: Duration) -> bool {
        let now = self.inner.live.clock().now();
        let age = Millis::try_from(age.as_millis()).unwrap_or(Millis::MAX);
        snapshot
            .catalogue
            .server(server)
            .is_some_and(|known| known.problem.is_none() && now.saturating_sub(known.read_at()) <= age)
    }

    /// The server, if it is an MCP server that is configured.
    fn mcp_server(&self, slug: &ServerSlug) -> Option<Server> {
        self.inner.live.current().deployment.servers.get(slug).filter(|server| is_mcp(server)).cloned()
    }

    fn slot(&self, server: &ServerSlug) -> Arc<Slot> {
        let mut slots = self.inner.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(server.clone()).or_default())
    }
}

fn is_mcp(server: &Server) -> bool {
    match server.upstream {
        Address::Mcp { .. } => true,
        Address::OpenApi { .. } => false,
    }
}
