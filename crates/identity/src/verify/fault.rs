//! Why a token is not accepted: a closed list, each with a stable label for records and metrics and one sentence for the
//! client. Neither holds any part of the token.

/// What is wrong with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenFault {
    /// More than [`super::MAX_TOKEN_BYTES`].
    #[error("the token is longer than 16 KiB")]
    TooLong,
    /// Not three parts.
    #[error("the token is not a signed JWT in compact form")]
    NotCompact,
    /// Not base64url, or padded.
    #[error("the token is not base64url without padding")]
    Encoding,
    /// The header is no strict JSON object.
    #[error("the header of the token is not one JSON object with unique names")]
    HeaderJson,
    /// `crit` is there: an extension we do not know must be understood.
    #[error("the token demands an extension that is not supported (`crit`)")]
    Critical,
    /// An algorithm that this issuer does not use, or nobody should.
    #[error("the signature algorithm of the token is not accepted here")]
    Algorithm,
    /// Not marked as an access token.
    #[error("the `typ` of the token is not that of an access token: `at+jwt` is expected")]
    Typ,
    /// No key of that name.
    #[error("the token is signed with a key that its issuer does not publish")]
    UnknownKey,
    /// The signature does not hold.
    #[error("the signature of the token does not verify")]
    Signature,
    /// The claims are no strict JSON object.
    #[error("the claims of the token are not one JSON object with unique names")]
    ClaimsJson,
    /// A claim is absent.
    #[error("the token has no `{0}` claim")]
    Missing(&'static str),
    /// A claim is of the wrong kind.
    #[error("the `{0}` claim of the token is malformed")]
    Malformed(&'static str),
    /// Another issuer.
    #[error("the token is from an issuer that this endpoint does not accept")]
    Issuer,
    /// For another resource.
    #[error("the token is not for this endpoint: ask for one with `resource` set to its URL")]
    Audience,
    /// For this resource and for others that its issuer's rules do not name.
    #[error(
        "the token is for other resources too: ask for one for this endpoint alone (`other_audiences` in the issuer's rules)"
    )]
    Audiences,
    /// `exp` is past.
    #[error("the token has expired: refresh it or log in again")]
    Expired,
    /// `nbf` is to come.
    #[error("the token is not valid yet: check the clocks")]
    NotYetValid,
    /// `iat` is to come.
    #[error("the token was issued in the future: check the clocks")]
    IssuedInFuture,
    /// `exp` is too long after `iat`.
    #[error("the token lives for more than 24 hours: let its issuer make shorter ones")]
    LongLived,
    /// An ID token.
    #[error("this is an ID token: send the access token")]
    IdToken,
    /// Bound to a key that a bearer request does not prove.
    #[error(
        "the token is bound to a key of its client (`cnf`), and bearer tokens are taken here: ask for one without DPoP or mTLS"
    )]
    Bound,
    /// No subject claim, or one that is no subject.
    #[error("the token names no usable subject")]
    Subject,
    /// The token is a client's own, with no person behind it, and no declared agent.
    #[error("the token stands for neither a person nor a declared agent")]
    Nobody,
    /// The sign by which the issuer was said to mark people is not there.
    #[error("the token does not show that a person logged in (`people` in the issuer's rules)")]
    NoPerson,
    /// No usable client id.
    #[error("the token names no usable client")]
    Client,
    /// Groups were to be in it.
    #[error("the token lacks the groups its issuer is configured to supply")]
    GroupsMissing,
    /// Too many groups for a token; the issuer wants to be asked for them.
    #[error(
        "the token refers to groups instead of carrying them (overage): let the issuer assign fewer to this application"
    )]
    GroupsOverage,
    /// The actor chain is malformed or nested more than four deep.
    #[error("the `act` claim of the token is malformed or nested too deep")]
    ActorChain,
    /// It names an agent that is not declared.
    #[error("the token names an agent that is not declared here")]
    UnknownAgent,
    /// The agent's time is over.
    #[error("the agent of this token has expired: ask its owner to renew it")]
    AgentExpired,
    /// The account is not declared (any more).
    #[error("the account of this token does not exist any more")]
    UnknownAccount,
    /// Operators may not mint (any more).
    #[error("tokens made by an operator are switched off (`[operator] mint`)")]
    OperatorMint,
}

impl TokenFault {
    /// A stable label: one of a small closed set, for records and metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::NotCompact | Self::Encoding | Self::HeaderJson | Self::Critical => "token_malformed",
            Self::ClaimsJson | Self::Missing(_) | Self::Malformed(_) => "claims_malformed",
            Self::Algorithm => "wrong_algorithm",
            Self::Typ => "wrong_typ",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "bad_signature",
            Self::Issuer => "wrong_issuer",
            Self::Audience | Self::Audiences => "wrong_audience",
            Self::Expired => "expired",
            Self::NotYetValid | Self::IssuedInFuture => "not_yet_valid",
            Self::LongLived => "lives_too_long",
            Self::IdToken => "id_token",
            Self::Bound => "bound_token",
            Self::Subject | Self::Nobody | Self::NoPerson => "no_subject",
            Self::Client => "no_client",
            Self::GroupsMissing | Self::GroupsOverage => "groups_missing",
            Self::ActorChain => "actor_chain",
            Self::UnknownAgent => "unknown_agent",
            Self::AgentExpired => "agent_expired",
            Self::UnknownAccount => "unknown_account",
            Self::OperatorMint => "operator_mint_off",
        }
    }
}
