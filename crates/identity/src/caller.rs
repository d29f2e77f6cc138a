//! The proof that a caller was verified. Its fields are private and it is made in one place, out of claims whose signature,
//! issuer, audience and times were checked, held against the deployment and the revocations of one revision.
//!
//! Nothing here comes from a request's body, and nobody outside this room can make one.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ambit_live::{deployment::Deployment, recorder::IndexKeys, revocations::Issued};
use ambit_model::{
    Digest,
    caller::{AgentFacts, CallerFacts, ClientFacts, Principal, TokenScopes, UserFacts},
    event::Who,
    ids::{AgentId, ClientId, GroupName, IssuerName, Millis, ToolsetSlug, UserKey},
    revocation::{Dead, Scope},
};
use ambit_policy::{CallerClass, Login};
use serde_json::Value;

use crate::{
    authenticate::Standing,
    verify::{LEEWAY_MS, TokenFault},
};

/// What a token says once verified, before the deployment is asked. Does not depend on the revision.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) user: Option<UserClaims>,
    pub(crate) agent: Option<AgentId>,
    pub(crate) client: ClientFacts,
    pub(crate) scopes: TokenScopes,
    pub(crate) declined: BTreeSet<ToolsetSlug>,
    /// Who put the token together, if not the caller: `operator:<os user>`.
    pub(crate) operator: Option<String>,
    /// Outermost first.
    pub(crate) actors: Vec<String>,
    /// When and how the person proved who they are, where the token says it.
    pub(crate) login: Option<LoginFacts>,
    /// What revocations are compared with. Never after the moment the token was first seen here.
    pub(crate) issued: Issued,
    pub(crate) expires_at: Millis,
    /// Stands for the token in the trail.
    pub(crate) token: Digest,
    /// Every scope whose revocation ends it.
    pub(crate) reach: Vec<Scope>,
}

/// A login, as a token tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoginFacts {
    pub(crate) at: Millis,
    /// Methods of RFC 8176.
    pub(crate) methods: Vec<String>,
}

/// The person of a token.
#[derive(Debug)]
pub(crate) struct UserClaims {
    pub(crate) key: UserKey,
    pub(crate) groups: Groups,
    pub(crate) claims: BTreeMap<String, Value>,
}

/// Where a person's groups stand.
#[derive(Debug)]
pub(crate) enum Groups {
    /// With the local account, in the deployment.
    OfAccount,
    /// In the token, mapped by the issuer's rules.
    Mapped(BTreeSet<GroupName>),
}

/// Why a verified token is no caller now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotNow {
    /// Its time is over, or what it names is not there (any more).
    Fault(TokenFault),
    /// A scope of it was revoked or is blocked.
    Dead(Dead),
}

/// A verified caller, good for one endpoint and one revision. Cheap to share.
#[derive(Debug)]
pub struct Caller {
    verified: Arc<Verified>,
    class: CallerClass,
    /// What records of the trail are found by: the person, the agent, the client.
    found_by: IndexKeys,
    /// The same three, for what is kept about them.
    name: Digest,
    /// Who of them answers for what is used.
    person: Digest,
    valid_until: Millis,
}

impl Caller {
    /// The one place a caller is made.
    pub(crate) fn establish(verified: Arc<Verified>, standing: &Standing<'_>, now_ms: Millis) -> Result<Self, NotNow> {
        if let Some((_, dead)) = standing.revocations.judge(&verified.reach, verified.issued) {
            return Err(NotNow::Dead(dead));
        }
        let facts = facts(&verified, standing.deployment).map_err(NotNow::Fault)?;
        let agent_ends = facts.agent().map_or(Millis::MAX, |agent| agent.expires_at);
        let user = facts.user().map(|user| user.key.to_string());
        let agent = verified.agent.as_ref().map(AgentId::as_str);
        let caller = Self {
            name: name(user.as_deref(), agent, verified.client.id.as_str()),
            person: person(user.as_deref(), agent, verified.client.id.as_str()),
            found_by: IndexKeys {
                subject: user.map(Into::into),
                agent: agent.map(Into::into),
                client: Some(verified.client.id.as_str().into()),
                ..IndexKeys::default()
            },
            class: standing.judge.class(&facts),
            valid_until: verified.expires_at.saturating_add(LEEWAY_MS).min(agent_ends),
            verified,
        };
        caller.still_valid(now_ms).map_err(NotNow::Fault)?;
        Ok(caller)
    }

