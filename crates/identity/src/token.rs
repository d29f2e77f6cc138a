//! Our own access tokens: JWTs of type `at+jwt` (RFC 9068), ES256, for one endpoint, ten minutes.
//!
//! The claims are written and read here alone, so what is minted and what is accepted cannot drift apart.
//!
//! | claim | meaning |
//! | --- | --- |
//! | `iss`, `aud` | the endpoint's own issuer, its URL |
//! | `sub`, `sub_profile` | `issuer:subject` of the person (`user`), or the agent's id (`ai_agent`) |
//! | `client_id`, `assurance` | the client software, and how sure we are of it |
//! | `scope` | `mcp` and `toolset:<slug>` for each toolset it may use |
//! | `declined` | toolsets the person declined for this client |
//! | `act` | RFC 8693 §4.1, outermost first: an operator who made the token, then the agent that acts for the person |
//! | `sid` | the token family: one authorization and all its refreshes |
//! | `iat`, `exp`, `auth_time`, `jti` | |
//! | `authorized_ms` | when the person asked for the authorization it came of, in milliseconds: what revocations are compared with |
//! | `amr` | how the person logged in: methods of RFC 8176 |
//! | `login_ms` | `auth_time`, in milliseconds: the same for what ends logins |
//!
//! `iat` is no measure for a revocation. A refresh under way would make a token younger than the revocation that it did not
//! know of; and within one second nobody could tell what came first.
//!
//! Groups are not in it. They belong to the account, and are read from the snapshot on each request, so leaving a group
//! works at once.

use std::collections::BTreeSet;

use ambit_live::revocations::Issued;
use ambit_model::{
    Digest,
    caller::{Assurance, ClientFacts, TokenScopes},
    ids::{AgentId, ClientId, EndpointSlug, IssuerName, Millis, ToolsetSlug, UserKey},
    issuer::TypRule,
    revocation::Scope,
    toolset::SCOPE_PREFIX,
};
use serde_json::{Map, Value, json};

use crate::{
    caller::{Groups, LoginFacts, UserClaims, Verified},
    signing::Signing,
    verify::{Actor, AudienceRule, Claims, Compact, Rules, TokenFault},
};

/// The `typ` of our access tokens.
pub const TYP: &str = "at+jwt";

/// The scope that every token carries: to speak MCP at all. Toolsets come beside it.
pub const BASELINE_SCOPE: &str = "mcp";

/// What stands before the account name of an operator.
pub use ambit_model::operator::OS_USER_PREFIX as OPERATOR_PREFIX;

const USER_PROFILE: &str = "user";
const AGENT_PROFILE: &str = "ai_agent";
const OPERATOR_PROFILE: &str = "operator";

/// For whom a token stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TokenSubject {
    /// A person at a client.
    Person(UserKey),
    /// An agent on its own.
    Agent(AgentId),
    /// An agent acting for a person.
    Delegated {
        /// The person.
        user: UserKey,
        /// The agent.
        agent: AgentId,
    },
}

/// The claims of one of our tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessToken {
    /// The endpoint's issuer.
    pub issuer: String,
    /// The endpoint's URL.
    pub resource: String,
    /// For whom.
    pub subject: TokenSubject,
    /// At which client.
    pub client: ClientFacts,
    /// The toolsets it may use.
    pub toolsets: BTreeSet<ToolsetSlug>,
    /// The toolsets the person declined for this client.
    pub declined: BTreeSet<ToolsetSlug>,
    /// The operating system's name of the operator who made it, if one did.
    pub operator: Option<String>,
    /// Its family.
    pub family: Option<String>,
    /// When the person last proved who they are.
    pub auth_time: Option<Millis>,
    /// How, in the methods of RFC 8176.
    pub amr: Vec<String>,
    /// When the authorization it came of was asked for. Every refresh keeps it.
    pub authorized_at: Millis,
    /// When it was issued; whole seconds count.
    pub issued_at: Millis,
    /// Until when it counts; whole seconds count.
    pub expires_at: Millis,
    /// Its id.
    pub id: String,
}

/// The digest that stands for a token in the trail: of its issuer and id, which links a call to the mint.
pub fn record_digest(issuer: &str, id: &str) -> Digest {
    Digest::of_parts([issuer.as_bytes(), id.as_bytes()])
}

