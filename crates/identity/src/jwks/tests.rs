use std::time::Instant;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::*;
use crate::{
    authenticate::AuthFailure,
    testing::{Foreign, Reply, T0, TestKey, any_json, fault, jwks_of},
    verify::TokenFault,
};

const MINUTE: Millis = 60_000;

/// A token of the issuer's key that is alive for an hour.
fn lasting(foreign: &Foreign, key: &TestKey, now: Millis) -> String {
    key.token(&foreign.claims(&json!({ "iat": now / 1000, "exp": now / 1000 + 3600, "jti": key.kid })))
}

fn html() -> Reply {
    Reply { content_type: "text/html", ..Reply::json("<!doctype html><title>Sign in</title>") }
}

#[tokio::test]
async fn keys_of_every_algorithm_are_found_through_the_metadata() {
    let foreign = Foreign::start().await;
    let keys = ["RS256", "PS256", "ES256", "EdDSA"].map(|algorithm| TestKey::new(&format!("k-{algorithm}"), algorithm));
    foreign.script.publish("", &keys.iter().collect::<Vec<_>>());
    for key in &keys {
        let caller = foreign.show(&lasting(&foreign, key, T0), T0).await;
        assert!(caller.is_ok(), "{}: {caller:?}", key.algorithm);
    }
    assert_eq!(foreign.script.asked("/jwks"), 1);
    let health = foreign.room.jwks.health(T0);
    assert_eq!((health[0].usable, health[0].keys, &health[0].last_error), (true, 4, &None));
}

#[test]
fn metadata_is_looked_for_where_clients_look() {
    assert_eq!(
        fetch::metadata_urls("https://as.example/t1"),
        [
            "https://as.example/.well-known/oauth-authorization-server/t1",
            "https://as.example/.well-known/openid-configuration/t1",
            "https://as.example/t1/.well-known/openid-configuration",
        ]
    );
    for root in ["https://as.example", "https://as.example/"] {
        assert_eq!(
            fetch::metadata_urls(root),
            [
                "https://as.example/.well-known/oauth-authorization-server",
                "https://as.example/.well-known/openid-configuration",
            ]
        );
    }
    assert!(fetch::metadata_urls("as.example").is_empty());
}

#[tokio::test]
async fn a_host_that_answers_every_path_with_a_page_hides_no_metadata() {
    let foreign = Foreign::with(|issuer| issuer.issuer.push_str("/t1")).await;
    let origin = &foreign.script.origin;
    let metadata =
        |iss: String| Reply::json(json!({ "issuer": iss, "jwks_uri": format!("{origin}/jwks") }).to_string());
    foreign.script.answer("/.well-known/oauth-authorization-server/t1", html());
    foreign.script.answer("/.well-known/openid-configuration/t1", metadata(format!("{origin}/t2")));
    foreign.script.answer("/t1/.well-known/openid-configuration", metadata(format!("{origin}/t1")));
    foreign.present(json!({ "iss": format!("{origin}/t1") })).await.unwrap();
}

#[tokio::test]
async fn metadata_of_another_issuer_counts_for_nothing_and_is_named() {
    // One trailing slash is one other issuer.
    let foreign = Foreign::with(|issuer| issuer.issuer.push('/')).await;
    let iss = format!("{}/", foreign.script.origin);
    assert_eq!(foreign.present(json!({ "iss": iss })).await.unwrap_err(), AuthFailure::KeysUnavailable);
    assert_eq!(foreign.script.asked("/jwks"), 0);
    let health = foreign.room.jwks.health(T0);
    assert!(!health[0].usable && health[0].last_error.as_ref().unwrap().contains("slash included"), "{health:?}");
}

#[tokio::test]
async fn a_new_key_is_fetched_once_per_cool_down() {
    let foreign = Foreign::start().await;
    foreign.present(json!({})).await.unwrap();
    let new = TestKey::new("k2", "ES256");
    foreign.script.publish("", &[&foreign.key, &new]);
    let token = lasting(&foreign, &new, T0);
    assert_eq!(fault(&foreign.show(&token, T0 + COOL_DOWN_MS - 1).await), TokenFault::UnknownKey);
    assert_eq!(foreign.script.asked("/jwks"), 1, "the cool-down holds");
    foreign.show(&token, T0 + COOL_DOWN_MS).await.unwrap();
    foreign.show(&lasting(&foreign, &foreign.key, T0), T0 + COOL_DOWN_MS).await.unwrap();
    assert_eq!(foreign.script.asked("/jwks"), 2);
}

