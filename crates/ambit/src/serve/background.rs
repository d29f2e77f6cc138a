//! What runs beside the requests: the snapshot's renewal, the trail's index, keys, listings, clean-up, operators, reloads.
//! Each ends when told, and the process waits for it.

use std::{future::Future, sync::Arc, time::Duration};

use ambit_egress::Client;
use ambit_gateway::mcp::Refresher;
use ambit_identity::{
    jwks::Jwks,
    signing::Signing,
    upkeep::Upkeep,
    webhooks::{self, Hooks},
};
use ambit_live::Live;
use ambit_store::Store;
use ambit_trail::Trail;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::{fleet, reload::Reloader, retention, signals::until};
use crate::{
    config::Resolved,
    operator::{OperatorContext, socket::OperatorSocket},
};

/// How long background work may take to end.
const FINISH: Duration = Duration::from_secs(10);

const HOUR: Duration = Duration::from_hours(1);

const MINUTE: Duration = Duration::from_mins(1);

/// What the background works on.
pub struct Beside {
    pub live: Live,
    pub trail: Trail,
    pub store: Store,
    pub refresher: Refresher,
    pub hooks: Hooks,
    pub egress: Client,
    pub signing: Arc<Signing>,
    pub jwks: Arc<Jwks>,
    pub socket: OperatorSocket,
    pub operator: OperatorContext,
    pub reloader: Reloader,
    pub resolved: Resolved,
    pub name: String,
}

/// Starts everything.
pub fn spawn(beside: Beside, stopping: &watch::Receiver<bool>) -> JoinSet<()> {
    let Beside {
        live,
        trail,
        store,
        refresher,
        hooks,
        egress,
        signing,
        jwks,
        socket,
        operator,
        reloader,
        resolved,
        name,
    } = beside;
    let mut tasks = JoinSet::new();
    let stop = || until(stopping.clone());

    let (following, end) = (live.clone(), stop());
    tasks.spawn(async move { following.follow(end).await });

    let (indexed, end) = (trail.clone(), stop());
    tasks.spawn(async move { indexed.index_into(store, end).await });

    if let Some(retain) = resolved.trail.retain {
        let retaining = live.clone();
        tasks.spawn(every(HOUR, stop(), move || {
            let (live, trail) = (retaining.clone(), trail.clone());
            async move {
                if let Err(error) = retention::let_go(&live, &trail, retain).await {
                    tracing::warn!(%error, "old records of the trail could not be let go of; the next round tries again");
                }
            }
        }));
    }

    let end = stop();
    tasks.spawn(async move { refresher.run(end).await });

    let (told, end) = (live.clone(), stop());
    tasks.spawn(async move { webhooks::run(told, egress, hooks, end).await });

    let (upkeep, kept, end) = (Upkeep::new(Arc::clone(&signing), jwks), live.clone(), stop());
    tasks.spawn(async move { upkeep.run(kept, end).await });

    tasks.spawn(fleet::keep_name(live.clone(), resolved, name, stop()));

    let swept = live.clone();
    tasks.spawn(every(MINUTE, stop(), move || {
        let live = swept.clone();
        async move {
            if let Err(error) = ambit_identity::server::sweep(live.store(), live.clock().now()).await {
                tracing::warn!(%error, "expired rows could not be removed; the next round tries again");
            }
            if let Err(error) = ambit_identity::approvals::sweep(&live).await {
                tracing::warn!(%error, "requests for approval could not be swept; the next round tries again");
            }
            if let Err(error) = live.flow().sweep(live.store(), live.clock().now()).await {
                tracing::warn!(%error, "labels that callers no longer carry could not be swept; the next round tries again");
            }
            if let Err(error) = ambit_identity::access::sweep(&live).await {
                tracing::warn!(%error, "requests for access could not be swept; the next round tries again");
            }
        }
    }));

    tasks.spawn(socket.serve(operator, stop()));
    tasks.spawn(reload_on_hangup(reloader, stop()));
    tasks
}

/// Waits for everything to end.
pub async fn finish(mut tasks: JoinSet<()>) {
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "background work ended abnormally");
            }
        }
    };
    if tokio::time::timeout(FINISH, all).await.is_err() {
        tracing::warn!("some background work did not end in time and is cut off");
    }
}

async fn every<F, W>(period: Duration, stop: impl Future<Output = ()>, mut work: W)
where
    W: FnMut() -> F,
    F: Future<Output = ()>,
{
    let mut stop = std::pin::pin!(stop);
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = tick.tick() => work().await,
        }
    }
}

async fn reload_on_hangup(reloader: Reloader, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            tracing::error!(%error, "SIGHUP cannot be watched; reload through the operator socket");
            return stop.await;
        }
    };
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = hangup.recv() => match reloader.reload().await {
                Ok(()) => tracing::info!("configuration and lock file were reloaded"),
                Err(why) => tracing::error!("nothing was reloaded, the old configuration stays:\n{why}"),
            },
        }
    }
}
