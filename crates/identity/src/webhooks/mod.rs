//! Signed messages to other systems: somebody's chat, pager or workflow hears that a call, or a wish for access, waits
//! for people, how it was decided, and that the glass was broken.
//!
//! Beside the requests, through the egress client, bounded in number, size and time. A message carries tool, server, who
//! asks, effect and a link, never an argument, and no link says yes. One that cannot be delivered harms nothing: it is given
//! up after a few tries, and that is in the log and the trail.

pub(crate) mod deliver;
mod message;
mod sign;

pub use deliver::{Hooks, Webhook, run};
pub use message::Format;
pub use sign::{InvalidKey, SigningKey};
