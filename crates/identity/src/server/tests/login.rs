//! Logins: one answer for every failure, slower and never locked, a new session each time.

use ambit_model::revocation::Scope;
use ambit_store::accounts;

use super::{
    App, PASSWORD, alice,
    browser::{Ask, Browser},
};

#[tokio::test]
async fn unknown_disabled_unset_and_wrong_are_one_answer() {
    let mut world = super::world();
    let carol = ambit_model::ids::Subject::parse("carol").unwrap();
    world.accounts.insert(carol.clone(), crate::testing::account(&[]));
    let app = App::with(world, super::generous(), super::nowhere()).await;
    let mut tx = app.live.store().begin().await.unwrap();
    accounts::disable(&mut tx, &ambit_model::ids::Subject::parse("bob").unwrap(), app.now()).await.unwrap();
    accounts::create(&mut tx, &carol, None, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    let mut bodies = std::collections::BTreeSet::new();
    for (name, password) in [
        ("alice", "wrong password!"),
        ("bob", PASSWORD),
        ("carol", PASSWORD),
        ("nobody", PASSWORD),
        ("local:alice", PASSWORD),
        ("alice", ""),
        ("", PASSWORD),
        ("alice", &"x".repeat(5000)),
    ] {
        let mut browser = app.browser();
        let form = browser.get("/login").await;
        let reply = browser.enter(&form, name, password).await.expect(401);
        assert!(!browser.cookies.contains_key("__Host-ambit-session"), "{name}");
        assert!(!reply.body.contains(PASSWORD) && !reply.body.contains("wrong password!"));
        // The form's token, and the name that was typed, are the only differences.
        let typed = format!(" type=\"text\" value=\"{name}\"");
        let plain = reply.body.replace(&reply.field("csrf"), "").replace(&typed, "").replace(" autofocus", "");
        bodies.insert(plain);
    }
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    app.browser().log_in("alice").await;
}

#[tokio::test]
async fn guessing_slows_down_for_its_source_alone() {
    let app = App::with(super::world(), super::generous(), super::nowhere()).await;
    let mut browser = app.browser();
    let form = browser.get("/login").await;
    for _ in 0..4 {
        browser.enter(&form, "alice", "wrong password!").await.expect(401);
    }
    let reply = browser.enter(&form, "alice", PASSWORD).await.expect(429);
    assert_eq!(reply.header("retry-after"), "1");
    let mut elsewhere = Browser::new(app.router.clone(), [198, 51, 100, 1].into());
    elsewhere.log_in("alice").await;
    app.clock.advance(1_000);
    browser.log_in("alice").await;
}

#[tokio::test]
async fn one_source_tries_so_many_passwords_over_all_accounts() {
    let settings = crate::server::Settings { logins_per_minute: 5.try_into().unwrap(), ..super::generous() };
    let app = App::with(super::world(), settings, super::nowhere()).await;
    let mut browser = app.browser();
    let form = browser.get("/login").await;
    let mut refused = 0;
    for n in 0..8 {
        let reply = browser.enter(&form, &format!("user-{n}"), "wrong password!").await;
        refused += usize::from(reply.status == 429);
    }
    assert_eq!(refused, 3);
}

#[tokio::test]
async fn a_session_put_into_the_browser_before_is_not_the_one_after() {
    let app = App::start().await;
    let mut browser = app.browser();
    browser.cookies.insert("__Host-ambit-session".into(), "A".repeat(43));
    browser.log_in("alice").await;
    let first = browser.cookies["__Host-ambit-session"].clone();
    assert_ne!(first, "A".repeat(43));
    // Logging in again ends the session before.
    app.clock.advance(1);
    let reply = browser.get(&Ask::conf().with(&[("prompt", "login")]).url()).await;
    let to = reply.location().to_owned();
    let form = browser.get(&to).await.expect(200);
    browser.enter(&form, "alice", PASSWORD).await.expect(303);
    let second = browser.cookies["__Host-ambit-session"].clone();
    assert_ne!(first, second);
    browser.cookies.insert("__Host-ambit-session".into(), first);
    assert_eq!(browser.get("/clients").await.location(), "/login");
    browser.cookies.insert("__Host-ambit-session".into(), second);
    browser.get("/clients").await.expect(200);
}

#[tokio::test]
async fn a_session_ends_by_age_idleness_revocation_and_logout() {
    let app = App::start().await;
    let mut browser = app.browser();
    browser.log_in("alice").await;
    app.clock.advance(2 * 3_600_000 - 1);
    browser.get("/clients").await.expect(200);
    app.clock.advance(2 * 3_600_000);
    assert_eq!(browser.get("/clients").await.location(), "/login");

    browser.log_in("alice").await;
    for _ in 0..11 {
        app.clock.advance(3_600_000);
        browser.get("/clients").await.expect(200);
    }
    app.clock.advance(3_600_000);
    assert_eq!(browser.get("/clients").await.location(), "/login");

    browser.log_in("alice").await;
    app.revoke(Scope::User(alice())).await;
    assert_eq!(browser.get("/clients").await.location(), "/login");
    app.clock.advance(1);
    browser.log_in("alice").await;
    let form = browser.get("/logout").await.expect(200);
    let session = browser.cookies["__Host-ambit-session"].clone();
    browser.post("/logout", &[("csrf", &form.field("csrf"))]).await.expect(200);
    assert!(!browser.cookies.contains_key("__Host-ambit-session"));
    browser.cookies.insert("__Host-ambit-session".into(), session);
    assert_eq!(browser.get("/clients").await.location(), "/login");
}

#[tokio::test]
async fn who_knows_the_password_of_a_blocked_account_learns_that_it_is_blocked() {
    let app = App::start().await;
    app.block(Scope::User(alice())).await;
    let mut browser = app.browser();
    let form = browser.get("/login").await;
    browser.enter(&form, "alice", "wrong password!").await.expect(401);
    let reply = browser.enter(&form, "alice", PASSWORD).await.expect(403);
    assert!(reply.body.contains("blocked") && !browser.cookies.contains_key("__Host-ambit-session"));
}

#[tokio::test]
async fn failed_logins_are_summed_up_in_the_trail() {
    let app = App::start().await;
    let mut browser = app.browser();
    let form = browser.get("/login").await;
    for _ in 0..3 {
        browser.enter(&form, "alice", "wrong password!").await.expect(401);
    }
    app.live.recorder().flush_refusals(true).await.unwrap();
    let trail = app.trail();
    assert!(trail.contains("\"reason\":\"login_failed\",\"count\":3"), "{trail}");
    assert!(!trail.contains("wrong password!"));
}

#[tokio::test]
async fn the_trail_names_the_account_that_was_attacked_and_nothing_that_was_only_typed() {
    let app = App::with(super::world(), super::generous(), super::nowhere()).await;
    let mut browser = app.browser();
    let form = browser.get("/login").await;
    for (name, status) in [
        ("alice", 401),
        ("alice", 401),
        ("alice", 401),
        ("alice", 401),
        ("alice", 429),
        ("bob", 401),
        ("hunter2-in-the-wrong-field", 401),
        ("local:alice", 401),
    ] {
        browser.enter(&form, name, "wrong password!").await.expect(status);
    }
    app.clock.advance(60_000);
    browser.enter(&form, "bob", "wrong password!").await.expect(401);
    app.live.recorder().flush_refusals(true).await.unwrap();
    let trail = app.trail();
    for (subject, reason, count) in [
        ("user local:alice", "login_failed", 4),
        ("user local:alice", "login_throttled", 1),
        ("user local:bob", "login_failed", 1),
    ] {
        let said = format!("\"subject\":\"{subject}\",\"reason\":\"{reason}\",\"count\":{count}");
        assert!(trail.contains(&said), "{said}: {trail}");
    }
    assert_eq!(trail.matches("\"subject\":\"user local:bob\",\"reason\"").count(), 2, "each minute on its own");
    assert!(trail.contains("\"source\":\"192.0.2.0/24\",\"reason\":\"login_failed\",\"count\":2"), "{trail}");
    assert!(!trail.contains("hunter2"));
}
