//! Stage *authenticate*: the headers of a request become a [`Caller`], or a refusal that costs next to nothing.
//!
//! Runs before the body is read. A token that was verified before is remembered under the hash of its bytes and the
//! resource; every hit compares its times, the revision, the configuration, and whether its issuer took a key away, so a
//! remembered token lives no longer than an unknown one would. Anything that moved repeats the comparison with every
//! revocation and block, or the whole verification.
//!
//! An endpoint takes the tokens of its own issuer and of no other. There is no fetch on the word of a token.

use std::sync::Arc;

use ambit_live::{Snapshot, deployment::Deployment, revocations::Revocations};
use ambit_model::{
    Digest,
    endpoint::{Endpoint, EndpointIssuer},
    ids::Millis,
    issuer::Issuer,
};
use ambit_policy::Judge;
use aws_lc_rs::digest;
use http::HeaderMap;
use quick_cache::sync::Cache;

use crate::{
    caller::{Caller, NotNow, Verified},
    external,
    jwks::Jwks,
    signing::Signing,
    token::AccessToken,
    verify::{Compact, KeyEpoch, TokenFault},
};

mod failure;
mod presented;

pub use failure::AuthFailure;
pub(crate) use presented::presented;

/// Most remembered tokens.
const REMEMBERED: usize = 16 * 1024;

/// Most remembered bad signatures. Apart, so that garbage drives no good token out.
const REMEMBERED_BAD: usize = 1024;

/// How long a bad signature is remembered, in milliseconds.
const BAD_FOR_MS: Millis = 2_000;

/// What authentication reads of the revision a request runs on.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The snapshot's revision.
    pub revision: u64,
    /// What configuration declares.
    pub deployment: &'a Deployment,
    /// Revocations and blocks.
    pub revocations: &'a Revocations,
    /// Resolves caller classes.
    pub judge: &'a Judge,
}

impl<'a> From<&'a Snapshot> for Standing<'a> {
    fn from(snapshot: &'a Snapshot) -> Self {
        Self {
            revision: snapshot.revision,
            deployment: &snapshot.deployment,
            revocations: &snapshot.revocations,
            judge: &snapshot.judge,
        }
    }
}

impl Standing<'_> {
    fn stamp(&self) -> Stamp {
        Stamp {
            revision: self.revision,
            judge: self.judge.revision(),
            revocations: self.revocations.generation(),
            config: self.deployment.digest,
        }
    }
}

/// What a remembered caller was established on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    revision: u64,
    judge: u64,
    revocations: u64,
    config: Digest,
}

/// Turns tokens into callers. One per process, shared by every endpoint.
#[derive(Debug)]
pub struct Authenticator {
    signing: Arc<Signing>,
    jwks: Arc<Jwks>,
    remembered: Cache<Digest, Arc<Remembered>>,
    bad: Cache<Digest, Millis>,
}

#[derive(Debug)]
struct Remembered {
    caller: Arc<Caller>,
    stamp: Stamp,
    keys: Arc<KeyEpoch>,
    key_generation: u64,
}

/// A verification that held, with the keys it held against.
struct Proved {
    verified: Verified,
    keys: Arc<KeyEpoch>,
    key_generation: u64,
}

impl Authenticator {
    /// An authenticator over our own signing keys and the key sets of external issuers.
    pub fn new(signing: Arc<Signing>, jwks: Arc<Jwks>) -> Self {
        Self { signing, jwks, remembered: Cache::new(REMEMBERED), bad: Cache::new(REMEMBERED_BAD) }
    }

