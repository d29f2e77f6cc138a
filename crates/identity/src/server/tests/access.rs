//! The pages of requests for access: the person's own, the owner's, and everybody else's, who find nothing. Nothing is
//! granted before both have said so, and then once.

use std::collections::{BTreeMap, BTreeSet};

use ambit_live::{deployment::Deployment, notices::NoticeKind};
use ambit_model::{
    access::{AccessRules, AccessStage, DENIED_MS, MAX_OPEN, UNCONFIRMED_LIFE_MS, WAITING_LIFE_MS},
    approval::{Approver, Says, Via},
    caller::{AgentFacts, Assurance, CallerFacts, ClientFacts, Principal, TokenScopes, UserFacts},
    grant::{GrantOrigin, GrantSubject},
    ids::{AccessId, AgentId, ClientId, Millis, ServerSlug, Subject, UserKey},
    operator::{Role, RoleHolder, Roles},
    revocation::Scope,
};
use ambit_store::{access_requests as rows, accounts, grants};

use super::{
    App, PASSWORD, alice,
    browser::{Browser, Reply},
    generous, hashed, nowhere, slug, toolset, world,
};
use crate::access::{Asked, DecideError, Ruling, Wish, ask, decide, sweep};

const DAY_MS: Millis = 24 * 3_600_000;

fn bob() -> UserKey {
    UserKey::local("bob").unwrap()
}

fn holder(person: &str, role: Role, servers: &[&str]) -> RoleHolder {
    RoleHolder {
        os_user: None,
        person: Some(UserKey::local(person).unwrap()),
        roles: [role].into(),
        servers: servers.iter().map(|slug| ServerSlug::parse(slug).unwrap()).collect(),
    }
}

/// Alice owns the server `up`, carol the server `down`, which only toolset `both` reaches. Bob may ask for `writing`, `both`
/// and what is not offered here; `hidden` is there and not for him.
fn asking_world() -> Deployment {
    let mut world = world();
    let mut down = super::server();
    down.slug = ServerSlug::parse("down").unwrap();
    world.servers.insert(down.slug.clone(), down);
    world.toolsets.extend([
        toolset("both", &["up/create", "down/*"]),
        toolset("elsewhere", &["down/*"]),
        toolset("hidden", &["up/create"]),
        toolset("more", &["up/create"]),
    ]);
    for (name, email) in [("carol", Some("carol@example.com")), ("bobby", Some(" BOB@example.com"))] {
        let mut account = crate::testing::account(&[]);
        account.email = email.map(ToOwned::to_owned);
        world.accounts.insert(Subject::parse(name).unwrap(), account);
    }
    world.accounts.get_mut("bob").unwrap().email = Some("bob@example.com".into());
    world.roles = Roles(vec![holder("alice", Role::Owner, &["up"]), holder("carol", Role::Owner, &["down"])]);
    let bob = || BTreeSet::from([Approver::parse("user bob").unwrap()]);
    world.access = AccessRules {
        enabled: true,
        requestable_by: ["writing", "both", "elsewhere", "more"].map(|name| (slug(name), bob())).into(),
        ..AccessRules::default()
    };
    world
}

async fn app_of(world: Deployment) -> App {
    let app = App::with(world, generous(), nowhere()).await;
    let mut tx = app.live.store().begin().await.unwrap();
    for name in ["carol", "bobby"] {
        accounts::create(&mut tx, &Subject::parse(name).unwrap(), Some(hashed()), app.now()).await.unwrap();
    }
    tx.commit().await.unwrap();
    app
}

async fn app() -> App {
    app_of(asking_world()).await
}

fn caller(user: &UserKey, agent: Option<&str>) -> CallerFacts {
    let user = UserFacts { key: user.clone(), groups: BTreeSet::new(), claims: BTreeMap::new() };
    let agent = agent.map(|id| AgentFacts { id: AgentId::parse(id).unwrap(), owner: alice(), expires_at: Millis::MAX });
    CallerFacts {
        principal: match agent {
            None => Principal::Person { user },
            Some(agent) => Principal::Delegated { user, agent },
        },
        client: ClientFacts { id: ClientId::parse("https://client.example/c").unwrap(), assurance: Assurance::Cimd },
        scopes: TokenScopes::None,
        declined: BTreeSet::new(),
        operator: None,
    }
}