    /// The same caller as another revision of the same configuration knows it, if it still does.
    pub fn at(&self, standing: &Standing<'_>, now_ms: Millis) -> Option<Self> {
        Self::establish(Arc::clone(&self.verified), standing, now_ms).ok()
    }

    /// The first instant at which its times have run out.
    pub fn valid_until(&self) -> Millis {
        self.valid_until
    }

    /// Whether its times have not run out.
    pub fn is_valid_at(&self, now_ms: Millis) -> bool {
        self.still_valid(now_ms).is_ok()
    }

    /// Compares the times that run out by themselves.
    pub(crate) fn still_valid(&self, now_ms: Millis) -> Result<(), TokenFault> {
        if now_ms < self.valid_until {
            return Ok(());
        }
        let token_over = now_ms >= self.verified.expires_at.saturating_add(LEEWAY_MS);
        Err(if token_over { TokenFault::Expired } else { TokenFault::AgentExpired })
    }

    pub(crate) fn verified(&self) -> &Arc<Verified> {
        &self.verified
    }

    /// The login behind its token, for the rules that read it. An agent on its own has none.
    pub fn login(&self) -> Option<Login<'_>> {
        self.verified.login.as_ref().map(|login| Login { at: login.at, methods: &login.methods })
    }

    /// Everything a standing decision may read.
    pub fn facts(&self) -> &CallerFacts {
        self.class.facts()
    }

    /// The class decisions are remembered under, resolved against the judge of the revision it was verified at.
    pub fn class(&self) -> &CallerClass {
        &self.class
    }

    /// The client software.
    pub fn client_id(&self) -> &ClientId {
        &self.verified.client.id
    }

    /// Stands for user, agent and client together, whatever token they come with: what touched labels are kept under.
    pub fn name(&self) -> Digest {
        self.name
    }

    /// Stands for the user, or the agent where there is none: what is used is counted under this. Never the client beside
    /// either, because anybody registers as many clients as they like.
    pub fn person(&self) -> Digest {
        self.person
    }

    /// When it counts as issued, for revocations: when the authorization behind it was asked for, however often its token
    /// was refreshed since; for a foreign token the start of its second, and the tolerance for clocks before that.
    pub fn issued_at(&self) -> Millis {
        self.verified.issued.at
    }

    /// The token's `exp`.
    pub fn expires_at(&self) -> Millis {
        self.verified.expires_at
    }

    /// Stands for the token in the trail: a digest of its issuer and id.
    pub fn token_digest(&self) -> Digest {
        self.verified.token
    }

    /// Every scope whose revocation ends this caller; for long replies that outlive a comparison.
    pub fn scopes_for_revocation(&self) -> &[Scope] {
        &self.verified.reach
    }

    /// The actor chain, outermost first. Empty for a person alone or an agent on its own.
    pub fn actors(&self) -> &[String] {
        &self.verified.actors
    }

    /// What records of the trail are found by, as far as the caller says it.
    pub fn found_by(&self) -> &IndexKeys {
        &self.found_by
    }

    /// Who, as the trail writes it down. Borrows everything.
    pub fn who(&self) -> Who<'_> {
        Who {
            user: self.found_by.subject.as_deref().map(Cow::Borrowed),
            agent: self.verified.agent.as_ref().map(|agent| Cow::Borrowed(agent.as_str())),
            client: Cow::Borrowed(self.verified.client.id.as_str()),
            assurance: self.verified.client.assurance.as_str(),
            actors: Cow::Borrowed(&self.verified.actors),
            token: self.verified.token,
        }
    }
}

