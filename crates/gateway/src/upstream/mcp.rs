//! MCP servers behind the gateway, over Streamable HTTP, of either era.
//!
//! [`McpUpstreams`] holds what is known about each: its era and the legacy sessions, one per
//! credential. [`McpUpstreams::list`] reads its tools, [`McpUpstreams::call`] carries out one call
//! that was authorised and guarded elsewhere, and [`Refresher`] keeps what is published true.
//!
//! ```text
//! call ─┐                   ┌─ connection: era, initialize, session
//! list ─┼─ upstream (one) ──┤
//! listen┘                   └─ exchange: one request, one answer, JSON or SSE
//! ```
//!
//! A call is sent once. It is sent again only after an answer that proves that the server did not
//! take it, over a new connection, and if its definition is still the accepted one. Nothing of the
//! client's own request but the arguments reaches an upstream: a client's progress token has one of ours in its place.

mod call;
mod connection;
mod exchange;
mod failure;
mod list;
mod listen;
mod one;
mod refresh;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ambit_egress::Client;
use ambit_mcp::upstream::ClientInfo;
use ambit_model::ids::ServerSlug;
use ambit_model::server::Server;
use tokio::time::Instant;

pub use call::{Answer, Call, OnProgress};
pub use failure::{FailureKind, UpstreamFailure};
pub use list::Listing;
pub use refresh::{NotFresh, Refresher, Settings};

use one::Upstream;

/// Most calls of one server at once; more wait for their turn.
pub(crate) const MOST_IN_FLIGHT: usize = 1024;

/// Every MCP server that was spoken to. Cheap to clone; clones share connections and sessions.
#[derive(Clone)]
pub struct McpUpstreams {
    shared: Arc<Shared>,
}

struct Shared {
    egress: Client,
    client: ClientInfo,
    /// Most calls of one server at once.
    places: usize,
    servers: Mutex<HashMap<ServerSlug, Arc<Upstream>>>,
    /// Servers whose address changed; their sessions are still to be ended.
    retired: Mutex<Vec<Arc<Upstream>>>,
}

impl McpUpstreams {
    /// Speaks through one egress client, under its rules.
    pub fn new(egress: Client) -> Self {
        Self::with_places(egress, MOST_IN_FLIGHT)
    }

    fn with_places(egress: Client, places: usize) -> Self {
        let client = ClientInfo::new("ambit", env!("CARGO_PKG_VERSION"));
        let (servers, retired) = (Mutex::default(), Mutex::default());
        Self { shared: Arc::new(Shared { egress, client, places, servers, retired }) }
    }

    /// Ends the sessions of every server that `keep` does not name, and forgets it.
    pub async fn retain(&self, keep: impl Fn(&ServerSlug) -> bool) {
        let mut gone = std::mem::take(&mut *self.retired());
        {
            let mut servers = self.servers();
            gone.extend(servers.iter().filter(|(slug, _)| !keep(slug)).map(|(_, one)| Arc::clone(one)));
            servers.retain(|slug, _| keep(slug));
        }
        let deadline = Instant::now() + Duration::from_secs(2);
        futures_util::future::join_all(gone.iter().map(|one| one.end_sessions(deadline))).await;
    }

    /// Ends every session: at shutdown, when no call is running any more.
    pub async fn close(&self) {
        self.retain(|_| false).await;
    }

    /// The server said that its tools changed, or may have.
    fn suspect(&self, server: &Server) {
        if let Ok(one) = self.one(server) {
            one.suspect();
        }
    }

    /// Whether it did since its last complete listing began.
    fn is_suspect(&self, server: &Server) -> bool {
        self.one(server).is_ok_and(|one| one.is_suspect())
    }

    /// Resolves when it does.
    async fn told_of_change(&self, server: &Server) {
        match self.one(server) {
            Ok(one) => one.changed.notified().await,
            Err(_) => std::future::pending().await,
        }
    }

    /// What is known about a server; a server whose address changed is a new one.
    fn one(&self, server: &Server) -> Result<Arc<Upstream>, UpstreamFailure> {
        let url = one::url_of(server)?;
        let mut servers = self.servers();
        if let Some(known) = servers.get(&server.slug)
            && known.url() == url
        {
            return Ok(Arc::clone(known));
        }
        let Shared { egress, client, places, .. } = self.shared.as_ref();
        let new = Arc::new(Upstream::new(&server.slug, url, (egress, *places), client)?);
        if let Some(old) = servers.insert(server.slug.clone(), Arc::clone(&new)) {
            self.retired().push(old);
        }
        Ok(new)
    }

    fn retired(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Upstream>>> {
        self.shared.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn servers(&self) -> std::sync::MutexGuard<'_, HashMap<ServerSlug, Arc<Upstream>>> {
        self.shared.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for McpUpstreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("McpUpstreams").finish_non_exhaustive()
    }
}
