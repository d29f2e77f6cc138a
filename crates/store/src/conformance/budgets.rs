//! What callers used of a day, and what they touched.

use ambit_model::{budget::DayCount, label::Label};

use super::{NOW, Place, cases, digest};
use crate::{day_counts, touched};

cases![
    a_count_is_kept_per_node_and_day_and_replaced,
    days_that_are_over_are_forgotten,
    a_label_is_carried_until_its_end
];

fn count(day: u32, person: &str, what: &str, count: u32) -> DayCount {
    DayCount { day, person: digest(person), what: what.to_owned(), count }
}

async fn a_count_is_kept_per_node_and_day_and_replaced(place: Place) {
    let store = place.store;
    let first =
        [count(7, "alice", "request", 3), count(7, "alice", "effect:write", u32::MAX), count(7, "bob", "request", 1)];
    let mut tx = store.begin().await.unwrap();
    day_counts::keep(&mut tx, "n1", &first).await.unwrap();
    day_counts::keep(&mut tx, "n2", &[count(7, "alice", "request", 50)]).await.unwrap();
    day_counts::keep(&mut tx, "n1", &[count(7, "alice", "request", 9), count(8, "alice", "request", 1)]).await.unwrap();
    assert_eq!(tx.commit().await.unwrap(), None, "no request sees it");
    let mut kept = day_counts::load(&store, "n1", 7).await.unwrap();
    kept.sort_by_key(|count| std::cmp::Reverse(count.count));
    assert_eq!(kept, [first[1].clone(), count(7, "alice", "request", 9), first[2].clone()]);
    assert_eq!(day_counts::load(&store, "n3", 7).await.unwrap(), []);
}

async fn days_that_are_over_are_forgotten(place: Place) {
    let store = place.store;
    let mut tx = store.begin().await.unwrap();
    for day in 5..8 {
        day_counts::keep(&mut tx, "n1", &[count(day, "alice", "request", 1)]).await.unwrap();
    }
    assert_eq!(day_counts::forget_before(&mut tx, 7).await.unwrap(), 2);
    tx.commit().await.unwrap();
    assert_eq!(day_counts::load(&store, "n1", 7).await.unwrap().len(), 1);
    assert_eq!(day_counts::load(&store, "n1", 6).await.unwrap(), []);
}

async fn a_label_is_carried_until_its_end(place: Place) {
    let (store, alice) = (place.store, digest("alice"));
    let mut tx = store.begin().await.unwrap();
    touched::note(&mut tx, &alice, Label::PrivateData, NOW + 20).await.unwrap();
    touched::note(&mut tx, &alice, Label::PrivateData, NOW + 10).await.unwrap();
    touched::note(&mut tx, &alice, Label::UntrustedContent, NOW + 5).await.unwrap();
    assert_eq!(tx.commit().await.unwrap(), None, "no snapshot holds it");
    let mut both = touched::of(&store, &alice, NOW).await.unwrap();
    both.sort_unstable();
    assert_eq!(both, [Label::UntrustedContent, Label::PrivateData]);
    assert_eq!(touched::of(&store, &alice, NOW + 19).await.unwrap(), [Label::PrivateData]);
    assert_eq!(touched::of(&store, &alice, NOW + 20).await.unwrap(), []);
    assert_eq!(touched::of(&store, &digest("bob"), NOW).await.unwrap(), []);
    let mut tx = store.begin().await.unwrap();
    assert_eq!(touched::forget(&mut tx, NOW + 5).await.unwrap(), 1);
    tx.commit().await.unwrap();
}
