//! The snapshot a deployment would start with, for commands that look without serving. Nothing is recorded or published.

use std::sync::Arc;

use ambit_store::Store;

use crate::{
    Snapshot,
    catalogue::ServerCatalogue,
    clock::Clock,
    credentials::Spendables,
    deployment::Deployment,
    live::{LiveError, load},
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
    let inputs = Inputs {
        deployment: Arc::new(deployment),
        lock: Arc::new(lock),
        servers: servers.into_iter().map(|server| (server.slug.clone(), server)).collect(),
        credentials: Arc::new(Spendables::default()),
        rows: Arc::new(rows),
    };
    Ok(Snapshot::build(&inputs, 1, None)?)
}
