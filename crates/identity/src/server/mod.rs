//! The embedded authorization server: one issuer per endpoint at `<public_url>/as/<slug>`, local logins, consent, tokens.
//!
//! The way of a client: [`metadata`] → [`register`] or a document ([`client`]) → [`authorize`] → [`login`] → [`consent`] →
//! [`exchange`], again at each refresh, until [`revoke`] or the person under [`my_clients`] ends it. Everything that is
//! kept is a row of the store, everything that happens an act in the trail; no process holds state another could not.
//!
//! Nothing here decides what a token may do. It says which toolsets a person agreed to; grants, policy and blocks are
//! judged on every call. No token, code or password is logged, recorded, or part of an error.

mod access;
mod approvals;
mod authorization;
mod authorize;
mod break_glass;
mod client;
mod code;
mod consent;
mod cookie;
mod csrf;
mod exchange;
mod failure;
pub(crate) mod fields;
mod inbox;
mod introspect;
mod limits;
mod login;
mod logout;
mod metadata;
mod my_clients;
mod oauth_error;
mod offers;
mod own_token;
mod page;
mod pending;
pub(crate) mod person;
mod redirect;
mod refusals;
mod register;
mod reply;
mod revoke;
mod routes;
pub(crate) mod session;
mod setup;
mod state;
mod sweep;
mod throttle;
mod visitor;
mod when;

pub mod password;

pub use register::ID_PREFIX;
pub use routes::{ROUTES, Route};
pub(crate) use session::may_log_in;
pub use state::{SecretReader, ServerParts, Settings};
pub use sweep::sweep;
pub use visitor::Source;

use std::sync::Arc;

use axum::Router;

/// What every handler is given.
type Shared = Arc<state::Server>;

/// The routes of the authorization server and its pages.
pub fn router(parts: ServerParts) -> Router {
    routes::router(Arc::new(state::Server::new(parts)))
}

#[cfg(test)]
mod tests;
