//! Tokens for the admin API: JWTs of type `at+jwt` (RFC 9068), ES256, for a person at the built-in client. The claims are written
//! and read here alone, and strictly: whatever was not written here is not one of them.

use ambit_model::{
    Digest,
    admin::AdminResource,
    ids::{Millis, UserKey},
    issuer::TypRule,
};
use serde_json::json;

use super::{CLIENT, SCOPE, TOKEN_LIFE_MS};
use crate::{
    mint::{MintError, Minted},
    signing::Signing,
    token::{TYP, record_digest},
    verify::{AudienceRule, Claims, Compact, Rules, TokenFault},
};

/// Whom the `sub` of such a token names.
const PROFILE: &str = "ambit_operator";

/// What a token says once verified. No proof by itself: what was revoked since is asked elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminToken {
    /// The person.
    pub user: UserKey,
    /// The authorization it came of.
    pub family: String,
    /// When the person last proved who they are.
    pub auth_time: Millis,
    /// When the authorization was asked for: what revocations are compared with.
    pub authorized_at: Millis,
    /// Until when it counts.
    pub expires_at: Millis,
    /// Its id.
    pub id: String,
}

/// What a fresh token says.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The person.
    pub user: &'a UserKey,
    /// The authorization it came of.
    pub family: &'a str,
    /// When the person last proved who they are.
    pub auth_time: Millis,
    /// When the authorization was asked for.
    pub authorized_at: Millis,
}

/// Makes a token. Whoever calls this has asked for the role.
///
/// # Errors
/// [`MintError::Signing`].
pub(crate) fn mint(
    signing: &Signing,
    resource: &AdminResource,
    wish: Wish<'_>,
    now_ms: Millis,
) -> Result<Minted, MintError> {
    let jti = signing.token_id()?;
    let claims = json!({
        "iss": resource.issuer,
        "aud": resource.url,
        "sub": wish.user.to_string(),
        "sub_profile": PROFILE,
        "client_id": CLIENT,
        "scope": SCOPE,
        "sid": wish.family,
        "auth_time": wish.auth_time.div_euclid(1000),
        "login_ms": wish.auth_time,
        "authorized_ms": wish.authorized_at,
        "iat": now_ms.div_euclid(1000),
        "exp": (now_ms + TOKEN_LIFE_MS).div_euclid(1000),
        "jti": jti,
    });
    Ok(Minted {
        token: signing.sign(TYP, claims.to_string().as_bytes(), now_ms)?,
        scope: SCOPE.to_owned(),
        expires_in: TOKEN_LIFE_MS.div_euclid(1000),
        record: record(resource, &jti),
        jti,
    })
}

/// Stands for a token in the trail.
fn record(resource: &AdminResource, id: &str) -> Digest {
    record_digest(&resource.issuer, id)
}

impl AdminToken {
    /// Verifies a token as one of ours for the admin API: signature, issuer, audience, times, then every claim.
    ///
    /// # Errors
    /// [`TokenFault`] naming the first thing that is wrong.
    pub(crate) fn verify(
        token: &Compact<'_>,
        signing: &Signing,
        resource: &AdminResource,
        now_ms: Millis,
    ) -> Result<Self, TokenFault> {
        let rules = Rules {
            issuer: &resource.issuer,
            resource: &resource.url,
            algorithms: signing.algorithms(),
            typ: TypRule::Strict,
            audience: AudienceRule::Sole,
        };
        rules.admit(&token.header)?;
        let set = signing.verify_keys();
        let kid = token.header.kid.as_deref().ok_or(TokenFault::UnknownKey)?;
        let key = set.find(Some(kid), token.header.algorithm)?;
        let token = Self::read(&rules.verify(token, key, now_ms)?)?;
        // One machine's clock made it and reads it, or one fleet's: no tolerance makes it live longer than it says.
        if now_ms < token.expires_at { Ok(token) } else { Err(TokenFault::Expired) }
    }

    fn read(claims: &Claims) -> Result<Self, TokenFault> {
        if claims.required("client_id")? != CLIENT {
            return Err(TokenFault::Client);
        }
        if claims.required("scope")? != SCOPE {
            return Err(TokenFault::Malformed("scope"));
        }
        if !claims.actors()?.is_empty() {
            return Err(TokenFault::ActorChain);
        }
        let subject = claims.required("sub")?;
        let user = subject.contains(':').then(|| UserKey::parse(subject).ok()).flatten();
        if claims.required("sub_profile")? != PROFILE {
            return Err(TokenFault::Subject);
        }
        let authorized_at = claims.millis("authorized_ms")?.ok_or(TokenFault::Missing("authorized_ms"))?;
        Ok(Self {
            user: user.ok_or(TokenFault::Subject)?,
            family: claims.required("sid")?.to_owned(),
            auth_time: claims.millis("login_ms")?.ok_or(TokenFault::Missing("login_ms"))?,
            // Never later than it was issued, whatever it says.
            authorized_at: authorized_at.min(claims.issued_at.saturating_add(999)),
            expires_at: claims.expires_at,
            id: claims.required("jti")?.to_owned(),
        })
    }
}
