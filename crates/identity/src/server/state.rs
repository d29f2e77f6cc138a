//! What the handlers share, and the place a request is about: one endpoint's issuer on one snapshot.

use std::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use ambit_live::{Live, Snapshot, recorder::Deed};
use ambit_model::{
    admin::AdminResource,
    endpoint::{Endpoint, EndpointIssuer},
    ids::{EndpointSlug, Millis, UserKey},
    secret::{Secret, SecretRef},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    client::document::{self, Documents},
    failure::Down,
    limits::PerSource,
    password::Hashing,
    throttle::Throttle,
};
use crate::{admin, fresh, signing::Signing};

/// Answers for one reference to a secret, from what was resolved at start or reload. `None` if there is none.
pub type SecretReader = Arc<dyn Fn(&SecretRef) -> Option<Secret> + Send + Sync>;

/// What the authorization server is made of.
pub struct ServerParts {
    /// The snapshot, the store, the keys, the recorder.
    pub live: Live,
    /// The keys that sign access tokens.
    pub signing: Arc<Signing>,
    /// Fetches client metadata documents, whose URLs come from strangers: a client of
    /// `EgressRules::for_client_documents`.
    pub egress: ambit_egress::Client,
    /// Secrets of configured clients.
    pub secrets: SecretReader,
    /// Bounds.
    pub settings: Settings,
}

impl std::fmt::Debug for ServerParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerParts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Bounds per source address. Each is a burst that comes back within the named time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Dynamic registrations per hour.
    pub registrations_per_hour: NonZeroU32,
    /// Dynamic registrations per hour, from all sources together: what an attacker with many addresses can fill.
    pub all_registrations_per_hour: NonZeroU32,
    /// Client documents fetched per minute.
    pub documents_per_minute: NonZeroU32,
    /// Authorization requests per minute that have to wait for a login or consent. Each is a row for ten minutes.
    pub waiting_per_minute: NonZeroU32,
    /// Passwords tried per minute, over all accounts.
    pub logins_per_minute: NonZeroU32,
    /// Requests of machines refused with the reason per minute: more are told to wait. Good ones are never counted.
    pub refusals_per_minute: NonZeroU32,
    /// When a client document that could not be had is answered, counted from its fetch: longer than any fetch takes, so that
    /// the time tells nothing of what is at its address.
    pub failed_documents_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let bound = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        Self {
            registrations_per_hour: bound(60),
            all_registrations_per_hour: bound(1000),
            documents_per_minute: bound(30),
            waiting_per_minute: bound(300),
            logins_per_minute: bound(30),
            refusals_per_minute: bound(300),
            failed_documents_after: document::FAILURES_AFTER,
        }
    }
}

/// Shared by every handler.
pub(crate) struct Server {
    pub(crate) live: Live,
    pub(crate) signing: Arc<Signing>,
    pub(crate) secrets: SecretReader,
    pub(crate) documents: Documents,
    registrations: PerSource,
    all_registrations: PerSource,
    pub(crate) waiting: PerSource,
    pub(crate) logins: PerSource,
    pub(crate) refusals: PerSource,
    pub(crate) throttle: Throttle,
    pub(crate) secrets_tried: Throttle,
    pub(crate) hashing: Hashing,
}

impl Server {
    pub(crate) fn new(parts: ServerParts) -> Self {
        let ServerParts { live, signing, egress, secrets, settings } = parts;
        let clock = live.clock().clone();
        let (minute, hour) = (Duration::from_mins(1), Duration::from_hours(1));
        Self {
            documents: Documents::new(
                egress,
                PerSource::new(&clock, settings.documents_per_minute, minute),
                settings.failed_documents_after,
            ),
            registrations: PerSource::new(&clock, settings.registrations_per_hour, hour),
            all_registrations: PerSource::new(&clock, settings.all_registrations_per_hour, hour),
            waiting: PerSource::new(&clock, settings.waiting_per_minute, minute),
            logins: PerSource::new(&clock, settings.logins_per_minute, minute),
            refusals: PerSource::new(&clock, settings.refusals_per_minute, minute),
            throttle: Throttle::new(),
            secrets_tried: Throttle::new(),
            hashing: Hashing::new(),
            live,
            signing,
            secrets,
        }
    }

    pub(crate) fn now(&self) -> Millis {
        self.live.clock().now()
    }