    /// Authenticates a request to an endpoint by its headers. `query` is the raw query string.
    ///
    /// Waits only if an external issuer's token names a key that is not known yet, for at most one fetch of its key set.
    ///
    /// # Errors
    /// [`AuthFailure`], which knows its answer.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        endpoint: &Endpoint,
        standing: Standing<'_>,
        now_ms: Millis,
    ) -> Result<Arc<Caller>, AuthFailure> {
        let token = presented(headers, query)?;
        let slot = slot(token, &endpoint.resource);
        if let Some(remembered) = self.remembered.get(&slot) {
            match self.recall(&slot, &remembered, standing, now_ms) {
                Some(Ok(caller)) => return Ok(caller),
                Some(Err(failure)) => return Err(failure),
                None => {}
            }
        }
        self.verify(token, slot, endpoint, standing, now_ms).await
    }

    /// A remembered caller as it stands now; `None` if the token has to be verified anew.
    fn recall(
        &self,
        slot: &Digest,
        remembered: &Remembered,
        standing: Standing<'_>,
        now_ms: Millis,
    ) -> Option<Result<Arc<Caller>, AuthFailure>> {
        if remembered.keys.generation() != remembered.key_generation || !remembered.keys.is_good(now_ms) {
            return None;
        }
        let stamp = standing.stamp();
        if remembered.stamp == stamp {
            let valid = remembered.caller.still_valid(now_ms);
            return Some(valid.map(|()| Arc::clone(&remembered.caller)).map_err(AuthFailure::Token));
        }
        if remembered.stamp.config != stamp.config {
            // An issuer's rules may have changed: what the token means has to be read again.
            return None;
        }
        let verified = Arc::clone(remembered.caller.verified());
        let (keys, key_generation) = (Arc::clone(&remembered.keys), remembered.key_generation);
        Some(self.remember(*slot, verified, keys, key_generation, standing, now_ms))
    }

    fn remember(
        &self,
        slot: Digest,
        verified: Arc<Verified>,
        keys: Arc<KeyEpoch>,
        key_generation: u64,
        standing: Standing<'_>,
        now_ms: Millis,
    ) -> Result<Arc<Caller>, AuthFailure> {
        let caller = Caller::establish(verified, &standing, now_ms).map_err(|not_now| match not_now {
            NotNow::Fault(fault) => AuthFailure::Token(fault),
            NotNow::Dead(dead) => AuthFailure::Dead(dead),
        })?;
        let caller = Arc::new(caller);
        let remembered = Remembered { caller: Arc::clone(&caller), stamp: standing.stamp(), keys, key_generation };
        self.remembered.insert(slot, Arc::new(remembered));
        Ok(caller)
    }

    async fn verify(
        &self,
        token: &str,
        slot: Digest,
        endpoint: &Endpoint,
        standing: Standing<'_>,
        now_ms: Millis,
    ) -> Result<Arc<Caller>, AuthFailure> {
        if self.bad.get(&slot).is_some_and(|until| now_ms < until) {
            return Err(AuthFailure::Token(TokenFault::Signature));
        }
        let compact = Compact::parse(token).map_err(AuthFailure::Token)?;
        let proved = match &endpoint.issuer {
            EndpointIssuer::Embedded { issuer } => self.prove_own(&compact, issuer, endpoint, now_ms),
            EndpointIssuer::External(name) => {
                let issuer = standing.deployment.issuers.get(name).ok_or(AuthFailure::KeysUnavailable)?;
                self.prove_external(&compact, token, issuer, endpoint, now_ms).await
            }
        };
        let Proved { verified, keys, key_generation } = proved.inspect_err(|failure| {
            if *failure == AuthFailure::Token(TokenFault::Signature) {
                self.bad.insert(slot, now_ms.saturating_add(BAD_FOR_MS));
            }
        })?;
        self.remember(slot, Arc::new(verified), keys, key_generation, standing, now_ms)
    }

    fn prove_own(
        &self,
        token: &Compact<'_>,
        issuer: &str,
        endpoint: &Endpoint,
        now_ms: Millis,
    ) -> Result<Proved, AuthFailure> {
        let keys = Arc::clone(self.signing.epoch());
        // Read before the keys: a removal in between repeats the verification, never skips it.
        let key_generation = keys.generation();
        let token = AccessToken::verify(token, &self.signing, issuer, &endpoint.resource, now_ms)?;
        Ok(Proved { verified: token.into_verified(&endpoint.slug), keys, key_generation })
    }

    async fn prove_external(
        &self,
        token: &Compact<'_>,
        text: &str,
        issuer: &Issuer,
        endpoint: &Endpoint,
        now_ms: Millis,
    ) -> Result<Proved, AuthFailure> {
        let rules = external::rules(issuer, &endpoint.resource);
        rules.admit(&token.header)?;
        let source = self.jwks.of(issuer);
        let (kid, algorithm) = (token.header.kid.as_deref(), token.header.algorithm);
        let held = source.held_for(kid, algorithm, now_ms).await.ok_or(AuthFailure::KeysUnavailable)?;
        let claims = rules.verify(token, held.set.find(kid, algorithm)?, now_ms)?;
        let verified = external::read(&claims, issuer, &endpoint.slug, text)?;
        Ok(Proved { verified, keys: Arc::clone(source.epoch()), key_generation: held.generation })
    }
}

/// Where a token is remembered: a hash of the whole token and the resource, the lengths keeping them apart.
fn slot(token: &str, resource: &str) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&(resource.len() as u64).to_be_bytes());
    context.update(resource.as_bytes());
    context.update(token.as_bytes());
    Digest(context.finish().as_ref().try_into().unwrap_or([0; 32]))
}

#[cfg(test)]
mod tests;
