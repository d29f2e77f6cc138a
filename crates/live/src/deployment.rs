//! What configuration declares, resolved: the nouns a decision may read. Immutable; a reload makes a new one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ambit_model::{
    Digest,
    access::AccessRules,
    admin::AdminResource,
    break_glass::BreakGlass,
    budget::Budgets,
    caller::{Assurance, ClientFacts},
    ceiling::ClientCeilings,
    endpoint::{Endpoint, EndpointIssuer},
    grant::Grant,
    ids::{AgentId, EndpointSlug, GroupName, IssuerName, Millis, ServerSlug, Subject, ToolsetSlug, UserKey},
    issuer::Issuer,
    operator::Roles,
    server::Server,
    toolset::Toolset,
};
use ambit_policy::Policies;

/// The resolved configuration of one deployment.
#[derive(Clone, PartialEq, Debug)]
pub struct Deployment {
    /// `https://gateway.example`, without a trailing slash.
    pub public_url: String,
    /// The published endpoints.
    pub endpoints: Vec<Endpoint>,
    /// The registered servers.
    pub servers: BTreeMap<ServerSlug, Server>,
    /// External issuers.
    pub issuers: BTreeMap<IssuerName, Issuer>,
    /// Declared local accounts.
    pub accounts: BTreeMap<Subject, Account>,
    /// Declared agents.
    pub agents: BTreeMap<AgentId, Agent>,
    /// Toolsets.
    pub toolsets: BTreeMap<ToolsetSlug, Toolset>,
    /// Grants made in configuration.
    pub grants: Vec<Grant>,
    /// Client ceilings.
    pub ceilings: ClientCeilings,
    /// Clients registered by configuration.
    pub clients: Vec<RegisteredClient>,
    /// Who may act on the deployment itself (`[[operator.roles]]`).
    pub roles: Roles,
    /// The organisation's rules.
    pub policies: Arc<Policies>,
    /// Who may break the glass (`[break_glass]`).
    pub break_glass: BreakGlass,
    /// How much each caller may use.
    pub budgets: Budgets,
    /// The admin API, if there is one (`[admin]`).
    pub admin: Option<AdminResource>,
    /// What may be asked for, and by whom (`[access_requests]`, `requestable_by`).
    pub access: AccessRules,
    /// Whether `ambit token` may mint (`[operator] mint`).
    pub operator_may_mint: bool,
    /// The digest of everything above, as every node of a fleet must agree on it.
    pub digest: Digest,
}

/// A declared local account. Its password lives in the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// What pages call the person.
    pub display_name: String,
    /// Its groups.
    pub groups: BTreeSet<GroupName>,
    /// Its e-mail address. It grants nothing: it only shows that two people are one.
    pub email: Option<String>,
}

/// A declared agent: a governed non-human identity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Agent {
    /// The user who answers for it.
    pub owner: UserKey,
    /// Why it exists.
    pub purpose: String,
    /// From this instant on it may do nothing.
    pub expires_at: Millis,
}

/// A client registered by configuration (confidential clients and pinned public ones).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegisteredClient {
    /// Its id.
    pub id: ambit_model::ids::ClientId,
    /// What consent calls it.
    pub name: String,
    /// Its exact redirect URIs.
    pub redirect_uris: Vec<String>,
    /// Its secret, by reference; `None` is a public client.
    pub secret: Option<ambit_model::secret::SecretRef>,
    /// Whether it may introspect tokens (a resource server).
    pub may_introspect: bool,
    /// Whether it may ask the decision point about others (a policy enforcement point).
    pub is_pep: bool,
}

impl Deployment {
    /// Whether a client, by the secret it proved, may ask the decision point about others.
    pub fn is_pep(&self, client: &ClientFacts) -> bool {
        let is_proven = client.assurance == Assurance::Confidential;
        is_proven && self.clients.iter().any(|known| known.id == client.id && known.is_pep && known.secret.is_some())
    }

    /// The endpoint with this slug.
    pub fn endpoint(&self, slug: &EndpointSlug) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.slug == *slug)
    }

    /// Whether a token at this endpoint means here what it means there: same issuer, under the same rules, for the same resource.
    pub fn reads_tokens_like(&self, other: &Self, slug: &EndpointSlug) -> bool {
        let (Some(here), Some(there)) = (self.endpoint(slug), other.endpoint(slug)) else { return false };
        let same_rules = match &here.issuer {
            EndpointIssuer::Embedded { .. } => true,
            EndpointIssuer::External(name) => self.issuers.get(name) == other.issuers.get(name),
        };
        here.resource == there.resource && here.issuer == there.issuer && same_rules
    }

    /// The endpoint whose tokens an embedded issuer makes.
    pub fn endpoint_of_issuer(&self, issuer: &str) -> Option<&Endpoint> {
        self.endpoints
            .iter()
            .find(|endpoint| matches!(&endpoint.issuer, EndpointIssuer::Embedded { issuer: own } if own == issuer))
    }
}
