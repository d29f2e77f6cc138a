//! The revision, what other processes learn of it, and the nodes.

use std::time::Duration;

use ambit_model::revocation::Scope;
use tokio::sync::oneshot;

use super::{NOW, Place, cases, digest};
use crate::{
    Store,
    nodes::{self, Agreement, Node},
    revision,
    revocations::{self, Act},
    sessions,
};

cases![
    only_what_requests_see_moves_the_revision,
    fifty_commits_move_the_revision_fifty_times,
    a_change_by_another_process_arrives,
    own_changes_are_seen_without_watching,
    the_last_confirmation_moves_with_the_poll,
    what_was_committed_survives_a_restart,
    the_first_configuration_wins,
    of_many_first_starts_one_decides,
    nodes_report_themselves,
];

async fn block_everything(store: &Store) -> u64 {
    let mut tx = store.begin().await.unwrap();
    revocations::block(&mut tx, &Scope::Deployment, Act { by: "operator:root", reason: "fire", at_ms: NOW })
        .await
        .unwrap();
    tx.commit().await.unwrap().unwrap()
}

async fn only_what_requests_see_moves_the_revision(place: Place) {
    let store = place.store;
    let before = revision::current(&store).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    sessions::purge_expired(&mut tx, NOW).await.unwrap();
    assert_eq!(tx.commit().await.unwrap(), None);
    assert_eq!(revision::current(&store).await.unwrap(), before);

    let mut tx = store.begin().await.unwrap();
    revision::bump(&mut tx);
    tx.rollback().await.unwrap();
    assert_eq!(revision::current(&store).await.unwrap(), before);

    let mut tx = store.begin().await.unwrap();
    revision::bump(&mut tx);
    revision::bump(&mut tx);
    assert_eq!(tx.commit().await.unwrap(), Some(before + 1), "once per transaction");
    assert_eq!(revision::current(&store).await.unwrap(), before + 1);
}

async fn fifty_commits_move_the_revision_fifty_times(place: Place) {
    let store = place.store;
    let before = revision::current(&store).await.unwrap();
    let commits: Vec<_> = (0..50)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { block_everything(&store).await })
        })
        .collect();
    let mut revisions = Vec::new();
    for commit in commits {
        revisions.push(commit.await.unwrap());
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (before + 1..=before + 50).collect::<Vec<_>>(), "no revision twice, none left out");
}

async fn a_change_by_another_process_arrives(place: Place) {
    let other = place.another().await;
    let mut changes = other.changes();
    let (stop, stopped) = oneshot::channel::<()>();
    let watching = tokio::spawn({
        let other = other.clone();
        async move { other.watch(async { drop(stopped.await) }).await }
    });
    for _ in 0..3 {
        let revision = block_everything(&place.store).await;
        changes.wait_for(|seen| *seen >= revision).await.unwrap();
    }
    stop.send(()).unwrap();
    watching.await.unwrap();
}

async fn own_changes_are_seen_without_watching(place: Place) {
    let mut changes = place.store.changes();
    let stored = revision::current(&place.store).await.unwrap();
    assert_eq!(*changes.borrow_and_update(), stored);
    let revision = block_everything(&place.store).await;
    assert!(changes.has_changed().unwrap());
    assert_eq!(*changes.borrow_and_update(), revision);
}

async fn the_last_confirmation_moves_with_the_poll(place: Place) {
    let store = place.store;
    let (stop, stopped) = oneshot::channel::<()>();
    let watching = tokio::spawn({
        let store = store.clone();
        async move { store.watch(async { drop(stopped.await) }).await }
    });
    for _ in 0..2 {
        let before = store.last_confirmed();
        while store.last_confirmed() <= before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    stop.send(()).unwrap();
    watching.await.unwrap();
}

async fn what_was_committed_survives_a_restart(place: Place) {
    let revision = block_everything(&place.store).await;
    let restarted = place.another().await;
    assert_eq!(*restarted.changes().borrow(), revision, "known before the first request");
    assert!(revocations::find(&restarted, &Scope::Deployment).await.unwrap().unwrap().mark.blocked);
}

async fn the_first_configuration_wins(place: Place) {
    let store = place.store;
    assert_eq!(nodes::applied_config(&store).await.unwrap(), None);
    let mut tx = store.begin().await.unwrap();
    assert_eq!(nodes::adopt_config(&mut tx, &digest("a"), "node one", NOW).await.unwrap(), Agreement::Same);
    assert_eq!(nodes::adopt_config(&mut tx, &digest("a"), "node two", NOW).await.unwrap(), Agreement::Same);
    let differs = nodes::adopt_config(&mut tx, &digest("b"), "node three", NOW).await.unwrap();
    assert_eq!(differs, Agreement::Differs { applied: digest("a") });
    assert!(tx.commit().await.unwrap().is_some());

    let mut tx = store.begin().await.unwrap();
    nodes::apply_config(&mut tx, &digest("b"), "operator:root", NOW + 1).await.unwrap();
    assert!(tx.commit().await.unwrap().is_some());
    assert_eq!(nodes::applied_config(&store).await.unwrap(), Some(digest("b")));
}

async fn of_many_first_starts_one_decides(place: Place) {
    let store = place.store;
    let starts: Vec<_> = (0..10)
        .map(|index| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut tx = store.begin().await.unwrap();
                let own = digest(&index.to_string());
                let agreement = nodes::adopt_config(&mut tx, &own, "node", NOW).await.unwrap();
                tx.commit().await.unwrap();
                (own, agreement)
            })
        })
        .collect();
    let mut same = Vec::new();
    for start in starts {
        let (own, agreement) = start.await.unwrap();
        match agreement {
            Agreement::Same => same.push(own),
            Agreement::Differs { applied } => assert_ne!(applied, own),
        }
    }
    assert_eq!(same.len(), 1);
    assert_eq!(nodes::applied_config(&store).await.unwrap(), same.pop());
}

async fn nodes_report_themselves(place: Place) {
    let mut tx = place.store.begin().await.unwrap();
    let node = |id: &str, applied_revision, last_seen_at| Node {
        id: id.into(),
        config_digest: digest("a"),
        applied_revision,
        last_seen_at,
    };
    nodes::report(&mut tx, &node("one", 1, NOW)).await.unwrap();
    nodes::report(&mut tx, &node("one", 2, NOW + 10)).await.unwrap();
    nodes::report(&mut tx, &node("two", 1, NOW)).await.unwrap();
    assert_eq!(nodes::list(&mut tx, NOW).await.unwrap(), vec![node("one", 2, NOW + 10), node("two", 1, NOW)]);
    assert_eq!(nodes::list(&mut tx, NOW + 1).await.unwrap(), vec![node("one", 2, NOW + 10)]);
    assert_eq!(nodes::purge(&mut tx, NOW + 1).await.unwrap(), 1);
    assert_eq!(tx.commit().await.unwrap(), None);
}
