//! The index of the trail.

use std::collections::BTreeSet;

use super::{NOW, Place, cases};
use crate::{
    StoreError, Tx,
    trail_index::{self, BundleRef, KeyKind, Query},
};

cases![
    a_bundle_is_indexed_once,
    bundles_are_found_by_every_key_and_time,
    pages_neither_repeat_nor_skip,
    a_value_of_any_length_is_found,
    old_bundles_are_forgotten_with_their_keys,
    bundles_of_lost_records_are_forgotten_for_their_node_alone,
    what_is_old_and_indexed_is_known_and_forgotten_for_its_node_alone,
];

async fn what_is_old_and_indexed_is_known_and_forgotten_for_its_node_alone(place: Place) {
    let store = place.store;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(trail_index::first_since(&mut tx, "n1", NOW).await.unwrap(), 0, "what is not indexed is not old");
    for (node, first, at) in [("n1", 0, NOW - 100), ("n1", 10, NOW + 50), ("n1", 20, NOW - 90), ("n2", 0, NOW - 100)] {
        trail_index::insert(&mut tx, &bundle(node, first, at), &keys(&[(KeyKind::Tool, "mux/x")])).await.unwrap();
    }
    for (since, first) in [(NOW - 100, 0), (NOW, 10), (NOW - 94, 10), (NOW + 55, 10), (NOW + 56, 30)] {
        assert_eq!(trail_index::first_since(&mut tx, "n1", since).await.unwrap(), first, "{since}");
    }
    assert_eq!(trail_index::forget_below(&mut tx, "n1", 20).await.unwrap(), 2);
    let all = Query { tool: Some("mux/x".into()), limit: 10, ..Query::default() };
    assert_eq!(found(&mut tx, all).await, [("n1".to_owned(), 20), ("n2".to_owned(), 0)]);
    assert_eq!(trail_index::last_indexed(&mut tx, "n1").await.unwrap(), Some(29));
}

fn bundle(node: &str, first_leaf: u64, at: i64) -> BundleRef {
    BundleRef {
        node: node.into(),
        first_leaf,
        last_leaf: first_leaf + 9,
        from_ms: at,
        to_ms: at + 5,
        segment: "000001.trail".into(),
        positions: vec![0, 128, 255],
    }
}

fn keys(pairs: &[(KeyKind, &str)]) -> BTreeSet<(KeyKind, String)> {
    pairs.iter().map(|(kind, value)| (*kind, (*value).to_owned())).collect()
}

async fn found(tx: &mut Tx, query: Query) -> Vec<(String, u64)> {
    let bundles = trail_index::search(tx, &query).await.unwrap();
    bundles.into_iter().map(|bundle| (bundle.node, bundle.first_leaf)).collect()
}

async fn a_bundle_is_indexed_once(place: Place) {
    let store = place.store;
    let one = bundle("n1", 0, NOW);
    let mut tx = store.begin().await.unwrap();
    assert_eq!(trail_index::last_indexed(&mut tx, "n1").await.unwrap(), None);
    let alice = keys(&[(KeyKind::Subject, "local:alice"), (KeyKind::Decision, "allow")]);
    assert!(trail_index::insert(&mut tx, &one, &alice).await.unwrap());
    assert!(!trail_index::insert(&mut tx, &one, &alice).await.unwrap(), "the same again");
    let bob = keys(&[(KeyKind::Subject, "local:bob")]);
    assert!(!trail_index::insert(&mut tx, &BundleRef { last_leaf: 99, ..one.clone() }, &bob).await.unwrap());
    assert!(trail_index::insert(&mut tx, &bundle("n2", 0, NOW), &keys(&[])).await.unwrap(), "another node");
    assert_eq!(tx.commit().await.unwrap(), None, "nothing that requests see");

    assert_eq!(trail_index::last_indexed(&store, "n1").await.unwrap(), Some(9));
    let query = Query { subject: Some("local:alice".into()), limit: 10, ..Query::default() };
    assert_eq!(trail_index::search(&store, &query).await.unwrap(), vec![one]);
    let query = Query { subject: Some("local:bob".into()), limit: 10, ..Query::default() };
    assert!(trail_index::search(&store, &query).await.unwrap().is_empty());

    let mut tx = store.begin().await.unwrap();
    let backwards = BundleRef { first_leaf: 50, last_leaf: 49, ..bundle("n1", 0, NOW) };
    let refused = trail_index::insert(&mut tx, &backwards, &keys(&[])).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
}

