//! `GET /as/<slug>/authorize`: a client asks for a code (RFC 6749 §4.1.1, PKCE RFC 7636, RFC 8707, RFC 9207).
//!
//! First the client and its redirect: until both stand, nothing is sent to any address from the request. From then on every
//! error goes back to the client, with its state and our issuer. A request that stands goes on to login, consent, or
//! straight back with a code.
//!
//! Anybody can register a client at any address. Unless the client's redirect is vouched for, or this person agreed to it
//! before, an error is shown here with a link in place of a redirect (RFC 9700 §4.11.2): nobody is led away by a link to us.

use std::collections::BTreeSet;

use ambit_model::{
    caller::ClientFacts,
    ids::{Millis, ToolsetSlug, UserKey},
    revocation::Scope,
};
use ambit_store::consents::{self, ConsentKey};
use askama::Template;
use axum::{
    extract::{Path, RawQuery, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;

use super::{
    Shared,
    client::{Client, ClientFault, Origin, document::DocumentFault},
    consent,
    failure::Down,
    fields::{FieldError, Fields},
    page::{self, Notice, PageError},
    pending::Pending,
    redirect, reply, session,
    state::{Place, Server},
    visitor::Visitor,
};
use crate::token;

/// Longest `state` that is given back.
const MAX_STATE_BYTES: usize = 4096;

const CANNOT_CONNECT: &str = "This application cannot connect";

/// Why there is no code.
#[derive(Debug)]
enum Refusal {
    /// No such issuer.
    NotFound,
    /// Not to be answered to the client: it, or the address, is not verified.
    Here(String),
    /// The client's document does not count. Answered here as well.
    NoDocument(DocumentFault),
    /// Answered to the client.
    There(Box<Back>, &'static str, String),
    /// To be answered to a client that nobody vouches for: the person decides whether to go there.
    Stopped(Box<Back>, &'static str, String),
    /// Not now.
    Down(Down),
}

/// Where a verified client is answered.
#[derive(Debug, Clone)]
struct Back {
    redirect_uri: String,
    /// Where that is, for a person.
    shown: String,
    state: Option<String>,
    issuer: String,
}

impl Back {
    fn refuse(&self, code: &'static str, description: impl Into<String>) -> Refusal {
        Refusal::There(Box::new(self.clone()), code, description.into())
    }

    /// The address that tells the client.
    fn with_error(&self, code: &str, description: &str) -> String {
        let mut answer = vec![("error", code), ("error_description", description)];
        answer.extend(self.state.as_deref().map(|state| ("state", state)));
        answer.push(("iss", &self.issuer));
        redirect::with_parameters(&self.redirect_uri, &answer)
    }
}

/// Shows an error and where it would be sent. Says nothing in the client's own words.
#[derive(Template)]
#[template(path = "stopped.html")]
struct StoppedPage<'a> {
    title: &'a str,
    code: &'a str,
    description: &'a str,
    shown: &'a str,
    target: &'a str,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound => PageError::NotFound.into_response(),
            Self::NoDocument(fault) => Self::Here(fault.to_string()).into_response(),
            Self::Here(message) => Notice {
                title: CANNOT_CONNECT,
                message: &message,
                hint: "The application sent a request that is not safe to answer. Tell whoever makes it.",
            }
            .answer(StatusCode::BAD_REQUEST, None),
            Self::There(back, code, description) => reply::see_other(&back.with_error(code, &description)),
            Self::Stopped(back, code, description) => {
                let target = back.with_error(code, &description);
                let page = StoppedPage {
                    title: CANNOT_CONNECT,
                    code,
                    description: &description,
                    shown: &back.shown,
                    target: &target,
                };
                page::show(StatusCode::BAD_REQUEST, &page)
            }
            Self::Down(down) => down.page(),
        }
    }
}

impl From<FieldError> for Refusal {
    fn from(error: FieldError) -> Self {
        Self::Here(error.to_string())
    }
}

impl From<Down> for Refusal {
    fn from(down: Down) -> Self {
        Self::Down(down)
    }
}

impl From<ClientFault> for Refusal {
    fn from(fault: ClientFault) -> Self {
        match fault {
            ClientFault::Unknown => Self::Here(
                "The application is not known here. If it was connected before, let it register again.".into(),
            ),
            ClientFault::Document(DocumentFault::Busy) => Self::Down(Down::Busy),
            ClientFault::Document(fault) => Self::NoDocument(fault),
            ClientFault::Down(down) => Self::Down(down),
        }
    }
}

/// What the person is to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prompt {
    /// Whatever is needed.
    AsNeeded,
    /// Nothing: the answer has to be there already.
    None,
}

