//! What a decision was made of beside what its record says anyway, kept so that it can be made again under other rules. It
//! stands in the trail sealed: groups, claims and arguments are nobody's business who reads records.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    caller::{AgentFacts, Assurance, CallerFacts, ClientFacts, Principal, TokenScopes, UserFacts},
    ids::{AgentId, ClientId, GroupName, Millis, ToolsetSlug, UserKey},
};

/// The facts of a caller.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct KeptCaller {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserKey>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    groups: BTreeSet<GroupName>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    claims: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<(AgentId, UserKey, Millis)>,
    client: (ClientId, Assurance),
    /// Absent: the issuer has no word for toolsets.
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<BTreeSet<ToolsetSlug>>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    declined: BTreeSet<ToolsetSlug>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<String>,
}

impl From<&CallerFacts> for KeptCaller {
    fn from(facts: &CallerFacts) -> Self {
        let user = facts.user();
        let agent = facts.agent();
        Self {
            user: user.map(|user| user.key.clone()),
            groups: user.map(|user| user.groups.clone()).unwrap_or_default(),
            claims: user.map(|user| user.claims.clone()).unwrap_or_default(),
            agent: agent.map(|agent| (agent.id.clone(), agent.owner.clone(), agent.expires_at)),
            client: (facts.client.id.clone(), facts.client.assurance),
            scopes: match &facts.scopes {
                TokenScopes::Toolsets(toolsets) => Some(toolsets.clone()),
                TokenScopes::None => None,
            },
            declined: facts.declined.clone(),
            operator: facts.operator.clone(),
        }
    }
}

impl KeptCaller {
    /// The facts as they were. `None` if nobody calls, which no record says.
    pub fn facts(self) -> Option<CallerFacts> {
        let user = self.user.map(|key| UserFacts { key, groups: self.groups, claims: self.claims });
        let agent = self.agent.map(|(id, owner, expires_at)| AgentFacts { id, owner, expires_at });
        let principal = match (user, agent) {
            (Some(user), None) => Principal::Person { user },
            (None, Some(agent)) => Principal::Agent { agent },
            (Some(user), Some(agent)) => Principal::Delegated { user, agent },
            (None, None) => return None,
        };
        let (id, assurance) = self.client;
        Some(CallerFacts {
            principal,
            client: ClientFacts { id, assurance },
            scopes: self.scopes.map_or(TokenScopes::None, TokenScopes::Toolsets),
            declined: self.declined,
            operator: self.operator,
        })
    }
}

/// A fact of a call beside its arguments.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeptFact {
    /// Where it came from.
    Source,
    /// The labels the caller had touched.
    Touched,
    /// The login behind the token.
    Login,
}

/// When and how a person logged in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeptLogin {
    /// When.
    pub at: Millis,
    /// The methods of RFC 8176, as the issuer names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
}

/// What the rules about a tool read of one call.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct KeptCall {
    /// The facts that were kept, whether or not there was anything of them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub facts: BTreeSet<KeptFact>,
    /// Where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// The labels the caller had touched.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub touched: BTreeSet<String>,
    /// The login behind the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<KeptLogin>,
    /// The arguments, as far as a rule read them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Value>,
    /// How far that is, as JSON pointers: what lies at or below one of them was kept, whether or not it was there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_kept_whole() {
        let user = UserFacts {
            key: UserKey::parse("okta:1").unwrap(),
            groups: BTreeSet::from([GroupName::parse("staff").unwrap()]),
            claims: BTreeMap::from([("org_id".to_owned(), "acme".into())]),
        };
        let agent =
            AgentFacts { id: AgentId::parse("bot").unwrap(), owner: UserKey::local("alice").unwrap(), expires_at: 9 };
        for principal in [
            Principal::Person { user: user.clone() },
            Principal::Agent { agent: agent.clone() },
            Principal::Delegated { user, agent },
        ] {
            for scopes in [TokenScopes::None, TokenScopes::Toolsets(BTreeSet::from([ToolsetSlug::parse("a").unwrap()]))]
            {
                let facts = CallerFacts {
                    principal: principal.clone(),
                    client: ClientFacts { id: ClientId::parse("c").unwrap(), assurance: Assurance::CimdLoopback },
                    scopes,
                    declined: BTreeSet::from([ToolsetSlug::parse("b").unwrap()]),
                    operator: Some("operator:root".to_owned()),
                };
                let text = serde_json::to_string(&KeptCaller::from(&facts)).unwrap();
                let kept: KeptCaller = serde_json::from_str(&text).unwrap();
                assert_eq!(kept.facts(), Some(facts));
            }
        }
    }
}
