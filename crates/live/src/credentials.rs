//! Downstream credentials, resolved from their references and ready to be presented. Part of the snapshot, so that a reload
//! swaps them with everything else; the values are marked sensitive and have no way to be shown.

use std::{collections::HashMap, sync::Arc};

use ambit_model::{
    Effect,
    ids::{CredentialId, ServerSlug},
    secret::{Secret, SecretRef},
    server::{Credential, Scheme, Server},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue, header::AUTHORIZATION};

mod spellings;

pub use spellings::Spellings;

/// A credential as it is presented to one server.
#[derive(Clone)]
pub struct Spendable {
    /// Its id in the trail.
    pub id: CredentialId,
    /// The header it goes into.
    pub header: HeaderName,
    value: HeaderValue,
    /// The secret parts as they were given, for finding them in replies.
    secrets: Vec<Secret>,
    spellings: Arc<Spellings>,
}

impl Spendable {
    /// The header's value, for the one place that sends it.
    pub fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// The secret parts, for the one place that removes them from replies.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// The same in every spelling they may come back in.
    pub fn spellings(&self) -> &Spellings {
        &self.spellings
    }
}

impl std::fmt::Debug for Spendable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spendable").field("id", &self.id).field("header", &self.header).finish_non_exhaustive()
    }
}

/// Why a credential cannot be presented. Never shows the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The reference leads nowhere.
    #[error("`servers.{server}`: the secret `{reference}` cannot be read: {why}")]
    Unreadable {
        /// The server.
        server: ServerSlug,
        /// The reference, not the secret.
        reference: SecretRef,
        /// Why.
        why: String,
    },
    /// The secret does not fit into a header.
    #[error(
        "`servers.{server}`: the secret `{reference}` is empty or holds a line break or control character, so it cannot be sent"
    )]
    Unsendable {
        /// The server.
        server: ServerSlug,
        /// The reference, not the secret.
        reference: SecretRef,
    },
    /// The header's name is not one.
    #[error("`servers.{server}`: `{name}` is not a header that a credential may use")]
    Header {
        /// The server.
        server: ServerSlug,
        /// The name.
        name: String,
    },
}

/// Every credential of a deployment, by server and effect.
#[derive(Debug, Default, Clone)]
pub struct Spendables {
    by_use: HashMap<ServerSlug, [Option<Arc<Spendable>>; 3]>,
}

impl Spendables {
    /// Reads every reference once. `read` answers for one reference, with a reason when it cannot.
    ///
    /// # Errors
    /// The first credential that cannot be presented.
    pub fn resolve<'a>(
        servers: impl IntoIterator<Item = &'a Server>,
        mut read: impl FnMut(&SecretRef) -> Result<Secret, String>,
    ) -> Result<Self, CredentialError> {
        let mut by_use = HashMap::new();
        for server in servers {
            let mut slots: [Option<Arc<Spendable>>; 3] = [None, None, None];
            for (slot, effect) in slots.iter_mut().zip(Effect::ALL) {
                *slot = match server.credentials.for_effect(effect) {
                    Some(credential) => Some(Arc::new(spendable(&server.slug, credential, &mut read)?)),
                    None => None,
                };
            }
            by_use.insert(server.slug.clone(), slots);
        }
        Ok(Self { by_use })
    }

    /// What is spent for a tool of this effect on this server.
    pub fn find(&self, server: &ServerSlug, effect: Effect) -> Option<&Arc<Spendable>> {
        let slots = self.by_use.get(server)?;
        let at = match effect {
            Effect::Read => 0,
            Effect::Write => 1,
            Effect::Destructive => 2,
        };
        slots.get(at)?.as_ref()
    }
}

