//! The only room that opens outgoing sockets.
//!
//! Every URL that leaves the process passes here: upstream calls, keys and metadata of identity
//! providers, client documents, descriptions, webhooks. The way is always the same:
//!
//! 1. [`target`] parses the URL strictly, once, when it is configured or first seen;
//! 2. [`resolve`] turns the name into addresses and judges each against [`rules`];
//! 3. [`connect`] connects to exactly the addresses that were judged;
//! 4. [`client`] sends one request and says afterwards whether it can have been carried out;
//! 5. [`body`] reads the answer within bounds; a short answer is an error, never a success.
//!
//! This room knows nothing of tools, callers or credentials. It follows no redirect of its own
//! accord, reads no proxy variable, keeps no cookie and adds no header but `Host` and
//! `Content-Length`.

pub mod address;
mod alarm;
pub mod body;
pub mod client;
pub mod connect;
pub mod fetch;
mod handoff;
mod heard;
mod kept;
pub mod network;
mod pool;
pub mod resolve;
pub mod rules;
pub mod send;
pub mod target;
pub mod tls;

pub use alarm::Alarm;
pub use body::{Body, Chunks, ReadError};
pub use client::{Again, Client, Settings, Stands};
pub use fetch::{Ask, FetchError, FetchLimits, Fetched, Redirects};
pub use network::Network;
pub use rules::{EgressRules, Refusal};
pub use send::{Lost, NotSent, SendError, Sent};
pub use target::{Target, TargetError};
pub use tls::{Roots, TlsError};

#[cfg(test)]
mod tests;
