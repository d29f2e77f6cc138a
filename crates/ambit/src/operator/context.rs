//! What an act works on: the parts of a running server, or store and trail opened for one act.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use ambit_identity::signing::Signing;
use ambit_live::{Live, Recorder, catalogue::ServerCatalogue, clock::Clock, deployment::Deployment, keys::Keys};
use ambit_store::Store;

/// Reads configuration and lock file again and publishes what they say, or says why not.
pub type Reload = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// How long an act waits for the snapshot that has it.
const PUBLISH_WITHIN: Duration = Duration::from_secs(10);

/// What an act works on.
#[derive(Clone)]
pub struct OperatorContext {
    pub(super) store: Store,
    pub(super) recorder: Recorder,
    pub(super) keys: Arc<Keys>,
    pub(super) signing: Arc<Signing>,
    pub(super) clock: Clock,
    place: Place,
}

#[derive(Clone)]
enum Place {
    /// A running server.
    Serving { live: Live, reload: Reload },
    /// No server runs.
    Direct { deployment: Arc<Deployment>, seen: Vec<Arc<ServerCatalogue>> },
}

impl std::fmt::Debug for OperatorContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperatorContext").finish_non_exhaustive()
    }
}

impl OperatorContext {
    /// The context of a running server.
    pub fn serving(live: Live, signing: Arc<Signing>, reload: Reload) -> Self {
        Self {
            store: live.store().clone(),
            recorder: live.recorder().clone(),
            keys: Arc::clone(live.keys()),
            signing,
            clock: live.clock().clone(),
            place: Place::Serving { live, reload },
        }
    }

    /// The context of one act without a running server. `seen` are the tools the command line has read, if it has.
    pub fn direct(
        deployment: Arc<Deployment>,
        seen: Vec<Arc<ServerCatalogue>>,
        (store, recorder): (Store, Recorder),
        (keys, signing): (Arc<Keys>, Arc<Signing>),
        clock: Clock,
    ) -> Self {
        Self { store, recorder, keys, signing, clock, place: Place::Direct { deployment, seen } }
    }

    /// The running server, if this is one.
    pub(super) fn live(&self) -> Option<&Live> {
        match &self.place {
            Place::Serving { live, .. } => Some(live),
            Place::Direct { .. } => None,
        }
    }

    pub(super) fn deployment(&self) -> Arc<Deployment> {
        match &self.place {
            Place::Serving { live, .. } => Arc::clone(&live.current().deployment),
            Place::Direct { deployment, .. } => Arc::clone(deployment),
        }
    }

    /// Waits until requests see a revision. False if they do not in time; without a server there are none.
    pub(super) async fn published(&self, revision: u64) -> bool {
        match &self.place {
            Place::Serving { live, .. } => live.wait_for(revision, PUBLISH_WITHIN).await,
            Place::Direct { .. } => true,
        }
    }

    /// Reads configuration and lock file again. Without a server the next start does.
    pub(super) async fn reload(&self) -> Result<(), String> {
        match &self.place {
            Place::Serving { reload, .. } => reload().await,
            Place::Direct { .. } => Ok(()),
        }
    }

    /// The tools that were read, for keeping accepted definitions.
    pub(super) async fn seen(&self) -> Vec<Arc<ServerCatalogue>> {
        match &self.place {
            Place::Serving { live, .. } => live.servers().await.into_values().collect(),
            Place::Direct { seen, .. } => seen.clone(),
        }
    }
}