async fn wish_of(app: &App, caller: &CallerFacts, name: &str, life_ms: Option<Millis>) -> Asked {
    let snapshot = app.live.current();
    let wish = Wish {
        toolset: name,
        reason: "I need <b>it</b>\nfor the \u{202e}report",
        life_ms,
        endpoint: &snapshot.deployment.endpoints[0],
        caller,
        claimed: Some("Trusted & approved client".into()),
    };
    ask(&app.live, &snapshot, &wish).await.unwrap()
}

/// Asks for bob and gives the request's id.
async fn asked(app: &App, name: &str) -> AccessId {
    match wish_of(app, &caller(&bob(), None), name, Some(30 * DAY_MS)).await {
        Asked::Request { request, .. } => request.id,
        other => panic!("{other:?}"),
    }
}

/// Logs in on the way to a request.
async fn reach(browser: &mut Browser, id: &AccessId, name: &str) -> Reply {
    let page = format!("/access/{id}");
    let form = browser.get(&format!("/login?approval=access-{id}")).await.expect(200);
    assert!(form.body.contains("to look at a request for access"));
    assert_eq!(browser.enter(&form, name, PASSWORD).await.location(), page);
    browser.get(&page).await
}

async fn act(browser: &mut Browser, page: &Reply, id: &AccessId, what: &str) -> Reply {
    let csrf = page.field("csrf");
    browser.post(&format!("/access/{id}"), &[("csrf", csrf.as_str()), ("do", what), ("reason", "for\nQ3")]).await
}

async fn confirmed(app: &App, name: &str) -> AccessId {
    let id = asked(app, name).await;
    let mut browser = app.browser();
    let page = reach(&mut browser, &id, "bob").await.expect(200);
    act(&mut browser, &page, &id, "confirm").await.expect(303);
    id
}

async fn granted(app: &App) -> Vec<ambit_model::grant::Grant> {
    grants::load_live(app.live.store(), app.now()).await.unwrap()
}

async fn stage(app: &App, id: &AccessId) -> AccessStage {
    rows::find(app.live.store(), id).await.unwrap().unwrap().stage.at(app.now())
}

async fn rule(app: &App, id: &AccessId, by: &str, says: Says) -> Result<AccessStage, DecideError> {
    let by = UserKey::local(by).unwrap();
    decide(&app.live, Ruling { id, by: &by, since: app.now(), says, via: Via::Command, reason: None }).await
}

#[tokio::test]
async fn a_person_confirms_an_owner_approves_and_only_then_is_anything_granted() {
    let app = app().await;
    let mut heard = app.live.notices().listen();
    let id = asked(&app, "writing").await;
    assert!(heard.try_recv().is_err(), "nobody is told what only a client asked for");
    let mut person = app.browser();
    let page = reach(&mut person, &id, "bob").await.expect(200);
    for shown in ["All writing", "30 days", "1 write", "1 destructive", "https://client.example/c", "its own claim"] {
        assert!(page.body.contains(shown), "{shown}\n{}", page.body);
    }
    // What a client says is text, on one line, and marked as its word.
    assert!(!page.body.contains("<b>") && !page.body.contains('\u{202e}') && page.body.contains("for the report"));
    assert!(page.header("content-security-policy").contains("default-src 'none'") && !page.body.contains("<script"));
    assert!(granted(&app).await.is_empty());
    assert_eq!(act(&mut person, &page, &id, "confirm").await.location(), format!("/access/{id}"));
    let waits = person.get(&format!("/access/{id}")).await.expect(200);
    assert!(waits.body.contains("waiting") && waits.body.contains("Withdraw it"), "{}", waits.body);
    assert!(granted(&app).await.is_empty(), "their own word grants nothing");
    assert_eq!(heard.try_recv().unwrap().kind, NoticeKind::AccessRequested);

    let mut owner = app.browser();
    let decision = reach(&mut owner, &id, "alice").await.expect(200);
    for shown in ["bob", "All writing", "up/delete", "says why: for Q3", "its own claim", "Give it for 30 days"] {
        assert!(decision.body.contains(shown), "{shown}\n{}", decision.body);
    }
    assert!(owner.get("/access").await.expect(200).body.contains(id.as_str()));
    let before = app.live.current().store_revision;
    act(&mut owner, &decision, &id, "approve").await.expect(303);
    assert!(app.live.current().store_revision > before, "requests see it from now on");
    let grants = granted(&app).await;
    let [grant] = grants.as_slice() else { panic!("{grants:?}") };
    assert_eq!((&grant.subject, grant.toolset.as_str()), (&GrantSubject::User(bob()), "writing"));
    assert_eq!((grant.origin, grant.approved_by.as_deref()), (GrantOrigin::Request, Some("local:alice")));
    assert_eq!((grant.expires_at - grant.starts_at, grant.reason.as_str()), (30 * DAY_MS, "for Q3"));
    let told = heard.try_recv().unwrap();
    assert_eq!((told.kind, told.requester.as_str()), (NoticeKind::AccessApproved, "user local:bob"));
    assert_eq!(told.link, format!("https://gw.example/access/{id}"));
    let shown = person.get(&format!("/access/{id}")).await.expect(200);
    assert!(shown.body.contains("Alice Example approved it") && !shown.body.contains("<form"), "{}", shown.body);
    // Nothing of it can be done again.
    act(&mut owner, &decision, &id, "approve").await.expect(410);
    act(&mut owner, &decision, &id, "deny").await.expect(410);
    act(&mut person, &page, &id, "confirm").await.expect(410);
    act(&mut person, &page, &id, "withdraw").await.expect(410);
    assert_eq!(granted(&app).await.len(), 1);
    let trail = app.trail();
    let order = ["\"access.request\"", "\"access.confirm\"", "\"access.approve\"", "\"grant.create\""]
        .map(|act| trail.find(act).unwrap());
    assert!(order.is_sorted(), "{order:?}");
    assert!(trail.contains("\"before\":{\"stage\":\"waiting\"") || trail.contains("\"stage\":\"waiting\",\"toolset\""));
    let again = wish_of(&app, &caller(&bob(), None), "writing", None).await;
    assert_eq!(again, Asked::Held(grant.expires_at));
}

