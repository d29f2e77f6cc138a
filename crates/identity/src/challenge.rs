//! The `WWW-Authenticate` challenges of the resource server (RFC 6750 §3, RFC 9728 §5.1). Everything in them comes from
//! configuration; nothing from the request.

use std::fmt::Write as _;

use ambit_live::deployment::Deployment;
use ambit_model::{
    endpoint::{Endpoint, EndpointIssuer},
    ids::ToolsetSlug,
    issuer::IssuerScopes,
};
use http::HeaderValue;

use crate::{resource, token};

/// The scope a client asks for first. Only our own issuer knows it: a foreign one may refuse a scope it never heard of,
/// so there none is named.
pub fn baseline_scope(endpoint: &Endpoint) -> Option<&'static str> {
    match endpoint.issuer {
        EndpointIssuer::Embedded { .. } => Some(token::BASELINE_SCOPE),
        EndpointIssuer::External(_) => None,
    }
}

/// The challenge of a 401 or 400. `error` is an RFC 6750 §3.1 code with a sentence; none if nothing was presented.
pub fn unauthorized(endpoint: &Endpoint, error: Option<(&str, &str)>) -> HeaderValue {
    build(endpoint, error, baseline_scope(endpoint))
}

/// The challenge of a 403: the complete set of scopes the operation needs, so that one step-up is enough.
///
/// A foreign issuer is asked with its own words for the toolsets; one without such words gives a challenge without scopes.
pub fn insufficient_scope<'a>(
    endpoint: &Endpoint,
    deployment: &Deployment,
    toolsets: impl IntoIterator<Item = &'a ToolsetSlug>,
    description: &str,
) -> HeaderValue {
    let scope = match &endpoint.issuer {
        EndpointIssuer::Embedded { .. } => Some(token::scope_value(toolsets)),
        EndpointIssuer::External(name) => deployment.issuers.get(name).and_then(|issuer| match &issuer.scopes {
            IssuerScopes::None => None,
            IssuerScopes::Map(map) => {
                let toolsets: Vec<_> = toolsets.into_iter().collect();
                let words = map.iter().filter(|(_, toolset)| toolsets.contains(toolset)).map(|(word, _)| word.as_str());
                Some(words.collect::<Vec<_>>().join(" ")).filter(|scope| !scope.is_empty())
            }
        }),
    };
    build(endpoint, Some(("insufficient_scope", description)), scope.as_deref())
}

fn build(endpoint: &Endpoint, error: Option<(&str, &str)>, scope: Option<&str>) -> HeaderValue {
    of_resource(&endpoint.resource, error, scope)
}

/// The same of a resource that is no endpoint, by its identifier.
pub(crate) fn of_resource(resource: &str, error: Option<(&str, &str)>, scope: Option<&str>) -> HeaderValue {
    let mut text = String::with_capacity(256);
    text.push_str("Bearer ");
    if let Some((error, description)) = error {
        parameter(&mut text, "error", error);
        parameter(&mut text, "error_description", description);
    }
    if let Some(scope) = scope {
        parameter(&mut text, "scope", scope);
    }
    parameter(&mut text, "resource_metadata", &resource::metadata_url_of(resource));
    let text = text.strip_suffix(", ").unwrap_or(&text);
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("Bearer"))
}

/// A quoted string of the characters RFC 6750 §3 allows; any other becomes `'` or `?`.
fn parameter(text: &mut String, name: &str, value: &str) {
    let plain = value.chars().map(|c| match c {
        '"' => '\'',
        ' '..='~' if c != '\\' => c,
        _ => '?',
    });
    // Writing to a string cannot fail.
    let _ = write!(text, "{name}=\"{}\", ", plain.collect::<String>());
}

#[cfg(test)]
mod tests;
