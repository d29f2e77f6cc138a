//! What two callers do to each other through the connections themselves.

use std::time::Duration;

use ambit_model::revocation::Scope;

use super::{NOW, Place, cases};
use crate::{
    Store, StoreError, StoreUrl, revision,
    revocations::{self, Act},
    testing,
};

cases![a_dropped_transaction_holds_nothing, a_transaction_sees_its_own_writes_and_others_do_not];

const ACT: Act<'static> = Act { by: "operator:root", reason: "fire", at_ms: NOW };

fn scope(id: &str) -> Scope {
    Scope::Family(id.into())
}

/// Clients leave at any moment: whatever the moment, the next transaction begins and nothing half-done is there.
async fn a_dropped_transaction_holds_nothing(place: Place) {
    let store = place.store;
    let before = revision::current(&store).await.unwrap();
    for micros in (0..40).map(|step| step * 100) {
        let leaving = tokio::spawn({
            let store = store.clone();
            async move {
                let mut tx = store.begin().await.unwrap();
                loop {
                    revocations::block(&mut tx, &scope("half-done"), ACT).await.unwrap();
                }
            }
        });
        tokio::time::sleep(Duration::from_micros(micros)).await;
        leaving.abort();
        assert!(leaving.await.unwrap_err().is_cancelled());
    }
    let mut tx = store.begin().await.unwrap();
    assert_eq!(revocations::find(&mut tx, &scope("half-done")).await.unwrap(), None);
    revocations::block(&mut tx, &scope("done"), ACT).await.unwrap();
    assert_eq!(tx.commit().await.unwrap(), Some(before + 1));
}

async fn a_transaction_sees_its_own_writes_and_others_do_not(place: Place) {
    let mut tx = place.store.begin().await.unwrap();
    revocations::block(&mut tx, &scope("f1"), ACT).await.unwrap();
    assert!(revocations::find(&mut tx, &scope("f1")).await.unwrap().is_some());
    match place.url {
        // One connection: a reader would wait for it.
        StoreUrl::Memory => {}
        StoreUrl::File(_) | StoreUrl::Postgres(_) => {
            assert_eq!(revocations::find(&place.store, &scope("f1")).await.unwrap(), None);
        }
    }
    tx.commit().await.unwrap();
    assert!(revocations::find(&place.store, &scope("f1")).await.unwrap().is_some());
}

/// Only PostgreSQL lets two transactions write at once, so only there can each wait for the other.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_transactions_that_wait_for_each_other_one_may_be_repeated() {
    let url = testing::postgres().unwrap_or_else(|error| panic!("{error}"));
    let store = Store::open(&url).await.unwrap();
    let both = std::sync::Arc::new(tokio::sync::Barrier::new(2));
    let crossing = [("a", "b"), ("b", "a")].map(|(first, second)| {
        let (store, both) = (store.clone(), both.clone());
        tokio::spawn(async move {
            let mut tx = store.begin().await?;
            revocations::block(&mut tx, &scope(first), ACT).await?;
            both.wait().await;
            revocations::block(&mut tx, &scope(second), ACT).await?;
            tx.commit().await
        })
    });
    let mut results = Vec::new();
    for one in crossing {
        results.push(one.await.unwrap());
    }
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    assert!(results.iter().any(|result| matches!(result, Err(StoreError::Conflict))), "{results:?}");
}

/// A server that holds a connection without answering is as gone as one that refuses.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_not_released_is_an_error_in_the_end() {
    let url = testing::postgres().unwrap_or_else(|error| panic!("{error}"));
    let store = Store::open(&url).await.unwrap();
    let mut holder = store.begin().await.unwrap();
    revocations::block(&mut holder, &scope("f1"), ACT).await.unwrap();
    let mut waiting = store.begin().await.unwrap();
    let waited = revocations::block(&mut waiting, &scope("f1"), ACT).await;
    assert!(matches!(waited, Err(StoreError::Unavailable(_))), "{waited:?}");
    drop(waiting);
    holder.commit().await.unwrap();
    assert!(revocations::find(&store, &scope("f1")).await.unwrap().is_some());
}