    /// Lets one registration of a source through.
    ///
    /// # Errors
    /// For how many seconds to wait.
    pub(crate) fn admit_registration(&self, source: IpAddr) -> Result<(), u64> {
        self.registrations.admit(source)?;
        self.all_registrations.admit(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    /// 256 random bits as text: codes, tokens, session ids, the ids of pending requests.
    pub(crate) fn secret_text(&self) -> Result<String, Down> {
        Ok(URL_SAFE_NO_PAD.encode(self.live.keys().random::<32>()?))
    }

    /// 128 random bits as text: ids that are no secret.
    pub(crate) fn id_text(&self) -> Result<String, Down> {
        Ok(URL_SAFE_NO_PAD.encode(self.live.keys().random::<16>()?))
    }

    /// Whether pages are reached over TLS, so that their cookies may say so.
    pub(crate) fn is_secure(&self) -> bool {
        self.live.current().deployment.public_url.starts_with("https://")
    }

    /// Writes an act down; what it says must not happen otherwise.
    pub(crate) async fn record(&self, deed: Deed<'_>) -> Result<(), Down> {
        self.live.recorder().act(deed).await.map_err(|error| {
            tracing::error!(%error, "an act could not be recorded, so it did not happen");
            Down::Trail
        })
    }

    /// Lets requests of this node see what was just committed; other nodes learn of it within a second.
    pub(crate) async fn settle(&self) {
        if let Err(error) = self.live.refresh().await {
            tracing::warn!(%error, "a change was committed and is not seen here yet");
        }
    }
}

/// One endpoint with the embedded issuer, or what stands in place of one, on the snapshot of one request.
pub(crate) struct Place {
    pub(crate) snapshot: Arc<Snapshot>,
    /// For the admin API: no path, no server, the slug that no endpoint may have.
    pub(crate) endpoint: Endpoint,
    pub(crate) issuer: String,
    /// The admin API, if this is its issuer.
    pub(crate) admin: Option<AdminResource>,
}

impl Place {
    /// The place of `/as/<slug>/…`; `None` if no endpoint of this name has its tokens made here.
    pub(crate) fn find(server: &Server, slug: &str) -> Option<Self> {
        let snapshot = server.live.current();
        let slug = EndpointSlug::parse(slug).ok()?;
        let endpoint = snapshot.deployment.endpoint(&slug)?.clone();
        let EndpointIssuer::Embedded { issuer } = &endpoint.issuer else { return None };
        Some(Self { issuer: issuer.clone(), endpoint, snapshot, admin: None })
    }

    /// The same, or the place of the admin API's issuer. For the steps that issuer has: it registers nobody, refreshes
    /// nothing and answers no questions about its tokens.
    pub(crate) fn of_issuer(server: &Server, slug: &str) -> Option<Self> {
        if slug != admin::SLUG {
            return Self::find(server, slug);
        }
        let snapshot = server.live.current();
        let resource = snapshot.deployment.admin.clone()?;
        let endpoint = Endpoint {
            slug: EndpointSlug::parse(slug).ok()?,
            path: String::new(),
            resource: resource.url.clone(),
            title: "Ambit itself".to_owned(),
            servers: Vec::new(),
            prefix: false,
            issuer: EndpointIssuer::Embedded { issuer: resource.issuer.clone() },
        };
        Some(Self { issuer: resource.issuer.clone(), endpoint, snapshot, admin: Some(resource) })
    }

    /// Whether somebody may ask for tokens here. At an endpoint everybody may: what they hold decides.
    pub(crate) fn admits(&self, user: &UserKey) -> bool {
        self.admin.is_none() || admin::has_role(&self.snapshot.deployment.roles, user)
    }

    /// A login before this instant does not do, whatever the client says.
    pub(crate) fn oldest_login(&self, now_ms: Millis) -> Option<Millis> {
        self.admin.as_ref().map(|_| now_ms - fresh::LOGIN_WITHIN_MS)
    }

    /// Whether `resource` (RFC 8707) names this endpoint. A trailing slash is how some clients write a URL.
    pub(crate) fn is_resource(&self, resource: &str) -> bool {
        let canonical = |text: &str| {
            let url = url::Url::parse(text).ok().filter(|url| url.fragment().is_none())?;
            Some(url.as_str().trim_end_matches('/').to_owned())
        };
        canonical(resource).is_some_and(|asked| Some(asked) == canonical(&self.endpoint.resource))
    }
}
