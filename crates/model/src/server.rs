//! A registered upstream: a governed non-human identity. A server that lacks owner, purpose, environment, data class,
//! expiry or `revoke_when` cannot be built.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    Effect,
    approval::{ApproverRule, Waiver},
    budget::Breaker,
    ids::{CredentialId, Millis, ServerSlug, ToolId, ToolName},
    label::Label,
    secret::SecretRef,
    toolset::Selector,
};

/// A server, resolved from configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// Its name in every id, config path and page.
    pub slug: ServerSlug,
    /// Governance: who answers for it, and until when.
    pub governance: Governance,
    /// How it is reached.
    pub upstream: Upstream,
    /// What is spent downstream.
    pub credentials: Credentials,
    /// The owner's corrections of effects, each with its reason.
    pub overrides: BTreeMap<ToolName, EffectOverride>,
    /// Who may approve its calls, and which tools need nobody's yes.
    pub approvals: ServerApprovals,
    /// What passes through its tools: every line that covers a tool counts.
    pub labels: Vec<(Selector, BTreeSet<Label>)>,
    /// Bounds of what is read from it.
    pub limits: CallLimits,
}

impl Server {
    /// What passes through a tool.
    pub fn labels_of(&self, tool: &ToolId) -> BTreeSet<Label> {
        let covering = self.labels.iter().filter(|(pattern, _)| pattern.names(tool));
        covering.flat_map(|(_, labels)| labels).copied().collect()
    }
}

/// The governed half of a server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Governance {
    /// The person or team that answers for it.
    pub owner: String,
    /// Why it exists.
    pub purpose: String,
    /// `production`, `staging`, … as the organisation names them.
    pub environment: String,
    /// The class of data behind it.
    pub data_class: String,
    /// From this instant on every tool of it is hidden.
    pub expires_at: Millis,
    /// The event after which it must be revoked, in the owner's words.
    pub revoke_when: String,
}

impl Governance {
    /// Whether its environment is one where an agent's owner does not approve what the agent asks for. Environments are the
    /// organisation's own words: everything that begins like `production` counts.
    pub fn is_production(&self) -> bool {
        self.environment.trim().to_lowercase().starts_with("prod")
    }
}

/// How a server is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Upstream {
    /// A REST API described by an OpenAPI document.
    OpenApi {
        /// Where the document is.
        document: DocumentSource,
        /// Overrides the document's `servers`.
        base_url: Option<String>,
    },
    /// An MCP server over Streamable HTTP.
    Mcp {
        /// Its endpoint.
        url: String,
    },
}

/// Where an OpenAPI document is read from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DocumentSource {
    /// A file, relative to the configuration file.
    File(PathBuf),
    /// An https URL, read through the egress client.
    Url(String),
}

/// A stored downstream credential, by reference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credential {
    /// Its id in the trail.
    pub id: CredentialId,
    /// How it is presented.
    pub scheme: Scheme,
}

/// How a credential is presented to the upstream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// `Authorization: Bearer …`
    Bearer(SecretRef),
    /// `Authorization: Basic …`
    Basic {
        /// The user half.
        username: SecretRef,
        /// The password half.
        password: SecretRef,
    },
    /// A header of the API's own.
    Header {
        /// The header's name, lower case.
        name: String,
        /// Its value.
        value: SecretRef,
    },
}

/// The credentials of a server: one for all effects, or one each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Credentials {
    /// For every effect without its own. `None` sends no credential.
    pub default: Option<Credential>,
    /// Own credentials per effect.
    pub by_effect: BTreeMap<Effect, Credential>,
}

impl Credentials {
    /// The credential spent for a tool of this effect.
    pub fn for_effect(&self, effect: Effect) -> Option<&Credential> {
        self.by_effect.get(&effect).or(self.default.as_ref())
    }
}

/// An owner's word on a tool's effect.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EffectOverride {
    /// The effect that counts.
    pub effect: Effect,
    /// Why the classification was wrong.
    pub reason: String,
}

/// What an owner says about approvals of the calls of a server.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServerApprovals {
    /// Who may say yes.
    pub rule: ApproverRule,
    /// Tools whose calls need no approval, for now.
    pub waivers: BTreeMap<ToolName, Waiver>,
}

/// Bounds of one upstream call, and of an MCP server's listing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallLimits {
    /// From dispatch to the last byte of the reply.
    pub timeout: Duration,
    /// The largest reply read, in bytes.
    pub max_reply_bytes: usize,
    /// When calls are not sent any more because none is answered.
    pub breaker: Breaker,
    /// The most tools that are read from an MCP server.
    pub max_tools: usize,
    /// The largest listing of an MCP server that is read, in bytes.
    pub max_listing_bytes: usize,
}

impl CallLimits {
    /// The most tools of a server that may be configured.
    pub const MOST_TOOLS: usize = 10_000;
    /// The largest listing that may be configured, in bytes.
    pub const LARGEST_LISTING_BYTES: usize = 32 * 1024 * 1024;
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            max_reply_bytes: 1024 * 1024,
            breaker: Breaker::default(),
            max_tools: 2_000,
            max_listing_bytes: 8 * 1024 * 1024,
        }
    }
}
