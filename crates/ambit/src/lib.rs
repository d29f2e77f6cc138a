//! Ambit's binary as a library: configuration, commands, the acts of operators, and the wiring of a running server.
//!
//! [`cli`] is the whole program; `main` gives it the arguments and the streams.

pub mod admin;
pub mod catalogues;
mod cli;
pub mod commands;
pub mod config;
mod holdings;
pub mod operator;
pub mod serve;

pub use cli::{Streams, cli};
