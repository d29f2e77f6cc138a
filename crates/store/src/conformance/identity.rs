//! Accounts, sessions, pending requests, clients, codes, families and consents.

use ambit_model::{
    ids::{ClientId, EndpointSlug, Subject, ToolsetSlug, UserKey},
    revocation::{Mark, Scope},
};

use super::{NOW, Place, cases, digest};
use crate::{
    Store, StoreError, accounts,
    clients::{self, Client},
    codes::{self, Code, Consumed},
    consents::{self, Consent, ConsentKey},
    families::{self, Family, RefreshToken, Rotation},
    pending, revocations,
    sessions::{self, Session},
};

cases![
    an_account_is_made_once_and_changed,
    a_link_sets_a_password_once,
    a_session_is_found_until_it_expires,
    a_pending_request_is_taken_once,
    an_unused_client_is_forgotten,
    a_code_is_spent_once,
    of_fifty_exchanges_of_a_code_one_is_fresh,
    a_refresh_token_follows_its_rules,
    another_client_cannot_use_a_refresh_token,
    an_ended_family_stays_ended,
    of_fifty_rotations_one_is_fresh,
    a_family_that_ends_while_it_rotates_is_ended,
    families_are_listed_changed_and_forgotten,
    a_consent_is_remembered_per_key,
];

fn alice() -> UserKey {
    UserKey::local("alice").unwrap()
}

fn client(text: &str) -> ClientId {
    ClientId::parse(text).unwrap()
}

fn toolsets(slugs: &[&str]) -> Vec<ToolsetSlug> {
    slugs.iter().map(|slug| ToolsetSlug::parse(slug).unwrap()).collect()
}

async fn an_account_is_made_once_and_changed(place: Place) {
    let store = place.store;
    let alice = Subject::parse("alice").unwrap();
    let mut tx = store.begin().await.unwrap();
    assert!(accounts::create(&mut tx, &alice, None, NOW).await.unwrap());
    assert!(!accounts::create(&mut tx, &alice, Some("$other"), NOW + 1).await.unwrap());
    tx.commit().await.unwrap();

    let account = accounts::find(&store, &alice).await.unwrap().unwrap();
    assert_eq!((account.password_hash, account.disabled, account.created_at), (None, false, NOW));

    let mut tx = store.begin().await.unwrap();
    assert!(accounts::set_password(&mut tx, &alice, "$argon2id$x", NOW + 5).await.unwrap());
    assert!(accounts::disable(&mut tx, &alice, NOW + 6).await.unwrap());
    assert!(!accounts::disable(&mut tx, &Subject::parse("nobody").unwrap(), NOW).await.unwrap());
    tx.commit().await.unwrap();
    let [account] = accounts::list(&store).await.unwrap().try_into().unwrap();
    assert_eq!(account.password_hash.as_deref(), Some("$argon2id$x"));
    assert_eq!((account.disabled, account.updated_at), (true, NOW + 6));
    assert!(!format!("{account:?}").contains("argon2id"));

    let mut tx = store.begin().await.unwrap();
    assert!(accounts::enable(&mut tx, &alice, NOW + 7).await.unwrap());
    drop(tx);
    assert!(accounts::find(&store, &alice).await.unwrap().unwrap().disabled, "a dropped transaction changes nothing");
}

