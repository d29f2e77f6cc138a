use super::*;
use crate::verify::Compact;

const HOUR: Millis = 3_600_000;
const T0: Millis = 1_800_000_000_000;

fn open(dir: &tempfile::TempDir) -> Signing {
    Signing::open(dir.path(), T0).unwrap()
}

fn kid_of(signing: &Signing, now: Millis) -> String {
    let token = signing.sign("at+jwt", b"{}", now).unwrap();
    Compact::parse(&token).unwrap().header.kid.unwrap()
}

fn verifies(signing: &Signing, token: &str) -> bool {
    let token = Compact::parse(token).unwrap();
    let keys = signing.verify_keys();
    keys.find(token.header.kid.as_deref(), token.header.algorithm)
        .is_ok_and(|key| key.verify(token.signing_input, &token.signature).is_ok())
}

#[test]
fn a_key_is_next_then_current_then_retiring_then_gone() {
    let dir = tempfile::tempdir().unwrap();
    let signing = open(&dir);
    let first = kid_of(&signing, T0);
    let next = signing.rotate(T0 + HOUR).unwrap();
    assert_ne!(first, next);
    assert_eq!(signing.rotate(T0 + 2 * HOUR).unwrap(), next, "one key waits at a time");
    let before = T0 + HOUR + PUBLISHED_AHEAD_MS - 1;
    assert_eq!(kid_of(&signing, before), first);
    assert!(signing.jwks(before).contains(&next), "published before it signs");
    let token = signing.sign("at+jwt", b"{}", before).unwrap();
    let after = before + 1;
    assert_eq!(kid_of(&signing, after), next);
    assert_eq!(signing.states(after), [(first.clone(), KeyState::Retiring), (next.clone(), KeyState::Current)]);
    signing.tend(after).unwrap();
    let last_life = after + MAX_TOKEN_LIFE_MS + LEEWAY_MS;
    assert!(signing.jwks(last_life).contains(&first) && verifies(&signing, &token));
    let gone = last_life + LEEWAY_MS;
    assert!(!signing.jwks(gone).contains(&first));
    let generation = signing.epoch().generation();
    signing.tend(gone).unwrap();
    assert_eq!(signing.states(gone), [(next, KeyState::Current)]);
    assert!(!verifies(&signing, &token) && !dir.path().join(format!("tokens/{first}.pk8")).exists());
    assert_eq!(signing.epoch().generation(), generation, "a key that ends in time moves nothing");
}

#[test]
fn rotation_comes_by_itself_when_it_is_due() {
    let dir = tempfile::tempdir().unwrap();
    let signing = open(&dir);
    signing.tend(T0 + ROTATE_AFTER_MS - 1).unwrap();
    assert_eq!(signing.states(T0).len(), 1);
    signing.tend(T0 + ROTATE_AFTER_MS).unwrap();
    signing.tend(T0 + ROTATE_AFTER_MS).unwrap();
    assert_eq!(signing.states(T0 + ROTATE_AFTER_MS).len(), 2);
}

#[test]
fn two_nodes_sharing_a_directory_agree() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (open(&dir), open(&dir));
    assert_eq!(kid_of(&one, T0), kid_of(&two, T0));
    let next = one.rotate(T0).unwrap();
    assert_eq!(two.rotate(T0).unwrap(), next);
    let later = T0 + PUBLISHED_AHEAD_MS;
    assert!(verifies(&two, &one.sign("at+jwt", b"{}", later).unwrap()));
    let (key, token) = (kid_of(&one, later), two.sign("at+jwt", b"{}", later).unwrap());
    one.remove(&key, later).unwrap();
    assert!(!verifies(&one, &token) && verifies(&two, &token));
    two.tend(later).unwrap();
    assert!(!verifies(&two, &token));
    assert_eq!(one.epoch().generation(), two.epoch().generation());
}

#[test]
fn nodes_that_start_together_make_one_first_key() {
    let dir = tempfile::tempdir().unwrap();
    let kids: Vec<String> = std::thread::scope(|scope| {
        let nodes: Vec<_> = (0..8).map(|_| scope.spawn(|| kid_of(&open(&dir), T0))).collect();
        nodes.into_iter().map(|node| node.join().unwrap()).collect()
    });
    assert!(kids.iter().all(|kid| *kid == kids[0]), "{kids:?}");
}

#[test]
fn removing_the_current_key_leaves_one_that_signs_and_moves_the_generation() {
    let dir = tempfile::tempdir().unwrap();
    let signing = open(&dir);
    let first = kid_of(&signing, T0);
    let token = signing.sign("at+jwt", b"{}", T0).unwrap();
    signing.remove(&first, T0).unwrap();
    assert!(!verifies(&signing, &token) && !signing.jwks(T0).contains(&first));
    assert!(!dir.path().join(format!("tokens/{first}.pk8")).exists());
    assert_eq!(signing.epoch().generation(), 1);
    assert!(matches!(signing.remove(&first, T0), Err(SigningError::NoSuchKey(_))));
    let next = signing.rotate(T0).unwrap();
    signing.remove(&kid_of(&signing, T0), T0).unwrap();
    assert_eq!(kid_of(&signing, T0), next, "the waiting key steps in");
    assert_eq!(kid_of(&Signing::open(dir.path(), T0).unwrap(), T0), next, "also after a restart");
}

#[test]
fn a_key_id_is_the_thumbprint_of_its_public_key() {
    let dir = tempfile::tempdir().unwrap();
    let jwks: serde_json::Value = serde_json::from_str(&open(&dir).jwks(T0)).unwrap();
    let key = &jwks["keys"][0];
    let members = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, key["x"], key["y"]);
    let digest = ambit_model::Digest::of(members.as_bytes());
    assert_eq!(key["kid"], URL_SAFE_NO_PAD.encode(digest.0));
    assert_eq!(key.as_object().unwrap().len(), 7, "no private member: {key}");
}

#[test]
fn exposed_swapped_and_hostile_files_are_refused() {
    use std::{fs, os::unix::fs::PermissionsExt as _};
    let dir = tempfile::tempdir().unwrap();
    let signing = open(&dir);
    let path = dir.path().join(format!("tokens/{}.pk8", kid_of(&signing, T0)));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(Signing::open(dir.path(), T0), Err(SigningError::Exposed(_))));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let other = EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    fs::write(&path, other.to_pkcs8v1().unwrap().as_ref()).unwrap();
    assert!(matches!(Signing::open(dir.path(), T0), Err(SigningError::Malformed(_))));
    for manifest in [
        "",
        "[]",
        r#"{"version":2,"generation":0,"keys":[]}"#,
        r#"{"version":1,"generation":0,"keys":[{"kid":"../../../etc/passwd","published_at":0,"signs_from":0}]}"#,
    ] {
        fs::write(dir.path().join("tokens/manifest.json"), manifest).unwrap();
        assert!(matches!(Signing::open(dir.path(), T0), Err(SigningError::Malformed(_))), "{manifest}");
        assert!(signing.tend(T0).is_err());
        assert!(signing.sign("at+jwt", b"{}", T0).is_ok(), "what is in memory goes on");
    }
}
