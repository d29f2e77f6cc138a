//! Between *authenticate* and *parse*: the body of a request of somebody known is taken in, within its bounds and its part of the
//! room. Reads nothing of what it says.

use std::net::IpAddr;

use axum::body::Body;
use bytes::Bytes;
use http_body::Body as _;

use crate::{answer::Reply, authenticate::Entered, bodies::Part, gateway::Gateway, parse};

/// Reads the body, if its headers were admitted. A client that leaves meanwhile is counted.
///
/// # Errors
/// The answer: that of its headers, or HTTP 413, 408, 429, or 400 for a body that broke off.
pub(crate) async fn receive(
    gateway: &Gateway,
    entered: &Entered,
    body: Body,
    admitted: Result<(), Reply>,
) -> Result<(Bytes, Part), Reply> {
    let settings = &gateway.shared.settings;
    let part = admitted.and_then(|()| {
        let announced = body.size_hint().exact();
        gateway.shared.bodies.part(entered.caller().person(), announced, settings.limits.max_body_bytes)
    });
    let part = match part {
        Ok(part) => part,
        Err(reply) => {
            parse::discard(body, parse::OF_CALLERS).await;
            return Err(reply);
        }
    };
    let mut waiting = Waiting { gateway, endpoint: entered.place().slug(), source: entered.source(), here: true };
    let read = parse::body(body, &settings.limits, settings.body_timeout).await;
    waiting.here = false;
    Ok((read?, part))
}

/// Counts a client that is gone before it said what it wanted.
struct Waiting<'a> {
    gateway: &'a Gateway,
    endpoint: &'a str,
    source: IpAddr,
    here: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.here {
            self.gateway.live().recorder().refused_early(self.endpoint, self.source, "client_left");
        }
    }
}
