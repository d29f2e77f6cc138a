//! On the real disk, with real threads: every record has one number, every number one record, and the whole is verified.

use std::{collections::BTreeMap, sync::Arc};

use ambit_ledger::verify::{Trusted, Verdict};

use super::support::*;
use crate::{Disk, Durability, export, verify_directory, verify_export};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_appenders_at_once_lose_and_repeat_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let trail = open_disk(directory.path());
    let mut tasks = Vec::new();
    for appender in 0..16_usize {
        let trail = trail.clone();
        tasks.push(tokio::spawn(async move {
            let mut leaves = Vec::new();
            for n in 0..60 {
                let durability = if n % 20 == appender { Durability::Synced } else { Durability::Written };
                let text = format!("{appender}-{n} {}", "x".repeat(n * 37 % 900));
                let leaf = append(&trail, note(&text, durability)).await;
                // An outcome that nobody waits for.
                drop(trail.reserve(1).unwrap().append(note(&format!("{appender}-{n}-unawaited"), Durability::Written)));
                leaves.push((leaf, text));
            }
            leaves
        }));
    }
    let mut expected = BTreeMap::new();
    for task in tasks {
        for (leaf, text) in task.await.unwrap() {
            assert!(expected.insert(leaf, text).is_none(), "leaf {leaf} was given twice");
        }
    }
    trail.close().await;
    let records = read_from(Arc::new(Disk), directory.path());
    assert_eq!(records.len(), 16 * 60 * 2);
    for (n, stored) in (0..).zip(&records) {
        assert_eq!(stored.leaf, n);
        match expected.get(&n) {
            Some(text) => assert_eq!(gist(stored), *text),
            None => assert!(gist(stored).ends_with("-unawaited")),
        }
    }
    let segments: std::collections::BTreeSet<_> = records.iter().map(|stored| stored.segment.clone()).collect();
    assert!(segments.len() > 2, "{segments:?}");

    let trusted =
        Trusted { key: Some(key().verifying().clone()), checkpoint: Some(trail.checkpoint().note().to_string()) };
    let report = verify_directory(&Disk, directory.path(), trusted.clone()).unwrap();
    assert_eq!((report.verdict, report.covered), (Verdict::Verified, 1920), "{report}");
    let mut out = Vec::new();
    let exported = export(Arc::new(Disk), directory.path(), &mut out).unwrap();
    assert_eq!((exported.records, exported.key), (1920, key().verifying().to_string()));
    let report = verify_export(&mut out.as_slice(), trusted).unwrap();
    assert_eq!((report.verdict, report.covered), (Verdict::Verified, 1920), "{report}");
}
