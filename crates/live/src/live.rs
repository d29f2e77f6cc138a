//! The one place where the snapshot is swapped. A change of store, configuration, lock file or listing builds the next
//! snapshot whole and publishes it, or leaves the old one and says why.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ambit_model::ids::{Millis, ServerSlug};
use ambit_store::{Store, StoreError, broken_glass, grants, reveals, revocations};
use ambit_trail::Trail;
use arc_swap::ArcSwap;
use serde_json::json;
use tokio::{
    sync::{Mutex, watch},
    time::Instant,
};

use crate::{
    catalogue::ServerCatalogue,
    clock::Clock,
    credentials::Spendables,
    deployment::Deployment,
    flow::Flow,
    keys::Keys,
    lock::Lock,
    mode::Mode,
    notices::Notices,
    recorder::{Deed, RecordError, Recorder},
    snapshot::{Inputs, Rows, Snapshot, SnapshotError},
};

/// How long to wait before the store is read again after a failure.
const RETRY: Duration = Duration::from_millis(250);

/// How many tools and rules are named in the log of one snapshot.
const TOLD: usize = 20;

/// What a deployment starts with.
#[derive(Debug)]
pub struct Parts {
    /// What configuration declares.
    pub deployment: Deployment,
    /// The accepted definitions.
    pub lock: Lock,
    /// The servers' tools as read so far.
    pub servers: Vec<Arc<ServerCatalogue>>,
    /// What is spent downstream.
    pub credentials: Spendables,
    /// The open store.
    pub store: Store,
    /// The open trail.
    pub trail: Trail,
    /// The deployment's keys.
    pub keys: Arc<Keys>,
    /// The time.
    pub clock: Clock,
}

/// Why there is no new snapshot. The old one stays.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The store could not be read.
    #[error("the store cannot be read: {0}")]
    Store(#[from] StoreError),
    /// The facts do not make a snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The change could not be written down, so it does not count.
    #[error("the change could not be recorded: {0}")]
    Record(#[from] RecordError),
    /// The build was interrupted.
    #[error("building the snapshot was interrupted")]
    Interrupted,
}

/// The live deployment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Live {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    current: ArcSwap<Snapshot>,
    /// The inputs of the current snapshot; held while the next one is built.
    inputs: Mutex<Inputs>,
    next_revision: AtomicU64,
    published: watch::Sender<u64>,
    store: Store,
    keys: Arc<Keys>,
    clock: Clock,
    recorder: Recorder,
    notices: Notices,
    flow: Flow,
}

