//! What a refused call is told.

use serde_json::{Value, json};

use super::{allowed, constraint};

type Case<'c> = (&'c Value, Value, &'c str, &'c str);

fn refused(cases: Vec<Case<'_>>) {
    for (factors, arguments, pointer, sentence) in cases {
        let violation = allowed(factors).check(&arguments).expect_err(&arguments.to_string());
        assert_eq!((violation.pointer.as_str(), violation.sentence.as_str()), (pointer, sentence), "{arguments}");
    }
}

#[test]
fn a_refusal_names_the_argument_its_value_and_what_is_allowed() {
    let staging = json!([[{"properties": {"environment": {"enum": ["staging", "test"]}}}]]);
    let limits = json!([[{"properties": {"count": {"type": "integer", "minimum": 1, "maximum": 100}}}]]);
    let union = json!([[{"properties": {"q": {"pattern": "^a$"}}}, {"properties": {"q": {"type": "null"}}}]]);
    let together = json!([[
        {"properties": {"env": {"const": "staging"}, "action": {"enum": ["restart", "stop"]}}},
        {"properties": {"env": {"const": "production"}, "action": {"const": "restart"}}},
    ]]);
    refused(vec![
        (
            &staging,
            json!({"environment": "production"}),
            "/environment",
            "argument `environment` is `production`, but must be `staging` or `test`; change it and call again",
        ),
        (
            &staging,
            json!({}),
            "/environment",
            "argument `environment` is missing and must be `staging` or `test`; add it and call again",
        ),
        (
            &staging,
            json!({"environment": null}),
            "/environment",
            "argument `environment` is `null`, but must be `staging` or `test`; change it and call again",
        ),
        (&staging, json!("x"), "", "the arguments must be an object; correct them and call again"),
        (
            &limits,
            json!({"count": 500}),
            "/count",
            "argument `count` is `500`, but must be a whole number of at least `1` and of at most `100`; change it and call again",
        ),
        (
            &limits,
            json!({"count": "5"}),
            "/count",
            "argument `count` is `\"5\"`, but must be a whole number of at least `1` and of at most `100`; change it and call again",
        ),
        (
            &union,
            json!({"q": "b"}),
            "/q",
            "argument `q` is `b`, but must be a text that matches `^a$` or `null`; change it and call again",
        ),
        (
            &together,
            json!({"env": "test", "action": "stop"}),
            "/env",
            "argument `env` is `test`, but must be `production` or `staging`; change it and call again",
        ),
        (
            &together,
            json!({"env": "production", "action": "stop"}),
            "",
            "these arguments are allowed by themselves but not together; allowed is (1) `action` must be `restart` or `stop` and `env` must be `staging`, or (2) `action` must be `restart` and `env` must be `production`; change them to fit one and call again",
        ),
    ]);
}

#[test]
fn a_refusal_names_the_innermost_place() {
    let nested = json!([[{"properties": {"options": {"properties": {
        "region": {"pattern": "^eu-"}, "force": false, "tags": {"items": {"enum": ["a", "b"]}, "maxItems": 2}}}}}]]);
    refused(vec![
        (
            &nested,
            json!({"options": {"region": "us-1", "tags": []}}),
            "/options/region",
            "argument `region` in `options` is `us-1`, but must be a text that matches `^eu-`; change it and call again",
        ),
        (
            &nested,
            json!({"options": {"region": "eu-1", "force": true, "tags": []}}),
            "/options/force",
            "argument `force` in `options` may not be given; leave it out and call again",
        ),
        (
            &nested,
            json!({"options": {"region": "eu-1"}}),
            "/options/tags",
            "argument `tags` in `options` is missing and must be a list of at most 2 elements in which each is `a` or `b`; add it and call again",
        ),
        (
            &nested,
            json!({"options": {"region": "eu-1", "tags": ["a", "c"]}}),
            "/options/tags/1",
            "argument element 2 of `tags` in `options` is `c`, but must be `a` or `b`; change it and call again",
        ),
        (
            &nested,
            json!({"options": 1}),
            "/options",
            "argument `options` is `1`, but must be an object in which `force` must be left out, `region` must be a text that matches `^eu-` and `tags` must be a list of at most 2 elements in which each is `a` or `b`; change it and call again",
        ),
    ]);
}

#[test]
fn what_a_caller_wrote_stays_on_one_line_and_bounded() {
    let only = allowed(&json!([[{"properties": {"a": {"const": 1}}}]]));
    let violation = only.check(&json!({"a": format!("`\n\u{7}{}", "x".repeat(10_000))})).unwrap_err();
    assert!(violation.sentence.starts_with("argument `a` is `'\\n\\u{7}xxx"), "{violation}");
    assert!(violation.sentence.len() < 250 && !violation.sentence.contains('\n'), "{violation}");
    let many: Vec<_> = (0..200).map(|n| format!("value-{n}")).collect();
    let long = allowed(&json!([[{"properties": {"a": {"enum": many}}}]]));
    let violation = long.check(&json!({"a": "other"})).unwrap_err();
    assert!(violation.sentence.contains("one of 200 values such as `value-0`"), "{violation}");
}

#[test]
fn the_check_is_what_the_constraint_says() {
    let fragment = json!({"properties": {"a": {"const": 1}}});
    for arguments in [json!({"a": 1}), json!({"a": 2}), json!({})] {
        let one = constraint("g", &fragment).accepts(&arguments);
        assert_eq!(allowed(&json!([[fragment]])).check(&arguments).is_ok(), one);
    }
}
