//! Grants and reveals: who holds which toolset, why, and until when.

use serde::{Deserialize, Serialize};

use crate::{
    claim::ClaimMatch,
    constraints::Constraints,
    ids::{AgentId, ClientId, GrantId, GroupName, InvalidId, Millis, ToolsetSlug, UserKey},
};

/// The longest life of a reveal.
pub const MAX_REVEAL_MS: Millis = 8 * 60 * 60 * 1000;

const DAY_MS: Millis = 24 * 60 * 60 * 1000;

/// The longest life of a grant: a year after which somebody has to mean it again.
pub const MAX_GRANT_MS: Millis = 365 * DAY_MS;

/// The life of a grant that names none.
pub const DEFAULT_GRANT_MS: Millis = 90 * DAY_MS;

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
    /// One client's software. Entitles nobody: it only lifts the client's ceiling.
    Client(ClientId),
    /// Every person of an issuer whose token carries a claim of this value.
    Claim(ClaimMatch),
}

impl GrantSubject {
    /// The word of its kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Group(_) => "group",
            Self::Agent(_) => "agent",
            Self::Client(_) => "client",
            Self::Claim(_) => "claim",
        }
    }

    /// The text of its name, as [`Self::parse`] reads it.
    pub fn name(&self) -> String {
        match self {
            Self::User(user) => user.to_string(),
            Self::Group(group) => group.to_string(),
            Self::Agent(agent) => agent.to_string(),
            Self::Client(client) => client.to_string(),
            Self::Claim(claim) => claim.to_string(),
        }
    }

    /// Whether it is the user or the agent of a reveal, or the client it is seen in.
    pub fn is_named_by(&self, reveal: &Reveal) -> bool {
        match self {
            Self::User(user) => reveal.user == *user,
            Self::Agent(agent) => reveal.agent.as_ref() == Some(agent),
            Self::Client(client) => reveal.client == *client,
            Self::Group(_) | Self::Claim(_) => false,
        }
    }

    /// Reads kind and name. `None` if there is no such kind.
    ///
    /// # Errors
    /// [`InvalidId`] for a name that breaks the rule of its kind.
    pub fn parse(kind: &str, name: &str) -> Option<Result<Self, InvalidId>> {
        Some(match kind {
            "user" => UserKey::parse(name).map(Self::User),
            "group" => GroupName::parse(name).map(Self::Group),
            "agent" => AgentId::parse(name).map(Self::Agent),
            "client" => ClientId::parse(name).map(Self::Client),
            "claim" => ClaimMatch::parse(name).map(Self::Claim),
            _ => return None,
        })
    }
}

impl std::fmt::Display for GrantSubject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
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
    /// Somebody asked for it and its owner said yes.
    Request,
    /// Somebody took it in an emergency.
    BreakGlass,
    /// It came from another system.
    Import,
}

impl GrantOrigin {
    /// The word of store, trail and listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Operator => "operator",
            Self::Request => "request",
            Self::BreakGlass => "break_glass",
            Self::Import => "import",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Self::Config, Self::Operator, Self::Request, Self::BreakGlass, Self::Import];
        all.into_iter().find(|origin| origin.as_str() == word)
    }
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
    /// The ticket or change it belongs to, in another system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Who said yes.
    pub approved_by: Option<String>,
    /// Counts from this instant on.
    pub starts_at: Millis,
    /// Counts until just before this instant.
    pub expires_at: Millis,
    /// Where it was made.
    pub origin: GrantOrigin,
    /// What it says about the arguments of a call; nothing for most.
    #[serde(default, skip_serializing_if = "Constraints::is_none")]
    pub constraints: Constraints,
}

/// A grant that would live longer than allowed, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a grant lives more than 0 and at most 365 days")]
pub struct GrantTooLong;

impl Grant {
    /// Checks the life of a grant that was made at an instant. One of configuration counts from the beginning of time and is
    /// held to what is left of it, by whoever reads the configuration.
    ///
    /// # Errors
    /// [`GrantTooLong`].
    pub fn checked(self) -> Result<Self, GrantTooLong> {
        let life = self.expires_at.saturating_sub(self.starts_at);
        if life > 0 && life <= MAX_GRANT_MS { Ok(self) } else { Err(GrantTooLong) }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_reads_back_from_its_kind_and_name() {
        for (kind, name) in [
            ("user", "okta:a:b"),
            ("group", "staff"),
            ("agent", "bot"),
            ("client", "https://c.example/client.json"),
            ("claim", "okta:https://acme.example/org=a=b"),
        ] {
            let subject = GrantSubject::parse(kind, name).unwrap().unwrap();
            assert_eq!((subject.kind(), subject.name().as_str()), (kind, name));
        }
        assert!(GrantSubject::parse("planet", "mars").is_none());
        assert!(GrantSubject::parse("group", "No Slug").unwrap().is_err());
    }

    #[test]
    fn an_origin_reads_back_from_its_word() {
        for word in ["config", "operator", "request", "break_glass", "import"] {
            let origin = GrantOrigin::parse(word).unwrap();
            assert_eq!(origin.as_str(), word);
            assert_eq!(serde_json::to_value(origin).unwrap(), word);
        }
        assert_eq!(GrantOrigin::parse("gift"), None);
    }

    #[test]
    fn a_grant_lives_at_most_a_year() {
        let grant = |expires_at| Grant {
            id: GrantId::parse("g").unwrap(),
            subject: GrantSubject::parse("group", "staff").unwrap().unwrap(),
            toolset: ToolsetSlug::parse("t").unwrap(),
            reason: "r".into(),
            ticket: None,
            approved_by: None,
            starts_at: 5,
            expires_at,
            origin: GrantOrigin::Operator,
            constraints: Constraints::default(),
        };
        for (expires_at, good) in
            [(4, false), (5, false), (6, true), (5 + MAX_GRANT_MS, true), (6 + MAX_GRANT_MS, false)]
        {
            assert_eq!(grant(expires_at).checked().is_ok(), good, "{expires_at}");
        }
    }
}
