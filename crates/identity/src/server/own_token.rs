//! Reads an access token of one of our issuers, for revocation and introspection: signature, issuer, audience, times.

use std::collections::BTreeSet;

use ambit_model::{
    ids::Millis,
    issuer::{Algorithm, TypRule},
};

use super::state::{Place, Server};
use crate::{
    token::AccessToken,
    verify::{AudienceRule, Compact, MAX_TOKEN_BYTES, Rules},
};

/// The claims of a token that this place issued and that has not expired.
pub(crate) fn read(server: &Server, place: &Place, text: &str, now_ms: Millis) -> Option<AccessToken> {
    if text.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let compact = Compact::parse(text).ok()?;
    let algorithms = BTreeSet::from([Algorithm::Es256]);
    let rules = Rules {
        issuer: &place.issuer,
        resource: &place.endpoint.resource,
        algorithms: &algorithms,
        typ: TypRule::Strict,
        audience: AudienceRule::Sole,
    };
    rules.admit(&compact.header).ok()?;
    let keys = server.signing.verify_keys();
    let key = keys.find(Some(compact.header.kid.as_deref()?), compact.header.algorithm).ok()?;
    let token = AccessToken::read(&rules.verify(&compact, key, now_ms).ok()?).ok()?;
    (now_ms < token.expires_at).then_some(token)
}