#[tokio::test]
async fn a_clock_that_is_set_back_stops_no_fetch() {
    let foreign = Foreign::start().await;
    foreign.room.jwks.warm(T0 + 60 * MINUTE).await;
    let new = TestKey::new("k2", "ES256");
    foreign.script.publish("", &[&new]);
    foreign.show(&lasting(&foreign, &new, T0), T0).await.unwrap();
}

#[tokio::test]
async fn a_storm_of_invented_key_ids_is_one_fetch_and_harms_no_known_key() {
    let foreign = Foreign::start().await;
    let good = lasting(&foreign, &foreign.key, T0);
    foreign.show(&good, T0).await.unwrap();
    let slow = Reply { after: Duration::from_millis(300), ..Reply::json(jwks_of(&[&foreign.key])) };
    foreign.script.answer("/jwks", slow);
    let now = T0 + COOL_DOWN_MS;
    let foreign = Arc::new(foreign);
    let mut storm = JoinSet::new();
    for index in 0..200 {
        let foreign = Arc::clone(&foreign);
        storm.spawn(async move {
            let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": format!("ghost-{index}") });
            let token = foreign.key.raw(&header.to_string(), &foreign.claims(&json!({})).to_string());
            fault(&foreign.show(&token, now).await)
        });
    }
    assert!(foreign.show(&good, now).await.is_ok());
    assert!(storm.join_all().await.iter().all(|fault| *fault == TokenFault::UnknownKey));
    assert_eq!(foreign.script.asked("/jwks"), 2);
}

#[tokio::test]
async fn a_key_a_fresh_set_lacks_is_not_asked_for_again_at_once() {
    let foreign = Foreign::start().await;
    let ghost = TestKey::new("ghost", "ES256");
    let token = lasting(&foreign, &ghost, T0);
    assert_eq!(fault(&foreign.show(&token, T0).await), TokenFault::UnknownKey);
    assert_eq!(fault(&foreign.show(&token, T0 + COOL_DOWN_MS).await), TokenFault::UnknownKey);
    assert_eq!(foreign.script.asked("/jwks"), 1);
    foreign.script.publish("", &[&foreign.key, &ghost]);
    foreign.show(&token, T0 + UNKNOWN_FOR_MS).await.unwrap();
}

#[tokio::test]
async fn a_fetch_that_fails_says_nothing_about_a_key() {
    let foreign = Foreign::start().await;
    foreign.present(json!({})).await.unwrap();
    let new = TestKey::new("k2", "ES256");
    let token = lasting(&foreign, &new, T0);
    foreign.script.answer("/jwks", Reply::status(503));
    assert_eq!(fault(&foreign.show(&token, T0 + COOL_DOWN_MS).await), TokenFault::UnknownKey);
    foreign.script.publish("", &[&foreign.key, &new]);
    foreign.show(&token, T0 + 2 * COOL_DOWN_MS).await.unwrap();
}

#[tokio::test]
async fn without_keys_nothing_is_believed_and_the_answer_says_try_again() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let foreign = Foreign::with(|issuer| issuer.jwks_uri = Some(format!("http://{closed}/jwks"))).await;
    assert_eq!(foreign.present(json!({})).await.unwrap_err(), AuthFailure::KeysUnavailable);
    assert_eq!(
        foreign.present(json!({})).await.unwrap_err(),
        AuthFailure::KeysUnavailable,
        "also within the cool-down"
    );
}

