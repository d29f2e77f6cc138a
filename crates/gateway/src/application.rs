//! Everything that is served, as one function of a request: the doors, then the endpoints, then every other route.
//!
//! A request to an endpoint goes past the router. To hand a request to one of many handlers a router copies services and boxes
//! what each does, which took a call longer than being judged; and it would only look at the path, which the snapshot does anyway.

use std::{fmt, net::SocketAddr, sync::Arc};

use ambit_mcp::RpcError;
use axum::{Router, body::Body, response::Response};
use http::Request;
use tower::Service as _;

use crate::{
    answer::Reply,
    doors::{InvalidDoors, Rules, Settings, Source},
    gateway::Gateway,
    http::{self as ends, respond},
    router, trail,
};

/// What the process serves. Clones are the same.
#[derive(Clone)]
pub struct Application {
    parts: Arc<Parts>,
}

struct Parts {
    gateway: Gateway,
    doors: Rules,
    others: Router,
}

impl Application {
    pub(crate) fn new(gateway: &Gateway, doors: &Settings, others: Router) -> Result<Self, InvalidDoors> {
        let others = router::router(gateway).merge(others);
        Ok(Self { parts: Arc::new(Parts { gateway: gateway.clone(), doors: Rules::new(doors)?, others }) })
    }

    /// Answers a request that came over a connection of this peer.
    pub async fn answer(self, mut request: Request<Body>, peer: SocketAddr) -> Response {
        let Parts { gateway, doors, others } = &*self.parts;
        let source = doors.source(peer.ip(), request.headers());
        if let Err(wrong) = doors.admit(request.uri(), request.headers()) {
            let reply = Reply::error(&RpcError::forbidden(wrong.sentence()), None, wrong.reason());
            return respond(trail::refuse_early(gateway, "other", source, reply));
        }
        if is_of_an_endpoint(request.uri().path()) {
            return ends::endpoint(gateway, request, source).await;
        }
        request.extensions_mut().insert(Source(source));
        // Boxed, because every call would carry the room for it.
        match Box::pin(others.clone().call(request)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// `/mcp` and `/mcp/{slug}`: where endpoints may be published. What lies below them are routes.
fn is_of_an_endpoint(path: &str) -> bool {
    path.strip_prefix("/mcp").is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix('/').is_some_and(|slug| !slug.is_empty() && !slug.contains('/'))
    })
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application").field("doors", &self.parts.doors).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routes_begin_with_those_of_endpoints_and_no_other_is_one() {
        let is_one = router::ROUTES.map(|route| is_of_an_endpoint(route.path));
        assert_eq!(is_one.iter().filter(|is_one| **is_one).count(), 2);
        assert!(is_one.starts_with(&[true, true]), "the router leaves out the first two");
    }

    #[test]
    fn endpoints_are_the_default_one_and_those_one_step_below() {
        for path in ["/mcp", "/mcp/finance", "/mcp/%20"] {
            assert!(is_of_an_endpoint(path), "{path}");
        }
        for path in ["/", "/mcp/", "/mcpx", "/mcp//", "/mcp/finance/", "/mcp/finance/access/v1/evaluation", "/MCP"] {
            assert!(!is_of_an_endpoint(path), "{path}");
        }
    }
}
