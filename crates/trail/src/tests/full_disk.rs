//! A disk without room: nothing more is taken, what was taken is kept, and it goes on when there is room.

use std::time::Duration;

use super::support::*;
use crate::{
    AppendError, Durability, Settings, Unavailable,
    testing::{FaultFiles, Unsynced},
};

const SEGMENT: u64 = 256 * 1024;

fn long_note(n: u64) -> crate::Record {
    note(&format!("{n} {}", "x".repeat(8000)), Durability::Synced)
}

/// Fills the prepared room until nothing more can be reserved; returns how many records were acknowledged.
async fn fill(trail: &crate::Trail) -> u64 {
    for n in 0..1000 {
        match trail.reserve(1) {
            Ok(mut reservation) => {
                assert_eq!(reservation.append(long_note(n)).await, Ok(n), "what is reserved is kept");
            }
            Err(Unavailable::Unwritable { why }) => {
                assert!(why.contains("free space"), "{why}");
                return n;
            }
            Err(other) => panic!("{other}"),
        }
        if n > 5 {
            // The keeper looks around once a second, and whenever a segment is full.
            trail.shared().prepare();
        }
    }
    panic!("never full");
}

#[tokio::test]
async fn without_room_for_the_next_segment_it_stops_while_what_is_reserved_still_fits() {
    let files = FaultFiles::new();
    files.limit_space(Some(SEGMENT + 64 * 1024));
    let trail = open(&files);
    let mut early = trail.reserve(3).unwrap();
    let acknowledged = fill(&trail).await;
    assert!(!trail.is_writable());
    assert!(acknowledged > 10, "the room that was there is used: {acknowledged}");
    // Reserved before: still kept.
    for n in 0..3 {
        assert_eq!(early.append(long_note(n)).await, Ok(acknowledged + n));
    }
    assert_eq!(read_all(&files.crash(Unsynced::Dropped)).len() as u64, acknowledged + 3);
    assert!(matches!(trail.recover(), Err(Unavailable::Unwritable { .. })), "still no room");

    files.limit_space(None);
    trail.recover().unwrap();
    assert!(trail.is_writable());
    for n in 0..50 {
        append(&trail, long_note(n)).await;
    }
    trail.close().await;
    let crashed = files.crash(Unsynced::Dropped);
    assert_eq!(read_all(&crashed).len() as u64, acknowledged + 53);
    open(&crashed).close().await;
}

#[tokio::test]
async fn it_takes_records_again_by_itself_when_there_is_room() {
    let files = FaultFiles::new();
    files.limit_space(Some(SEGMENT + 64 * 1024));
    let settings = Settings { checkpoint_every: Duration::from_millis(20), ..settings(DIRECTORY) };
    let trail = open_with(&files, settings).unwrap();
    fill(&trail).await;
    files.limit_space(None);
    eventually("writable again", || trail.is_writable()).await;
    append(&trail, long_note(0)).await;
    trail.close().await;
}

#[tokio::test]
async fn a_failed_write_is_not_acknowledged_and_leaves_no_trace() {
    let files = FaultFiles::new();
    let trail = open(&files);
    append(&trail, note("before", Durability::Synced)).await;
    let mut late = trail.reserve(1).unwrap();
    files.fail_writes(true);
    for durability in [Durability::Written, Durability::Synced] {
        let Ok(mut reservation) = trail.reserve(1) else { continue };
        let failed = reservation.append(note("failed", durability)).await;
        assert!(matches!(failed, Err(AppendError::Unwritable { .. })), "{failed:?}");
    }
    assert!(matches!(trail.reserve(1), Err(Unavailable::Unwritable { .. })));
    assert!(matches!(late.append(note("late", Durability::Synced)).await, Err(AppendError::Unwritable { .. })));
    assert!(trail.recover().is_err());

    files.fail_writes(false);
    trail.recover().unwrap();
    assert_eq!(append(&trail, note("after", Durability::Synced)).await, 1, "the failed ones have no number");
    trail.close().await;
    assert_eq!(gists(&files.crash(Unsynced::Dropped)), ["before", "after"]);
}

#[tokio::test]
async fn a_half_written_record_is_blanked_before_the_next_one() {
    let files = FaultFiles::new();
    let settings = Settings { checkpoint_every: Duration::from_hours(1), ..settings(DIRECTORY) };
    let trail = open_with(&files, settings).unwrap();
    append(&trail, note("before", Durability::Synced)).await;
    eventually("the spare is ready", || trail.shared().writer.lock().unwrap().spare.is_some()).await;
    // A segment that grows as it is written, on a disk with room for half of the record.
    {
        let mut writer = trail.shared().writer.lock().unwrap();
        let spare = writer.spare.take();
        drop(spare);
    }
    for n in 0..40 {
        let half_a_record_in_a_new_segment = 4096 + 3000;
        files.limit_space(Some(files.used() + half_a_record_in_a_new_segment));
        let failed = trail.reserve(1).unwrap().append(long_note(n)).await;
        files.limit_space(None);
        if failed.is_err() {
            trail.recover().unwrap();
            append(&trail, note("after", Durability::Synced)).await;
            trail.close().await;
            let crashed = files.crash(Unsynced::Dropped);
            let last = gists(&crashed).pop();
            assert_eq!(last.as_deref(), Some("after"));
            assert_eq!(open(&crashed).recovery().torn_bytes, 0);
            return;
        }
    }
    panic!("no write failed");
}

#[tokio::test]
async fn an_outcome_that_could_not_be_written_is_written_when_there_is_room() {
    let files = FaultFiles::new();
    let trail = open(&files);
    let call = Call::by(7, "local:alice");
    let mut reservation = trail.reserve(2).unwrap();
    reservation.append(call.intent(Durability::Synced)).await.unwrap();
    files.fail_writes(true);
    assert!(reservation.append(call.outcome(Durability::Synced)).await.is_err());
    drop(reservation);
    files.fail_writes(false);
    trail.recover().unwrap();
    append(&trail, note("after", Durability::Synced)).await;
    eventually("all places are given back", || trail.shared().places.taken() == 0).await;
    trail.close().await;
    assert_eq!(gists(&files), ["intent", "outcome", "after"]);
    assert_eq!(open(&files).recovery().closed, 0);
}