#[tokio::test]
async fn a_slow_key_set_holds_a_request_for_seconds_only() {
    let foreign = Foreign::with(|issuer| issuer.jwks_uri = Some(format!("{}/jwks", issuer.issuer))).await;
    let slow = Reply { after: Duration::from_mins(1), ..Reply::json(jwks_of(&[&foreign.key])) };
    foreign.script.answer("/jwks", slow);
    let began = Instant::now();
    assert_eq!(foreign.present(json!({})).await.unwrap_err(), AuthFailure::KeysUnavailable);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    foreign.script.publish("", &[&foreign.key]);
    foreign.show(&lasting(&foreign, &foreign.key, T0), T0 + COOL_DOWN_MS).await.unwrap();
}

#[tokio::test]
async fn what_is_no_key_set_changes_nothing() {
    let foreign = Foreign::start().await;
    foreign.room.jwks.warm(T0).await;
    let jwk = foreign.key.jwk();
    let bad = [
        Reply::status(404),
        Reply::status(302),
        html(),
        Reply::json(""),
        Reply::json("[]"),
        Reply::json(r#"{"keys":{}}"#),
        Reply::json(r#"{"key":[]}"#),
        Reply::json(r#"{"keys":[],"keys":[]}"#),
        Reply::json(jwks_of(&[&foreign.key]).replace("]}", "")),
        Reply::json(json!({ "keys": vec![jwk.clone(); 101] }).to_string()),
        Reply::json(json!({ "keys": [jwk], "padding": "x".repeat(300_000) }).to_string()),
    ];
    let mut now = T0 + 10 * MINUTE;
    for (index, reply) in bad.into_iter().enumerate() {
        foreign.script.answer("/jwks", reply);
        foreign.room.jwks.warm(now).await;
        assert_eq!(foreign.script.asked("/jwks"), index + 2, "asked again after the cool-down");
        let health = foreign.room.jwks.health(now);
        assert!(health[0].usable && health[0].last_error.is_some(), "{index}: {health:?}");
        foreign.show(&lasting(&foreign, &foreign.key, now), now).await.unwrap();
        now += COOL_DOWN_MS;
    }
}

#[tokio::test]
async fn the_last_good_set_serves_for_a_day_and_no_longer() {
    let foreign = Foreign::start().await;
    foreign.present(json!({})).await.unwrap();
    foreign.script.answer("/jwks", Reply::status(500));
    let end = T0 + SERVES_ON_MS;
    let token = lasting(&foreign, &foreign.key, end - 1000);
    foreign.show(&token, end - 1000).await.unwrap();
    foreign.show(&token, end - 1).await.unwrap();
    assert_eq!(foreign.show(&token, end).await.unwrap_err(), AuthFailure::KeysUnavailable, "also if remembered");
}

#[tokio::test]
async fn a_removed_key_ends_remembered_tokens_and_an_added_one_does_not() {
    let foreign = Foreign::start().await;
    let token = lasting(&foreign, &foreign.key, T0);
    let before = foreign.show(&token, T0).await.unwrap();
    let new = TestKey::new("k2", "ES256");
    foreign.script.publish("", &[&foreign.key, &new]);
    let (added, removed) = (T0 + 10 * MINUTE, T0 + 20 * MINUTE);
    foreign.room.jwks.warm(added).await;
    assert!(Arc::ptr_eq(&before, &foreign.show(&token, added).await.unwrap()));
    foreign.script.publish("", &[&new]);
    foreign.room.jwks.warm(removed).await;
    assert_eq!(fault(&foreign.show(&token, removed).await), TokenFault::UnknownKey);
    foreign.show(&lasting(&foreign, &new, T0), removed).await.unwrap();
}

#[tokio::test]
async fn another_key_under_an_old_name_ends_what_the_old_one_signed() {
    let foreign = Foreign::start().await;
    let token = lasting(&foreign, &foreign.key, T0);
    foreign.show(&token, T0).await.unwrap();
    let replaced = TestKey::new("k1", "ES256");
    foreign.script.publish("", &[&replaced]);
    let now = T0 + 10 * MINUTE;
    foreign.room.jwks.warm(now).await;
    assert_eq!(fault(&foreign.show(&token, now).await), TokenFault::Signature);
    foreign.show(&lasting(&foreign, &replaced, T0), now).await.unwrap();
}

#[tokio::test]
async fn an_empty_set_takes_every_key_away() {
    let foreign = Foreign::start().await;
    let token = lasting(&foreign, &foreign.key, T0);
    foreign.show(&token, T0).await.unwrap();
    foreign.script.publish("", &[]);
    let now = T0 + 10 * MINUTE;
    foreign.room.jwks.warm(now).await;
    assert_eq!(fault(&foreign.show(&token, now).await), TokenFault::UnknownKey);
    assert!(!foreign.room.jwks.health(now)[0].usable);
}

#[tokio::test]
async fn an_answer_says_when_to_ask_again_within_bounds() {
    for (cache, due) in [
        (None, 10 * MINUTE),
        (Some("max-age=1"), MINUTE),
        (Some("max-age=300"), 5 * MINUTE),
        (Some("public, max-age=86400"), 15 * MINUTE),
        (Some("no-store"), MINUTE),
    ] {
        let foreign = Foreign::start().await;
        foreign.script.answer("/jwks", Reply { cache, ..Reply::json(jwks_of(&[&foreign.key])) });
        for (now, asked) in [(T0, 1), (T0 + due - 1, 1), (T0 + due, 2)] {
            foreign.room.jwks.warm(now).await;
            assert_eq!(foreign.script.asked("/jwks"), asked, "{cache:?} {}", now - T0);
        }
    }
}

#[tokio::test]
async fn a_reload_keeps_the_keys_of_issuers_it_does_not_move() {
    let mut foreign = Foreign::start().await;
    foreign.present(json!({})).await.unwrap();
    foreign.room.reconfigure(|deployment| deployment.issuers.values_mut().for_each(|issuer| issuer.groups = None));
    foreign.present(json!({})).await.unwrap();
    assert_eq!(foreign.script.asked("/jwks"), 1);
    foreign.script.answer("/elsewhere", Reply::json(jwks_of(&[])));
    let elsewhere = format!("{}/elsewhere", foreign.script.origin);
    foreign.room.reconfigure(|deployment| {
        deployment.issuers.values_mut().for_each(|issuer| issuer.jwks_uri = Some(elsewhere.clone()));
    });
    assert_eq!(fault(&foreign.present(json!({})).await), TokenFault::UnknownKey, "the old place counts no more");
    foreign.room.reconfigure(|deployment| deployment.issuers.clear());
    assert!(foreign.room.jwks.health(T0).is_empty());
}

#[tokio::test]
async fn a_token_causes_no_fetch_of_what_it_names() {
    let foreign = Foreign::start().await;
    let thief = TestKey::new("k9", "ES256");
    let jku = format!("{}/thief", foreign.script.origin);
    foreign.script.answer("/thief", Reply::json(jwks_of(&[&thief])));
    let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": "k9", "jku": jku, "x5u": jku, "jwk": thief.jwk() });
    let token = thief.raw(&header.to_string(), &foreign.claims(&json!({})).to_string());
    assert_eq!(fault(&foreign.show(&token, T0).await), TokenFault::UnknownKey);
    assert!(!foreign.script.asked_paths().contains(&"/thief".to_owned()));
}

fn usable(jwks: &Value) -> usize {
    let all = [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa].into();
    parse::key_set(jwks.to_string().as_bytes(), &all).unwrap().len()
}

fn changed(jwk: &Value, changes: &Value) -> Value {
    let mut jwk = jwk.clone();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            jwk.as_object_mut().unwrap().remove(name);
        } else {
            jwk[name] = value.clone();
        }
    }
    jwk
}

#[test]
fn only_public_signature_keys_of_a_known_kind_count() {
    let (ec, rsa, ed) = (TestKey::new("e", "ES256"), TestKey::new("r", "RS256"), TestKey::new("d", "EdDSA"));
    let short = URL_SAFE_NO_PAD.encode([0xff_u8; 128]);
    let padded = URL_SAFE_NO_PAD
        .encode([&[0_u8; 2], URL_SAFE_NO_PAD.decode(rsa.jwk()["n"].as_str().unwrap()).unwrap().as_slice()].concat());
    for (key, changes, counts) in [
        (&ec, json!({}), 1),
        (&ec, json!({ "kid": null }), 1),
        (&ec, json!({ "alg": null, "use": null }), 1),
        (&ec, json!({ "use": null, "key_ops": ["verify"] }), 1),
        (&ec, json!({ "use": "enc" }), 0),
        (&ec, json!({ "use": ["sig"] }), 0),
        (&ec, json!({ "use": null, "key_ops": ["sign"] }), 0),
        (&ec, json!({ "use": null, "key_ops": "verify" }), 0),
        (&ec, json!({ "d": "AAAA" }), 0),
        (&ec, json!({ "kid": 7 }), 0),
        (&ec, json!({ "alg": "ES384" }), 0),
        (&ec, json!({ "alg": "RS256" }), 0),
        (&ec, json!({ "alg": "HS256", "kty": "oct", "k": "AAAA" }), 0),
        (&ec, json!({ "alg": null, "kty": "oct", "k": "AAAA" }), 0),
        (&ec, json!({ "crv": "P-384" }), 0),
        (&ec, json!({ "x": "AAAA" }), 0),
        (&ec, json!({ "y": URL_SAFE_NO_PAD.encode([1_u8; 32]) }), 0),
        (&ec, json!({ "x": null }), 0),
        (&ed, json!({}), 1),
        (&ed, json!({ "alg": "Ed25519" }), 1),
        (&ed, json!({ "crv": "X25519" }), 0),
        (&ed, json!({ "x": "AAAA" }), 0),
        (&rsa, json!({}), 1),
        (&rsa, json!({ "alg": "PS256" }), 1),
        (&rsa, json!({ "n": padded }), 1),
        (&rsa, json!({ "alg": "RSA-OAEP", "use": "enc" }), 0),
        (&rsa, json!({ "n": short }), 0),
        (&rsa, json!({ "e": "AQ" }), 0),
        (&rsa, json!({ "e": "Ag" }), 0),
        (&rsa, json!({ "e": "" }), 0),
    ] {
        let jwks = json!({ "keys": [changed(&key.jwk(), &changes)] });
        assert_eq!(usable(&jwks), counts, "{} {changes}", key.kid);
    }
    let one_of_two = json!({ "keys": [ec.jwk(), { "kty": "unknown" }] });
    assert_eq!(usable(&one_of_two), 1, "a key that cannot be used does no harm");
}

#[tokio::test]
async fn two_keys_under_one_name_cancel_each_other() {
    let foreign = Foreign::start().await;
    let twin = TestKey::new("k1", "ES256");
    foreign.script.publish("", &[&foreign.key, &twin, &foreign.key]);
    for key in [&foreign.key, &twin] {
        assert_eq!(fault(&foreign.show(&lasting(&foreign, key, T0), T0).await), TokenFault::UnknownKey);
    }
    assert_eq!(usable(&json!({ "keys": [twin.jwk(), twin.jwk()] })), 1, "one key twice is one key");
}

#[tokio::test]
async fn without_a_key_id_only_a_single_key_will_do() {
    let foreign = Foreign::start().await;
    let header = json!({ "alg": "ES256", "typ": "at+jwt" }).to_string();
    let token = foreign.key.raw(&header, &foreign.claims(&json!({})).to_string());
    foreign.script.publish("", &[&foreign.key, &TestKey::new("r", "RS256")]);
    foreign.show(&token, T0).await.unwrap();
    foreign.script.publish("", &[&foreign.key, &TestKey::new("k2", "ES256")]);
    foreign.room.jwks.warm(T0 + 10 * MINUTE).await;
    let again = foreign.key.raw(&header, &foreign.claims(&json!({ "exp": T0 / 1000 + 3600, "jti": "j2" })).to_string());
    assert_eq!(fault(&foreign.show(&again, T0 + 10 * MINUTE).await), TokenFault::UnknownKey);
}

proptest! {
    #[test]
    fn any_document_is_read_without_a_panic(document in any_json(), keys in proptest::collection::vec(any_json(), 0..4)) {
        let all: BTreeSet<_> = [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa].into();
        let _ = parse::key_set(document.to_string().as_bytes(), &all);
        let set = parse::key_set(json!({ "keys": keys }).to_string().as_bytes(), &all).unwrap();
        prop_assert!(set.len() <= keys.len());
    }
}
