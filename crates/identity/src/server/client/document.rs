//! Client ID metadata documents (draft-ietf-oauth-client-id-metadata-document): the client's id is the URL of a JSON
//! document that says who it is. Whoever can write at that URL is the client, and nobody else.
//!
//! The URL comes from a stranger: it is fetched through the egress client, small, quick and without redirects; what it
//! says is held against its own URL. Good documents are kept for a bounded time, bad ones not at all.
//!
//! A stranger must learn nothing of this network: every failure after the URL was read has the same words and the same time.

use std::{net::IpAddr, sync::Arc, time::Duration};

use ambit_egress::{FetchError, FetchLimits};
use ambit_model::{
    Digest, canonical,
    ids::{ClientId, Millis},
};
use http::StatusCode;
use quick_cache::sync::Cache;
use serde_json::{Map, Value};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};
use url::Url;

use super::{Client, Origin, plain};
use crate::{
    server::{limits::PerSource, redirect},
    verify::strict_object,
};

/// Largest document, in bytes: what the draft recommends.
const MAX_BYTES: usize = 5 * 1024;

/// Longest fetch.
const TIMEOUT: Duration = Duration::from_secs(5);

/// When a fetch that failed is answered: by then each has, whether a port was closed, silent or spoke something else.
pub(crate) const FAILURES_AFTER: Duration = TIMEOUT.saturating_add(Duration::from_millis(200));

/// Documents kept at once.
const KEPT: usize = 1024;

/// Fetches under way at once.
const AT_ONCE: usize = 64;

/// A document is kept at least this long and at most [`LONGEST_MS`], whatever its cache headers say.
const SHORTEST_MS: Millis = 60_000;
const LONGEST_MS: Millis = 24 * 3_600_000;

/// How long a document is kept that says nothing about it.
const DEFAULT_MS: Millis = 3_600_000;

const MOST_REDIRECTS: usize = 20;

/// A document that stood.
#[derive(Debug)]
pub(crate) struct Document {
    name: String,
    host: String,
    redirects: Vec<String>,
    refreshes: bool,
    digest: Digest,
    fresh_until: Millis,
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentFault {
    /// The id is no URL a document may have.
    #[error("the client id is not a URL that a metadata document may have: {0}")]
    Url(&'static str),
    /// This source asked for too many.
    #[error("too many client documents were asked for from here: wait {0} seconds")]
    TooMany(u64),
    /// Too many at once.
    #[error("too many client documents are being fetched: try again in a moment")]
    Busy,
    /// There is none that counts. One sentence for every cause: who asks is a stranger, and a cause would tell what this
    /// network's names and addresses are.
    #[error("the client's metadata document could not be fetched or is not valid: the log of this server says why")]
    Unusable(&'static str),
}

impl DocumentFault {
    /// A stable label, for the counters of the trail.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Url(_) => "document_url",
            Self::TooMany(_) => "document_throttled",
            Self::Busy => "document_busy",
            Self::Unusable(reason) => reason,
        }
    }
}

/// Why a document does not count, for the log.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it could not be fetched: {0}")]
    Fetch(#[from] FetchError),
    #[error("it was answered with status {0}: 200 is expected")]
    Status(u16),
    #[error("it does not stand: {0}")]
    Content(&'static str),
}

impl Unusable {
    fn reason(&self) -> &'static str {
        match self {
            Self::Fetch(_) => "document_not_fetched",
            Self::Status(_) => "document_status",
            Self::Content(_) => "document_not_valid",
        }
    }
}

/// Fetches and keeps documents.
pub(crate) struct Documents {
    egress: ambit_egress::Client,
    kept: Cache<ClientId, Arc<Document>>,
    per_source: PerSource,
    failures_after: Duration,
    turns: Semaphore,
}

/// Whether a client id claims to be the URL of a document.
pub(crate) fn is_url(id: &str) -> bool {
    id.starts_with("https://")
}

impl Documents {
    pub(crate) fn new(egress: ambit_egress::Client, per_source: PerSource, failures_after: Duration) -> Self {
        Self { egress, kept: Cache::new(KEPT), per_source, failures_after, turns: Semaphore::new(AT_ONCE) }
    }

