//! What operators do to a deployment from the command line: one act at a time, each recorded as `operator:<os user>`.
//!
//! A running server performs acts itself, asked through a socket in its data directory ([`socket`], [`client`]), and answers
//! when its own snapshot has them, so that an act counts on the very next request. Without a running server the same
//! [`perform`] works on store and trail directly. Nothing here is reachable from the network.

mod access;
pub mod act;
mod approve;
pub mod client;
pub mod context;
mod entitle;
mod glass;
pub(crate) mod import;
mod mark;
pub mod os_user;
pub mod perform;
pub(crate) mod rights;
pub mod socket;

pub use act::{Act, Done};
pub use context::OperatorContext;
pub use perform::{ActError, perform};

#[cfg(test)]
mod tests;
