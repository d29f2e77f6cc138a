//! Verification of a directory and of an export that somebody changed.

use std::{io::BufReader, path::Path, sync::Arc};

use ambit_ledger::{
    segment::{HEADER_BYTES, file_name},
    verify::{Report, Trusted, Verdict},
};

use super::support::*;
use crate::{
    Durability, Settings, VerifyError, export,
    testing::{FaultFiles, Unsynced},
    verify_directory, verify_export,
};

fn directory() -> &'static Path {
    Path::new(DIRECTORY)
}

fn segment() -> std::path::PathBuf {
    directory().join(file_name(0))
}

fn trusting_key() -> Trusted {
    Trusted { key: Some(key().verifying().clone()), checkpoint: None }
}

/// A trail of six records, closed.
async fn closed_trail() -> FaultFiles {
    let files = FaultFiles::new();
    let trail = open(&files);
    for n in 0..6 {
        append(&trail, note(&n.to_string(), Durability::Synced)).await;
    }
    trail.close().await;
    files
}

fn verify(files: &FaultFiles, trusted: Trusted) -> Report {
    verify_directory(files, directory(), trusted).unwrap()
}

fn exported(files: &FaultFiles) -> Vec<u8> {
    let mut out = Vec::new();
    export(Arc::new(files.clone()), directory(), &mut out).unwrap();
    out
}

