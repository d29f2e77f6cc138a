use serde_json::json;

use super::{
    ask::{crowded_wait_ms, retry_after_ms},
    show::differences,
};

#[test]
fn differences_are_named_by_their_place() {
    let before = json!({"id": "a", "tags": ["x", "y"], "same": {"deep": 1}, "gone/~": true});
    let now = json!({"id": "b", "tags": ["x"], "same": {"deep": 1}, "new": null});
    let found = differences(&before, &now);
    let shown: Vec<_> =
        found.listed.iter().map(|one| (one.pointer.as_str(), one.before.as_deref(), one.now.as_deref())).collect();
    assert_eq!(
        shown,
        [
            ("/gone~1~0", Some("true"), None),
            ("/id", Some("\"a\""), Some("\"b\"")),
            ("/new", None, Some("null")),
            ("/tags/1", Some("\"y\""), None),
        ]
    );
    assert_eq!(found.more, 0);
    assert!(differences(&now, &now).are_none());
}

#[test]
fn differences_beyond_what_is_listed_are_counted() {
    let many = |what: &str| json!((0..130).map(|number| format!("{what} {number}")).collect::<Vec<_>>());
    let found = differences(&many("a"), &many("b"));
    assert_eq!((found.listed.len(), found.more), (100, 30));
    assert!(!found.are_none());
}

#[test]
fn what_nobody_sees_makes_a_difference_that_everybody_sees() {
    let found = differences(&json!({"path": "a.txt"}), &json!({"path": "a\u{200b}.txt", "k\u{202e}": 1}));
    let shown: Vec<_> = found.listed.iter().map(|one| (one.pointer.as_str(), one.now.as_deref())).collect();
    assert_eq!(shown, [("/k\\u202e", Some("1")), ("/path", Some(r#""a\u200b.txt""#))]);
}

#[test]
fn whoever_hammers_is_told_to_wait_longer() {
    let waits: Vec<_> = (0..8).map(|asked| retry_after_ms(asked, 900_000)).collect();
    assert_eq!(waits, [5_000, 5_000, 10_000, 20_000, 40_000, 80_000, 120_000, 120_000]);
    assert_eq!(retry_after_ms(u64::MAX, 900_000), 120_000);
    assert_eq!(retry_after_ms(9, 3_000), 3_000, "never longer than the request is open");
    assert_eq!(retry_after_ms(9, -5), 1_000);
}

#[test]
fn whoever_has_too_many_open_waits_longer_each_time_they_come_back() {
    let (mut now, mut waits) = (0, Vec::new());
    for _ in 0..6 {
        let wait = crowded_wait_ms(now, 0);
        waits.push(wait);
        now += wait;
    }
    assert_eq!(waits, [20_000, 20_000, 40_000, 80_000, 120_000, 120_000]);
    assert_eq!(crowded_wait_ms(0, 5_000), 20_000, "by a clock that was set back");
}
