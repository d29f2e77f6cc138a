//! What durable means: on disk before it is acknowledged, one sync for all that wait, no acknowledgement after a failed one.

use std::{
    future::Future as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
    time::{Duration, Instant},
};

use super::support::*;
use crate::{
    AppendError, Durability, Settings, Unavailable,
    testing::{FaultFiles, Unsynced},
};

#[tokio::test]
async fn every_acknowledged_synced_record_survives_a_crash_that_drops_what_was_not_synced() {
    let files = FaultFiles::new();
    let trail = open(&files);
    for n in 0..50 {
        let leaf = append(&trail, note(&n.to_string(), Durability::Synced)).await;
        assert_eq!(leaf, n);
        let crashed = files.crash(Unsynced::Dropped);
        assert_eq!(gists(&crashed).len() as u64, n + 1, "right after the acknowledgement of record {n}");
    }
    trail.close().await;
}

#[tokio::test]
async fn a_record_that_is_not_synced_is_not_acknowledged() {
    let files = FaultFiles::new();
    let trail = open(&files);
    eventually("the segments are prepared", || files.syncs() > 2).await;
    files.hold_syncs(true);
    let mut waiting = trail.reserve(1).unwrap().append(note("a", Durability::Synced));
    let early = tokio::time::timeout(Duration::from_millis(100), &mut waiting).await;
    assert!(early.is_err(), "acknowledged before the sync: {early:?}");
    assert!(gists(&files.crash(Unsynced::Dropped)).is_empty());
    files.hold_syncs(false);
    assert_eq!(waiting.await, Ok(0));
    assert_eq!(gists(&files.crash(Unsynced::Dropped)), ["a"]);
    trail.close().await;
}

