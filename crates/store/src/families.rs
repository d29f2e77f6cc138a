//! Token families: one authorization of one client by one user, and the refresh tokens that follow each other in it.
//!
//! A refresh token is rotated once. Shown again soon after by its own client, it is a lost reply; shown later, it is a stolen
//! copy, and the family ends here, in the same transaction.

use ambit_model::{
    Digest,
    ids::{ClientId, EndpointSlug, Millis, ToolsetSlug, UserKey},
    revocation::Scope,
};

use crate::{
    Source, StoreError, Tx, revocations,
    statement::{Row, args, json},
};

/// A family.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Family {
    /// Its id: random, in every token of it.
    pub id: String,
    /// Who authorized.
    pub user: UserKey,
    /// Which client.
    pub client: ClientId,
    /// For which endpoint.
    pub endpoint: EndpointSlug,
    /// The toolsets the next refresh may name.
    pub toolsets: Vec<ToolsetSlug>,
    /// What else the caller keeps of the authorization: JSON of the caller.
    pub details: String,
    /// When the person last proved who they are.
    pub auth_time: Millis,
    /// When it began.
    pub created_at: Millis,
    /// When a token of it was last exchanged.
    pub last_used_at: Millis,
    /// When it was ended, if it was.
    pub revoked_at: Option<Millis>,
}

impl Family {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text("id")?,
            user: row.user("user_key")?,
            client: row.id("client")?,
            endpoint: row.id("endpoint")?,
            toolsets: row.json("toolsets")?,
            details: row.text("details")?,
            auth_time: row.int("auth_time")?,
            created_at: row.int("created_at")?,
            last_used_at: row.int("last_used_at")?,
            revoked_at: row.opt_int("revoked_at")?,
        })
    }
}

/// A refresh token as it is issued.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefreshToken {
    /// The digest of the token.
    pub hash: Digest,
    /// Its family.
    pub family: String,
    /// How many came before it.
    pub generation: u64,
    /// When it was issued.
    pub issued_at: Millis,
    /// It counts until just before this instant.
    pub expires_at: Millis,
}

/// What became of a refresh token that was shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rotation {
    /// It was current and is now rotated: issue the next generation.
    Fresh {
        /// Its family.
        family: Family,
        /// Its own generation; the next token has one more.
        generation: u64,
    },
    /// It was rotated a moment ago: issue an access token, no refresh token.
    WithinGrace {
        /// Its family.
        family: Family,
    },
    /// It was rotated long ago: somebody has a copy. The family was ended; commit.
    Reused {
        /// Its family, as it was.
        family: Family,
    },
    /// It belongs to another client and was left alone.
    OtherClient,
    /// It is past its time.
    Expired,
    /// Its family was ended before.
    FamilyRevoked,
    /// No such token.
    Unknown,
}

const INSERT: &str = "
insert into families
    (id, user_key, client, endpoint, toolsets, details, auth_time, created_at, last_used_at, revoked_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const INSERT_TOKEN: &str = "
insert into refresh_tokens (hash, family, generation, issued_at, expires_at) values ($1, $2, $3, $4, $5)";
const FIND: &str = "select * from families where id = $1";
const FIND_BY_TOKEN: &str = "
select f.*, t.generation, t.expires_at, t.rotated_at
from refresh_tokens t join families f on f.id = t.family where t.hash = $1";
const LIST_BY_USER: &str = "
select * from families where user_key = $1 and revoked_at is null order by created_at desc, id";
const UPDATE_CHOICE: &str = "update families set toolsets = $2, details = $3 where id = $1 and revoked_at is null";
/// Writing the family's row first makes every rotation, and every end, of one family take turns on either engine.
const HOLD: &str = "
update families set last_used_at = case when last_used_at < $3 then $3 else last_used_at end
where id = (select family from refresh_tokens where hash = $1) and client = $2 and revoked_at is null";
/// The rule: of any number of calls at once, one finds `rotated_at` empty.
const ROTATE: &str = "
update refresh_tokens set rotated_at = $2 where hash = $1 and rotated_at is null and expires_at > $2";
const END: &str = "update families set revoked_at = $2 where id = $1 and revoked_at is null";
const PURGE_TOKENS: &str = "delete from refresh_tokens where expires_at <= $1";
const PURGE_FAMILIES: &str = "
delete from families where last_used_at <= $1
and not exists (select 1 from refresh_tokens t where t.family = families.id)";

/// Begins a family.
///
/// # Errors
/// [`StoreError::Exists`] if the id is taken.
pub async fn insert(tx: &mut Tx, family: &Family) -> Result<(), StoreError> {
    let toolsets = json("toolsets", &family.toolsets)?;
    let args = args![
        family.id.as_str(),
        &family.user,
        family.client.as_str(),
        family.endpoint.as_str(),
        toolsets,
        family.details.as_str(),
        family.auth_time,
        family.created_at,
        family.last_used_at,
        family.revoked_at,
    ];
    tx.execute(INSERT, args).await.map(drop)
}

/// Keeps the next refresh token of a family.
///
/// # Errors
/// [`StoreError::Exists`] if the token or its generation is taken.
pub async fn insert_token(tx: &mut Tx, token: &RefreshToken) -> Result<(), StoreError> {
    let args = args![&token.hash, token.family.as_str(), token.generation, token.issued_at, token.expires_at];
    tx.execute(INSERT_TOKEN, args).await.map(drop)
}

/// The family of this id, ended or not.
///
/// # Errors
/// [`StoreError`].
pub async fn find(source: impl Source, id: &str) -> Result<Option<Family>, StoreError> {
    source.row(FIND, args![id]).await?.as_ref().map(Family::read).transpose()
}

/// A refresh token as it stands, with its family: for introspection (RFC 7662) and revocation (RFC 7009).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// Its family.
    pub family: Family,
    /// It counts until just before this instant.
    pub expires_at: Millis,
    /// When it was exchanged, if it was.
    pub rotated_at: Option<Millis>,
}

