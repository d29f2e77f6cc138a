//! Requests for access: one open request per person and toolset, few at a time, confirmed and decided once.

use ambit_model::{
    access::{AccessDecision, AccessLapse, AccessRequest, AccessStage, AccessTold, DENIED_MS, MAX_OPEN},
    approval::{Party, Via},
    ids::{AccessId, ClientId, EndpointSlug, GrantId, ToolsetSlug, UserKey},
};

use super::{NOW, Place, cases};
use crate::{
    Store, StoreError,
    access_requests::{self, Opened},
};

cases![
    the_same_wish_is_one_request,
    a_person_has_few_open_at_a_time,
    only_what_a_person_confirmed_can_be_decided,
    of_many_who_decide_one_does,
    what_is_over_makes_room_and_a_no_is_remembered,
    requests_run_out_and_are_forgotten,
];

fn id(text: &str) -> AccessId {
    AccessId::parse(text).unwrap()
}

fn alice() -> UserKey {
    UserKey::parse("alice").unwrap()
}

fn wish(name: &str, user: &str, toolset: &str) -> AccessRequest {
    AccessRequest {
        id: id(name),
        user: UserKey::parse(user).unwrap(),
        toolset: ToolsetSlug::parse(toolset).unwrap(),
        endpoint: EndpointSlug::parse("default").unwrap(),
        client: ClientId::parse("c").unwrap(),
        agent: None,
        life_ms: 1000,
        told: AccessTold {
            reason: "the report".into(),
            assurance: "cimd".into(),
            claimed: Some("App 1".into()),
            excluded: vec![Party { user: UserKey::parse(user).unwrap(), email: None }],
        },
        words: None,
        requested_at: NOW,
        asked: 1,
        decided: None,
        stage: AccessStage::Unconfirmed { until: NOW + 1000 },
    }
}

async fn open(store: &Store, wish: &AccessRequest, now: i64) -> Opened {
    let mut tx = store.begin().await.unwrap();
    let opened = access_requests::open(&mut tx, wish, now + 1000, now).await.unwrap();
    tx.commit().await.unwrap();
    opened
}

async fn confirm(store: &Store, name: &str, now: i64) -> bool {
    let mut tx = store.begin().await.unwrap();
    let done = access_requests::confirm(&mut tx, &id(name), Some("my words"), now + 5000, now).await.unwrap();
    tx.commit().await.unwrap();
    done
}

fn by(name: &str) -> AccessDecision {
    AccessDecision { by: UserKey::parse(name).unwrap(), via: Via::Page, reason: Some("fine".into()) }
}

async fn decide(store: &Store, name: &str, who: &str, grant: Option<&str>, now: i64) -> Result<bool, StoreError> {
    let grant = grant.map(|grant| GrantId::parse(grant).unwrap());
    let mut tx = store.begin().await.unwrap();
    let done = access_requests::decide(&mut tx, &id(name), &by(who), grant.as_ref(), now).await?;
    tx.commit().await?;
    Ok(done)
}

