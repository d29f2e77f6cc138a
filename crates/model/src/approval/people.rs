//! Who may say yes, and what several votes come to.
//!
//! An e-mail address never makes anybody eligible and never makes two people of one; it can only show that two records are
//! the same person, and then one of them does not count. An empty set of approvers approves nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    caller::UserFacts,
    ids::{GroupName, InvalidId, Millis, UserKey},
};

/// One entry of a server's approvers.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approver {
    /// One person.
    User(UserKey),
    /// Every member of an Ambit group.
    Group(GroupName),
}

/// A text that names no approver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidApprover {
    /// It says neither.
    #[error("write `user NAME` or `group NAME`")]
    Kind,
    /// The name does not fit.
    #[error(transparent)]
    Name(#[from] InvalidId),
}

impl Approver {
    /// Reads `user alice` or `group owners`.
    ///
    /// # Errors
    /// [`InvalidApprover`].
    pub fn parse(text: &str) -> Result<Self, InvalidApprover> {
        match text.split_once(' ') {
            Some(("user", name)) => Ok(Self::User(UserKey::parse(name)?)),
            Some(("group", name)) => Ok(Self::Group(GroupName::parse(name)?)),
            _ => Err(InvalidApprover::Kind),
        }
    }

    /// Whether it names this person.
    pub fn names(&self, person: &UserFacts) -> bool {
        match self {
            Self::User(user) => *user == person.key,
            Self::Group(group) => person.groups.contains(group),
        }
    }
}

impl std::fmt::Display for Approver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(user) => write!(f, "user {user}"),
            Self::Group(group) => write!(f, "group {group}"),
        }
    }
}

/// Who may approve the calls of a server, and how many of them it takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApproverRule {
    /// The people. Nobody, if empty.
    pub approvers: BTreeSet<Approver>,
    /// How many distinct people; at least one.
    pub needed: u32,
}

impl Default for ApproverRule {
    fn default() -> Self {
        Self { approvers: BTreeSet::new(), needed: 1 }
    }
}

impl ApproverRule {
    /// Whether the rule names this person, and nothing excludes them.
    pub fn admits(&self, person: &UserFacts, email: Option<&str>, excluded: &[Party]) -> bool {
        let named = self.approvers.iter().any(|approver| approver.names(person));
        named && !excluded.iter().any(|party| party.is(&person.key, email))
    }
}

/// An owner's word that the calls of a tool need no approval.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Waiver {
    /// Why.
    pub reason: String,
    /// From this instant on they need one again.
    pub until: Millis,
}

/// Somebody with a part in a request.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Party {
    /// Who.
    pub user: UserKey,
    /// Their address, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

impl Party {
    /// Whether this is the same person.
    pub fn is(&self, user: &UserKey, email: Option<&str>) -> bool {
        self.user == *user || same_address(self.email.as_deref(), email)
    }
}

/// Unknown addresses are not equal. Case and outer space do not tell people apart.
fn same_address(one: Option<&str>, other: Option<&str>) -> bool {
    match (one.map(str::trim), other.map(str::trim)) {
        (Some(one), Some(other)) => !one.is_empty() && one.to_lowercase() == other.to_lowercase(),
        (Some(_) | None, Some(_) | None) => false,
    }
}

/// What somebody said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// This exact call may be made once.
    Yes,
    /// It may not.
    No,
}

impl Says {
    /// The word of pages, commands and trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
        }
    }
}

/// How a vote was cast.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// On the approver's page, after a login.
    Page,
    /// With `ambit approve` on the machine itself.
    Command,
    /// Through the admin API.
    Api,
}

impl Via {
    /// The word of store and trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Command => "command",
            Self::Api => "api",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Page, Self::Command, Self::Api].into_iter().find(|via| via.as_str() == text)
    }
}

/// One person's word on one request. The last word of a person is their only one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vote {
    /// Who.
    pub by: Party,
    /// What.
    pub says: Says,
    /// When.
    pub at: Millis,
    /// How.
    pub via: Via,
    /// Why, in their words.
    pub reason: Option<String>,
}

/// What the votes on a request come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tally {
    /// More people have to say yes.
    Open {
        /// How many did.
        yes: u32,
    },
    /// Enough did: these.
    Approved(Vec<UserKey>),
    /// One said no: this one.
    Denied(UserKey),
}

/// Counts the votes that count. A no vetoes whatever others said; two records that are one person are one yes.
pub fn tally<'a>(
    needed: u32,
    votes: impl IntoIterator<Item = &'a Vote>,
    mut counts: impl FnMut(&Vote) -> bool,
) -> Tally {
    let mut yes: Vec<&Party> = Vec::new();
    for vote in votes {
        if !counts(vote) {
            continue;
        }
        match vote.says {
            Says::No => return Tally::Denied(vote.by.user.clone()),
            Says::Yes if yes.iter().any(|party| party.is(&vote.by.user, vote.by.email.as_deref())) => {}
            Says::Yes => yes.push(&vote.by),
        }
    }
    let have = u32::try_from(yes.len()).unwrap_or(u32::MAX);
    if have >= needed.max(1) {
        Tally::Approved(yes.into_iter().map(|party| party.user.clone()).collect())
    } else {
        Tally::Open { yes: have }
    }
}
