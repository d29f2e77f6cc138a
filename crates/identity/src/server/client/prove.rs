//! Which client sends a request to the token, revocation or introspection endpoint, and whether it proved it
//! (RFC 6749 §2.3): a secret for those that have one, the bare id for public ones.
//!
//! A public client proves nothing here; what it shows beside its id, a code with its verifier or a refresh token, does.

use ambit_live::deployment::RegisteredClient;
use ambit_model::{Digest, ids::ClientId, secret::Secret};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header::AUTHORIZATION};
use subtle::ConstantTimeEq as _;

use super::{document, registered};
use crate::{
    admin,
    server::{
        fields::Fields,
        oauth_error::OAuthError,
        refusals,
        state::{Place, Server},
        visitor::Visitor,
    },
};

/// A client that may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proved {
    pub(crate) id: ClientId,
    /// Whether it showed the secret configuration gives it.
    pub(crate) by_secret: bool,
    /// Whether it may introspect tokens: configured so, and it showed its secret.
    pub(crate) may_introspect: bool,
}

impl Proved {
    fn public(id: ClientId) -> Self {
        Self { id, by_secret: false, may_introspect: false }
    }
}

/// Identifies the client of a request.
pub(crate) async fn client(
    server: &Server,
    place: &Place,
    visitor: &Visitor,
    fields: &Fields,
) -> Result<Proved, OAuthError> {
    let Presented { id, secret } = presented(&visitor.headers, fields)?;
    let id = ClientId::parse(&id).map_err(|_| unknown())?;
    if secret.is_none() {
        return compare(server, place, &id, None).await;
    }
    refusals::guarded(server, &id, visitor.source, compare(server, place, &id, secret)).await
}

async fn compare(server: &Server, place: &Place, id: &ClientId, secret: Option<Secret>) -> Result<Proved, OAuthError> {
    if place.admin.is_some() {
        let is_built_in = id.as_str() == admin::CLIENT && secret.is_none();
        return if is_built_in { Ok(Proved::public(id.clone())) } else { Err(unknown()) };
    }
    if let Some(client) = place.snapshot.deployment.clients.iter().find(|client| client.id == *id) {
        return configured(server, client, secret.as_ref());
    }
    if document::is_url(id.as_str()) {
        // Nothing was registered and nothing is fetched: only what this id was given before can be exchanged.
        return match secret {
            None => Ok(Proved::public(id.clone())),
            Some(_) => Err(OAuthError::invalid_client("a client with a metadata document has no secret: send none")),
        };
    }
    let (row, _) = registered(server, place, id).await?.ok_or_else(unknown)?;
    match (row.secret_hash, secret) {
        (None, None) => Ok(Proved::public(id.clone())),
        (Some(hash), Some(secret)) if is_same(&hash, &secret) => Ok(Proved::public(id.clone())),
        (None, Some(_)) | (Some(_), None | Some(_)) => Err(wrong()),
    }
}

fn configured(server: &Server, client: &RegisteredClient, secret: Option<&Secret>) -> Result<Proved, OAuthError> {
    let public = Proved::public(client.id.clone());
    match (&client.secret, secret) {
        (None, None) => Ok(public),
        (Some(reference), Some(shown)) => {
            let Some(known) = (server.secrets)(reference) else {
                tracing::error!(client = %client.id, %reference, "the secret of a configured client is not there");
                return Err(wrong());
            };
            let known = Digest::of(known.expose().as_bytes());
            if is_same(&known, shown) {
                Ok(Proved { by_secret: true, may_introspect: client.may_introspect, ..public })
            } else {
                Err(wrong())
            }
        }
        (None, Some(_)) | (Some(_), None) => Err(wrong()),
    }
}

fn is_same(known: &Digest, shown: &Secret) -> bool {
    let shown = Digest::of(shown.expose().as_bytes());
    known.0.ct_eq(&shown.0).into()
}

fn unknown() -> OAuthError {
    OAuthError::invalid_client("this client is not known here: register it again")
}

fn wrong() -> OAuthError {
    OAuthError::invalid_client("the client could not be authenticated: check its secret and how it is sent")
}

struct Presented {
    id: String,
    secret: Option<Secret>,
}

/// The id and secret of a request, from one place only.
fn presented(headers: &HeaderMap, fields: &Fields) -> Result<Presented, OAuthError> {
    let id = fields.one("client_id")?;
    let secret = fields.one("client_secret")?;
    if fields.one("client_assertion")?.is_some() || fields.one("client_assertion_type")?.is_some() {
        return Err(OAuthError::invalid_client("client assertions are not supported: use a secret, or none"));
    }
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let Some(line) = lines.next() else {
        let id = id.ok_or_else(|| OAuthError::invalid_client("parameter `client_id` is missing"))?;
        return Ok(Presented { id: id.to_owned(), secret: secret.map(|text| Secret::new(text.to_owned())) });
    };
    if lines.next().is_some() || secret.is_some() {
        return Err(OAuthError::invalid_request("send the client's secret once, in the header or in the body"));
    }
    let malformed =
        || OAuthError::invalid_client("the `authorization` header is not HTTP Basic of client id and secret");
    let (user, password) = basic(line).ok_or_else(malformed)?;
    if id.is_some_and(|id| id != user) {
        return Err(OAuthError::invalid_request("header and body name two clients"));
    }
    Ok(Presented { id: user, secret: Some(Secret::new(password)) })
}

/// HTTP Basic with both halves form-encoded before (RFC 6749 §2.3.1).
fn basic(line: &http::HeaderValue) -> Option<(String, String)> {
    let (scheme, value) = line.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || value.len() > 8192 {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    let decode = |half: &str| {
        // A single key without a value decodes as the half it is; `=` and `&` are escaped in what was encoded.
        let escaped = half.replace('&', "%26").replace('=', "%3D");
        url::form_urlencoded::parse(escaped.as_bytes()).next().map_or(String::new(), |(key, _)| key.into_owned())
    };
    Some((decode(user), decode(password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(header: Option<&str>, body: &str) -> Result<(String, Option<String>), OAuthError> {
        let mut headers = HeaderMap::new();
        if let Some(pair) = header {
            headers.insert(AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)).parse().unwrap());
        }
        let shown = presented(&headers, &Fields::parse(body.as_bytes()).unwrap())?;
        Ok((shown.id, shown.secret.map(|secret| secret.expose().to_owned())))
    }

    #[test]
    fn id_and_secret_come_from_one_place() {
        assert_eq!(show(None, "client_id=a").unwrap(), ("a".into(), None));
        assert_eq!(show(None, "client_id=a&client_secret=s").unwrap(), ("a".into(), Some("s".into())));
        assert_eq!(show(Some("a%3A1:s%20=&x"), "").unwrap(), ("a:1".into(), Some("s =&x".into())));
        assert_eq!(show(Some("a:s"), "client_id=a").unwrap(), ("a".into(), Some("s".into())));
        for (header, body) in [
            (None, ""),
            (None, "client_id=a&client_id=b"),
            (Some("a:s"), "client_secret=s"),
            (Some("a:s"), "client_id=b"),
            (Some("nocolon"), ""),
            (None, "client_id=a&client_assertion=x"),
        ] {
            assert!(show(header, body).is_err(), "{header:?} {body}");
        }
    }
}
