//! Who asks: a client of configuration, of a metadata document at a URL it controls, or one that registered itself.
//!
//! How sure we are of it follows from where it is from and where its redirect leads, never from what it says.

pub(crate) mod document;
pub(crate) mod prove;

use std::net::IpAddr;

use ambit_live::deployment::RegisteredClient;
use ambit_model::{
    Digest,
    caller::{Assurance, ClientFacts},
    canonical,
    ids::{ClientId, Millis},
};
use ambit_store::clients;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::document::DocumentFault;
use crate::admin;

use super::{
    failure::Down,
    redirect::{self, Kind},
    state::{Place, Server},
};

/// How long a registration that nobody logged in with is kept.
pub(crate) const UNUSED_MS: Millis = 24 * 3_600_000;

/// A client, as authorization needs it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    /// What it is called; its own word unless configured.
    pub(crate) name: String,
    pub(crate) redirects: Vec<String>,
    pub(crate) origin: Origin,
    /// What a remembered consent holds for: a change of anything asks again.
    pub(crate) metadata_digest: Digest,
    /// Whether it uses refresh tokens.
    pub(crate) refreshes: bool,
}

/// Where a client is known from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Configuration, with a secret.
    Confidential,
    /// Configuration, without one.
    Pinned,
    /// The document at its id; the host of that URL, with its port if that is not the usual one.
    Document(String),
    /// It registered itself.
    Registered,
}

/// What is kept of a dynamic registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Registration {
    /// The issuer it registered at; it is no client of another (clients key their credentials by issuer).
    pub(crate) endpoint: ambit_model::ids::EndpointSlug,
    pub(crate) client_name: String,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) token_endpoint_auth_method: String,
    pub(crate) grant_types: Vec<String>,
}

/// Why there is no such client.
#[derive(Debug)]
pub(crate) enum ClientFault {
    /// Nobody knows it.
    Unknown,
    /// Its document does not stand.
    Document(DocumentFault),
    /// Not now.
    Down(Down),
}

impl From<Down> for ClientFault {
    fn from(down: Down) -> Self {
        Self::Down(down)
    }
}

impl Client {
    /// Finds a client by its id. Fetches a document if the id is a URL and the one kept is too old.
    pub(crate) async fn find(server: &Server, place: &Place, id: &str, source: IpAddr) -> Result<Self, ClientFault> {
        let id = ClientId::parse(id).map_err(|_| ClientFault::Unknown)?;
        if place.admin.is_some() {
            return Self::built_in(id).ok_or(ClientFault::Unknown);
        }
        if let Some(configured) = place.snapshot.deployment.clients.iter().find(|client| client.id == id) {
            return Ok(Self::configured(configured));
        }
        if document::is_url(id.as_str()) {
            let document = server.documents.read(&id, source, server.now()).await.map_err(ClientFault::Document)?;
            return Ok(document.client(&id));
        }
        let (row, registration) = registered(server, place, &id).await?.ok_or(ClientFault::Unknown)?;
        Ok(Self {
            id: row.id,
            name: registration.client_name,
            redirects: registration.redirect_uris,
            origin: Origin::Registered,
            metadata_digest: Digest::of(row.metadata.as_bytes()),
            refreshes: registration.grant_types.iter().any(|grant| grant == "refresh_token"),
        })
    }

    /// The client of the admin API. Nobody vouches for a program on somebody's machine, so the person is asked every time.
    fn built_in(id: ClientId) -> Option<Self> {
        (id.as_str() == admin::CLIENT).then(|| Self {
            metadata_digest: canonical::digest(&json!({ "redirect_uris": [admin::REDIRECT] })),
            id,
            name: "Ambit's command line".to_owned(),
            redirects: vec![admin::REDIRECT.to_owned()],
            origin: Origin::Pinned,
            refreshes: false,
        })
    }

    fn configured(client: &RegisteredClient) -> Self {
        let metadata = json!({ "name": client.name, "redirect_uris": client.redirect_uris });
        Self {
            id: client.id.clone(),
            name: if client.name.is_empty() { client.id.to_string() } else { client.name.clone() },
            redirects: client.redirect_uris.clone(),
            origin: if client.secret.is_some() { Origin::Confidential } else { Origin::Pinned },
            metadata_digest: canonical::digest(&metadata),
            refreshes: true,
        }
    }

    /// The registered redirect that a requested one is.
    pub(crate) fn redirect(&self, requested: &str) -> Option<&str> {
        self.redirects.iter().map(String::as_str).find(|registered| redirect::matches(registered, requested))
    }

    /// Whether the owner of this redirect is who is known as the client, so that an answer may be sent there before a person
    /// agreed: configuration says so, or the origin of its document. What stays on the person's own machine needs nobody.
    pub(crate) fn is_vouched_for(&self, redirect: &Kind) -> bool {
        match (&self.origin, redirect) {
            (Origin::Confidential | Origin::Pinned, _) | (_, Kind::Loopback(_)) => true,
            (Origin::Document(host), Kind::Https(to)) => host == to,
            (Origin::Document(_), Kind::App(_)) | (Origin::Registered, Kind::Https(_) | Kind::App(_)) => false,
        }
    }

    /// The client as decisions read it, when it is answered at this redirect. A redirect onto the person's own machine can
    /// be taken by any program there, whoever wrote the metadata.
    pub(crate) fn facts(&self, redirect: &Kind) -> ClientFacts {
        let assurance = match (&self.origin, redirect.is_local()) {
            (Origin::Confidential, _) => Assurance::Confidential,
            (Origin::Registered, _) => Assurance::Dynamic,
            (Origin::Pinned | Origin::Document(_), false) => Assurance::Cimd,
            (Origin::Pinned | Origin::Document(_), true) => Assurance::CimdLoopback,
        };
        ClientFacts { id: self.id.clone(), assurance }
    }
}

/// A dynamic registration of this issuer that is not forgotten yet.
pub(crate) async fn registered(
    server: &Server,
    place: &Place,
    id: &ClientId,
) -> Result<Option<(clients::Client, Registration)>, Down> {
    let Some(row) = clients::find(server.live.store(), id).await? else { return Ok(None) };
    if row.first_used_at.is_none() && row.created_at + UNUSED_MS <= server.now() {
        return Ok(None);
    }
    let registration: Registration = serde_json::from_str(&row.metadata)?;
    Ok((registration.endpoint == place.endpoint.slug).then_some((row, registration)))
}

/// Text from a stranger, for a page or a record: bounded, on one line, without characters that reorder or hide others.
pub(crate) fn plain(text: &str, most: usize) -> String {
    let hidden =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let shown = text.chars().filter(|c| !c.is_control() && !hidden(*c)).take(most);
    shown.collect::<String>().trim().to_owned()
}
