//! How a server is spoken to: which era, and in the legacy era which session.
//!
//! A server is asked in the modern way first (`server/discover`). An answer, or an error only a
//! modern server knows, settles it; any other refusal of the request means legacy, and the gateway
//! opens a session of its own. Refused credentials and failing servers settle nothing. A connection
//! is made once per credential; whoever needs it meanwhile waits for the same attempt.

use std::sync::Arc;

use ambit_mcp::era::{Era, LegacyVersion, V2026_07_28};
use ambit_mcp::headers::{self, SESSION_ID};
use ambit_mcp::upstream::{OFFERED_LEGACY, OLDEST_LEGACY, RemoteError, answer, request};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::exchange::{Exchange, Told};
use super::failure::UpstreamFailure;
use super::one::{KnownEra, Lane, Presented, Upstream};

/// Most bytes of the answer to `server/discover` or `initialize`.
const MOST_BYTES: usize = 1024 * 1024;

/// Longest session id, in bytes.
const LONGEST_SESSION: usize = 4096;

/// How a server is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// Every request stands alone.
    Modern,
    /// After a handshake.
    Legacy {
        /// The revision in force.
        version: LegacyVersion,
        /// Whether that revision knows the version header.
        names_version: bool,
        /// The session, if the server keeps any.
        session: Option<HeaderValue>,
    },
}

/// Whether a server took a request that it refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Took {
    /// Certainly not: it was refused before anything was done.
    Not,
    /// Not, if the server turns out to be spoken to in another way now; otherwise it did.
    NotIfOther,
    /// The refusal may concern the session, or what was asked.
    Perhaps,
    /// It concerns what was asked.
    It,
}

impl Connection {
    /// Before the handshake.
    const LEGACY_UNOPENED: Self = Self::Legacy { version: OFFERED_LEGACY, names_version: true, session: None };

    pub(super) const fn is_modern(&self) -> bool {
        matches!(self, Self::Modern)
    }

    pub(super) const fn era(&self) -> Era {
        match self {
            Self::Modern => Era::Modern,
            Self::Legacy { version, .. } => Era::Legacy(*version),
        }
    }

    pub(super) const fn names_version(&self) -> bool {
        match self {
            Self::Modern => true,
            Self::Legacy { names_version, .. } => *names_version,
        }
    }

    /// What a refusal over this connection says. A legacy server answers 404 to a session that is over,
    /// and 400 to a request that lacks one; some answer 400 to both, and servers of either era answer
    /// 400 when a tool failed.
    pub(super) fn took(&self, status: StatusCode, error: Option<&RemoteError>) -> Took {
        if error.is_some_and(|error| error.required.is_some()) {
            // It was read, and cannot be done over any connection of ours.
            return Took::It;
        }
        if status.is_client_error() && error.is_some_and(RemoteError::is_modern) {
            return Took::Not;
        }
        match (self, status) {
            // Said of what was asked: another connection would not change it.
            (_, StatusCode::BAD_REQUEST) if error.is_some_and(|error| error.code == -32602) => Took::It,
            (
                Self::Modern,
                StatusCode::BAD_REQUEST
                | StatusCode::NOT_FOUND
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::NOT_ACCEPTABLE
                | StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ) => Took::NotIfOther,
            (Self::Legacy { session: None, .. }, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND) => Took::NotIfOther,
            (Self::Legacy { session: Some(_), .. }, StatusCode::NOT_FOUND) => Took::Not,
            (Self::Legacy { session: Some(_), .. }, StatusCode::BAD_REQUEST) => Took::Perhaps,
            _ => Took::It,
        }
    }

    pub(super) const fn session(&self) -> Option<&HeaderValue> {
        match self {
            Self::Modern => None,
            Self::Legacy { session, .. } => session.as_ref(),
        }
    }
}

impl Upstream {
    /// The connection for a credential, made now if there is none.
    ///
    /// # Errors
    /// Whatever stopped it; nothing but the handshake was sent.
    pub(super) async fn connected(
        &self,
        presented: &Presented,
        deadline: Instant,
    ) -> Result<Arc<Connection>, UpstreamFailure> {
        let pending = self.pending(presented);
        if let Some(known) = pending.get() {
            return Ok(Arc::clone(known));
        }
        // Boxed, because every call would carry the room for it.
        let connect =
            Box::pin(pending.get_or_try_init(|| async { self.connect(presented, deadline).await.map(Arc::new) }));
        match timeout_at(deadline, connect).await {
            Ok(made) => made.map(Arc::clone).map_err(UpstreamFailure::before_the_call),
            Err(_) => Err(UpstreamFailure::never_connected(&self.slug)),
        }
    }

    /// Ends every session, all at once.
    pub(super) async fn end_sessions(&self, deadline: Instant) {
        let connections = self.take_connections();
        let endings = connections.iter().filter(|(_, connection)| connection.session().is_some()).map(
            |(presented, connection)| async move {
                if let Err(failure) = self.exchange(connection, presented, deadline).end().await {
                    tracing::debug!(server = %self.slug, %failure, "the session was not ended");
                }
            },
        );
        futures_util::future::join_all(endings).await;
    }