fn spendable(
    server: &ServerSlug,
    credential: &Credential,
    read: &mut impl FnMut(&SecretRef) -> Result<Secret, String>,
) -> Result<Spendable, CredentialError> {
    let mut open = |reference: &SecretRef| {
        read(reference).map_err(|why| CredentialError::Unreadable {
            server: server.clone(),
            reference: reference.clone(),
            why,
        })
    };
    let (header, text, secrets, reference) = match &credential.scheme {
        Scheme::Bearer(token) => {
            let secret = open(token)?;
            (AUTHORIZATION, format!("Bearer {}", secret.expose()), vec![secret], token)
        }
        Scheme::Basic { username, password } => {
            let (user, secret) = (open(username)?, open(password)?);
            let pair = STANDARD.encode(format!("{}:{}", user.expose(), secret.expose()));
            (AUTHORIZATION, format!("Basic {pair}"), vec![secret, Secret::new(pair)], password)
        }
        Scheme::Header { name, value } => {
            let header = name.parse::<HeaderName>().ok().filter(may_carry);
            let header =
                header.ok_or_else(|| CredentialError::Header { server: server.clone(), name: name.clone() })?;
            let secret = open(value)?;
            (header, secret.expose().to_owned(), vec![secret], value)
        }
    };
    let unsendable = || CredentialError::Unsendable { server: server.clone(), reference: reference.clone() };
    if secrets.iter().any(|secret| secret.expose().is_empty()) {
        return Err(unsendable());
    }
    let mut value = HeaderValue::from_str(&text).map_err(|_| unsendable())?;
    value.set_sensitive(true);
    let spellings = Arc::new(Spellings::new(&secrets).map_err(|_| unsendable())?);
    Ok(Spendable { id: credential.id.clone(), header, value, secrets, spellings })
}

/// A credential goes into a header of the API's own, never into one that frames the message or names the host.
fn may_carry(name: &HeaderName) -> bool {
    let name = name.as_str();
    !(name.starts_with("content-")
        || name.starts_with("mcp-")
        || matches!(name, "host" | "connection" | "transfer-encoding" | "te" | "trailer" | "upgrade" | "accept"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ambit_model::server::{CallLimits, Credentials, DocumentSource, Governance, Upstream};

    fn server(scheme: Scheme) -> Server {
        let credential = Credential { id: CredentialId::parse("api").unwrap(), scheme };
        Server {
            slug: ServerSlug::parse("api").unwrap(),
            governance: Governance {
                owner: "o".into(),
                purpose: "p".into(),
                environment: "test".into(),
                data_class: "internal".into(),
                expires_at: i64::MAX,
                revoke_when: "never".into(),
            },
            upstream: Upstream::OpenApi { document: DocumentSource::File("x".into()), base_url: None },
            credentials: Credentials { default: None, by_effect: [(Effect::Read, credential)].into() },
            overrides: std::collections::BTreeMap::new(),
            approvals: ambit_model::server::ServerApprovals::default(),
            labels: Vec::new(),
            limits: CallLimits::default(),
        }
    }

    fn resolve(scheme: Scheme, secret: &str) -> Result<Spendables, CredentialError> {
        Spendables::resolve([&server(scheme)], |_| Ok(Secret::new(secret.to_owned())))
    }

    #[test]
    fn a_credential_of_one_effect_is_not_spent_for_another() {
        let all = resolve(Scheme::Bearer(SecretRef::Env("T".into())), "hunter2").unwrap();
        let slug = ServerSlug::parse("api").unwrap();
        let read = all.find(&slug, Effect::Read).unwrap();
        assert_eq!(read.value(), "Bearer hunter2");
        assert!(read.value().is_sensitive() && !format!("{read:?}").contains("hunter2"));
        assert!(all.find(&slug, Effect::Write).is_none() && all.find(&slug, Effect::Destructive).is_none());
    }

    #[test]
    fn an_empty_or_splitting_secret_and_a_framing_header_are_refused_without_showing_it() {
        for secret in ["", "hunter2\r\nHost: evil"] {
            let error = resolve(Scheme::Bearer(SecretRef::Env("T".into())), secret).unwrap_err();
            assert!(matches!(error, CredentialError::Unsendable { .. }) && !error.to_string().contains("hunter2"));
        }
        for name in ["host", "Content-Length", "a b", "transfer-encoding", "mcp-name"] {
            let scheme = Scheme::Header { name: name.into(), value: SecretRef::Env("T".into()) };
            assert!(matches!(resolve(scheme, "x"), Err(CredentialError::Header { .. })), "{name}");
        }
        let unreadable =
            Spendables::resolve([&server(Scheme::Bearer(SecretRef::Env("T".into())))], |_| Err("it is not set".into()));
        assert!(unreadable.unwrap_err().to_string().contains("env:T"));
    }
}
