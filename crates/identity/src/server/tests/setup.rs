//! One-time links: they set one password, once.

use ambit_model::{Digest, ids::Subject};
use ambit_store::accounts;

use super::{App, alice, browser::Browser};

const LINK: &str = "bGluayBvZiB0aGUgdGVzdHM";

async fn with_link(app: &App, account: &str) {
    let mut tx = app.live.store().begin().await.unwrap();
    let account = Subject::parse(account).unwrap();
    accounts::create(&mut tx, &account, None, app.now()).await.unwrap();
    accounts::insert_link(&mut tx, &Digest::of(LINK.as_bytes()), &account, app.now() + 3_600_000).await.unwrap();
    tx.commit().await.unwrap();
}

async fn set(browser: &mut Browser, password: &str, again: &str) -> super::browser::Reply {
    let form = browser.get(&format!("/setup/{LINK}")).await.expect(200);
    let csrf = form.field("csrf");
    browser.post(&format!("/setup/{LINK}"), &[("csrf", &csrf), ("password", password), ("again", again)]).await
}

#[tokio::test]
async fn a_link_sets_a_password_once_and_ends_old_sessions() {
    let app = App::start().await;
    let mut old = app.browser();
    old.log_in("alice").await;
    with_link(&app, "alice").await;
    let mut browser = app.browser();
    for (password, again) in
        [("short", "short"), ("a long new password", "another password"), ("aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaa")]
    {
        let reply = set(&mut browser, password, again).await.expect(422);
        assert!(!reply.body.contains(password), "{}", reply.body);
    }
    set(&mut browser, "a long new password", "a long new password").await.expect(200);
    assert_eq!(old.get("/clients").await.location(), "/login");
    let form = browser.get("/login").await;
    browser.enter(&form, "alice", super::PASSWORD).await.expect(401);
    browser.enter(&form, "alice", "a long new password").await.expect(303);
    browser.get(&format!("/setup/{LINK}")).await.expect(410);
    let trail = app.trail();
    assert!(trail.contains("password.set") && !trail.contains("a long new password") && !trail.contains(LINK));
}

#[tokio::test]
async fn a_link_that_is_unknown_expired_or_of_an_undeclared_account_opens_nothing() {
    let app = App::start().await;
    let mut browser = app.browser();
    browser.get("/setup/unknown").await.expect(410);
    with_link(&app, "mallory").await;
    browser.get(&format!("/setup/{LINK}")).await.expect(410);
    let app = App::start().await;
    with_link(&app, "alice").await;
    let mut browser = app.browser();
    let form = browser.get(&format!("/setup/{LINK}")).await.expect(200);
    app.clock.advance(3_600_000);
    browser.get(&format!("/setup/{LINK}")).await.expect(410);
    let fields = [
        ("csrf", form.field("csrf")),
        ("password", "a long new password".into()),
        ("again", "a long new password".into()),
    ];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    browser.post(&format!("/setup/{LINK}"), &fields).await.expect(403);
    let account = accounts::find(app.live.store(), &alice().subject).await.unwrap().unwrap();
    assert_eq!(account.password_hash.as_deref(), Some(super::hashed()));
}

#[tokio::test]
async fn of_two_who_hold_the_link_one_sets_the_password() {
    let app = App::start().await;
    with_link(&app, "alice").await;
    let (mut one, mut two) = (app.browser(), app.browser());
    let (one, two) = tokio::join!(
        set(&mut one, "the first password", "the first password"),
        set(&mut two, "the other password", "the other password")
    );
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 410]);
}