impl Live {
    /// Loads the current revision of the store and publishes the first snapshot. Nothing is served before.
    ///
    /// # Errors
    /// [`LiveError`].
    pub async fn open(parts: Parts) -> Result<Self, LiveError> {
        let Parts { deployment, lock, servers, credentials, store, trail, keys, clock } = parts;
        let rows = load(&store, &clock).await?;
        let inputs = Inputs {
            deployment: Arc::new(deployment),
            lock: Arc::new(lock),
            servers: servers.into_iter().map(|server| (server.slug.clone(), server)).collect(),
            credentials: Arc::new(credentials),
            rows: Arc::new(rows),
        };
        let recorder = Recorder::new(trail, clock.clone());
        let first = build(&inputs, 1, None).await?;
        announce(&recorder, &first, &inputs, "start").await?;
        let shared = Shared {
            published: watch::Sender::new(first.store_revision),
            current: ArcSwap::from_pointee(first),
            inputs: Mutex::new(inputs),
            next_revision: AtomicU64::new(2),
            flow: Flow::new(store.is_shared()),
            store,
            keys,
            clock,
            recorder,
            notices: Notices::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The snapshot to decide on. A request takes it once.
    pub fn current(&self) -> Arc<Snapshot> {
        self.shared.current.load_full()
    }

    /// The time.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The deployment's keys.
    pub fn keys(&self) -> &Arc<Keys> {
        &self.shared.keys
    }

    /// The store. Never on the request path, but for calls that need an approval and Ambit's own tools.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Where everything is written down.
    pub fn recorder(&self) -> &Recorder {
        &self.shared.recorder
    }

    /// Where people outside hear what waits for them.
    pub fn notices(&self) -> &Notices {
        &self.shared.notices
    }

    /// What callers touched.
    pub fn flow(&self) -> &Flow {
        &self.shared.flow
    }

    /// What may be served now.
    pub fn mode(&self) -> Mode {
        let store = &self.shared.store;
        let ago = Instant::now().saturating_duration_since(store.last_confirmed());
        Mode::of(store.is_reachable(), ago, self.shared.recorder.trail().is_writable())
    }

    /// The revisions of the store that snapshots were published of.
    pub fn published(&self) -> watch::Receiver<u64> {
        self.shared.published.subscribe()
    }

    /// Waits until requests see this revision of the store, or a later one; false if that takes longer.
    pub async fn wait_for(&self, store_revision: u64, at_most: Duration) -> bool {
        let mut published = self.published();
        let seen = published.wait_for(|known| *known >= store_revision);
        matches!(tokio::time::timeout(at_most, seen).await, Ok(Ok(_)))
    }

    /// Publishes a server's tools as re-read. Nothing happens if they are what is known.
    ///
    /// # Errors
    /// [`LiveError`]; the old tools stay.
    pub async fn replace_server(&self, server: Arc<ServerCatalogue>) -> Result<Arc<Snapshot>, LiveError> {
        let mut inputs = self.shared.inputs.lock().await;
        if !inputs.deployment.servers.get(&server.slug).is_some_and(|declared| server.is_of(declared)) {
            // A reload came in between: what was read belongs to a declaration that is gone.
            return Ok(self.current());
        }
        if let Some(known) = inputs.servers.get(&server.slug)
            && (Arc::ptr_eq(known, &server) || known.says_the_same(&server))
        {
            // Only the time of reading moved, and that is not part of any decision.
            known.touch(server.read_at());
            return Ok(self.current());
        }
        let mut next = inputs.clone();
        let why = format!("listing of server `{}`", server.slug);
        next.servers.insert(server.slug.clone(), server);
        self.publish(&mut inputs, next, &why).await
    }

    /// Swaps configuration, lock file, tools and credentials as a whole.
    ///
    /// # Errors
    /// [`LiveError`]; everything old stays.
    pub async fn reload(
        &self,
        deployment: Deployment,
        lock: Lock,
        servers: Vec<Arc<ServerCatalogue>>,
        credentials: Spendables,
    ) -> Result<Arc<Snapshot>, LiveError> {
        let mut inputs = self.shared.inputs.lock().await;
        let next = Inputs {
            deployment: Arc::new(deployment),
            lock: Arc::new(lock),
            servers: servers.into_iter().map(|server| (server.slug.clone(), server)).collect(),
            credentials: Arc::new(credentials),
            rows: Arc::clone(&inputs.rows),
        };
        self.publish(&mut inputs, next, "reload").await
    }

    /// The servers' tools as they stand, accepted or not.
    pub async fn servers(&self) -> BTreeMap<ServerSlug, Arc<ServerCatalogue>> {
        self.shared.inputs.lock().await.servers.clone()
    }

    /// Reads the rows of the store again and publishes what they say.
    ///
    /// # Errors
    /// [`LiveError`].
    pub async fn refresh(&self) -> Result<Arc<Snapshot>, LiveError> {
        let mut inputs = self.shared.inputs.lock().await;
        let rows = load(&self.shared.store, &self.shared.clock).await?;
        if rows.revision == inputs.rows.revision {
            return Ok(self.current());
        }
        let next = Inputs { rows: Arc::new(rows), ..inputs.clone() };
        self.publish(&mut inputs, next, "store").await
    }

    /// Keeps the snapshot current and writes due summaries until the shutdown resolves. Spawn it once and await its end.
    pub async fn follow(&self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut changes = self.shared.store.changes();
        let mut minute = tokio::time::interval(Duration::from_secs(5));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let store = self.shared.store.clone();
        let watching = tokio::spawn(async move {
            store
                .watch(async {
                    // Dropping the sender says the same as sending.
                    let _ = stopped.await;
                })
                .await;
        });
        // Told once: whoever sees the shutdown leaves all loops, for it cannot be asked again.
        'following: loop {
            tokio::select! {
                () = &mut shutdown => break 'following,
                more = changes.changed() => if more.is_err() { break 'following },
                _ = minute.tick() => {
                    if let Err(error) = self.shared.recorder.flush_refusals(false).await {
                        tracing::warn!(%error, "summaries of refused requests could not be written; they are kept");
                    }
                    continue;
                }
            }
            while let Err(error) = self.refresh().await {
                tracing::warn!(%error, "the snapshot could not be renewed; the old one stays");
                tokio::select! {
                    () = &mut shutdown => break 'following,
                    () = tokio::time::sleep(RETRY) => {}
                }
            }
        }
        drop(stop);
        if watching.await.is_err() {
            tracing::error!("the watch over the store ended abnormally");
        }
        if let Err(error) = self.shared.recorder.flush_refusals(true).await {
            tracing::warn!(%error, "summaries of refused requests could not be written at shutdown");
        }
    }

    async fn publish(&self, held: &mut Inputs, next: Inputs, why: &str) -> Result<Arc<Snapshot>, LiveError> {
        let revision = self.shared.next_revision.fetch_add(1, Ordering::Relaxed);
        let before = self.current();
        let snapshot = build(&next, revision, Some(before)).await?;
        announce(&self.shared.recorder, &snapshot, &next, why).await?;
        *held = next;
        let snapshot = Arc::new(snapshot);
        self.shared.current.store(Arc::clone(&snapshot));
        self.shared.published.send_replace(snapshot.store_revision);
        Ok(snapshot)
    }
}

/// The rows are read after the revision, so they are at least as new.
pub(crate) async fn load(store: &Store, clock: &Clock) -> Result<Rows, StoreError> {
    load_at(store, clock.now()).await
}

/// The same, with what has ended since an instant.
pub(crate) async fn load_at(store: &Store, now: Millis) -> Result<Rows, StoreError> {
    let revision = store.confirm().await?;
    Ok(Rows {
        revision,
        grants: grants::load_live(store, now).await?,
        reveals: reveals::load_live(store, now).await?,
        glass: broken_glass::load_live(store, now).await?.into_iter().collect(),
        marks: revocations::load_all(store).await?.into_iter().map(|marked| (marked.scope, marked.mark)).collect(),
    })
}

/// A large deployment takes a while; requests go on meanwhile.
async fn build(inputs: &Inputs, revision: u64, before: Option<Arc<Snapshot>>) -> Result<Snapshot, LiveError> {
    let inputs = inputs.clone();
    let building = tokio::task::spawn_blocking(move || {
        Snapshot::build(&inputs, revision, before.as_ref().map(|before| before.judge.as_ref()))
    });
    building.await.map_err(|_| LiveError::Interrupted)?.map_err(LiveError::Snapshot)
}

/// Says in the trail what a revision was made of, so that a decision's revision can be looked up there.
async fn announce(recorder: &Recorder, snapshot: &Snapshot, inputs: &Inputs, why: &str) -> Result<(), RecordError> {
    for (tool, rule, why) in snapshot.judge.unjudgeable().take(TOLD) {
        tracing::warn!(%tool, rule, why, "a rule cannot be asked about this tool, so it is hidden");
    }
    for finding in snapshot.judge.findings().iter().take(TOLD) {
        tracing::warn!(%finding, "a rule concerns nothing there is");
    }
    let after = json!({
        "revision": snapshot.revision,
        "store_revision": snapshot.store_revision,
        "configuration": snapshot.deployment.digest,
        "rules": snapshot.judge.rules_digest(),
        "organisation_rules": snapshot.judge.organisation_rules(),
        "hidden_by_rules": snapshot.judge.unjudgeable().count(),
        "tools": snapshot.catalogue.entries().len(),
        "grants": snapshot.deployment.grants.len() + inputs.rows.grants.len(),
        "reveals": inputs.rows.reveals.len(),
        "marks": inputs.rows.marks.len(),
    });
    recorder
        .act(Deed {
            by: "ambit",
            act: "snapshot.publish",
            subject: "deployment",
            after: Some(after),
            reason: Some(why),
            ..Deed::default()
        })
        .await
}
