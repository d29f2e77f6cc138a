//! What nobody signed: whatever its form, it is refused, and nothing panics.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::Value;

use super::{super::*, own_claims};
use crate::testing::{Room, T0, any_json, deployment, fault};

/// Runs a property against one room, whose cache is then full of what was refused.
fn against_one_room<S: Strategy>(strategy: S, refuses: impl Fn(&Room, &tokio::runtime::Runtime, S::Value) -> bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let room = Room::new(deployment());
    let mut runner = TestRunner::new(ProptestConfig::with_source_file(file!()));
    runner
        .run(&strategy, |value| {
            prop_assert!(refuses(&room, &runtime, value));
            Ok(())
        })
        .unwrap();
}

#[test]
fn no_altered_token_is_accepted() {
    against_one_room((0_usize..2_000, 0_u8..7), |room, runtime, (at, bit)| {
        let token = room.alice(T0);
        assert!(runtime.block_on(room.at("default", &token, T0)).is_ok());
        let mut bytes = token.into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let Ok(value) = HeaderValue::from_bytes(&[b"Bearer ", bytes.as_slice()].concat()) else { return true };
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value);
        runtime.block_on(room.with("default", &headers, None, T0)).is_err()
    });
}

#[test]
fn any_bytes_are_refused_without_a_panic() {
    let bytes = proptest::collection::vec(any::<u8>(), 0..400);
    against_one_room((bytes, any::<bool>(), "\\PC{0,60}"), |room, runtime, (bytes, as_bearer, query)| {
        let prefix: &[u8] = if as_bearer { b"Bearer " } else { b"" };
        let Ok(value) = HeaderValue::from_bytes(&[prefix, bytes.as_slice()].concat()) else { return true };
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value);
        runtime.block_on(room.with("default", &headers, Some(&query), T0)).is_err()
    });
}

#[test]
fn claims_nobody_signed_are_refused_whatever_they_say() {
    against_one_room((any_json(), any_json(), any::<bool>()), |room, runtime, (header, changes, ours)| {
        let token = room.alice(T0);
        let parts: Vec<&str> = token.split('.').collect();
        let header = if ours { parts[0].to_owned() } else { URL_SAFE_NO_PAD.encode(header.to_string()) };
        let mut claims = own_claims();
        if let Value::Object(changes) = changes {
            claims.extend(changes);
        }
        let claims = URL_SAFE_NO_PAD.encode(Value::Object(claims).to_string());
        let forged = format!("{header}.{claims}.{}", parts[2]);
        runtime.block_on(room.at("default", &forged, T0)).is_err()
    });
}

#[tokio::test]
async fn garbage_drives_no_good_token_out() {
    let room = Room::new(deployment());
    let token = room.alice(T0);
    let caller = room.at("default", &token, T0).await.unwrap();
    let (body, _) = token.rsplit_once('.').unwrap();
    for index in 0..3_000_u32 {
        let signature = URL_SAFE_NO_PAD.encode(Digest::of(&index.to_be_bytes()).0.repeat(2));
        assert_eq!(fault(&room.at("default", &format!("{body}.{signature}"), T0).await), TokenFault::Signature);
    }
    assert!(Arc::ptr_eq(&caller, &room.at("default", &token, T0).await.unwrap()));
    let bad = room.authenticator.bad.len();
    assert!((1..=2 * REMEMBERED_BAD).contains(&bad), "{bad} are remembered, so that each costs one signature check");
}
