//! `POST /as/<slug>/register` (RFC 7591): a client registers itself. The fallback for clients that know neither
//! configuration nor metadata documents; nobody vouches for it, so it is bounded in rate and size, asked about at every
//! consent, and forgotten after a day if nobody logged in with it.

use ambit_live::recorder::Deed;
use ambit_model::{Digest, ids::ClientId};
use ambit_store::clients;
use axum::{
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header::CONTENT_TYPE};
use serde_json::{Map, Value, json};

use super::{
    Shared,
    client::{Registration, plain},
    failure::Down,
    oauth_error::OAuthError,
    redirect, reply,
    state::{Place, Server},
    visitor::Visitor,
};
use crate::verify::strict_object;

/// Largest registration, in bytes.
const MAX_BYTES: usize = 16 * 1024;

const MOST_REDIRECTS: usize = 10;

/// What stands before the id, so that it is never taken for the URL of a document.
pub const ID_PREFIX: &str = "dyn_";

/// What stands before a secret, so that scanners for leaked secrets recognise it.
const SECRET_PREFIX: &str = "ambit_cs_";

pub(crate) async fn register(
    State(server): State<Shared>,
    Path(slug): Path<String>,
    visitor: Visitor,
    body: Bytes,
) -> Response {
    let answer = match answer(&server, &slug, &visitor, &body).await {
        Ok(body) => reply::json(StatusCode::CREATED, &body),
        Err(error) => error.into_response(),
    };
    reply::to_any_origin(answer)
}

async fn answer(server: &Server, slug: &str, visitor: &Visitor, body: &[u8]) -> Result<Value, OAuthError> {
    let place = Place::find(server, slug).ok_or_else(OAuthError::not_found)?;
    if let Err(seconds) = server.admit_registration(visitor.source) {
        server.live.recorder().refused_early(place.endpoint.slug.as_str(), visitor.source, "registration_throttled");
        let description = "too many registrations: wait, or use the registration you have";
        let error = OAuthError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", description);
        return Err(error.retry_after(seconds));
    }
    let is_json = visitor
        .headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/json"));
    if !is_json || body.len() > MAX_BYTES {
        return Err(metadata_error("send a JSON object of at most 16 KiB as `application/json`"));
    }
    let members =
        strict_object(body).map_err(|_| metadata_error("the body is not a JSON object, or names a member twice"))?;
    let registration = read(&place, &members)?;
    keep(server, &place, registration).await
}

/// What we keep of the metadata; the rest is left out of the answer, which is how the client learns it.
fn read(place: &Place, members: &Map<String, Value>) -> Result<Registration, OAuthError> {
    let redirect_uris = texts(members, "redirect_uris")?.unwrap_or_default();
    let redirect_error = |rule: &'static str| OAuthError::bad("invalid_redirect_uri", rule);
    if redirect_uris.is_empty() || redirect_uris.len() > MOST_REDIRECTS {
        return Err(redirect_error("name 1 to 10 `redirect_uris`"));
    }
    for uri in &redirect_uris {
        redirect::acceptable(uri).map_err(redirect_error)?;
    }
    let method = text(members, "token_endpoint_auth_method")?.unwrap_or("client_secret_basic");
    if !["none", "client_secret_basic", "client_secret_post"].contains(&method) {
        return Err(metadata_error("`token_endpoint_auth_method` is none, client_secret_basic or client_secret_post"));
    }
    let known = ["authorization_code", "refresh_token"];
    let grants = match texts(members, "grant_types")? {
        Some(asked) if !asked.contains(&"authorization_code".to_owned()) => {
            return Err(metadata_error("`grant_types` leave out `authorization_code`"));
        }
        Some(asked) => asked.into_iter().filter(|grant| known.contains(&grant.as_str())).collect(),
        // RFC 7591 reads its absence as without refresh tokens; the clients that leave it out use them all the same.
        None => known.map(ToOwned::to_owned).to_vec(),
    };
    if texts(members, "response_types")?.is_some_and(|types| !types.contains(&"code".to_owned())) {
        return Err(metadata_error("`response_types` leave out `code`"));
    }
    if text(members, "application_type")?.is_some_and(|kind| kind != "native" && kind != "web") {
        return Err(metadata_error("`application_type` is `native` or `web`"));
    }
    let name = plain(text(members, "client_name")?.unwrap_or(""), 100);
    Ok(Registration {
        endpoint: place.endpoint.slug.clone(),
        client_name: if name.is_empty() { "An application without a name".to_owned() } else { name },
        redirect_uris,
        token_endpoint_auth_method: method.to_owned(),
        grant_types: grants,
    })
}

async fn keep(server: &Server, place: &Place, registration: Registration) -> Result<Value, OAuthError> {
    let now = server.now();
    let id = format!("{ID_PREFIX}{}", server.id_text()?);
    let secret = match registration.token_endpoint_auth_method.as_str() {
        "none" => None,
        _ => Some(format!("{SECRET_PREFIX}{}", server.secret_text()?)),
    };
    let row = clients::Client {
        id: ClientId::parse(&id).map_err(|_| Down::Defect)?,
        metadata: serde_json::to_string(&registration).map_err(Down::from)?,
        secret_hash: secret.as_ref().map(|secret| Digest::of(secret.as_bytes())),
        created_at: now,
        first_used_at: None,
    };
    let mut tx = server.live.store().begin().await?;
    clients::insert(&mut tx, &row).await?;
    let after = json!({
        "endpoint": place.endpoint.slug,
        "name": registration.client_name,
        "redirect_uris": registration.redirect_uris,
    });
    let subject = format!("client {id}");
    let deed =
        Deed { by: "anonymous", act: "client.register", subject: &subject, after: Some(after), ..Deed::default() };
    server.record(deed).await?;
    tx.commit().await?;
    let mut answer = json!({
        "client_id": id,
        "client_id_issued_at": now.div_euclid(1000),
        "client_name": registration.client_name,
        "redirect_uris": registration.redirect_uris,
        "grant_types": registration.grant_types,
        "response_types": ["code"],
        "token_endpoint_auth_method": registration.token_endpoint_auth_method,
    });
    if let (Some(secret), Some(members)) = (secret, answer.as_object_mut()) {
        members.insert("client_secret".to_owned(), secret.into());
        members.insert("client_secret_expires_at".to_owned(), 0.into());
    }
    Ok(answer)
}

fn metadata_error(description: &'static str) -> OAuthError {
    OAuthError::bad("invalid_client_metadata", description)
}

fn text<'a>(members: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, OAuthError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(OAuthError::bad("invalid_client_metadata", format!("`{name}` is not a text"))),
    }
}

fn texts(members: &Map<String, Value>, name: &'static str) -> Result<Option<Vec<String>>, OAuthError> {
    let wrong = || OAuthError::bad("invalid_client_metadata", format!("`{name}` is not a list of texts"));
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(ToOwned::to_owned).ok_or_else(wrong))
            .collect::<Result<_, _>>()
            .map(Some),
        Some(_) => Err(wrong()),
    }
}
