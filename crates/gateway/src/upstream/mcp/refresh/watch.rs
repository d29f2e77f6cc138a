//! The schedule: every configured MCP server is read about once a minute, sooner when it says that
//! it changed, and slower the longer it cannot be read.

use std::collections::BTreeMap;
use std::future::Future;
use std::hash::BuildHasher as _;
use std::time::Duration;

use ambit_model::Effect;
use ambit_model::ids::ServerSlug;
use ambit_model::server::{Server, Upstream as Address};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};

use super::Refresher;
use crate::upstream::mcp::listen::Listened;

/// How often the configured servers are compared with those that are watched.
const LOOK: Duration = Duration::from_secs(1);

/// Shortest time between two readings, however often a server says that it changed; ten times as long as the last one took
/// if that is more.
const SHORTEST: Duration = Duration::from_secs(1);

/// How long after a first failure a server is read again; doubled with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(2);

/// How long a server that offers no stream is not asked for one.
const NO_STREAM: Duration = Duration::from_mins(15);

/// What is watched: a server at an address.
type Watched = (ServerSlug, String);

impl Refresher {
    /// Watches every configured MCP server until the shutdown resolves, then ends all sessions. Spawn
    /// it once and await its end.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut tasks = JoinSet::new();
        let mut watched: BTreeMap<Watched, Vec<AbortHandle>> = BTreeMap::new();
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                _ = look.tick() => {}
            }
            while tasks.try_join_next().is_some() {}
            let wanted = self.wanted();
            let gone = |one: &Watched| !wanted.contains(one);
            for (_, handles) in watched.extract_if(.., |one, _| gone(one)) {
                handles.iter().for_each(AbortHandle::abort);
            }
            self.inner.upstreams.retain(|slug| wanted.iter().any(|(wanted, _)| wanted == slug)).await;
            for one in wanted {
                watched.entry(one).or_insert_with_key(|(slug, _)| self.watch(slug, &mut tasks));
            }
        }
        tasks.shutdown().await;
        self.inner.upstreams.close().await;
    }

    fn wanted(&self) -> Vec<Watched> {
        let snapshot = self.inner.live.current();
        let address = |server: &Server| match &server.upstream {
            Address::Mcp { url } => Some((server.slug.clone(), url.clone())),
            Address::OpenApi { .. } => None,
        };
        snapshot.deployment.servers.values().filter_map(address).collect()
    }

    fn watch(&self, slug: &ServerSlug, tasks: &mut JoinSet<()>) -> Vec<AbortHandle> {
        let mut handles = Vec::with_capacity(2);
        let (refresher, server) = (self.clone(), slug.clone());
        handles.push(tasks.spawn(async move { refresher.read_on_schedule(&server).await }));
        if self.inner.settings.listen {
            let (refresher, server) = (self.clone(), slug.clone());
            handles.push(tasks.spawn(async move { refresher.listen_on_and_on(&server).await }));
        }
        handles
    }

    async fn read_on_schedule(&self, slug: &ServerSlug) {
        let every = self.inner.settings.every;
        let mut failures = 0_u32;
        let mut pause =
            if self.is_within(&self.inner.live.current(), slug, every) { jittered(every) } else { Duration::ZERO };
        while let Some(server) = self.mcp_server(slug) {
            tokio::select! {
                () = sleep(pause) => {}
                () = self.inner.upstreams.told_of_change(&server) => {
                    sleep(self.slot(slug).pause().clamp(SHORTEST, every.max(SHORTEST))).await;
                }
            }
            let deadline = Instant::now() + 2 * self.inner.settings.time_for_listing;
            pause = match self.ensure_fresh(slug, Duration::ZERO, deadline).await {
                Ok(()) => {
                    failures = 0;
                    jittered(every)
                }
                Err(failure) => {
                    tracing::debug!(server = %slug, %failure, failures, "the listing is tried again");
                    failures = failures.saturating_add(1);
                    let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
                    jittered(FIRST_RETRY.saturating_mul(factor).min(every))
                }
            };
        }
    }

    async fn listen_on_and_on(&self, slug: &ServerSlug) {
        let mut failures = 0_u32;
        while let Some(server) = self.mcp_server(slug) {
            let credential = self.inner.live.current().credentials.find(slug, Effect::Read).cloned();
            let listened = self.inner.upstreams.listen(&server, credential.as_deref()).await;
            let pause = match listened {
                Ok(Listened::NotOffered) => NO_STREAM,
                // What changed while nobody listened was not heard.
                Ok(Listened::Ended(after)) if after > Duration::from_secs(5) => {
                    failures = 0;
                    self.inner.upstreams.suspect(&server);
                    FIRST_RETRY
                }
                Ok(Listened::Ended(_)) | Err(_) => {
                    failures = failures.saturating_add(1);
                    let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
                    FIRST_RETRY.saturating_mul(factor).min(NO_STREAM)
                }
            };
            sleep(jittered(pause)).await;
        }
    }
}

/// Between three quarters and all of a time, so that neither servers nor nodes are read in step.
/// The hasher's keys are random, which is all that is needed here.
fn jittered(time: Duration) -> Duration {
    let random = std::collections::hash_map::RandomState::new().hash_one(0_u8);
    let share = u32::try_from(random % 1024).unwrap_or_default();
    time.mul_f64(0.75 + 0.25 * f64::from(share) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_in_its_bounds_and_varies() {
        let minute = Duration::from_mins(1);
        let all: Vec<Duration> = (0..100).map(|_| jittered(minute)).collect();
        assert!(all.iter().all(|one| (Duration::from_secs(45)..=minute).contains(one)));
        assert!(all.iter().any(|one| *one != all[0]));
    }
}
