//! What is let go of at the beginning: only what may go, and only if the trail says so.

use std::{path::Path, sync::Arc};

use ambit_ledger::{
    segment::first_leaf_of,
    verify::{LETS_GO, Report, Trusted, Verdict},
};
use ambit_model::event::{Act, Event, RequestId, VERSION};

use super::support::*;
use crate::{
    Durability, Files as _, Keys, Reader, Record, Trail, export, testing::FaultFiles, verify_directory, verify_export,
};

fn directory() -> &'static Path {
    Path::new(DIRECTORY)
}

fn verify(files: &FaultFiles) -> Report {
    let trusted = Trusted { key: Some(key().verifying().clone()), checkpoint: None };
    verify_directory(files, directory(), trusted).unwrap()
}

/// The act, as the keeper of the retention writes it.
fn act(by: &str, first: u64) -> Record {
    let event = Event::Act(Act {
        v: VERSION,
        request: RequestId(2),
        at: NOW,
        by,
        act: LETS_GO,
        subject: "trail n1",
        before: None,
        after: Some(serde_json::json!({"first": first})),
        reason: None,
    });
    Record { bytes: event.to_bytes(), at: NOW, keys: Keys::of(&event), durability: Durability::Synced }
}

/// Fills more than four segments.
async fn fill(trail: &Trail) {
    let text = "x".repeat(16 * 1024);
    for n in 0..70 {
        append(trail, note(&format!("{n} {text}"), Durability::Synced)).await;
    }
}

fn segments(files: &FaultFiles) -> Vec<u64> {
    let mut all: Vec<_> = files.list(directory()).unwrap().iter().filter_map(|name| first_leaf_of(name)).collect();
    all.sort_unstable();
    all
}

/// A checkpoint that covers everything lies in the directory once the trail was closed.
async fn reopened(files: &FaultFiles, trail: Trail) -> Trail {
    trail.close().await;
    drop(trail);
    open(files)
}

#[tokio::test]
async fn only_whole_old_segments_that_are_signed_for_may_go() {
    let files = FaultFiles::new();
    let trail = open(&files);
    fill(&trail).await;
    let trail = reopened(&files, trail).await;
    let begins = segments(&files);
    assert!(begins.len() >= 5, "{begins:?}");
    // Nothing is old; or a segment all but its last record.
    assert_eq!(trail.expired(0).unwrap(), None);
    assert_eq!(trail.expired(begins[1] - 1).unwrap(), None);
    for (below, first) in [(begins[1], begins[1]), (begins[2] - 1, begins[1]), (begins[2], begins[2])] {
        let expired = trail.expired(below).unwrap().unwrap();
        assert_eq!(expired.first, first, "{below}");
        assert_eq!(expired.segments.len(), begins.iter().position(|begin| *begin == first).unwrap());
    }
    // The last two stay whatever is asked.
    let expired = trail.expired(u64::MAX).unwrap().unwrap();
    assert_eq!(expired.first, begins[begins.len() - 2]);
    assert_eq!(segments(&files), begins, "looking removes nothing");
    trail.close().await;
}

#[tokio::test]
async fn a_beginning_that_is_missing_has_to_be_accounted_for_in_the_trail() {
    for (said, stands) in
        [(None, false), (Some(("ambit", 0)), true), (Some(("ambit", 1)), false), (Some(("mallory", 0)), false)]
    {
        let files = FaultFiles::new();
        let trail = open(&files);
        fill(&trail).await;
        let trail = reopened(&files, trail).await;
        let expired = trail.expired(u64::MAX).unwrap().unwrap();
        if let Some((by, less)) = said {
            append(&trail, act(by, expired.first - less)).await;
        }
        trail.let_go(&expired).unwrap();
        trail.let_go(&expired).unwrap();
        assert_eq!(segments(&files)[0], expired.first);
        trail.close().await;
        let report = verify(&files);
        assert_eq!(report.first, expired.first);
        if stands {
            assert_eq!(report.verdict, Verdict::Verified, "{report}");
            let note = format!("it is complete from record {} on", expired.first);
            assert!(report.notes.iter().any(|said| said.starts_with(&note)), "{report}");
        } else {
            assert_eq!(report.verdict, Verdict::Failed, "{said:?}: {report}");
            let what = format!("the records 0 to {} are missing, and no record here says", expired.first - 1);
            assert!(report.to_string().contains(&what), "{report}");
        }
        // An export of what is left says the same.
        let mut out = Vec::new();
        export(Arc::new(files.clone()), directory(), &mut out).unwrap();
        let trusted = Trusted { key: Some(key().verifying().clone()), checkpoint: None };
        let exported = verify_export(&mut out.as_slice(), trusted).unwrap();
        assert_eq!((exported.verdict, exported.first), (report.verdict, report.first), "{exported}");
    }
}

#[tokio::test]
async fn a_trail_without_its_beginning_goes_on_and_lets_go_again() {
    let files = FaultFiles::new();
    let mut trail = open(&files);
    let mut first = 0;
    for _ in 0..2 {
        fill(&trail).await;
        trail = reopened(&files, trail).await;
        let expired = trail.expired(u64::MAX).unwrap().unwrap();
        assert!(expired.first > first);
        first = expired.first;
        append(&trail, act("ambit", first)).await;
        trail.let_go(&expired).unwrap();
    }
    // The act of the first time is gone with its segment, or says less than is missing: the second one counts.
    let trail = reopened(&files, trail).await;
    append(&trail, note("later", Durability::Synced)).await;
    trail.close().await;
    let report = verify(&files);
    assert_eq!((report.verdict, report.first), (Verdict::Verified, first), "{report}");
    assert!(Reader::open(Arc::new(files.clone()), directory(), first).unwrap().next().unwrap().is_some());
    assert!(Reader::open(Arc::new(files.clone()), directory(), first - 1).is_err());
}

#[tokio::test]
async fn a_segment_taken_out_of_the_middle_is_no_letting_go() {
    let files = FaultFiles::new();
    let trail = open(&files);
    fill(&trail).await;
    let trail = reopened(&files, trail).await;
    append(&trail, act("ambit", u64::MAX)).await;
    trail.close().await;
    let names: Vec<_> = {
        let mut names: Vec<_> =
            files.list(directory()).unwrap().into_iter().filter(|n| first_leaf_of(n).is_some()).collect();
        names.sort();
        names
    };
    files.remove(&directory().join(&names[1])).unwrap();
    assert_eq!(verify(&files).verdict, Verdict::Failed);
}
