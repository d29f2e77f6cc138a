//! Approvals: a human yes bound to the digest of one exact call, single use, expiring.
//!
//! ```text
//! pending ──yes──→ approved ──spent once──→ consumed ──outcome──→ executed | unsent
//!    │ └───no────→ denied       │
//!    └── time, revocation, lost approver ──→ lapsed
//! ```
//!
//! Nothing here becomes approved by waiting, and no stage leads back to an earlier one. Who may say yes stands in
//! [`people`]; the rules hold again when the approval is spent.

pub mod people;

use serde::{Deserialize, Serialize};

use crate::{
    Digest, Effect,
    event::Executed,
    ids::{AgentId, ApprovalId, ClientId, EndpointSlug, Millis, ServerSlug, ToolId, UserKey},
};

pub use people::{Approver, ApproverRule, Party, Says, Tally, Via, Vote, Waiver, tally};

/// A request that nobody answered is over after this long.
pub const REQUEST_LIFE_MS: Millis = 15 * 60_000;

/// An approval that nobody used is over after this long.
pub const UNUSED_LIFE_MS: Millis = 5 * 60_000;

/// For this long after it was let out, the same call is told where its record is instead of being asked for again.
pub const SETTLED_MS: Millis = 10 * 60_000;

/// For this long after a no, the same call is told so instead of being asked for again.
pub const REFUSED_MS: Millis = 15 * 60_000;

/// For this long after the decision the sealed arguments are kept.
pub const ARGUMENTS_LIFE_MS: Millis = 24 * 3_600_000;

/// Most requests of one caller that wait at a time.
pub const MAX_WAITING: u32 = 5;

/// Everything an approval is bound to. One changed byte of any of it is another call.
#[derive(Clone, Copy, Debug)]
pub struct ExactCall<'a> {
    /// The person it is made for.
    pub user: Option<&'a UserKey>,
    /// The agent that makes it.
    pub agent: Option<&'a AgentId>,
    /// The client software.
    pub client: &'a ClientId,
    /// Where it is made.
    pub endpoint: &'a EndpointSlug,
    /// The tool.
    pub tool: &'a ToolId,
    /// The definition that was shown.
    pub definition: Digest,
    /// The rule set. Grants are not part of it.
    pub rules: Digest,
    /// The keyed digest of the canonical arguments, exactly as they are sent.
    pub arguments: Digest,
}

impl ExactCall<'_> {
    /// The digest of the call. Every part carries its length, and absent differs from empty.
    pub fn digest(&self) -> Digest {
        let user = self.user.map(|user| format!("user {user}")).unwrap_or_default();
        let agent = self.agent.map(|agent| format!("agent {agent}")).unwrap_or_default();
        let tool = self.tool.to_string();
        Digest::of_parts([
            b"ambit/v1/exact-call".as_slice(),
            user.as_bytes(),
            agent.as_bytes(),
            self.client.as_str().as_bytes(),
            self.endpoint.as_str().as_bytes(),
            tool.as_bytes(),
            &self.definition.0,
            &self.rules.0,
            &self.arguments.0,
        ])
    }
}

/// Where an approval stands. Each stage carries what it came with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stage {
    /// It waits for people.
    Pending {
        /// Until just before this instant.
        until: Millis,
    },
    /// It may be spent, once.
    Approved {
        /// When the last yes came.
        at: Millis,
        /// Until just before this instant.
        until: Millis,
    },
    /// Somebody said no.
    Denied {
        /// When.
        at: Millis,
    },
    /// It will never be spent.
    Lapsed {
        /// When that was noticed.
        at: Millis,
        /// Why.
        why: Lapse,
    },
    /// It was spent; what came of it is not written down yet, and may never be.
    Consumed {
        /// When.
        at: Millis,
        /// The record of the trail.
        record: String,
    },
    /// The call was let out.
    Executed {
        /// When it was spent.
        at: Millis,
        /// The record of the trail.
        record: String,
        /// Whether the upstream did it.
        executed: Executed,
    },
}

/// Why an approval lapsed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lapse {
    /// Its time was over.
    Expired,
    /// What it was made for or by was revoked.
    Revoked,
    /// Those who said yes may not (any more), or are too few.
    Approvers,
}

impl Lapse {
    /// The word of store and trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Approvers => "approvers",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Expired, Self::Revoked, Self::Approvers].into_iter().find(|lapse| lapse.as_str() == text)
    }
}

/// A transition that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// It is at another stage.
    #[error("the approval is {0}")]
    Stage(&'static str),
    /// Its time is over.
    #[error("the approval has expired")]
    Expired,
}