async fn bundles_are_found_by_every_key_and_time(place: Place) {
    let mut tx = place.store.begin().await.unwrap();
    let tx = &mut tx;
    let all = [
        (KeyKind::Subject, "local:alice"),
        (KeyKind::Agent, "bot"),
        (KeyKind::Client, "c1"),
        (KeyKind::Tool, "mux/get-asset"),
        (KeyKind::Endpoint, "default"),
        (KeyKind::Decision, "allow"),
    ];
    trail_index::insert(tx, &bundle("n1", 0, NOW), &keys(&all)).await.unwrap();
    trail_index::insert(tx, &bundle("n1", 10, NOW + 10), &keys(&[(KeyKind::Subject, "local:bob")])).await.unwrap();
    trail_index::insert(tx, &bundle("n1", 20, NOW + 20), &keys(&[(KeyKind::Subject, "local:alice")])).await.unwrap();

    let (first, second, third) = (("n1".to_owned(), 0), ("n1".to_owned(), 10), ("n1".to_owned(), 20));
    let base = Query { limit: 10, ..Query::default() };
    let some = |text: &str| Some(text.to_owned());
    let cases = [
        (base.clone(), vec![third.clone(), second.clone(), first.clone()]),
        (Query { subject: some("local:alice"), ..base.clone() }, vec![third.clone(), first.clone()]),
        (Query { agent: some("bot"), ..base.clone() }, vec![first.clone()]),
        (Query { client: some("c1"), ..base.clone() }, vec![first.clone()]),
        (Query { tool: some("mux/get-asset"), ..base.clone() }, vec![first.clone()]),
        (Query { endpoint: some("default"), ..base.clone() }, vec![first.clone()]),
        (Query { decision: some("allow"), ..base.clone() }, vec![first.clone()]),
        (Query { subject: some("local:alice"), decision: some("allow"), ..base.clone() }, vec![first.clone()]),
        (Query { subject: some("local:bob"), decision: some("allow"), ..base.clone() }, vec![]),
        (Query { subject: some("bot"), ..base.clone() }, vec![]),
        (Query { from_ms: Some(NOW + 6), ..base.clone() }, vec![third.clone(), second.clone()]),
        (Query { from_ms: Some(NOW + 5), to_ms: Some(NOW + 10), ..base.clone() }, vec![second, first.clone()]),
        (Query { subject: some("local:alice"), to_ms: Some(NOW + 19), ..base.clone() }, vec![first]),
        (Query { limit: 0, ..base }, vec![third]),
    ];
    for (query, expected) in cases {
        let shown = format!("{query:?}");
        assert_eq!(found(tx, query).await, expected, "{shown}");
    }
}

async fn pages_neither_repeat_nor_skip(place: Place) {
    let mut tx = place.store.begin().await.unwrap();
    let tx = &mut tx;
    for node in ["n1", "n2", "n10"] {
        for leaf in 0..10_u64 {
            // Many bundles of one instant, so that the order hangs on node and leaf.
            let at = NOW + i64::try_from(leaf / 5).unwrap();
            let alice = keys(&[(KeyKind::Subject, "local:alice")]);
            trail_index::insert(tx, &bundle(node, leaf * 10, at), &alice).await.unwrap();
        }
    }
    for subject in [None, Some("local:alice".to_owned())] {
        let whole = found(tx, Query { subject: subject.clone(), limit: 1000, ..Query::default() }).await;
        assert_eq!(whole.len(), 30);
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let query = Query { subject: subject.clone(), limit: 7, after: after.take(), ..Query::default() };
            let page = trail_index::search(&mut *tx, &query).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.cursor());
            paged.extend(page.into_iter().map(|bundle| (bundle.node, bundle.first_leaf)));
        }
        assert_eq!(paged, whole);
    }
}

async fn a_value_of_any_length_is_found(place: Place) {
    let mut tx = place.store.begin().await.unwrap();
    for (leaf, length) in [(0, 2089), (10, 2200), (20, 2201), (30, 100_000)] {
        // Text that does not compress, so that no engine can make it fit by squeezing.
        let value: String =
            (0..=length / 64).map(|n| super::digest(&n.to_string()).to_string()[7..].to_owned()).collect();
        let value = &value[..length];
        trail_index::insert(&mut tx, &bundle("n1", leaf, NOW), &keys(&[(KeyKind::Client, value)])).await.unwrap();
        let query = Query { client: Some(value.into()), limit: 10, ..Query::default() };
        assert_eq!(found(&mut tx, query).await, vec![("n1".to_owned(), leaf)], "{length}");
    }
}

async fn old_bundles_are_forgotten_with_their_keys(place: Place) {
    let mut tx = place.store.begin().await.unwrap();
    let alice = keys(&[(KeyKind::Subject, "local:alice")]);
    trail_index::insert(&mut tx, &bundle("n1", 0, NOW), &alice).await.unwrap();
    trail_index::insert(&mut tx, &bundle("n1", 10, NOW + 100), &alice).await.unwrap();
    assert_eq!(trail_index::purge(&mut tx, NOW + 6).await.unwrap(), 1);
    let rows = crate::Source::rows(&mut tx, "select first_leaf from trail_keys", &[]).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].int("first_leaf").unwrap(), 10);
}

async fn bundles_of_lost_records_are_forgotten_for_their_node_alone(place: Place) {
    let mut tx = place.store.begin().await.unwrap();
    let tx = &mut tx;
    for (node, first) in [("n1", 0), ("n1", 10), ("n1", 20), ("n2", 20)] {
        trail_index::insert(tx, &bundle(node, first, NOW), &keys(&[(KeyKind::Client, "c")])).await.unwrap();
    }
    // Leaf 15 and what follows is lost: so is what the middle bundle says.
    assert_eq!(trail_index::forget_from(tx, "n1", 15).await.unwrap(), 2);
    assert_eq!(trail_index::last_indexed(&mut *tx, "n1").await.unwrap(), Some(9));
    assert_eq!(trail_index::last_indexed(&mut *tx, "n2").await.unwrap(), Some(29));
    let left = found(tx, Query { client: Some("c".into()), limit: 10, ..Query::default() }).await;
    assert_eq!(left, [("n2".to_owned(), 20), ("n1".to_owned(), 0)]);
    assert_eq!(trail_index::forget_from(tx, "n1", 10).await.unwrap(), 0);
}