async fn a_link_sets_a_password_once(place: Place) {
    let store = place.store;
    let alice = Subject::parse("alice").unwrap();
    let link = digest("link");
    let mut tx = store.begin().await.unwrap();
    accounts::create(&mut tx, &alice, None, NOW).await.unwrap();
    accounts::insert_link(&mut tx, &link, &alice, NOW + 100).await.unwrap();
    accounts::insert_link(&mut tx, &digest("other"), &alice, NOW + 100).await.unwrap();
    accounts::insert_link(&mut tx, &digest("late"), &alice, NOW + 10).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = store.begin().await.unwrap();
    let nobody = Subject::parse("nobody").unwrap();
    let refused = accounts::insert_link(&mut tx, &digest("x"), &nobody, NOW + 100).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    drop(tx);

    let mut tx = store.begin().await.unwrap();
    assert_eq!(accounts::find_link(&mut tx, &link, NOW + 99).await.unwrap(), Some(alice.clone()));
    assert_eq!(accounts::consume_link(&mut tx, &link, NOW + 100).await.unwrap(), None, "expired");
    assert_eq!(accounts::consume_link(&mut tx, &digest("late"), NOW + 10).await.unwrap(), None, "expired");
    assert_eq!(accounts::consume_link(&mut tx, &digest("unknown"), NOW).await.unwrap(), None);
    assert_eq!(accounts::consume_link(&mut tx, &link, NOW + 99).await.unwrap(), Some(alice.clone()));
    assert_eq!(accounts::consume_link(&mut tx, &link, NOW + 99).await.unwrap(), None, "consumed");
    accounts::set_password(&mut tx, &alice, "$x", NOW + 99).await.unwrap();
    assert_eq!(accounts::consume_link(&mut tx, &digest("other"), NOW + 99).await.unwrap(), None, "password was set");
    accounts::insert_link(&mut tx, &digest("new"), &alice, NOW + 200).await.unwrap();
    assert_eq!(accounts::purge_expired_links(&mut tx, NOW + 199).await.unwrap(), 0);
    assert_eq!(accounts::purge_expired_links(&mut tx, NOW + 200).await.unwrap(), 1);
}

fn session(id: &str, user: UserKey, expires_at: i64) -> Session {
    Session {
        id_hash: digest(id),
        user,
        auth_time: NOW - 5,
        amr: vec!["pwd".into()],
        csrf: vec![0, 1, 255],
        created_at: NOW,
        expires_at,
        last_seen_at: NOW,
    }
}

async fn a_session_is_found_until_it_expires(place: Place) {
    let store = place.store;
    let bob = UserKey::parse("okta:bob:with:colons").unwrap();
    let one = session("one", alice(), NOW + 100);
    let mut tx = store.begin().await.unwrap();
    sessions::insert(&mut tx, &one).await.unwrap();
    sessions::insert(&mut tx, &session("two", alice(), NOW + 50)).await.unwrap();
    sessions::insert(&mut tx, &session("three", bob.clone(), NOW + 100)).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = store.begin().await.unwrap();
    assert!(matches!(sessions::insert(&mut tx, &one).await, Err(StoreError::Exists)));
    drop(tx);

    assert_eq!(sessions::find(&store, &one.id_hash, NOW + 99).await.unwrap(), Some(one.clone()));
    assert_eq!(sessions::find(&store, &one.id_hash, NOW + 100).await.unwrap(), None);
    assert_eq!(sessions::find(&store, &digest("three"), NOW).await.unwrap().unwrap().user, bob);
    assert_eq!(sessions::list_by_user(&store, &alice(), NOW + 60).await.unwrap().len(), 1);

    let mut tx = store.begin().await.unwrap();
    assert!(sessions::touch(&mut tx, &one.id_hash, NOW + 7).await.unwrap());
    assert!(!sessions::touch(&mut tx, &one.id_hash, NOW + 6).await.unwrap(), "never back");
    assert!(!sessions::touch(&mut tx, &one.id_hash, NOW + 100).await.unwrap(), "expired");
    assert_eq!(sessions::find(&mut tx, &one.id_hash, NOW).await.unwrap().unwrap().last_seen_at, NOW + 7);
    assert_eq!(sessions::purge_expired(&mut tx, NOW + 50).await.unwrap(), 1);
    assert_eq!(sessions::delete_by_user(&mut tx, &alice()).await.unwrap(), 1);
    assert!(sessions::delete(&mut tx, &digest("three")).await.unwrap());
    assert!(!sessions::delete(&mut tx, &digest("three")).await.unwrap());
}

