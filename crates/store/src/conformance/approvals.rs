//! Approvals: one open request per call, one consumption, whatever happens at once and however the clock steps.

use ambit_model::{
    Effect,
    approval::{ARGUMENTS_LIFE_MS, Approval, Lapse, MAX_WAITING, Party, SETTLED_MS, Says, Stage, Told, Via, Vote},
    event::Executed,
    ids::{AgentId, ApprovalId, ClientId, EndpointSlug, ServerSlug, ToolId, UserKey},
};

use super::{NOW, Place, cases, digest};
use crate::{
    Store, StoreError,
    approvals::{self, Opened},
};

cases![
    the_same_call_is_one_request,
    a_caller_waits_for_few_at_a_time,
    an_approval_is_spent_by_one_of_many,
    an_approval_is_of_one_call_and_not_for_ever,
    a_person_has_one_word_and_a_no_ends_it,
    what_is_over_makes_room,
    what_was_let_out_answers_for_a_while,
    arguments_are_erased_and_requests_forgotten,
    a_clock_that_steps_back_gives_nothing_back,
    the_open_request_is_found_whatever_its_time_says,
    the_last_similar_call_is_the_last_that_was_let_out,
];

pub(super) fn id(text: &str) -> ApprovalId {
    ApprovalId::parse(text).unwrap()
}

fn wish(name: &str, call: &str) -> Approval {
    Approval {
        id: id(name),
        digest: digest(call),
        server: ServerSlug::parse("mux").unwrap(),
        tool: ToolId::parse("mux/delete-asset").unwrap(),
        endpoint: EndpointSlug::parse("default").unwrap(),
        user: Some(UserKey::parse("alice").unwrap()),
        agent: Some(AgentId::parse("bot").unwrap()),
        client: ClientId::parse("c").unwrap(),
        needed: 1,
        told: Told {
            effect: Effect::Destructive,
            definition: digest("definition"),
            purpose: "deletes".into(),
            environment: "production".into(),
            data_class: "internal".into(),
            owner: "video".into(),
            assurance: "cimd".into(),
            claimed: None,
            grounds: vec!["reveal r".into()],
            rules: vec![],
            excluded: vec![Party { user: UserKey::parse("alice").unwrap(), email: None }],
        },
        requested_at: NOW,
        asked: 1,
        stage: Stage::Pending { until: NOW + 1000 },
    }
}

pub(super) async fn open(store: &Store, name: &str, call: &str, now: i64) -> Opened {
    let mut tx = store.begin().await.unwrap();
    let opened = approvals::open(&mut tx, &wish(name, call), now + 1000, b"sealed", now).await.unwrap();
    tx.commit().await.unwrap();
    opened
}

pub(super) async fn approve(store: &Store, name: &str, now: i64) -> bool {
    let mut tx = store.begin().await.unwrap();
    let done = approvals::approve(&mut tx, &id(name), now + 500, now).await.unwrap();
    tx.commit().await.unwrap();
    done
}

pub(super) async fn consume(store: &Store, name: &str, call: &str, now: i64) -> Option<Approval> {
    let mut tx = store.begin().await.unwrap();
    let record = format!("record-{name}");
    let spent = approvals::consume(&mut tx, &id(name), &digest(call), &record, now).await.unwrap();
    tx.commit().await.unwrap();
    spent
}

pub(super) async fn executed(store: &Store, name: &str, executed: Executed) -> bool {
    let mut tx = store.begin().await.unwrap();
    let done = approvals::executed(&mut tx, &id(name), &format!("record-{name}"), executed).await.unwrap();
    tx.commit().await.unwrap();
    done
}

