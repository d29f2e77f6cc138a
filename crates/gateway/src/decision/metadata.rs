//! Where the decision points are (AuthZEN §11): one of each endpoint, described at the well-known URL of its identifier. That
//! of the default endpoint is the origin, of any other the endpoint's own URL. What does not exist is not named. Built from
//! configuration; nothing from the request but its path.

use ambit_identity::answer::{Answer, Readable};
use ambit_live::deployment::Deployment;
use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, Uri};
use serde_json::{Value, json};

use super::{EVALUATION, EVALUATIONS};
use crate::gateway::Gateway;

/// What is inserted between origin and path.
const WELL_KNOWN: &str = "/.well-known/authzen-configuration";

/// The path of the default endpoint, whose decision point stands at the root.
const DEFAULT_PATH: &str = "/mcp";

/// The path of the endpoint whose decision point stands below a path.
pub(super) fn endpoint_path(base: &str) -> &str {
    match base {
        "" => DEFAULT_PATH,
        // It has one place.
        DEFAULT_PATH => "",
        other => other,
    }
}

/// The metadata of the decision point that a path names.
pub(crate) async fn configuration(State(gateway): State<Gateway>, uri: Uri) -> Response {
    let deployment = &gateway.live().current().deployment;
    let base = uri.path().strip_prefix(WELL_KNOWN);
    let answer = match base.and_then(|base| document(base, deployment)) {
        Some(document) => Answer::json(StatusCode::OK, &document, "public, max-age=300"),
        None => Answer::json(StatusCode::NOT_FOUND, &json!("no decision point has this identifier"), "no-store"),
    };
    answer.readable_from(Readable::Document).into_response()
}

/// The preflight of a browser that wants to read it.
pub(crate) async fn preflight() -> Response {
    Answer::preflight(Readable::Document).into_response()
}

fn document(base: &str, deployment: &Deployment) -> Option<Value> {
    let path = endpoint_path(base);
    let endpoint = deployment.endpoints.iter().find(|endpoint| endpoint.path == path)?;
    let point = if base.is_empty() { &deployment.public_url } else { &endpoint.resource };
    Some(json!({
        "policy_decision_point": point,
        "access_evaluation_endpoint": format!("{point}{EVALUATION}"),
        "access_evaluations_endpoint": format!("{point}{EVALUATIONS}"),
    }))
}
