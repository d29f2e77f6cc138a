//! The only SQL: one text per statement for SQLite and PostgreSQL.
//!
//! A [`Store`] is opened once, cloned freely, and asked through the functions of the table families: reads take a `&Store`
//! or a `&mut Tx`, whatever writes takes a `&mut Tx`. A write that changes what requests see marks its transaction, and the
//! commit moves the revision in the same transaction; other nodes learn of it through [`Store::watch`]. The request path
//! never comes here: it reads a snapshot that `live` loads from these tables.
//!
//! No table holds a token, a code, a session id or a password: only their digests or a password hash.

mod error;
mod migrate;
mod schema;
mod statement;
mod store;
mod url;
mod watch;

pub mod revision;

pub mod accounts;
pub mod clients;
pub mod codes;
pub mod consents;
pub mod families;
pub mod pending;
pub mod rule_sets;
pub mod sessions;

pub mod acceptances;
pub mod access_requests;
pub mod approvals;
pub mod broken_glass;
pub mod grants;
pub mod nodes;
pub mod reveals;
pub mod revocations;

pub mod day_counts;
pub mod touched;
pub mod trail_index;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

#[cfg(test)]
mod conformance;

pub use error::{OpenError, StoreError};
pub use store::{Source, Store, Tx};
pub use url::{InvalidStoreUrl, StoreUrl};
