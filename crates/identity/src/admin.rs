//! Who speaks at the admin API: a person of a role, with a token that was made for it alone.
//!
//! The admin API is a resource of its own. Its tokens come from an issuer of the embedded authorization server that makes no
//! others, go to the one client that is built in, live a quarter of an hour and are never refreshed. Everything in them
//! differs from the tokens of endpoints (issuer, audience, scope), so that neither is ever taken for the other.
//!
//! [`AdminPerson`] is the proof, made in [`AdminPerson::authenticate`] and nowhere else. It is no [`Caller`](crate::caller::Caller):
//! whoever acts on Ambit calls no tool, and whoever calls tools does not act on Ambit.

use ambit_live::{Live, revocations::Issued};
use ambit_model::{
    admin::AdminResource,
    ids::{ClientId, EndpointSlug, InvalidId, IssuerName, Millis, UserKey},
    operator::Actor,
    revocation::Scope,
};
use ambit_store::StoreError;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::{
    answer::Answer,
    authenticate::{AuthFailure, presented},
    challenge,
    fresh::is_fresh,
    resource,
    server::person,
    signing::Signing,
    verify::{Compact, TokenFault},
};

pub mod token;

use token::AdminToken;

/// The one client that gets tokens for the admin API.
pub const CLIENT: &str = "ambit-cli";

/// Where that client is answered: a port of its choice on the person's own machine (RFC 8252 §7.3).
pub const REDIRECT: &str = "http://127.0.0.1/callback";

/// The scope of its tokens.
pub const SCOPE: &str = "ambit-admin";

/// The slug of the issuer, which no endpoint may have.
pub const SLUG: &str = "ambit-admin";

/// The life of a token.
pub const TOKEN_LIFE_MS: Millis = 15 * 60_000;

/// A person who proved to the admin API who they are, and had a role when they did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminPerson {
    user: UserKey,
    login_at: Millis,
}

impl AdminPerson {
    /// The person behind the token of a request, as everything stands now: signature, issuer, audience, times, every
    /// revocation and block that reaches it, the account, the role. `query` is the raw query string.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn authenticate(
        live: &Live,
        signing: &Signing,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Self, Refusal> {
        let snapshot = live.current();
        let resource = snapshot.deployment.admin.as_ref().ok_or(Refusal::SwitchedOff)?;
        let compact = Compact::parse(presented(headers, query)?).map_err(AuthFailure::Token)?;
        let token = AdminToken::verify(&compact, signing, resource, live.clock().now()).map_err(AuthFailure::Token)?;
        let issued = Issued { at: token.authorized_at, login_at: token.auth_time };
        let reach = reach(&token).map_err(|_| AuthFailure::Token(TokenFault::Client))?;
        if let Some((_, dead)) = snapshot.revocations.judge(&reach, issued) {
            return Err(AuthFailure::Dead(dead).into());
        }
        if person::standing(live.store(), &snapshot, &token.user).await?.is_none() {
            return Err(AuthFailure::Token(TokenFault::UnknownAccount).into());
        }
        if !has_role(&snapshot.deployment.roles, &token.user) {
            return Err(Refusal::NoRole(token.user));
        }
        Ok(Self { user: token.user, login_at: token.auth_time })
    }

    /// Who.
    pub fn user(&self) -> &UserKey {
        &self.user
    }

    /// Holds them to a password as recent as a page asks of whoever decides somebody else's call.
    ///
    /// # Errors
    /// [`Refusal::Stale`].
    pub fn fresh(&self, now: Millis) -> Result<(), Refusal> {
        is_fresh(self.login_at, now).then_some(()).ok_or(Refusal::Stale)
    }

    /// The same, as acts name who did them.
    pub fn actor(&self) -> Actor {
        Actor::Person(self.user.clone())
    }
}

/// Every scope whose revocation or block ends a token.
fn reach(token: &AdminToken) -> Result<[Scope; 6], InvalidId> {
    Ok([
        Scope::Deployment,
        Scope::Endpoint(EndpointSlug::parse(SLUG)?),
        Scope::User(token.user.clone()),
        Scope::Client(ClientId::parse(CLIENT)?),
        Scope::Family(token.family.clone()),
        Scope::ForeignToken(IssuerName::local(), token.id.clone()),
    ])
}

/// Whether somebody has any part in running the deployment.
pub(crate) fn has_role(roles: &ambit_model::operator::Roles, user: &UserKey) -> bool {
    roles.of_person(user).is_some_and(|rights| !rights.roles.is_empty())
}

/// Why a request is not heard.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No admin API is configured (any more).
    #[error("the admin API is switched off: set `listen` under `[admin]`, and restart")]
    SwitchedOff,
    /// The token is for something else, or from somebody else.
    #[error("the token was not made for the admin API: get one with `ambit login --admin`")]
    NotForAdmin(TokenFault),
    /// The token, or how it was sent.
    #[error(transparent)]
    Auth(AuthFailure),
    /// The login is too long ago for a decision (RFC 9470).
    #[error(
        "whoever decides gave their password within the last five minutes: log in again, as with `ambit login --admin`"
    )]
    Stale,
    /// Whoever it is has no role (any more).
    #[error("{0} has no role here: ask an admin for an entry in `[[operator.roles]]`")]
    NoRole(UserKey),
    /// The store did not answer.
    #[error("the store does not answer, so nothing can be done at the moment: try again")]
    Store(#[from] StoreError),
}

impl From<AuthFailure> for Refusal {
    fn from(failure: AuthFailure) -> Self {
        match failure {
            AuthFailure::Token(fault @ (TokenFault::Issuer | TokenFault::Audience | TokenFault::Audiences)) => {
                Self::NotForAdmin(fault)
            }
            other => Self::Auth(other),
        }
    }
}

impl Refusal {
    /// The status.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::SwitchedOff => StatusCode::NOT_FOUND,
            Self::NotForAdmin(_) | Self::Stale => StatusCode::UNAUTHORIZED,
            Self::Auth(failure) => failure.status().0,
            Self::NoRole(_) => StatusCode::FORBIDDEN,
            Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The challenge beside a 400 or 401 (RFC 6750 §3, RFC 9728 §5.1).
    pub fn challenge(&self, resource: &AdminResource) -> Option<HeaderValue> {
        let code = match self {
            Self::NotForAdmin(_) => Some("invalid_token"),
            Self::Auth(failure) => failure.status().1,
            Self::Stale => Some("insufficient_user_authentication"),
            Self::SwitchedOff | Self::NoRole(_) | Self::Store(_) => return None,
        };
        let sentence = self.to_string();
        let error = code.map(|code| (code, sentence.as_str()));
        Some(challenge::of_resource(&resource.url, error, Some(SCOPE)))
    }

    /// A stable label: one of a small closed set, for records and metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::SwitchedOff => "admin_off",
            Self::NotForAdmin(fault) => fault.reason(),
            Self::Auth(failure) => failure.reason(),
            Self::Stale => "stale_login",
            Self::NoRole(_) => "no_role",
            Self::Store(_) => "store_down",
        }
    }
}

/// The answer to a GET of the metadata of the admin API as a resource (RFC 9728). Built from configuration.
pub fn metadata(resource: &AdminResource) -> Answer {
    let document = serde_json::json!({
        "resource": resource.url,
        "authorization_servers": [resource.issuer],
        "bearer_methods_supported": ["header"],
        "scopes_supported": [SCOPE],
        "resource_name": "The admin API of Ambit",
    });
    Answer::json(StatusCode::OK, &document, "no-store")
}

/// Where that metadata is.
pub const METADATA: &str = resource::WELL_KNOWN;
