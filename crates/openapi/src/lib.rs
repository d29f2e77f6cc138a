//! OpenAPI documents compiled to tools: pure.
//!
//! A document ([`document`]) is read tolerantly as plain JSON, each operation becomes an [`OperationTool`] ([`compile`])
//! with a closed input schema ([`schema`]), an effect judged by meaning ([`effect`]) and a [`Plan`] that builds the one
//! request a set of arguments stands for ([`plan`]). The answer of the API becomes a tool result ([`response`]).
//!
//! Nothing here opens a socket or a file, follows a reference out of the document, or lets an argument choose host,
//! method or path shape.

pub mod annotations;
mod body;
pub mod compile;
pub mod document;
pub mod effect;
mod encode;
mod names;
mod parameters;
pub mod plan;
mod refs;
pub mod response;
pub mod schema;
mod scope;
pub mod server;
mod text;

pub use annotations::{Annotations, annotations};
pub use compile::{Compiled, LeftOut, OperationTool, Options, OutputSchemas, compile};
pub use document::{DocumentError, parse};
pub use plan::{BuildError, BuiltRequest, Plan};
pub use response::{ToolOutcome, to_tool_result};
pub use server::{BaseUrl, base_url};

#[cfg(test)]
mod tests;
