//! Legacy sessions. A session is a sealed id and nothing else: it holds no state and proves nothing about who is calling,
//! but it opens only for the endpoint, the user and agent, the client and the version it was made for, and not for ever.
//! When it was made and by which login is sealed inside, so that a revocation ends it like a token.
//!
//! Another caller's id, a forged one, an expired one, a revoked one and an ended one are one answer: 404.

use std::time::Duration;

use ambit_identity::caller::Caller;
use ambit_live::keys::{Keys, Use};
use ambit_mcp::{
    RpcError,
    era::{Era, LegacyVersion},
    headers::{PROTOCOL_VERSION, SESSION_ID},
};
use ambit_model::{Digest, ids::Millis, revocation::Scope};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, StatusCode};
use quick_cache::sync::Cache;
use tokio::sync::watch;

use crate::{
    answer::Reply,
    authenticate::Entered,
    gateway::Gateway,
    parse::Method,
    trail::{Closed, Opened},
};

/// Longest session id read, in bytes; ours are shorter.
const LONGEST: usize = 512;

/// Longest name of a login that is sealed into a session, in bytes. Ours are far shorter; a longer one is another issuer's,
/// and a session of it is ended through its user or client.
const LONGEST_LOGIN: usize = 256;

/// Most ended sessions remembered on this node. Forgetting one gives nobody anything: the token is what counts.
const ENDED: usize = 16 * 1024;

pub(crate) struct Sessions {
    life: Millis,
    ended: Cache<Digest, ()>,
    /// Counts the ends.
    ends: watch::Sender<u64>,
}

/// What a session id is bound to.
pub(crate) struct Bound(Vec<u8>);

impl Bound {
    pub(crate) fn new(endpoint: &str, caller: &Caller, version: LegacyVersion) -> Self {
        let who = caller.who();
        let user = who.user.as_deref().unwrap_or_default();
        Self::of([endpoint, user, who.agent.as_deref().unwrap_or_default(), &who.client, version.as_str()])
    }

    /// With the lengths in front, so that no two lists of parts are one text.
    fn of(parts: [&str; 5]) -> Self {
        let mut bytes = Vec::with_capacity(128);
        for part in parts {
            bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        Self(bytes)
    }
}

/// What a session id says once it is open.
#[derive(PartialEq, Eq, Debug)]
struct Session {
    name: Digest,
    issued_at: Millis,
    login: Option<Scope>,
    /// Whether its client can show its user a URL.
    elicits_url: bool,
}

/// The login that a caller's token comes from.
fn login(caller: &Caller) -> Option<&Scope> {
    let mut scopes = caller.scopes_for_revocation().iter();
    scopes.find(|scope| matches!(scope, Scope::Family(_) | Scope::ForeignSession(..)))
}

/// Why a request has no session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum NoSession {
    Missing,
    NotFound,
}

impl NoSession {
    fn reply(self, id: Option<ambit_mcp::Id<'_>>) -> Reply {
        match self {
            Self::Missing => {
                let error = RpcError::invalid_request("header `Mcp-Session-Id` is missing; send `initialize` first");
                Reply::error(&error, id, "session_missing")
            }
            Self::NotFound => Reply::error(&RpcError::session_not_found(), id, "session_not_found"),
        }
    }
}

impl Sessions {
    pub(crate) fn new(life: Duration) -> Self {
        let life = Millis::try_from(life.as_millis()).unwrap_or(Millis::MAX);
        Self { life, ended: Cache::new(ENDED), ends: watch::Sender::new(0) }
    }

    /// Moves whenever a session is ended by its client.
    pub(crate) fn ends(&self) -> watch::Receiver<u64> {
        self.ends.subscribe()
    }

    fn end(&self, name: Digest) {
        self.ended.insert(name, ());
        self.ends.send_modify(|ends| *ends = ends.wrapping_add(1));
    }

    /// A fresh session id; `None` if the system gives no randomness.
    pub(crate) fn issue(
        &self,
        keys: &Keys,
        bound: &Bound,
        (caller, elicits_url): (&Caller, bool),
        now: Millis,
    ) -> Option<HeaderValue> {
        self.seal(keys, bound, (login(caller), elicits_url), now)
    }

    fn seal(
        &self,
        keys: &Keys,
        bound: &Bound,
        (login, elicits_url): (Option<&Scope>, bool),
        now: Millis,
    ) -> Option<HeaderValue> {
        let mut state = Vec::with_capacity(64);
        state.extend_from_slice(&now.saturating_add(self.life).to_be_bytes());
        state.extend_from_slice(&now.to_be_bytes());
        state.push(u8::from(elicits_url));
        let login = login.map(|login| format!("{} {}", login.kind(), login.id()));
        state.extend_from_slice(login.filter(|name| name.len() <= LONGEST_LOGIN).unwrap_or_default().as_bytes());
        let sealed = keys.seal(Use::LegacySession, &state, &bound.0);
        let sealed = sealed.inspect_err(|error| tracing::error!(%error, "no session id could be sealed")).ok()?;
        HeaderValue::from_str(&URL_SAFE_NO_PAD.encode(sealed)).ok()
    }

