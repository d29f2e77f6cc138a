//! Authorization codes: made when a person has said yes, spent once at the token endpoint. The code is random and stored as
//! a digest; everything it stands for is in the row.

use std::collections::BTreeSet;

use ambit_model::{
    Digest,
    caller::{Assurance, ClientFacts},
    ids::{ClientId, EndpointSlug, Millis, ToolsetSlug, UserKey},
};
use ambit_store::{Tx, clients, codes, sessions::Session};
use serde::{Deserialize, Serialize};

use super::{failure::Down, pending::Pending, state::Server};

/// How long a code may take to come back. RFC 6749 allows ten minutes; a redirect takes a second.
pub(crate) const LIFE_MS: Millis = 60_000;

/// What a code will be exchanged for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Granted {
    pub(crate) endpoint: EndpointSlug,
    pub(crate) client: ClientId,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    pub(crate) user: UserKey,
    pub(crate) toolsets: BTreeSet<ToolsetSlug>,
    pub(crate) auth_time: Millis,
    /// When the client asked for it: what a person answers later, or a code brings, is no younger.
    pub(crate) asked_at: Millis,
    pub(crate) details: Details,
}

/// What a family keeps of its authorization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Details {
    pub(crate) client_name: String,
    pub(crate) assurance: Assurance,
    /// Every toolset the person was asked about. Those not in the family's toolsets were declined.
    pub(crate) offered: BTreeSet<ToolsetSlug>,
    pub(crate) refreshes: bool,
    pub(crate) registered_redirect: String,
    pub(crate) metadata_digest: Digest,
    /// How the person logged in. Absent in what an earlier version wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) amr: Vec<String>,
}

impl Details {
    /// The toolsets the person was asked about and left out.
    pub(crate) fn declined(&self, toolsets: &BTreeSet<ToolsetSlug>) -> BTreeSet<ToolsetSlug> {
        self.offered.difference(toolsets).cloned().collect()
    }

    pub(crate) fn client(&self, id: &ClientId) -> ClientFacts {
        ClientFacts { id: id.clone(), assurance: self.assurance }
    }
}

/// What a person decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) ticked: BTreeSet<ToolsetSlug>,
    pub(crate) offered: BTreeSet<ToolsetSlug>,
}

/// Makes the code of a choice. Commit before it leaves.
pub(crate) async fn issue(
    server: &Server,
    tx: &mut Tx,
    pending: &Pending,
    session: &Session,
    choice: Choice,
) -> Result<String, Down> {
    let now = server.now();
    let granted = Granted {
        endpoint: pending.endpoint.clone(),
        client: pending.client.clone(),
        redirect_uri: pending.redirect_uri.clone(),
        challenge: pending.challenge.clone(),
        user: session.user.clone(),
        toolsets: choice.ticked,
        auth_time: session.auth_time,
        asked_at: pending.asked_at,
        details: Details {
            client_name: pending.client_name.clone(),
            assurance: pending.assurance,
            offered: choice.offered,
            refreshes: pending.refreshes,
            registered_redirect: pending.registered_redirect.clone(),
            metadata_digest: pending.metadata_digest,
            amr: session.amr.clone(),
        },
    };
    let text = server.secret_text()?;
    let code = codes::Code {
        hash: hash(&text),
        payload: serde_json::to_string(&granted)?,
        family: server.id_text()?,
        expires_at: now + LIFE_MS,
    };
    codes::insert(tx, &code).await?;
    if pending.assurance == Assurance::Dynamic {
        clients::mark_used(tx, &pending.client, now).await?;
    }
    Ok(text)
}

/// What a code is stored under.
pub(crate) fn hash(code: &str) -> Digest {
    Digest::of(code.as_bytes())
}
