//! Grants, reveals, revocations and acceptances: everything here moves the revision.

use ambit_model::{
    constraints::{Constraints, ToolPattern},
    grant::{Grant, GrantOrigin, GrantSubject, MAX_GRANT_MS, MAX_REVEAL_MS, Reveal},
    ids::{AgentId, ClientId, GrantId, GroupName, ToolId, ToolsetSlug, UserKey},
    revocation::{Mark, Scope},
};

use super::{NOW, Place, cases, digest};
use crate::{
    StoreError,
    acceptances::{self, Accepted},
    grants::{self, GrantFilter},
    reveals::{self, RevealFilter},
    revocations::{self, Act},
    rule_sets,
};

cases![
    a_grant_counts_until_it_ends_or_expires,
    grants_are_listed_by_filter,
    every_part_of_a_grant_is_kept,
    what_an_earlier_version_granted_counts_and_can_be_ended,
    a_grant_that_makes_no_sense_is_refused,
    a_reveal_lives_at_most_eight_hours,
    a_reveal_counts_until_it_ends_or_expires,
    a_revocation_never_moves_back,
    a_block_is_lifted_and_the_revocation_stays,
    every_scope_is_loaded,
    only_outlived_marks_are_forgotten,
    an_acceptance_is_replaced_and_withdrawn,
    a_definition_is_kept_for_comparison,
    applied_rule_sets_are_kept_with_their_times,
];

fn user(text: &str) -> UserKey {
    UserKey::parse(text).unwrap()
}

fn toolset(text: &str) -> ToolsetSlug {
    ToolsetSlug::parse(text).unwrap()
}

fn id(text: &str) -> GrantId {
    GrantId::parse(text).unwrap()
}

fn grant(name: &str, subject: GrantSubject) -> Grant {
    Grant {
        id: id(name),
        subject,
        toolset: toolset("mux-read"),
        reason: "on call".into(),
        ticket: None,
        approved_by: Some("local:boss".into()),
        starts_at: NOW,
        expires_at: NOW + 1000,
        origin: GrantOrigin::Operator,
        constraints: Constraints::default(),
    }
}

async fn a_grant_counts_until_it_ends_or_expires(place: Place) {
    let store = place.store;
    let one = grant("g1", GrantSubject::User(user("okta:a:b")));
    let later = Grant { starts_at: NOW + 500, approved_by: None, ..grant("g2", GrantSubject::User(user("alice"))) };
    let mut tx = store.begin().await.unwrap();
    grants::insert(&mut tx, &one, "operator:root", NOW).await.unwrap();
    grants::insert(&mut tx, &later, "operator:root", NOW).await.unwrap();
    let moved = tx.commit().await.unwrap();
    assert!(moved.is_some(), "a grant moves the revision");

    assert_eq!(grants::load_live(&store, NOW + 999).await.unwrap(), vec![one.clone(), later.clone()]);
    assert!(grants::load_live(&store, NOW + 1000).await.unwrap().is_empty());

    let mut tx = store.begin().await.unwrap();
    assert!(matches!(grants::insert(&mut tx, &one, "operator:root", NOW).await, Err(StoreError::Exists)));
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    assert!(grants::end(&mut tx, &one.id, "operator:root", NOW + 7).await.unwrap());
    assert!(!grants::end(&mut tx, &one.id, "operator:other", NOW + 8).await.unwrap(), "ended before");
    assert!(!grants::end(&mut tx, &id("unknown"), "operator:root", NOW).await.unwrap());
    assert!(tx.commit().await.unwrap() > moved);
    assert_eq!(grants::load_live(&store, NOW).await.unwrap(), vec![later]);
    let record = grants::find(&store, &one.id).await.unwrap().unwrap();
    assert_eq!(record.ended, Some(("operator:root".into(), NOW + 7)));
    assert_eq!((record.grant, record.created_by.as_str(), record.created_at), (one, "operator:root", NOW));
}

