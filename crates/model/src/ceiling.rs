//! What client software may reach at most. A client's toolsets are never a grant: they only cut what user and agent hold.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::{ClientId, ToolsetSlug};

/// The most a client may reach.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Ceiling {
    /// Whatever user and agent hold (`toolsets = ["*"]`).
    Everything,
    /// Only these toolsets.
    Only(BTreeSet<ToolsetSlug>),
}

impl Ceiling {
    /// Whether a toolset is under the ceiling.
    pub fn admits(&self, toolset: &ToolsetSlug) -> bool {
        match self {
            Self::Everything => true,
            Self::Only(toolsets) => toolsets.contains(toolset),
        }
    }
}

/// The ceilings of a deployment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientCeilings {
    /// Clients with a ceiling of their own.
    pub clients: BTreeMap<ClientId, Ceiling>,
    /// Every other client (`[clients.default]`). Nothing, unless configured.
    pub default: Ceiling,
}

impl Default for ClientCeilings {
    fn default() -> Self {
        Self { clients: BTreeMap::new(), default: Ceiling::Only(BTreeSet::new()) }
    }
}

impl ClientCeilings {
    /// The ceiling of a client.
    pub fn of(&self, client: &ClientId) -> &Ceiling {
        self.clients.get(client).unwrap_or(&self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_client_reaches_nothing_by_default() {
        let toolset = ToolsetSlug::parse("t").unwrap();
        let client = ClientId::parse("c").unwrap();
        assert!(!ClientCeilings::default().of(&client).admits(&toolset));
        let own = ClientCeilings { clients: [(client.clone(), Ceiling::Everything)].into(), ..Default::default() };
        assert!(own.of(&client).admits(&toolset));
    }
}
