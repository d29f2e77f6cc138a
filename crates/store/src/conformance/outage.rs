//! The store goes away and comes back.

use std::time::Duration;

use ambit_model::revocation::Scope;
use tokio::{sync::oneshot, time::Instant};

use super::NOW;
use crate::{
    OpenError, Store, StoreError, StoreUrl, revision,
    revocations::{self, Act},
    testing::Postgres,
};

const ACT: Act<'static> = Act { by: "operator:root", reason: "fire", at_ms: NOW };

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_postgres_is_an_error_and_a_started_one_is_not() {
    let mut server = Postgres::start().unwrap_or_else(|error| panic!("{error}"));
    let url = StoreUrl::parse(&server.fresh_database().unwrap()).unwrap();
    let store = Store::open(&url).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let watching = tokio::spawn({
        let store = store.clone();
        async move { store.watch(async { drop(stopped.await) }).await }
    });
    let mut open = store.begin().await.unwrap();
    revocations::block(&mut open, &Scope::Deployment, ACT).await.unwrap();

    server.stop();
    assert!(matches!(open.commit().await, Err(StoreError::Unavailable(_))));
    let asked = Instant::now();
    assert!(matches!(store.begin().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(revision::current(&store).await, Err(StoreError::Unavailable(_))));
    let waited = asked.elapsed();
    assert!(waited < Duration::from_secs(10), "two calls are bounded: {waited:?}");
    assert!(matches!(store.confirm().await, Err(StoreError::Unavailable(_))));
    let confirmed = store.last_confirmed();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(store.last_confirmed(), confirmed, "an answer that never came confirms nothing");
    let refused = Store::open(&url).await;
    assert!(matches!(refused, Err(OpenError::Connect { source: StoreError::Unavailable(_), .. })), "{refused:?}");

    server.resume().unwrap();
    while store.last_confirmed() <= confirmed {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(revocations::find(&store, &Scope::Deployment).await.unwrap(), None, "the open transaction is gone");

    let other = Store::open(&url).await.unwrap();
    let mut tx = other.begin().await.unwrap();
    revocations::block(&mut tx, &Scope::Deployment, ACT).await.unwrap();
    let revision = tx.commit().await.unwrap().unwrap();
    store.changes().wait_for(|seen| *seen >= revision).await.unwrap();
    stop.send(()).unwrap();
    watching.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_write_lock_is_an_error_in_the_end_and_reads_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let url = StoreUrl::File(directory.path().join("ambit.db"));
    let (holder, store) = (Store::open(&url).await.unwrap(), Store::open(&url).await.unwrap());
    let held = holder.begin().await.unwrap();
    assert!(matches!(store.begin().await, Err(StoreError::Unavailable(_))));
    revision::current(&store).await.unwrap();
    drop(held);
    store.begin().await.unwrap();
}

#[tokio::test]
async fn a_file_that_cannot_be_made_says_where_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("absent").join("ambit.db");
    let message = Store::open(&StoreUrl::File(path.clone())).await.unwrap_err().to_string();
    assert!(message.contains(&path.display().to_string()) && message.contains("check that the directory exists"));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ambit.db");
    let text = "this is a letter, not a database. ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    assert!(Store::open(&StoreUrl::File(path.clone())).await.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_new_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&StoreUrl::File(directory.path().join("ambit.db"))).await.unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        files += 1;
    }
    assert!(files >= 2, "the write-ahead log stands beside the database");
    store.close().await;
    assert!(matches!(store.begin().await, Err(StoreError::Unavailable(_))));
}
