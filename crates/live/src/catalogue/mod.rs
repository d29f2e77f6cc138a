//! The tools of a deployment: compiled once per server, shared by every request and every snapshot.
//!
//! [`ServerCatalogue`] is one server's tools as last read from its document or listing; [`Catalogue`] puts the servers
//! together with the lock file, and lays out each endpoint's names.

mod effort;
mod published;
mod server;
mod whole;

pub use published::{Arguments, Binding, InvalidSchema, PublishedTool};
pub use server::{LeftOut, McpTool, ServerCatalogue};
pub use whole::{Catalogue, EndpointView, Entry, ToolPosition};