#[tokio::test]
async fn everybody_else_finds_nothing_and_nobody_decides_what_was_not_confirmed() {
    let app = app().await;
    let id = asked(&app, "writing").await;
    let path = format!("/access/{id}");
    let mut nobody = app.browser();
    assert_eq!(nobody.get(&path).await.location(), format!("/login?approval=access-{id}"));
    nobody.post(&path, &[("csrf", "x"), ("do", "confirm")]).await.expect(303);
    let mut stranger = app.browser();
    let foreign = reach(&mut stranger, &id, "carol").await.expect(404);
    let unknown = stranger.get("/access/0000").await.expect(404);
    assert_eq!(foreign.body, unknown.body, "no telling one that is there from one that is not");
    // Not even the owner, before the person wants it; and not by hand either.
    let mut owner = app.browser();
    assert_eq!(reach(&mut owner, &id, "alice").await.expect(404).body, unknown.body);
    assert!(!owner.get("/access").await.expect(200).body.contains(id.as_str()));
    let other = confirmed(&app, "more").await;
    assert!(matches!(rule(&app, &id, "alice", Says::Yes).await, Err(DecideError::NotFound(_))));
    // Nobody confirms or withdraws for another, with a form of their own or without one.
    let own = stranger.get("/access").await.expect(200);
    assert!(!own.body.contains(other.as_str()));
    let mut person = app.browser();
    let page = reach(&mut person, &id, "bob").await.expect(200);
    let csrf = page.field("csrf");
    for what in ["confirm", "withdraw", "approve"] {
        stranger.post(&path, &[("csrf", csrf.as_str()), ("do", what)]).await.expect(403);
        stranger.post(&path, &[("do", what)]).await.expect(403);
        person.post(&path, &[("do", what)]).await.expect(403);
    }
    person.post(&path, &[("csrf", csrf.as_str()), ("do", "grant")]).await.expect(400);
    person.post(&format!("/access/{other}"), &[("csrf", csrf.as_str()), ("do", "withdraw")]).await.expect(403);
    assert_eq!(stage(&app, &id).await, AccessStage::Unconfirmed { until: app.now() + UNCONFIRMED_LIFE_MS });
    assert!(granted(&app).await.is_empty());
}

