//! The acts, as they travel between the command line and a running server.

use ambit_model::{
    Digest, Effect,
    approval::Says,
    constraints::Constraints,
    grant::GrantSubject,
    ids::{AccessId, AgentId, ApprovalId, ClientId, GrantId, Millis, Subject, ToolId, ToolsetSlug, UserKey},
    revocation::Scope,
};
use serde::{Deserialize, Serialize};

/// The most tools one [`Act::Accept`] names, so that its record stays small.
pub const MAX_ACCEPTED: usize = 100;

/// The most grants one [`Act::Import`] makes.
pub const MAX_IMPORTED: usize = 500;

/// One act.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// Makes a standing grant.
    Grant {
        /// Who holds it.
        subject: GrantSubject,
        /// What it entitles to.
        toolset: ToolsetSlug,
        /// Why.
        reason: String,
        /// The ticket or change it belongs to.
        ticket: Option<String>,
        /// Who said yes.
        approved_by: Option<String>,
        /// When it begins to count; now if absent.
        starts_at: Option<Millis>,
        /// When it stops counting, at most 365 days after it begins; 90 days after if absent.
        expires_at: Option<Millis>,
        /// What it says about arguments.
        #[serde(default, skip_serializing_if = "Constraints::is_none")]
        constraints: Constraints,
    },
    /// Makes standing grants that come from another system: all of them, or none.
    Import {
        /// At most [`MAX_IMPORTED`].
        grants: Vec<ImportedGrant>,
    },
    /// Makes a reveal.
    Reveal {
        /// The user.
        user: UserKey,
        /// The client software.
        client: ClientId,
        /// The agent the user acts through.
        agent: Option<AgentId>,
        /// The toolset whose destructive tools become visible.
        toolset: ToolsetSlug,
        /// Why.
        reason: String,
        /// Who said yes.
        approved_by: Option<String>,
        /// How long, at most eight hours.
        life_ms: Millis,
    },
    /// Ends a grant or reveal before its time.
    End {
        /// Its id.
        id: GrantId,
        /// Why.
        reason: String,
    },
    /// Ends everything of a scope issued until now.
    Revoke {
        /// The scope.
        scope: ScopeText,
        /// Why.
        reason: String,
    },
    /// Refuses everything of a scope until lifted.
    Block {
        /// The scope.
        scope: ScopeText,
        /// Why.
        reason: String,
    },
    /// Lifts a block.
    Unblock {
        /// The scope.
        scope: ScopeText,
        /// Why.
        reason: String,
    },
    /// Mints an access token.
    Token {
        /// The person it stands for.
        user: UserKey,
        /// The agent that acts for the person.
        agent: Option<AgentId>,
        /// The path of the endpoint it is for.
        endpoint: String,
        /// Its toolsets; all if absent.
        toolsets: Option<Vec<ToolsetSlug>>,
        /// Its life.
        life_ms: Millis,
    },
    /// Makes a one-time link that sets the password of a declared account.
    AccountLink {
        /// The account.
        account: Subject,
    },
    /// Records that definitions were accepted. The lock file is written by whoever asks.
    Accept {
        /// At most [`MAX_ACCEPTED`] tools.
        tools: Vec<AcceptedTool>,
    },
    /// Reads configuration and lock file again.
    Reload {},
    /// The requests for approval that whoever asks may decide.
    ListApprovals {},
    /// One of them, with its arguments.
    ShowApproval {
        /// Its id.
        id: ApprovalId,
    },
    /// A yes or no to one exact call.
    Decide {
        /// The request.
        id: ApprovalId,
        /// What is said.
        says: Says,
        /// Why.
        reason: Option<String>,
    },
    /// The requests for access that whoever asks may decide.
    ListAccess {},
    /// A yes or no to one of them.
    DecideAccess {
        /// The request.
        id: AccessId,
        /// What is said.
        says: Says,
        /// Why.
        reason: Option<String>,
    },
    /// Every broken glass, and what was said of it.
    ListGlass {},
    /// What somebody says of a broken glass afterwards.
    ReviewGlass {
        /// The reveal it gave.
        id: GrantId,
        /// What.
        says: String,
    },
}