async fn grants_are_listed_by_filter(place: Place) {
    let mut tx = place.store.begin().await.unwrap();
    let subjects = [
        GrantSubject::User(user("alice")),
        GrantSubject::Group(GroupName::parse("alice").unwrap()),
        GrantSubject::Agent(AgentId::parse("alice").unwrap()),
    ];
    for (index, subject) in subjects.iter().enumerate() {
        let grant = grant(&format!("g{index}"), subject.clone());
        grants::insert(&mut tx, &grant, "operator:root", NOW + i64::try_from(index).unwrap()).await.unwrap();
    }
    let other = Grant { toolset: toolset("other"), expires_at: NOW + 1, ..grant("g9", subjects[0].clone()) };
    grants::insert(&mut tx, &other, "operator:root", NOW + 9).await.unwrap();
    grants::end(&mut tx, &id("g2"), "operator:root", NOW).await.unwrap();

    for (filter, expected) in [
        (GrantFilter::default(), vec!["g9", "g2", "g1", "g0"]),
        (GrantFilter { subject: Some(subjects[0].clone()), ..GrantFilter::default() }, vec!["g9", "g0"]),
        (GrantFilter { subject: Some(subjects[1].clone()), ..GrantFilter::default() }, vec!["g1"]),
        (GrantFilter { toolset: Some(toolset("other")), ..GrantFilter::default() }, vec!["g9"]),
        (GrantFilter { live_at: Some(NOW + 1), ..GrantFilter::default() }, vec!["g1", "g0"]),
        (GrantFilter { subject: Some(subjects[2].clone()), toolset: None, live_at: Some(NOW) }, vec![]),
    ] {
        let listed = grants::list(&mut tx, &filter).await.unwrap();
        let ids: Vec<_> = listed.iter().map(|record| record.grant.id.as_str()).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
}

async fn every_part_of_a_grant_is_kept(place: Place) {
    let store = place.store;
    let constraints =
        [(ToolPattern::parse("mux/*").unwrap(), serde_json::json!({"properties": {"env": {"const": "tést"}}}))];
    let constraints = Constraints::new(constraints.into()).unwrap();
    let subjects = [
        ("user", "okta:a:b"),
        ("group", "staff"),
        ("agent", "bot"),
        ("client", "https://c.example/client.json"),
        ("claim", "okta:org_id=acme"),
    ];
    let origins = [GrantOrigin::Operator, GrantOrigin::Request, GrantOrigin::BreakGlass, GrantOrigin::Import];
    let mut made = Vec::new();
    let mut tx = store.begin().await.unwrap();
    for (index, (kind, name)) in subjects.into_iter().enumerate() {
        let grant = Grant {
            ticket: (index > 0).then(|| format!("CHG-{index}")),
            origin: origins[index % origins.len()],
            expires_at: NOW + MAX_GRANT_MS,
            constraints: if index == 1 { constraints.clone() } else { Constraints::default() },
            ..grant(&format!("g{index}"), GrantSubject::parse(kind, name).unwrap().unwrap())
        };
        grants::insert(&mut tx, &grant, "operator:root", NOW).await.unwrap();
        made.push(grant);
    }
    tx.commit().await.unwrap();
    assert_eq!(grants::load_live(&store, NOW).await.unwrap(), made);
    let of_claim = GrantFilter { subject: Some(made[4].subject.clone()), ..GrantFilter::default() };
    let listed = grants::list(&store, &of_claim).await.unwrap();
    assert_eq!(listed.into_iter().map(|record| record.grant).collect::<Vec<_>>(), made[4..]);
}

async fn what_an_earlier_version_granted_counts_and_can_be_ended(place: Place) {
    let store = place.store;
    let mut tx = store.begin().await.unwrap();
    let script = format!(
        "insert into grants (id, subject_kind, subject, toolset, reason, starts_at, expires_at, created_by, created_at)
         values ('old', 'user', 'local:alice', 'mux-read', 'before', {NOW}, {}, 'operator:root', {NOW});",
        NOW + 1000
    );
    tx.execute_script(script).await.unwrap();
    tx.commit().await.unwrap();
    let live = grants::load_live(&store, NOW).await.unwrap();
    assert_eq!(live.len(), 1);
    assert_eq!((live[0].id.as_str(), live[0].origin, live[0].ticket.as_deref()), ("old", GrantOrigin::Operator, None));
    let mut tx = store.begin().await.unwrap();
    assert!(grants::end(&mut tx, &id("old"), "operator:root", NOW + 1).await.unwrap());
    assert!(!grants::end(&mut tx, &id("old"), "operator:root", NOW + 2).await.unwrap());
    assert!(tx.commit().await.unwrap().is_some());
    assert!(grants::load_live(&store, NOW).await.unwrap().is_empty());
    assert!(grants::find(&store, &id("old")).await.unwrap().unwrap().ended.is_some());
}

async fn a_grant_that_makes_no_sense_is_refused(place: Place) {
    let alice = GrantSubject::User(user("alice"));
    for bad in [
        Grant { origin: GrantOrigin::Config, ..grant("g", alice.clone()) },
        Grant { expires_at: NOW, ..grant("g", alice.clone()) },
        Grant { expires_at: NOW + MAX_GRANT_MS + 1, ..grant("g", alice.clone()) },
    ] {
        let mut tx = place.store.begin().await.unwrap();
        let refused = grants::insert(&mut tx, &bad, "operator:root", NOW).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    }
}

fn reveal(name: &str, life_ms: i64) -> Reveal {
    Reveal {
        id: id(name),
        user: user("alice"),
        client: ClientId::parse("https://c.example/client.json").unwrap(),
        agent: None,
        toolset: toolset("mux-delete"),
        reason: "clean up".into(),
        approved_by: None,
        starts_at: NOW,
        expires_at: NOW + life_ms,
    }
}

async fn a_reveal_lives_at_most_eight_hours(place: Place) {
    for (life_ms, good) in [(-1, false), (0, false), (1, true), (MAX_REVEAL_MS, true), (MAX_REVEAL_MS + 1, false)] {
        let mut tx = place.store.begin().await.unwrap();
        let inserted = reveals::insert(&mut tx, &reveal("r", life_ms), "operator:root", NOW).await;
        assert_eq!(inserted.is_ok(), good, "{life_ms}");
        assert!(good || matches!(inserted, Err(StoreError::Refused(_))), "{inserted:?}");
    }
}

async fn a_reveal_counts_until_it_ends_or_expires(place: Place) {
    let store = place.store;
    let one = Reveal { agent: Some(AgentId::parse("bot").unwrap()), ..reveal("r1", 1000) };
    let two = reveal("r2", 2000);
    let mut tx = store.begin().await.unwrap();
    reveals::insert(&mut tx, &one, "operator:root", NOW).await.unwrap();
    reveals::insert(&mut tx, &two, "operator:root", NOW + 1).await.unwrap();
    assert!(tx.commit().await.unwrap().is_some());
    assert_eq!(reveals::load_live(&store, NOW + 999).await.unwrap(), vec![one.clone(), two.clone()]);
    assert_eq!(reveals::load_live(&store, NOW + 1000).await.unwrap(), vec![two.clone()]);

    let mut tx = store.begin().await.unwrap();
    assert!(reveals::end(&mut tx, &two.id, "operator:root", NOW + 5).await.unwrap());
    assert!(!reveals::end(&mut tx, &two.id, "operator:root", NOW + 6).await.unwrap());
    assert!(tx.commit().await.unwrap().is_some());
    let ended = reveals::find(&store, &two.id).await.unwrap().unwrap().ended;
    assert_eq!(ended, Some(("operator:root".into(), NOW + 5)));
    for (filter, expected) in [
        (RevealFilter::default(), vec!["r2", "r1"]),
        (RevealFilter { live_at: Some(NOW), ..RevealFilter::default() }, vec!["r1"]),
        (RevealFilter { user: Some(user("bob")), ..RevealFilter::default() }, vec![]),
        (RevealFilter { client: Some(one.client.clone()), ..RevealFilter::default() }, vec!["r2", "r1"]),
    ] {
        let listed = reveals::list(&store, &filter).await.unwrap();
        let ids: Vec<_> = listed.iter().map(|record| record.reveal.id.as_str()).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
}

fn act(at_ms: i64) -> Act<'static> {
    Act { by: "operator:root", reason: "laptop lost", at_ms }
}

async fn a_revocation_never_moves_back(place: Place) {
    let store = place.store;
    let scope = Scope::User(user("alice"));
    for (until, stands) in [(NOW, NOW), (NOW - 1000, NOW), (NOW + 5, NOW + 5), (NOW, NOW + 5)] {
        let mut tx = store.begin().await.unwrap();
        revocations::revoke(&mut tx, &scope, until, act(NOW)).await.unwrap();
        assert!(tx.commit().await.unwrap().is_some());
        let marked = revocations::find(&store, &scope).await.unwrap().unwrap();
        assert_eq!(marked.mark, Mark { revoked_at: Some(stands), blocked: false });
    }
}

async fn a_block_is_lifted_and_the_revocation_stays(place: Place) {
    let store = place.store;
    let scope = Scope::Server(ambit_model::ids::ServerSlug::parse("mux").unwrap());
    let mut tx = store.begin().await.unwrap();
    revocations::block(&mut tx, &scope, act(NOW)).await.unwrap();
    let marked = revocations::find(&mut tx, &scope).await.unwrap().unwrap();
    assert_eq!(marked.mark, Mark { revoked_at: None, blocked: true });
    revocations::revoke(&mut tx, &scope, NOW + 1, Act { by: "user local:alice", ..act(NOW + 1) }).await.unwrap();
    let marked = revocations::find(&mut tx, &scope).await.unwrap().unwrap();
    assert_eq!((marked.by.as_str(), marked.at), ("operator:root", NOW), "whoever revokes did not set the block");
    let seen = revocations::find(&mut tx, &scope).await.unwrap().unwrap();
    assert_eq!(seen.mark, Mark { revoked_at: Some(NOW + 1), blocked: true }, "revoking does not lift a block");
    let other = Act { by: "user local:alice", ..act(NOW + 2) };
    revocations::block_unless_blocked(&mut tx, &scope, other).await.unwrap();
    assert_eq!(revocations::find(&mut tx, &scope).await.unwrap().unwrap(), seen, "it is blocked already");
    revocations::block(&mut tx, &scope, other).await.unwrap();
    let marked = revocations::find(&mut tx, &scope).await.unwrap().unwrap();
    assert_eq!((marked.by.as_str(), marked.at), ("user local:alice", NOW + 2));
    let found = Act { reason: "found", ..act(NOW + 3) };
    assert!(!revocations::unblock(&mut tx, &seen, found).await.unwrap(), "it is another block now");
    assert!(revocations::unblock(&mut tx, &marked, found).await.unwrap());
    assert!(!revocations::unblock(&mut tx, &marked, found).await.unwrap(), "it is lifted already");
    let marked = revocations::find(&mut tx, &scope).await.unwrap().unwrap();
    assert_eq!(marked.mark, Mark { revoked_at: Some(NOW + 1), blocked: false });
    assert_eq!((marked.reason.as_str(), marked.by.as_str(), marked.at), ("found", "operator:root", NOW + 3));
    assert!(tx.commit().await.unwrap().is_some());
}

fn scopes() -> Vec<Scope> {
    [
        ("deployment", ""),
        ("endpoint", "default"),
        ("server", "mux"),
        ("tool", "mux/get-asset"),
        ("user", "local:alice"),
        ("agent", "bot"),
        ("client", "https://c.example/client.json"),
        ("credential", "mux-read"),
        ("family", "f1"),
        ("sid", "okta:s:1"),
        ("jti", "okta:j1"),
    ]
    .map(|(kind, id)| Scope::parse(kind, id).unwrap())
    .into()
}

async fn every_scope_is_loaded(place: Place) {
    let store = place.store;
    let mut tx = store.begin().await.unwrap();
    for scope in scopes() {
        revocations::revoke(&mut tx, &scope, NOW, act(NOW)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let loaded = revocations::load_all(&store).await.unwrap();
    assert_eq!(loaded.len(), scopes().len());
    for scope in scopes() {
        assert!(loaded.iter().any(|marked| marked.scope == scope && marked.mark.revoked_at == Some(NOW)), "{scope}");
    }

    let mut tx = store.begin().await.unwrap();
    tx.execute("update revocations set kind = 'planet' where kind = 'server'", &[]).await.unwrap();
    tx.commit().await.unwrap();
    let unreadable = revocations::load_all(&store).await;
    assert!(matches!(unreadable, Err(StoreError::Corrupt { .. })), "a mark nobody understands must not be skipped");
}

async fn only_outlived_marks_are_forgotten(place: Place) {
    let mut tx = place.store.begin().await.unwrap();
    for scope in scopes() {
        revocations::revoke(&mut tx, &scope, NOW, act(NOW)).await.unwrap();
    }
    let blocked = Scope::Family("blocked".into());
    revocations::revoke(&mut tx, &blocked, NOW, act(NOW)).await.unwrap();
    revocations::block(&mut tx, &blocked, act(NOW)).await.unwrap();
    assert_eq!(revocations::purge_outlived(&mut tx, NOW - 1).await.unwrap(), 0);
    assert_eq!(revocations::purge_outlived(&mut tx, NOW).await.unwrap(), 3, "family, sid and jti");
    assert!(revocations::find(&mut tx, &blocked).await.unwrap().is_some());
    assert!(revocations::find(&mut tx, &Scope::User(user("alice"))).await.unwrap().is_some());
}

async fn an_acceptance_is_replaced_and_withdrawn(place: Place) {
    let store = place.store;
    let tool = ToolId::parse("mux/get-asset").unwrap();
    let accepted = |text: &str, accepted_at| Accepted {
        tool: tool.clone(),
        digest: digest(text),
        accepted_by: "operator:root".into(),
        accepted_at,
    };
    let mut tx = store.begin().await.unwrap();
    acceptances::accept(&mut tx, &accepted("a", NOW)).await.unwrap();
    acceptances::accept(&mut tx, &accepted("b", NOW + 1)).await.unwrap();
    assert!(tx.commit().await.unwrap().is_some());
    assert_eq!(acceptances::load_all(&store).await.unwrap(), vec![accepted("b", NOW + 1)]);
    let mut tx = store.begin().await.unwrap();
    assert!(acceptances::withdraw(&mut tx, &tool).await.unwrap());
    assert!(!acceptances::withdraw(&mut tx, &tool).await.unwrap());
    assert!(tx.commit().await.unwrap().is_some());
    assert!(acceptances::load_all(&store).await.unwrap().is_empty());
}

async fn a_definition_is_kept_for_comparison(place: Place) {
    let store = place.store;
    let (tool, other) = (ToolId::parse("mux/get-asset").unwrap(), ToolId::parse("mux/other").unwrap());
    let definition = r#"{"description":"reads"}"#;
    let mut tx = store.begin().await.unwrap();
    assert!(acceptances::keep_definition(&mut tx, &tool, &digest("a"), definition, NOW).await.unwrap());
    assert!(!acceptances::keep_definition(&mut tx, &tool, &digest("a"), "{}", NOW + 1).await.unwrap());
    assert_eq!(tx.commit().await.unwrap(), None, "nothing that requests see");
    let found = acceptances::find_definition(&store, &tool, &digest("a")).await.unwrap();
    assert_eq!(found.as_deref(), Some(definition));
    assert_eq!(acceptances::find_definition(&store, &tool, &digest("b")).await.unwrap(), None);
    assert_eq!(acceptances::find_definition(&store, &other, &digest("a")).await.unwrap(), None);
}

async fn applied_rule_sets_are_kept_with_their_times(Place { store, .. }: Place) {
    for (text, at) in [("a", NOW), ("b", NOW + 1), ("a", NOW + 2)] {
        let mut tx = store.begin().await.unwrap();
        rule_sets::keep(&mut tx, &digest(text), text, at).await.unwrap();
        tx.commit().await.unwrap();
    }
    let sets = rule_sets::list(&store).await.unwrap();
    let kept: Vec<_> = sets.iter().map(|set| (set.rules.as_str(), set.first_applied_at, set.last_applied_at)).collect();
    assert_eq!(kept, [("a", NOW, NOW + 2), ("b", NOW + 1, NOW + 1)]);
    assert_eq!(sets[0].digest, digest("a"));
}
