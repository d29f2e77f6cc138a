//! Opening again: after a close, after a crash, after tampering; beside another process.

use std::{path::Path, sync::Arc};

use ambit_ledger::{Frontier, SigningKey, segment::file_name};
use ambit_model::event::Executed;
use serde_json::Value;

use super::support::*;
use crate::{
    Durability, OpenError, Peek, Recovery, Settings, Trail, UNKNOWN_RESULT,
    testing::{FaultFiles, Unsynced},
};

fn segment() -> std::path::PathBuf {
    Path::new(DIRECTORY).join(file_name(0))
}

fn first_zero_run(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[tokio::test]
async fn a_closed_trail_opens_as_it_was() {
    let files = FaultFiles::new();
    let trail = open(&files);
    for n in 0..5 {
        append(&trail, note(&n.to_string(), Durability::Written)).await;
    }
    trail.close().await;
    let before = trail.checkpoint();
    drop(trail);
    let again = open(&files);
    assert_eq!(*again.recovery(), Recovery { records: 5, ..Recovery::default() });
    assert_eq!((again.checkpoint().size(), again.checkpoint().root()), (5, before.root()));
    assert_eq!(append(&again, note("5", Durability::Synced)).await, 5);
    again.close().await;
    assert_eq!(gists(&files), ["0", "1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn two_processes_do_not_share_a_directory() {
    let files = FaultFiles::new();
    let trail = open(&files);
    let refused = open_with(&files, settings(DIRECTORY));
    assert!(matches!(refused, Err(OpenError::InUse(_))), "{refused:?}");
    trail.close().await;
    open(&files).close().await;

    // The same with the system's own lock.
    let directory = tempfile::tempdir().unwrap();
    let trail = open_disk(directory.path());
    let refused = Trail::open(settings(directory.path()), key(), crate::Disk, || NOW);
    let Err(error) = refused else { panic!("opened twice") };
    assert!(error.to_string().contains("in use by another process"), "{error}");
    trail.close().await;
    open_disk(directory.path()).close().await;
}

#[tokio::test]
async fn dropping_the_last_trail_closes_it() {
    let files = FaultFiles::new();
    let trail = open(&files);
    let clone = trail.clone();
    drop(trail.reserve(1).unwrap().append(note("a", Durability::Written)));
    drop(trail);
    assert!(clone.is_writable());
    drop(clone);
    let mut again = open_with(&files, settings(DIRECTORY));
    for _ in 0..200 {
        if again.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        again = open_with(&files, settings(DIRECTORY));
    }
    again.unwrap().close().await;
    assert_eq!(gists(&files), ["a"]);
}

#[tokio::test]
async fn files_are_readable_by_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("trail");
    let trail = open_disk(&directory);
    append(&trail, note("a", Durability::Synced)).await;
    trail.close().await;
    assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name().into_string().unwrap());
    }
    // The next segment may or may not be in the making when the trail is closed.
    names.retain(|name| name != "next.spare");
    names.sort();
    assert_eq!(names, [&file_name(0), "checkpoint", "checkpoints", "lock", "verifier.key"]);
}

#[tokio::test]
async fn a_torn_tail_is_set_aside_and_said() {
    let files = FaultFiles::new();
    let trail = open(&files);
    for text in ["a", "b"] {
        append(&trail, note(text, Durability::Synced)).await;
    }
    trail.close().await;
    // Half a record, as a power cut may leave it, then more of it further on.
    let mut bytes = files.read(&segment()).unwrap();
    let end = first_zero_run(&bytes);
    bytes[end..end + 40].copy_from_slice(&[[200, 0, 0, 0].as_slice(), &[7; 36]].concat());
    bytes[end + 1000] = 9;
    files.overwrite(&segment(), bytes);

    let again = open(&files);
    assert_eq!(*again.recovery(), Recovery { records: 2, torn_bytes: 1001, closed: 0 });
    append(&again, note("c", Durability::Synced)).await;
    again.close().await;
    let records = read_all(&files);
    assert_eq!(records.len(), 4);
    let act: Value = serde_json::from_slice(&records[2].bytes).unwrap();
    assert_eq!(
        (&act["act"], &act["by"], &act["after"]["torn_bytes"]),
        (&"trail.recover".into(), &"ambit".into(), &1001.into())
    );
    assert_eq!(gist(&records[3]), "c");
    let aside = files.read(&Path::new(DIRECTORY).join(format!("{}.{end}.torn", file_name(0)))).unwrap();
    assert_eq!((aside.len(), aside[0], aside[1000]), (1001, 200, 9), "nothing is thrown away");
    open(&files).close().await;
}