#[tokio::test]
async fn nobody_decides_their_own_under_no_name_and_no_role() {
    let mut world = asking_world();
    world.roles.0.extend([holder("bob", Role::Admin, &[]), holder("bobby", Role::Admin, &[])]);
    let app = app_of(world).await;
    let id = confirmed(&app, "writing").await;
    for name in ["bob", "bobby"] {
        assert!(matches!(rule(&app, &id, name, Says::Yes).await, Err(DecideError::NotFound(_))), "{name}");
    }
    let mut person = app.browser();
    let page = reach(&mut person, &id, "bob").await.expect(200);
    assert!(!page.body.contains("value=\"approve\""), "{}", page.body);
    act(&mut person, &page, &id, "approve").await.expect(404);
    let mut twin = app.browser();
    reach(&mut twin, &id, "bobby").await.expect(404);
    assert!(granted(&app).await.is_empty());
    // Whoever put the token together asks as well.
    let mut minted = asking_world();
    minted.roles = Roles(vec![RoleHolder { os_user: Some("ops".into()), ..holder("alice", Role::Admin, &[]) }]);
    let app = app_of(minted).await;
    let by_operator = CallerFacts { operator: Some("operator:ops".into()), ..caller(&bob(), None) };
    assert_eq!(wish_of(&app, &by_operator, "writing", None).await, Asked::Nobody);
    assert!(matches!(wish_of(&app, &caller(&bob(), None), "writing", None).await, Asked::Request { .. }));
}

#[tokio::test]
async fn it_takes_an_owner_of_everything_it_reaches() {
    let app = app().await;
    // Alice owns half of it and carol the other half.
    assert_eq!(wish_of(&app, &caller(&bob(), None), "both", None).await, Asked::Nobody);
    let mut world = asking_world();
    world.roles.0.push(holder("alice", Role::Owner, &["down"]));
    let app = app_of(world).await;
    let id = confirmed(&app, "both").await;
    assert!(matches!(rule(&app, &id, "carol", Says::Yes).await, Err(DecideError::NotFound(_))));
    assert_eq!(rule(&app, &id, "alice", Says::Yes).await.unwrap().as_str(), "approved");
}

#[tokio::test]
async fn only_the_catalogue_can_be_asked_for_and_every_other_name_is_the_same() {
    let app = app().await;
    let person = caller(&bob(), None);
    // There and not for him, not there, not offered here, no name at all.
    for name in ["hidden", "no-such-toolset", "elsewhere", "", "No Slug", "../writing", "WRITING", "writing "] {
        assert_eq!(wish_of(&app, &person, name, None).await, Asked::NotRequestable, "{name:?}");
    }
    assert_eq!(wish_of(&app, &caller(&alice(), None), "writing", None).await, Asked::NotRequestable);
    let foreign = caller(&UserKey::parse("okta:bob").unwrap(), None);
    assert_eq!(wish_of(&app, &foreign, "writing", None).await, Asked::NotRequestable, "they cannot confirm here");
    assert_eq!(wish_of(&app, &person, "writing", Some(90 * DAY_MS + 1)).await, Asked::TooLong(90 * DAY_MS));
    assert_eq!(rows::list_of_user(app.live.store(), &bob(), 10).await.unwrap(), []);
    let through_an_agent = wish_of(&app, &caller(&bob(), Some("bot")), "writing", None).await;
    let Asked::Request { request, deciders } = through_an_agent else { panic!("{through_an_agent:?}") };
    assert_eq!((request.agent.unwrap().as_str(), deciders), ("bot", vec!["Alice Example".to_owned()]));
}

#[tokio::test]
async fn the_same_wish_is_one_request_and_few_are_open_at_a_time() {
    let mut world = asking_world();
    let bob_may = world.access.requestable_by[&slug("writing")].clone();
    for number in 0..=MAX_OPEN {
        let name = format!("t{number}");
        world.toolsets.extend([toolset(&name, &["up/create"])]);
        world.access.requestable_by.insert(slug(&name), bob_may.clone());
    }
    let app = app_of(world).await;
    let first = asked(&app, "t0").await;
    assert_eq!(asked(&app, "t0").await, first);
    for number in 1..MAX_OPEN {
        asked(&app, &format!("t{number}")).await;
    }
    let one_more = format!("t{MAX_OPEN}");
    assert_eq!(wish_of(&app, &caller(&bob(), None), &one_more, None).await, Asked::TooMany);
    assert_eq!(asked(&app, "t0").await, first, "what is known is told");
    let mut browser = app.browser();
    let page = reach(&mut browser, &first, "bob").await.expect(200);
    act(&mut browser, &page, &first, "withdraw").await.expect(303);
    assert_eq!(stage(&app, &first).await.as_str(), "withdrawn");
    asked(&app, &one_more).await;
    app.clock.advance(UNCONFIRMED_LIFE_MS);
    assert_eq!(sweep(&app.live).await.unwrap(), 5);
    assert_ne!(asked(&app, "t0").await, first);
    assert!(app.trail().contains("access.lapse"));
}

