use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::*;
use crate::testing::{OWN_ISSUER, OWN_RESOURCE, T0, any_json};

fn check(claims: &Value, audience: AudienceRule<'_>) -> Result<Claims, TokenFault> {
    Claims::check(claims.to_string().as_bytes(), OWN_ISSUER, OWN_RESOURCE, audience, T0)
}

#[test]
fn an_audience_stands_alone_or_in_the_company_it_was_promised() {
    let claims = |aud: Value| json!({ "iss": OWN_ISSUER, "aud": aud, "iat": T0 / 1000, "exp": T0 / 1000 + 1 });
    let tolerated = ["account".to_owned()].into();
    let (other, malformed) = (Some(TokenFault::Audience), Some(TokenFault::Malformed("aud")));
    let crowd = Some(TokenFault::Audiences);
    for (aud, alone, beside) in [
        (json!(OWN_RESOURCE), None, None),
        (json!([OWN_RESOURCE]), None, None),
        (json!([OWN_RESOURCE, OWN_RESOURCE]), crowd, None),
        (json!(["account", OWN_RESOURCE]), crowd, None),
        (json!([OWN_RESOURCE, "https://other.example"]), crowd, crowd),
        (json!(["account", OWN_RESOURCE, "https://other.example"]), crowd, crowd),
        (json!([OWN_RESOURCE, "Account"]), crowd, crowd),
        (json!([OWN_RESOURCE, "account/"]), crowd, crowd),
        (json!([OWN_RESOURCE, ""]), crowd, crowd),
        (json!("account"), other, other),
        (json!(["account"]), other, other),
        (json!([]), other, other),
        (json!([[OWN_RESOURCE]]), malformed, malformed),
    ] {
        assert_eq!(check(&claims(aud.clone()), AudienceRule::Sole).err(), alone, "{aud}");
        assert_eq!(check(&claims(aud.clone()), AudienceRule::Beside(&tolerated)).err(), beside, "{aud}");
    }
}

#[test]
fn a_key_set_finds_by_name_and_algorithm() {
    let point = |seed: u8| {
        let pair = aws_lc_rs::signature::EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING);
        (seed, aws_lc_rs::signature::KeyPair::public_key(&pair.unwrap()).as_ref().to_vec())
    };
    let key = |kid: Option<&str>, point: &(u8, Vec<u8>)| VerifyKey::es256(kid.map(Into::into), &point.1).unwrap();
    let (one, two) = (point(1), point(2));
    let set = KeySet::new(vec![key(Some("a"), &one), key(Some("b"), &two), key(Some("b"), &two)]);
    assert_eq!(set.len(), 2);
    assert!(set.names("a") && !set.names("c"));
    assert!(set.find(Some("a"), Algorithm::Es256).unwrap().is_same_key(&key(None, &one)));
    assert_eq!(set.find(Some("a"), Algorithm::Rs256).unwrap_err(), TokenFault::Algorithm);
    assert_eq!(set.find(None, Algorithm::Es256).unwrap_err(), TokenFault::UnknownKey);
    let fewer = KeySet::new(vec![key(Some("a"), &one)]);
    assert!(set.includes(&fewer) && !fewer.includes(&set));
    let renamed = KeySet::new(vec![key(Some("c"), &one)]);
    assert!(!renamed.includes(&fewer), "a name that is gone is a key that is gone");
}

proptest! {
    #[test]
    fn any_text_is_taken_apart_without_a_panic(text in any::<String>()) {
        // No accepted form has a character outside base64url and the two dots.
        if Compact::parse(&text).is_ok() {
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
        }
    }

    #[test]
    fn what_is_taken_apart_is_the_token_and_nothing_else(
        header in any_json(),
        payload in vec(any::<u8>(), 0..200),
        signature in vec(any::<u8>(), 0..80),
    ) {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let input = format!("{}.{}", encode(header.to_string().as_bytes()), encode(&payload));
        let token = format!("{input}.{}", encode(&signature));
        if let Ok(compact) = Compact::parse(&token) {
            prop_assert_eq!(compact.signing_input, input.as_bytes());
            prop_assert_eq!(&compact.payload, &payload);
            prop_assert_eq!(&compact.signature, &signature);
            prop_assert_eq!(header["alg"].as_str().and_then(algorithm_named), Some(compact.header.algorithm));
            prop_assert!(header.get("crit").is_none());
        }
    }

    #[test]
    fn two_readers_of_strict_json_see_one_document(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(object) = strict_object(&bytes) {
            prop_assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), Value::Object(object));
        }
    }

    #[test]
    fn a_document_without_repeated_names_is_read_whole(value in any_json()) {
        let text = value.to_string();
        let read = strict_object(text.as_bytes());
        match serde_json::from_str(&text).unwrap() {
            Value::Object(members) => prop_assert_eq!(read.unwrap(), members),
            _ => prop_assert!(read.is_err()),
        }
    }

    #[test]
    fn claims_hold_only_if_issuer_audience_and_times_do(
        changes in proptest::collection::hash_map(
            prop::sample::select(vec!["iss", "aud", "exp", "iat", "nbf", "cnf", "at_hash", "act", "typ"]),
            prop_oneof![
                any_json(),
                (-100_i64..1000).prop_map(|second| json!(T0 / 1000 + second)),
                Just(json!([OWN_RESOURCE])),
                Just(json!(OWN_ISSUER)),
            ],
            0..4,
        ),
    ) {
        let mut claims = json!({ "iss": OWN_ISSUER, "aud": OWN_RESOURCE, "iat": T0 / 1000, "exp": T0 / 1000 + 600 });
        for (name, value) in changes {
            claims[name] = value;
        }
        if let Ok(held) = check(&claims, AudienceRule::Sole) {
            prop_assert_eq!(&claims["iss"], OWN_ISSUER);
            prop_assert!(claims["aud"] == OWN_RESOURCE || claims["aud"] == json!([OWN_RESOURCE]));
            prop_assert!(held.expires_at + LEEWAY_MS > T0 && held.issued_at <= T0 + LEEWAY_MS);
            prop_assert!(claims.get("cnf").is_none() && claims.get("at_hash").is_none());
            prop_assert!(held.actors().is_ok_and(|actors| actors.len() <= MAX_ACTORS) || claims.get("act").is_some());
        }
    }
}
