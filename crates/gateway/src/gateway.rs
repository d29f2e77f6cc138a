//! What the corridor is built from and what its requests share. Made once per process; everything that changes with the
//! deployment is read from the snapshot, request by request.

use std::{sync::Arc, time::Duration};

use ambit_egress::Client;
use ambit_identity::authenticate::Authenticator;
use ambit_live::{Live, recorder::Durability};
use ambit_mcp::strict::Limits;
use ambit_model::budget::DayCount;

use crate::{
    application::Application,
    bodies::Bodies,
    breaker::Breakers,
    budget::Budgets,
    doors::{self, InvalidDoors},
    faces::Faces,
    finish::Running,
    legacy::Sessions,
    list::Lists,
    listening::{Seats, StreamSettings},
    metrics::Metrics,
    throttle::Throttle,
    upstream::{
        Upstreams,
        mcp::{self, McpUpstreams, Refresher},
    },
};

/// What a gateway is built from.
pub struct GatewayParts {
    /// What requests see.
    pub live: Live,
    /// Turns tokens into callers.
    pub authenticator: Arc<Authenticator>,
    /// The only way out.
    pub egress: Client,
    /// The MCP servers, as spoken to already when their tools were first read.
    pub mcp: McpUpstreams,
    /// Bounds and times.
    pub settings: Settings,
}

/// Bounds and times of the corridor. The defaults are meant for production.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bounds on a request body.
    pub limits: Limits,
    /// The memory that large request bodies may take all together, in bytes.
    pub bodies_bytes: usize,
    /// The longest a client may take to send a body.
    pub body_timeout: Duration,
    /// What the answer to a read waits for.
    pub reads: Reads,
    /// Most tools on one page of a list.
    pub page_tools: usize,
    /// The longest a client may keep a list; shorter where the list changes sooner.
    pub list_ttl: Duration,
    /// The life of a legacy session id.
    pub session_life: Duration,
    /// Refusals of one source prefix answered in full; more are told to wait.
    pub refusals: RefusalRate,
    /// Most requests at once that run to their end although their client left.
    pub running: usize,
    /// The streams on which clients hear of changes.
    pub streams: StreamSettings,
    /// How fresh the listings of MCP servers are kept.
    pub listings: mcp::Settings,
}

/// What the answer to a read waits for. Writes always wait for the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reads {
    /// Its record is written; the disk has it within 50 ms.
    #[default]
    Written,
    /// The disk has its record (`[trail] reads = "durable"`).
    Durable,
}

impl Reads {
    /// The same, as the recorder takes it.
    pub(crate) const fn durability(self) -> Durability {
        match self {
            Self::Written => Durability::Written,
            Self::Durable => Durability::Synced,
        }
    }
}

/// How many refusals a source prefix gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefusalRate {
    /// Sustained.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            bodies_bytes: 256 * 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            reads: Reads::default(),
            page_tools: 1_000,
            list_ttl: Duration::from_secs(30),
            session_life: Duration::from_hours(7 * 24),
            refusals: RefusalRate { per_second: 10, burst: 100 },
            running: 16_384,
            streams: StreamSettings::default(),
            listings: mcp::Settings::default(),
        }
    }
}

/// The corridor. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) live: Live,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) settings: Settings,
    pub(crate) throttle: Throttle,
    pub(crate) bodies: Bodies,
    pub(crate) budgets: Budgets,
    pub(crate) breakers: Breakers,
    pub(crate) sessions: Sessions,
    pub(crate) lists: Lists,
    pub(crate) faces: Faces,
    pub(crate) running: Running,
    pub(crate) seats: Seats,
    pub(crate) metrics: Metrics,
    pub(crate) upstreams: Upstreams,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Puts a gateway together. It opens nothing and asks nobody.
    pub fn new(parts: GatewayParts) -> Self {
        let GatewayParts { live, authenticator, egress, mcp, settings } = parts;
        let refresher = Refresher::new(live.clone(), mcp.clone(), settings.listings);
        let shared = Shared {
            throttle: Throttle::new(settings.refusals),
            bodies: Bodies::new(settings.bodies_bytes),
            budgets: Budgets::new(),
            breakers: Breakers::default(),
            sessions: Sessions::new(settings.session_life),
            lists: Lists::new(settings.page_tools, settings.list_ttl),
            faces: Faces::new(),
            running: Running::new(settings.running),
            seats: Seats::new(settings.streams.at_once, settings.streams.per_person),
            metrics: Metrics::new(),
            upstreams: Upstreams::new(egress, mcp, refresher),
            live,
            authenticator,
            settings,
        };
        Self { shared: Arc::new(shared) }
    }

    /// The corridor behind its doors, together with the routes of other rooms.
    ///
    /// # Errors
    /// [`InvalidDoors`] if the public URL or an origin is none.
    pub fn application(&self, doors: &doors::Settings, others: axum::Router) -> Result<Application, InvalidDoors> {
        Application::new(self, doors, others)
    }

    /// Keeps the listings of MCP servers fresh; its watch is to be run beside the server.
    pub fn refresher(&self) -> &Refresher {
        self.shared.upstreams.refresher()
    }

    /// The counters as Prometheus text. Not a route: whoever serves it decides who may read it.
    pub fn metrics(&self) -> String {
        self.shared.metrics.to_text(self.live(), self.shared.breakers.open(), self.shared.seats.taken())
    }

    /// What callers used of their budgets of today, as far as it changed since this was last asked.
    pub fn changed_day_counts(&self) -> Vec<DayCount> {
        self.shared.budgets.changed(self.live().clock().now())
    }

    /// Counts that could not be kept; they are told again.
    pub fn unsaved_day_counts(&self, counts: &[DayCount]) {
        self.shared.budgets.unsaved(counts);
    }

    /// Begins the day with what was used of it before a restart.
    pub fn restore_day_counts(&self, counts: &[DayCount]) {
        self.shared.budgets.restore(counts, self.live().clock().now());
    }

    /// Ends every stream to a client, and any that is opened from now on: a connection with one never falls silent by itself.
    pub fn end_streams(&self) {
        self.shared.seats.stop();
    }

    /// Waits until nothing runs any more whose client has left; false if that takes longer.
    pub async fn drain(&self, at_most: Duration) -> bool {
        self.shared.running.drain(at_most).await
    }

    pub(crate) fn live(&self) -> &Live {
        &self.shared.live
    }
}
