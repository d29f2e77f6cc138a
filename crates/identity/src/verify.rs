//! A token becomes claims: taken apart, held against its issuer's rules, its signature checked, then issuer, audience and
//! times. First half of `authenticate`; what the claims *mean* is read by [`crate::token`] for our own tokens and by
//! [`crate::external`] for those of other issuers.
//!
//! The key comes from the issuer's own set, never from the token.

use std::collections::BTreeSet;

use ambit_model::{
    ids::Millis,
    issuer::{Algorithm, TypRule},
};

mod claims;
mod compact;
mod fault;
mod json;
mod keys;

pub use claims::{Actor, AudienceRule, Claims, LEEWAY_MS, MAX_ACTORS};
pub use compact::{Compact, Header, MAX_TOKEN_BYTES, algorithm_named};
pub use fault::TokenFault;
pub use json::{NotStrict, object as strict_object};
pub use keys::{KeyEpoch, KeySet, UnusableKey, VerifyKey};

/// What is expected of the tokens of one issuer at one endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The exact `iss`.
    pub issuer: &'a str,
    /// The exact audience: the endpoint's URL.
    pub resource: &'a str,
    /// The algorithms it signs with.
    pub algorithms: &'a BTreeSet<Algorithm>,
    /// Which `typ` marks its access tokens.
    pub typ: TypRule,
    /// Which audiences its tokens may have beside ours.
    pub audience: AudienceRule<'a>,
}

impl Rules<'_> {
    /// Holds a header against the rules. Costs nothing: done before any key is looked for.
    ///
    /// # Errors
    /// [`TokenFault::Algorithm`], [`TokenFault::Typ`].
    pub fn admit(&self, header: &Header) -> Result<(), TokenFault> {
        if !self.algorithms.contains(&header.algorithm) {
            return Err(TokenFault::Algorithm);
        }
        let marked = matches!(header.typ.as_deref(), Some("at+jwt" | "application/at+jwt"));
        let admitted = match self.typ {
            TypRule::Strict => marked,
            TypRule::Lenient => marked || matches!(header.typ.as_deref(), None | Some("jwt" | "application/jwt")),
        };
        if admitted { Ok(()) } else { Err(TokenFault::Typ) }
    }

    /// Checks the signature with a key of the issuer, then the claims.
    ///
    /// # Errors
    /// [`TokenFault`] naming the first thing that is wrong.
    pub fn verify(&self, token: &Compact<'_>, key: &VerifyKey, now_ms: Millis) -> Result<Claims, TokenFault> {
        self.admit(&token.header)?;
        if key.algorithm() != token.header.algorithm {
            return Err(TokenFault::Algorithm);
        }
        key.verify(token.signing_input, &token.signature)?;
        Claims::check(&token.payload, self.issuer, self.resource, self.audience, now_ms)
    }
}

#[cfg(test)]
mod tests;
