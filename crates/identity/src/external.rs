//! What the tokens of a configured external issuer mean here. What its configuration does not say is refused; what it says
//! is read from exactly the claims it names.
//!
//! A user is (issuer name, subject): two issuers with one subject are two people. A group counts only through the issuer's
//! map. The client's assurance is the lowest: how the issuer knows its clients is not for us to say.

use std::collections::{BTreeMap, BTreeSet};

use ambit_model::{
    Digest,
    caller::{Assurance, ClientFacts, TokenScopes},
    ids::{AgentId, ClientId, EndpointSlug, GroupName, IssuerName, Millis, Subject, UserKey},
    issuer::{GroupSource, Issuer, IssuerScopes, TypRule},
    revocation::Scope,
};
use serde_json::Value;

use crate::{
    caller::{Groups, LoginFacts, UserClaims, Verified},
    token::record_digest,
    verify::{AudienceRule, Claims, LEEWAY_MS, Rules, TokenFault},
};

mod person;

/// The longest a foreign token may live, from `iat` to `exp`, in milliseconds. What nobody revokes ends by itself.
const MAX_LIFE_MS: Millis = 24 * 3_600_000;

/// What is expected of an issuer's tokens at a resource.
pub fn rules<'a>(issuer: &'a Issuer, resource: &'a str) -> Rules<'a> {
    Rules {
        issuer: &issuer.issuer,
        resource,
        algorithms: &issuer.algorithms,
        typ: issuer.typ,
        audience: match &issuer.other_audiences {
            none if none.is_empty() => AudienceRule::Sole,
            tolerated => AudienceRule::Beside(tolerated),
        },
    }
}

/// Reads verified claims by the issuer's rules. `token` is the compact form, for a record digest where there is no id.
pub(crate) fn read(
    claims: &Claims,
    issuer: &Issuer,
    endpoint: &EndpointSlug,
    token: &str,
) -> Result<Verified, TokenFault> {
    // `local` vouches for the accounts of this deployment. An issuer under that name would be every one of them.
    if issuer.name == IssuerName::local() {
        return Err(TokenFault::Issuer);
    }
    if claims.expires_at.saturating_sub(claims.issued_at) > MAX_LIFE_MS {
        return Err(TokenFault::LongLived);
    }
    let subject = claims.member(&issuer.subject_claim).and_then(Value::as_str).ok_or(TokenFault::Subject)?;
    let user =
        UserKey { issuer: issuer.name.clone(), subject: Subject::parse(subject).map_err(|_| TokenFault::Subject)? };
    let client = client(claims, issuer)?;
    if subject == client.as_str() || person::is_of_a_client(claims, &client)? {
        return Err(TokenFault::Nobody);
    }
    if !person::is_marked(claims, &issuer.people) {
        return Err(TokenFault::NoPerson);
    }
    let actors = claims.actors()?;
    // RFC 8693 §4.1: the subject is the person, the outermost actor acts. Only a declared agent may.
    let agent = actors.first().map(|actor| AgentId::parse(actor.subject).map_err(|_| TokenFault::UnknownAgent));
    let agent = agent.transpose()?;
    let id = claims.text("jti")?;
    let session = claims.text("sid")?;
    let record = match (id, issuer.typ) {
        (Some(id), _) => record_digest(&issuer.issuer, id),
        (None, TypRule::Strict) => return Err(TokenFault::Missing("jti")),
        // Issuers that do not follow RFC 9068 may leave it out.
        (None, TypRule::Lenient) => Digest::of(token.as_bytes()),
    };
    let mut reach = vec![Scope::Deployment, Scope::Endpoint(endpoint.clone()), Scope::User(user.clone())];
    reach.extend(agent.iter().cloned().map(Scope::Agent));
    reach.push(Scope::Client(client.clone()));
    reach.extend(session.map(|session| Scope::ForeignSession(issuer.name.clone(), session.to_owned())));
    reach.extend(id.map(|id| Scope::ForeignToken(issuer.name.clone(), id.to_owned())));
    Ok(Verified {
        user: Some(UserClaims {
            key: user,
            groups: Groups::Mapped(groups(claims, issuer.groups.as_ref())?),
            claims: readable(claims, &issuer.claims),
        }),
        agent,
        client: ClientFacts { id: client, assurance: Assurance::Dynamic },
        scopes: scopes(claims, &issuer.scopes)?,
        declined: BTreeSet::new(),
        operator: None,
        login: login(claims),
        actors: actors.iter().map(|actor| actor.subject.to_owned()).collect(),
        // The issuer's clock may be ahead by as much as is tolerated: earlier by that, it is never after the moment the token
        // was first seen here, and a revocation ends whatever was used before it.
        issued: claims.issued_at.saturating_sub(LEEWAY_MS).into(),
        expires_at: claims.expires_at,
        token: record,
        reach,
    })
}