#[tokio::test]
async fn intents_without_outcome_are_closed_as_unknown_each_as_its_own_record() {
    let files = FaultFiles::new();
    let trail = open(&files);
    for (request, answered) in [(1, true), (2, false), (3, true), (4, false)] {
        let call = Call::by(request, "local:alice");
        append(&trail, call.intent(Durability::Synced)).await;
        if answered {
            append(&trail, call.outcome(Durability::Synced)).await;
        }
    }
    let crashed = files.crash(Unsynced::Dropped);
    trail.close().await;
    let again = open(&crashed);
    assert_eq!((again.recovery().records, again.recovery().closed), (6, 2));
    assert_eq!(again.checkpoint().size(), 8, "signed for before anything is served");
    let records = read_all(&crashed.crash(Unsynced::Dropped));
    let closed: Vec<(String, Value)> = records[6..]
        .iter()
        .map(|stored| {
            let value: Value = serde_json::from_slice(&stored.bytes).unwrap();
            (Peek::read(&stored.bytes).unwrap().request.to_text(), value)
        })
        .collect();
    for ((request, event), expected) in closed.iter().zip([2_u128, 4]) {
        assert_eq!(*request, ambit_model::event::RequestId(expected).to_text());
        assert_eq!(event["event"], "outcome");
        assert_eq!(event["executed"], serde_json::to_value(Executed::Unknown).unwrap());
        assert_eq!(event["result"], UNKNOWN_RESULT);
        assert_eq!(event["endpoint"], "default");
    }
    again.close().await;
    let third = open(&crashed);
    assert_eq!(third.recovery().closed, 0, "once");
    third.close().await;
}

#[tokio::test]
async fn what_was_signed_for_must_be_there_or_nothing_is_touched() {
    let files = FaultFiles::new();
    let trail = open(&files);
    for n in 0..5 {
        append(&trail, note(&n.to_string(), Durability::Synced)).await;
    }
    trail.close().await;
    drop(trail);
    let honest = files.read(&segment()).unwrap();
    let third = usize::try_from(read_all(&files)[2].offset).unwrap();

    // A byte of a record, cut-off records, a replaced trail.
    let mut altered = honest.clone();
    altered[third + 60] ^= 1;
    let mut cut = honest.clone();
    cut[third..].fill(0);
    let other = FaultFiles::new();
    let trail = open(&other);
    for n in 5..10 {
        append(&trail, note(&n.to_string(), Durability::Synced)).await;
    }
    trail.close().await;
    let replaced = other.read(&segment()).unwrap();
    for (what, bytes) in [("altered", altered), ("cut", cut), ("replaced", replaced)] {
        files.overwrite(&segment(), bytes.clone());
        let refused = open_with(&files, settings(DIRECTORY));
        let Err(OpenError::Altered { size: 5, .. }) = refused else { panic!("{what}: {refused:?}") };
        assert_eq!(files.read(&segment()).unwrap(), bytes, "{what}: nothing is changed");
    }
    // The same when the latest checkpoint was removed along with the records.
    let mut cut = honest.clone();
    cut[third..].fill(0);
    files.overwrite(&segment(), cut);
    let latest = Path::new(DIRECTORY).join("checkpoint");
    crate::Files::remove(&files, &latest).unwrap();
    let refused = open_with(&files, settings(DIRECTORY));
    assert!(matches!(refused, Err(OpenError::Altered { size: 5, .. })), "{refused:?}");
    files.overwrite(&segment(), honest);
    open(&files).close().await;
}

