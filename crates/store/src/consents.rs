//! Consents: which toolsets a person ticked and declined for one client, endpoint, redirect and metadata.
//!
//! Whether a remembered consent may be used without asking again is decided by the authorization server.

use ambit_model::{
    Digest,
    ids::{ClientId, EndpointSlug, Millis, ToolsetSlug, UserKey},
};

use crate::{
    Source, StoreError, Tx,
    statement::{Row, args, json},
};

/// What a consent holds for. A change in any part asks again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsentKey {
    /// The person.
    pub user: UserKey,
    /// The client.
    pub client: ClientId,
    /// The endpoint.
    pub endpoint: EndpointSlug,
    /// The redirect, exactly as registered.
    pub redirect_uri: String,
    /// The digest of the client's metadata.
    pub metadata_digest: Digest,
}

impl ConsentKey {
    /// The parts together can exceed what an index entry may hold, so the row is keyed by their digest.
    fn digest(&self) -> Digest {
        let user = self.user.to_string();
        Digest::of_parts([
            user.as_bytes(),
            self.client.as_str().as_bytes(),
            self.endpoint.as_str().as_bytes(),
            self.redirect_uri.as_bytes(),
            self.metadata_digest.0.as_slice(),
        ])
    }
}

/// A consent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consent {
    /// What it holds for.
    pub key: ConsentKey,
    /// The toolsets the person ticked.
    pub ticked: Vec<ToolsetSlug>,
    /// The toolsets the person was offered and left unticked.
    pub declined: Vec<ToolsetSlug>,
    /// When.
    pub decided_at: Millis,
}

impl Consent {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            key: ConsentKey {
                user: row.user("user_key")?,
                client: row.id("client")?,
                endpoint: row.id("endpoint")?,
                redirect_uri: row.text("redirect_uri")?,
                metadata_digest: row.digest("metadata_digest")?,
            },
            ticked: row.json("ticked")?,
            declined: row.json("declined")?,
            decided_at: row.int("decided_at")?,
        })
    }
}

const UPSERT: &str = "
insert into consents
    (key_digest, user_key, client, endpoint, redirect_uri, metadata_digest, ticked, declined, decided_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (key_digest) do update set
    ticked = excluded.ticked, declined = excluded.declined, decided_at = excluded.decided_at";
const FIND: &str = "select * from consents where key_digest = $1";
const LIST_BY_USER: &str = "select * from consents where user_key = $1 order by decided_at desc, key_digest";
const DELETE: &str = "delete from consents where key_digest = $1";
const DELETE_CLIENT: &str = "delete from consents where user_key = $1 and client = $2";

/// Keeps a consent in place of an earlier one with the same key.
///
/// # Errors
/// [`StoreError`].
pub async fn upsert(tx: &mut Tx, consent: &Consent) -> Result<(), StoreError> {
    let key = &consent.key;
    let digest = key.digest();
    let args = args![
        &digest,
        &key.user,
        key.client.as_str(),
        key.endpoint.as_str(),
        key.redirect_uri.as_str(),
        &key.metadata_digest,
        json("ticked", &consent.ticked)?,
        json("declined", &consent.declined)?,
        consent.decided_at,
    ];
    tx.execute(UPSERT, args).await.map(drop)
}

/// The consent with this key.
///
/// # Errors
/// [`StoreError`].
pub async fn find(source: impl Source, key: &ConsentKey) -> Result<Option<Consent>, StoreError> {
    source.row(FIND, args![&key.digest()]).await?.as_ref().map(Consent::read).transpose()
}

/// The consents of a person, newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn list_by_user(source: impl Source, user: &UserKey) -> Result<Vec<Consent>, StoreError> {
    source.rows(LIST_BY_USER, args![user]).await?.iter().map(Consent::read).collect()
}

/// Forgets a consent. False if there was none.
///
/// # Errors
/// [`StoreError`].
pub async fn delete(tx: &mut Tx, key: &ConsentKey) -> Result<bool, StoreError> {
    Ok(tx.execute(DELETE, args![&key.digest()]).await? == 1)
}

/// Forgets every consent a person gave a client.
///
/// # Errors
/// [`StoreError`].
pub async fn delete_by_client(tx: &mut Tx, user: &UserKey, client: &ClientId) -> Result<u64, StoreError> {
    tx.execute(DELETE_CLIENT, args![user, client.as_str()]).await
}
