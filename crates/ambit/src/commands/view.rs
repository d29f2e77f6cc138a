//! What a deployment would show, read without serving: every server's tools, and the decisions over them as a snapshot makes
//! them. It changes nothing, and opens the store only where one is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ambit_gateway::mcp::McpUpstreams;
use ambit_live::{Snapshot, catalogue::ServerCatalogue, credentials::Spendables, deployment::Deployment};
use ambit_model::{
    caller::{AgentFacts, Assurance, CallerFacts, ClientFacts, Principal, TokenScopes, UserFacts},
    endpoint::{Endpoint, EndpointIssuer},
    ids::{AgentId, ClientId, GroupName, IssuerName, ServerSlug, ToolsetSlug, UserKey},
    issuer::IssuerScopes,
    server::{Server, Upstream},
};
use ambit_store::{Store, StoreUrl};
use clap::Args;
use serde_json::Value;

use super::{Context, Failure};
use crate::{
    catalogues::{self, Sources},
    config::{Resolved, secrets},
    serve,
};

/// Who is looked through the eyes of.
#[derive(Args, Debug, Clone)]
pub(crate) struct Eyes {
    /// The user: a local account, or `issuer:subject`.
    #[arg(long = "as", value_name = "USER", value_parser = UserKey::parse)]
    pub(crate) user: Option<UserKey>,
    /// The agent that acts for the user, or by itself if none is named.
    #[arg(long)]
    agent: Option<AgentId>,
    /// The client software, by its client id.
    #[arg(long, default_value = ambit_identity::mint::OPERATOR_CLIENT)]
    client: ClientId,
    /// The path of the endpoint.
    #[arg(long, value_name = "PATH")]
    pub(crate) endpoint: Option<String>,
    /// Groups of a user that an external issuer vouches for.
    #[arg(long = "group", value_name = "GROUP", requires = "user")]
    groups: Vec<GroupName>,
    /// A claim of a user that an external issuer vouches for, as `NAME=VALUE`; again for another value.
    #[arg(long = "claim", value_name = "NAME=VALUE", requires = "user")]
    claims: Vec<String>,
    /// Only these toolsets in the token; all if absent.
    #[arg(long = "toolset", value_name = "TOOLSET")]
    toolsets: Vec<ToolsetSlug>,
}

/// Reads the tools of all servers, or of one.
pub(crate) async fn catalogues(
    resolved: &Resolved,
    only: Option<&ServerSlug>,
    context: &Context<'_>,
) -> Result<Vec<Arc<ServerCatalogue>>, Failure> {
    let servers = &resolved.deployment.servers;
    if let Some(slug) = only
        && !servers.contains_key(slug)
    {
        let known: Vec<_> = servers.keys().map(|known| format!("`{known}`")).collect();
        let there =
            if known.is_empty() { "none is declared".to_owned() } else { format!("there are {}", known.join(", ")) };
        return Err(Failure::Usage(format!("server `{slug}` is not declared: {there}")));
    }
    let egress = serve::egress(resolved.egress.clone(), resolved.roots.clone()).map_err(Failure::with_causes)?;
    let sources = Sources { mcp: McpUpstreams::new(egress.clone()), egress };
    let now = context.clock.now();
    let mut read = Vec::new();
    let mut wanted = Vec::new();
    for server in servers.values().filter(|server| only.is_none_or(|slug| server.slug == *slug)) {
        match credentials_for_reading(server) {
            Ok(()) => wanted.push(server),
            Err(problem) => read.push(Arc::new(ServerCatalogue::failed(server.slug.clone(), problem, now))),
        }
    }
    let credentials = Spendables::resolve(wanted.iter().copied().filter(|server| is_mcp(server)), secrets::read);
    let credentials = credentials.map_err(Failure::because)?;
    read.extend(catalogues::read_all(wanted, &sources, &credentials, now).await);
    // A legacy server keeps a session until it is told that it is over.
    sources.mcp.close().await;
    read.sort_by(|a, b| a.slug.cmp(&b.slug));
    Ok(read)
}

