//! Who is calling: resource server, authorization server, login, tokens.

pub mod access;
pub mod admin;
pub mod answer;
pub mod approvals;
pub mod authenticate;
pub mod caller;
pub mod challenge;
pub mod external;
mod fresh;
pub mod jwks;
pub mod mint;
pub mod resource;
pub mod server;
pub mod signing;
pub mod token;
pub mod upkeep;
pub mod verify;
pub mod webhooks;

#[cfg(test)]
mod testing;
