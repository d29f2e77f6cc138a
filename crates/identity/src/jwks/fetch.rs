//! One fetch of a key set: the configured address, or the one in the issuer's metadata (RFC 8414 §3, then OpenID Connect
//! Discovery §4). Metadata counts only if its `issuer` is the configured one, byte for byte.

use std::{collections::BTreeSet, time::Duration};

use ambit_egress::{Client, FetchError, FetchLimits};
use ambit_model::issuer::Algorithm;
use http::StatusCode;
use serde_json::Value;

use super::parse;
use crate::verify::{KeySet, strict_object};

/// Largest key set or metadata, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// Longest for one document.
const TIMEOUT: Duration = Duration::from_secs(4);

/// A key set as fetched.
#[derive(Debug)]
pub(super) struct FreshSet {
    pub(super) keys: KeySet,
    /// How long the answer says it may be kept.
    pub(super) fresh_for: Option<Duration>,
}

/// Why there is no new key set.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Nothing came.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Another status than 200.
    #[error("`{url}` answered {status}, not 200")]
    Status {
        /// The document.
        url: String,
        /// What it answered.
        status: StatusCode,
    },
    /// Not what it should be.
    #[error("`{url}` is no {what}: one JSON object with unique names is expected, with {expected}")]
    Malformed {
        /// The document.
        url: String,
        /// What it should be.
        what: &'static str,
        /// What it should have.
        expected: &'static str,
    },
    /// The metadata is another issuer's.
    #[error(
        "the metadata at `{url}` is of issuer `{found}`, not `{configured}`: set `issuer` to the exact value, slash included"
    )]
    OtherIssuer {
        /// The document.
        url: String,
        /// What it says.
        found: String,
        /// What configuration says.
        configured: String,
    },
    /// No address was left to try.
    #[error("`{0}` is no URL that metadata could be found for: set `jwks_uri`")]
    NoMetadata(String),
}

/// Fetches the key set of an issuer.
pub(super) async fn key_set(
    client: &Client,
    issuer: &str,
    jwks_uri: Option<&str>,
    algorithms: &BTreeSet<Algorithm>,
) -> Result<FreshSet, KeysError> {
    let url = match jwks_uri {
        Some(url) => url.to_owned(),
        None => discover(client, issuer).await?,
    };
    let (body, fresh_for) = document(client, &url).await?;
    let malformed = KeysError::Malformed { url, what: "key set", expected: "at most 100 `keys`" };
    let keys = parse::key_set(&body, algorithms).ok_or(malformed)?;
    Ok(FreshSet { keys, fresh_for })
}

/// Finds `jwks_uri` in the first metadata document that is this issuer's. A host may answer any path with a page of its
/// own, so one that is not is passed over, and told about if none follows.
async fn discover(client: &Client, issuer: &str) -> Result<String, KeysError> {
    let mut failure = KeysError::NoMetadata(issuer.to_owned());
    for url in metadata_urls(issuer) {
        let found = match document(client, &url).await {
            Ok((body, _)) => jwks_uri(&url, &body, issuer),
            Err(error) => Err(error),
        };
        match found {
            Ok(found) => return Ok(found),
            Err(error) if error.weight() > failure.weight() => failure = error,
            Err(_) => {}
        }
    }
    Err(failure)
}

impl KeysError {
    /// How much it helps whoever has to mend it: what is wrong with a document that is there says more than one that is not.
    const fn weight(&self) -> u8 {
        match self {
            Self::NoMetadata(_) => 0,
            Self::Status { .. } => 1,
            Self::Fetch(_) => 2,
            Self::Malformed { .. } => 3,
            Self::OtherIssuer { .. } => 4,
        }
    }
}

fn jwks_uri(url: &str, body: &[u8], issuer: &str) -> Result<String, KeysError> {
    let malformed =
        || KeysError::Malformed { url: url.to_owned(), what: "issuer metadata", expected: "`issuer` and `jwks_uri`" };
    let metadata = strict_object(body).map_err(|_| malformed())?;
    let text = |name: &str| metadata.get(name).and_then(Value::as_str).ok_or_else(malformed);
    let found = text("issuer")?;
    if found != issuer {
        return Err(KeysError::OtherIssuer {
            url: url.to_owned(),
            found: found.chars().take(200).collect(),
            configured: issuer.to_owned(),
        });
    }
    text("jwks_uri").map(ToOwned::to_owned)
}

/// Where the metadata of an issuer may be, in the order clients of MCP try (authorization specification, discovery).
pub(super) fn metadata_urls(issuer: &str) -> Vec<String> {
    let Some((scheme, rest)) = issuer.split_once("://") else { return Vec::new() };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let origin = format!("{scheme}://{authority}");
    let path = path.trim_end_matches('/');
    if path.is_empty() {
        return ["oauth-authorization-server", "openid-configuration"]
            .map(|name| format!("{origin}/.well-known/{name}"))
            .into();
    }
    vec![
        format!("{origin}/.well-known/oauth-authorization-server/{path}"),
        format!("{origin}/.well-known/openid-configuration/{path}"),
        format!("{origin}/{path}/.well-known/openid-configuration"),
    ]
}

async fn document(client: &Client, url: &str) -> Result<(bytes::Bytes, Option<Duration>), KeysError> {
    let fetched = client.fetch(url, &FetchLimits::json(MAX_BYTES, TIMEOUT)).await?;
    if fetched.status != StatusCode::OK {
        return Err(KeysError::Status { url: url.to_owned(), status: fetched.status });
    }
    let fresh_for = fetched.fresh_for();
    Ok((fetched.body, fresh_for))
}
