//! Development only: the peers that tests, demo, bench and end-to-end runs put around the gateway.
//!
//! Nothing here is part of what ships, and nothing here reaches beyond loopback.

#[cfg(feature = "app")]
pub mod app;
pub mod flags;
pub mod load;
pub mod mock_api;
pub mod scripted;
pub mod shim;
pub mod wire;