/// The login a token tells of (OpenID Connect Core §2). What is not of the type it should be is no word about a login: rules
/// that ask for one then do not find it.
fn login(claims: &Claims) -> Option<LoginFacts> {
    let at = claims.instant("auth_time").ok().flatten()?;
    let methods = claims.texts("amr").unwrap_or_default().into_iter().map(ToOwned::to_owned).collect();
    Some(LoginFacts { at, methods })
}

/// The first of the configured claims that is there.
fn client(claims: &Claims, issuer: &Issuer) -> Result<ClientId, TokenFault> {
    let named = issuer.client_claims.iter().find_map(|name| claims.member(name)).ok_or(TokenFault::Client)?;
    named.as_str().and_then(|id| ClientId::parse(id).ok()).ok_or(TokenFault::Client)
}

/// The Ambit groups of a token. Absent where they are configured is an error: a person without groups has an empty list.
fn groups(claims: &Claims, source: Option<&GroupSource>) -> Result<BTreeSet<GroupName>, TokenFault> {
    let Some(source) = source else { return Ok(BTreeSet::new()) };
    // OpenID Connect Core §5.6.2, as Entra does it beyond 200 groups; `hasgroups` is its form for the implicit flow.
    let elsewhere = claims.member("_claim_names").is_some_and(|names| names.get(&source.claim).is_some());
    if elsewhere || claims.member("hasgroups").is_some() {
        return Err(TokenFault::GroupsOverage);
    }
    let values: Vec<&str> = match claims.member(&source.claim) {
        Some(Value::Array(values)) => {
            values.iter().map(Value::as_str).collect::<Option<_>>().ok_or(TokenFault::GroupsMissing)?
        }
        Some(Value::String(value)) => vec![value],
        _ => return Err(TokenFault::GroupsMissing),
    };
    Ok(values.into_iter().filter_map(|value| source.map.get(value).cloned()).collect())
}

/// The toolsets of a token: `scope` as RFC 9068 has it, or `scp` as text or list (Entra, Okta).
fn scopes(claims: &Claims, meaning: &IssuerScopes) -> Result<TokenScopes, TokenFault> {
    let map = match meaning {
        IssuerScopes::None => return Ok(TokenScopes::None),
        IssuerScopes::Map(map) => map,
    };
    let (name, value) = match (claims.member("scope"), claims.member("scp")) {
        (Some(value), _) => ("scope", Some(value)),
        (None, value) => ("scp", value),
    };
    let words: Vec<&str> = match value {
        None => Vec::new(),
        Some(Value::String(words)) => words.split(' ').collect(),
        Some(Value::Array(words)) => {
            words.iter().map(Value::as_str).collect::<Option<_>>().ok_or(TokenFault::Malformed(name))?
        }
        Some(_) => return Err(TokenFault::Malformed(name)),
    };
    Ok(TokenScopes::Toolsets(words.into_iter().filter_map(|word| map.get(word).cloned()).collect()))
}

/// The claims that configuration lets policies read.
fn readable(claims: &Claims, names: &BTreeSet<String>) -> BTreeMap<String, Value> {
    names.iter().filter_map(|name| claims.member(name).map(|value| (name.clone(), value.clone()))).collect()
}

#[cfg(test)]
mod tests;
