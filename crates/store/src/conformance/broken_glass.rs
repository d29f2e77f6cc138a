//! Broken glass: a reveal that is one of it, for as long as it lives, and one review.

use ambit_model::{
    grant::Reveal,
    ids::{ClientId, GrantId, ToolsetSlug, UserKey},
};

use super::{NOW, Place, cases};
use crate::{
    Store, StoreError,
    broken_glass::{self, Review},
    reveals,
};

cases![
    a_broken_glass_counts_while_its_reveal_lives,
    a_review_is_written_once,
    what_nobody_looked_at_is_listed_first_however_much_came_since,
];

fn id(text: &str) -> GrantId {
    GrantId::parse(text).unwrap()
}

async fn reveal(store: &Store, name: &str, user: &str, is_glass: bool) {
    let reveal = Reveal {
        id: id(name),
        user: UserKey::parse(user).unwrap(),
        client: ClientId::parse("c").unwrap(),
        agent: None,
        toolset: ToolsetSlug::parse("cleanup").unwrap(),
        reason: "the pager rang".into(),
        approved_by: None,
        starts_at: NOW,
        expires_at: NOW + 1000,
    };
    let mut tx = store.begin().await.unwrap();
    reveals::insert(&mut tx, &reveal, "user local:alice", NOW).await.unwrap();
    if is_glass {
        broken_glass::insert(&mut tx, &reveal.id).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn a_broken_glass_counts_while_its_reveal_lives(place: Place) {
    let store = place.store;
    reveal(&store, "r1", "alice", true).await;
    reveal(&store, "r2", "alice", false).await;
    reveal(&store, "r3", "bob", true).await;
    assert_eq!(broken_glass::load_live(&store, NOW).await.unwrap().len(), 2);
    assert_eq!(broken_glass::load_live(&store, NOW + 1000).await.unwrap(), []);
    let mut tx = store.begin().await.unwrap();
    reveals::end(&mut tx, &id("r1"), "operator:o", NOW + 1).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(broken_glass::load_live(&store, NOW + 1).await.unwrap(), [id("r3")]);
    let alice = UserKey::parse("alice").unwrap();
    let own = broken_glass::list(&store, Some(&alice)).await.unwrap();
    assert_eq!(own.len(), 1, "what is over is still to be looked at");
    assert_eq!((&own[0].reveal.reveal.id, own[0].reveal.ended.is_some()), (&id("r1"), true));
    assert_eq!(broken_glass::list(&store, None).await.unwrap().len(), 2);
    assert_eq!(broken_glass::find(&store, &id("r2")).await.unwrap(), None, "an ordinary reveal is none");
    let mut tx = store.begin().await.unwrap();
    let unknown = broken_glass::insert(&mut tx, &id("unknown")).await;
    assert!(matches!(unknown, Err(StoreError::Refused(_))), "{unknown:?}");
}

async fn a_review_is_written_once(place: Place) {
    let store = place.store;
    reveal(&store, "r1", "alice", true).await;
    let says = |by: &str| Review { by: by.into(), at: NOW + 5, says: "it had to be".into() };
    for (name, by, written) in
        [("r1", "operator:bob", true), ("r1", "operator:carol", false), ("r9", "operator:bob", false)]
    {
        let mut tx = store.begin().await.unwrap();
        assert_eq!(broken_glass::review(&mut tx, &id(name), &says(by)).await.unwrap(), written, "{name} {by}");
        tx.commit().await.unwrap();
    }
    let found = broken_glass::find(&store, &id("r1")).await.unwrap().unwrap();
    assert_eq!(found.review, Some(says("operator:bob")));
}

async fn what_nobody_looked_at_is_listed_first_however_much_came_since(place: Place) {
    let store = place.store;
    let most = usize::try_from(broken_glass::MOST_REVIEWED).unwrap();
    let mut tx = store.begin().await.unwrap();
    // The oldest three wait, and more than are listed were looked at since.
    for number in 0..most + 8 {
        let reveal = Reveal {
            id: id(&format!("r{number:04}")),
            user: UserKey::parse(if number % 2 == 0 { "alice" } else { "bob" }).unwrap(),
            client: ClientId::parse("c").unwrap(),
            agent: None,
            toolset: ToolsetSlug::parse("cleanup").unwrap(),
            reason: "the pager rang".into(),
            approved_by: None,
            starts_at: NOW,
            expires_at: NOW + 1000,
        };
        reveals::insert(&mut tx, &reveal, "user local:alice", NOW + i64::try_from(number).unwrap()).await.unwrap();
        broken_glass::insert(&mut tx, &reveal.id).await.unwrap();
        if number >= 3 {
            let review = Review { by: "operator:carol".into(), at: NOW, says: "fine".into() };
            assert!(broken_glass::review(&mut tx, &reveal.id, &review).await.unwrap());
        }
    }
    tx.commit().await.unwrap();
    let listed = broken_glass::list(&store, None).await.unwrap();
    assert_eq!(listed.len(), most + 3);
    let ids: Vec<_> = listed.iter().take(4).map(|glass| glass.reveal.reveal.id.to_string()).collect();
    assert_eq!(ids, ["r0002", "r0001", "r0000", &format!("r{:04}", most + 7)]);
    assert!(listed[..3].iter().all(|glass| glass.review.is_none()));
    let bob = UserKey::parse("bob").unwrap();
    let own = broken_glass::list(&store, Some(&bob)).await.unwrap();
    assert_eq!(own[0].reveal.reveal.id, id("r0001"), "those of one user in the same order");
    assert!(own.iter().all(|glass| glass.reveal.reveal.user == bob));
    assert_eq!(broken_glass::every(&store).await.unwrap().len(), most + 8);
}