#[tokio::test]
async fn a_decision_takes_a_fresh_login_and_a_request_that_waits() {
    let app = app().await;
    let id = confirmed(&app, "writing").await;
    let mut owner = app.browser();
    let page = reach(&mut owner, &id, "alice").await.expect(200);
    app.clock.advance(5 * 60_000);
    let login = format!("/login?approval=access-{id}");
    assert_eq!(owner.get(&format!("/access/{id}")).await.location(), login);
    assert_eq!(act(&mut owner, &page, &id, "approve").await.location(), login);
    assert!(granted(&app).await.is_empty());
    app.clock.advance(WAITING_LIFE_MS - 5 * 60_000 - 1);
    let late = reach(&mut owner, &id, "alice").await.expect(200);
    app.clock.advance(1);
    act(&mut owner, &late, &id, "approve").await.expect(410);
    assert!(granted(&app).await.is_empty(), "nothing is granted by waiting");
}

#[tokio::test]
async fn a_no_is_told_and_remembered_for_a_while() {
    let app = app().await;
    let mut heard = app.live.notices().listen();
    let id = confirmed(&app, "writing").await;
    let mut owner = app.browser();
    let page = reach(&mut owner, &id, "alice").await.expect(200);
    act(&mut owner, &page, &id, "deny").await.expect(303);
    assert_eq!(stage(&app, &id).await, AccessStage::Denied { at: app.now() });
    heard.try_recv().unwrap();
    assert_eq!(heard.try_recv().unwrap().kind, NoticeKind::AccessDenied);
    let mut person = app.browser();
    let told = reach(&mut person, &id, "bob").await.expect(200);
    assert!(told.body.contains("denied") && told.body.contains("for Q3"), "{}", told.body);
    assert_eq!(asked(&app, "writing").await, id);
    app.clock.advance(DENIED_MS);
    assert_ne!(asked(&app, "writing").await, id);
    assert!(granted(&app).await.is_empty());
}

#[tokio::test]
async fn what_changed_since_it_was_asked_for_ends_it() {
    // The person was revoked, may not ask any more, or is gone; the owner was revoked or is none any more.
    let app = app().await;
    let id = confirmed(&app, "writing").await;
    app.clock.advance(1_000);
    // Not even where requests have not heard of it yet.
    app.revoke_unheard(Scope::User(bob())).await;
    assert!(matches!(rule(&app, &id, "alice", Says::Yes).await, Err(DecideError::Over("lapsed"))));
    assert_eq!(stage(&app, &id).await.as_str(), "lapsed");
    for change in [
        (|world| world.access.requestable_by.clear()) as fn(&mut Deployment),
        |world| drop(world.toolsets.remove("writing")),
        |world| drop(world.accounts.remove("bob")),
        |world| world.access.enabled = false,
        |world| world.access.off_at = [world.endpoints[0].slug.clone()].into(),
    ] {
        let app = app_of(asking_world()).await;
        let id = confirmed(&app, "writing").await;
        let mut changed = asking_world();
        changed.roles.0.push(holder("carol", Role::Admin, &[]));
        change(&mut changed);
        changed.digest = ambit_model::Digest::of(b"changed");
        let servers = app.live.servers().await.into_values().collect();
        let lock = ambit_live::lock::Lock::default();
        let spendables = ambit_live::credentials::Spendables::default();
        app.live.reload(changed, lock, servers, spendables).await.unwrap();
        let decided = rule(&app, &id, "carol", Says::Yes).await;
        assert!(matches!(decided, Err(DecideError::Over("lapsed"))), "{decided:?}");
        assert!(granted(&app).await.is_empty());
    }
    let app = app_of(asking_world()).await;
    let id = confirmed(&app, "writing").await;
    let mut owner = app.browser();
    let page = reach(&mut owner, &id, "alice").await.expect(200);
    app.clock.advance(1_000);
    app.revoke(Scope::User(alice())).await;
    assert_eq!(act(&mut owner, &page, &id, "approve").await.location(), format!("/login?approval=access-{id}"));
    assert!(granted(&app).await.is_empty());
}

#[tokio::test]
async fn of_several_owners_at_once_one_decides() {
    let mut world = asking_world();
    world.roles.0.push(holder("carol", Role::Admin, &[]));
    let app = app_of(world).await;
    let id = confirmed(&app, "writing").await;
    let (yes, no) = tokio::join!(rule(&app, &id, "alice", Says::Yes), rule(&app, &id, "carol", Says::No));
    assert!(yes.is_ok() != no.is_ok(), "{yes:?} {no:?}");
    assert_eq!(granted(&app).await.len(), usize::from(yes.is_ok()));
}
