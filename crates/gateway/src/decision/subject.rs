//! Whom a question is about: whoever asks, as their token says them, or somebody else, as configuration and the question say
//! them. The first is held to everything a call of theirs would be held to. The second has no token here, so there is no
//! caller: what a token would say is left out where that is what a whole login says, and is not known otherwise.
//!
//! Only a policy enforcement point asks about somebody else. Everybody else is refused before anything is looked up, so that
//! nothing tells whether there is such a person. Even to it, one who is not there is one who sees nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ambit_identity::caller::{Caller, name};
use ambit_live::{Snapshot, deployment::Deployment};
use ambit_model::{
    Digest,
    caller::{AgentFacts, Assurance, CallerFacts, ClientFacts, Principal, TokenScopes, UserFacts},
    endpoint::{Endpoint, EndpointIssuer},
    ids::{AgentId, ClientId, IssuerName, Millis, ToolsetSlug, UserKey},
    replay::KeptFact,
};
use ambit_policy::{CallerClass, Login};

use super::ask::{Named, Question};
use crate::{authenticate::Entered, decision::About, gateway::Gateway};

/// Whoever asks has no right to ask about others.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotItself;

/// Whom a question is about.
pub(super) struct Subject<'a> {
    pub(super) class: CallerClass,
    /// What revocations are compared with.
    pub(super) issued_at: Millis,
    pub(super) source: Option<IpAddr>,
    pub(super) login: Option<Login<'a>>,
    /// What the labels are kept under that they touched.
    pub(super) name: Digest,
    /// What is known of the circumstances of a call, whether or not there is anything of it.
    pub(super) known: BTreeSet<KeptFact>,
    /// Nothing, if there is nobody like that: then the class is that of whoever asks, judged in their place.
    pub(super) is_somebody: bool,
    /// What was not said of them, with where to say it. Then nothing is allowed.
    pub(super) missing: Option<&'static str>,
    /// As they were named, unless they are whoever asks.
    pub(super) about: Option<About>,
}

/// Which of the two a name is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Who {
    User(UserKey),
    Agent(AgentId),
}

impl Named {
    /// The person or agent; nobody for a name that is none.
    fn who(&self) -> Option<Who> {
        let user = || UserKey::parse(&self.id).ok().map(Who::User);
        let agent = || AgentId::parse(&self.id).ok().map(Who::Agent);
        match self.kind.as_str() {
            "user" => user(),
            "agent" => agent(),
            // The subject of a token of ours: a person always has their issuer in front, an agent never.
            "identity" if self.id.contains(':') => user(),
            "identity" => agent(),
            _ => None,
        }
    }

    fn is(&self, caller: &Caller) -> bool {
        let facts = caller.facts();
        let is_named = match self.who() {
            Some(Who::User(key)) => facts.user().is_some_and(|user| user.key == key),
            Some(Who::Agent(id)) => facts.agent().is_some_and(|agent| agent.id == id),
            None => false,
        };
        let client = self.client.as_deref().is_none_or(|client| client == facts.client.id.as_str());
        let agent = facts.agent().map(|agent| agent.id.as_str());
        let agent = self.agent.as_deref().is_none_or(|named| Some(named) == agent);
        is_named && client && agent
    }

    fn about(&self) -> About {
        let who = self.who();
        let (user, own_agent) = match who {
            Some(Who::User(key)) => (Some(key.to_string()), None),
            Some(Who::Agent(id)) => (None, Some(id.to_string())),
            None => (None, None),
        };
        let agent = self.agent.as_deref().and_then(|agent| AgentId::parse(agent).ok());
        let client = self.client.as_deref().and_then(|client| ClientId::parse(client).ok());
        About {
            user,
            agent: own_agent.or_else(|| agent.map(|agent| agent.to_string())),
            client: client.map(|client| client.to_string()),
        }
    }
}

impl<'a> Subject<'a> {
    /// Finds out whom a question is about.
    ///
    /// # Errors
    /// [`NotItself`]: somebody else, and whoever asks may not.
    pub(super) fn of(gateway: &Gateway, entered: &'a Entered, question: &Question<'_>) -> Result<Self, NotItself> {
        let (caller, named) = (entered.caller(), &question.subject);
        if named.is(caller) {
            return Ok(Self::own(entered));
        }
        let snapshot = entered.place().snapshot();
        // What an operator put together stands for nobody's enforcement point.
        if caller.facts().operator.is_some() || !snapshot.deployment.is_pep(&caller.facts().client) {
            return Err(NotItself);
        }
        let now = gateway.live().clock().now();
        let view = entered.place().view().map(|view| &view.endpoint);
        let facts = view.ok_or(Absent::Nobody).and_then(|endpoint| facts(named, endpoint, snapshot, now));
        let (facts, missing, is_somebody) = match facts {
            Ok(facts) => (Some(facts), None, true),
            Err(Absent::Unknown(missing)) => (None, Some(missing), true),
            Err(Absent::Nobody) => (None, None, false),
        };
        let mut known = BTreeSet::from([KeptFact::Touched]);
        known.extend(question.source.map(|_| KeptFact::Source));
        Ok(Self {
            name: facts.as_ref().map_or_else(|| caller.name(), name_of),
            class: facts.map_or_else(|| caller.class().clone(), |facts| snapshot.judge.class(&facts)),
            // They would have to log in first: only a block stands in the way of that.
            issued_at: now.saturating_add(1),
            source: question.source,
            login: None,
            known,
            is_somebody,
            missing,
            about: Some(named.about()),
        })
    }