async fn the_same_call_is_one_request(place: Place) {
    let stores = [place.store.clone(), place.another().await];
    let asking: Vec<_> = (0..20)
        .map(|number| {
            let store = stores[number % 2].clone();
            tokio::spawn(async move {
                loop {
                    let mut tx = store.begin().await.unwrap();
                    let wish = wish(&format!("a{number}"), "call");
                    match approvals::open(&mut tx, &wish, NOW + 1000, b"sealed", NOW).await {
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
            Opened::New(approval) => {
                new += 1;
                ids.insert(approval.id);
            }
            Opened::Known(approval) => drop(ids.insert(approval.id)),
            Opened::TooMany { .. } => panic!("one waits"),
        }
    }
    assert_eq!((new, ids.len()), (1, 1));
    let only = ids.first().unwrap();
    let kept = approvals::find(&place.store, only).await.unwrap().unwrap();
    assert_eq!(kept, wish(only.as_str(), "call"));
    assert_eq!(approvals::arguments(&place.store, only).await.unwrap().as_deref(), Some(b"sealed".as_slice()));
    let mut tx = place.store.begin().await.unwrap();
    assert_eq!(approvals::ask_again(&mut tx, only).await.unwrap(), 2);
    assert_eq!(approvals::ask_again(&mut tx, only).await.unwrap(), 3);
}

async fn a_caller_waits_for_few_at_a_time(place: Place) {
    let stores = [place.store.clone(), place.another().await];
    let asking: Vec<_> = (0..20)
        .map(|number| {
            let store = stores[number % 2].clone();
            tokio::spawn(async move { open(&store, &format!("a{number}"), &format!("call {number}"), NOW).await })
        })
        .collect();
    let mut new = 0;
    for one in asking {
        match one.await.unwrap() {
            Opened::New(_) => new += 1,
            Opened::TooMany { since } => assert_eq!(since, NOW),
            Opened::Known(other) => panic!("another call is another request: {other:?}"),
        }
    }
    assert_eq!(new, MAX_WAITING);
    assert_eq!(approvals::list_waiting(&place.store, NOW).await.unwrap().len(), 5);
    // One of somebody else is another matter, and so is one after the others ran out.
    let mut tx = place.store.begin().await.unwrap();
    let others = Approval { user: Some(UserKey::parse("bob").unwrap()), ..wish("b", "call b") };
    let opened = approvals::open(&mut tx, &others, NOW + 1000, b"sealed", NOW).await.unwrap();
    assert!(matches!(opened, Opened::New(_)));
    tx.commit().await.unwrap();
    assert!(matches!(open(&place.store, "later", "call 99", NOW + 1000).await, Opened::New(_)));
}

async fn an_approval_is_spent_by_one_of_many(place: Place) {
    let stores = [place.store.clone(), place.another().await];
    open(&place.store, "a", "call", NOW).await;
    assert!(approve(&place.store, "a", NOW + 1).await);
    assert!(!approve(&place.store, "a", NOW + 2).await, "once");
    let spending: Vec<_> = (0..50)
        .map(|number| {
            let store = stores[number % 2].clone();
            tokio::spawn(async move { consume(&store, "a", "call", NOW + 2).await })
        })
        .collect();
    let mut spent = 0;
    for one in spending {
        spent += usize::from(one.await.unwrap().is_some());
    }
    assert_eq!(spent, 1);
    assert!(executed(&place.store, "a", Executed::Yes).await);
    assert!(!executed(&place.store, "a", Executed::No).await, "written once");
}

async fn an_approval_is_of_one_call_and_not_for_ever(place: Place) {
    let store = place.store;
    open(&store, "a", "call", NOW).await;
    assert_eq!(consume(&store, "a", "call", NOW).await, None, "nobody said yes");
    assert!(approve(&store, "a", NOW).await);
    assert_eq!(consume(&store, "a", "another", NOW + 1).await, None);
    assert_eq!(consume(&store, "a", "call", NOW + 500).await, None, "too late");
    let spent = consume(&store, "a", "call", NOW + 499).await.unwrap();
    assert_eq!(spent.stage, Stage::Consumed { at: NOW + 499, record: "record-a".into() });
    assert_eq!(consume(&store, "a", "call", NOW + 499).await, None);
    // Whoever did not spend it cannot say what came of it.
    let mut tx = store.begin().await.unwrap();
    assert!(!approvals::executed(&mut tx, &id("a"), "record-b", Executed::Yes).await.unwrap());
}

async fn a_person_has_one_word_and_a_no_ends_it(place: Place) {
    let store = place.store;
    open(&store, "a", "call", NOW).await;
    let word = |says, at| Vote {
        by: Party { user: UserKey::parse("boss").unwrap(), email: Some("b@x.example".into()) },
        says,
        at,
        via: Via::Command,
        reason: Some("checked".into()),
    };
    let mut tx = store.begin().await.unwrap();
    assert_eq!(approvals::hold(&mut tx, &id("a")).await.unwrap().unwrap().stage.as_str(), "pending");
    approvals::vote(&mut tx, &id("a"), &word(Says::Yes, NOW)).await.unwrap();
    approvals::vote(&mut tx, &id("a"), &word(Says::No, NOW + 1)).await.unwrap();
    assert_eq!(approvals::votes(&mut tx, &id("a")).await.unwrap(), vec![word(Says::No, NOW + 1)]);
    assert!(approvals::deny(&mut tx, &id("a"), NOW + 1).await.unwrap());
    assert!(!approvals::approve(&mut tx, &id("a"), NOW + 9, NOW + 2).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(approvals::find(&store, &id("a")).await.unwrap().unwrap().stage, Stage::Denied { at: NOW + 1 });
    let Opened::Known(known) = open(&store, "b", "call", NOW + 2).await else { panic!("a no answers for a while") };
    assert_eq!(known.id, id("a"));
    let mut tx = store.begin().await.unwrap();
    let nobodys = approvals::vote(&mut tx, &id("unknown"), &word(Says::Yes, NOW)).await;
    assert!(matches!(nobodys, Err(StoreError::Refused(_))), "{nobodys:?}");
}

async fn what_is_over_makes_room(place: Place) {
    let store = place.store;
    open(&store, "a", "call", NOW).await;
    assert!(matches!(open(&store, "b", "call", NOW + 999).await, Opened::Known(_)));
    assert!(matches!(open(&store, "b", "call", NOW + 1000).await, Opened::New(_)));
    let first = approvals::find(&store, &id("a")).await.unwrap().unwrap();
    assert_eq!(first.stage, Stage::Lapsed { at: NOW + 1000, why: Lapse::Expired });
    let mut tx = store.begin().await.unwrap();
    assert!(approvals::lapse(&mut tx, &id("b"), Lapse::Revoked, NOW + 1001).await.unwrap());
    assert!(!approvals::lapse(&mut tx, &id("b"), Lapse::Revoked, NOW + 1002).await.unwrap());
    tx.commit().await.unwrap();
    assert!(matches!(open(&store, "c", "call", NOW + 1002).await, Opened::New(_)));
    assert_eq!(approvals::find_latest(&store, &digest("call")).await.unwrap().unwrap().id, id("c"));
    let mut tx = store.begin().await.unwrap();
    let due = approvals::lapse_due(&mut tx, NOW + 2002).await.unwrap();
    assert_eq!(due.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["c"]);
    assert!(approvals::lapse_due(&mut tx, NOW + 2002).await.unwrap().is_empty());
}

async fn what_was_let_out_answers_for_a_while(place: Place) {
    let store = place.store;
    open(&store, "a", "call", NOW).await;
    approve(&store, "a", NOW).await;
    consume(&store, "a", "call", NOW).await.unwrap();
    for now in [NOW, NOW + SETTLED_MS - 1] {
        assert!(matches!(open(&store, "b", "call", now).await, Opened::Known(_)), "spent, and nobody knows");
    }
    executed(&store, "a", Executed::Unknown).await;
    assert!(matches!(open(&store, "b", "call", NOW + 1).await, Opened::Known(_)));
    assert!(matches!(open(&store, "b", "call", NOW + SETTLED_MS).await, Opened::New(_)));
    approve(&store, "b", NOW + SETTLED_MS).await;
    consume(&store, "b", "call", NOW + SETTLED_MS).await.unwrap();
    executed(&store, "b", Executed::No).await;
    assert!(matches!(open(&store, "c", "call", NOW + SETTLED_MS + 1).await, Opened::New(_)), "nothing was sent");
}

async fn arguments_are_erased_and_requests_forgotten(place: Place) {
    let store = place.store;
    open(&store, "a", "call", NOW).await;
    open(&store, "b", "another", NOW).await;
    approve(&store, "a", NOW + 10).await;
    let erase = |now| {
        let store = store.clone();
        async move {
            let mut tx = store.begin().await.unwrap();
            let erased = approvals::erase_arguments(&mut tx, now).await.unwrap();
            tx.commit().await.unwrap();
            erased
        }
    };
    assert_eq!(erase(NOW + 9 + ARGUMENTS_LIFE_MS).await, 0);
    assert_eq!(erase(NOW + 10 + ARGUMENTS_LIFE_MS).await, 1, "a day after the yes");
    assert_eq!(approvals::arguments(&store, &id("a")).await.unwrap(), None);
    assert!(approvals::arguments(&store, &id("b")).await.unwrap().is_some());
    assert_eq!(erase(NOW + 1000 + ARGUMENTS_LIFE_MS).await, 1, "a day after nobody answered");
    let mut tx = store.begin().await.unwrap();
    assert_eq!(approvals::purge(&mut tx, NOW).await.unwrap(), 0, "neither is over");
    approvals::lapse_due(&mut tx, NOW + 5000).await.unwrap();
    assert_eq!(approvals::purge(&mut tx, NOW).await.unwrap(), 2);
    tx.commit().await.unwrap();
    assert_eq!(approvals::find(&store, &id("a")).await.unwrap(), None);
}

async fn a_clock_that_steps_back_gives_nothing_back(place: Place) {
    let store = place.store;
    open(&store, "a", "call", NOW).await;
    assert!(matches!(open(&store, "b", "call", NOW + 1000).await, Opened::New(_)));
    // An hour back: what was written down as over stays over, and the open one is still the one.
    assert!(!approve(&store, "a", NOW - 3_600_000).await);
    let Opened::Known(known) = open(&store, "c", "call", NOW - 3_600_000).await else { panic!("there is one") };
    assert_eq!(known.id, id("b"));
    assert!(approve(&store, "b", NOW - 3_600_000).await);
    assert_eq!(consume(&store, "b", "call", NOW).await, None, "the clock went on: the yes is too old");
    assert!(consume(&store, "b", "call", NOW - 3_600_000).await.is_some());
    assert_eq!(consume(&store, "b", "call", NOW - 3_600_000).await, None, "once");
}

async fn the_open_request_is_found_whatever_its_time_says(place: Place) {
    let store = place.store;
    for (number, back) in [0, 3_600_000].into_iter().enumerate() {
        let call = format!("call {number}");
        let name = |part: &str| format!("{part}{number}");
        open(&store, &name("z"), &call, NOW).await;
        let mut tx = store.begin().await.unwrap();
        assert!(approvals::lapse(&mut tx, &id(&name("z")), Lapse::Revoked, NOW).await.unwrap());
        tx.commit().await.unwrap();
        assert!(matches!(open(&store, &name("a"), &call, NOW - back).await, Opened::New(_)), "{back}");
        let Opened::Known(known) = open(&store, &name("b"), &call, NOW - back).await else { panic!("{back}") };
        assert_eq!(known.id, id(&name("a")));
        assert_eq!(approvals::find_latest(&store, &digest(&call)).await.unwrap().unwrap().id, known.id);
    }
}

async fn the_last_similar_call_is_the_last_that_was_let_out(place: Place) {
    let store = place.store;
    let tool = ToolId::parse("mux/delete-asset").unwrap();
    for (number, came_to) in [Some(Executed::Yes), Some(Executed::Unknown), Some(Executed::No), None].iter().enumerate()
    {
        let (name, at) = (format!("a{number}"), NOW + i64::try_from(number).unwrap());
        open(&store, &name, &name, at).await;
        approve(&store, &name, at).await;
        consume(&store, &name, &name, at).await.unwrap();
        if let Some(came_to) = came_to {
            executed(&store, &name, *came_to).await;
        }
    }
    let (similar, sealed) = approvals::last_similar(&store, &tool, &id("a3")).await.unwrap().unwrap();
    assert_eq!((similar, sealed.as_slice()), (id("a1"), b"sealed".as_slice()));
    assert_eq!(approvals::last_similar(&store, &tool, &id("a1")).await.unwrap().unwrap().0, id("a0"));
    let others = ToolId::parse("mux/delete-space").unwrap();
    assert_eq!(approvals::last_similar(&store, &others, &id("a1")).await.unwrap(), None);
    let alice = UserKey::parse("alice").unwrap();
    let own = approvals::list_of_user(&store, &alice, 2).await.unwrap();
    assert_eq!(own.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["a3", "a2"]);
    assert_eq!(approvals::list_recent(&store, 10).await.unwrap().len(), 4);
}
