//! The admin API: the acts of operators over HTTP, for persons who have a role. On a listener of its own, a resource of its own.
//!
//! [`routes`] is the table of everything that can be asked; router, description and tests read it. A request passes the doors
//! (`serve.rs`), is authenticated by its headers, then its body is read ([`wants`]), then it is authenticated again, because
//! a body takes its time, and only then is it an [`Act`](crate::operator::Act) of that person, performed as one that came
//! through the operator socket is. What it came to is described in [`gives`], what went wrong in [`problem`].
//!
//! Nothing here decides who may do what: that is `operator/rights.rs` for acts, and [`grants`] for what is only shown. No token
//! of an endpoint is heard here, no page of another origin, and nothing here answers at an endpoint.

pub mod gives;
mod grants;
pub(crate) mod hear;
mod openapi;
mod problem;
pub(crate) mod remote;
pub mod routes;
pub(crate) mod serve;
pub mod wants;

pub use openapi::{document, text};
pub use routes::{Operation, ROUTES, Route};
