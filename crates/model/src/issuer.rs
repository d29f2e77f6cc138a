//! A configured external issuer and its rules. What is not said here is refused.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{GroupName, IssuerName, ToolsetSlug};

/// An external issuer whose JWT access tokens an endpoint accepts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issuer {
    /// Its name in configuration and in user keys.
    pub name: IssuerName,
    /// The exact `iss`.
    pub issuer: String,
    /// Where its keys are; read from its metadata if absent.
    pub jwks_uri: Option<String>,
    /// Accepted signature algorithms.
    pub algorithms: BTreeSet<Algorithm>,
    /// Accepted `typ` values. Strict (`at+jwt` only) unless configured.
    pub typ: TypRule,
    /// Which claim is the subject.
    pub subject_claim: String,
    /// Which claim names the client: `client_id` or `azp`.
    pub client_claims: Vec<String>,
    /// Where groups come from, if they are to count.
    pub groups: Option<GroupSource>,
    /// What its scopes mean.
    pub scopes: IssuerScopes,
    /// Claims that policies may read.
    pub claims: BTreeSet<String>,
}

/// A signature algorithm we verify. Symmetric ones and `none` do not exist here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

/// Which `typ` header values count as an access token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TypRule {
    /// `at+jwt` or `application/at+jwt` (RFC 9068).
    Strict,
    /// Also `JWT` or none, for issuers that do not mark access tokens. An ID token is then told apart by its audience.
    Lenient,
}

/// Where an issuer's groups come from. A token without the claim is refused, not treated as group-less.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupSource {
    /// The claim.
    pub claim: String,
    /// Issuer value → Ambit group. Values that are not here do not count.
    pub map: BTreeMap<String, GroupName>,
}

/// What an issuer's scopes mean.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IssuerScopes {
    /// Nothing: the client ceiling stands in.
    None,
    /// Issuer scope → toolset.
    Map(BTreeMap<String, ToolsetSlug>),
}