/// A document is read without the API's credential; a listing needs it.
fn credentials_for_reading(server: &Server) -> Result<(), String> {
    if is_mcp(server) {
        Spendables::resolve([server], secrets::read).map(drop).map_err(|error| error.to_string())
    } else {
        Ok(())
    }
}

fn is_mcp(server: &Server) -> bool {
    match server.upstream {
        Upstream::Mcp { .. } => true,
        Upstream::OpenApi { .. } => false,
    }
}

/// The store, if there is one: looking makes none.
pub(crate) async fn store_if_any(resolved: &Resolved) -> Result<Option<Store>, Failure> {
    match &resolved.store {
        StoreUrl::File(path) if !path.exists() => Ok(None),
        url => Store::open(url).await.map(Some).map_err(Failure::because),
    }
}

/// The snapshot a server would start with.
pub(crate) async fn snapshot(
    resolved: &Resolved,
    servers: Vec<Arc<ServerCatalogue>>,
    context: &Context<'_>,
) -> Result<Snapshot, Failure> {
    let store = store_if_any(resolved).await?;
    let parts = (resolved.deployment.clone(), resolved.lock.clone(), servers);
    let snapshot = ambit_live::preview(parts, store.as_ref(), &context.clock).await.map_err(Failure::because);
    if let Some(store) = store {
        store.close().await;
    }
    snapshot
}

impl Eyes {
    /// Whether somebody is named.
    ///
    /// # Errors
    /// Something of a caller is named, and no caller.
    pub(crate) fn is_somebody(&self) -> Result<bool, Failure> {
        let somebody = self.user.is_some() || self.agent.is_some();
        if !somebody && (self.endpoint.is_some() || !self.toolsets.is_empty()) {
            return Err(Failure::Usage("name who calls: `--as USER`, `--agent AGENT`, or both".into()));
        }
        Ok(somebody)
    }

    /// What is not named of the caller and could be: groups and claims that another issuer vouches for.
    pub(crate) fn unsaid(&self) -> (bool, bool) {
        let foreign = self.user.as_ref().is_some_and(|user| user.issuer != IssuerName::local());
        (foreign && self.groups.is_empty(), foreign && self.claims.is_empty())
    }