/// Looks at a refresh token without using it.
///
/// # Errors
/// [`StoreError`].
pub async fn find_by_token(source: impl Source, hash: &Digest) -> Result<Option<Shown>, StoreError> {
    let Some(row) = source.row(FIND_BY_TOKEN, args![hash]).await? else { return Ok(None) };
    Ok(Some(Shown {
        family: Family::read(&row)?,
        expires_at: row.int("expires_at")?,
        rotated_at: row.opt_int("rotated_at")?,
    }))
}

/// The families of a user that were not ended, newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn list_by_user(source: impl Source, user: &UserKey) -> Result<Vec<Family>, StoreError> {
    source.rows(LIST_BY_USER, args![user]).await?.iter().map(Family::read).collect()
}

/// Changes what the next refresh may name, together with what the caller keeps of the authorization. False if there is no
/// such family or it was ended.
///
/// # Errors
/// [`StoreError`].
pub async fn update_choice(tx: &mut Tx, id: &str, toolsets: &[ToolsetSlug], details: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(UPDATE_CHOICE, args![id, json("toolsets", &toolsets)?, details]).await? == 1)
}

/// Shows a refresh token for its client. Exactly one of any number of calls at once is [`Rotation::Fresh`]. Commit whatever
/// the answer is.
///
/// # Errors
/// [`StoreError`].
pub async fn rotate(
    tx: &mut Tx,
    hash: &Digest,
    client: &ClientId,
    now_ms: Millis,
    grace_ms: Millis,
) -> Result<Rotation, StoreError> {
    let held = tx.execute(HOLD, args![hash, client.as_str(), now_ms]).await? == 1;
    let rotated = held && tx.execute(ROTATE, args![hash, now_ms]).await? == 1;
    let Some(row) = (&mut *tx).row(FIND_BY_TOKEN, args![hash]).await? else { return Ok(Rotation::Unknown) };
    let family = Family::read(&row)?;
    if rotated {
        return Ok(Rotation::Fresh { family, generation: row.count("generation")? });
    }
    if family.client != *client {
        return Ok(Rotation::OtherClient);
    }
    if !held || family.revoked_at.is_some() {
        return Ok(Rotation::FamilyRevoked);
    }
    match row.opt_int("rotated_at")? {
        Some(at) if now_ms.saturating_sub(at) <= grace_ms => Ok(Rotation::WithinGrace { family }),
        Some(_) => {
            revoke(tx, &family.id, now_ms, "ambit", "a refresh token was shown again after its rotation").await?;
            Ok(Rotation::Reused { family })
        }
        None => Ok(Rotation::Expired),
    }
}

/// Ends a family: no refresh from here on, and every access token issued until now is dead at the next request. False if it
/// is unknown or was ended before; the mark against its access tokens is set all the same.
///
/// # Errors
/// [`StoreError`].
pub async fn revoke(tx: &mut Tx, id: &str, now_ms: Millis, by: &str, reason: &str) -> Result<bool, StoreError> {
    let ended = tx.execute(END, args![id, now_ms]).await? == 1;
    let act = revocations::Act { by, reason, at_ms: now_ms };
    revocations::revoke(tx, &Scope::Family(id.to_owned()), now_ms, act).await?;
    Ok(ended)
}

/// Forgets refresh tokens that expired at or before an instant, and families without tokens not used since.
///
/// # Errors
/// [`StoreError`].
pub async fn purge_expired(tx: &mut Tx, before_ms: Millis) -> Result<u64, StoreError> {
    let tokens = tx.execute(PURGE_TOKENS, args![before_ms]).await?;
    Ok(tokens + tx.execute(PURGE_FAMILIES, args![before_ms]).await?)
}
