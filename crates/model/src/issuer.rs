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
    /// Audiences that its tokens may have beside the endpoint's URL. Any other makes a token useless here.
    pub other_audiences: BTreeSet<String>,
    /// Which claim is the subject.
    pub subject_claim: String,
    /// Which claim names the client: `client_id` or `azp`.
    pub client_claims: Vec<String>,
    /// How a person's token is told from one that a client got for itself.
    pub people: People,
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

/// How an issuer marks the tokens of people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum People {
    /// Not at all: a token that is not known to be a client's own is a person's.
    Unmarked,
    /// A claim that only they have, whatever it says.
    Having {
        /// The claim.
        claim: String,
    },
    /// A claim that says so: its text is the value, or one of its list is.
    Saying {
        /// The claim.
        claim: String,
        /// What it says of people.
        value: String,
    },
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
