//! `grant_type=refresh_token`: each refresh token is exchanged once for the next (RFC 9700 §4.14.2). Shown again within
//! half a minute by its client, a reply was lost: an access token, no new refresh token. Later, it was copied: the family
//! ends.

use std::collections::BTreeSet;

use ambit_model::ids::{Millis, ToolsetSlug};
use ambit_store::{
    Tx,
    families::{self, Family, Rotation},
};

use super::{Issued, access_token, record, refresh_hash, refresh_token, still_good};
use crate::{
    server::{
        client::prove::Proved,
        code::Details,
        failure::Down,
        fields::Fields,
        oauth_error::OAuthError,
        state::{Place, Server},
    },
    token,
};

/// How long after its rotation a refresh token is taken for a lost reply.
pub(crate) const GRACE_MS: Millis = 30_000;

const OVER: &str = "the refresh token is unknown, expired or revoked: log in again";

pub(super) async fn exchange(
    server: &Server,
    place: &Place,
    client: &Proved,
    fields: &Fields,
) -> Result<Issued, OAuthError> {
    let hash = refresh_hash(fields.required("refresh_token")?);
    let only = fields.one("scope")?.map(token::toolsets_of_scope);
    // Anybody can make tokens up: that must not take anybody's turn to write.
    let shown = families::find_by_token(server.live.store(), &hash).await?;
    let family = shown.map(|shown| shown.family).filter(|family| {
        family.endpoint == place.endpoint.slug && family.client == client.id && family.revoked_at.is_none()
    });
    let family = family.ok_or_else(|| OAuthError::invalid_grant(OVER))?;
    // Looked at before the token is spent: a request that asks for too much may be repeated.
    if only.as_ref().is_some_and(|only| only.iter().any(|slug| !family.toolsets.contains(slug))) {
        return Err(OAuthError::bad("invalid_scope", "`scope` names a toolset that was not consented to"));
    }
    let mut tx = server.live.store().begin().await?;
    match families::rotate(&mut tx, &hash, &client.id, server.now(), GRACE_MS).await? {
        Rotation::Fresh { family, generation } => {
            go_on(server, place, client, tx, family, Some(generation + 1), only.as_ref()).await
        }
        Rotation::WithinGrace { family } => go_on(server, place, client, tx, family, None, only.as_ref()).await,
        Rotation::Reused { family } => {
            let reason = "a refresh token was shown again after its rotation";
            record(server, "family.revoke", &family, None, Some(reason)).await?;
            tx.commit().await?;
            server.settle().await;
            Err(OAuthError::invalid_grant("the refresh token was used already: its authorization is revoked"))
        }
        Rotation::OtherClient | Rotation::Expired | Rotation::FamilyRevoked | Rotation::Unknown => {
            tx.commit().await?;
            Err(OAuthError::invalid_grant(OVER))
        }
    }
}

/// The next tokens of a family, or its end if what it rests on is gone.
async fn go_on(
    server: &Server,
    place: &Place,
    client: &Proved,
    mut tx: Tx,
    family: Family,
    next: Option<u64>,
    only: Option<&BTreeSet<ToolsetSlug>>,
) -> Result<Issued, OAuthError> {
    let details: Details = serde_json::from_str(&family.details).map_err(Down::from)?;
    let user = match still_good(server, &mut tx, place, &family, &details, client).await? {
        Ok(user) => user,
        Err(over) => {
            families::revoke(&mut tx, &family.id, server.now(), "ambit", over.0).await?;
            record(server, "family.revoke", &family, None, Some(over.0)).await?;
            tx.commit().await?;
            server.settle().await;
            return Err(OAuthError::invalid_grant(over.0));
        }
    };
    let refresh_token = match next {
        Some(generation) => Some(refresh_token(server, &mut tx, &family, generation).await?),
        None => None,
    };
    let minted = access_token(server, place, (&family, &details), &user, only)?;
    record(server, "family.refresh", &family, Some(&minted), None).await?;
    tx.commit().await?;
    Ok(Issued { minted, refresh_token })
}
