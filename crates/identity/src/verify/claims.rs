//! The claims of a verified token, read with the types the specifications give them. A claim of another type is an error,
//! never absent.

use std::collections::BTreeSet;

use ambit_model::ids::Millis;
use serde_json::{Map, Value};

use super::fault::TokenFault;

/// How far clocks may differ, in milliseconds.
pub const LEEWAY_MS: Millis = 60_000;

/// Most nested actors.
pub const MAX_ACTORS: usize = 4;

/// The end of the year 9999.
const LATEST_SECOND: i64 = 253_402_300_799;

/// The claims of a token whose signature held. Issuer, audience and times are checked.
#[derive(Debug)]
pub struct Claims {
    members: Map<String, Value>,
    /// The start of the second it was issued in.
    pub issued_at: Millis,
    /// It counts until this instant, plus the leeway for clocks.
    pub expires_at: Millis,
}

/// Which audiences a token may have. Each other one could replay the token here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudienceRule<'a> {
    /// Only this resource.
    Sole,
    /// This resource, and beside it nothing but these, exactly as written. Foreign issuers put their own APIs there
    /// (Keycloak adds `account`) and cannot always be told not to.
    Beside(&'a BTreeSet<String>),
}

impl Claims {
    /// Reads claims and checks issuer, audience and times.
    ///
    /// # Errors
    /// [`TokenFault`] naming the claim.
    pub fn check(
        payload: &[u8],
        issuer: &str,
        resource: &str,
        audience: AudienceRule<'_>,
        now_ms: Millis,
    ) -> Result<Self, TokenFault> {
        let members = super::json::object(payload).map_err(|_| TokenFault::ClaimsJson)?;
        let mut claims = Self { members, issued_at: 0, expires_at: 0 };
        // Exact bytes: an issuer with and one without a trailing slash are two issuers.
        if claims.required("iss")? != issuer {
            return Err(TokenFault::Issuer);
        }
        claims.check_audience(resource, audience)?;
        claims.expires_at = claims.instant("exp")?.ok_or(TokenFault::Missing("exp"))?;
        if now_ms >= claims.expires_at.saturating_add(LEEWAY_MS) {
            return Err(TokenFault::Expired);
        }
        if claims.instant("nbf")?.is_some_and(|at| at > now_ms.saturating_add(LEEWAY_MS)) {
            return Err(TokenFault::NotYetValid);
        }
        claims.issued_at = claims.instant("iat")?.ok_or(TokenFault::Missing("iat"))?;
        if claims.issued_at > now_ms.saturating_add(LEEWAY_MS) {
            return Err(TokenFault::IssuedInFuture);
        }
        // Hashes of a code or an access token stand in ID tokens alone (OpenID Connect Core §3.1.3.6, §3.3.2.11). `nonce`
        // is not asked: some issuers copy it into access tokens. Keycloak says it in a claim of its own.
        let says_id = claims.members.get("typ").is_some_and(|typ| typ == "ID");
        if says_id || claims.members.contains_key("at_hash") || claims.members.contains_key("c_hash") {
            return Err(TokenFault::IdToken);
        }
        // RFC 7800: whoever shows it has to prove that they hold a key (RFC 9449 §7, RFC 8705 §3). Taken as a bearer token
        // it would be worth as much to a thief.
        if claims.members.contains_key("cnf") {
            return Err(TokenFault::Bound);
        }
        Ok(claims)
    }

    fn check_audience(&self, resource: &str, rule: AudienceRule<'_>) -> Result<(), TokenFault> {
        let is_ours = match self.members.get("aud").ok_or(TokenFault::Missing("aud"))? {
            Value::String(audience) => audience == resource,
            Value::Array(audiences) => {
                if !audiences.iter().all(Value::is_string) {
                    return Err(TokenFault::Malformed("aud"));
                }
                let among = audiences.iter().any(|audience| audience == resource);
                let mut others = audiences.iter().filter_map(Value::as_str).filter(|audience| *audience != resource);
                let in_company = match rule {
                    AudienceRule::Sole => audiences.len() > 1,
                    AudienceRule::Beside(tolerated) => others.any(|other| !tolerated.contains(other)),
                };
                if among && in_company {
                    return Err(TokenFault::Audiences);
                }
                among
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                return Err(TokenFault::Malformed("aud"));
            }
        };
        if is_ours { Ok(()) } else { Err(TokenFault::Audience) }
    }

