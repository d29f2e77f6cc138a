//! A published MCP endpoint. Its URL is its resource identifier and the audience of its tokens; it advertises one issuer.

use crate::ids::{EndpointSlug, IssuerName, ServerSlug};

/// An endpoint, resolved from configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Its slug; `default` for `/mcp`.
    pub slug: EndpointSlug,
    /// `/mcp` or `/mcp/<slug>`.
    pub path: String,
    /// The resource identifier: public URL + path, no trailing slash. Built from configuration, never from a request.
    pub resource: String,
    /// A title for consent and metadata.
    pub title: String,
    /// The servers it publishes.
    pub servers: Vec<ServerSlug>,
    /// Whether shown names carry the server's slug. A one-server endpoint may do without.
    pub prefix: bool,
    /// Who issues its tokens.
    pub issuer: EndpointIssuer,
}

/// Who issues the tokens of an endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EndpointIssuer {
    /// The embedded authorization server, at `<public_url>/as/<slug>`.
    Embedded {
        /// The issuer identifier.
        issuer: String,
    },
    /// A configured issuer.
    External(IssuerName),
}
