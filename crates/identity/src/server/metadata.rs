//! What clients read before anything else: the metadata of each endpoint's issuer (RFC 8414; OpenID Connect Discovery
//! spellings for clients that know only those) and its keys. Built from configuration; nothing of it comes from the request.

use axum::{
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use super::{Shared, oauth_error::OAuthError, reply, state::Place};
use crate::{admin, token::BASELINE_SCOPE};

/// `GET /.well-known/oauth-authorization-server/as/<slug>`
pub(crate) async fn oauth(State(server): State<Shared>, Path(slug): Path<String>) -> Response {
    let Some(place) = Place::of_issuer(&server, &slug) else {
        return reply::to_any_origin(OAuthError::not_found().into_response());
    };
    reply::to_any_origin(reply::public_json(document(&place).to_string()))
}

/// `GET /.well-known/openid-configuration/as/<slug>` and `GET /as/<slug>/.well-known/openid-configuration`
pub(crate) async fn openid(State(server): State<Shared>, Path(slug): Path<String>) -> Response {
    let Some(place) = Place::of_issuer(&server, &slug) else {
        return reply::to_any_origin(OAuthError::not_found().into_response());
    };
    let mut document = document(&place);
    if let Some(members) = document.as_object_mut() {
        // Discovery requires both. No ID token is ever made, since `openid` is no scope here.
        members.insert("subject_types_supported".to_owned(), json!(["public"]));
        members.insert("id_token_signing_alg_values_supported".to_owned(), json!(["ES256"]));
    }
    reply::to_any_origin(reply::public_json(document.to_string()))
}

/// `GET /as/<slug>/jwks`
pub(crate) async fn jwks(State(server): State<Shared>, Path(slug): Path<String>) -> Response {
    if Place::of_issuer(&server, &slug).is_none() {
        return reply::to_any_origin(OAuthError::not_found().into_response());
    }
    reply::to_any_origin(reply::public_json(server.signing.jwks(server.now())))
}

fn document(place: &Place) -> Value {
    if place.admin.is_some() {
        return of_admin(place);
    }
    let issuer = &place.issuer;
    let with_secret = ["client_secret_basic", "client_secret_post"];
    let any = ["none", "client_secret_basic", "client_secret_post"];
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "registration_endpoint": format!("{issuer}/register"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "introspection_endpoint": format!("{issuer}/introspect"),
        "jwks_uri": format!("{issuer}/jwks"),
        // Toolsets are asked for when a call needs them; their names are nobody's business before.
        "scopes_supported": [BASELINE_SCOPE],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": any,
        "revocation_endpoint_auth_methods_supported": any,
        "introspection_endpoint_auth_methods_supported": with_secret,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "client_id_metadata_document_supported": true,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "protected_resources": [place.endpoint.resource],
    })
}

/// One client, which is built in; codes, and nothing that could be refreshed.
fn of_admin(place: &Place) -> Value {
    let issuer = &place.issuer;
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "scopes_supported": [admin::SCOPE],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "protected_resources": [place.endpoint.resource],
    })
}