impl Stage {
    /// The word of pages, commands and trail.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Approved { .. } => "approved",
            Self::Denied { .. } => "denied",
            Self::Lapsed { .. } => "lapsed",
            Self::Consumed { .. } => "consumed",
            Self::Executed { executed: Executed::No, .. } => "unsent",
            Self::Executed { .. } => "executed",
        }
    }

    /// The stage as it counts at an instant: what has run out has lapsed, whether or not somebody noticed. A clock that was
    /// set back gives nothing its time back that was already written down as over.
    #[must_use]
    pub fn at(self, now_ms: Millis) -> Self {
        match self {
            Self::Pending { until } | Self::Approved { until, .. } if until <= now_ms => {
                Self::Lapsed { at: until, why: Lapse::Expired }
            }
            other => other,
        }
    }

    /// Enough people said yes.
    ///
    /// # Errors
    /// [`NotNow`].
    pub fn approve(self, now_ms: Millis) -> Result<Self, NotNow> {
        match self.at(now_ms) {
            Self::Pending { .. } => Ok(Self::Approved { at: now_ms, until: now_ms.saturating_add(UNUSED_LIFE_MS) }),
            other => Err(other.not_now()),
        }
    }

    /// Somebody said no: before the yes of others, or after it and before the call.
    ///
    /// # Errors
    /// [`NotNow`].
    pub fn deny(self, now_ms: Millis) -> Result<Self, NotNow> {
        match self.at(now_ms) {
            Self::Pending { .. } | Self::Approved { .. } => Ok(Self::Denied { at: now_ms }),
            other => Err(other.not_now()),
        }
    }

    /// The call takes it, once.
    ///
    /// # Errors
    /// [`NotNow`].
    pub fn consume(self, record: &str, now_ms: Millis) -> Result<Self, NotNow> {
        match self.at(now_ms) {
            Self::Approved { .. } => Ok(Self::Consumed { at: now_ms, record: record.to_owned() }),
            other => Err(other.not_now()),
        }
    }

    /// What came of the call.
    ///
    /// # Errors
    /// [`NotNow`].
    pub fn executed(self, executed: Executed) -> Result<Self, NotNow> {
        match self {
            Self::Consumed { at, record } => Ok(Self::Executed { at, record, executed }),
            other => Err(other.not_now()),
        }
    }

    fn not_now(&self) -> NotNow {
        match self {
            Self::Lapsed { why: Lapse::Expired, .. } => NotNow::Expired,
            other => NotNow::Stage(other.as_str()),
        }
    }

    /// Whether the same call, made again at this instant, is told of this one instead of being asked for anew.
    pub fn answers_for(&self, now_ms: Millis) -> bool {
        match self {
            Self::Pending { until } | Self::Approved { until, .. } => now_ms < *until,
            Self::Denied { at } => now_ms < at.saturating_add(REFUSED_MS),
            // Nothing was sent: there is nothing to protect from being repeated.
            Self::Executed { executed: Executed::No, .. } | Self::Lapsed { .. } => false,
            Self::Consumed { at, .. } | Self::Executed { at, .. } => now_ms < at.saturating_add(SETTLED_MS),
        }
    }
}

/// A request for an approval, as it is kept. The arguments are sealed and stand beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approval {
    /// Its id, the same for every repetition of the call.
    pub id: ApprovalId,
    /// The digest of the exact call.
    pub digest: Digest,
    /// The server, for lists.
    pub server: ServerSlug,
    /// The tool.
    pub tool: ToolId,
    /// Where the call is made.
    pub endpoint: EndpointSlug,
    /// Whom the call is made for.
    pub user: Option<UserKey>,
    /// The agent that makes it.
    pub agent: Option<AgentId>,
    /// The client software.
    pub client: ClientId,
    /// How many distinct people have to say yes.
    pub needed: u32,
    /// What people are shown of it besides.
    pub told: Told,
    /// When it was asked for.
    pub requested_at: Millis,
    /// How often.
    pub asked: u64,
    /// Where it stands, as it was written down; [`Stage::at`] says how that counts now.
    pub stage: Stage,
}

/// What people are shown of a request besides the call itself, as it was when it was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Told {
    /// The effect of the tool.
    pub effect: Effect,
    /// The digest of its definition.
    pub definition: Digest,
    /// What the tool says it does. Its server's own words, accepted by its owner.
    pub purpose: String,
    /// Of the server.
    pub environment: String,
    /// Of the server.
    pub data_class: String,
    /// Of the server.
    pub owner: String,
    /// How sure we are of the client software.
    pub assurance: String,
    /// The name the client software gives itself. Its own claim.
    pub claimed: Option<String>,
    /// By which grants and reveals, with their reasons.
    pub grounds: Vec<String>,
    /// Why an approval is asked for: the deciding rules.
    pub rules: Vec<String>,
    /// Who may not say yes although they are named: the requester, and for production the agent's owner.
    pub excluded: Vec<Party>,
}

#[cfg(test)]
mod tests;
