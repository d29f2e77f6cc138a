//! `ambit serve`: from a checked configuration to a listening gateway, and back down in order.
//!
//! Start-up reads as a list: keys, store, egress, what the servers offer, trail, snapshot, routes, socket. Nothing listens
//! before the snapshot of the current revision is published. Going down is the reverse: stop accepting, let requests finish,
//! end the background tasks, close the trail, close the store.

mod applied_rules;
mod background;
mod client_secrets;
pub(crate) mod crowd;
mod day_counts;
mod declared;
mod fleet;
mod head_timer;
pub(crate) mod lanes;
pub(crate) mod listener;
mod metrics;
mod patience;
mod pinned;
mod reload;
mod retention;
pub(crate) mod routes;
pub mod signals;
mod touched;
mod trail_name;
mod webhooks;

use std::{net::SocketAddr, sync::Arc};

use ambit_egress::{Client, EgressRules, Roots, Settings as EgressSettings};
use ambit_gateway::{
    Gateway, GatewayParts,
    mcp::{McpUpstreams, Refresher},
};
use ambit_identity::{authenticate::Authenticator, jwks::Jwks, signing::Signing, webhooks::Hooks};
use ambit_live::{Live, Parts, clock::Clock, keys::Keys, recorder};
use ambit_store::{Store, trail_index};
use ambit_trail::{Acceptance, Disk, Files, Trail};
use anyhow::Context as _;
use tokio::{net::TcpListener, sync::watch};

use client_secrets::ClientSecrets;
use crowd::Crowd;
use lanes::Lanes;
use reload::Reloader;
use trail_name::TrailName;

use crate::{
    admin,
    catalogues::{self, Sources},
    config::{self, Resolved},
    operator::{OperatorContext, socket::OperatorSocket},
};

/// A gateway that was put together and waits to be run.
pub struct Ready {
    live: Live,
    gateway: Gateway,
    signing: Arc<Signing>,
    jwks: Arc<Jwks>,
    trail: Trail,
    store: Store,
    sources: Sources,
    refresher: Refresher,
    client_secrets: ClientSecrets,
    hooks: Hooks,
    document_egress: Client,
    socket: OperatorSocket,
    listener: TcpListener,
    counters: Option<TcpListener>,
    admin: Option<TcpListener>,
    resolved: Resolved,
    address: SocketAddr,
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ready").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What a start takes from its surroundings.
pub struct Start {
    /// Apply this configuration to a shared store that another one is applied to.
    pub apply_config: bool,
    /// The time.
    pub clock: Clock,
    /// The files of the trail.
    pub files: Arc<dyn Files>,
    /// How large a segment of the trail is, in place of the usual size.
    pub segment_bytes: Option<u64>,
    /// A socket that is bound already, in place of the configured address.
    pub listener: Option<TcpListener>,
    /// A socket for the admin API that is bound already, in place of the configured address.
    pub admin: Option<TcpListener>,
    /// Start although the trail misses records that are known elsewhere, and record who says so and why.
    pub accept_trail_loss: Option<Acceptance>,
}

impl Default for Start {
    fn default() -> Self {
        Self {
            apply_config: false,
            clock: Clock::System,
            files: Arc::new(Disk),
            segment_bytes: None,
            listener: None,
            admin: None,
            accept_trail_loss: None,
        }
    }
}

impl std::fmt::Debug for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Start").field("apply_config", &self.apply_config).finish_non_exhaustive()
    }
}

