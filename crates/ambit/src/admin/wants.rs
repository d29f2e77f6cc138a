//! What is asked of the admin API, in the types its description is made from, and as what act each of them is understood. A
//! value that cannot be one is told with its place; whether it may be done is asked elsewhere.

use std::{collections::BTreeMap, fmt::Display};

use ambit_model::{
    approval::Says,
    constraints::{Constraints, ToolPattern},
    grant::GrantSubject,
    ids::{AgentId, ApprovalId, ClientId, GrantId, Millis, ToolsetSlug, UserKey},
    revocation::Scope,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::problem::{Kind, Trouble};
use crate::{
    config::quantity,
    operator::{Act, act::ScopeText},
};

/// A grant to be made.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGrant {
    /// Who holds it.
    pub holder: Holder,
    /// The slug of the toolset it entitles to.
    pub toolset: String,
    /// Why, on one line.
    pub reason: String,
    /// The ticket or change it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Who said yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// When it begins to count, as a date or an instant; now if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<String>,
    /// When it stops counting, at most 365 days after it begins; 90 days after if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// A JSON Schema fragment that the arguments are held to, by `*`, `server/tool` or `server/prefix*`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub constraints: BTreeMap<String, Value>,
}

/// Who holds a grant.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// What kind of holder.
    pub kind: HolderKind,
    /// Which: an account or `issuer:subject`, a group, an agent's id, a client id, `issuer:claim=value`.
    pub name: String,
}

/// What kind of holder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HolderKind {
    /// One person.
    User,
    /// Everybody of a group.
    Group,
    /// An agent.
    Agent,
    /// Client software: it raises its ceiling and gives nobody anything.
    Client,
    /// Whoever carries a claim.
    Claim,
}

impl HolderKind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Agent => "agent",
            Self::Client => "client",
            Self::Claim => "claim",
        }
    }
}

/// A reveal to be made.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReveal {
    /// The user: an account or `issuer:subject`.
    pub user: String,
    /// The client software, by its client id.
    pub client: String,
    /// The agent the user acts through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The toolset whose destructive tools become visible.
    pub toolset: String,
    /// Why, on one line.
    pub reason: String,
    /// Who said yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// How long, such as `2h`; at most eight hours.
    pub life: String,
}

/// Why something is ended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ending {
    /// Why, on one line.
    pub reason: String,
}

/// A word on a call that waits.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Yes or no.
    pub says: Word,
    /// Why, on one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Yes or no.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// This exact call may run once.
    Yes,
    /// It may not, whatever others said.
    No,
}

/// What is revoked or blocked.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Marking {
    /// The scope.
    pub scope: ScopeOf,
    /// Why, on one line.
    pub reason: String,
}

/// A scope.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScopeOf {
    /// `deployment`, `endpoint`, `server`, `tool`, `user`, `agent`, `client`, `credential`, `family`, `sid` or `jti`.
    pub kind: String,
    /// Which; nothing for the deployment.
    #[serde(default)]
    pub id: String,
}

/// Which block is lifted, and why.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lifting {
    /// The kind of scope, as it was blocked.
    pub kind: String,
    /// Which; nothing for the deployment.
    #[serde(default)]
    pub id: String,
    /// Why, on one line.
    pub reason: String,
}

/// What somebody says of a broken glass.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// What, on one line.
    pub says: String,
}

impl NewGrant {
    pub(super) fn into_act(self) -> Result<Act, Trouble> {
        let Self { holder, toolset, reason, ticket, approved_by, starts_at, expires_at, constraints } = self;
        Ok(Act::Grant {
            subject: holder.subject()?,
            toolset: read("/toolset", ToolsetSlug::parse(&toolset))?,
            reason,
            ticket,
            approved_by,
            starts_at: starts_at.map(|text| instant("/starts_at", &text)).transpose()?,
            expires_at: expires_at.map(|text| instant("/expires_at", &text)).transpose()?,
            constraints: fragments(constraints)?,
        })
    }
}

