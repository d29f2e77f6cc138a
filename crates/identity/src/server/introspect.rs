//! `POST /as/<slug>/introspect` (RFC 7662): a resource server that configuration allows to asks whether a token counts now.
//! Anybody else learns nothing, not even whether a token exists.

use std::sync::Arc;

use ambit_store::families;
use axum::{
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    Shared, authorization,
    client::prove,
    exchange::refresh_hash,
    fields::Fields,
    oauth_error::OAuthError,
    own_token, person, refusals, reply,
    state::{Place, Server},
    visitor::Visitor,
};
use crate::{
    authenticate::Standing,
    caller::Caller,
    token::{AccessToken, TokenSubject, scope_value},
};

pub(crate) async fn introspect(
    State(server): State<Shared>,
    Path(slug): Path<String>,
    visitor: Visitor,
    body: Bytes,
) -> Response {
    let Some(place) = Place::find(&server, &slug) else { return OAuthError::not_found().into_response() };
    match answer(&server, &place, &visitor, &body).await {
        Ok(body) => reply::json(StatusCode::OK, &body),
        Err(error) => refusals::refuse(&server, place.endpoint.slug.as_str(), visitor.source, error).into_response(),
    }
}

async fn answer(server: &Server, place: &Place, visitor: &Visitor, body: &[u8]) -> Result<Value, OAuthError> {
    let fields = Fields::of_form(&visitor.headers, body)?;
    let client = prove::client(server, place, visitor, &fields).await?;
    if !client.may_introspect {
        let description = "this client may not introspect tokens: set `may_introspect` in its configuration";
        return Err(OAuthError::new(StatusCode::FORBIDDEN, "access_denied", description));
    }
    let text = fields.required("token")?;
    if let Some(token) = own_token::read(server, place, text, server.now()) {
        return Ok(access_token(server, place, &token));
    }
    let refresh = refresh_token(server, place, text).await?;
    Ok(refresh.unwrap_or_else(|| json!({ "active": false })))
}

/// An access token counts if a call with it would be let in now.
fn access_token(server: &Server, place: &Place, token: &AccessToken) -> Value {
    let standing = Standing {
        revision: place.snapshot.revision,
        deployment: &place.snapshot.deployment,
        revocations: &place.snapshot.revocations,
        judge: &place.snapshot.judge,
    };
    let verified = Arc::new(token.clone().into_verified(&place.endpoint.slug));
    if Caller::establish(verified, &standing, server.now()).is_err() {
        return json!({ "active": false });
    }
    let subject = match &token.subject {
        TokenSubject::Person(user) | TokenSubject::Delegated { user, .. } => user.to_string(),
        TokenSubject::Agent(agent) => agent.to_string(),
    };
    json!({
        "active": true,
        "token_type": "Bearer",
        "scope": scope_value(&token.toolsets),
        "client_id": token.client.id,
        "sub": subject,
        "username": subject,
        "aud": token.resource,
        "iss": token.issuer,
        "exp": token.expires_at.div_euclid(1000),
        "iat": token.issued_at.div_euclid(1000),
        "jti": token.id,
    })
}

/// A refresh token counts if it was not exchanged, its family stands, and its person may act.
async fn refresh_token(server: &Server, place: &Place, text: &str) -> Result<Option<Value>, OAuthError> {
    let store = server.live.store();
    let Some(shown) = families::find_by_token(store, &refresh_hash(text)).await? else { return Ok(None) };
    let family = &shown.family;
    let counts = family.endpoint == place.endpoint.slug
        && family.revoked_at.is_none()
        && shown.rotated_at.is_none()
        && server.now() < shown.expires_at
        && !authorization::is_dead(&place.snapshot, family)
        && person::standing(store, &place.snapshot, &family.user).await?.is_some();
    Ok(counts.then(|| {
        json!({
            "active": true,
            "token_type": "refresh_token",
            "scope": scope_value(&family.toolsets),
            "client_id": family.client,
            "sub": family.user.to_string(),
            "username": family.user.to_string(),
            "aud": place.endpoint.resource,
            "iss": place.issuer,
            "exp": shown.expires_at.div_euclid(1000),
            "iat": family.created_at.div_euclid(1000),
        })
    }))
}
