//! The compact form of a signed token (RFC 7515 §7.1), taken apart. Nothing is believed here: a header says which key and
//! algorithm to try, and whoever reads it decides whether they are ours. Keys, or links to keys, in a header are ignored.

use ambit_model::issuer::Algorithm;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use super::{fault::TokenFault, json};

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// A token taken apart. Unverified.
#[derive(Debug)]
pub struct Compact<'a> {
    /// The bytes the signature is over.
    pub signing_input: &'a [u8],
    /// What it says about itself.
    pub header: Header,
    /// The decoded claims, still bytes.
    pub payload: Vec<u8>,
    /// The decoded signature.
    pub signature: Vec<u8>,
}

/// The members of a header that count. `jku`, `jwk`, `x5u` and `x5c` are not among them.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    /// `alg`, one that we know.
    pub algorithm: Algorithm,
    /// `typ`, lower case.
    pub typ: Option<String>,
    /// `kid`: compared with the names of known keys, used for nothing else.
    pub kid: Option<String>,
}

impl<'a> Compact<'a> {
    /// Takes a token apart: three parts, base64url without padding, a strict header, a known algorithm, no `crit`.
    ///
    /// # Errors
    /// [`TokenFault`] naming what is wrong.
    pub fn parse(token: &'a str) -> Result<Self, TokenFault> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenFault::TooLong);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(TokenFault::NotCompact)?;
        let (header, payload) = signing_input.split_once('.').ok_or(TokenFault::NotCompact)?;
        if payload.contains('.') || header.is_empty() || payload.is_empty() {
            return Err(TokenFault::NotCompact);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Encoding);
        Ok(Self {
            signing_input: signing_input.as_bytes(),
            header: Header::parse(&decode(header)?)?,
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Self, TokenFault> {
        let mut members = json::object(bytes).map_err(|_| TokenFault::HeaderJson)?;
        if members.contains_key("crit") {
            return Err(TokenFault::Critical);
        }
        let algorithm = match members.get("alg") {
            Some(Value::String(name)) => algorithm_named(name).ok_or(TokenFault::Algorithm)?,
            _ => return Err(TokenFault::Algorithm),
        };
        let typ = match members.remove("typ") {
            None => None,
            Some(Value::String(typ)) => Some(typ.to_ascii_lowercase()),
            Some(_) => return Err(TokenFault::Typ),
        };
        let kid = match members.remove("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid),
            Some(_) => return Err(TokenFault::UnknownKey),
        };
        Ok(Self { algorithm, typ, kid })
    }
}

/// The algorithm of a JOSE name (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864). `none` and the symmetric ones are unknown.
pub fn algorithm_named(name: &str) -> Option<Algorithm> {
    match name {
        "RS256" => Some(Algorithm::Rs256),
        "PS256" => Some(Algorithm::Ps256),
        "ES256" => Some(Algorithm::Es256),
        "EdDSA" | "Ed25519" => Some(Algorithm::EdDsa),
        _ => None,
    }
}
