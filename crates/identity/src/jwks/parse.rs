//! A published key set (RFC 7517 §5) becomes keys: those that are for signatures, public, of a kind and algorithm the
//! issuer may use. Others are passed over, so that a key for something else does no harm.

use std::collections::BTreeSet;

use ambit_model::issuer::Algorithm;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::verify::{KeySet, VerifyKey, algorithm_named, strict_object};

/// Most keys of a set.
const MOST_KEYS: usize = 100;

/// Reads a key set; `None` if the document is none. A set without a usable key is one: it revokes every key.
pub(super) fn key_set(bytes: &[u8], algorithms: &BTreeSet<Algorithm>) -> Option<KeySet> {
    let document = strict_object(bytes).ok()?;
    let keys = document.get("keys")?.as_array().filter(|keys| keys.len() <= MOST_KEYS)?;
    Some(KeySet::new(keys.iter().filter_map(|key| usable(key.as_object()?, algorithms))))
}

fn usable(jwk: &Map<String, Value>, algorithms: &BTreeSet<Algorithm>) -> Option<VerifyKey> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let for_signatures = match (jwk.get("use"), jwk.get("key_ops")) {
        (Some(purpose), _) => purpose == "sig",
        (None, Some(operations)) => operations.as_array()?.iter().any(|operation| operation == "verify"),
        (None, None) => true,
    };
    // A key published with its private half is everybody's.
    if !for_signatures || jwk.contains_key("d") {
        return None;
    }
    let kid = match jwk.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str()?.to_owned()),
    };
    let algorithm = match jwk.get("alg") {
        Some(name) => algorithm_named(name.as_str()?)?,
        None => implied(text("kty")?, algorithms)?,
    };
    if !algorithms.contains(&algorithm) {
        return None;
    }
    let member = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    match (algorithm, text("kty")?) {
        (Algorithm::Rs256 | Algorithm::Ps256, "RSA") => {
            VerifyKey::rsa(kid, algorithm, without_zeros(&member("n")?), without_zeros(&member("e")?)).ok()
        }
        (Algorithm::Es256, "EC") if text("crv") == Some("P-256") => {
            let (x, y) = (member("x")?, member("y")?);
            let point = [&[4], x.as_slice(), y.as_slice()].concat();
            (x.len() == 32 && y.len() == 32).then(|| VerifyKey::es256(kid, &point).ok()).flatten()
        }
        (Algorithm::EdDsa, "OKP") if text("crv") == Some("Ed25519") => VerifyKey::eddsa(kid, &member("x")?).ok(),
        _ => None,
    }
}

/// The algorithm of a key that names none. One key has one algorithm: where an issuer may use both RSA ones, such a key is
/// for the older.
fn implied(kty: &str, algorithms: &BTreeSet<Algorithm>) -> Option<Algorithm> {
    match kty {
        "RSA" if algorithms.contains(&Algorithm::Rs256) => Some(Algorithm::Rs256),
        "RSA" => Some(Algorithm::Ps256),
        "EC" => Some(Algorithm::Es256),
        "OKP" => Some(Algorithm::EdDsa),
        _ => None,
    }
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or(&[])
}