impl Act {
    /// The word of the act.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Grant { .. } => "grant",
            Self::Import { .. } => "import",
            Self::Reveal { .. } => "reveal",
            Self::End { .. } => "end",
            Self::Revoke { .. } => "revoke",
            Self::Block { .. } => "block",
            Self::Unblock { .. } => "unblock",
            Self::Token { .. } => "token",
            Self::AccountLink { .. } => "account_link",
            Self::Accept { .. } => "accept",
            Self::Reload {} => "reload",
            Self::ListApprovals {} => "approvals",
            Self::ShowApproval { .. } => "approval",
            Self::Decide { .. } => "decide",
            Self::ListAccess {} => "access",
            Self::DecideAccess { .. } => "decide_access",
            Self::ListGlass {} => "glass",
            Self::ReviewGlass { .. } => "review_glass",
        }
    }

    /// To whom or what it is done.
    pub fn subject(&self) -> String {
        match self {
            Self::Grant { subject, .. } => subject.to_string(),
            Self::Import { grants } => match grants.as_slice() {
                [one] => one.subject.to_string(),
                several => format!("{} grants", several.len()),
            },
            Self::Reveal { user, .. } | Self::Token { user, .. } => format!("user {user}"),
            Self::End { id, .. } | Self::ReviewGlass { id, .. } => format!("grant {id}"),
            Self::Revoke { scope, .. } | Self::Block { scope, .. } | Self::Unblock { scope, .. } => scope.0.to_string(),
            Self::AccountLink { account } => format!("account {account}"),
            Self::Accept { tools } => match tools.as_slice() {
                [one] => format!("tool {}", one.tool),
                several => format!("{} tools", several.len()),
            },
            Self::Reload {} | Self::ListApprovals {} | Self::ListAccess {} | Self::ListGlass {} => {
                "deployment".to_owned()
            }
            Self::DecideAccess { id, .. } => format!("access {id}"),
            Self::ShowApproval { id } | Self::Decide { id, .. } => format!("approval {id}"),
        }
    }
}

/// A grant of another system, and where it stands in its file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportedGrant {
    /// The line.
    pub line: u64,
    /// Who holds it.
    pub subject: GrantSubject,
    /// What it entitles to.
    pub toolset: ToolsetSlug,
    /// Why.
    pub reason: String,
    /// The ticket or change it belongs to.
    pub ticket: Option<String>,
    /// Who said yes.
    pub approved_by: Option<String>,
    /// When it begins to count; now if absent.
    pub starts_at: Option<Millis>,
    /// When it stops counting, at most 365 days after it begins; 90 days after if absent.
    pub expires_at: Option<Millis>,
    /// What it says about arguments.
    #[serde(default, skip_serializing_if = "Constraints::is_none")]
    pub constraints: Constraints,
}

impl ImportedGrant {
    /// The act of making it alone, which takes what making it here takes.
    pub fn alone(&self) -> Act {
        let Self { subject, toolset, reason, ticket, approved_by, starts_at, expires_at, constraints, .. } =
            self.clone();
        Act::Grant { subject, toolset, reason, ticket, approved_by, starts_at, expires_at, constraints }
    }
}

/// A scope as it travels: kind and id.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "(String, String)", into = "(String, String)")]
pub struct ScopeText(pub Scope);

impl TryFrom<(String, String)> for ScopeText {
    type Error = ambit_model::ids::InvalidId;
    fn try_from((kind, id): (String, String)) -> Result<Self, Self::Error> {
        Scope::parse(&kind, &id).map(Self)
    }
}

impl From<ScopeText> for (String, String) {
    fn from(ScopeText(scope): ScopeText) -> Self {
        (scope.kind().to_owned(), scope.id())
    }
}

/// A definition that was accepted.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AcceptedTool {
    /// The tool.
    pub tool: ToolId,
    /// What was pinned before.
    pub before: Option<Digest>,
    /// What is pinned now.
    pub after: Digest,
    /// The effect its owner saw.
    pub effect: Effect,
}

/// What an act came to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Done {
    /// For people.
    pub sentence: String,
    /// For scripts.
    pub result: serde_json::Value,
}
