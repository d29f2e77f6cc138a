//! The whole gateway through its own socket: real store, real trail, real tokens, scripted upstreams behind it. Each file
//! tries one kind of misuse, or walks one way a person, a client or an operator goes.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on fails")]

mod administering;
mod affording;
mod asking;
mod bounds;
mod constraining;
mod corridor;
mod counters;
mod denying;
mod documents;
mod evidence;
mod floods;
mod flow;
mod granting;
mod headers;
mod hiding;
mod issuers;
mod listening;
mod listing;
mod operators;
mod parsing;
mod pinning;
mod raw;
mod reloading;
mod revoking;
mod routes;
mod rules;
mod schemas;
mod sessions;
mod tokens;
mod upstreams;
mod waiting;
mod world;
