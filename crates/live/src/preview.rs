//! The snapshot a deployment would start with, for commands that look without serving. Nothing is recorded or published.

use std::sync::Arc;

use ambit_model::{grant::Reveal, ids::Millis};
use ambit_store::Store;

use crate::{
    Snapshot,
    catalogue::ServerCatalogue,
    clock::Clock,
    credentials::Spendables,
    deployment::Deployment,
    live::{LiveError, load, load_at},
    lock::Lock,
    snapshot::{Inputs, Rows},
};

/// Builds the snapshot. Without a store, only what configuration declares counts.
///
/// # Errors
/// [`LiveError`].
pub async fn preview(
    (deployment, lock, servers): (Deployment, Lock, Vec<Arc<ServerCatalogue>>),
    store: Option<&Store>,
    clock: &Clock,
) -> Result<Snapshot, LiveError> {
    let rows = match store {
        Some(store) => load(store, clock).await?,
        None => Rows::default(),
    };
    of_rows((deployment, lock, servers), rows)
}

/// Builds the snapshot without a store, as if these reveals were made.
///
/// # Errors
/// [`LiveError`].
pub fn preview_revealing(
    parts: (Deployment, Lock, Vec<Arc<ServerCatalogue>>),
    reveals: Vec<Reveal>,
) -> Result<Snapshot, LiveError> {
    of_rows(parts, Rows { reveals, ..Rows::default() })
}

/// Builds the snapshot in which grants and reveals that ended since an instant are still there, so that decisions made
/// since then can be made again.
///
/// # Errors
/// [`LiveError`].
pub async fn preview_since(
    parts: (Deployment, Lock, Vec<Arc<ServerCatalogue>>),
    store: Option<&Store>,
    since: Millis,
) -> Result<Snapshot, LiveError> {
    let rows = match store {
        Some(store) => load_at(store, since).await?,
        None => Rows::default(),
    };
    of_rows(parts, rows)
}

fn of_rows(
    (deployment, lock, servers): (Deployment, Lock, Vec<Arc<ServerCatalogue>>),
    rows: Rows,
) -> Result<Snapshot, LiveError> {
    let inputs = Inputs {
        deployment: Arc::new(deployment),
        lock: Arc::new(lock),
        servers: servers.into_iter().map(|server| (server.slug.clone(), server)).collect(),
        credentials: Arc::new(Spendables::default()),
        rows: Arc::new(rows),
    };
    Ok(Snapshot::build(&inputs, 1, None)?)
}