#[tokio::test]
async fn a_written_record_is_acknowledged_without_a_sync_and_synced_within_the_time_set() {
    let files = FaultFiles::new();
    let trail = open(&files);
    files.hold_syncs(true);
    assert_eq!(append(&trail, note("a", Durability::Written)).await, 0, "no sync is needed for it");
    assert_eq!(gists(&files.crash(Unsynced::Kept)), ["a"], "it is in the file");
    files.hold_syncs(false);
    eventually("the first record is synced", || gists(&files.crash(Unsynced::Dropped)) == ["a"]).await;

    // One at rest, nobody waiting: the time to the disk is what is set, with room for a busy machine.
    let mut worst = Duration::ZERO;
    for n in 1..=5 {
        append(&trail, note(&n.to_string(), Durability::Written)).await;
        let since = Instant::now();
        while gists(&files.crash(Unsynced::Dropped)).len() <= n {
            assert!(since.elapsed() < Duration::from_secs(5), "never synced");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        worst = worst.max(since.elapsed());
    }
    assert!(worst < Duration::from_millis(500), "{worst:?}");
    trail.close().await;
}

#[tokio::test]
async fn a_dropped_future_does_not_lose_the_record() {
    let files = FaultFiles::new();
    let trail = open(&files);
    for (text, durability) in [("a", Durability::Written), ("b", Durability::Synced)] {
        drop(trail.reserve(1).unwrap().append(note(text, durability)));
    }
    // Polled once, then dropped.
    let mut polled = trail.reserve(1).unwrap().append(note("c", Durability::Synced));
    assert!(tokio::time::timeout(Duration::ZERO, &mut polled).await.is_err());
    drop(polled);
    eventually("all three are on disk", || gists(&files.crash(Unsynced::Dropped)) == ["a", "b", "c"]).await;
    eventually("all places are given back", || trail.shared().places.taken() == 0).await;
    trail.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_sync_serves_all_that_wait() {
    let files = FaultFiles::new();
    let trail = open(&files);
    append(&trail, note("first", Durability::Synced)).await;
    eventually("the segments are prepared", || trail.shared().writer.lock().unwrap().spare.is_some()).await;
    files.hold_syncs(true);
    let mut tasks = Vec::new();
    // The first one keeps the commit thread in its sync; the others gather behind it.
    for n in 0..200 {
        let trail = trail.clone();
        tasks.push(tokio::spawn(async move { append(&trail, note(&n.to_string(), Durability::Synced)).await }));
    }
    eventually("all are in line or written", || trail.shared().places.taken() == 200).await;
    let (before, leaves) = (files.syncs(), tasks.len() as u64);
    files.hold_syncs(false);
    let mut seen = Vec::new();
    for task in tasks {
        seen.push(task.await.unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=leaves).collect::<Vec<_>>(), "every record has a leaf of its own");
    let syncs = files.syncs() - before;
    // The held one, one for those that gathered, and those of a checkpoint (history, latest) that may fall in between.
    assert!(syncs <= 8, "{syncs} syncs for 200 records");
    trail.close().await;
}

#[tokio::test]
async fn records_of_all_who_are_ready_are_written_at_once() {
    let files = FaultFiles::new();
    let trail = open(&files);
    let mut context = Context::from_waker(Waker::noop());
    // The spare is made and the first segment filled, so nothing else writes.
    eventually("prepared", || trail.shared().with_writer(|writer| writer.spare.is_some())).await;
    let mut fewest = u64::MAX;
    for _ in 0..50 {
        let before = files.writes();
        // One that is there already was written by the commit thread.
        let begun = (0..32).filter_map(|n| {
            let mut appended = Box::pin(trail.reserve(1).unwrap().append(note(&n.to_string(), Durability::Written)));
            appended.as_mut().poll(&mut context).is_pending().then_some(appended)
        });
        let mut ready: Vec<_> = begun.collect();
        for appended in &mut ready {
            let leaf = std::future::poll_fn(|context| appended.as_mut().poll(context)).await;
            assert!(leaf.is_ok());
        }
        fewest = fewest.min(files.writes() - before);
    }
    // The commit thread writes what it finds in line, and a checkpoint may fall in between: not every time.
    assert_eq!(fewest, 1);
    trail.close().await;
}

struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_waiter_is_woken_once() {
    let files = FaultFiles::new();
    let trail = open(&files);
    let counter = Arc::new(CountingWaker(AtomicUsize::new(0)));
    let waker = Waker::from(counter.clone());
    let mut context = Context::from_waker(&waker);
    for n in 0..20 {
        let mut written = std::pin::pin!(trail.reserve(1).unwrap().append(note("w", Durability::Written)));
        let mut woken = 0;
        // It gives way once. After that it is written where it is polled, or, if another thread is holding the writer at this very
        // moment, by that one; and it may have been written by the commit thread before.
        while written.as_mut().poll(&mut context).is_pending() {
            woken += 1;
            eventually("woken", || counter.0.load(Ordering::SeqCst) == woken).await;
        }
        assert!(woken <= 2, "{n}: {woken}");
        counter.0.store(0, Ordering::SeqCst);
    }
    let mut synced = std::pin::pin!(trail.reserve(1).unwrap().append(note("s", Durability::Synced)));
    if synced.as_mut().poll(&mut context).is_pending() {
        assert!(synced.as_mut().poll(&mut context).is_pending() || counter.0.load(Ordering::SeqCst) == 1);
        eventually("woken", || counter.0.load(Ordering::SeqCst) > 0).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(counter.0.load(Ordering::SeqCst), 1, "once, however often it was polled");
    }
    trail.close().await;
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_and_a_new_process_takes_up_what_is_really_there() {
    let files = FaultFiles::new();
    let trail = open(&files);
    append(&trail, note("kept", Durability::Synced)).await;
    eventually("the segments are prepared", || trail.shared().writer.lock().unwrap().spare.is_some()).await;
    files.fail_syncs(true);
    let lost = trail.reserve(1).unwrap().append(note("lost", Durability::Synced)).await;
    let Err(AppendError::Unwritable { why }) = lost else { panic!("{lost:?}") };
    assert!(why.contains("start ambit again"), "{why}");
    assert!(!trail.is_writable());
    // The disk says it is well again. What it lost it does not bring back, so nothing changes.
    files.fail_syncs(false);
    assert!(matches!(trail.reserve(1), Err(Unavailable::Unwritable { .. })));
    assert!(matches!(trail.recover(), Err(Unavailable::Unwritable { .. })));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!trail.is_writable());
    trail.close().await;
    assert_eq!(trail.checkpoint().size(), 1, "nothing that was not synced is signed for");
    assert_eq!(gists(&files.crash(Unsynced::Dropped)), ["kept"], "the later sync did not save it");

    // A new process reads `lost` from memory, so it writes it again before it counts on it.
    let again = open(&files);
    append(&again, note("next", Durability::Synced)).await;
    again.close().await;
    assert_eq!(gists(&files.crash(Unsynced::Dropped)), ["kept", "lost", "next"]);
}

#[tokio::test]
async fn records_that_were_written_before_a_failed_sync_fail_too() {
    let files = FaultFiles::new();
    let trail = open(&files);
    append(&trail, note("first", Durability::Synced)).await;
    eventually("the segments are prepared", || trail.shared().writer.lock().unwrap().spare.is_some()).await;
    files.hold_syncs(true);
    files.fail_syncs(true);
    let mut reservation = trail.reserve(3).unwrap();
    let waiting: Vec<_> = (0..3).map(|n| reservation.append(note(&n.to_string(), Durability::Synced))).collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    files.hold_syncs(false);
    for waiting in waiting {
        assert!(matches!(waiting.await, Err(AppendError::Unwritable { .. })));
    }
    eventually("all places are given back", || trail.shared().places.taken() == 0).await;
    trail.close().await;
}

#[tokio::test]
async fn places_are_bounded_and_given_back() {
    let files = FaultFiles::new();
    let trail = open_with(&files, Settings { queue: 4, ..settings(DIRECTORY) }).unwrap();
    let three = trail.reserve(3).unwrap();
    assert!(matches!(trail.reserve(2), Err(Unavailable::Full)));
    let mut one = trail.reserve(1).unwrap();
    assert!(matches!(trail.reserve(1), Err(Unavailable::Full)));
    drop(three);
    assert_eq!(one.append(note("a", Durability::Synced)).await, Ok(0));
    assert_eq!(one.append(note("b", Durability::Synced)).await, Err(AppendError::NoPlace));
    drop(one);
    eventually("all places are free", || trail.shared().places.taken() == 0).await;
    assert!(trail.reserve(4).is_ok());

    // While the disk does not answer, what waits for it is bounded, written records included.
    files.hold_syncs(true);
    for _ in 0..4 {
        append(&trail, note("w", Durability::Written)).await;
    }
    assert!(matches!(trail.reserve(1), Err(Unavailable::Full)));
    files.hold_syncs(false);
    eventually("free again", || trail.reserve(4).is_ok()).await;
    trail.close().await;
}

#[tokio::test]
async fn a_record_of_impossible_size_is_refused_and_harms_nobody() {
    let files = FaultFiles::new();
    let trail = open(&files);
    let mut reservation = trail.reserve(3).unwrap();
    for size in [0, 70_000] {
        let record = crate::Record { bytes: vec![b'x'; size], ..note("", Durability::Synced) };
        assert!(matches!(reservation.append(record).await, Err(AppendError::Size { bytes, .. }) if bytes == size));
    }
    assert_eq!(reservation.append(note("a", Durability::Synced)).await, Ok(0));
    trail.close().await;
}

#[tokio::test]
async fn closing_keeps_what_is_in_line_and_takes_nothing_more() {
    let files = FaultFiles::new();
    let trail = open(&files);
    let mut reservation = trail.reserve(3).unwrap();
    let (a, b) =
        (reservation.append(note("a", Durability::Written)), reservation.append(note("b", Durability::Synced)));
    trail.close().await;
    assert_eq!((a.await, b.await), (Ok(0), Ok(1)));
    assert_eq!(reservation.append(note("c", Durability::Synced)).await, Err(AppendError::Closed));
    assert!(matches!(trail.reserve(1), Err(Unavailable::Closing)));
    let crashed = files.crash(Unsynced::Dropped);
    assert_eq!(gists(&crashed), ["a", "b"]);
    assert_eq!(trail.checkpoint().size(), 2, "the last checkpoint covers all");
    trail.close().await;
}
