//! `POST /as/<slug>/token`: a code or a refresh token becomes an access token of ten minutes (RFC 6749 §4.1.3, §6).
//!
//! Nothing is remembered in place of a check: account, client, grants and blocks are looked at each time.

mod code;
mod refresh;

use std::collections::BTreeSet;

use ambit_live::recorder::Deed;
use ambit_model::{
    caller::UserFacts,
    ids::{Millis, ToolsetSlug},
};
use ambit_store::{
    Tx,
    families::{self, Family, RefreshToken},
};
use axum::{
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use serde_json::json;

use super::{
    Shared, authorization,
    client::prove::{self, Proved},
    code::Details,
    failure::Down,
    fields::Fields,
    oauth_error::OAuthError,
    offers, person, refusals, reply,
    state::{Place, Server},
    visitor::Visitor,
};
use crate::{
    admin,
    mint::{Minted, TokenRequest, mint},
    token::TokenSubject,
};

/// Unused this long, a refresh token is over.
pub(crate) const REFRESH_LIFE_MS: Millis = 30 * 24 * 3_600_000;

/// This long after the login, however often it was refreshed, the person logs in again.
pub(crate) const FAMILY_LIFE_MS: Millis = 90 * 24 * 3_600_000;

/// What stands before our refresh tokens, so that scanners for leaked secrets recognise them.
const REFRESH_PREFIX: &str = "ambit_rt_";

pub(crate) async fn exchange(
    State(server): State<Shared>,
    Path(slug): Path<String>,
    visitor: Visitor,
    body: Bytes,
) -> Response {
    let Some(place) = Place::of_issuer(&server, &slug) else { return OAuthError::not_found().into_response() };
    let answer = match answer(&server, &place, &visitor, &body).await {
        Ok(issued) => issued.into_response(),
        Err(error) => refusals::refuse(&server, place.endpoint.slug.as_str(), visitor.source, error).into_response(),
    };
    // No page has any business with the admin API.
    if place.admin.is_some() { answer } else { reply::to_any_origin(answer) }
}

async fn answer(server: &Server, place: &Place, visitor: &Visitor, body: &[u8]) -> Result<Issued, OAuthError> {
    let fields = Fields::of_form(&visitor.headers, body)?;
    let client = prove::client(server, place, visitor, &fields).await?;
    if !fields.all("resource").all(|resource| place.is_resource(resource)) {
        return Err(OAuthError::bad("invalid_target", "this authorization server makes tokens for another resource"));
    }
    match fields.required("grant_type")? {
        "authorization_code" => code::exchange(server, place, &client, &fields).await,
        "refresh_token" if place.admin.is_some() => {
            Err(OAuthError::bad("unsupported_grant_type", "tokens for the admin API are not refreshed: log in again"))
        }
        "refresh_token" => refresh::exchange(server, place, &client, &fields).await,
        _ => Err(OAuthError::bad("unsupported_grant_type", "`grant_type` is `authorization_code` or `refresh_token`")),
    }
}

/// What leaves: the access token, and the next refresh token unless this was a repetition.
struct Issued {
    minted: Minted,
    refresh_token: Option<String>,
}

impl axum::response::IntoResponse for Issued {
    fn into_response(self) -> Response {
        let mut body = json!({
            "access_token": self.minted.token,
            "token_type": "Bearer",
            "expires_in": self.minted.expires_in,
            "scope": self.minted.scope,
        });
        if let (Some(token), Some(members)) = (self.refresh_token, body.as_object_mut()) {
            members.insert("refresh_token".to_owned(), token.into());
        }
        reply::json(StatusCode::OK, &body)
    }
}

/// Why an authorization is worth nothing (any more).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Over(&'static str);

/// The person of an authorization, if everything it rests on still holds.
async fn still_good(
    server: &Server,
    tx: &mut Tx,
    place: &Place,
    family: &Family,
    details: &Details,
    client: &Proved,
) -> Result<Result<UserFacts, Over>, Down> {
    if authorization::is_over(tx, family).await? {
        return Ok(Err(Over("the authorization was revoked or is blocked: log in again")));
    }
    if family.created_at + FAMILY_LIFE_MS <= server.now() {
        return Ok(Err(Over("the login is too old: log in again")));
    }
    if details.assurance == ambit_model::caller::Assurance::Confidential && !client.by_secret {
        return Ok(Err(Over("the client proved itself when it was authorized, and does not now")));
    }
    if !place.admits(&family.user) {
        return Ok(Err(Over("the account has no role here (any more)")));
    }
    let user = person::standing(&mut *tx, &place.snapshot, &family.user).await?;
    Ok(user.ok_or(Over("the account may not be used (any more)")))
}

/// Makes the access token of a family: the toolsets it may name, as far as the person holds them now.
fn access_token(
    server: &Server,
    place: &Place,
    (family, details): (&Family, &Details),
    user: &UserFacts,
    only: Option<&BTreeSet<ToolsetSlug>>,
) -> Result<Minted, Down> {
    let now = server.now();
    let unable = |error| {
        tracing::error!(%error, "an access token could not be made");
        Down::Defect
    };
    if let Some(resource) = &place.admin {
        let wish = admin::token::Wish {
            user: &family.user,
            family: &family.id,
            auth_time: family.auth_time,
            authorized_at: family.created_at,
        };
        return admin::token::mint(&server.signing, resource, wish, now).map_err(unable);
    }
    let client = details.client(&family.client);
    let consented: BTreeSet<ToolsetSlug> = family.toolsets.iter().cloned().collect();
    let held = offers::held(&place.snapshot, user, &client, now);
    let asked = |slug: &&ToolsetSlug| held.contains(*slug) && only.is_none_or(|only| only.contains(*slug));
    let request = TokenRequest {
        subject: TokenSubject::Person(family.user.clone()),
        client,
        toolsets: consented.iter().filter(asked).cloned().collect(),
        declined: details.declined(&consented),
        family: Some(family.id.clone()),
        auth_time: Some(family.auth_time),
        amr: details.amr.clone(),
        authorized_at: family.created_at,
    };
    mint(&server.signing, &place.endpoint, request, now).map_err(unable)
}

/// Makes the next refresh token of a family.
async fn refresh_token(server: &Server, tx: &mut Tx, family: &Family, generation: u64) -> Result<String, Down> {
    let text = format!("{REFRESH_PREFIX}{}", server.secret_text()?);
    let now = server.now();
    let token = RefreshToken {
        hash: refresh_hash(&text),
        family: family.id.clone(),
        generation,
        issued_at: now,
        expires_at: (now + REFRESH_LIFE_MS).min(family.created_at + FAMILY_LIFE_MS),
    };
    families::insert_token(tx, &token).await?;
    Ok(text)
}

/// What a refresh token is stored under.
pub(crate) fn refresh_hash(token: &str) -> ambit_model::Digest {
    ambit_model::Digest::of(token.as_bytes())
}

/// Writes down what became of a family.
async fn record(
    server: &Server,
    act: &str,
    family: &Family,
    minted: Option<&Minted>,
    reason: Option<&str>,
) -> Result<(), Down> {
    let mut after = json!({ "client": family.client, "endpoint": family.endpoint });
    if let (Some(minted), Some(members)) = (minted, after.as_object_mut()) {
        members.insert("scope".to_owned(), minted.scope.as_str().into());
        members.insert("token".to_owned(), minted.record.to_string().into());
    }
    let by = format!("user {}", family.user);
    // A family that ends because of what was shown here was ended by us, not by its person.
    let by = if minted.is_some() { by.as_str() } else { "ambit" };
    let subject = format!("family {}", family.id);
    server.record(Deed { by, act, subject: &subject, after: Some(after), reason, ..Deed::default() }).await
}