    /// The document of a client, kept or fetched.
    pub(crate) async fn read(
        &self,
        id: &ClientId,
        source: IpAddr,
        now_ms: Millis,
    ) -> Result<Arc<Document>, DocumentFault> {
        if let Some(kept) = self.kept.get(id).filter(|kept| now_ms < kept.fresh_until) {
            return Ok(kept);
        }
        let host = document_host(id.as_str()).map_err(DocumentFault::Url)?;
        self.per_source.admit(source).map_err(DocumentFault::TooMany)?;
        let turn = self.turns.try_acquire().map_err(|_| DocumentFault::Busy)?;
        let answer_at = Instant::now() + self.failures_after;
        let fetched = self.fetch(id, host, now_ms).await;
        // Nothing is fetched any more: who waits for bad news keeps nobody from good ones.
        drop(turn);
        let document = match fetched {
            Ok(document) => Arc::new(document),
            Err(cause) => {
                tracing::info!(client = %id, %cause, "a client's metadata document cannot be used");
                sleep_until(answer_at).await;
                return Err(DocumentFault::Unusable(cause.reason()));
            }
        };
        self.kept.insert(id.clone(), Arc::clone(&document));
        Ok(document)
    }

    async fn fetch(&self, id: &ClientId, host: String, now_ms: Millis) -> Result<Document, Unusable> {
        let fetched = self.egress.fetch(id.as_str(), &FetchLimits::json(MAX_BYTES, TIMEOUT)).await?;
        if fetched.status != StatusCode::OK {
            return Err(Unusable::Status(fetched.status.as_u16()));
        }
        let is_json = |kind: &str| {
            let kind = kind.to_ascii_lowercase();
            kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
        };
        if !fetched.media_type().is_some_and(is_json) {
            return Err(Unusable::Content("it is not served as `application/json`"));
        }
        let kept_for = fetched.fresh_for().map_or(DEFAULT_MS, |fresh| {
            Millis::try_from(fresh.as_millis()).unwrap_or(LONGEST_MS).clamp(SHORTEST_MS, LONGEST_MS)
        });
        Document::read(id, host, &fetched.body, now_ms + kept_for).map_err(Unusable::Content)
    }
}

impl Document {
    fn read(id: &ClientId, host: String, body: &[u8], fresh_until: Millis) -> Result<Self, &'static str> {
        let members = strict_object(body).map_err(|_| "it is not a JSON object, or names a member twice")?;
        if text(&members, "client_id")? != Some(id.as_str()) {
            return Err("its `client_id` is not exactly the URL it was fetched from");
        }
        if members.contains_key("client_secret") || members.contains_key("client_secret_expires_at") {
            return Err("it holds a `client_secret`, which everybody can read there");
        }
        match text(&members, "token_endpoint_auth_method")? {
            None | Some("none") => {}
            Some(_) => return Err("its `token_endpoint_auth_method` is not `none`"),
        }
        let grants = texts(&members, "grant_types")?;
        if grants.as_ref().is_some_and(|grants| !grants.contains(&"authorization_code")) {
            return Err("its `grant_types` leave out `authorization_code`");
        }
        if texts(&members, "response_types")?.is_some_and(|types| !types.contains(&"code")) {
            return Err("its `response_types` leave out `code`");
        }
        let redirects = texts(&members, "redirect_uris")?.unwrap_or_default();
        if redirects.is_empty() || redirects.len() > MOST_REDIRECTS {
            return Err("it has to name 1 to 20 `redirect_uris`");
        }
        for uri in &redirects {
            redirect::acceptable(uri)?;
        }
        let name = plain(text(&members, "client_name")?.unwrap_or(""), 100);
        Ok(Self {
            name: if name.is_empty() { host.clone() } else { name },
            redirects: redirects.into_iter().map(ToOwned::to_owned).collect(),
            refreshes: grants.is_none_or(|grants| grants.contains(&"refresh_token")),
            host,
            fresh_until,
            digest: canonical::digest(&Value::Object(members)),
        })
    }

    pub(crate) fn client(&self, id: &ClientId) -> Client {
        Client {
            id: id.clone(),
            name: self.name.clone(),
            redirects: self.redirects.clone(),
            origin: Origin::Document(self.host.clone()),
            metadata_digest: self.digest,
            refreshes: self.refreshes,
        }
    }
}

