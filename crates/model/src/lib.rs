//! The nouns of Ambit: ids, effects, callers, servers, tools, toolsets, grants, revocations, secrets and trail events.
//!
//! Pure: no IO, no clock, no randomness. Every other room speaks in these types. The words are those of the glossary in
//! `ARCHITECTURE.md`; one word, one type.

pub mod access;
pub mod admin;
pub mod approval;
pub mod break_glass;
pub mod budget;
pub mod calendar;
pub mod caller;
pub mod canonical;
pub mod ceiling;
pub mod claim;
pub mod constraints;
pub mod digest;
pub mod effect;
pub mod endpoint;
pub mod event;
pub mod grant;
pub mod ids;
pub mod issuer;
pub mod label;
pub mod names;
pub mod operator;
pub mod outcome;
pub mod replay;
pub mod revocation;
pub mod secret;
pub mod server;
pub mod shown;
pub mod source;
pub mod tool;
pub mod toolset;

pub use digest::Digest;
pub use effect::Effect;
pub use outcome::Outcome;