async fn the_same_wish_is_one_request(place: Place) {
    let stores = [place.store.clone(), place.another().await];
    let asking: Vec<_> = (0..16)
        .map(|number| {
            let store = stores[number % 2].clone();
            tokio::spawn(async move {
                loop {
                    let mut tx = store.begin().await.unwrap();
                    let wish = wish(&format!("a{number}"), "alice", "reads");
                    match access_requests::open(&mut tx, &wish, NOW + 1000, NOW).await {
                        Ok(opened) => {
                            tx.commit().await.unwrap();
                            return opened;
                        }
                        Err(StoreError::Conflict) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    let (mut new, mut ids) = (0, std::collections::BTreeSet::new());
    for one in asking {
        match one.await.unwrap() {
            Opened::New(request) => {
                new += 1;
                ids.insert(request.id);
            }
            Opened::Known(request) => {
                ids.insert(request.id);
            }
            Opened::TooMany => panic!("one request is not too many"),
        }
    }
    assert_eq!((new, ids.len()), (1, 1));
    let kept = access_requests::find_latest(&place.store, &alice(), &ToolsetSlug::parse("reads").unwrap()).await;
    let kept = kept.unwrap().unwrap();
    assert_eq!(kept.asked, 16);
    let expected = AccessRequest { id: kept.id.clone(), asked: 16, ..wish("x", "alice", "reads") };
    assert_eq!(kept, expected, "everything is read back");
    // Another person or toolset is another request.
    for other in [wish("b1", "bob", "reads"), wish("b2", "alice", "writes")] {
        assert!(matches!(open(&place.store, &other, NOW).await, Opened::New(_)));
    }
}

async fn a_person_has_few_open_at_a_time(place: Place) {
    let store = place.store;
    for number in 0..MAX_OPEN {
        let wish = wish(&format!("a{number}"), "alice", &format!("t{number}"));
        assert!(matches!(open(&store, &wish, NOW).await, Opened::New(_)), "{number}");
    }
    assert!(confirm(&store, "a0", NOW).await, "a confirmed one is open as well");
    let one_more = wish("more", "alice", "more");
    assert_eq!(open(&store, &one_more, NOW).await, Opened::TooMany);
    assert!(matches!(open(&store, &wish("again", "alice", "t1"), NOW).await, Opened::Known(_)));
    assert!(matches!(open(&store, &wish("b", "bob", "more"), NOW).await, Opened::New(_)));
    let mut tx = store.begin().await.unwrap();
    assert!(access_requests::withdraw(&mut tx, &id("a0"), NOW + 1).await.unwrap());
    assert!(!access_requests::withdraw(&mut tx, &id("a0"), NOW + 1).await.unwrap());
    tx.commit().await.unwrap();
    assert!(matches!(open(&store, &one_more, NOW + 1).await, Opened::New(_)));
}

async fn only_what_a_person_confirmed_can_be_decided(place: Place) {
    let store = place.store;
    open(&store, &wish("a", "alice", "reads"), NOW).await;
    assert!(!decide(&store, "a", "bob", Some("g"), NOW).await.unwrap());
    assert_eq!(access_requests::list_waiting(&store, NOW).await.unwrap(), []);
    assert!(!confirm(&store, "a", NOW + 1000).await, "its time is over");
    assert!(confirm(&store, "a", NOW + 10).await);
    assert!(!confirm(&store, "a", NOW + 11).await, "once");
    let waiting = access_requests::list_waiting(&store, NOW + 11).await.unwrap();
    assert_eq!(waiting[0].stage, AccessStage::Waiting { since: NOW + 10, until: NOW + 5010 });
    assert_eq!(waiting[0].reason(), "my words");
    assert!(!decide(&store, "a", "bob", Some("g"), NOW + 5010).await.unwrap(), "too late");
    assert!(decide(&store, "a", "bob", Some("g"), NOW + 20).await.unwrap());
    let done = access_requests::find(&store, &id("a")).await.unwrap().unwrap();
    assert_eq!(done.stage, AccessStage::Approved { at: NOW + 20, grant: GrantId::parse("g").unwrap() });
    assert_eq!(done.decided, Some(by("bob")));
    assert_eq!(access_requests::list_waiting(&store, NOW + 20).await.unwrap(), []);
    assert_eq!(access_requests::list_of_user(&store, &alice(), 5).await.unwrap(), [done]);
}

async fn of_many_who_decide_one_does(place: Place) {
    let stores = [place.store.clone(), place.another().await];
    open(&place.store, &wish("a", "alice", "reads"), NOW).await;
    assert!(confirm(&place.store, "a", NOW).await);
    let deciding: Vec<_> = (0..12)
        .map(|number| {
            let store = stores[number % 2].clone();
            tokio::spawn(async move {
                let grant = format!("g{number}");
                loop {
                    match decide(&store, "a", "bob", (number % 3 != 0).then_some(grant.as_str()), NOW + 1).await {
                        Ok(done) => return done,
                        Err(StoreError::Conflict) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    let mut done = 0;
    for one in deciding {
        done += u32::from(one.await.unwrap());
    }
    assert_eq!(done, 1);
}

async fn what_is_over_makes_room_and_a_no_is_remembered(place: Place) {
    let store = place.store;
    open(&store, &wish("a", "alice", "reads"), NOW).await;
    // Nobody swept; the next one is opened all the same.
    assert!(matches!(open(&store, &wish("b", "alice", "reads"), NOW + 1000).await, Opened::New(_)));
    let first = access_requests::find(&store, &id("a")).await.unwrap().unwrap();
    assert_eq!(first.stage, AccessStage::Lapsed { at: NOW + 1000, why: AccessLapse::Expired });
    assert!(confirm(&store, "b", NOW + 1000).await);
    assert!(decide(&store, "b", "bob", None, NOW + 1001).await.unwrap());
    let again = wish("c", "alice", "reads");
    assert!(matches!(open(&store, &again, NOW + 1002).await, Opened::Known(known) if known.id == id("b")));
    assert!(matches!(open(&store, &again, NOW + 1001 + DENIED_MS).await, Opened::New(_)));
    // A clock that was set back finds the open one, however old it seems.
    assert!(
        matches!(open(&store, &wish("d", "alice", "reads"), NOW - 10).await, Opened::Known(known) if known.id == id("c"))
    );
    let mut tx = store.begin().await.unwrap();
    assert!(access_requests::lapse(&mut tx, &id("c"), AccessLapse::Revoked, NOW).await.unwrap());
    assert!(!access_requests::lapse(&mut tx, &id("b"), AccessLapse::Revoked, NOW).await.unwrap(), "decided is decided");
    tx.commit().await.unwrap();
}

async fn requests_run_out_and_are_forgotten(place: Place) {
    let store = place.store;
    open(&store, &wish("a", "alice", "reads"), NOW).await;
    open(&store, &wish("b", "alice", "writes"), NOW + 10).await;
    let mut tx = store.begin().await.unwrap();
    let due = access_requests::lapse_due(&mut tx, NOW + 1000).await.unwrap();
    assert_eq!(due.iter().map(|one| one.id.clone()).collect::<Vec<_>>(), [id("a")]);
    assert_eq!(access_requests::purge(&mut tx, NOW + 2000).await.unwrap(), 1, "what is open is kept");
    tx.commit().await.unwrap();
    assert_eq!(access_requests::find(&store, &id("a")).await.unwrap(), None);
    assert!(access_requests::find(&store, &id("b")).await.unwrap().is_some());
    assert_eq!(access_requests::find(&store, &id("nobody")).await.unwrap(), None);
}
