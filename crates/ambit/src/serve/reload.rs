//! Reload: the configuration and the lock file are read again and swapped as a whole, or the old ones stay and the reason is
//! said. What belongs to the process itself (socket, store, data directory, outgoing rules) needs a restart and says so.

use std::{collections::BTreeMap, sync::Arc};

use ambit_egress::{EgressRules, Roots};
use ambit_identity::{jwks::Jwks, webhooks::Hooks};
use ambit_live::{Live, catalogue::ServerCatalogue};
use ambit_model::{
    ids::ServerSlug,
    server::{DocumentSource, Upstream},
};
use ambit_store::{StoreError, Tx, nodes};
use tokio::sync::Mutex;

use super::{applied_rules, client_secrets::ClientSecrets, declared, pinned, webhooks};
use crate::{
    catalogues::{self, Sources},
    config::{self, Resolved},
    operator::context::Reload,
};

/// Reloads one server. Cheap to clone; reloads take turns.
#[derive(Clone, Debug)]
pub struct Reloader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    started_with: Resolved,
    live: Live,
    sources: Sources,
    jwks: Arc<Jwks>,
    client_secrets: ClientSecrets,
    hooks: Hooks,
    turn: Mutex<()>,
}

impl Reloader {
    /// For a server that was started with this configuration.
    pub fn new(
        started_with: Resolved,
        live: Live,
        sources: Sources,
        jwks: Arc<Jwks>,
        (client_secrets, hooks): (ClientSecrets, Hooks),
    ) -> Self {
        let turn = Mutex::new(());
        Self { shared: Arc::new(Shared { started_with, live, sources, jwks, client_secrets, hooks, turn }) }
    }

    /// As an operator's act asks for it.
    pub fn as_reload(&self) -> Reload {
        let reloader = self.clone();
        Arc::new(move || {
            let reloader = reloader.clone();
            Box::pin(async move { reloader.reload().await })
        })
    }

    /// Reads everything again and publishes it.
    ///
    /// # Errors
    /// Why nothing was changed, for the operator.
    pub async fn reload(&self) -> Result<(), String> {
        let _turn = self.shared.turn.lock().await;
        let Shared { started_with, live, sources, jwks, client_secrets, hooks, turn: _ } = self.shared.as_ref();
        let now = live.clock().now();
        let next = load(started_with.clone(), now).await?;
        same_process(started_with, &next)?;
        let credentials = config::secrets::spendables(&next).map_err(|errors| errors.to_string())?;
        let read = catalogues::read_all(next.deployment.servers.values(), sources, &credentials, now).await;
        let known = live.servers().await;
        unreadable(&next, &read)?;
        let servers = read.into_iter().map(|server| keep_known(server, &known, &next)).collect();
        let secrets = ClientSecrets::resolve(&next).map_err(|error| format!("{error:#}"))?;
        let told = webhooks::read(&next, &sources.egress).map_err(|error| format!("{error:#}"))?;
        let applied = applied(live, &next).await?;
        let before = Arc::clone(&live.current().deployment);
        live.reload(next.deployment.clone(), next.lock.clone(), servers, credentials)
            .await
            .map_err(|error| error.to_string())?;
        client_secrets.replace(secrets);
        hooks.replace(told);
        declared::record(live, &before.grants, &next.deployment.grants).await;
        if let Err(error) = applied.commit().await {
            tracing::warn!(%error, "the store did not take note of the configuration: other nodes start with the old one");
        }
        pinned::keep(live, &next.lock).await;
        applied_rules::keep(live).await;
        jwks.follow(&next.deployment);
        sources.mcp.retain(|slug| next.deployment.servers.contains_key(slug)).await;
        Ok(())
    }
}

async fn load(started_with: Resolved, now: i64) -> Result<Resolved, String> {
    let loading = tokio::task::spawn_blocking(move || started_with.again(now));
    loading
        .await
        .map_err(|_| "reading the configuration ended abnormally".to_owned())?
        .map_err(|errors| errors.to_string())
}

/// Whether the process can take the new configuration without a restart.
fn same_process(old: &Resolved, new: &Resolved) -> Result<(), String> {
    let moved = [
        ("listen", old.listen != new.listen),
        ("data_dir", old.data_dir != new.data_dir),
        ("key_dir", old.key_dir() != new.key_dir()),
        ("store", old.store.to_string() != new.store.to_string()),
        ("public_url", old.deployment.public_url != new.deployment.public_url),
        ("trusted_proxies", old.trusted_proxies != new.trusted_proxies),
        ("egress", outgoing(old) != outgoing(new)),
        ("trail", old.trail != new.trail),
        ("metrics", old.metrics != new.metrics),
        ("admin", old.admin != new.admin || old.deployment.admin != new.deployment.admin),
        ("streams", old.streams != new.streams),
    ];
    match moved.iter().find(|(_, moved)| *moved) {
        Some((what, _)) => Err(format!("`{what}` has changed, which takes a restart")),
        None => Ok(()),
    }
}

/// Connections that were opened live on in their pool: rules and authorities are those it was made with.
fn outgoing(resolved: &Resolved) -> (&EgressRules, &EgressRules, &Roots) {
    (&resolved.egress, &resolved.client_documents, &resolved.roots)
}

/// A document on disk is part of what is reloaded: one that cannot be used is a reason to keep everything as it was.
fn unreadable(next: &Resolved, read: &[Arc<ServerCatalogue>]) -> Result<(), String> {
    let in_a_file = |server: &ServerCatalogue| {
        let declared = next.deployment.servers.get(&server.slug).map(|server| &server.upstream);
        matches!(declared, Some(Upstream::OpenApi { document: DocumentSource::File(_), .. }))
    };
    let broken = read.iter().filter(|server| in_a_file(server));
    let broken: Vec<_> = broken
        .filter_map(|server| server.problem.as_ref().map(|problem| format!("`servers.{}`: {problem}", server.slug)))
        .collect();
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\n")) }
}

/// A server that cannot be reached at the moment keeps the tools it had, because health never changes a list; but only if
/// it is declared as it was, because what was read elsewhere says nothing about the new address.
fn keep_known(
    read: Arc<ServerCatalogue>,
    known: &BTreeMap<ServerSlug, Arc<ServerCatalogue>>,
    next: &Resolved,
) -> Arc<ServerCatalogue> {
    let declared = next.deployment.servers.get(&read.slug);
    match known.get(&read.slug) {
        Some(known) if read.problem.is_some() && declared.is_some_and(|server| known.is_of(server)) => {
            Arc::clone(known)
        }
        Some(_) | None => read,
    }
}

/// The transaction that says which configuration counts, to be committed once it does. Other nodes that start with another
/// one refuse to.
async fn applied(live: &Live, next: &Resolved) -> Result<Tx, String> {
    let digest = next.deployment.digest;
    let applied = async {
        let mut tx = live.store().begin().await?;
        nodes::apply_config(&mut tx, &digest, "reload", live.clock().now()).await?;
        Ok::<_, StoreError>(tx)
    };
    applied.await.map_err(|error| format!("the store cannot take the configuration: {error}"))
}
