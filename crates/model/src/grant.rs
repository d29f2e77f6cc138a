//! Grants and reveals: who holds which toolset, why, and until when.

use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, ClientId, GrantId, GroupName, Millis, ToolsetSlug, UserKey};

/// The longest life of a reveal.
pub const MAX_REVEAL_MS: Millis = 8 * 60 * 60 * 1000;

/// Who holds a grant.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantSubject {
    /// One user.
    User(UserKey),
    /// Every member of an Ambit group.
    Group(GroupName),
    /// One agent.
    Agent(AgentId),
}

impl std::fmt::Display for GrantSubject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(user) => write!(f, "user {user}"),
            Self::Group(group) => write!(f, "group {group}"),
            Self::Agent(agent) => write!(f, "agent {agent}"),
        }
    }
}

/// Where a grant was made. What configuration declares is read-only elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantOrigin {
    /// `ambit.toml`
    Config,
    /// `ambit grant`
    Operator,
}

/// A standing grant: subject → toolset.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// Its record.
    pub id: GrantId,
    /// Who holds it.
    pub subject: GrantSubject,
    /// What it entitles to.
    pub toolset: ToolsetSlug,
    /// Why.
    pub reason: String,
    /// Who said yes.
    pub approved_by: Option<String>,
    /// Counts from this instant on.
    pub starts_at: Millis,
    /// Counts until just before this instant.
    pub expires_at: Millis,
    /// Where it was made.
    pub origin: GrantOrigin,
}

/// A grant of at most eight hours that makes destructive tools visible to one user in one client.
///
/// It entitles the user to the tools of its toolset and lifts the guard on destructive ones, for exactly this
/// combination; an agent that acts for the user is covered only if it is named.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reveal {
    /// Its record.
    pub id: GrantId,
    /// The user.
    pub user: UserKey,
    /// The client software.
    pub client: ClientId,
    /// The agent, if the user acts through one.
    pub agent: Option<AgentId>,
    /// The toolset whose destructive tools become visible.
    pub toolset: ToolsetSlug,
    /// Why.
    pub reason: String,
    /// Who said yes.
    pub approved_by: Option<String>,
    /// Counts from this instant on.
    pub starts_at: Millis,
    /// Counts until just before this instant; at most [`MAX_REVEAL_MS`] after `starts_at`.
    pub expires_at: Millis,
}

/// A reveal that would live longer than allowed, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reveal lives more than 0 and at most 8 hours")]
pub struct RevealTooLong;

impl Reveal {
    /// Checks the life of a reveal.
    ///
    /// # Errors
    /// [`RevealTooLong`].
    pub fn checked(self) -> Result<Self, RevealTooLong> {
        let life = self.expires_at.saturating_sub(self.starts_at);
        if life > 0 && life <= MAX_REVEAL_MS { Ok(self) } else { Err(RevealTooLong) }
    }
}
