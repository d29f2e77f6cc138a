//! The index follows the trail: live, after a restart, after an outage; and a search finds what it says, checked record by record.

use std::{path::Path, sync::Arc, time::Duration};

use ambit_model::Outcome;
use ambit_store::{
    Store, StoreUrl,
    trail_index::{self, Query},
};

use super::support::*;
use crate::{Durability, Trail, search, testing::FaultFiles};

async fn store(directory: &tempfile::TempDir) -> Store {
    let path = directory.path().join("store.db");
    Store::open(&StoreUrl::parse(&format!("sqlite:{}", path.display())).unwrap()).await.unwrap()
}

/// Records a call with its intent and outcome.
async fn call(trail: &Trail, call: &Call) {
    append(trail, call.intent(Durability::Written)).await;
    append(trail, call.outcome(Durability::Written)).await;
}

/// Indexes until everything up to a leaf is found in the store.
async fn index_up_to(trail: &Trail, store: &Store, last: u64) {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let indexing = tokio::spawn({
        let (trail, store) = (trail.clone(), store.clone());
        async move {
            trail
                .index_into(store, async {
                    drop(stopped.await);
                })
                .await;
        }
    });
    for _ in 0..600 {
        if trail_index::last_indexed(store, "n1").await.unwrap() >= Some(last) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(stop);
    indexing.await.unwrap();
    assert_eq!(trail_index::last_indexed(store, "n1").await.unwrap(), Some(last));
}

async fn found(files: &FaultFiles, store: &Store, query: Query) -> Vec<(u64, String)> {
    let found = search(Arc::new(files.clone()), Path::new(DIRECTORY), store, &query, 100).await.unwrap();
    assert!(!found.is_cut);
    found.records.iter().map(|stored| (stored.leaf, gist(stored))).collect()
}

fn own(pairs: &[(u64, &str)]) -> Vec<(u64, String)> {
    pairs.iter().map(|(leaf, gist)| (*leaf, (*gist).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_found_by_person_tool_client_decision_and_time() {
    let directory = tempfile::tempdir().unwrap();
    let (files, store) = (FaultFiles::new(), store(&directory).await);
    let trail = open(&files);
    call(&trail, &Call::by(1, "local:alice")).await;
    call(&trail, &Call { tool: "delete-asset", outcome: Outcome::Refused, ..Call::by(2, "local:bob") }).await;
    call(&trail, &Call { at: NOW + 60_000, client: "c2", ..Call::by(3, "local:alice") }).await;
    append(&trail, note("user local:alice", Durability::Synced)).await;
    index_up_to(&trail, &store, 6).await;

    let cases = [
        (
            Query { subject: Some("local:alice".into()), ..Query::default() },
            own(&[(0, "intent"), (1, "outcome"), (4, "intent"), (5, "outcome"), (6, "local:alice")]),
        ),
        (Query { subject: Some("local:bob".into()), ..Query::default() }, own(&[(2, "intent"), (3, "outcome")])),
        (Query { tool: Some("mux/delete-asset".into()), ..Query::default() }, own(&[(2, "intent"), (3, "outcome")])),
        (Query { decision: Some("refused".into()), ..Query::default() }, own(&[(2, "intent"), (3, "outcome")])),
        (Query { client: Some("c2".into()), ..Query::default() }, own(&[(4, "intent"), (5, "outcome")])),
        // Both values are in the bundle, but not of one record.
        (Query { subject: Some("local:bob".into()), client: Some("c2".into()), ..Query::default() }, own(&[])),
        (Query { from_ms: Some(NOW + 1000), ..Query::default() }, own(&[(4, "intent"), (5, "outcome")])),
        (Query { subject: Some("local:carol".into()), ..Query::default() }, own(&[])),
    ];
    for (query, expected) in cases {
        let shown = format!("{query:?}");
        assert_eq!(found(&files, &store, query).await, expected, "{shown}");
    }
    trail.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_indexed_before_is_read_from_the_segments() {
    let directory = tempfile::tempdir().unwrap();
    let (files, store) = (FaultFiles::new(), store(&directory).await);
    let trail = open(&files);
    // Nobody indexes; more than one bundle, more than one segment.
    for n in 0..1500 {
        call(&trail, &Call::by(n, if n % 100 == 7 { "local:rare" } else { "local:alice" })).await;
    }
    trail.close().await;
    drop(trail);
    let trail = open(&files);
    index_up_to(&trail, &store, 2999).await;
    let query = Query { subject: Some("local:rare".into()), ..Query::default() };
    let records = found(&files, &store, query).await;
    assert_eq!(records.len(), 30, "every outcome is found with its intent");
    assert!(records.chunks(2).all(|pair| pair[0].0 + 1 == pair[1].0), "{records:?}");

    // Goes on where it was, from the feed.
    call(&trail, &Call::by(9999, "local:late")).await;
    index_up_to(&trail, &store, 3001).await;
    let query = Query { subject: Some("local:late".into()), ..Query::default() };
    assert_eq!(found(&files, &store, query).await, own(&[(3000, "intent"), (3001, "outcome")]));
    trail.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latest_are_kept_when_there_are_more_than_asked_for_and_other_nodes_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let (files, store) = (FaultFiles::new(), store(&directory).await);
    let trail = open(&files);
    for n in 0..20 {
        call(&trail, &Call { at: NOW + i64::try_from(n).unwrap(), ..Call::by(n, "local:alice") }).await;
    }
    index_up_to(&trail, &store, 39).await;
    let mut tx = store.begin().await.unwrap();
    let other = trail_index::BundleRef {
        node: "n2".into(),
        first_leaf: 0,
        last_leaf: 3,
        from_ms: NOW,
        to_ms: NOW,
        segment: "x".into(),
        positions: vec![0; 8],
    };
    trail_index::insert(&mut tx, &other, &std::collections::BTreeSet::new()).await.unwrap();
    tx.commit().await.unwrap();
    let found = search(Arc::new(files.clone()), Path::new(DIRECTORY), &store, &Query::default(), 10).await.unwrap();
    assert!(found.is_cut);
    assert_eq!(found.records.iter().map(|stored| stored.leaf).collect::<Vec<_>>(), (30..40).collect::<Vec<_>>());
    assert!(found.elsewhere.is_empty() || found.elsewhere.get("n2") == Some(&1));
    let everything =
        search(Arc::new(files.clone()), Path::new(DIRECTORY), &store, &Query::default(), 1000).await.unwrap();
    assert_eq!((everything.records.len(), everything.elsewhere.get("n2")), (40, Some(&1)));
    trail.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_stops_no_record() {
    let postgres = ambit_store::testing::Postgres::start();
    let mut postgres = postgres.unwrap_or_else(|error| panic!("{error}"));
    let url = StoreUrl::parse(&postgres.fresh_database().unwrap()).unwrap();
    let store = Store::open(&url).await.unwrap();
    let files = FaultFiles::new();
    let trail = open(&files);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let indexing = tokio::spawn({
        let (trail, store) = (trail.clone(), store.clone());
        async move {
            trail
                .index_into(store, async {
                    drop(stopped.await);
                })
                .await;
        }
    });
    call(&trail, &Call::by(1, "local:alice")).await;
    postgres.stop();
    for n in 2..50 {
        call(&trail, &Call::by(n, "local:alice")).await;
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(trail.is_writable());
    postgres.resume().unwrap();
    let mut last = None;
    for _ in 0..600 {
        last = trail_index::last_indexed(&store, "n1").await.ok().flatten();
        if last == Some(97) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(last, Some(97));
    drop(stop);
    indexing.await.unwrap();
    trail.close().await;
}