    /// A text claim that has to be there.
    ///
    /// # Errors
    /// [`TokenFault::Missing`], [`TokenFault::Malformed`].
    pub fn required(&self, name: &'static str) -> Result<&str, TokenFault> {
        self.text(name)?.ok_or(TokenFault::Missing(name))
    }

    /// A text claim that may be there.
    ///
    /// # Errors
    /// [`TokenFault::Malformed`].
    pub fn text(&self, name: &'static str) -> Result<Option<&str>, TokenFault> {
        match self.members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(TokenFault::Malformed(name)),
        }
    }

    /// A list of texts that may be there.
    ///
    /// # Errors
    /// [`TokenFault::Malformed`].
    pub fn texts(&self, name: &'static str) -> Result<Vec<&str>, TokenFault> {
        match self.members.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                items.iter().map(|item| item.as_str().ok_or(TokenFault::Malformed(name))).collect()
            }
            Some(_) => Err(TokenFault::Malformed(name)),
        }
    }

    /// Any claim, under a name from configuration.
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// An instant of our own, in milliseconds.
    ///
    /// # Errors
    /// [`TokenFault::Malformed`].
    pub fn millis(&self, name: &'static str) -> Result<Option<Millis>, TokenFault> {
        let Some(value) = self.members.get(name) else { return Ok(None) };
        let millis = value.as_i64().filter(|millis| (0..=LATEST_SECOND * 1000).contains(millis));
        millis.map(Some).ok_or(TokenFault::Malformed(name))
    }

    /// A NumericDate (RFC 7519 §2) as milliseconds at the start of its second.
    ///
    /// # Errors
    /// [`TokenFault::Malformed`].
    pub fn instant(&self, name: &'static str) -> Result<Option<Millis>, TokenFault> {
        let Some(value) = self.members.get(name) else { return Ok(None) };
        let seconds = match value {
            Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole_seconds)),
            _ => None,
        };
        let seconds = seconds.filter(|seconds| (0..=LATEST_SECOND).contains(seconds));
        seconds.map(|seconds| Some(seconds * 1000)).ok_or(TokenFault::Malformed(name))
    }

    /// The actor chain (RFC 8693 §4.1), outermost first. Only the outermost is acting; the rest is history.
    ///
    /// # Errors
    /// [`TokenFault::ActorChain`] if it is malformed or nested more than four deep.
    pub fn actors(&self) -> Result<Vec<Actor<'_>>, TokenFault> {
        let mut actors = Vec::new();
        let mut next = self.members.get("act");
        while let Some(actor) = next {
            let Value::Object(members) = actor else { return Err(TokenFault::ActorChain) };
            let text = |name| match members.get(name) {
                None => Ok(None),
                Some(Value::String(text)) if is_plain(text) => Ok(Some(text.as_str())),
                Some(_) => Err(TokenFault::ActorChain),
            };
            let subject = text("sub")?.ok_or(TokenFault::ActorChain)?;
            if actors.len() == MAX_ACTORS {
                return Err(TokenFault::ActorChain);
            }
            actors.push(Actor { subject, profile: text("sub_profile")? });
            next = members.get("act");
        }
        Ok(actors)
    }
}

/// One link of an actor chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor<'a> {
    /// Its `sub`.
    pub subject: &'a str,
    /// Its `sub_profile`: what kind of subject it is.
    pub profile: Option<&'a str>,
}

fn is_plain(text: &str) -> bool {
    (1..=512).contains(&text.len()) && !text.chars().any(char::is_control)
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
fn whole_seconds(seconds: f64) -> Option<i64> {
    (0.0..1e12).contains(&seconds).then(|| seconds.floor() as i64)
}