    /// Whoever asks, as they would call now.
    fn own(entered: &'a Entered) -> Self {
        let caller = entered.caller();
        Self {
            class: caller.class().clone(),
            name: caller.name(),
            issued_at: caller.issued_at(),
            source: Some(entered.source()),
            login: caller.login(),
            known: BTreeSet::from([KeptFact::Source, KeptFact::Touched, KeptFact::Login]),
            is_somebody: true,
            missing: None,
            about: None,
        }
    }
}

fn name_of(facts: &CallerFacts) -> Digest {
    let user = facts.user().map(|user| user.key.to_string());
    name(user.as_deref(), facts.agent().map(|agent| agent.id.as_str()), facts.client.id.as_str())
}

/// Why there are no facts of somebody.
enum Absent {
    /// There is nobody like that who could call here now.
    Nobody,
    /// What was not said, and where to say it.
    Unknown(&'static str),
}

/// Somebody as a login here would make them, at the client that was named, with every toolset unless fewer were named.
fn facts(named: &Named, endpoint: &Endpoint, snapshot: &Snapshot, now: Millis) -> Result<CallerFacts, Absent> {
    let deployment = &snapshot.deployment;
    let Some(client) = named.client.as_deref() else {
        return Err(Absent::Unknown("say in `subject.properties.client` with which client they call"));
    };
    let client = ClientId::parse(client).map_err(|_| Absent::Nobody)?;
    let acting = named.agent.as_deref().map(|id| AgentId::parse(id).map_err(|_| Absent::Nobody)).transpose()?;
    let principal = match (named.who().ok_or(Absent::Nobody)?, acting) {
        (Who::User(key), None) => Principal::Person { user: user(key, endpoint, deployment)? },
        (Who::User(key), Some(id)) => {
            Principal::Delegated { user: user(key, endpoint, deployment)?, agent: agent(id, deployment, now)? }
        }
        (Who::Agent(id), None) => Principal::Agent { agent: agent(id, deployment, now)? },
        (Who::Agent(_), Some(_)) => return Err(Absent::Nobody),
    };
    let facts = CallerFacts {
        principal,
        client: ClientFacts { assurance: assurance(&client, deployment), id: client },
        scopes: scopes(named)?,
        declined: BTreeSet::new(),
        operator: None,
    };
    if snapshot.block_of(&facts, &endpoint.slug, now).is_some() { Err(Absent::Nobody) } else { Ok(facts) }
}

/// A person with an account here. At an endpoint that takes another issuer's tokens nobody asks about others: how that issuer
/// knows its clients is not for us to say. So nobody but local accounts is known without their token.
fn user(key: UserKey, endpoint: &Endpoint, deployment: &Deployment) -> Result<UserFacts, Absent> {
    let is_at_home = match endpoint.issuer {
        EndpointIssuer::Embedded { .. } => key.issuer == IssuerName::local(),
        EndpointIssuer::External(_) => false,
    };
    let account = deployment.accounts.get(&key.subject).filter(|_| is_at_home).ok_or(Absent::Nobody)?;
    Ok(UserFacts { groups: account.groups.clone(), key, claims: BTreeMap::new() })
}

fn agent(id: AgentId, deployment: &Deployment, now: Millis) -> Result<AgentFacts, Absent> {
    let agent = deployment.agents.get(&id).filter(|agent| now < agent.expires_at).ok_or(Absent::Nobody)?;
    Ok(AgentFacts { id, owner: agent.owner.clone(), expires_at: agent.expires_at })
}

/// How sure a token would be, at the least, of a client that is not here to prove anything.
fn assurance(client: &ClientId, deployment: &Deployment) -> Assurance {
    match deployment.clients.iter().find(|known| known.id == *client) {
        Some(known) if known.secret.is_some() => Assurance::Confidential,
        // Which redirect it uses is not known; with one on the user's own machine anybody can claim to be it.
        Some(_) => Assurance::CimdLoopback,
        None if client.as_str().starts_with("https://") => Assurance::CimdLoopback,
        None => Assurance::Dynamic,
    }
}

/// What the token would carry: what was said, otherwise everything.
fn scopes(named: &Named) -> Result<TokenScopes, Absent> {
    let Some(toolsets) = &named.toolsets else { return Ok(TokenScopes::None) };
    let toolsets = toolsets.iter().map(|slug| ToolsetSlug::parse(slug)).collect::<Result<_, _>>();
    toolsets.map(TokenScopes::Toolsets).map_err(|_| Absent::Nobody)
}
