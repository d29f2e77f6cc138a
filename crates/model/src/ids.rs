//! Typed identifiers. A string becomes one of these at the door, once, and is trusted afterwards.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch. Times are integers everywhere; only pages and commands format them.
pub type Millis = i64;

/// Why a string is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not a valid {what}: {rule}")]
pub struct InvalidId {
    /// Which kind of identifier was expected.
    pub what: &'static str,
    /// The rejected text, shortened.
    pub value: String,
    /// The rule it breaks, as a sentence fragment.
    pub rule: &'static str,
}

const SLUG_RULE: &str = "use 1 to 40 characters of a-z, 0-9 and `-`, starting with a letter or digit";

fn is_slug(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
}

fn is_bounded_text(text: &str) -> bool {
    (1..=2048).contains(&text.len()) && !text.chars().any(char::is_control)
}

const TEXT_RULE: &str = "use 1 to 2048 characters without control characters";

fn is_tool_name(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) && !text.contains('/')
}

const TOOL_RULE: &str = "use 1 to 128 visible ASCII characters without `/`";

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:ident, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text against the rule of this kind.
            ///
            /// # Errors
            /// [`InvalidId`] naming the rule.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                if $check(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId { what: $what, value: text.chars().take(80).collect(), rule: $rule })
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

id!(
    /// A registered upstream.
    ServerSlug, "server slug", is_slug, SLUG_RULE
);
id!(
    /// A named selection of tools.
    ToolsetSlug, "toolset slug", is_slug, SLUG_RULE
);
id!(
    /// A published MCP endpoint.
    EndpointSlug, "endpoint slug", is_slug, SLUG_RULE
);
id!(
    /// An autonomous agent.
    AgentId, "agent id", is_slug, SLUG_RULE
);
id!(
    /// An Ambit group. Issuer values count only where configuration maps them to one.
    GroupName, "group name", is_slug, SLUG_RULE
);
id!(
    /// The name of an issuer in configuration; `local` is the embedded account store.
    IssuerName, "issuer name", is_slug, SLUG_RULE
);
id!(
    /// The subject an issuer asserts, or the name of a local account.
    Subject, "subject", is_bounded_text, TEXT_RULE
);
id!(
    /// An OAuth client: a registered id, or the URL of a client id metadata document.
    ClientId, "client id", is_bounded_text, TEXT_RULE
);
id!(
    /// A tool's own name on its server.
    ToolName, "tool name", is_tool_name, TOOL_RULE
);
id!(
    /// The record id of a grant or reveal.
    GrantId, "grant id", is_bounded_text, TEXT_RULE
);
id!(
    /// One request for an approval: the text of 128 random bits. No secret: it opens nothing by itself.
    ApprovalId, "approval id", is_slug, SLUG_RULE
);
id!(
    /// One request for access: the text of 128 random bits. No secret: it opens nothing by itself.
    AccessId, "access request id", is_slug, SLUG_RULE
);
id!(
    /// The record id of a downstream credential. Never the credential.
    CredentialId, "credential id", is_bounded_text, TEXT_RULE
);

impl IssuerName {
    /// The issuer of local accounts.
    pub fn local() -> Self {
        Self("local".into())
    }
}

/// A user: the issuer that vouches and the subject it vouches for. An e-mail address is never part of it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Debug)]
pub struct UserKey {
    /// Who vouches.
    pub issuer: IssuerName,
    /// For whom.
    pub subject: Subject,
}

impl UserKey {
    /// A local account.
    ///
    /// # Errors
    /// [`InvalidId`] if the name is no subject.
    pub fn local(name: &str) -> Result<Self, InvalidId> {
        Ok(Self { issuer: IssuerName::local(), subject: Subject::parse(name)? })
    }

    /// Reads `alice` (a local account) or `issuer:subject`.
    ///
    /// # Errors
    /// [`InvalidId`] for the half that does not fit.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        match text.split_once(':') {
            Some((issuer, subject)) => {
                Ok(Self { issuer: IssuerName::parse(issuer)?, subject: Subject::parse(subject)? })
            }
            None => Self::local(text),
        }
    }
}

impl fmt::Display for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.issuer, self.subject)
    }
}

/// A tool of a server, written `server/tool`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ToolId {
    /// The server.
    pub server: ServerSlug,
    /// The tool's name there.
    pub tool: ToolName,
}

impl ToolId {
    /// Reads `server/tool`.
    ///
    /// # Errors
    /// [`InvalidId`] if either half does not fit.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let Some((server, tool)) = text.split_once('/') else {
            return Err(InvalidId {
                what: "tool id",
                value: text.chars().take(80).collect(),
                rule: "write it as `server/tool`",
            });
        };
        Ok(Self { server: ServerSlug::parse(server)?, tool: ToolName::parse(tool)? })
    }
}

impl TryFrom<String> for ToolId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<ToolId> for String {
    fn from(id: ToolId) -> String {
        id.to_string()
    }
}

impl fmt::Display for ToolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.server, self.tool)
    }
}

impl fmt::Debug for ToolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_lower_case_and_bounded() {
        for good in ["mux", "a", "0-a", "a-b-c", &"x".repeat(40)] {
            assert!(ServerSlug::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "Mux", "-a", "a_b", "a/b", "ä", "a b", &"x".repeat(41)] {
            assert!(ServerSlug::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bare_name_is_a_local_account() {
        assert_eq!(UserKey::parse("alice").unwrap(), UserKey::local("alice").unwrap());
        let foreign = UserKey::parse("okta:alice").unwrap();
        assert_ne!(foreign, UserKey::local("alice").unwrap());
        assert_eq!(foreign.to_string(), "okta:alice");
    }

    #[test]
    fn a_tool_id_needs_both_halves() {
        assert_eq!(ToolId::parse("mux/get-asset").unwrap().to_string(), "mux/get-asset");
        for bad in ["mux", "mux/", "/x", "mux/a/b", "Mux/a"] {
            assert!(ToolId::parse(bad).is_err(), "{bad}");
        }
    }
}