impl Holder {
    fn subject(&self) -> Result<GrantSubject, Trouble> {
        let subject = GrantSubject::parse(self.kind.as_str(), &self.name);
        read(
            "/holder/name",
            subject.ok_or("it is no holder").and_then(|read| read.map_err(|_| "")).map_err(|_| match self.kind {
                HolderKind::User => "write an account's name, or `issuer:subject`",
                HolderKind::Group => "write the name of a group",
                HolderKind::Agent => "write the id of an agent",
                HolderKind::Client => "write the client id",
                HolderKind::Claim => "write `issuer:claim=value`",
            }),
        )
    }
}

impl NewReveal {
    pub(super) fn into_act(self) -> Result<Act, Trouble> {
        let Self { user, client, agent, toolset, reason, approved_by, life } = self;
        let length = quantity::duration(&life).and_then(|life| Millis::try_from(life.as_millis()).ok());
        Ok(Act::Reveal {
            user: read("/user", UserKey::parse(&user))?,
            client: read("/client", ClientId::parse(&client))?,
            agent: agent.map(|agent| read("/agent", AgentId::parse(&agent))).transpose()?,
            toolset: read("/toolset", ToolsetSlug::parse(&toolset))?,
            reason,
            approved_by,
            life_ms: read("/life", length.ok_or("write a whole number and a unit, such as `2h`"))?,
        })
    }
}

impl Ending {
    pub(super) fn into_act(self, id: &str) -> Result<Act, Trouble> {
        Ok(Act::End { id: named(GrantId::parse(id))?, reason: self.reason })
    }
}

impl Decision {
    pub(super) fn into_act(self, id: &str) -> Result<Act, Trouble> {
        let says = match self.says {
            Word::Yes => Says::Yes,
            Word::No => Says::No,
        };
        Ok(Act::Decide { id: named(ApprovalId::parse(id))?, says, reason: self.reason })
    }
}

impl Marking {
    pub(super) fn revocation(self) -> Result<Act, Trouble> {
        Ok(Act::Revoke { scope: self.scope.read()?, reason: self.reason })
    }

    pub(super) fn block(self) -> Result<Act, Trouble> {
        Ok(Act::Block { scope: self.scope.read()?, reason: self.reason })
    }
}

impl ScopeOf {
    fn read(&self) -> Result<ScopeText, Trouble> {
        read("/scope", Scope::parse(&self.kind, &self.id)).map(ScopeText)
    }
}

impl Lifting {
    pub(super) fn into_act(self) -> Result<Act, Trouble> {
        let scope = read("/kind", Scope::parse(&self.kind, &self.id)).map(ScopeText)?;
        Ok(Act::Unblock { scope, reason: self.reason })
    }
}

impl Review {
    pub(super) fn into_act(self, id: &str) -> Result<Act, Trouble> {
        Ok(Act::ReviewGlass { id: named(GrantId::parse(id))?, says: self.says })
    }
}

/// The request that a path names.
pub(super) fn approval(id: &str) -> Result<Act, Trouble> {
    Ok(Act::ShowApproval { id: named(ApprovalId::parse(id))? })
}

fn read<T, E: Display>(pointer: &str, parsed: Result<T, E>) -> Result<T, Trouble> {
    parsed.map_err(|error| Trouble::new(Kind::Refused, error.to_string()).at(pointer))
}

/// What a path names: what can be no id is none of anything.
fn named<T, E>(parsed: Result<T, E>) -> Result<T, Trouble> {
    parsed.map_err(|_| Trouble::absent())
}

fn instant(pointer: &str, text: &str) -> Result<Millis, Trouble> {
    read(pointer, quantity::instant(text).ok_or("write a date such as `2027-06-30`, or `2027-06-30T12:00:00Z`"))
}

fn fragments(given: BTreeMap<String, Value>) -> Result<Constraints, Trouble> {
    let each = given.into_iter().map(|(pattern, fragment)| {
        let place = format!("/constraints/{}", pattern.replace('~', "~0").replace('/', "~1"));
        Ok((read(&place, ToolPattern::parse(&pattern))?, fragment))
    });
    read("/constraints", Constraints::new(each.collect::<Result<_, Trouble>>()?))
}