#[tokio::test]
async fn an_untouched_trail_is_verified_as_a_directory_and_as_an_export() {
    let files = closed_trail().await;
    let report = verify(&files, trusting_key());
    assert_eq!((report.verdict, report.size, report.covered), (Verdict::Verified, 6, 6), "{report}");
    let report = verify(&files, Trusted::default());
    assert_eq!(report.verdict, Verdict::SelfConsistentOnly);
    let out = exported(&files);
    let report = verify_export(&mut out.as_slice(), trusting_key()).unwrap();
    assert_eq!((report.verdict, report.size, report.covered), (Verdict::Verified, 6, 6), "{report}");
    assert_eq!(verify_export(&mut out.as_slice(), Trusted::default()).unwrap().verdict, Verdict::SelfConsistentOnly);
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.starts_with(r#"{"format":"ambit-trail-export-1","origin":"ambit.example/trail/n1","node":"n1","key":"#)
    );
    assert_eq!(text.lines().filter(|line| line.starts_with(r#"{"leaf":"#)).count(), 6);
}

#[tokio::test]
async fn every_flipped_byte_of_a_record_in_the_directory_is_named() {
    let files = closed_trail().await;
    let honest = files.read(&segment()).unwrap();
    let places: Vec<u64> = read_all(&files).iter().map(|stored| stored.offset).collect();
    let end = honest.iter().rposition(|byte| *byte != 0).unwrap();
    for at in (HEADER_BYTES..=end).step_by(3) {
        let mut bytes = honest.clone();
        bytes[at] ^= 0x10;
        files.overwrite(&segment(), bytes);
        let leaf = places.iter().rposition(|place| *place <= at as u64).map(|leaf| leaf as u64);
        let report = verify(&files, trusting_key());
        assert_eq!(report.verdict, Verdict::Failed, "byte {at}");
        assert_eq!(report.findings[0].leaf, leaf, "byte {at}: {report}");
        assert!(report.findings[0].place.contains(&file_name(0)), "{report}");
    }
    for at in [0, 20, 60, 200, 3000] {
        let mut bytes = honest.clone();
        bytes[at] ^= 0x10;
        files.overwrite(&segment(), bytes);
        assert_eq!(verify(&files, trusting_key()).verdict, Verdict::Failed, "byte {at} of the head");
    }
}

#[tokio::test]
async fn a_cut_tail_of_the_directory_is_named() {
    let files = closed_trail().await;
    let honest = files.read(&segment()).unwrap();
    let fourth = usize::try_from(read_all(&files)[3].offset).unwrap();
    let mut bytes = honest.clone();
    bytes[fourth..].fill(0);
    for cut in [bytes, honest[..fourth].to_vec(), honest[..fourth + 30].to_vec()] {
        files.overwrite(&segment(), cut);
        let report = verify(&files, trusting_key());
        assert_eq!(report.verdict, Verdict::Failed);
        assert!(report.to_string().contains("records 3 to 5 are missing"), "{report}");
    }
}

#[tokio::test]
async fn a_trail_rewritten_with_all_its_checkpoints_needs_a_key_or_checkpoint_from_elsewhere() {
    let files = closed_trail().await;
    let checkpoint = String::from_utf8(files.read(&directory().join("checkpoint")).unwrap()).unwrap();
    let other = FaultFiles::new();
    let impostor = ambit_ledger::SigningKey::from_seed(ORIGIN, &[99; 32]).unwrap();
    let trail = crate::Trail::open(settings(DIRECTORY), impostor, other.clone(), || NOW).unwrap();
    for n in 0..6 {
        append(&trail, note(&format!("forged {n}"), Durability::Synced)).await;
    }
    trail.close().await;
    assert_eq!(verify(&other, Trusted::default()).verdict, Verdict::SelfConsistentOnly);
    assert_eq!(verify(&other, trusting_key()).verdict, Verdict::Failed);
    let trusted = Trusted { key: None, checkpoint: Some(checkpoint.clone()) };
    assert_eq!(verify(&other, trusted.clone()).verdict, Verdict::Failed);
    assert_eq!(verify(&files, trusted).verdict, Verdict::Verified);
    let both = Trusted { checkpoint: Some(checkpoint), ..trusting_key() };
    assert_eq!(verify(&files, both).verdict, Verdict::Verified);
}

#[tokio::test]
async fn an_older_checkpoint_fits_what_grew_and_not_what_was_cut_back_or_changed() {
    let files = FaultFiles::new();
    let trail = open(&files);
    append(&trail, note("0", Durability::Synced)).await;
    trail.close().await;
    let older = trail.checkpoint().note().to_string();
    drop(trail);
    let before = files.crash(Unsynced::Dropped);
    let trail = open(&files);
    append(&trail, note("1", Durability::Synced)).await;
    trail.close().await;
    let newer = trail.checkpoint().note().to_string();
    drop(trail);
    let with = |checkpoint: &str| Trusted { checkpoint: Some(checkpoint.to_owned()), ..trusting_key() };
    assert_eq!(verify(&files, with(&older)).verdict, Verdict::Verified);
    assert_eq!(verify(&files, with(&newer)).verdict, Verdict::Verified);
    let report = verify(&before, with(&newer));
    assert_eq!(report.verdict, Verdict::Failed, "an older copy put in place");
    assert!(report.to_string().contains("records 1 to 1 are missing"), "{report}");
    assert_eq!(verify(&before, trusting_key()).verdict, Verdict::Verified, "which the key alone cannot tell");
}

#[tokio::test]
async fn a_missing_segment_is_named() {
    let files = FaultFiles::new();
    let trail = open(&files);
    for n in 0..200 {
        append(&trail, note(&format!("{n} {}", "x".repeat(4000)), Durability::Written)).await;
    }
    trail.close().await;
    let names: std::collections::BTreeSet<_> =
        read_all(&files).iter().map(|stored| stored.segment.to_string()).collect();
    assert!(names.len() > 2, "{names:?}");
    assert_eq!(verify(&files, trusting_key()).verdict, Verdict::Verified);
    let second = directory().join(names.iter().nth(1).unwrap());
    crate::Files::remove(&files, &second).unwrap();
    let report = verify(&files, trusting_key());
    assert_eq!(report.verdict, Verdict::Failed);
    assert!(report.findings[0].what.contains("are missing before it"), "{report}");
}

#[tokio::test]
async fn a_running_trail_is_verified_and_exported_up_to_its_checkpoint() {
    let files = FaultFiles::new();
    let settings = Settings { checkpoint_every: std::time::Duration::from_hours(1), ..settings(DIRECTORY) };
    let trail = open_with(&files, settings).unwrap();
    // The keeper's first round may sign what it finds; what comes after it waits for the hour.
    eventually("the keeper has prepared the segments", || trail.shared().writer.lock().unwrap().spare.is_some()).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    append(&trail, note("a", Durability::Synced)).await;
    let report = verify(&files, trusting_key());
    assert_eq!(report.verdict, Verdict::SelfConsistentOnly, "the key signed nothing of what is here yet");
    assert!(report.notes.iter().any(|note| note.contains("records 0 to 0 are not covered")), "{report}");
    let mut out = Vec::new();
    let exported_now = export(Arc::new(files.clone()), directory(), &mut out).unwrap();
    assert_eq!((exported_now.records, exported_now.left_out), (0, 1), "nothing is covered yet");
    assert_eq!(verify_export(&mut out.as_slice(), trusting_key()).unwrap().size, 0);

    // While an export waits, the checkpoint comes.
    let waiting = tokio::task::spawn_blocking({
        let files = files.clone();
        move || exported(&files)
    });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    trail.close().await;
    let out = waiting.await.unwrap();
    assert_eq!(verify_export(&mut BufReader::new(out.as_slice()), trusting_key()).unwrap().size, 1);
}

#[tokio::test]
async fn what_is_no_trail_and_no_export_is_said() {
    let files = FaultFiles::new();
    let error = verify_directory(&files, directory(), Trusted::default()).unwrap_err();
    assert!(error.to_string().contains("holds no trail"), "{error}");
    let error = verify_export(&mut b"{}\n".as_slice(), Trusted::default()).unwrap_err();
    assert!(matches!(error, VerifyError::NotAnExport(_)), "{error}");
    let long = vec![b'x'; 3 * 1024 * 1024];
    assert!(verify_export(&mut long.as_slice(), Trusted::default()).is_err());
}