async fn a_pending_request_is_taken_once(place: Place) {
    let mut tx = place.store.begin().await.unwrap();
    let id = digest("pending");
    pending::insert(&mut tx, &id, r#"{"state":"é"}"#, NOW + 100).await.unwrap();
    assert_eq!(pending::find(&mut tx, &id, NOW).await.unwrap().as_deref(), Some(r#"{"state":"é"}"#));
    assert!(pending::replace(&mut tx, &id, "{}", NOW + 99).await.unwrap());
    assert!(!pending::replace(&mut tx, &id, "{}", NOW + 100).await.unwrap());
    assert_eq!(pending::take(&mut tx, &id, NOW + 100).await.unwrap(), None, "expired");
    assert_eq!(pending::take(&mut tx, &id, NOW + 99).await.unwrap().as_deref(), Some("{}"));
    assert_eq!(pending::take(&mut tx, &id, NOW + 99).await.unwrap(), None, "taken");
    pending::insert(&mut tx, &id, "{}", NOW + 100).await.unwrap();
    assert_eq!(pending::purge_expired(&mut tx, NOW + 99).await.unwrap(), 0);
    assert_eq!(pending::purge_expired(&mut tx, NOW + 100).await.unwrap(), 1);
}

async fn an_unused_client_is_forgotten(place: Place) {
    let store = place.store;
    let unused = Client {
        id: client("c-unused"),
        metadata: r#"{"client_name":"x"}"#.into(),
        secret_hash: Some(digest("secret")),
        created_at: NOW,
        first_used_at: None,
    };
    let used = Client { id: client("c-used"), secret_hash: None, ..unused.clone() };
    let mut tx = store.begin().await.unwrap();
    clients::insert(&mut tx, &unused).await.unwrap();
    clients::insert(&mut tx, &used).await.unwrap();
    assert!(clients::mark_used(&mut tx, &used.id, NOW + 1).await.unwrap());
    assert!(!clients::mark_used(&mut tx, &used.id, NOW + 2).await.unwrap(), "the first use counts");
    assert_eq!(clients::purge_unused(&mut tx, NOW).await.unwrap(), 0);
    tx.commit().await.unwrap();
    assert_eq!(clients::find(&store, &unused.id).await.unwrap(), Some(unused.clone()));
    assert_eq!(clients::list(&store).await.unwrap().len(), 2);

    let mut tx = store.begin().await.unwrap();
    assert_eq!(clients::purge_unused(&mut tx, NOW + 1).await.unwrap(), 1);
    assert_eq!(clients::find(&mut tx, &unused.id).await.unwrap(), None);
    let kept = clients::find(&mut tx, &used.id).await.unwrap().unwrap();
    assert_eq!(kept, Client { first_used_at: Some(NOW + 1), ..used.clone() });
    assert!(clients::delete(&mut tx, &used.id).await.unwrap());
    assert!(!clients::delete(&mut tx, &used.id).await.unwrap());
}

fn code(text: &str) -> Code {
    Code { hash: digest(text), payload: r#"{"scope":"s"}"#.into(), family: "f1".into(), expires_at: NOW + 60 }
}

async fn a_code_is_spent_once(place: Place) {
    let mut tx = place.store.begin().await.unwrap();
    codes::insert(&mut tx, &code("a")).await.unwrap();
    codes::insert(&mut tx, &code("b")).await.unwrap();
    assert_eq!(codes::consume(&mut tx, &digest("unknown"), NOW).await.unwrap(), Consumed::Unknown);
    assert!(codes::is_known(&mut tx, &digest("a")).await.unwrap());
    assert!(!codes::is_known(&mut tx, &digest("unknown")).await.unwrap());
    assert_eq!(codes::consume(&mut tx, &digest("b"), NOW + 60).await.unwrap(), Consumed::Expired);
    assert_eq!(codes::consume(&mut tx, &digest("a"), NOW + 59).await.unwrap(), Consumed::Fresh(code("a")));
    for later in [NOW + 59, NOW + 100_000] {
        let replayed = codes::consume(&mut tx, &digest("a"), later).await.unwrap();
        assert_eq!(replayed, Consumed::Replayed { family: "f1".into() }, "also after its expiry");
    }
    assert_eq!(codes::purge_expired(&mut tx, NOW + 59).await.unwrap(), 0);
    assert_eq!(codes::purge_expired(&mut tx, NOW + 60).await.unwrap(), 2);
}

async fn of_fifty_exchanges_of_a_code_one_is_fresh(place: Place) {
    let store = place.store;
    let mut tx = store.begin().await.unwrap();
    codes::insert(&mut tx, &code("a")).await.unwrap();
    tx.commit().await.unwrap();
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut tx = store.begin().await.unwrap();
                let consumed = codes::consume(&mut tx, &digest("a"), NOW).await.unwrap();
                tx.commit().await.unwrap();
                consumed
            })
        })
        .collect();
    let mut fresh = 0;
    for call in calls {
        match call.await.unwrap() {
            Consumed::Fresh(_) => fresh += 1,
            Consumed::Replayed { family } => assert_eq!(family, "f1"),
            other @ (Consumed::Expired | Consumed::Unknown) => panic!("{other:?}"),
        }
    }
    assert_eq!(fresh, 1);
}

