//! What the judge is built from: one revision of the deployment, as plain facts. Filled by the room that owns the
//! snapshot; nothing here is read from anywhere.

use std::sync::Arc;

use ambit_model::{
    Digest, Effect,
    ceiling::ClientCeilings,
    grant::{Grant, Reveal},
    ids::{EndpointSlug, Millis, ServerSlug, ToolId, ToolsetSlug},
    tool::Acceptance,
    toolset::Toolset,
};

use crate::{organisation::Policies, rules::RulesError};

/// Everything decisions of one revision depend on.
#[derive(Clone, Debug, Default)]
pub struct JudgeInput {
    /// The revision these facts were read at.
    pub revision: u64,
    /// The toolsets.
    pub toolsets: Vec<Toolset>,
    /// Grants that were not revoked. One whose toolset does not exist (any more) entitles to nothing.
    pub grants: Vec<Grant>,
    /// Reveals that were not revoked. One that breaks [`Reveal::checked`] reveals nothing.
    pub reveals: Vec<Reveal>,
    /// What client software may reach at most.
    pub ceilings: ClientCeilings,
    /// Every known tool, accepted or not.
    pub tools: Vec<ToolFacts>,
    /// The servers the tools belong to.
    pub servers: Vec<ServerFacts>,
    /// The published endpoints.
    pub endpoints: Vec<EndpointFacts>,
    /// The organisation's rules.
    pub policies: Arc<Policies>,
}

/// What decisions may read about a tool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolFacts {
    /// Its id.
    pub id: ToolId,
    /// The digest of the definition that is shown.
    pub definition: Digest,
    /// The effect that counts, after hints and overrides.
    pub effect: Effect,
    /// Whether that definition is pinned.
    pub acceptance: Acceptance,
    /// Its labels.
    pub labels: Vec<String>,
    /// Until just before this instant its owner waived the approval of each call, with a recorded reason.
    pub approval_waived_until: Option<Millis>,
    /// Its `inputSchema`, for rules that read arguments. Without one its arguments cannot be read.
    pub input_schema: Option<Arc<serde_json::Value>>,
}

/// What decisions may read about a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerFacts {
    /// Its slug.
    pub slug: ServerSlug,
    /// `production`, `staging`, …
    pub environment: String,
    /// The class of data behind it.
    pub data_class: String,
    /// Who answers for it.
    pub owner: String,
    /// From this instant on every tool of it is hidden.
    pub expires_at: Millis,
}

/// What decisions may read about an endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointFacts {
    /// Its slug.
    pub slug: EndpointSlug,
    /// The servers it publishes.
    pub servers: Vec<ServerSlug>,
}

/// Why facts do not make a judge. The snapshot that carries them must not be served.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Two tools of one id.
    #[error("tool `{0}` is there twice: give each tool of a server its own name")]
    DuplicateTool(ToolId),
    /// Two toolsets of one slug.
    #[error("toolset `{0}` is there twice: give each toolset its own slug")]
    DuplicateToolset(ToolsetSlug),
    /// Two servers of one slug.
    #[error("server `{0}` is there twice: give each server its own slug")]
    DuplicateServer(ServerSlug),
    /// Two endpoints of one slug.
    #[error("endpoint `{0}` is there twice: give each endpoint its own slug")]
    DuplicateEndpoint(EndpointSlug),
    /// A tool whose server is not there: nobody answers for it.
    #[error("tool `{0}` belongs to a server that does not exist: declare server `{server}`", server = .0.server)]
    ToolWithoutServer(ToolId),
    /// An endpoint that publishes a server that is not there.
    #[error("endpoint `{endpoint}` publishes server `{server}`, which does not exist: declare it or take it out")]
    EndpointWithoutServer {
        /// The endpoint.
        endpoint: EndpointSlug,
        /// The server it names.
        server: ServerSlug,
    },
    /// More tools, toolsets, grants or endpoints than an index can number.
    #[error("more than {max} {what}: split the deployment", max = u32::MAX)]
    TooMany {
        /// Of what.
        what: &'static str,
    },
    /// The rule set does not stand.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// A fact the engine does not take.
    #[error("`{what}` is not a fact the rules can read: {source}")]
    Fact {
        /// Which fact.
        what: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
