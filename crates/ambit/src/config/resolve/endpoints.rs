//! Endpoints: each its own resource, with one issuer and no name that two tools could share.

use std::collections::BTreeSet;

use ambit_model::{
    endpoint::{Endpoint, EndpointIssuer},
    ids::{EndpointSlug, IssuerName, ServerSlug},
};

use super::Resolving;
use crate::config::{
    place::Place,
    raw::{self, EMBEDDED},
};

/// The slug of `/mcp`.
const DEFAULT_SLUG: &str = "default";

/// The slug of the endpoint at a path.
pub(super) fn slug_of(path: &str) -> &str {
    path.strip_prefix("/mcp/").unwrap_or(DEFAULT_SLUG)
}

impl Resolving<'_> {
    pub(super) fn endpoints(&mut self, public_url: &str) -> Vec<Endpoint> {
        let place = Place::root().key("endpoints");
        let mut paths = BTreeSet::new();
        let mut endpoints = Vec::new();
        for (index, raw) in self.raw.endpoints.iter().enumerate() {
            let place = place.index(index);
            if !paths.insert(raw.path.as_str()) {
                let message = format!("is `{}`, which another endpoint has already: give each its own path", raw.path);
                self.findings.error(&place.key("path"), message);
            }
            endpoints.extend(self.endpoint(&place, raw, public_url));
        }
        endpoints
    }

    fn endpoint(&mut self, place: &Place, raw: &raw::Endpoint, public_url: &str) -> Option<Endpoint> {
        let servers = self.published(&place.key("servers"), &raw.servers);
        let prefix = raw.prefix.unwrap_or(raw.servers.len() > 1);
        if !prefix && raw.servers.len() > 1 {
            let message = "is `false`, but this endpoint has several servers, whose tools could share a name: remove it, or \
                           publish one server";
            self.findings.error(&place.key("prefix"), message);
        }
        let slug = self.leaf(&place.key("path"), EndpointSlug::parse(slug_of(&raw.path)));
        let issuer = if raw.issuer == EMBEDDED {
            Some(EndpointIssuer::Embedded { issuer: format!("{public_url}/as/{}", slug.as_ref()?) })
        } else {
            let place = place.key("issuer");
            self.declared(&place, &raw.issuer, "issuers", self.raw.issuers.keys());
            self.leaf(&place, IssuerName::parse(&raw.issuer)).map(EndpointIssuer::External)
        };
        Some(Endpoint {
            slug: slug?,
            path: raw.path.clone(),
            resource: format!("{public_url}{}", raw.path),
            title: raw.title.clone().unwrap_or_else(|| raw.path.clone()),
            servers,
            prefix,
            issuer: issuer?,
        })
    }

    fn published(&mut self, place: &Place, names: &[String]) -> Vec<ServerSlug> {
        let mut servers = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let place = place.index(index);
            self.declared(&place, name, "servers", self.raw.servers.keys());
            let Some(slug) = self.leaf(&place, ServerSlug::parse(name)) else { continue };
            if servers.contains(&slug) {
                self.findings.error(&place, format!("names `{name}` again: name each server once"));
            } else {
                servers.push(slug);
            }
        }
        servers
    }
}
