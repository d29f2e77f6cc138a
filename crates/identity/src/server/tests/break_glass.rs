//! The page for emergencies: only for who is named, only right after their password, and never quietly.

use ambit_live::notices::NoticeKind;
use ambit_model::{break_glass::BreakGlass, ids::UserKey, revocation::Scope};
use ambit_store::broken_glass;

use super::{
    App, PASSWORD, alice,
    browser::{Ask, Browser, Reply},
    generous, nowhere, slug, world,
};

const PAGE: &str = "/break-glass";

async fn app() -> App {
    let mut world = world();
    world.break_glass = BreakGlass { people: [alice()].into(), toolsets: [slug("writing")].into() };
    App::with(world, generous(), nowhere()).await
}

/// Alice with a connected client, and the page.
async fn reach(app: &App) -> (Browser, Reply) {
    let mut browser = app.browser();
    browser.connect(&Ask::pinned(), "alice", &["reading"]).await;
    let form = browser.get("/login?approval=break-glass").await.expect(200);
    assert_eq!(browser.enter(&form, "alice", PASSWORD).await.location(), PAGE);
    let page = browser.get(PAGE).await.expect(200);
    (browser, page)
}

async fn wish(browser: &mut Browser, page: &Reply, change: (&str, &str)) -> Reply {
    let csrf = page.field("csrf");
    let mut fields = vec![
        ("csrf", csrf.as_str()),
        ("do", "break"),
        ("toolset", "writing"),
        ("client", "pinned"),
        ("minutes", "60"),
        ("reason", "the pager\nrang"),
    ];
    for field in &mut fields {
        if field.0 == change.0 {
            field.1 = change.1;
        }
    }
    browser.post(PAGE, &fields).await
}

#[tokio::test]
async fn who_is_named_breaks_the_glass_for_an_hour_and_everybody_hears_it() {
    let app = app().await;
    let mut heard = app.live.notices().listen();
    let (mut browser, page) = reach(&app).await;
    assert!(page.body.contains("All writing") && page.body.contains("Client pinned"), "{}", page.body);
    assert!(!page.body.contains("All reading"), "only what configuration names");
    assert_eq!(wish(&mut browser, &page, ("", "")).await.location(), PAGE);
    let [glass] = broken_glass::list(app.live.store(), None).await.unwrap().try_into().unwrap();
    let reveal = &glass.reveal.reveal;
    assert_eq!((&reveal.user, reveal.client.as_str(), reveal.toolset.as_str()), (&alice(), "pinned", "writing"));
    assert_eq!((reveal.expires_at - reveal.starts_at, reveal.reason.as_str()), (3_600_000, "the pager rang"));
    assert_eq!((&reveal.agent, &reveal.approved_by, &glass.review), (&None, &None, &None));
    let notice = heard.try_recv().unwrap();
    assert_eq!((notice.kind, &notice.id), (NoticeKind::GlassBroken, &reveal.id.to_string()));
    assert_eq!(notice.link, format!("ambit break-glass review {}", reveal.id));
    assert!(app.trail().contains("break_glass.begin"));
    let page = browser.get(PAGE).await.expect(200);
    assert!(page.body.contains("nobody has looked at it yet"));
    // They end it themselves, once.
    let csrf = page.field("csrf");
    let end = [("csrf", csrf.as_str()), ("do", "end"), ("id", reveal.id.as_str())];
    assert_eq!(browser.post(PAGE, &end).await.location(), PAGE);
    browser.post(PAGE, &end).await.expect(404);
    assert!(app.trail().contains("break_glass.end"));
    assert_eq!(broken_glass::load_live(app.live.store(), app.now()).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_not_theirs_too_long_or_without_a_reason_breaks_nothing() {
    let app = app().await;
    let (mut browser, page) = reach(&app).await;
    for change in [
        ("minutes", "61"),
        ("minutes", "0"),
        ("minutes", "-5"),
        ("minutes", "x"),
        ("toolset", "reading"),
        ("toolset", "unknown"),
        ("client", "conf"),
        ("client", "https://other.example/c"),
        ("reason", "  "),
        ("do", "maybe"),
    ] {
        wish(&mut browser, &page, change).await.expect(400);
    }
    wish(&mut browser, &page, ("csrf", "forged")).await.expect(403);
    assert_eq!(broken_glass::list(app.live.store(), None).await.unwrap(), []);
    assert!(!app.trail().contains("break_glass"));
}

#[tokio::test]
async fn whoever_is_not_named_finds_nothing_and_an_old_login_is_not_enough() {
    let app = app().await;
    let mut other = app.browser();
    let form = other.get("/login?approval=break-glass").await.expect(200);
    other.enter(&form, "bob", PASSWORD).await;
    let missing = other.get(PAGE).await.expect(404);
    assert_eq!(missing.body, other.get("/approvals/0000").await.expect(404).body);
    let mut nobody = app.browser();
    assert_eq!(nobody.get(PAGE).await.location(), "/login?approval=break-glass");
    assert_eq!(nobody.post(PAGE, &[("csrf", "x"), ("do", "break")]).await.location(), "/login?approval=break-glass");

    let (mut browser, page) = reach(&app).await;
    app.clock.advance(5 * 60_000);
    assert_eq!(browser.get(PAGE).await.location(), "/login?approval=break-glass");
    assert_eq!(wish(&mut browser, &page, ("", "")).await.location(), "/login?approval=break-glass");
    app.revoke(Scope::User(UserKey::local("alice").unwrap())).await;
    assert_eq!(wish(&mut browser, &page, ("", "")).await.location(), "/login?approval=break-glass");
    assert_eq!(broken_glass::list(app.live.store(), None).await.unwrap(), []);
    // Where nobody is named, nobody finds it.
    let plain = App::start().await;
    let mut browser = plain.browser();
    browser.connect(&Ask::pinned(), "alice", &["reading"]).await;
    browser.get(PAGE).await.expect(404);
}