fn family(id: &str) -> Family {
    Family {
        id: id.into(),
        user: alice(),
        client: client("c1"),
        endpoint: EndpointSlug::parse("default").unwrap(),
        toolsets: toolsets(&["mux-read", "mux-write"]),
        details: r#"{"amr":["pwd"]}"#.into(),
        auth_time: NOW - 1000,
        created_at: NOW,
        last_used_at: NOW,
        revoked_at: None,
    }
}

fn token(text: &str, family: &str, generation: u64) -> RefreshToken {
    let issued_at = NOW;
    RefreshToken { hash: digest(text), family: family.into(), generation, issued_at, expires_at: NOW + 100_000 }
}

async fn with_token(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    families::insert(&mut tx, &family("f1")).await.unwrap();
    families::insert_token(&mut tx, &token("t0", "f1", 0)).await.unwrap();
    tx.commit().await.unwrap();
}

const GRACE: i64 = 30_000;

/// As a token endpoint does it: one transaction, committed whatever comes out.
async fn rotate(store: &Store, text: &str, now_ms: i64) -> Rotation {
    let mut tx = store.begin().await.unwrap();
    let rotation = families::rotate(&mut tx, &digest(text), &client("c1"), now_ms, GRACE).await.unwrap();
    tx.commit().await.unwrap();
    rotation
}

async fn a_refresh_token_follows_its_rules(place: Place) {
    let store = place.store;
    with_token(&store).await;
    assert_eq!(rotate(&store, "unknown", NOW).await, Rotation::Unknown);
    assert_eq!(rotate(&store, "t0", NOW + 100_000).await, Rotation::Expired);

    let used = Family { last_used_at: NOW + 100_000, ..family("f1") };
    assert_eq!(rotate(&store, "t0", NOW + 10).await, Rotation::Fresh { family: used.clone(), generation: 0 });
    let mut tx = store.begin().await.unwrap();
    families::insert_token(&mut tx, &token("t1", "f1", 1)).await.unwrap();
    assert!(matches!(families::insert_token(&mut tx, &token("t1b", "f1", 1)).await, Err(StoreError::Exists)));
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    families::insert_token(&mut tx, &token("t1", "f1", 1)).await.unwrap();
    tx.commit().await.unwrap();

    assert_eq!(rotate(&store, "t0", NOW + 10 + GRACE).await, Rotation::WithinGrace { family: used.clone() });
    let shown = families::find_by_token(&store, &digest("t0")).await.unwrap().unwrap();
    assert_eq!((shown.rotated_at, shown.expires_at), (Some(NOW + 10), NOW + 100_000));

    let before = crate::revision::current(&store).await.unwrap();
    assert_eq!(rotate(&store, "t0", NOW + 11 + GRACE).await, Rotation::Reused { family: used });
    assert_eq!(crate::revision::current(&store).await.unwrap(), before + 1, "requests must see the end at once");
    assert_eq!(rotate(&store, "t1", NOW + 12 + GRACE).await, Rotation::FamilyRevoked, "the successor is dead too");
    let marked = revocations::find(&store, &Scope::Family("f1".into())).await.unwrap().unwrap();
    assert_eq!(marked.mark, Mark { revoked_at: Some(NOW + 11 + GRACE), blocked: false });
    assert_eq!(families::find(&store, "f1").await.unwrap().unwrap().revoked_at, Some(NOW + 11 + GRACE));
}

