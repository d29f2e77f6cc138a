//! The MCP wire protocol, both eras: pure.
//!
//! A request passes [`strict::parse`] → [`era::decide`] → [`headers::agree`] before the gateway
//! judges it; answers are written by [`reply`] and [`error`]; [`upstream`] is the client side and
//! [`sse`] the stream framing of both. *Modern* means revision 2026-07-28, *legacy* 2025-06-18 and
//! 2025-11-25. Nothing here does IO, reads a clock or waits, and nothing panics on any input.

pub mod strict;

pub mod era;

pub mod headers;

pub mod error;

pub mod reply;

pub mod subscription;

pub mod sse;

pub mod upstream;

mod raw;
mod scan;
mod write;

pub use error::RpcError;
pub use raw::{Id, Kind, OwnedRaw, Raw};
pub use scan::Fault;
