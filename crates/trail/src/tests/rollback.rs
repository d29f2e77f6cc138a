//! An older copy of the whole directory is put back. It fits itself; what is known elsewhere tells.

use std::path::Path;

use ambit_ledger::{SignedCheckpoint, SigningKey};
use serde_json::Value;

use super::support::*;
use crate::{
    Acceptance, Durability, Files as _, OpenError, Settings,
    testing::{FaultFiles, Unsynced},
};

const FURTHER: &str = "/elsewhere/checkpoint";

fn with_further() -> Settings {
    Settings { checkpoint_file: Some(FURTHER.into()), ..settings(DIRECTORY) }
}

fn accepting(settings: Settings) -> Settings {
    let accepted = Acceptance { by: "operator:test".into(), reason: "the disk is gone".into() };
    Settings { accept_loss: Some(accepted), ..settings }
}

async fn write(files: &FaultFiles, settings: Settings, texts: &[&str]) {
    let trail = open_with(files, settings).unwrap();
    for text in texts {
        append(&trail, note(text, Durability::Synced)).await;
    }
    trail.close().await;
}

/// A disk with an older trail, and the further checkpoint of a newer one.
async fn rolled_back() -> (FaultFiles, Vec<u8>) {
    let files = FaultFiles::new();
    write(&files, with_further(), &["a", "b"]).await;
    let old = files.crash(Unsynced::Kept);
    write(&files, with_further(), &["c"]).await;
    let newer = files.read(Path::new(FURTHER)).unwrap();
    old.overwrite(Path::new(FURTHER), newer.clone());
    (old, newer)
}

fn size_of(note: &[u8]) -> u64 {
    SignedCheckpoint::open(std::str::from_utf8(note).unwrap(), key().verifying()).unwrap().size()
}

