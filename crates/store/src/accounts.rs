//! Local accounts and the one-time links that set their passwords.
//!
//! Holds password hashes (PHC strings) made elsewhere and digests of link tokens, never a password or a token.

use ambit_model::{
    Digest,
    ids::{Millis, Subject},
};

use crate::{
    Source, StoreError, Tx,
    statement::{Row, args},
};

/// A local account.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name: the subject of the issuer `local`.
    pub name: Subject,
    /// The PHC string, once a password was set.
    pub password_hash: Option<String>,
    /// Whether logging in is refused.
    pub disabled: bool,
    /// When it was made.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("name", &self.name).field("disabled", &self.disabled).finish_non_exhaustive()
    }
}

impl Account {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            name: row.id("name")?,
            password_hash: row.opt_text("password_hash")?,
            disabled: row.flag("disabled")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

const CREATE: &str = "
insert into accounts (name, password_hash, disabled, created_at, updated_at) values ($1, $2, 0, $3, $3)
on conflict (name) do nothing";
const FIND: &str = "select * from accounts where name = $1";
const LIST: &str = "select * from accounts order by name";
const SET_PASSWORD: &str = "update accounts set password_hash = $2, updated_at = $3 where name = $1";
const SET_DISABLED: &str = "update accounts set disabled = $2, updated_at = $3 where name = $1";
const DROP_LINKS: &str = "delete from account_links where account = $1";
const INSERT_LINK: &str = "insert into account_links (hash, account, expires_at) values ($1, $2, $3)";
const FIND_LINK: &str = "
select account from account_links where hash = $1 and consumed_at is null and expires_at > $2";
const CONSUME_LINK: &str = "
update account_links set consumed_at = $2 where hash = $1 and consumed_at is null and expires_at > $2
returning account";
const PURGE_LINKS: &str = "delete from account_links where expires_at <= $1";

/// Makes an account. False if one of this name exists; that one is left as it is.
///
/// # Errors
/// [`StoreError`].
pub async fn create(
    tx: &mut Tx,
    name: &Subject,
    password_hash: Option<&str>,
    now_ms: Millis,
) -> Result<bool, StoreError> {
    Ok(tx.execute(CREATE, args![name.as_str(), password_hash, now_ms]).await? == 1)
}

/// The account of this name.
///
/// # Errors
/// [`StoreError`].
pub async fn find(source: impl Source, name: &Subject) -> Result<Option<Account>, StoreError> {
    source.row(FIND, args![name.as_str()]).await?.as_ref().map(Account::read).transpose()
}

/// Every account, by name.
///
/// # Errors
/// [`StoreError`].
pub async fn list(source: impl Source) -> Result<Vec<Account>, StoreError> {
    source.rows(LIST, &[]).await?.iter().map(Account::read).collect()
}

/// Sets the password hash and makes every open link of the account useless. False if there is no such account.
///
/// # Errors
/// [`StoreError`].
pub async fn set_password(tx: &mut Tx, name: &Subject, hash: &str, now_ms: Millis) -> Result<bool, StoreError> {
    tx.execute(DROP_LINKS, args![name.as_str()]).await?;
    Ok(tx.execute(SET_PASSWORD, args![name.as_str(), hash, now_ms]).await? == 1)
}

/// Refuses further logins. What the account already holds is ended by a revocation or block, not by this.
///
/// # Errors
/// [`StoreError`].
pub async fn disable(tx: &mut Tx, name: &Subject, now_ms: Millis) -> Result<bool, StoreError> {
    set_disabled(tx, name, true, now_ms).await
}

/// Allows logins again.
///
/// # Errors
/// [`StoreError`].
pub async fn enable(tx: &mut Tx, name: &Subject, now_ms: Millis) -> Result<bool, StoreError> {
    set_disabled(tx, name, false, now_ms).await
}

async fn set_disabled(tx: &mut Tx, name: &Subject, disabled: bool, now_ms: Millis) -> Result<bool, StoreError> {
    tx.changes_what_requests_see();
    Ok(tx.execute(SET_DISABLED, args![name.as_str(), disabled, now_ms]).await? == 1)
}

/// Keeps the digest of a set-password link.
///
/// # Errors
/// [`StoreError::Refused`] if there is no such account.
pub async fn insert_link(tx: &mut Tx, hash: &Digest, account: &Subject, expires_at: Millis) -> Result<(), StoreError> {
    tx.execute(INSERT_LINK, args![hash, account.as_str(), expires_at]).await.map(drop)
}

/// Whose link this is, while it can still be consumed. For showing the form; consuming decides.
///
/// # Errors
/// [`StoreError`].
pub async fn find_link(source: impl Source, hash: &Digest, now_ms: Millis) -> Result<Option<Subject>, StoreError> {
    source.row(FIND_LINK, args![hash, now_ms]).await?.map(|row| row.id("account")).transpose()
}

/// Consumes a link, once. None if it is unknown, expired or already consumed.
///
/// # Errors
/// [`StoreError`].
pub async fn consume_link(tx: &mut Tx, hash: &Digest, now_ms: Millis) -> Result<Option<Subject>, StoreError> {
    tx.row(CONSUME_LINK, args![hash, now_ms]).await?.map(|row| row.id("account")).transpose()
}

/// Forgets links that can no longer be consumed.
///
/// # Errors
/// [`StoreError`].
pub async fn purge_expired_links(tx: &mut Tx, now_ms: Millis) -> Result<u64, StoreError> {
    tx.execute(PURGE_LINKS, args![now_ms]).await
}
