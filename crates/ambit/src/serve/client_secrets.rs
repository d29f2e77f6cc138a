//! The secrets of configured OAuth clients, read once at start and again at reload, and swapped as a whole.

use std::{collections::HashMap, fmt, sync::Arc};

use ambit_identity::server::SecretReader;
use ambit_model::secret::{Secret, SecretRef};
use anyhow::Context as _;
use arc_swap::ArcSwap;

use crate::config::{Resolved, secrets};

/// What was read, by reference. Cheap to clone; clones see the same swap.
#[derive(Clone)]
pub struct ClientSecrets {
    current: Arc<ArcSwap<HashMap<SecretRef, Secret>>>,
}

/// Secrets that were read and are not in use yet.
pub struct Known(HashMap<SecretRef, Secret>);

impl fmt::Debug for ClientSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSecrets").finish_non_exhaustive()
    }
}

impl ClientSecrets {
    /// Reads the secret of every configured client.
    ///
    /// # Errors
    /// The first client whose secret cannot be read.
    pub fn read(resolved: &Resolved) -> anyhow::Result<Self> {
        Ok(Self { current: Arc::new(ArcSwap::from_pointee(read(resolved)?)) })
    }

    /// Reads them without using them.
    ///
    /// # Errors
    /// As [`ClientSecrets::read`].
    pub fn resolve(resolved: &Resolved) -> anyhow::Result<Known> {
        read(resolved).map(Known)
    }

    /// Uses what was read.
    pub fn replace(&self, known: Known) {
        self.current.store(Arc::new(known.0));
    }

    /// As the authorization server asks for them.
    pub fn reader(&self) -> SecretReader {
        let current = Arc::clone(&self.current);
        Arc::new(move |reference| current.load().get(reference).cloned())
    }
}

fn read(resolved: &Resolved) -> anyhow::Result<HashMap<SecretRef, Secret>> {
    let mut known = HashMap::new();
    for client in &resolved.deployment.clients {
        let Some(reference) = &client.secret else { continue };
        let secret = secrets::read(reference).map_err(anyhow::Error::msg);
        let secret = secret.with_context(|| format!("the secret `{reference}` of client `{}`", client.id))?;
        known.insert(reference.clone(), secret);
    }
    Ok(known)
}
