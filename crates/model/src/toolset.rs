//! A named selection of tools: the unit of entitlement, of consent and of OAuth scope (`toolset:<slug>`).

use serde::{Deserialize, Serialize};

use crate::{
    Effect,
    ids::{InvalidId, ServerSlug, ToolId, ToolName, ToolsetSlug},
};

/// What stands in front of a toolset's slug in an OAuth scope.
pub const SCOPE_PREFIX: &str = "toolset:";

/// A toolset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Toolset {
    /// Its slug.
    pub slug: ToolsetSlug,
    /// What consent and pages call it.
    pub title: String,
    /// What it selects.
    pub tools: Vec<Selector>,
    /// Only tools of these effects; empty means every effect the selectors allow.
    pub effects: Vec<Effect>,
}

/// One line of a toolset: a tool by name, or all tools of a server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Selector {
    /// `server/tool`. The only way to select a destructive tool.
    Tool(ToolId),
    /// `server/prefix*` or `server/*`: every tool of that server whose name starts so, never a destructive one.
    Wildcard {
        /// The server.
        server: ServerSlug,
        /// How the name starts; empty for all.
        prefix: String,
    },
}

impl Toolset {
    /// Whether the toolset contains the tool. A wildcard never includes a destructive one.
    pub fn contains(&self, id: &ToolId, effect: Effect) -> bool {
        (self.effects.is_empty() || self.effects.contains(&effect))
            && self.tools.iter().any(|selector| selector.selects(id, effect))
    }

    /// The OAuth scope that stands for it.
    pub fn scope(slug: &ToolsetSlug) -> String {
        format!("{SCOPE_PREFIX}{slug}")
    }
}

impl Selector {
    /// Whether some tool could be meant by both.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tool(tool), other) | (other, Self::Tool(tool)) => other.names(tool),
            (Self::Wildcard { server, prefix }, Self::Wildcard { server: other_server, prefix: other_prefix }) => {
                server == other_server && (prefix.starts_with(other_prefix) || other_prefix.starts_with(prefix))
            }
        }
    }

    /// The server whose tools it selects.
    pub fn server(&self) -> &ServerSlug {
        match self {
            Self::Tool(tool) => &tool.server,
            Self::Wildcard { server, .. } => server,
        }
    }

    /// Whether the name of a tool is meant, whatever its effect.
    pub fn names(&self, id: &ToolId) -> bool {
        match self {
            Self::Tool(tool) => tool == id,
            Self::Wildcard { server, prefix } => *server == id.server && id.tool.as_str().starts_with(prefix.as_str()),
        }
    }

    fn selects(&self, id: &ToolId, effect: Effect) -> bool {
        let by_effect = match self {
            Self::Tool(_) => true,
            Self::Wildcard { .. } => effect != Effect::Destructive,
        };
        by_effect && self.names(id)
    }
}

impl TryFrom<String> for Selector {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        match text.strip_suffix('*') {
            None => Ok(Self::Tool(ToolId::parse(&text)?)),
            Some(stem) => {
                let Some((server, prefix)) = stem.split_once('/') else {
                    return Err(InvalidId {
                        what: "tool selector",
                        value: text.chars().take(80).collect(),
                        rule: "write `server/tool`, `server/prefix*` or `server/*`",
                    });
                };
                if !prefix.is_empty() {
                    ToolName::parse(prefix)?;
                }
                Ok(Self::Wildcard { server: ServerSlug::parse(server)?, prefix: prefix.to_owned() })
            }
        }
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> String {
        match selector {
            Selector::Tool(id) => id.to_string(),
            Selector::Wildcard { server, prefix } => format!("{server}/{prefix}*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolset(selectors: &[&str], effects: &[Effect]) -> Toolset {
        Toolset {
            slug: ToolsetSlug::parse("t").unwrap(),
            title: "t".into(),
            tools: selectors.iter().map(|s| Selector::try_from((*s).to_owned()).unwrap()).collect(),
            effects: effects.to_vec(),
        }
    }

    #[test]
    fn a_wildcard_never_includes_a_destructive_tool() {
        let id = ToolId::parse("mux/delete-asset").unwrap();
        for wildcard in ["mux/*", "mux/delete*"] {
            let all = toolset(&[wildcard], &[Effect::Destructive]);
            assert!(!all.contains(&id, Effect::Destructive));
            assert!(toolset(&[wildcard], &[]).contains(&id, Effect::Write));
        }
        assert!(toolset(&["mux/delete-asset"], &[]).contains(&id, Effect::Destructive));
        assert!(!toolset(&["mux/delete-asset"], &[Effect::Read]).contains(&id, Effect::Destructive));
    }

    #[test]
    fn an_empty_toolset_contains_nothing() {
        let id = ToolId::parse("mux/get-asset").unwrap();
        assert!(!toolset(&[], &[]).contains(&id, Effect::Read));
        assert!(!toolset(&["other/*"], &[]).contains(&id, Effect::Read));
    }

    #[test]
    fn a_wildcard_stands_at_the_end_only() {
        for bad in ["*", "mux*", "mu*/x", "*/x", "mux/a*b*"] {
            assert!(Selector::try_from(bad.to_owned()).is_err() || bad == "mux/a*b*", "{bad}");
        }
        // A star inside a name is a character of that name, not a pattern.
        let id = ToolId::parse("mux/axb").unwrap();
        assert!(!toolset(&["mux/a*b*"], &[]).contains(&id, Effect::Read));
    }
}