/// Puts a gateway together and binds its sockets.
///
/// # Errors
/// Whatever keeps it from serving, with what to do.
pub async fn prepare(resolved: Resolved, start: Start) -> anyhow::Result<Ready> {
    let Start { apply_config, clock, files, segment_bytes, listener, admin, accept_trail_loss } = start;
    let keys = Arc::new(Keys::open(&resolved.key_dir())?);
    let signing = Arc::new(Signing::open(&resolved.key_dir(), clock.now())?);
    let store = Store::open(&resolved.store).await?;
    fleet::agree(&store, &resolved, apply_config, &clock).await?;
    fleet::take_name(&store, &resolved, &TrailName::of(&resolved)?.node, &clock).await?;
    let upstream_egress = egress(resolved.egress.clone(), resolved.roots.clone())?;
    let sources = Sources { mcp: McpUpstreams::new(upstream_egress.clone()), egress: upstream_egress.clone() };
    let credentials = config::secrets::spendables(&resolved)?;
    let client_secrets = ClientSecrets::read(&resolved)?;
    let hooks = Hooks::new(webhooks::read(&resolved, &upstream_egress)?);
    let servers = catalogues::read_all(resolved.deployment.servers.values(), &sources, &credentials, clock.now()).await;
    let kept = |usual: ambit_trail::Settings| ambit_trail::Settings {
        segment_bytes: segment_bytes.unwrap_or(usual.segment_bytes),
        accept_loss: accept_trail_loss,
        ..usual
    };
    let trail = open_trail_as(&resolved, &keys, Arc::clone(&files), &store, &clock, kept).await?;
    let live = Live::open(Parts {
        deployment: resolved.deployment.clone(),
        lock: resolved.lock.clone(),
        servers,
        credentials,
        store: store.clone(),
        trail: trail.clone(),
        keys,
        clock,
    })
    .await?;
    pinned::keep(&live, &resolved.lock).await;
    applied_rules::keep(&live).await;
    let jwks = Arc::new(Jwks::new(upstream_egress.clone()));
    jwks.follow(&resolved.deployment);
    jwks.warm(live.clock().now()).await;
    let gateway = Gateway::new(GatewayParts {
        live: live.clone(),
        authenticator: Arc::new(Authenticator::new(Arc::clone(&signing), Arc::clone(&jwks))),
        egress: upstream_egress,
        mcp: sources.mcp.clone(),
        settings: routes::settings(&resolved),
    });
    touched::restore(&live, &files, &resolved.trail_dir())?;
    day_counts::restore(&gateway, &live, &TrailName::of(&resolved)?.node).await;
    let refresher = gateway.refresher().clone();
    // Client documents are fetched on a stranger's word: what an operator allows for upstreams does not count there.
    let document_egress = egress(resolved.client_documents.clone(), resolved.roots.clone())?;
    let socket = OperatorSocket::bind(&resolved.operator_socket()).await?;
    let listener = match listener {
        Some(listener) => listener,
        None => listener::bind(resolved.listen).await?,
    };
    let counters = metrics::bind(resolved.metrics).await?;
    let admin = admin::serve::bind(admin, resolved.admin).await?;
    let address = listener.local_addr().context("the listening socket has no address")?;
    Ok(Ready {
        live,
        gateway,
        signing,
        jwks,
        trail,
        store,
        sources,
        refresher,
        client_secrets,
        hooks,
        document_egress,
        socket,
        listener,
        counters,
        admin,
        resolved,
        address,
    })
}

impl Ready {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its counters are read, if anywhere.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.counters.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Where the admin API listens, if anywhere.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// The live deployment, for whoever looks at it from the same process.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// The keys that sign access tokens.
    pub fn signing(&self) -> &Arc<Signing> {
        &self.signing
    }