pub(crate) async fn authorize(
    State(server): State<Shared>,
    Path(slug): Path<String>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Response {
    match begin(&server, &slug, query.as_deref().unwrap_or(""), &visitor).await {
        Ok(response) => response,
        Err(refusal) => {
            let reason = match &refusal {
                Refusal::Here(_) | Refusal::Stopped(..) => Some("authorize_refused"),
                Refusal::NoDocument(fault) => Some(fault.reason()),
                Refusal::NotFound | Refusal::There(..) | Refusal::Down(_) => None,
            };
            if let Some(reason) = reason {
                server.live.recorder().refused_early(&slug_or_other(&server, &slug), visitor.source, reason);
            }
            refusal.into_response()
        }
    }
}

async fn begin(server: &Server, slug: &str, query: &str, visitor: &Visitor) -> Result<Response, Refusal> {
    let place = Place::of_issuer(server, slug).ok_or(Refusal::NotFound)?;
    let fields = Fields::parse(query.as_bytes())?;
    let client_id = fields.required("client_id")?;
    let client = Client::find(server, &place, client_id, visitor.source).await?;
    let requested = fields.required("redirect_uri")?;
    let kind = redirect::acceptable(requested).map_err(|rule| Refusal::Here(format!("`redirect_uri`: {rule}")))?;
    let registered = client
        .redirect(requested)
        .ok_or_else(|| Refusal::Here("`redirect_uri` is not one that this application registered.".into()))?
        .to_owned();
    let facts = client.facts(&kind);
    if is_dead(&place, &facts, server.now()) {
        return Err(Refusal::Here("This application is blocked here.".into()));
    }
    let key = |user| ConsentKey {
        user,
        client: client.id.clone(),
        endpoint: place.endpoint.slug.clone(),
        redirect_uri: registered.clone(),
        metadata_digest: client.metadata_digest,
    };
    let back =
        Back { redirect_uri: requested.to_owned(), shown: kind.shown(), state: None, issuer: place.issuer.clone() };
    match answer(server, &place, &fields, (&client, facts), registered.clone(), back, visitor).await {
        Err(Refusal::There(back, code, description))
            if !client.is_vouched_for(&kind) && !has_agreed(server, &place, key, visitor).await? =>
        {
            Err(Refusal::Stopped(back, code, description))
        }
        answered => answered,
    }
}

/// Whether whoever is logged in agreed to this client at this redirect before.
async fn has_agreed(
    server: &Server,
    place: &Place,
    key: impl FnOnce(UserKey) -> ConsentKey,
    visitor: &Visitor,
) -> Result<bool, Down> {
    let Some(session) = session::current(server, &place.snapshot, &visitor.headers).await? else { return Ok(false) };
    Ok(consents::find(server.live.store(), &key(session.user)).await?.is_some())
}

/// Answers a request whose client and redirect stand.
async fn answer(
    server: &Server,
    place: &Place,
    fields: &Fields,
    (client, facts): (&Client, ClientFacts),
    registered_redirect: String,
    back: Back,
    visitor: &Visitor,
) -> Result<Response, Refusal> {
    let back = with_state(fields, back)?;
    let (pending, prompt) = read(server, place, fields, (client, facts), registered_redirect, &back)?;
    go_on(server, place, pending, prompt, &back, visitor).await
}

/// Gives the state back from now on. One that cannot be given back as it is, is not given back at all.
fn with_state(fields: &Fields, mut back: Back) -> Result<Back, Refusal> {
    match fields.one("state") {
        Err(error) => return Err(back.refuse("invalid_request", error.to_string())),
        Ok(Some(state)) if state.len() > MAX_STATE_BYTES => {
            return Err(back.refuse("invalid_request", "`state` is too long: at most 4096 bytes"));
        }
        Ok(state) => back.state = state.map(ToOwned::to_owned),
    }
    Ok(back)
}

/// Reads everything else of the request.
fn read(
    server: &Server,
    place: &Place,
    fields: &Fields,
    (client, facts): (&Client, ClientFacts),
    registered_redirect: String,
    back: &Back,
) -> Result<(Pending, Prompt), Refusal> {
    let now = server.now();
    let one = |name| fields.one(name).map_err(|error: FieldError| back.refuse("invalid_request", error.to_string()));
    match one("response_type")? {
        Some("code") => {}
        Some(_) => return Err(back.refuse("unsupported_response_type", "only `response_type=code` is supported")),
        None => return Err(back.refuse("invalid_request", "parameter `response_type` is missing")),
    }
    if one("response_mode")?.is_some_and(|mode| mode != "query") {
        return Err(back.refuse("invalid_request", "only `response_mode=query` is supported"));
    }
    if one("request")?.is_some() {
        return Err(back.refuse("request_not_supported", "request objects are not supported"));
    }
    if one("request_uri")?.is_some() {
        return Err(back.refuse("request_uri_not_supported", "request objects are not supported"));
    }
    let challenge = challenge(one("code_challenge")?, one("code_challenge_method")?)
        .map_err(|description| back.refuse("invalid_request", description))?;
    if !fields.all("resource").all(|resource| place.is_resource(resource)) {
        return Err(
            back.refuse("invalid_target", "this authorization server makes tokens for one resource, not for that one")
        );
    }
    let toolsets = toolsets(one("scope")?).map_err(|description| back.refuse("invalid_scope", description))?;
    let asked = prompts(one("prompt")?).map_err(|description| back.refuse("invalid_request", description))?;
    let oldest =
        oldest_login(one("max_age")?, now).map_err(|description| back.refuse("invalid_request", description))?;
    let pending = Pending {
        endpoint: place.endpoint.slug.clone(),
        issuer: place.issuer.clone(),
        client: client.id.clone(),
        client_name: client.name.clone(),
        client_host: match &client.origin {
            Origin::Document(host) => Some(host.clone()),
            Origin::Confidential | Origin::Pinned | Origin::Registered => None,
        },
        assurance: facts.assurance,
        metadata_digest: client.metadata_digest,
        refreshes: client.refreshes,
        redirect_uri: back.redirect_uri.clone(),
        registered_redirect,
        state: back.state.clone(),
        challenge,
        toolsets,
        always_ask: asked.consent,
        login_since: if asked.login { Some(now) } else { oldest.max(place.oldest_login(now)) },
        asked_at: now,
    };
    Ok((pending, if asked.none { Prompt::None } else { Prompt::AsNeeded }))
}

/// A request that stands: to the login, to consent, or back with a code.
async fn go_on(
    server: &Server,
    place: &Place,
    pending: Pending,
    prompt: Prompt,
    back: &Back,
    visitor: &Visitor,
) -> Result<Response, Refusal> {
    let session = session::current(server, &place.snapshot, &visitor.headers).await?;
    let session = session.filter(|session| pending.accepts_login_at(session.auth_time));
    let Some(session) = session else {
        return match prompt {
            Prompt::None => Err(back.refuse("login_required", "nobody is logged in")),
            Prompt::AsNeeded => {
                let id = pending.keep(server, visitor.source).await?;
                Ok(reply::see_other(&format!("/login?request={id}")))
            }
        };
    };
    if let Some(response) = consent::remembered(server, place, &pending, &session).await? {
        return Ok(response);
    }
    match prompt {
        Prompt::None => Err(back.refuse("consent_required", "the person has to be asked")),
        Prompt::AsNeeded => {
            let id = pending.keep(server, visitor.source).await?;
            Ok(reply::see_other(&consent::path(&pending.endpoint, &id)))
        }
    }
}

fn is_dead(place: &Place, client: &ClientFacts, now: Millis) -> bool {
    let scopes = [Scope::Deployment, Scope::Endpoint(place.endpoint.slug.clone()), Scope::Client(client.id.clone())];
    place.snapshot.revocations.judge(&scopes, now).is_some()
}

/// The PKCE challenge: there has to be one, and its method is S256 (OAuth 2.1 §7.5).
fn challenge(challenge: Option<&str>, method: Option<&str>) -> Result<String, &'static str> {
    let challenge = challenge.ok_or("parameter `code_challenge` is missing: PKCE is required")?;
    if method != Some("S256") {
        return Err("`code_challenge_method` has to be `S256`");
    }
    let is_digest = challenge.len() == 43
        && challenge.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_digest { Ok(challenge.to_owned()) } else { Err("`code_challenge` is not a base64url SHA-256") }
}