    /// Opens the session of a request, if it is one of this caller here.
    fn open(&self, keys: &Keys, bound: &Bound, headers: &HeaderMap, now: Millis) -> Result<Session, NoSession> {
        let mut values = headers.get_all(SESSION_ID).iter();
        let id = values.next().ok_or(NoSession::Missing)?.as_bytes();
        if values.next().is_some() || id.len() > LONGEST {
            return Err(NoSession::NotFound);
        }
        let sealed = URL_SAFE_NO_PAD.decode(id).map_err(|_| NoSession::NotFound)?;
        let state = keys.unseal(Use::LegacySession, &sealed, &bound.0).ok_or(NoSession::NotFound)?;
        let (until, rest) = state.split_first_chunk().ok_or(NoSession::NotFound)?;
        let (issued_at, rest) = rest.split_first_chunk().ok_or(NoSession::NotFound)?;
        let (offers, login) = rest.split_first().ok_or(NoSession::NotFound)?;
        let (until, issued_at) = (Millis::from_be_bytes(*until), Millis::from_be_bytes(*issued_at));
        let login = str::from_utf8(login).map_err(|_| NoSession::NotFound)?;
        let login = login.split_once(' ').map(|(kind, id)| Scope::parse(kind, id)).transpose();
        let login = login.map_err(|_| NoSession::NotFound)?;
        let name = Digest::of(&sealed);
        if until <= now || self.ended.get(&name).is_some() {
            return Err(NoSession::NotFound);
        }
        Ok(Session { name, issued_at, login, elicits_url: *offers == 1 })
    }
}

/// The session of a request in one version, if it is this caller's and nothing it stands on was revoked since it was made.
/// The token says nothing of that: it may be a newer one.
fn present(gateway: &Gateway, entered: &Entered, version: LegacyVersion) -> Result<Session, NoSession> {
    let live = gateway.live();
    let bound = Bound::new(entered.place().slug(), entered.caller(), version);
    let session = gateway.shared.sessions.open(live.keys(), &bound, &entered.head().headers, live.clock().now())?;
    let scopes = entered.caller().scopes_for_revocation().iter().chain(&session.login);
    match entered.place().snapshot().revocations.judge(scopes, session.issued_at) {
        None => Ok(session),
        Some(_) => Err(NoSession::NotFound),
    }
}

/// Holds a legacy request to its session, and says whether the session's client can show its user a URL.
///
/// # Errors
/// 400 without one, 404 for one that is not this caller's.
pub(crate) fn admit(
    gateway: &Gateway,
    entered: &Entered,
    version: LegacyVersion,
    id: Option<ambit_mcp::Id<'_>>,
) -> Result<bool, Reply> {
    present(gateway, entered, version).map(|session| session.elicits_url).map_err(|none| none.reply(id))
}

/// The version of a request that names its session and no version: the one that was negotiated, as 2025-06-18 allows.
/// `None` for a request without a session.
///
/// # Errors
/// 404 for a session that is not this caller's.
pub(crate) fn negotiated(gateway: &Gateway, entered: &Entered) -> Result<Option<LegacyVersion>, Reply> {
    let headers = &entered.head().headers;
    if headers.contains_key(PROTOCOL_VERSION) || !headers.contains_key(SESSION_ID) {
        return Ok(None);
    }
    let found = find(gateway, entered, &[LegacyVersion::V2025_11_25, LegacyVersion::V2025_06_18]);
    found.map(|(version, _)| Some(version)).ok_or_else(|| NoSession::NotFound.reply(None))
}

/// The session of a request without a body, in one of these versions, with its name.
///
/// # Errors
/// 400 without one, 404 for one that is not this caller's.
pub(crate) fn session(
    gateway: &Gateway,
    entered: &Entered,
    versions: &[LegacyVersion],
) -> Result<(LegacyVersion, Digest), Reply> {
    let is_named = entered.head().headers.contains_key(SESSION_ID);
    let none = if is_named { NoSession::NotFound } else { NoSession::Missing };
    find(gateway, entered, versions).ok_or_else(|| none.reply(None))
}

/// Whether a request has its session still.
pub(crate) fn stands(gateway: &Gateway, entered: &Entered, version: LegacyVersion) -> bool {
    present(gateway, entered, version).is_ok()
}

/// The session of a request, in one of these versions.
fn find(gateway: &Gateway, entered: &Entered, versions: &[LegacyVersion]) -> Option<(LegacyVersion, Digest)> {
    versions.iter().find_map(|version| present(gateway, entered, *version).ok().map(|session| (*version, session.name)))
}

