//! The facts about who is calling. The proof that they were verified is made in the identity room alone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{AgentId, ClientId, GroupName, ToolsetSlug, UserKey};

/// How sure we are which software the client is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Assurance {
    /// Registered by itself, anonymously.
    Dynamic,
    /// A metadata document whose redirects are all on the user's own machine: any program there can claim it.
    CimdLoopback,
    /// A metadata document at an https URL it controls.
    Cimd,
    /// It proved possession of a credential.
    Confidential,
}

impl Assurance {
    /// The word of policy and trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::CimdLoopback => "cimd-loopback",
            Self::Cimd => "cimd",
            Self::Confidential => "confidential",
        }
    }
}

/// A verified user.
#[derive(Clone, PartialEq, Debug)]
pub struct UserFacts {
    /// Issuer and subject.
    pub key: UserKey,
    /// Ambit groups, after mapping.
    pub groups: BTreeSet<GroupName>,
    /// Claims configuration lets policies read.
    pub claims: BTreeMap<String, Value>,
}

/// A verified agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentFacts {
    /// Its id.
    pub id: AgentId,
    /// The user who answers for it.
    pub owner: UserKey,
    /// From this instant on it may do nothing.
    pub expires_at: crate::ids::Millis,
}

/// The client software of the call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientFacts {
    /// Its id.
    pub id: ClientId,
    /// How sure we are.
    pub assurance: Assurance,
}

/// Who is calling: exactly the factors that are intersected.
#[derive(Clone, PartialEq, Debug)]
pub enum Principal {
    /// A person at a client.
    Person {
        /// The person.
        user: UserFacts,
    },
    /// An agent on its own.
    Agent {
        /// The agent.
        agent: AgentFacts,
    },
    /// An agent acting for a person.
    Delegated {
        /// The person.
        user: UserFacts,
        /// The agent.
        agent: AgentFacts,
    },
}

/// What the token says about toolsets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TokenScopes {
    /// The issuer names toolsets: only these.
    Toolsets(BTreeSet<ToolsetSlug>),
    /// The issuer has no word for toolsets (`scopes = "none"`): the client ceiling stands in.
    None,
}

/// Everything a standing decision may read about the caller.
#[derive(Clone, PartialEq, Debug)]
pub struct CallerFacts {
    /// Person, agent, or agent for a person.
    pub principal: Principal,
    /// The client software.
    pub client: ClientFacts,
    /// What the token allows.
    pub scopes: TokenScopes,
    /// Toolsets the person declined for this client: hidden, not asked for again.
    pub declined: BTreeSet<ToolsetSlug>,
    /// Whether somebody other than the caller put the token together: `operator:<os user>`.
    pub operator: Option<String>,
}

impl CallerFacts {
    /// The user factor, if it is part of the caller.
    pub fn user(&self) -> Option<&UserFacts> {
        match &self.principal {
            Principal::Person { user } | Principal::Delegated { user, .. } => Some(user),
            Principal::Agent { .. } => None,
        }
    }

    /// The agent factor, if it is part of the caller.
    pub fn agent(&self) -> Option<&AgentFacts> {
        match &self.principal {
            Principal::Agent { agent } | Principal::Delegated { agent, .. } => Some(agent),
            Principal::Person { .. } => None,
        }
    }
}