#[tokio::test]
async fn another_key_node_or_trail_is_refused() {
    let files = FaultFiles::new();
    let trail = open(&files);
    append(&trail, note("a", Durability::Synced)).await;
    trail.close().await;
    let other_key = SigningKey::from_seed(ORIGIN, &[12; 32]).unwrap();
    let refused = Trail::open(settings(DIRECTORY), other_key, files.clone(), || NOW);
    assert!(matches!(refused, Err(OpenError::Checkpoint { .. })), "{refused:?}");
    let refused = open_with(&files, Settings { node: "n2".into(), ..settings(DIRECTORY) });
    assert!(matches!(refused, Err(OpenError::Foreign { .. })), "{refused:?}");
    for bad in [
        Settings { node: "N 1".into(), ..settings(DIRECTORY) },
        Settings { origin: "other".into(), ..settings(DIRECTORY) },
        Settings { segment_bytes: 1, ..settings(DIRECTORY) },
        Settings { queue: 0, ..settings(DIRECTORY) },
    ] {
        let refused = open_with(&files, bad);
        assert!(matches!(refused, Err(OpenError::Setting { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn segments_follow_each_other_and_hold_the_tree_before_them() {
    let files = FaultFiles::new();
    let trail = open(&files);
    let mut tasks = Vec::new();
    for n in 0..300 {
        let trail = trail.clone();
        tasks.push(tokio::spawn(async move {
            append(&trail, note(&format!("{n} {}", "x".repeat(3000)), Durability::Synced)).await
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    trail.close().await;
    let records = read_all(&files);
    assert_eq!(records.len(), 300);
    let segments: std::collections::BTreeSet<_> = records.iter().map(|stored| stored.segment.clone()).collect();
    assert!(segments.len() >= 4, "{segments:?}");
    let mut tree = Frontier::new();
    for (n, stored) in (0..).zip(&records) {
        assert_eq!(stored.leaf, n);
        tree.push(stored.hash);
    }
    assert_eq!(trail.checkpoint().root(), tree.root());
    drop(trail);

    // Beginning somewhere in the middle gives the same.
    for from in [1_u16, 77, 150, 299] {
        let mut reader = crate::Reader::open(Arc::new(files.clone()), Path::new(DIRECTORY), from.into()).unwrap();
        assert_eq!(reader.next().unwrap().as_ref(), records.get(usize::from(from)));
    }
    let again = open(&files);
    assert_eq!(again.recovery().records, 300);
    again.close().await;
}

#[tokio::test]
async fn checkpoints_are_stored_kept_and_copied() {
    let files = FaultFiles::new();
    let copy = Path::new("/elsewhere/checkpoint");
    let settings = Settings {
        checkpoint_every: std::time::Duration::from_millis(20),
        checkpoint_file: Some(copy.to_owned()),
        ..settings(DIRECTORY)
    };
    let trail = open_with(&files, settings.clone()).unwrap();
    assert_eq!(trail.checkpoint().size(), 0);
    append(&trail, note("a", Durability::Synced)).await;
    eventually("a checkpoint follows growth", || trail.checkpoint().size() == 1).await;
    let published = trail.checkpoint();
    assert_eq!(ambit_ledger::SignedCheckpoint::open(published.note(), key().verifying()).unwrap(), published);
    assert_eq!(trail.verifier_key(), key().verifying().to_string());
    eventually("stored in both places", || {
        [&Path::new(DIRECTORY).join("checkpoint"), copy].iter().all(|path| {
            files.crash(Unsynced::Dropped).read(path).is_some_and(|bytes| bytes == published.note().as_bytes())
        })
    })
    .await;
    append(&trail, note("b", Durability::Synced)).await;
    trail.close().await;
    assert_eq!(files.read(copy).unwrap(), trail.checkpoint().note().as_bytes());
    let history = files.read(&Path::new(DIRECTORY).join("checkpoints")).unwrap();
    let lines: Vec<String> = history
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.last().map(String::as_str), Some(&**trail.checkpoint().note()));
    drop(trail);

    // Half a line at the end, as a crash may leave it, is cut off.
    files.overwrite(&Path::new(DIRECTORY).join("checkpoints"), [history.as_slice(), b"\"half"].concat());
    open_with(&files, settings).unwrap().close().await;
    let mended = files.read(&Path::new(DIRECTORY).join("checkpoints")).unwrap();
    assert!(mended.starts_with(&history) && mended.ends_with(b"\n"));
}