    /// The endpoint that was named; otherwise the first that publishes the server, or the first.
    pub(crate) fn endpoint<'d>(
        &self,
        deployment: &'d Deployment,
        server: Option<&ServerSlug>,
    ) -> Result<&'d Endpoint, Failure> {
        let all = &deployment.endpoints;
        let found = match (&self.endpoint, server) {
            (Some(path), _) => all.iter().find(|endpoint| endpoint.path == *path),
            (None, Some(server)) => all.iter().find(|endpoint| endpoint.servers.contains(server)).or(all.first()),
            (None, None) => all.first(),
        };
        found.ok_or_else(|| {
            let paths: Vec<_> = all.iter().map(|endpoint| format!("`{}`", endpoint.path)).collect();
            let there =
                if paths.is_empty() { "none is published".to_owned() } else { format!("use {}", paths.join(", ")) };
            Failure::Usage(format!("there is no such endpoint: {there}"))
        })
    }

    /// The caller as a fresh login at this endpoint would make it.
    pub(crate) fn caller(&self, endpoint: &Endpoint, deployment: &Deployment) -> Result<CallerFacts, Failure> {
        let user = self.user.as_ref().map(|key| self.user_facts(key, deployment)).transpose()?;
        let agent = match &self.agent {
            None => None,
            Some(id) => {
                let Some(agent) = deployment.agents.get(id) else {
                    return Err(Failure::Usage(format!("agent `{id}` is not declared: add `[agents.{id}]`")));
                };
                Some(AgentFacts { id: id.clone(), owner: agent.owner.clone(), expires_at: agent.expires_at })
            }
        };
        let principal = match (user, agent) {
            (Some(user), None) => Principal::Person { user },
            (None, Some(agent)) => Principal::Agent { agent },
            (Some(user), Some(agent)) => Principal::Delegated { user, agent },
            (None, None) => {
                return Err(Failure::Usage("name who calls: `--as USER`, `--agent AGENT`, or both".into()));
            }
        };
        if let Some(unknown) = self.toolsets.iter().find(|slug| !deployment.toolsets.contains_key(*slug)) {
            return Err(Failure::Usage(format!("toolset `{unknown}` is not declared")));
        }
        Ok(CallerFacts {
            principal,
            client: ClientFacts { id: self.client.clone(), assurance: self.assurance(deployment) },
            scopes: self.scopes(endpoint, deployment),
            declined: BTreeSet::new(),
            operator: None,
        })
    }

    fn user_facts(&self, key: &UserKey, deployment: &Deployment) -> Result<UserFacts, Failure> {
        let groups = self.groups_of(key, deployment)?;
        let read = deployment.issuers.get(&key.issuer).map(|issuer| &issuer.claims);
        let mut claims: BTreeMap<String, Value> = BTreeMap::new();
        for claim in &self.claims {
            let Some((name, value)) = claim.split_once('=') else {
                return Err(Failure::Usage(format!("`--claim {claim}` is no claim: write `NAME=VALUE`")));
            };
            if !read.is_some_and(|read| read.contains(name)) {
                let issuer = &key.issuer;
                return Err(Failure::Usage(format!(
                    "no claim `{name}` of issuer `{issuer}` is read: name it in the `claims` of `[issuers.{issuer}]`"
                )));
            }
            let values = claims.entry(name.to_owned()).or_insert_with(|| Value::Array(Vec::new()));
            if let Some(values) = values.as_array_mut() {
                values.push(value.into());
            }
        }
        Ok(UserFacts { key: key.clone(), groups, claims })
    }

    fn groups_of(&self, user: &UserKey, deployment: &Deployment) -> Result<BTreeSet<GroupName>, Failure> {
        if user.issuer == IssuerName::local() {
            if !self.groups.is_empty() {
                return Err(Failure::Usage(
                    "a local account's groups stand in the configuration: leave `--group` out".into(),
                ));
            }
            let account = deployment.accounts.get(&user.subject);
            let account = account.ok_or_else(|| {
                Failure::Usage(format!("`{}` is no declared account: add `[accounts.{}]`", user.subject, user.subject))
            })?;
            return Ok(account.groups.clone());
        }
        if !deployment.issuers.contains_key(&user.issuer) {
            return Err(Failure::Usage(format!(
                "issuer `{}` is not declared: add `[issuers.{}]`",
                user.issuer, user.issuer
            )));
        }
        Ok(self.groups.iter().cloned().collect())
    }

    fn assurance(&self, deployment: &Deployment) -> Assurance {
        let registered = deployment.clients.iter().find(|client| client.id == self.client);
        if registered.is_some_and(|client| client.secret.is_some())
            || self.client.as_str() == ambit_identity::mint::OPERATOR_CLIENT
        {
            Assurance::Confidential
        } else if self.client.as_str().starts_with("https://") {
            Assurance::Cimd
        } else {
            Assurance::Dynamic
        }
    }

    fn scopes(&self, endpoint: &Endpoint, deployment: &Deployment) -> TokenScopes {
        let silent = match &endpoint.issuer {
            EndpointIssuer::Embedded { .. } => false,
            EndpointIssuer::External(name) => {
                deployment.issuers.get(name).is_some_and(|issuer| issuer.scopes == IssuerScopes::None)
            }
        };
        if silent {
            TokenScopes::None
        } else if self.toolsets.is_empty() {
            TokenScopes::Toolsets(deployment.toolsets.keys().cloned().collect())
        } else {
            TokenScopes::Toolsets(self.toolsets.iter().cloned().collect())
        }
    }
}