/// The toolsets a scope names. Words of other servers (`openid`, `offline_access`) mean nothing here and are left out of
/// the answer (RFC 6749 §3.3); what is not a scope at all is an error.
fn toolsets(scope: Option<&str>) -> Result<BTreeSet<ToolsetSlug>, &'static str> {
    let Some(scope) = scope else { return Ok(BTreeSet::new()) };
    let plain = |byte: u8| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
    if scope.len() > 8192 || !scope.bytes().all(plain) {
        return Err("`scope` is a list of words with single spaces between");
    }
    Ok(token::toolsets_of_scope(scope))
}

/// `max_age` in seconds: how old the login may be.
fn oldest_login(max_age: Option<&str>, now: Millis) -> Result<Option<Millis>, &'static str> {
    let seconds = max_age.map(str::parse::<u32>).transpose().map_err(|_| "`max_age` is a number of seconds")?;
    Ok(seconds.map(|seconds| now - Millis::from(seconds) * 1000))
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Prompts {
    none: bool,
    login: bool,
    consent: bool,
}

fn prompts(prompt: Option<&str>) -> Result<Prompts, &'static str> {
    let mut prompts = Prompts::default();
    for word in prompt.unwrap_or("").split(' ').filter(|word| !word.is_empty()) {
        match word {
            "none" => prompts.none = true,
            "login" => prompts.login = true,
            "consent" | "select_account" => prompts.consent = true,
            _ => return Err("`prompt` knows `none`, `login`, `consent` and `select_account`"),
        }
    }
    if prompts.none && (prompts.login || prompts.consent) {
        return Err("`prompt=none` stands alone");
    }
    Ok(prompts)
}

