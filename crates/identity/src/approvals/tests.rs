use serde_json::json;

use super::{ask::retry_after_ms, show::differences};

#[test]
fn differences_are_named_by_their_place() {
    let before = json!({"id": "a", "tags": ["x", "y"], "same": {"deep": 1}, "gone/~": true});
    let now = json!({"id": "b", "tags": ["x"], "same": {"deep": 1}, "new": null});
    let found = differences(&before, &now);
    let shown: Vec<_> =
        found.iter().map(|one| (one.pointer.as_str(), one.before.as_deref(), one.now.as_deref())).collect();
    assert_eq!(
        shown,
        [
            ("/gone~1~0", Some("true"), None),
            ("/id", Some("\"a\""), Some("\"b\"")),
            ("/new", None, Some("null")),
            ("/tags/1", Some("\"y\""), None),
        ]
    );
    assert!(differences(&now, &now).is_empty());
}

#[test]
fn whoever_hammers_is_told_to_wait_longer() {
    let waits: Vec<_> = (0..8).map(|asked| retry_after_ms(asked, 900_000)).collect();
    assert_eq!(waits, [5_000, 5_000, 10_000, 20_000, 40_000, 80_000, 120_000, 120_000]);
    assert_eq!(retry_after_ms(u64::MAX, 900_000), 120_000);
    assert_eq!(retry_after_ms(9, 3_000), 3_000, "never longer than the request is open");
    assert_eq!(retry_after_ms(9, -5), 1_000);
}
