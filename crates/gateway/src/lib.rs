//! The corridor: one file per stage, from HTTP in to HTTP out.
//!
//! ```text
//! HTTP in → parse → authenticate → resolve → authorize → guard → upstream → filter → HTTP out
//!           Inbound   Caller        Target    Permit     Guarded             Reply
//!                     └────────────── trail: intent … outcome ──────────────┘
//! ```
//!
//! Each stage takes what the stage before proved; a proof has private fields and is made in one place. Nothing here
//! decides who may do what: that is the judge's, asked once in [`authorize`] for lists and calls alike. Nothing leaves
//! without a [`trail::Closed`], and nothing is dispatched without a [`trail::Recorded`].

mod afford;
mod answer;
mod application;
mod approve;
mod authenticate;
mod authorize;
mod bodies;
mod breaker;
mod budget;
mod corridor;
mod decision;
mod discover;
pub mod doors;
mod faces;
mod filter;
mod finish;
mod flow;
mod gateway;
mod guard;
mod http;
mod legacy;
mod list;
mod listening;
mod metadata;
mod metrics;
mod own;
mod parse;
mod progress;
mod receive;
mod refuse;
mod replay;
mod resolve;
mod router;
mod ruled;
mod shares;
mod stream;
mod throttle;
mod trail;
mod upstream;

pub use application::Application;
pub use gateway::{Gateway, GatewayParts, Reads, RefusalRate, Settings};
pub use listening::StreamSettings;
pub use router::{ROUTES, Route};
pub use upstream::mcp;