/// A name for the counters: a flood of invented slugs makes no flood of counters.
fn slug_or_other(server: &Server, slug: &str) -> String {
    Place::of_issuer(server, slug).map_or_else(|| "other".to_owned(), |place| place.endpoint.slug.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pkce_is_s256_or_nothing() {
        let good = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert_eq!(challenge(Some(good), Some("S256")).unwrap(), good);
        for (value, method) in [
            (None, Some("S256")),
            (Some(good), None),
            (Some(good), Some("plain")),
            (Some("short"), Some("S256")),
            (Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"), Some("S256")),
        ] {
            assert!(challenge(value, method).is_err(), "{value:?} {method:?}");
        }
    }

    #[test]
    fn foreign_words_of_a_scope_are_left_out() {
        let named = toolsets(Some("openid mcp toolset:media toolset:Bad offline_access")).unwrap();
        assert_eq!(named.iter().map(ToolsetSlug::as_str).collect::<Vec<_>>(), ["media"]);
        assert!(toolsets(None).unwrap().is_empty());
        for bad in ["a\tb", "a\"b", "ä", "a\\b"] {
            assert!(toolsets(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn prompts_do_not_contradict_each_other() {
        assert_eq!(prompts(None).unwrap(), Prompts::default());
        assert!(prompts(Some("login consent")).unwrap().login);
        for bad in ["none login", "consent none", "create"] {
            assert!(prompts(Some(bad)).is_err(), "{bad}");
        }
    }
}