#[tokio::test]
async fn a_trail_behind_its_further_checkpoint_does_not_open_and_changes_nothing() {
    let (old, newer) = rolled_back().await;
    let before: Vec<_> = old.list(Path::new(DIRECTORY)).unwrap();
    let Err(error) = open_with(&old, with_further()) else { panic!("opened") };
    let said = error.to_string();
    assert!(matches!(error, OpenError::Behind { records: 2, .. }), "{said}");
    for part in [DIRECTORY, "holds 2 records", FURTHER, "signs 3", "--accept-trail-loss"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(old.read(Path::new(FURTHER)).unwrap(), newer);
    assert_eq!(old.list(Path::new(DIRECTORY)).unwrap(), before);
    assert_eq!(gists(&old), ["a", "b"]);

    // Nor does one that was removed as a whole.
    let empty = FaultFiles::new();
    empty.make_directory(Path::new("/elsewhere")).unwrap();
    drop(empty.open(Path::new(FURTHER), crate::files::Open::Create).unwrap());
    empty.overwrite(Path::new(FURTHER), newer);
    let refused = open_with(&empty, with_further());
    assert!(matches!(refused, Err(OpenError::Behind { records: 0, .. })), "{refused:?}");
}

#[tokio::test]
async fn another_history_of_the_same_key_does_not_pass_for_this_one() {
    let (old, newer) = rolled_back().await;
    // Without the further file in its settings the older trail grows past it.
    for more in [&["x"][..], &["y", "z"]] {
        write(&old, settings(DIRECTORY), more).await;
        let refused = open_with(&old, with_further());
        let Err(OpenError::Behind { what, .. }) = refused else { panic!("{refused:?}") };
        assert!(what.contains("other ones as the first 3"), "{what}");
        assert_eq!(old.read(Path::new(FURTHER)).unwrap(), newer);
    }
}

#[tokio::test]
async fn a_further_checkpoint_that_lags_or_is_empty_is_no_hindrance() {
    let files = FaultFiles::new();
    write(&files, with_further(), &["a"]).await;
    // The mount was away for a while.
    write(&files, settings(DIRECTORY), &["b", "c"]).await;
    write(&files, with_further(), &["d"]).await;
    assert_eq!(size_of(&files.read(Path::new(FURTHER)).unwrap()), 4);
    files.overwrite(Path::new(FURTHER), Vec::new());
    write(&files, with_further(), &["e"]).await;
    assert_eq!(size_of(&files.read(Path::new(FURTHER)).unwrap()), 5);
}

#[tokio::test]
async fn what_is_no_checkpoint_of_this_trail_is_not_overwritten() {
    let files = FaultFiles::new();
    write(&files, with_further(), &["a"]).await;
    let other = SigningKey::from_seed(ORIGIN, &[12; 32]).unwrap();
    let foreign = SignedCheckpoint::sign(9, ambit_ledger::Hash([3; 32]), &other).note().as_bytes().to_vec();
    for there in [foreign, b"my only copy of something".to_vec()] {
        files.overwrite(Path::new(FURTHER), there.clone());
        for settings in [with_further(), accepting(with_further())] {
            let refused = open_with(&files, settings);
            assert!(matches!(refused, Err(OpenError::Further { .. })), "{refused:?}");
        }
        assert_eq!(files.read(Path::new(FURTHER)).unwrap(), there);
    }
}

#[tokio::test]
async fn while_it_runs_a_larger_checkpoint_is_not_replaced() {
    let files = FaultFiles::new();
    let trail = open_with(&files, with_further()).unwrap();
    let another = SignedCheckpoint::sign(9, ambit_ledger::Hash([3; 32]), &key());
    files.overwrite(Path::new(FURTHER), another.note().as_bytes().to_vec());
    append(&trail, note("a", Durability::Synced)).await;
    trail.close().await;
    assert_eq!(files.read(Path::new(FURTHER)).unwrap(), another.note().as_bytes());
    assert_eq!(size_of(&files.read(&Path::new(DIRECTORY).join("checkpoint")).unwrap()), 1);
}

#[tokio::test]
async fn a_trail_behind_the_index_does_not_open() {
    let files = FaultFiles::new();
    write(&files, settings(DIRECTORY), &["a", "b"]).await;
    write(&files, Settings { indexed: Some(2), ..settings(DIRECTORY) }, &[]).await;
    let Err(error) = open_with(&files, Settings { indexed: Some(3), ..settings(DIRECTORY) }) else { panic!("opened") };
    let said = error.to_string();
    assert!(matches!(error, OpenError::Behind { records: 2, .. }) && said.contains("knows 3 of node `n1`"), "{said}");
}

#[tokio::test]
async fn an_older_latest_checkpoint_is_not_believed_beside_the_ones_kept_for_good() {
    let files = FaultFiles::new();
    write(&files, settings(DIRECTORY), &["a", "b"]).await;
    let old = files.crash(Unsynced::Kept);
    write(&files, settings(DIRECTORY), &["c"]).await;
    let kept = Path::new(DIRECTORY).join("checkpoints");
    old.overwrite(&kept, files.read(&kept).unwrap());
    let refused = open_with(&old, settings(DIRECTORY));
    assert!(matches!(refused, Err(OpenError::Altered { size: 3, .. })), "{refused:?}");
}

#[tokio::test]
async fn an_accepted_loss_is_recorded_and_leaves_the_checkpoint_as_evidence() {
    let (old, newer) = rolled_back().await;
    let settings = Settings { indexed: Some(3), ..with_further() };
    let trail = open_with(&old, accepting(settings)).unwrap();
    assert_eq!(append(&trail, note("d", Durability::Synced)).await, 3);
    trail.close().await;
    let records = read_all(&old);
    let act: Value = serde_json::from_slice(&records[2].bytes).unwrap();
    assert_eq!((&act["act"], &act["by"]), (&"trail.accept_loss".into(), &"operator:test".into()));
    assert_eq!(act["reason"], "the disk is gone");
    assert_eq!(act["before"]["indexed"], 3);
    assert_eq!(act["before"]["checkpoint_file"]["records"], 3);
    assert_eq!(act["after"]["records"], 2);
    assert_eq!(old.read(Path::new("/elsewhere/checkpoint.3.lost")).unwrap(), newer);
    assert_eq!(size_of(&old.read(Path::new(FURTHER)).unwrap()), 4);

    // The acceptance is of this loss, not of the next one.
    let refused = open_with(&old, accepting(with_further()));
    assert!(matches!(refused, Err(OpenError::NothingLost(_))), "{refused:?}");
    open_with(&old, with_further()).unwrap().close().await;
}