    async fn connect(&self, presented: &Presented, deadline: Instant) -> Result<Connection, UpstreamFailure> {
        let made = match self.era() {
            KnownEra::Modern => return Ok(Connection::Modern),
            KnownEra::Legacy => match self.initialize(presented, deadline).await {
                Ok(connection) => connection,
                // It may have been replaced by a modern one.
                Err(Unopened::Refused(_)) => self.detect(presented, deadline).await?,
                Err(Unopened::Failed(failure)) => return Err(failure),
            },
            KnownEra::Unknown => self.detect(presented, deadline).await?,
        };
        self.set_era(if made.is_modern() { KnownEra::Modern } else { KnownEra::Legacy });
        tracing::info!(server = %self.slug, version = made.era().as_str(), "connected to an MCP server");
        Ok(made)
    }

    async fn detect(&self, presented: &Presented, deadline: Instant) -> Result<Connection, UpstreamFailure> {
        let exchange = self.exchange(&Connection::Modern, presented, deadline);
        let id = self.next_id();
        let body = request::discover(id, &self.client);
        let target = headers::Target { method: "server/discover", name: None, mirrored: None, session: None };
        let told = exchange.ask(&target, id, body, |_, result| answer::supported_versions(result)).await?;
        let offered = match told {
            Told::Result(versions, _) => versions,
            // A modern server that only dislikes this request says so again with the next one.
            Told::Error(error, _) if error.is_modern() && error.supported.is_empty() => return Ok(Connection::Modern),
            Told::Error(error, _) if error.is_modern() => error.supported,
            Told::Error(error, status) if status.is_server_error() => {
                return Err(UpstreamFailure::remote(&self.slug, &error));
            }
            Told::Error(..) | Told::Refused(_) => {
                return self.initialize(presented, deadline).await.map_err(UpstreamFailure::from);
            }
        };
        if offered.iter().any(|version| version == V2026_07_28) {
            return Ok(Connection::Modern);
        }
        // A result that names no version is not a modern server's: some answer whatever they do not know.
        if offered.is_empty() || offered.iter().any(|version| legacy(version).is_some()) {
            return self.initialize(presented, deadline).await.map_err(UpstreamFailure::from);
        }
        Err(UpstreamFailure::unsupported(&self.slug, &offered))
    }

    async fn initialize(&self, presented: &Presented, deadline: Instant) -> Result<Connection, Unopened> {
        let exchange = self.exchange(&Connection::LEGACY_UNOPENED, presented, deadline);
        let id = self.next_id();
        let body = request::initialize(id, OFFERED_LEGACY, &self.client);
        let target = headers::Target { method: "initialize", name: None, mirrored: None, session: None };
        let read =
            |headers: &HeaderMap, result: ambit_mcp::Raw<'_>| (session(headers), answer::protocol_version(result));
        let (session, version) = match exchange.ask(&target, id, body, read).await? {
            Told::Result(both, _) => both,
            Told::Error(error, status) if status.is_client_error() || error.is_refusal() => {
                return Err(Unopened::Refused(UpstreamFailure::handshake(&self.slug, &error.message)));
            }
            Told::Error(error, _) => return Err(UpstreamFailure::remote(&self.slug, &error).into()),
            Told::Refused(status) => {
                let why = format!("HTTP {}", status.as_u16());
                return Err(Unopened::Refused(UpstreamFailure::handshake(&self.slug, why)));
            }
        };
        let session = session.map_err(|()| UpstreamFailure::handshake(&self.slug, "its session id is not usable"))?;
        let version = version.unwrap_or_default();
        let Some((known, names_version)) = legacy(&version) else {
            return Err(UpstreamFailure::unsupported(&self.slug, &[version.chars().take(32).collect()]).into());
        };
        let connection = Connection::Legacy { version: known, names_version, session };
        let exchange = self.exchange(&connection, presented, deadline);
        exchange.tell("notifications/initialized", request::INITIALIZED.as_bytes().to_vec()).await?;
        Ok(connection)
    }

    fn exchange<'e>(&'e self, connection: &'e Connection, presented: &'e Presented, deadline: Instant) -> Exchange<'e> {
        Exchange {
            upstream: self,
            connection,
            presented,
            deadline,
            max_bytes: MOST_BYTES,
            progress: None,
            lane: Lane::Upkeep,
            stands: &|| true,
        }
    }
}

/// Why there is no session.
enum Unopened {
    /// The server does not take `initialize`.
    Refused(UpstreamFailure),
    /// Something else, which says nothing about its era.
    Failed(UpstreamFailure),
}

impl From<UpstreamFailure> for Unopened {
    fn from(failure: UpstreamFailure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Unopened> for UpstreamFailure {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Refused(failure) | Unopened::Failed(failure) => failure,
        }
    }
}

/// A legacy revision, and whether it knows the version header.
fn legacy(version: &str) -> Option<(LegacyVersion, bool)> {
    match LegacyVersion::from_wire(version) {
        Some(known) => Some((known, true)),
        None if version == OLDEST_LEGACY => Some((LegacyVersion::V2025_06_18, false)),
        None => None,
    }
}

/// The session a server opened; none is fine. Visible ASCII, as the specification demands, and once.
fn session(headers: &HeaderMap) -> Result<Option<HeaderValue>, ()> {
    let mut all = headers.get_all(SESSION_ID).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => {
            let bytes = one.as_bytes();
            let fits = (1..=LONGEST_SESSION).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
            if !fits {
                return Err(());
            }
            let mut one = one.clone();
            one.set_sensitive(true);
            Ok(Some(one))
        }
        (Some(_), Some(_)) => Err(()),
    }
}
