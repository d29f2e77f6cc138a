//! Protected resource metadata (RFC 9728) of every endpoint: at the path-inserted well-known URL, and at the root for the
//! default endpoint alone. Built from configuration; a forged `Host` changes nothing.

use ambit_live::deployment::Deployment;
use ambit_model::endpoint::{Endpoint, EndpointIssuer};
use http::StatusCode;
use serde_json::json;

use crate::{
    answer::{Answer, Readable},
    challenge,
};

/// What is inserted between origin and path.
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The URL of an endpoint's metadata: the well-known segment inserted after the authority of its resource identifier.
pub fn metadata_url(endpoint: &Endpoint) -> String {
    metadata_url_of(&endpoint.resource)
}

/// The same of any resource, by its identifier.
pub(crate) fn metadata_url_of(resource: &str) -> String {
    let authority = resource.find("://").map_or(0, |scheme| scheme + 3);
    let path = resource.get(authority..).and_then(|rest| rest.find('/')).map_or(resource.len(), |at| authority + at);
    let (origin, path) = resource.split_at_checked(path).unwrap_or((resource, ""));
    format!("{origin}{WELL_KNOWN}{path}")
}

/// The answer to a GET of any path under [`WELL_KNOWN`]; 404 for one that is no endpoint's.
pub fn metadata(path: &str, deployment: &Deployment) -> Answer {
    let endpoint = match path.strip_prefix(WELL_KNOWN) {
        Some("" | "/") => deployment.endpoints.iter().find(|endpoint| endpoint.slug.as_str() == "default"),
        Some(inserted) => deployment.endpoints.iter().find(|endpoint| endpoint.path == inserted),
        None => None,
    };
    let document = endpoint.and_then(|endpoint| document(endpoint, deployment));
    let answer = match document {
        Some(document) => Answer::json(StatusCode::OK, &document, "public, max-age=300"),
        None => Answer::json(StatusCode::NOT_FOUND, &json!({ "error": "not_found" }), "no-store"),
    };
    answer.readable_from(Readable::Document)
}

/// The answer to an OPTIONS of the same paths: a browser asks before it sends `MCP-Protocol-Version`.
pub fn preflight() -> Answer {
    Answer::preflight(Readable::Document)
}

/// The metadata of one endpoint; `None` if its issuer is not configured.
fn document(endpoint: &Endpoint, deployment: &Deployment) -> Option<serde_json::Value> {
    let issuer = match &endpoint.issuer {
        EndpointIssuer::Embedded { issuer } => issuer,
        EndpointIssuer::External(name) => &deployment.issuers.get(name)?.issuer,
    };
    let mut document = json!({
        "resource": endpoint.resource,
        "authorization_servers": [issuer],
        "bearer_methods_supported": ["header"],
        "resource_name": endpoint.title,
    });
    if let (Some(scope), Some(members)) = (challenge::baseline_scope(endpoint), document.as_object_mut()) {
        members.insert("scopes_supported".to_owned(), json!([scope]));
    }
    Some(document)
}

#[cfg(test)]
mod tests;