/// The `scope` value (RFC 6749 §3.3) of toolsets, the baseline first.
pub fn scope_value<'a>(toolsets: impl IntoIterator<Item = &'a ToolsetSlug>) -> String {
    let mut scope = BASELINE_SCOPE.to_owned();
    for toolset in toolsets {
        scope.push(' ');
        scope.push_str(SCOPE_PREFIX);
        scope.push_str(toolset.as_str());
    }
    scope
}

/// The toolsets a `scope` value names. Other words in it mean nothing here.
pub fn toolsets_of_scope(scope: &str) -> BTreeSet<ToolsetSlug> {
    let named = scope.split(' ').filter_map(|word| word.strip_prefix(SCOPE_PREFIX));
    named.filter_map(|slug| ToolsetSlug::parse(slug).ok()).collect()
}

impl AccessToken {
    /// The claims as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let mut claims = Map::new();
        let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        put("iss", self.issuer.as_str().into());
        put("aud", self.resource.as_str().into());
        let (subject, profile, agent) = match &self.subject {
            TokenSubject::Person(user) => (user.to_string(), USER_PROFILE, None),
            TokenSubject::Agent(agent) => (agent.to_string(), AGENT_PROFILE, None),
            TokenSubject::Delegated { user, agent } => (user.to_string(), USER_PROFILE, Some(agent)),
        };
        put("sub", subject.into());
        put("sub_profile", profile.into());
        put("client_id", self.client.id.as_str().into());
        put("assurance", self.client.assurance.as_str().into());
        put("scope", scope_value(&self.toolsets).into());
        if !self.declined.is_empty() {
            put("declined", self.declined.iter().map(ToolsetSlug::as_str).collect());
        }
        let acting = agent.map(|agent| json!({ "sub": agent.as_str(), "sub_profile": AGENT_PROFILE }));
        let act = match (&self.operator, acting) {
            (None, acting) => acting,
            (Some(operator), inner) => {
                let mut act = json!({ "sub": format!("{OPERATOR_PREFIX}{operator}"), "sub_profile": OPERATOR_PROFILE });
                if let (Some(inner), Value::Object(members)) = (inner, &mut act) {
                    members.insert("act".to_owned(), inner);
                }
                Some(act)
            }
        };
        if let Some(act) = act {
            put("act", act);
        }
        if let Some(family) = &self.family {
            put("sid", family.as_str().into());
        }
        if let Some(at) = self.auth_time {
            put("auth_time", at.div_euclid(1000).into());
            put("login_ms", at.into());
            if !self.amr.is_empty() {
                put("amr", self.amr.iter().map(String::as_str).collect());
            }
        }
        put("authorized_ms", self.authorized_at.into());
        put("iat", self.issued_at.div_euclid(1000).into());
        put("exp", self.expires_at.div_euclid(1000).into());
        put("jti", self.id.as_str().into());
        Value::Object(claims).to_string().into_bytes()
    }

    /// Verifies a token as one of ours for a resource: signature, issuer, audience, times, then every claim. Whether it was
    /// revoked, or its account is still there, is not asked here.
    ///
    /// # Errors
    /// [`TokenFault`] naming the first thing that is wrong.
    pub fn verify(
        token: &Compact<'_>,
        signing: &Signing,
        issuer: &str,
        resource: &str,
        now_ms: Millis,
    ) -> Result<Self, TokenFault> {
        let algorithms = signing.algorithms();
        let rules = Rules { issuer, resource, algorithms, typ: TypRule::Strict, audience: AudienceRule::Sole };
        rules.admit(&token.header)?;
        let set = signing.verify_keys();
        let kid = token.header.kid.as_deref().ok_or(TokenFault::UnknownKey)?;
        let key = set.find(Some(kid), token.header.algorithm)?;
        Self::read(&rules.verify(token, key, now_ms)?)
    }

    /// Reads verified claims of ours. Strict: what we did not write is not ours.
    ///
    /// # Errors
    /// [`TokenFault`] naming the claim.
    pub fn read(claims: &Claims) -> Result<Self, TokenFault> {
        let mut actors = claims.actors()?.into_iter().peekable();
        let operator = actors.next_if(|actor| actor.profile == Some(OPERATOR_PROFILE));
        let operator = operator.map(|actor| actor.subject.strip_prefix(OPERATOR_PREFIX).ok_or(TokenFault::ActorChain));
        let acting = actors.next().map(agent_of).transpose()?;
        if actors.next().is_some() {
            return Err(TokenFault::ActorChain);
        }
        let subject = claims.required("sub")?;
        let subject = match (claims.required("sub_profile")?, acting) {
            (USER_PROFILE, acting) => {
                let user = subject.contains(':').then(|| UserKey::parse(subject).ok()).flatten();
                let user = user.ok_or(TokenFault::Subject)?;
                match acting {
                    None => TokenSubject::Person(user),
                    Some(agent) => TokenSubject::Delegated { user, agent },
                }
            }
            (AGENT_PROFILE, None) => TokenSubject::Agent(AgentId::parse(subject).map_err(|_| TokenFault::Subject)?),
            _ => return Err(TokenFault::Subject),
        };
        let scope = claims.required("scope")?;
        if !scope.split(' ').any(|word| word == BASELINE_SCOPE) {
            return Err(TokenFault::Malformed("scope"));
        }
        let authorized_at = claims.millis("authorized_ms")?.ok_or(TokenFault::Missing("authorized_ms"))?;
        let declined = claims.texts("declined")?.into_iter().map(ToolsetSlug::parse).collect::<Result<_, _>>();
        Ok(Self {
            issuer: claims.required("iss")?.to_owned(),
            resource: claims.member("aud").and_then(Value::as_str).ok_or(TokenFault::Malformed("aud"))?.to_owned(),
            subject,
            client: ClientFacts {
                id: ClientId::parse(claims.required("client_id")?).map_err(|_| TokenFault::Client)?,
                assurance: assurance_named(claims.required("assurance")?).ok_or(TokenFault::Client)?,
            },
            toolsets: toolsets_of_scope(scope),
            declined: declined.map_err(|_| TokenFault::Malformed("declined"))?,
            operator: operator.transpose()?.map(ToOwned::to_owned),
            family: claims.text("sid")?.map(ToOwned::to_owned),
            auth_time: claims.millis("login_ms")?,
            amr: claims.texts("amr")?.into_iter().map(ToOwned::to_owned).collect(),
            // Never later than it was issued, whatever it says.
            authorized_at: authorized_at.min(claims.issued_at.saturating_add(999)),
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            id: claims.required("jti")?.to_owned(),
        })
    }

    /// What the rest of the corridor needs of it.
    pub(crate) fn into_verified(self, endpoint: &EndpointSlug) -> Verified {
        let (user, agent) = match self.subject {
            TokenSubject::Person(user) => (Some(user), None),
            TokenSubject::Agent(agent) => (None, Some(agent)),
            TokenSubject::Delegated { user, agent } => (Some(user), Some(agent)),
        };
        let operator = self.operator.map(|name| format!("{OPERATOR_PREFIX}{name}"));
        let acting = user.as_ref().and(agent.as_ref()).map(ToString::to_string);
        let mut reach = vec![Scope::Deployment, Scope::Endpoint(endpoint.clone())];
        reach.extend(user.iter().cloned().map(Scope::User));
        reach.extend(agent.iter().cloned().map(Scope::Agent));
        reach.push(Scope::Client(self.client.id.clone()));
        reach.extend(self.family.map(Scope::Family));
        reach.push(Scope::ForeignToken(IssuerName::local(), self.id.clone()));
        Verified {
            user: user.map(|key| UserClaims {
                key,
                groups: Groups::OfAccount,
                claims: std::collections::BTreeMap::new(),
            }),
            agent,
            client: self.client,
            scopes: TokenScopes::Toolsets(self.toolsets),
            declined: self.declined,
            actors: operator.iter().cloned().chain(acting).collect(),
            operator,
            login: self.auth_time.map(|at| LoginFacts { at, methods: self.amr }),
            issued: Issued { at: self.authorized_at, login_at: self.auth_time.unwrap_or(self.authorized_at) },
            expires_at: self.expires_at,
            token: record_digest(&self.issuer, &self.id),
            reach,
        }
    }
}

fn agent_of(actor: Actor<'_>) -> Result<AgentId, TokenFault> {
    if actor.profile != Some(AGENT_PROFILE) {
        return Err(TokenFault::ActorChain);
    }
    AgentId::parse(actor.subject).map_err(|_| TokenFault::ActorChain)
}

fn assurance_named(word: &str) -> Option<Assurance> {
    [Assurance::Dynamic, Assurance::CimdLoopback, Assurance::Cimd, Assurance::Confidential]
        .into_iter()
        .find(|assurance| assurance.as_str() == word)
}
