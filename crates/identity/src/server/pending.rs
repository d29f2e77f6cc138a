//! An authorization request that waits for a login or a consent. Everything in it was validated when it was written; the
//! browser carries only its random id.

use std::{collections::BTreeSet, net::IpAddr};

use ambit_model::{
    Digest,
    caller::{Assurance, ClientFacts},
    ids::{ClientId, EndpointSlug, Millis, ToolsetSlug},
};
use ambit_store::{Source, Tx, pending};
use serde::{Deserialize, Serialize};

use super::{failure::Down, page::PageError, redirect, state::Server};

/// How long a request waits.
pub(crate) const LIFE_MS: Millis = 10 * 60_000;

/// A validated authorization request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) endpoint: EndpointSlug,
    pub(crate) issuer: String,
    pub(crate) client: ClientId,
    pub(crate) client_name: String,
    /// The host of the document that describes the client, if one does.
    pub(crate) client_host: Option<String>,
    pub(crate) assurance: Assurance,
    pub(crate) metadata_digest: Digest,
    pub(crate) refreshes: bool,
    /// The redirect as requested: where the answer goes.
    pub(crate) redirect_uri: String,
    /// The redirect as registered: what a consent is remembered for.
    pub(crate) registered_redirect: String,
    pub(crate) state: Option<String>,
    /// PKCE, S256.
    pub(crate) challenge: String,
    /// The toolsets asked for by name; none if the client asked for MCP in general.
    pub(crate) toolsets: BTreeSet<ToolsetSlug>,
    /// `prompt=consent`: a remembered consent does not do.
    pub(crate) always_ask: bool,
    /// A login before this instant does not do.
    pub(crate) login_since: Option<Millis>,
    pub(crate) asked_at: Millis,
}

impl Pending {
    pub(crate) fn client_facts(&self) -> ClientFacts {
        ClientFacts { id: self.client.clone(), assurance: self.assurance }
    }

    /// Whether a login of this age does.
    pub(crate) fn accepts_login_at(&self, auth_time: Millis) -> bool {
        self.login_since.is_none_or(|since| auth_time >= since)
    }

    /// What consent shows as the place the answer goes to.
    pub(crate) fn shown_redirect(&self) -> String {
        redirect::acceptable(&self.redirect_uri).map_or_else(|_| String::new(), |kind| kind.shown())
    }

    /// The answer that carries a code (RFC 6749 §4.1.2, RFC 9207).
    pub(crate) fn with_code(&self, code: &str) -> String {
        self.answer(&[("code", code)])
    }

    /// The answer that carries an error (RFC 6749 §4.1.2.1).
    pub(crate) fn with_error(&self, code: &str, description: &str) -> String {
        self.answer(&[("error", code), ("error_description", description)])
    }

    fn answer(&self, parameters: &[(&str, &str)]) -> String {
        let mut parameters = parameters.to_vec();
        parameters.extend(self.state.as_deref().map(|state| ("state", state)));
        parameters.push(("iss", &self.issuer));
        redirect::with_parameters(&self.redirect_uri, &parameters)
    }

    /// Keeps the request and gives the id the browser carries.
    pub(crate) async fn keep(&self, server: &Server, source: IpAddr) -> Result<String, Down> {
        if server.waiting.admit(source).is_err() {
            server.live.recorder().refused_early(self.endpoint.as_str(), source, "authorize_throttled");
            return Err(Down::Busy);
        }
        let id = server.secret_text()?;
        let mut tx = server.live.store().begin().await?;
        pending::insert(&mut tx, &hash(&id), &serde_json::to_string(self)?, server.now() + LIFE_MS).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// The request of an id.
    pub(crate) async fn find(source: impl Source, id: &str, now_ms: Millis) -> Result<Self, PageError> {
        let request = pending::find(source, &hash(id), now_ms).await?;
        Self::read(request)
    }

    /// Takes the request out: it is answered once.
    pub(crate) async fn take(tx: &mut Tx, id: &str, now_ms: Millis) -> Result<Self, PageError> {
        let request = pending::take(tx, &hash(id), now_ms).await?;
        Self::read(request)
    }

    fn read(request: Option<String>) -> Result<Self, PageError> {
        let request = request.ok_or(PageError::Gone("The request was answered already, or waited too long."))?;
        Ok(serde_json::from_str(&request)?)
    }
}

fn hash(id: &str) -> Digest {
    Digest::of(id.as_bytes())
}
