//! Stage *upstream*: one guarded and recorded call reaches what stands behind its tool, one file per kind.
//!
//! Nothing here decides whether a call may happen; nothing here is sent that the guard did not build or check. Whatever goes
//! wrong is told together with whether the call may have been carried out.

mod call;
pub mod mcp;
mod openapi;

use std::sync::Arc;

use ambit_egress::Client;
use ambit_live::{Live, Snapshot, catalogue::Binding};
use tokio::time::Instant;

use crate::authorize::Permit;
use mcp::{McpUpstreams, NotFresh, Refresher};

pub(crate) use call::{Performed, Said, call};

/// The ways to the upstreams.
pub(crate) struct Upstreams {
    rest: openapi::Rest,
    mcp: McpUpstreams,
    refresher: Refresher,
}

impl Upstreams {
    pub(crate) fn new(egress: Client, mcp: McpUpstreams, refresher: Refresher) -> Self {
        Self { rest: openapi::Rest::new(egress), mcp, refresher }
    }

    pub(crate) fn refresher(&self) -> &Refresher {
        &self.refresher
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
