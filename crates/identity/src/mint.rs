//! Tokens are made here: for the authorization server after a login or refresh, and for an operator at the command line.
//!
//! The authorization server decides *what* a token says before it comes here; an operator's token is checked against the
//! deployment here, because nobody else stands in between.

use std::collections::BTreeSet;

use ambit_live::deployment::Deployment;
use ambit_model::{
    Digest,
    caller::{Assurance, ClientFacts},
    endpoint::{Endpoint, EndpointIssuer},
    ids::{AgentId, ClientId, EndpointSlug, InvalidId, IssuerName, Millis, ToolsetSlug, UserKey},
};

use crate::{
    signing::{MAX_TOKEN_LIFE_MS, Signing, SigningError},
    token::{AccessToken, TYP, TokenSubject, record_digest},
};

/// The life of a token made after a login or refresh.
pub const TOKEN_LIFE_MS: Millis = 10 * 60_000;

/// The client id of tokens made by `ambit token`.
pub const OPERATOR_CLIENT: &str = "ambit-cli";

/// What a token shall say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenRequest {
    /// For whom.
    pub subject: TokenSubject,
    /// At which client.
    pub client: ClientFacts,
    /// The toolsets it may use.
    pub toolsets: BTreeSet<ToolsetSlug>,
    /// The toolsets the person declined for this client.
    pub declined: BTreeSet<ToolsetSlug>,
    /// Its family: one authorization and all its refreshes.
    pub family: Option<String>,
    /// When the person last proved who they are.
    pub auth_time: Option<Millis>,
    /// How, in the methods of RFC 8176.
    pub amr: Vec<String>,
    /// When the authorization was asked for; now, where nothing came before the token.
    pub authorized_at: Millis,
}

/// What an operator asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperatorRequest {
    /// The operating system's name of the operator.
    pub operator: String,
    /// The person it stands for.
    pub user: UserKey,
    /// The agent that acts for the person.
    pub agent: Option<AgentId>,
    /// The toolsets it may use; all of the deployment if absent.
    pub toolsets: Option<BTreeSet<ToolsetSlug>>,
    /// Its life, at most 15 minutes.
    pub life_ms: Millis,
}

/// A fresh token.
#[derive(Clone, PartialEq, Eq)]
pub struct Minted {
    /// The compact form.
    pub token: String,
    /// Its `scope`.
    pub scope: String,
    /// Its life in seconds.
    pub expires_in: i64,
    /// Its `jti`.
    pub jti: String,
    /// Stands for it in the trail, as in every call made with it.
    pub record: Digest,
}

impl std::fmt::Debug for Minted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minted").field("jti", &self.jti).finish_non_exhaustive()
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// `[operator] mint` is off.
    #[error("minting is switched off: set `mint = true` under `[operator]` in the configuration, and reload")]
    NotAllowed,
    /// The endpoint's tokens come from elsewhere.
    #[error(
        "endpoint `{0}` takes the tokens of another issuer: get one there, or use an endpoint with the embedded issuer"
    )]
    NotOurs(EndpointSlug),
    /// No such account.
    #[error("user `{0}` is not a declared account: add it under `[accounts]`, or name one that is there")]
    UnknownUser(UserKey),
    /// No such agent.
    #[error("agent `{0}` is not declared: add it under `[agents]`, or name one that is there")]
    UnknownAgent(AgentId),
    /// The agent's time is over.
    #[error("agent `{0}` has expired: renew its `expires`")]
    AgentExpired(AgentId),
    /// No such toolset.
    #[error("toolset `{0}` does not exist: `ambit tools --config FILE` shows what does")]
    UnknownToolset(ToolsetSlug),
    /// Too long, or none.
    #[error("a token lives between 1 second and 15 minutes")]
    Life,
    /// A name that cannot stand in a token.
    #[error(transparent)]
    Name(#[from] InvalidId),
    /// The keys do not sign.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

/// Makes a token of [`TOKEN_LIFE_MS`] for an endpoint with the embedded issuer.
///
/// # Errors
/// [`MintError::NotOurs`], [`MintError::Signing`].
pub fn mint(
    signing: &Signing,
    endpoint: &Endpoint,
    request: TokenRequest,
    now_ms: Millis,
) -> Result<Minted, MintError> {
    sign(signing, endpoint, request, None, TOKEN_LIFE_MS, now_ms)
}

/// Makes a token for an operator. The caller of this records the act.
///
/// # Errors
/// [`MintError`] saying what to change.
pub fn mint_for_operator(
    signing: &Signing,
    deployment: &Deployment,
    endpoint: &Endpoint,
    request: OperatorRequest,
    now_ms: Millis,
) -> Result<Minted, MintError> {
    if !deployment.operator_may_mint {
        return Err(MintError::NotAllowed);
    }
    if !(1000..=MAX_TOKEN_LIFE_MS).contains(&request.life_ms) {
        return Err(MintError::Life);
    }
    if request.user.issuer != IssuerName::local() || !deployment.accounts.contains_key(&request.user.subject) {
        return Err(MintError::UnknownUser(request.user));
    }
    if let Some(id) = &request.agent {
        let agent = deployment.agents.get(id).ok_or_else(|| MintError::UnknownAgent(id.clone()))?;
        if agent.expires_at <= now_ms {
            return Err(MintError::AgentExpired(id.clone()));
        }
    }
    let toolsets = match request.toolsets {
        Some(toolsets) => toolsets,
        None => deployment.toolsets.keys().cloned().collect(),
    };
    if let Some(unknown) = toolsets.iter().find(|slug| !deployment.toolsets.contains_key(*slug)) {
        return Err(MintError::UnknownToolset(unknown.clone()));
    }
    let subject = match request.agent {
        None => TokenSubject::Person(request.user),
        Some(agent) => TokenSubject::Delegated { user: request.user, agent },
    };
    let token = TokenRequest {
        subject,
        // It proved itself by reading the signing key.
        client: ClientFacts { id: ClientId::parse(OPERATOR_CLIENT)?, assurance: Assurance::Confidential },
        toolsets,
        declined: BTreeSet::new(),
        family: None,
        auth_time: None,
        amr: Vec::new(),
        authorized_at: now_ms,
    };
    sign(signing, endpoint, token, Some(request.operator), request.life_ms, now_ms)
}

fn sign(
    signing: &Signing,
    endpoint: &Endpoint,
    request: TokenRequest,
    operator: Option<String>,
    life_ms: Millis,
    now_ms: Millis,
) -> Result<Minted, MintError> {
    let EndpointIssuer::Embedded { issuer } = &endpoint.issuer else {
        return Err(MintError::NotOurs(endpoint.slug.clone()));
    };
    let TokenRequest { subject, client, toolsets, declined, family, auth_time, amr, authorized_at } = request;
    let jti = signing.token_id()?;
    let token = AccessToken {
        issuer: issuer.clone(),
        resource: endpoint.resource.clone(),
        subject,
        client,
        toolsets,
        declined,
        operator,
        family,
        auth_time,
        amr,
        authorized_at,
        issued_at: now_ms,
        expires_at: now_ms + life_ms,
        id: jti.clone(),
    };
    Ok(Minted {
        scope: crate::token::scope_value(&token.toolsets),
        record: record_digest(issuer, &jti),
        expires_in: life_ms.div_euclid(1000),
        token: signing.sign(TYP, &token.to_json(), now_ms)?,
        jti,
    })
}