/// A `DELETE`: ends a legacy session. There is nothing else to delete.
pub(crate) async fn end(gateway: &Gateway, entered: Entered) -> Closed<Reply> {
    let headers = &entered.head().headers;
    let named = headers.get(PROTOCOL_VERSION).and_then(|value| value.to_str().ok()).map(Era::from_wire);
    // Some clients leave the version out when they say goodbye.
    let versions: &[LegacyVersion] = match named {
        Some(Some(Era::Legacy(LegacyVersion::V2025_06_18))) => &[LegacyVersion::V2025_06_18],
        Some(Some(Era::Legacy(LegacyVersion::V2025_11_25))) => &[LegacyVersion::V2025_11_25],
        None => &[LegacyVersion::V2025_11_25, LegacyVersion::V2025_06_18],
        Some(Some(Era::Modern) | None) => return entered.refuse(gateway, Reply::method_not_allowed()),
    };
    let era = Era::Legacy(versions.first().copied().unwrap_or(LegacyVersion::V2025_11_25));
    let opened = match Opened::open(gateway, &entered, (era, Method::EndSession), 0) {
        Ok(opened) => opened,
        Err(closed) => return closed,
    };
    let reply = match session(gateway, &entered, versions) {
        Ok((_, name)) => {
            gateway.shared.sessions.end(name);
            Reply::empty(StatusCode::NO_CONTENT, "session_ended")
        }
        Err(none) => none,
    };
    opened.close(reply).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: [&str; 5] = ["default", "local:alice", "", "client-a", "2025-11-25"];

    fn keys() -> (tempfile::TempDir, Keys) {
        let directory = tempfile::tempdir().unwrap();
        let keys = Keys::open(directory.path()).unwrap();
        (directory, keys)
    }

    fn with(session: &HeaderValue) -> HeaderMap {
        HeaderMap::from_iter([(SESSION_ID, session.clone())])
    }

    #[test]
    fn a_session_opens_only_for_what_it_was_made_for() {
        let (_directory, keys) = keys();
        let sessions = Sessions::new(Duration::from_mins(1));
        let session = with(&sessions.seal(&keys, &Bound::of(ALICE), (None, false), 1_000).unwrap());
        assert!(sessions.open(&keys, &Bound::of(ALICE), &session, 1_000).is_ok());
        for (at, other) in [(0, "other"), (1, "local:bob"), (2, "bot"), (3, "client-b"), (4, "2025-06-18")] {
            let mut bound = ALICE;
            bound[at] = other;
            assert_eq!(sessions.open(&keys, &Bound::of(bound), &session, 1_000), Err(NoSession::NotFound), "{other}");
        }
        // Parts do not run together.
        let shifted = Bound::of(["default", "local:alic", "e", "client-a", "2025-11-25"]);
        assert_eq!(sessions.open(&keys, &shifted, &session, 1_000), Err(NoSession::NotFound));
    }

    #[test]
    fn forged_expired_and_ended_sessions_are_not_found() {
        let (_directory, keys) = keys();
        let sessions = Sessions::new(Duration::from_mins(1));
        let bound = Bound::of(ALICE);
        let issued = sessions.seal(&keys, &bound, (None, false), 1_000).unwrap();
        let session = with(&issued);
        assert_eq!(sessions.open(&keys, &bound, &session, 61_000), Err(NoSession::NotFound));
        for forged in ["", "x", "00000000", "AAAA", &"A".repeat(300)] {
            let forged = with(&HeaderValue::from_str(forged).unwrap());
            assert_eq!(sessions.open(&keys, &bound, &forged, 1_000), Err(NoSession::NotFound));
        }
        let text = issued.to_str().unwrap();
        for at in 0..text.len() {
            let mut altered = text.as_bytes().to_vec();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = with(&HeaderValue::from_bytes(&altered).unwrap());
            assert_eq!(sessions.open(&keys, &bound, &altered, 1_000), Err(NoSession::NotFound), "{at}");
        }
        assert_eq!(sessions.open(&keys, &bound, &HeaderMap::new(), 1_000), Err(NoSession::Missing));
        let opened = sessions.open(&keys, &bound, &session, 1_000).unwrap();
        sessions.ended.insert(opened.name, ());
        assert_eq!(sessions.open(&keys, &bound, &session, 1_000), Err(NoSession::NotFound));
    }

    #[test]
    fn a_session_knows_when_and_by_which_login_it_was_made() {
        let (_directory, keys) = keys();
        let sessions = Sessions::new(Duration::from_mins(1));
        let bound = Bound::of(ALICE);
        let foreign = Scope::parse("sid", &format!("okta:{}", "s".repeat(LONGEST_LOGIN - 9))).unwrap();
        for login in [None, Some(Scope::Family("f 1".into())), Some(foreign)] {
            let session = sessions.seal(&keys, &bound, (login.as_ref(), true), 1_000).unwrap();
            assert!(session.len() <= LONGEST, "{}", session.len());
            let opened = sessions.open(&keys, &bound, &with(&session), 2_000).unwrap();
            assert_eq!((opened.issued_at, opened.login, opened.elicits_url), (1_000, login, true));
        }
        let longer = Scope::Family("f".repeat(LONGEST_LOGIN));
        let session = with(&sessions.seal(&keys, &bound, (Some(&longer), false), 1_000).unwrap());
        assert_eq!(sessions.open(&keys, &bound, &session, 2_000).unwrap().login, None);
    }
}