async fn another_client_cannot_use_a_refresh_token(place: Place) {
    let store = place.store;
    with_token(&store).await;
    let mut tx = store.begin().await.unwrap();
    let stranger = families::rotate(&mut tx, &digest("t0"), &client("c2"), NOW, GRACE).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(stranger, Rotation::OtherClient);
    assert!(matches!(rotate(&store, "t0", NOW).await, Rotation::Fresh { .. }), "it was left alone");
}

async fn an_ended_family_stays_ended(place: Place) {
    let store = place.store;
    with_token(&store).await;
    let mut tx = store.begin().await.unwrap();
    assert!(families::revoke(&mut tx, "f1", NOW + 5, "user local:alice", "logged out").await.unwrap());
    assert!(!families::revoke(&mut tx, "f1", NOW + 6, "user local:alice", "again").await.unwrap());
    assert!(!families::revoke(&mut tx, "unknown", NOW + 6, "operator:root", "x").await.unwrap());
    assert!(!families::update_choice(&mut tx, "f1", &toolsets(&["more"]), "{}").await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(rotate(&store, "t0", NOW + 7).await, Rotation::FamilyRevoked);
    assert_eq!(families::find(&store, "f1").await.unwrap().unwrap().revoked_at, Some(NOW + 5));
    assert!(families::list_by_user(&store, &alice()).await.unwrap().is_empty());
}

async fn of_fifty_rotations_one_is_fresh(place: Place) {
    let store = place.store;
    with_token(&store).await;
    let calls: Vec<_> = (0..50_u32)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut tx = store.begin().await.unwrap();
                let rotation = families::rotate(&mut tx, &digest("t0"), &client("c1"), NOW + 1, GRACE).await.unwrap();
                if let Rotation::Fresh { generation, .. } = &rotation {
                    families::insert_token(&mut tx, &token("t1", "f1", generation + 1)).await.unwrap();
                }
                tx.commit().await.unwrap();
                rotation
            })
        })
        .collect();
    let mut fresh = 0;
    for call in calls {
        match call.await.unwrap() {
            Rotation::Fresh { generation, .. } => {
                assert_eq!(generation, 0);
                fresh += 1;
            }
            Rotation::WithinGrace { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(fresh, 1);
}

/// Whichever comes first, nothing issued by the rotation outlives the end.
async fn a_family_that_ends_while_it_rotates_is_ended(place: Place) {
    let store = place.store;
    for round in 0..10 {
        let (id, text) = (format!("g{round}"), format!("g{round}-0"));
        let mut tx = store.begin().await.unwrap();
        families::insert(&mut tx, &family(&id)).await.unwrap();
        families::insert_token(&mut tx, &token(&text, &id, 0)).await.unwrap();
        tx.commit().await.unwrap();

        let (rotating, ending) = (store.clone(), store.clone());
        let (ended_id, next) = (id.clone(), format!("g{round}-1"));
        let rotated = tokio::spawn(async move {
            let mut tx = rotating.begin().await.unwrap();
            let rotation = families::rotate(&mut tx, &digest(&text), &client("c1"), NOW, GRACE).await.unwrap();
            if let Rotation::Fresh { family, .. } = &rotation {
                families::insert_token(&mut tx, &token(&next, &family.id, 1)).await.unwrap();
            }
            tx.commit().await.unwrap();
        });
        let ended = tokio::spawn(async move {
            let mut tx = ending.begin().await.unwrap();
            assert!(families::revoke(&mut tx, &ended_id, NOW, "operator:root", "race").await.unwrap());
            tx.commit().await.unwrap();
        });
        rotated.await.unwrap();
        ended.await.unwrap();
        assert!(!matches!(rotate(&store, &format!("g{round}-1"), NOW).await, Rotation::Fresh { .. }));
        assert!(!matches!(rotate(&store, &format!("g{round}-0"), NOW).await, Rotation::Fresh { .. }));
    }
}

async fn families_are_listed_changed_and_forgotten(place: Place) {
    let store = place.store;
    with_token(&store).await;
    let mut tx = store.begin().await.unwrap();
    families::insert(&mut tx, &Family { created_at: NOW + 1, ..family("f2") }).await.unwrap();
    assert!(families::update_choice(&mut tx, "f1", &toolsets(&["mux-read"]), "changed").await.unwrap());
    assert!(!families::update_choice(&mut tx, "unknown", &[], "{}").await.unwrap());
    tx.commit().await.unwrap();
    let [second, first] = families::list_by_user(&store, &alice()).await.unwrap().try_into().unwrap();
    assert_eq!((second.id.as_str(), first.toolsets), ("f2", toolsets(&["mux-read"])));
    assert_eq!((first.details.as_str(), second.details == first.details), ("changed", false));

    let mut tx = store.begin().await.unwrap();
    assert_eq!(families::purge_expired(&mut tx, NOW - 1).await.unwrap(), 0);
    assert_eq!(families::purge_expired(&mut tx, NOW).await.unwrap(), 1, "f2 has no token");
    assert_eq!(families::purge_expired(&mut tx, NOW + 100_000).await.unwrap(), 2, "the token, then its family");
    assert_eq!(families::find(&mut tx, "f1").await.unwrap(), None);
}

async fn a_consent_is_remembered_per_key(place: Place) {
    let store = place.store;
    let key = ConsentKey {
        user: alice(),
        client: client(&format!("https://c.example/{}", "a".repeat(2000))),
        endpoint: EndpointSlug::parse("default").unwrap(),
        redirect_uri: format!("https://c.example/{}", "b".repeat(4000)),
        metadata_digest: digest("metadata"),
    };
    let consent = Consent {
        key: key.clone(),
        ticked: toolsets(&["mux-read"]),
        declined: toolsets(&["mux-write"]),
        decided_at: NOW,
    };
    let mut tx = store.begin().await.unwrap();
    consents::upsert(&mut tx, &consent).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(consents::find(&store, &key).await.unwrap(), Some(consent.clone()));
    for other in [
        ConsentKey { user: UserKey::parse("okta:alice").unwrap(), ..key.clone() },
        ConsentKey { client: client("c2"), ..key.clone() },
        ConsentKey { endpoint: EndpointSlug::parse("other").unwrap(), ..key.clone() },
        ConsentKey { redirect_uri: "https://c.example/".into(), ..key.clone() },
        ConsentKey { metadata_digest: digest("changed"), ..key.clone() },
    ] {
        assert_eq!(consents::find(&store, &other).await.unwrap(), None, "{other:?}");
    }
    let later = Consent { ticked: vec![], decided_at: NOW + 1, ..consent };
    let mut tx = store.begin().await.unwrap();
    consents::upsert(&mut tx, &later).await.unwrap();
    assert_eq!(consents::list_by_user(&mut tx, &alice()).await.unwrap(), vec![later.clone()]);
    assert!(consents::delete(&mut tx, &key).await.unwrap());
    assert!(!consents::delete(&mut tx, &key).await.unwrap());
    consents::upsert(&mut tx, &later).await.unwrap();
    assert_eq!(consents::delete_by_client(&mut tx, &alice(), &key.client).await.unwrap(), 1);
}
