//! Grants of a factor are united, factors are intersected; contradictions and bounds say so.

use serde_json::{Value, json};

use super::super::{Allowed, Contradiction, Factor, narrow};
use super::{across, allowed, constraint};

fn env(values: &[&str]) -> Value {
    json!({"properties": {"env": {"enum": values}}})
}

#[test]
fn grants_of_a_factor_add_up_and_factors_are_intersected() {
    let (dev, test, prod) = (json!({"env": "dev"}), json!({"env": "test"}), json!({"env": "prod"}));
    let verdicts = |factors: Value| {
        let allowed = allowed(&factors);
        [&dev, &test, &prod].map(|arguments| allowed.check(arguments).is_ok())
    };
    assert_eq!(verdicts(json!([])), [true, true, true]);
    assert_eq!(verdicts(json!([[env(&["dev"])]])), [true, false, false]);
    assert_eq!(verdicts(json!([[env(&["dev"]), env(&["test"])]])), [true, true, false]);
    assert_eq!(verdicts(json!([[env(&["dev"]), null]])), [true, true, true], "one grant is unconstrained");
    assert_eq!(verdicts(json!([[env(&["dev", "test"])], [env(&["test", "prod"])]])), [false, true, false]);
    assert_eq!(
        verdicts(json!([[env(&["dev"]), env(&["test"])], [null], [env(&["test", "prod"])]])),
        [false, true, false]
    );
}

#[test]
fn a_factor_without_a_grant_allows_nothing() {
    assert_eq!(across(&json!([[]])), Err(Contradiction::NoGrant));
    assert_eq!(across(&json!([[null], []])), Err(Contradiction::NoGrant));
    assert!(Allowed::across([Factor::unconstrained()]).unwrap().is_anything());
    assert!(Allowed::across([]).unwrap().is_anything());
}

#[test]
fn contradictions_name_both_grants_and_the_argument() {
    let cases = [
        (json!([[env(&["dev"])], [env(&["prod"])]]), "by `g1` `env` must be `dev`, but by `g2` `env` must be `prod`"),
        (
            json!([[{"properties": {"n": {"maximum": 3}}}], [{"properties": {"n": {"exclusiveMinimum": 3}}}]]),
            "by `g2` `n` must be a number above `3`, but by `g1` `n` must be a number of at most `3`",
        ),
        (
            json!([[{"properties": {"force": false}}], [{"required": ["force"]}]]),
            "by `g1` `force` must be left out, but by `g2` `force` must be given",
        ),
        (
            json!([[{"properties": {"o": {"properties": {"r": {"const": "eu"}}}}}],
                   [{"properties": {"o": {"properties": {"r": {"const": "us"}}}}}]]),
            "by `g1` `o` must be an object in which `r` must be `eu`, but by `g2` `o` must be an object in which `r` must be `us`",
        ),
        // Each property has values in common, no combination has.
        (
            json!([[{"properties": {"env": {"const": "dev"}, "r": {"const": "eu"}}},
                    {"properties": {"env": {"const": "prod"}, "r": {"const": "us"}}}],
                   [{"properties": {"env": {"const": "dev"}, "r": {"const": "us"}}}]]),
            "but by `g3`",
        ),
    ];
    for (factors, reason) in cases {
        let error = across(&factors).expect_err(&factors.to_string());
        assert!(error.to_string().contains(reason), "{factors}: {error}");
        assert!(matches!(error, Contradiction::Grants(_)));
    }
}

#[test]
fn too_many_combinations_are_an_error_never_something_wider() {
    let grant = |one: u32, other: u32| json!({"properties": {"a": {"const": one}, "b": {"const": other}}});
    let many: Vec<_> = (0..40).map(|n| grant(n, n)).collect();
    let error = across(&json!([many])).unwrap_err();
    assert_eq!(error, Contradiction::TooMany { what: "combinations", limit: 32 });
    let grants: Vec<_> = (0..65).map(|n| grant(n, n)).collect();
    assert!(matches!(across(&json!([grants])), Err(Contradiction::TooMany { limit: 64, .. })));
    let twenty: Vec<_> = (0..20).map(|n| grant(n, n)).collect();
    let others: Vec<_> = (0..20).map(|n| json!({"properties": {"c": {"const": n}, "d": {"const": n}}})).collect();
    assert!(matches!(across(&json!([twenty, others])), Err(Contradiction::TooMany { limit: 256, .. })));
    // The same number of grants is fine where they differ in one argument.
    let one_argument: Vec<_> = (0..64).map(|n| grant(n, 1)).collect();
    assert!(narrow(&json!({"type": "object"}), &allowed(&json!([one_argument]))).unwrap().exact);
}

#[test]
fn the_text_and_the_digest_depend_on_what_is_allowed_only() {
    let one = allowed(&json!([[env(&["dev"]), env(&["test"])], [env(&["dev"])]]));
    let turned = allowed(&json!([[env(&["dev"])], [env(&["test"]), env(&["dev"]), env(&["dev"])], [null]]));
    assert_eq!(one.digest(), turned.digest());
    assert_eq!(one.canonical(), turned.canonical());
    assert_ne!(one.digest(), allowed(&json!([[env(&["dev"])]])).digest());
    assert_ne!(one.digest(), Allowed::anything().digest());
    assert_eq!(Allowed::anything().canonical(), "[]");
    assert_eq!(one.origins(), ["g1", "g2", "g3"]);
    let renamed = Factor::of([Some(constraint("other", &env(&["dev"])))]);
    let first = Allowed::across([Factor::of([Some(constraint("g", &env(&["dev"])))])]).unwrap();
    assert_eq!(Allowed::across([renamed]).unwrap().digest(), first.digest());
}
