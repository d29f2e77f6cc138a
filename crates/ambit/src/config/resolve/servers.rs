//! Servers: governance, upstream, credentials, overrides and limits.

use std::collections::{BTreeMap, BTreeSet};

use ambit_egress::{EgressRules, Target};
use ambit_model::{
    Effect,
    ids::{CredentialId, ServerSlug, ToolName},
    label::Label,
    server::{
        CallLimits, Credential, Credentials, DocumentSource, EffectOverride, Governance, Scheme, Server, Upstream,
    },
    toolset::Selector,
};

use super::Resolving;
use crate::config::{place::Place, quantity, raw};

/// Shown names start with the server's slug and `_`, and `ambit_` is ours.
const OUR_SLUG: &str = "ambit";

impl Resolving<'_> {
    pub(super) fn servers(&mut self, rules: &EgressRules) -> BTreeMap<ServerSlug, Server> {
        let place = Place::root().key("servers");
        let all = self.raw.servers.iter();
        all.filter_map(|(slug, raw)| {
            let place = place.key(slug);
            let slug = self.leaf(&place, ServerSlug::parse(slug))?;
            let server = self.server(&place, &slug, raw, rules)?;
            Some((slug, server))
        })
        .collect()
    }

    fn server(&mut self, place: &Place, slug: &ServerSlug, raw: &raw::Server, rules: &EgressRules) -> Option<Server> {
        if slug.as_str() == OUR_SLUG {
            self.findings
                .error(place, "has the slug `ambit`: tool names that start with `ambit_` are Ambit's own; use another");
        }
        let upstream = self.upstream(place, raw, rules);
        let credentials = self.credentials(place, slug, raw);
        let overrides = self.overrides(place, &raw.effects);
        let approvals = self.server_approvals(place, raw);
        let labels = self.labels(place, slug, &raw.labels);
        let limits = self.limits(place, raw);
        let expires = place.key("expires");
        let expires_at = self.instant(&expires, &raw.expires)?;
        if expires_at <= self.now {
            let message = format!(
                "is `{}`, which is past: every tool of this server is hidden until {} renews it",
                raw.expires, raw.owner
            );
            self.findings.warn(&expires, message);
        }
        Some(Server {
            slug: slug.clone(),
            governance: Governance {
                owner: raw.owner.clone(),
                purpose: raw.purpose.clone(),
                environment: raw.environment.clone(),
                data_class: raw.data_class.clone(),
                expires_at,
                revoke_when: raw.revoke_when.clone(),
            },
            upstream: upstream?,
            credentials,
            overrides,
            approvals,
            labels,
            limits,
        })
    }

    fn upstream(&mut self, place: &Place, raw: &raw::Server, rules: &EgressRules) -> Option<Upstream> {
        if raw.mcp.is_some()
            && let Some(base_url) = &raw.base_url
        {
            let message = format!("is `{base_url}`, but an MCP server has no base URL: remove it");
            self.findings.error_once(&place.key("base_url"), message);
        }
        if let Some(base_url) = &raw.base_url {
            self.leaf(&place.key("base_url"), Target::parse(base_url, rules));
        }
        match (&raw.openapi, &raw.mcp) {
            (Some(document), None) => {
                let document = self.document(&place.key("openapi"), document, rules)?;
                Some(Upstream::OpenApi { document, base_url: raw.base_url.clone() })
            }
            (None, Some(url)) => {
                self.leaf(&place.key("mcp"), Target::parse(url, rules))?;
                Some(Upstream::Mcp { url: url.clone() })
            }
            (Some(_), Some(_)) => {
                self.findings.error(place, "has both `openapi` and `mcp`: a server is one of them; make two servers");
                None
            }
            (None, None) => {
                let message = "has no upstream: add `openapi = \"FILE or https URL\"` for a REST API, or `mcp = \"URL\"` \
                               for an MCP server";
                self.findings.error_once(place, message);
                None
            }
        }
    }

    fn document(&mut self, place: &Place, text: &str, rules: &EgressRules) -> Option<DocumentSource> {
        if text.contains("://") {
            self.leaf(place, Target::parse(text, rules))?;
            return Some(DocumentSource::Url(text.to_owned()));
        }
        let path = self.base.join(text);
        if !path.is_file() {
            let message = format!("is `{text}`, and there is no such file at `{}`: correct the path", path.display());
            self.findings.error_once(place, message);
        }
        Some(DocumentSource::File(path))
    }

    fn credentials(&mut self, place: &Place, slug: &ServerSlug, raw: &raw::Server) -> Credentials {
        let default =
            raw.credential.as_ref().and_then(|own| self.credential(&place.key("credential"), slug.as_str(), own));
        let own = &raw.credentials;
        let by_effect =
            [(Effect::Read, &own.read), (Effect::Write, &own.write), (Effect::Destructive, &own.destructive)];
        let by_effect = by_effect.into_iter().filter_map(|(effect, own)| {
            let place = place.key("credentials").key(effect.as_str());
            let credential = self.credential(&place, &format!("{slug}-{effect}"), own.as_ref()?)?;
            Some((effect, credential))
        });
        Credentials { default, by_effect: by_effect.collect() }
    }

    fn credential(&mut self, place: &Place, default_id: &str, raw: &raw::Credential) -> Option<Credential> {
        let id = self.leaf(&place.key("id"), CredentialId::parse(raw.id.as_deref().unwrap_or(default_id)))?;
        let scheme = match (&raw.bearer, &raw.basic, &raw.header) {
            (Some(token), None, None) => Scheme::Bearer(self.secret(&place.key("bearer"), token)?),
            (None, Some(basic), None) => {
                let place = place.key("basic");
                let username = self.secret(&place.key("username"), &basic.username);
                let password = self.secret(&place.key("password"), &basic.password);
                Scheme::Basic { username: username?, password: password? }
            }
            (None, None, Some(header)) => {
                let place = place.key("header");
                let value = self.secret(&place.key("value"), &header.value)?;
                Scheme::Header { name: header.name.to_ascii_lowercase(), value }
            }
            _ => {
                let message = "is unclear: write exactly one of `bearer`, `basic` and `header`; leave the table out to send no \
                               credential";
                self.findings.error(place, message);
                return None;
            }
        };
        Some(Credential { id, scheme })
    }

    fn overrides(
        &mut self,
        place: &Place,
        raw: &BTreeMap<String, raw::EffectOverride>,
    ) -> BTreeMap<ToolName, EffectOverride> {
        let place = place.key("effects");
        raw.iter()
            .filter_map(|(name, own)| {
                let name = self.leaf(&place.key(name), ToolName::parse(name))?;
                Some((name, EffectOverride { effect: own.effect, reason: own.reason.clone() }))
            })
            .collect()
    }

    fn labels(
        &mut self,
        place: &Place,
        server: &ServerSlug,
        raw: &BTreeMap<String, Vec<Label>>,
    ) -> Vec<(Selector, BTreeSet<Label>)> {
        let place = place.key("labels");
        let lines = raw.iter().filter_map(|(pattern, labels)| {
            let pattern = self.leaf(&place.key(pattern), Selector::try_from(format!("{server}/{pattern}")))?;
            Some((pattern, labels.iter().copied().collect()))
        });
        lines.collect()
    }

    fn limits(&mut self, place: &Place, raw: &raw::Server) -> CallLimits {
        let usual = CallLimits::default();
        let timeout = raw.timeout.as_deref().map_or(Some(usual.timeout), |text| {
            self.leaf(&place.key("timeout"), quantity::duration(text).ok_or("is not a duration"))
        });
        let max_reply_bytes = raw.max_reply.as_deref().map_or(Some(usual.max_reply_bytes), |text| {
            self.leaf(&place.key("max_reply"), quantity::size(text).ok_or("is not a size"))
        });
        CallLimits {
            timeout: timeout.unwrap_or(usual.timeout),
            max_reply_bytes: max_reply_bytes.unwrap_or(usual.max_reply_bytes),
            max_tools: raw.max_tools.and_then(|most| usize::try_from(most).ok()).unwrap_or(usual.max_tools),
            max_listing_bytes: self.largest_listing(place, raw).unwrap_or(usual.max_listing_bytes),
            breaker: self.breaker(place, raw.breaker.as_ref()),
        }
    }

    fn largest_listing(&mut self, place: &Place, raw: &raw::Server) -> Option<usize> {
        let listing = place.key("max_listing");
        if raw.mcp.is_none() {
            let set = [("max_tools", raw.max_tools.is_some()), ("max_listing", raw.max_listing.is_some())];
            for (key, _) in set.into_iter().filter(|(_, is_set)| *is_set) {
                self.findings
                    .error(&place.key(key), "bounds the listing of an MCP server, and this is none: remove it");
            }
        }
        let text = raw.max_listing.as_deref()?;
        let bytes = self.leaf(&listing, quantity::size(text).ok_or("is not a size"))?;
        if bytes > CallLimits::LARGEST_LISTING_BYTES {
            let message = format!("is `{text}`, and at most `32MiB` are read: make it smaller");
            self.findings.error(&listing, message);
            return None;
        }
        Some(bytes)
    }
}