/// The host of a document's URL, with its port if that is not the usual one: https, a path, nothing that two readers could read in two ways.
fn document_host(id: &str) -> Result<String, &'static str> {
    let url = Url::parse(id).map_err(|_| "write it as `https://host/path`")?;
    if url.scheme() != "https" || id.contains('#') || !url.username().is_empty() || url.password().is_some() {
        return Err("it is `https`, without fragment and credentials");
    }
    // Dot segments, odd spellings of the host, a default port: a parser writes each of them differently.
    if url.as_str() != id {
        return Err("write it in its plain form, without dot segments and default port");
    }
    if url.path() == "/" {
        return Err("it has a path");
    }
    let host = redirect::place_of(&url).ok_or("it names a host")?;
    // A single label is a name of this network's own.
    let is_bare = url.domain().is_some_and(|name| !name.trim_end_matches('.').contains('.'));
    if is_bare { Err("its host is a full domain name") } else { Ok(host) }
}

fn text<'a>(members: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, &'static str> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err("a member has another type than RFC 7591 gives it"),
    }
}

fn texts<'a>(members: &'a Map<String, Value>, name: &'static str) -> Result<Option<Vec<&'a str>>, &'static str> {
    let wrong = "a member has another type than RFC 7591 gives it";
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().ok_or(wrong)).collect::<Result<_, _>>().map(Some)
        }
        Some(_) => Err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const URL: &str = "https://app.example/client.json";

    fn read(document: &Value) -> Result<Document, &'static str> {
        let id = ClientId::parse(URL).unwrap();
        Document::read(&id, "app.example".into(), document.to_string().as_bytes(), 0)
    }

    fn good() -> Value {
        json!({ "client_id": URL, "client_name": "App", "redirect_uris": ["https://app.example/cb"] })
    }

    #[test]
    fn a_plain_document_stands_and_every_change_of_it_shows() {
        let plain = read(&good()).unwrap();
        assert_eq!((plain.name.as_str(), plain.refreshes), ("App", true));
        for (member, value) in [
            ("client_name", json!("App!")),
            ("redirect_uris", json!(["https://app.example/other"])),
            ("logo_uri", json!("https://app.example/logo.png")),
            ("jwks_uri", json!("https://app.example/jwks")),
        ] {
            let mut changed = good();
            changed[member] = value;
            assert_ne!(read(&changed).unwrap().digest, plain.digest, "{member}");
        }
    }

    #[test]
    fn a_document_that_lies_or_leaves_out_does_not_stand() {
        for (member, value) in [
            ("client_id", json!("https://other.example/client.json")),
            ("client_id", json!(format!("{URL}/"))),
            ("client_id", Value::Null),
            ("redirect_uris", json!([])),
            ("redirect_uris", json!("https://app.example/cb")),
            ("redirect_uris", json!(["https://app.example/cb", "javascript:alert(1)"])),
            ("redirect_uris", json!(vec!["https://app.example/cb"; 21])),
            ("client_secret", json!("x")),
            ("token_endpoint_auth_method", json!("client_secret_basic")),
            ("token_endpoint_auth_method", json!("private_key_jwt")),
            ("grant_types", json!(["client_credentials"])),
            ("response_types", json!(["token"])),
            ("client_name", json!(7)),
        ] {
            let mut changed = good();
            changed[member] = value;
            assert!(read(&changed).is_err(), "{changed}");
        }
        let id = ClientId::parse(URL).unwrap();
        for text in ["", "[]", "<html>", &format!(r#"{{"client_id":"{URL}","client_id":"{URL}"}}"#)] {
            assert!(Document::read(&id, String::new(), text.as_bytes(), 0).is_err(), "{text}");
        }
    }

    #[test]
    fn an_odd_url_names_no_document() {
        assert_eq!(document_host(URL).unwrap(), "app.example");
        assert_eq!(document_host("https://app.example:8443/client?v=2").unwrap(), "app.example:8443");
        for bad in [
            "https://app.example",
            "https://app.example/",
            "https://app.example:443/c",
            "https://app.example/a/../c",
            "https://app.example/%2e%2e/c",
            "https://APP.example/c",
            "https://u@app.example/c",
            "https://app.example/c#x",
            "https://0x7f.1/c",
            "https:///c",
            "https://vm/c",
            "https://vm./c",
            "https://app.example/a b",
        ] {
            assert!(document_host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_strangers_are_shown_on_one_line() {
        let mut document = good();
        document["client_name"] = json!("  Ambit\u{202e}\n\u{200b}Console  ");
        assert_eq!(read(&document).unwrap().name, "AmbitConsole");
        document["client_name"] = json!("\u{200b}");
        assert_eq!(read(&document).unwrap().name, "app.example");
    }
}
