//! The end of a trail and what follows it; the keys of events.

use std::{path::Path, sync::Arc};

use ambit_model::event::RequestId;

use super::support::*;
use crate::{Durability, Keys, Peek, ReadError, parse_request, tail, testing::FaultFiles};

#[tokio::test]
async fn the_last_records_are_read_and_then_those_that_follow() {
    let files = FaultFiles::new();
    let trail = open(&files);
    for n in 0..120 {
        append(&trail, note(&format!("{n} {}", "x".repeat(5000)), Durability::Written)).await;
    }
    let shared: Arc<dyn crate::Files> = Arc::new(files.clone());
    for (last, first) in [(0, 120), (1, 119), (60, 60), (120, 0), (1000, 0)] {
        let (records, _) = tail(shared.clone(), Path::new(DIRECTORY), last).unwrap();
        assert_eq!(records.len() as u64, 120 - first);
        assert_eq!(records.first().map_or(120, |stored| stored.leaf), first);
    }
    let (_, mut following) = tail(shared.clone(), Path::new(DIRECTORY), 0).unwrap();
    assert!(following.next().unwrap().is_none());
    // Enough to turn the page more than once while following.
    for n in 120..240 {
        append(&trail, note(&format!("{n} {}", "x".repeat(5000)), Durability::Written)).await;
        let stored = following.next().unwrap().unwrap();
        assert_eq!((stored.leaf, gist(&stored).starts_with(&format!("{n} "))), (n, true));
        assert!(following.next().unwrap().is_none());
    }
    trail.close().await;
}

#[test]
fn a_place_without_a_trail_is_said() {
    let files: Arc<dyn crate::Files> = Arc::new(FaultFiles::new());
    assert!(matches!(tail(files, Path::new("/nowhere"), 5), Err(ReadError::Nothing(_))));
}

#[test]
fn a_reader_finds_in_an_event_the_keys_it_was_indexed_by() {
    let call = Call::by(5, "local:alice");
    let intent = call.intent(Durability::Written);
    let peek = Peek::read(&intent.bytes).unwrap();
    assert_eq!(peek.keys(), intent.keys);
    assert_eq!(peek.request, RequestId(5));
    assert!(!peek.leans_on_intent());
    let keys = &intent.keys;
    assert_eq!(
        [&keys.subject, &keys.client, &keys.tool, &keys.endpoint, &keys.decision].map(|key| key.as_deref().unwrap()),
        ["local:alice", "c1", "mux/get-asset", "default", "allow"]
    );
    let outcome = call.outcome(Durability::Written);
    let peek = Peek::read(&outcome.bytes).unwrap();
    assert!(peek.leans_on_intent());
    assert_eq!(peek.keys(), Keys { endpoint: Some("default".into()), ..Keys::default() });
    let act = note("user local:bob", Durability::Synced);
    assert_eq!(act.keys.subject.as_deref(), Some("local:bob"));
    assert_eq!(Peek::read(&act.bytes).unwrap().keys(), act.keys);
}

#[test]
fn request_ids_are_read_back_and_nothing_else() {
    for request in [RequestId(0), RequestId(1), RequestId(u128::MAX), RequestId(0x1234_5678_9abc_def0)] {
        assert_eq!(parse_request(&request.to_text()), Some(request));
    }
    for bad in ["", "0", &"z".repeat(26), &"0".repeat(27), &"I".repeat(26), &"é".repeat(13)] {
        assert_eq!(parse_request(bad), None, "{bad}");
    }
}
