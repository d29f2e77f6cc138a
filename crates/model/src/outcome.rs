//! The five outcomes of a decision, the same for every method.

use serde::{Deserialize, Serialize};

/// What a decision comes to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Answered exactly like a tool that does not exist.
    Hidden,
    /// Listed and runs.
    Allow,
    /// Listed; only the token's scopes are missing and a person can add them.
    NeedsScope,
    /// Listed; a human yes to the exact call is missing.
    NeedsApproval,
    /// Listed; this call is not possible as it stands.
    Refused,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Hidden, Self::Allow, Self::NeedsScope, Self::NeedsApproval, Self::Refused];

    /// The word of the trail and of commands.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::Allow => "allow",
            Self::NeedsScope => "needs-scope",
            Self::NeedsApproval => "needs-approval",
            Self::Refused => "refused",
        }
    }

    /// Whether the tool stands in the caller's list.
    pub const fn is_listed(self) -> bool {
        match self {
            Self::Hidden => false,
            Self::Allow | Self::NeedsScope | Self::NeedsApproval | Self::Refused => true,
        }
    }
}
