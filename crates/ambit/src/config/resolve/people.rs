//! Who may call: external issuers, local accounts, agents.

use std::collections::{BTreeMap, BTreeSet};

use ambit_egress::{EgressRules, Target};
use ambit_live::deployment::{Account, Agent};
use ambit_model::{
    ids::{AgentId, GroupName, IssuerName, Subject, ToolsetSlug},
    issuer::{Algorithm, GroupSource, Issuer, IssuerScopes, People, TypRule},
};

use super::Resolving;
use crate::config::{
    place::Place,
    raw::{self, EMBEDDED},
};

impl Resolving<'_> {
    pub(super) fn issuers(&mut self, rules: &EgressRules) -> BTreeMap<IssuerName, Issuer> {
        let place = Place::root().key("issuers");
        let mut identifiers: BTreeMap<&str, &str> = BTreeMap::new();
        let mut issuers = BTreeMap::new();
        for (name, raw) in &self.raw.issuers {
            let place = place.key(name);
            if let Some(other) = identifiers.insert(raw.issuer.as_str(), name) {
                let message = format!("is `{}`, as in `issuers.{other}`: one issuer has one entry", raw.issuer);
                self.findings.error_once(&place.key("issuer"), message);
            }
            if name == IssuerName::local().as_str() || name == EMBEDDED {
                self.findings.error(&place, format!("has the name `{name}`, which is Ambit's own: use another"));
            }
            if let Some(name) = self.leaf(&place, IssuerName::parse(name)) {
                let issuer = self.issuer(&place, &name, raw, rules);
                issuers.insert(name, issuer);
            }
        }
        issuers
    }

    fn issuer(&mut self, place: &Place, name: &IssuerName, raw: &raw::Issuer, rules: &EgressRules) -> Issuer {
        self.leaf(&place.key("issuer"), Target::parse(&raw.issuer, rules));
        if let Some(keys) = &raw.jwks_uri {
            self.leaf(&place.key("jwks_uri"), Target::parse(keys, rules));
        }
        let groups = raw.groups.as_ref().map(|source| {
            let place = place.key("groups").key("map");
            let map = source.map.iter().filter_map(|(value, group)| {
                Some((value.clone(), self.leaf(&place.key(value), GroupName::parse(group))?))
            });
            GroupSource { claim: source.claim.clone(), map: map.collect() }
        });
        Issuer {
            name: name.clone(),
            issuer: raw.issuer.clone(),
            jwks_uri: raw.jwks_uri.clone(),
            algorithms: raw.algorithms.iter().map(|algorithm| algorithm_of(*algorithm)).collect(),
            typ: match raw.typ {
                raw::Typ::Strict => TypRule::Strict,
                raw::Typ::Lenient => TypRule::Lenient,
            },
            other_audiences: raw.other_audiences.iter().cloned().collect(),
            subject_claim: raw.subject_claim.clone(),
            client_claims: raw.client_claims.clone(),
            people: people(&raw.people),
            groups,
            scopes: self.scopes(&place.key("scopes"), &raw.scopes),
            claims: raw.claims.iter().cloned().collect(),
        }
    }

    fn scopes(&mut self, place: &Place, raw: &raw::Scopes) -> IssuerScopes {
        match raw {
            raw::Scopes::Word(raw::ScopesWord::None) => IssuerScopes::None,
            raw::Scopes::Map(map) => {
                let map = map.iter().filter_map(|(scope, toolset)| {
                    let place = place.key(scope);
                    self.declared(&place, toolset, "toolsets", self.raw.toolsets.keys());
                    Some((scope.clone(), self.leaf(&place, ToolsetSlug::parse(toolset))?))
                });
                IssuerScopes::Map(map.collect())
            }
        }
    }

    pub(super) fn accounts(&mut self) -> BTreeMap<Subject, Account> {
        let place = Place::root().key("accounts");
        let all = self.raw.accounts.iter();
        all.filter_map(|(name, raw)| {
            let place = place.key(name);
            let subject = self.leaf(&place, Subject::parse(name))?;
            let groups = raw.groups.iter().enumerate();
            let groups: BTreeSet<_> = groups
                .filter_map(|(index, group)| self.leaf(&place.key("groups").index(index), GroupName::parse(group)))
                .collect();
            let display_name = raw.name.clone().unwrap_or_else(|| name.clone());
            Some((subject, Account { display_name, groups, email: raw.email.clone() }))
        })
        .collect()
    }

    pub(super) fn agents(&mut self) -> BTreeMap<AgentId, Agent> {
        let place = Place::root().key("agents");
        let all = self.raw.agents.iter();
        all.filter_map(|(id, raw)| {
            let place = place.key(id);
            let id = self.leaf(&place, AgentId::parse(id))?;
            let owner = self.user(&place.key("owner"), &raw.owner);
            let expires = place.key("expires");
            let expires_at = self.instant(&expires, &raw.expires)?;
            if expires_at <= self.now {
                let message = format!(
                    "is `{}`, which is past: the agent may do nothing until {} renews it",
                    raw.expires, raw.owner
                );
                self.findings.warn(&expires, message);
            }
            Some((id, Agent { owner: owner?, purpose: raw.purpose.clone(), expires_at }))
        })
        .collect()
    }
}

fn people(raw: &raw::People) -> People {
    match raw {
        raw::People::Word(raw::PeopleWord::Unmarked) => People::Unmarked,
        raw::People::Sign(raw::PeopleSign { claim, value: None }) => People::Having { claim: claim.clone() },
        raw::People::Sign(raw::PeopleSign { claim, value: Some(value) }) => {
            People::Saying { claim: claim.clone(), value: value.clone() }
        }
    }
}

fn algorithm_of(raw: raw::Algorithm) -> Algorithm {
    match raw {
        raw::Algorithm::RS256 => Algorithm::Rs256,
        raw::Algorithm::PS256 => Algorithm::Ps256,
        raw::Algorithm::ES256 => Algorithm::Es256,
        raw::Algorithm::EdDSA => Algorithm::EdDsa,
    }
}
