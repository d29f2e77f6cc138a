//! *Revoke* ends everything of a scope issued at or before an instant and allows a new login; *block* refuses all until
//! lifted. Both are compared on every request, also when the token's verification was remembered.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{
    AgentId, ClientId, CredentialId, EndpointSlug, InvalidId, IssuerName, Millis, ServerSlug, ToolId, UserKey,
};

/// What a revocation or block reaches.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Scope {
    /// Everything.
    Deployment,
    /// One endpoint.
    Endpoint(EndpointSlug),
    /// One server.
    Server(ServerSlug),
    /// One tool.
    Tool(ToolId),
    /// One user.
    User(UserKey),
    /// One agent.
    Agent(AgentId),
    /// One client.
    Client(ClientId),
    /// One downstream credential.
    Credential(CredentialId),
    /// One login's tokens: an authorization and all refreshes of it.
    Family(String),
    /// A foreign issuer's session id.
    ForeignSession(IssuerName, String),
    /// A foreign issuer's token id.
    ForeignToken(IssuerName, String),
}

impl Scope {
    /// The kind, as stored and as the command line spells it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Endpoint(_) => "endpoint",
            Self::Server(_) => "server",
            Self::Tool(_) => "tool",
            Self::User(_) => "user",
            Self::Agent(_) => "agent",
            Self::Client(_) => "client",
            Self::Credential(_) => "credential",
            Self::Family(_) => "family",
            Self::ForeignSession(..) => "sid",
            Self::ForeignToken(..) => "jti",
        }
    }

    /// Whether it is one authorization, one foreign session or one token: nothing that belongs to it is issued anew after it
    /// was revoked, so when a thing of it says it was issued does not matter.
    pub const fn is_one_of_a_kind(&self) -> bool {
        matches!(self, Self::Family(_) | Self::ForeignSession(..) | Self::ForeignToken(..))
    }

    /// The id inside the kind, as stored. Empty for the deployment.
    pub fn id(&self) -> String {
        match self {
            Self::Deployment => String::new(),
            Self::Endpoint(id) => id.to_string(),
            Self::Server(id) => id.to_string(),
            Self::Tool(id) => id.to_string(),
            Self::User(id) => id.to_string(),
            Self::Agent(id) => id.to_string(),
            Self::Client(id) => id.to_string(),
            Self::Credential(id) => id.to_string(),
            Self::Family(id) => id.clone(),
            Self::ForeignSession(issuer, id) | Self::ForeignToken(issuer, id) => format!("{issuer}:{id}"),
        }
    }

    /// Reads the stored or typed form.
    ///
    /// # Errors
    /// [`InvalidId`] for an unknown kind or an id that does not fit it.
    pub fn parse(kind: &str, id: &str) -> Result<Self, InvalidId> {
        let unknown =
            |rule| InvalidId { what: "scope", value: format!("{kind} {id}").chars().take(80).collect(), rule };
        let foreign = |id: &str| {
            let (issuer, value) = id.split_once(':').ok_or_else(|| unknown("write it as `issuer:value`"))?;
            Ok((IssuerName::parse(issuer)?, value.to_owned()))
        };
        Ok(match kind {
            "deployment" if id.is_empty() => Self::Deployment,
            "endpoint" => Self::Endpoint(EndpointSlug::parse(id)?),
            "server" => Self::Server(ServerSlug::parse(id)?),
            "tool" => Self::Tool(ToolId::parse(id)?),
            "user" => Self::User(UserKey::parse(id)?),
            "agent" => Self::Agent(AgentId::parse(id)?),
            "client" => Self::Client(ClientId::parse(id)?),
            "credential" => Self::Credential(CredentialId::parse(id)?),
            "family" if !id.is_empty() => Self::Family(id.to_owned()),
            "sid" => foreign(id).map(|(issuer, value)| Self::ForeignSession(issuer, value))?,
            "jti" => foreign(id).map(|(issuer, value)| Self::ForeignToken(issuer, value))?,
            _ => {
                return Err(unknown(
                    "use deployment, endpoint, server, tool, user, agent, client, credential or family, with an id",
                ));
            }
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deployment => f.write_str("deployment"),
            other => write!(f, "{} {}", other.kind(), other.id()),
        }
    }
}

/// The state of one scope.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Mark {
    /// Everything issued at or before this instant is dead.
    pub revoked_at: Option<Millis>,
    /// Everything is refused until lifted.
    pub blocked: bool,
}

/// Why a thing of a scope is dead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dead {
    /// Issued at or before the revocation.
    Revoked,
    /// The scope is blocked.
    Blocked,
}

impl Mark {
    /// Judges a thing of this scope that was issued at an instant. Of a thing that was renewed it is the instant of the
    /// authorization behind it; of one whose time is less precise, the earliest it can be.
    pub fn judge(self, issued_at: Millis) -> Option<Dead> {
        if self.blocked {
            Some(Dead::Blocked)
        } else if self.revoked_at.is_some_and(|at| issued_at <= at) {
            Some(Dead::Revoked)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_survives_its_stored_form() {
        for (kind, id) in [
            ("deployment", ""),
            ("endpoint", "default"),
            ("server", "mux"),
            ("tool", "mux/get-asset"),
            ("user", "local:alice"),
            ("agent", "bot"),
            ("client", "https://c.example/client.json"),
            ("credential", "mux-read"),
            ("family", "f1"),
            ("sid", "okta:s1"),
            ("jti", "okta:j1"),
        ] {
            let scope = Scope::parse(kind, id).unwrap();
            assert_eq!((scope.kind(), scope.id().as_str()), (kind, id));
        }
        for (kind, id) in [("deployment", "x"), ("family", ""), ("sid", "x"), ("tools", "x"), ("tool", "x")] {
            assert!(Scope::parse(kind, id).is_err(), "{kind} {id}");
        }
    }

    #[test]
    fn revoke_allows_what_comes_later_and_block_nothing() {
        let revoked = Mark { revoked_at: Some(1000), blocked: false };
        assert_eq!(revoked.judge(1000), Some(Dead::Revoked));
        assert_eq!(revoked.judge(1001), None);
        let blocked = Mark { revoked_at: None, blocked: true };
        assert_eq!(blocked.judge(i64::MAX), Some(Dead::Blocked));
        assert_eq!(Mark::default().judge(0), None);
    }
}
