//! Every route of the corridor, in one table that router, tests and documents read. Requests to the endpoints themselves go past
//! the router.

use axum::{
    Router,
    routing::{any, get},
};

use crate::{decision, gateway::Gateway, metadata};

/// One route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// The methods that do something.
    pub methods: &'static [&'static str],
    /// What it is.
    pub what: &'static str,
    /// Whether it answers without a token.
    pub is_public: bool,
}

/// Every route.
pub const ROUTES: [Route; 14] = [
    Route { path: "/mcp", methods: &["POST", "GET", "DELETE"], what: "the default endpoint", is_public: false },
    Route { path: "/mcp/{slug}", methods: &["POST", "GET", "DELETE"], what: "an endpoint", is_public: false },
    Route {
        path: "/access/v1/evaluation",
        methods: &["POST"],
        what: "one question to the decision point of the default endpoint (AuthZEN)",
        is_public: false,
    },
    Route {
        path: "/access/v1/evaluations",
        methods: &["POST"],
        what: "several questions to the decision point of the default endpoint (AuthZEN)",
        is_public: false,
    },
    Route {
        path: "/mcp/{slug}/access/v1/evaluation",
        methods: &["POST"],
        what: "one question to the decision point of an endpoint (AuthZEN)",
        is_public: false,
    },
    Route {
        path: "/mcp/{slug}/access/v1/evaluations",
        methods: &["POST"],
        what: "several questions to the decision point of an endpoint (AuthZEN)",
        is_public: false,
    },
    Route {
        path: "/.well-known/authzen-configuration",
        methods: &["GET"],
        what: "metadata of the decision point of the default endpoint (AuthZEN)",
        is_public: true,
    },
    Route {
        path: "/.well-known/authzen-configuration/mcp/{slug}",
        methods: &["GET"],
        what: "metadata of the decision point of an endpoint (AuthZEN)",
        is_public: true,
    },
    Route {
        path: "/.well-known/oauth-protected-resource",
        methods: &["GET"],
        what: "metadata of the default endpoint (RFC 9728)",
        is_public: true,
    },
    Route {
        path: "/.well-known/oauth-protected-resource/mcp",
        methods: &["GET"],
        what: "metadata of the default endpoint (RFC 9728)",
        is_public: true,
    },
    Route {
        path: "/.well-known/oauth-protected-resource/mcp/{slug}",
        methods: &["GET"],
        what: "metadata of an endpoint (RFC 9728)",
        is_public: true,
    },
    Route {
        path: "/.well-known/ambit/checkpoint",
        methods: &["GET"],
        what: "the latest signed checkpoint of the trail (C2SP)",
        is_public: true,
    },
    Route { path: "/healthz", methods: &["GET"], what: "whether the node lives", is_public: true },
    Route { path: "/readyz", methods: &["GET"], what: "whether the node serves", is_public: true },
];

/// Every route but those of the endpoints.
pub(crate) fn router(gateway: &Gateway) -> Router {
    let [_default, _slugged, one, several, slugged_one, slugged_several, pdp, pdp_slugged, rest @ ..] =
        ROUTES.map(|route| route.path);
    let [prm_root, prm_default, prm_slugged, checkpoint, health, ready] = rest;
    Router::new()
        .route(one, any(decision::evaluation))
        .route(several, any(decision::evaluations))
        .route(slugged_one, any(decision::evaluation))
        .route(slugged_several, any(decision::evaluations))
        .route(pdp, get(decision::configuration).options(decision::preflight))
        .route(pdp_slugged, get(decision::configuration).options(decision::preflight))
        .route(prm_root, get(metadata::protected_resource).options(metadata::preflight))
        .route(prm_default, get(metadata::protected_resource).options(metadata::preflight))
        .route(prm_slugged, get(metadata::protected_resource).options(metadata::preflight))
        .route(checkpoint, get(metadata::checkpoint))
        .route(health, get(metadata::healthz))
        .route(ready, get(metadata::readyz))
        .with_state(gateway.clone())
}
