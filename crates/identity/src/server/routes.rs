//! Every route, once: what the router serves and what the tests hold each to.

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};

use super::{
    Shared, access, approvals, authorize, break_glass, consent, exchange, introspect, login, logout, metadata,
    my_clients, page, register, reply, revoke, setup,
};

/// Largest body of any request here, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// A route and what it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: &'static str,
    /// What it is for.
    pub purpose: &'static str,
}

const fn route(method: &'static str, path: &'static str, purpose: &'static str) -> Route {
    Route { method, path, purpose }
}

const OAUTH_METADATA: &str = "/.well-known/oauth-authorization-server/as/{slug}";
const OPENID_INSERTED: &str = "/.well-known/openid-configuration/as/{slug}";
const OPENID_APPENDED: &str = "/as/{slug}/.well-known/openid-configuration";
const JWKS: &str = "/as/{slug}/jwks";
const REGISTER: &str = "/as/{slug}/register";
const AUTHORIZE: &str = "/as/{slug}/authorize";
const CONSENT: &str = "/as/{slug}/consent";
const TOKEN: &str = "/as/{slug}/token";
const REVOKE: &str = "/as/{slug}/revoke";
const INTROSPECT: &str = "/as/{slug}/introspect";
const STYLE: &str = "/as/style.css";
const LOGIN: &str = "/login";
const LOGOUT: &str = "/logout";
const SETUP: &str = "/setup/{link}";
const CLIENTS: &str = "/clients";
const CLIENT: &str = "/clients/{family}";
const APPROVALS: &str = "/approvals";
const APPROVAL: &str = "/approvals/{id}";
const BREAK_GLASS: &str = "/break-glass";
const REQUESTS: &str = access::PATH;
const REQUEST: &str = "/access/{id}";

/// Every route of the authorization server.
pub const ROUTES: [Route; 28] = [
    route("GET", OAUTH_METADATA, "metadata of an issuer (RFC 8414)"),
    route("GET", OPENID_INSERTED, "the same for clients that know OpenID Connect only"),
    route("GET", OPENID_APPENDED, "the same, as OpenID Connect Discovery spells it"),
    route("GET", JWKS, "the keys that sign access tokens"),
    route("POST", REGISTER, "a client registers itself (RFC 7591)"),
    route("GET", AUTHORIZE, "a client asks for a code"),
    route("GET", CONSENT, "a person is asked"),
    route("POST", CONSENT, "a person answers"),
    route("POST", TOKEN, "a code or refresh token becomes an access token"),
    route("POST", REVOKE, "a client gives a token back (RFC 7009)"),
    route("POST", INTROSPECT, "a resource server asks about a token (RFC 7662)"),
    route("GET", STYLE, "the stylesheet of the pages"),
    route("GET", LOGIN, "the form of the login"),
    route("POST", LOGIN, "a person logs in"),
    route("GET", LOGOUT, "the form of the logout"),
    route("POST", LOGOUT, "a person logs out"),
    route("GET", SETUP, "the form of a one-time link"),
    route("POST", SETUP, "a password is set"),
    route("GET", CLIENTS, "a person's connected applications"),
    route("POST", CLIENT, "a person changes or ends one"),
    route("GET", APPROVALS, "the calls that wait for a person, and those in their name"),
    route("GET", APPROVAL, "one of them: its status, or the whole call for who may decide it"),
    route("POST", APPROVAL, "a person approves or denies a call"),
    route("GET", BREAK_GLASS, "what a named person may use without waiting for others"),
    route("POST", BREAK_GLASS, "they begin or end that"),
    route("GET", REQUESTS, "the requests for access a person may decide, and their own"),
    route("GET", REQUEST, "one of them: to confirm, to look at, or to decide"),
    route("POST", REQUEST, "a person confirms, withdraws, approves or denies one"),
];

pub(super) fn router(server: Shared) -> Router {
    Router::new()
        .route(OAUTH_METADATA, get(metadata::oauth).options(reply::preflight))
        .route(OPENID_INSERTED, get(metadata::openid).options(reply::preflight))
        .route(OPENID_APPENDED, get(metadata::openid).options(reply::preflight))
        .route(JWKS, get(metadata::jwks).options(reply::preflight))
        .route(REGISTER, post(register::register).options(reply::preflight))
        .route(AUTHORIZE, get(authorize::authorize))
        .route(CONSENT, get(consent::ask).post(consent::decide))
        .route(TOKEN, post(exchange::exchange).options(reply::preflight))
        .route(REVOKE, post(revoke::revoke).options(reply::preflight))
        .route(INTROSPECT, post(introspect::introspect))
        .route(STYLE, get(page::style))
        .route(LOGIN, get(login::form).post(login::submit))
        .route(LOGOUT, get(logout::form).post(logout::submit))
        .route(SETUP, get(setup::form).post(setup::submit))
        .route(CLIENTS, get(my_clients::list))
        .route(CLIENT, post(my_clients::change))
        .route(APPROVALS, get(approvals::list))
        .route(APPROVAL, get(approvals::look).post(approvals::decide))
        .route(BREAK_GLASS, get(break_glass::look).post(break_glass::act))
        .route(REQUESTS, get(access::list))
        .route(REQUEST, get(access::look).post(access::act))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(server)
}