    /// The corridor, for its counters.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Serves until the shutdown says so, then goes down in order.
    ///
    /// # Errors
    /// If the routes cannot be put together.
    pub async fn run(self, shutdown: watch::Receiver<bool>) -> anyhow::Result<()> {
        let answer = routes::all(&self)?;
        let lanes = Lanes::for_each_core()?;
        // Background work ends after the last request: what a request started may still need it.
        let (stop, stopping) = watch::channel(false);
        let Self {
            live,
            trail,
            store,
            listener,
            counters,
            admin,
            gateway,
            socket,
            signing,
            jwks,
            refresher,
            client_secrets,
            hooks,
            sources,
            resolved,
            address,
            ..
        } = self;
        let reloader = Reloader::new(
            resolved.clone(),
            live.clone(),
            sources.clone(),
            Arc::clone(&jwks),
            (client_secrets, hooks.clone()),
        );
        let operator = OperatorContext::serving(live.clone(), Arc::clone(&signing), reloader.as_reload());
        let acting = match admin {
            Some(listener) => Some((listener, admin::serve::rules(&resolved)?, Arc::clone(&signing))),
            None => None,
        };
        let mut tasks = background::spawn(
            background::Beside {
                live: live.clone(),
                trail: trail.clone(),
                store: store.clone(),
                refresher,
                hooks,
                egress: sources.egress.clone(),
                signing,
                jwks,
                socket,
                operator: operator.clone(),
                reloader,
                resolved: resolved.clone(),
                name: TrailName::of(&resolved)?.node,
            },
            &stopping,
        );
        let name = TrailName::of(&resolved)?.node;
        tasks.spawn(day_counts::keep(gateway.clone(), live.clone(), name, signals::until(stopping.clone())));
        if let Some(listener) = counters {
            tasks.spawn(metrics::serve(listener, gateway.clone(), signals::until(stopping.clone())));
        }
        if let Some((listener, rules, signing)) = acting {
            let room = admin::hear::Room::new(live.clone(), signing, operator.clone());
            let (proxies, end) = (resolved.trusted_proxies.clone(), signals::until(stopping.clone()));
            tasks.spawn(admin::serve::serve(listener, room, rules, proxies, end));
        }
        tracing::info!(%address, public_url = %resolved.deployment.public_url, "serving");
        let crowd = Crowd::new(&resolved.trusted_proxies);
        let asked = asked_to_stop(shutdown, gateway.clone());
        listener::serve(listener, &lanes, answer, crowd, asked).await;
        if !gateway.drain(listener::DRAIN).await {
            tracing::warn!("some calls did not end in time; the trail says `unknown` for them");
        }
        stop.send_replace(true);
        background::finish(tasks).await;
        sources.mcp.close().await;
        drop((live, gateway));
        trail.close().await;
        store.close().await;
        // Last: connections of the store may have been opened there.
        drop(lanes);
        tracing::info!("stopped");
        Ok(())
    }
}

/// Resolves when the process is asked to stop. Streams end then: a connection with one would not come to its end by itself.
async fn asked_to_stop(shutdown: watch::Receiver<bool>, gateway: Gateway) {
    signals::until(shutdown).await;
    gateway.end_streams();
}

/// Opens this node's trail, unless the store's index or a further checkpoint knows more of it than is there. Blocks for file
/// operations.
///
/// # Errors
/// If another process has it, its key cannot be read, its files do not stand, or the store cannot be asked.
pub async fn open_trail(
    resolved: &Resolved,
    keys: &Keys,
    files: Arc<dyn Files>,
    store: &Store,
    clock: &Clock,
) -> anyhow::Result<Trail> {
    open_trail_as(resolved, keys, files, store, clock, |usual| usual).await
}

async fn open_trail_as(
    resolved: &Resolved,
    keys: &Keys,
    files: Arc<dyn Files>,
    store: &Store,
    clock: &Clock,
    kept: impl FnOnce(ambit_trail::Settings) -> ambit_trail::Settings,
) -> anyhow::Result<Trail> {
    let TrailName { node, origin } = TrailName::of(resolved)?;
    let indexed = trail_index::last_indexed(store, &node).await?.map_or(0, |last| last + 1);
    let settings = kept(ambit_trail::Settings {
        checkpoint_file: resolved.trail.checkpoint_file.clone(),
        indexed: Some(indexed),
        ..ambit_trail::Settings::new(resolved.trail_dir(), node.as_str(), origin)
    });
    let trail = recorder::open_trail(settings, keys, files, clock)?;
    let records = trail.recovery().records;
    if indexed > records {
        // Their loss was accepted: what the index says of them would hide the records that take their numbers.
        let mut tx = store.begin().await?;
        trail_index::forget_from(&mut tx, &node, records).await?;
        tx.commit().await?;
    }
    Ok(trail)
}

/// The outgoing client under some rules, believing some authorities.
///
/// # Errors
/// If there are no usable certificates.
pub fn egress(rules: EgressRules, roots: Roots) -> anyhow::Result<Client> {
    let settings = EgressSettings { rules, roots, ..EgressSettings::default() };
    Client::new(&settings).context("the outgoing client cannot be built")
}