/// What a combination of user, agent and client is known by. An absent part is not an empty one.
pub fn name(user: Option<&str>, agent: Option<&str>, client: &str) -> Digest {
    let is_there = |part: Option<&str>| if part.is_some() { &b"1"[..] } else { b"0" };
    let (user_text, agent_text) = (user.unwrap_or_default(), agent.unwrap_or_default());
    let there = (is_there(user), is_there(agent));
    Digest::of_parts([there.0, user_text.as_bytes(), there.1, agent_text.as_bytes(), client.as_bytes()])
}

/// What the one who answers for a use is known by: the user, else the agent, else the client. Each kind of them apart.
fn person(user: Option<&str>, agent: Option<&str>, client: &str) -> Digest {
    let (kind, id) = match (user, agent) {
        (Some(user), _) => ("user", user),
        (None, Some(agent)) => ("agent", agent),
        (None, None) => ("client", client),
    };
    Digest::of_parts([kind.as_bytes(), id.as_bytes()])
}

/// What the deployment says about the people and agents of a token: groups, owner, expiry. Not declared is not there.
fn facts(verified: &Verified, deployment: &Deployment) -> Result<CallerFacts, TokenFault> {
    if verified.operator.is_some() && !deployment.operator_may_mint {
        return Err(TokenFault::OperatorMint);
    }
    let user = verified.user.as_ref().map(|user| user_facts(user, deployment)).transpose()?;
    let agent = verified.agent.as_ref().map(|id| {
        let agent = deployment.agents.get(id).ok_or(TokenFault::UnknownAgent)?;
        Ok(AgentFacts { id: id.clone(), owner: agent.owner.clone(), expires_at: agent.expires_at })
    });
    let principal = match (user, agent.transpose()?) {
        (Some(user), None) => Principal::Person { user },
        (None, Some(agent)) => Principal::Agent { agent },
        (Some(user), Some(agent)) => Principal::Delegated { user, agent },
        (None, None) => return Err(TokenFault::Nobody),
    };
    Ok(CallerFacts {
        principal,
        client: verified.client.clone(),
        scopes: verified.scopes.clone(),
        declined: verified.declined.clone(),
        operator: verified.operator.clone(),
    })
}

fn user_facts(user: &UserClaims, deployment: &Deployment) -> Result<UserFacts, TokenFault> {
    let groups = match &user.groups {
        Groups::Mapped(groups) => groups.clone(),
        Groups::OfAccount => {
            let account = deployment.accounts.get(&user.key.subject);
            let account = account.filter(|_| user.key.issuer == IssuerName::local());
            account.ok_or(TokenFault::UnknownAccount)?.groups.clone()
        }
    };
    Ok(UserFacts { key: user.key.clone(), groups, claims: user.claims.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_one_through_however_many_clients_and_agents() {
        let alice = person(Some("local:alice"), None, "c1");
        assert_eq!(person(Some("local:alice"), None, "c2"), alice);
        assert_eq!(person(Some("local:alice"), Some("bot"), "c2"), alice);
        assert_ne!(person(Some("okta:alice"), None, "c1"), alice);
        let bot = person(None, Some("bot"), "c1");
        assert_eq!(person(None, Some("bot"), "c2"), bot);
        // A name of one kind is never one of another.
        let same = [person(Some("x"), None, "x"), person(None, Some("x"), "x"), person(None, None, "x")];
        assert!(same[0] != same[1] && same[1] != same[2] && same[0] != same[2]);
        // What was touched stays with the client.
        assert_ne!(name(Some("local:alice"), None, "c1"), name(Some("local:alice"), None, "c2"));
    }
}
