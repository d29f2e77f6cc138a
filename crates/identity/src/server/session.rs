//! Login sessions: a random id in a cookie, a row in the store. A login always begins a new one, so that an id somebody put
//! into the browser before never becomes a logged-in one.

use ambit_live::Snapshot;
use ambit_model::{
    Digest,
    ids::{Millis, UserKey},
    revocation::Scope,
};
use ambit_store::{
    Tx, accounts,
    sessions::{self, Session},
};
use http::HeaderMap;

use super::{cookie::Cookie, failure::Down, person, state::Server};

/// The longest life of a session.
pub(crate) const LIFE_MS: Millis = 12 * 3_600_000;

/// Unused this long, a session is over.
pub(crate) const IDLE_MS: Millis = 2 * 3_600_000;

/// How precisely use is noted.
const TOUCH_MS: Millis = 60_000;

/// The session of a browser, if it is one that still counts: not over, not revoked, of an account that may log in.
pub(crate) async fn current(
    server: &Server,
    snapshot: &Snapshot,
    headers: &HeaderMap,
) -> Result<Option<Session>, Down> {
    let Some(id) = Cookie::Session.read(headers, server.is_secure()) else { return Ok(None) };
    let now = server.now();
    let store = server.live.store();
    let Some(session) = sessions::find(store, &id_hash(id), now).await? else { return Ok(None) };
    if session.last_seen_at + IDLE_MS <= now || is_dead(snapshot, &session.user, session.auth_time) {
        return Ok(None);
    }
    if person::standing(store, snapshot, &session.user).await?.is_none() {
        return Ok(None);
    }
    if session.last_seen_at + TOUCH_MS <= now {
        let mut tx = store.begin().await?;
        sessions::touch(&mut tx, &session.id_hash, now).await?;
        tx.commit().await?;
    }
    Ok(Some(session))
}

/// Begins a session in place of the browser's earlier one, and gives the cookie's value.
pub(crate) async fn begin(server: &Server, tx: &mut Tx, headers: &HeaderMap, user: &UserKey) -> Result<String, Down> {
    end(server, tx, headers).await?;
    let now = server.now();
    let id = server.secret_text()?;
    let session = Session {
        id_hash: id_hash(&id),
        user: user.clone(),
        auth_time: now,
        amr: vec!["pwd".into()],
        csrf: server.live.keys().random::<32>()?.to_vec(),
        created_at: now,
        expires_at: now + LIFE_MS,
        last_seen_at: now,
    };
    sessions::insert(tx, &session).await?;
    Ok(id)
}

/// Ends the session of a browser, whatever its state.
pub(crate) async fn end(server: &Server, tx: &mut Tx, headers: &HeaderMap) -> Result<(), Down> {
    if let Some(id) = Cookie::Session.read(headers, server.is_secure()) {
        sessions::delete(tx, &id_hash(id)).await?;
    }
    Ok(())
}

/// Ends every session of a user, for instance when the password changed.
pub(crate) async fn end_all(tx: &mut Tx, user: &UserKey) -> Result<u64, Down> {
    Ok(sessions::delete_by_user(tx, user).await?)
}

/// Whether a revocation or block reaches what this user proved at an instant.
pub(crate) fn is_dead(snapshot: &Snapshot, user: &UserKey, since: Millis) -> bool {
    snapshot.revocations.judge(&[Scope::Deployment, Scope::User(user.clone())], since).is_some()
}

fn id_hash(id: &str) -> Digest {
    Digest::of(id.as_bytes())
}

/// Whether an account could log in if it knew the password.
pub(crate) fn may_log_in(account: &accounts::Account) -> bool {
    !account.disabled && account.password_hash.is_some()
}
