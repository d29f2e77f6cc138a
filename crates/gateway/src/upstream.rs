//! Stage *upstream*: one guarded and recorded call reaches what stands behind its tool, one file per kind.
//!
//! Nothing here decides whether a call may happen; nothing here is sent that the guard did not build or check. Whatever goes
//! wrong is told together with whether the call may have been carried out.

mod call;
pub mod mcp;
mod openapi;

use std::{sync::Arc, time::Duration};

use ambit_egress::Client;
use ambit_live::{Live, Snapshot, catalogue::Binding};
use ambit_model::{
    Digest,
    ids::ServerSlug,
    server::{Server, Upstream},
};
use tokio::time::Instant;

use crate::{
    authorize::Permit,
    shares::{self, Shares},
};
use mcp::{McpUpstreams, NotFresh, Refresher};

pub(crate) use call::{Performed, Said, call};

/// The part of a server's places that one person may hold: one in so many.
const SHARES: usize = 4;

/// How long a place is waited for, one's own and then one of all.
const PATIENCE: Duration = Duration::from_secs(2);

/// The ways to the upstreams.
pub(crate) struct Upstreams {
    rest: openapi::Rest,
    mcp: McpUpstreams,
    refresher: Refresher,
    shares: Shares<(Digest, ServerSlug)>,
}

impl Upstreams {
    pub(crate) fn new(egress: Client, mcp: McpUpstreams, refresher: Refresher) -> Self {
        Self { rest: openapi::Rest::new(egress), mcp, refresher, shares: Shares::new() }
    }

    pub(crate) fn refresher(&self) -> &Refresher {
        &self.refresher
    }

    /// A place out of what one person may take of a server's, so that nobody's calls wait behind another's.
    ///
    /// # Errors
    /// [`shares::Held`]: they have all of them, and none became free.
    pub(crate) async fn place(&self, person: Digest, server: &Server) -> Result<shares::Place, shares::Held> {
        let all = match server.upstream {
            Upstream::OpenApi { .. } => openapi::MOST_IN_FLIGHT,
            Upstream::Mcp { .. } => mcp::MOST_IN_FLIGHT,
        };
        self.shares.take(&(person, server.slug.clone()), all / SHARES, PATIENCE).await
    }

    /// Whether a definition has to be confirmed before a call. A document is read at start and reload, a listing is the word
    /// of a server that may be another one by now.
    pub(crate) fn must_confirm(permit: &Permit) -> bool {
        matches!(permit.tool().binding, Binding::Mcp { .. })
    }

    /// Makes sure that what was permitted is recent enough a definition for its effect. The snapshot of now, if it is
    /// another than the one it was permitted on.
    ///
    /// # Errors
    /// [`NotFresh`]: nobody can say that the tool still is what was accepted, so nothing is sent.
    pub(crate) async fn confirmed(&self, live: &Live, permit: &Permit) -> Result<Option<Arc<Snapshot>>, NotFresh> {
        let tool = permit.tool();
        let Some(server) = permit.snapshot().deployment.servers.get(&tool.id().server) else {
            return Ok(None);
        };
        let deadline = Instant::now() + server.limits.timeout;
        self.refresher.before_dispatch(&server.slug, tool.effect.effect, deadline).await?;
        let current = live.current();
        Ok((!Arc::ptr_eq(&current, permit.snapshot())).then_some(current))
    }
}
