//! Consent: asked of the right person, about what they hold, remembered only where that is safe.

use ambit_model::revocation::Scope;

use super::{App, browser::Ask, generous, nowhere, world};
use crate::testing::T0;

/// What an access token says.
fn claims(tokens: &serde_json::Value) -> serde_json::Value {
    let claims = tokens["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

#[tokio::test]
async fn a_person_is_offered_what_they_hold_here_with_its_effects() {
    let app = App::start().await;
    let page = app.browser().until_consent(&Ask::conf().url(), "alice").await;
    assert!(page.body.contains("1 read") && page.body.contains("1 write") && page.body.contains("1 destructive"));
    assert!(page.body.contains("stay locked"));
    assert_eq!(page.body.matches(" checked").count(), 2);
    assert!(page.body.contains("Client conf") && page.body.contains("conf.example"));
    let page = app.browser().until_consent(&Ask::conf().url(), "bob").await;
    assert!(page.body.contains("All reading") && !page.body.contains("All writing"));
}

#[tokio::test]
async fn a_client_under_a_ceiling_is_offered_no_more_than_it() {
    let mut world = world();
    world.ceilings.default = ambit_model::ceiling::Ceiling::Only([super::slug("reading")].into());
    let app = App::with(world, generous(), nowhere()).await;
    let page = app.browser().until_consent(&Ask::conf().url(), "alice").await;
    assert!(page.body.contains("All reading") && !page.body.contains("All writing"));
}

#[tokio::test]
async fn what_is_not_offered_cannot_be_ticked() {
    let app = App::start().await;
    let mut browser = app.browser();
    let ask = Ask::conf();
    let page = browser.until_consent(&ask.url(), "bob").await;
    let code = browser.answer(&page, "allow", &["reading", "writing", "invented", "../x"]).await.query("code").unwrap();
    assert_eq!(browser.exchange(&ask, &code).await.expect(200).json()["scope"], "mcp toolset:reading");
}

#[tokio::test]
async fn a_no_goes_back_as_access_denied_and_gives_nothing() {
    let app = App::start().await;
    let mut browser = app.browser();
    let page = browser.until_consent(&Ask::conf().url(), "alice").await;
    let reply = browser.answer(&page, "deny", &["reading"]).await;
    assert_eq!(reply.query("error").as_deref(), Some("access_denied"));
    assert_eq!(reply.query("iss").as_deref(), Some("https://gw.example/as/default"));
    assert!(reply.query("code").is_none());
    assert!(app.trail().contains("consent.deny"));
    // And it is asked again next time.
    browser.until_consent(&Ask::conf().url(), "alice").await;
}

#[tokio::test]
async fn a_request_is_answered_once() {
    let app = App::start().await;
    let mut browser = app.browser();
    let page = browser.until_consent(&Ask::conf().url(), "alice").await;
    browser.answer(&page, "allow", &[]).await.query("code").unwrap();
    browser.answer(&page, "allow", &[]).await.expect(410);
    let page = browser.until_consent(&Ask::pinned().url(), "alice").await;
    app.clock.advance(600_000);
    browser.answer(&page, "allow", &[]).await.expect(410);
}

#[tokio::test]
async fn a_yes_is_remembered_for_confidential_clients_and_no_others() {
    let app = App::start().await;
    let mut browser = app.browser();
    browser.code(&Ask::conf(), "alice", &["reading"]).await;
    let code = browser.get(&Ask::conf().url()).await.query("code").unwrap();
    let tokens = browser.exchange(&Ask::conf(), &code).await.expect(200).json();
    assert_eq!(tokens["scope"], "mcp toolset:reading");
    // Without a question, also when none may be asked.
    assert!(browser.get(&Ask::conf().with(&[("prompt", "none")]).url()).await.query("code").is_some());
    // Somebody else, another redirect, or a client that insists is asked.
    app.browser().until_consent(&Ask::conf().url(), "bob").await;
    browser.until_consent(&Ask::conf().with(&[("prompt", "consent")]).url(), "alice").await;
    browser.until_consent(&Ask { endpoint: "other", ..Ask::conf() }.url(), "alice").await;

    browser.code(&Ask::pinned(), "alice", &["reading"]).await;
    let page = browser.until_consent(&Ask::pinned().url(), "alice").await;
    assert_eq!(page.body.matches(" checked").count(), 1, "the boxes stand as they were left");
    let none = browser.get(&Ask::pinned().with(&[("prompt", "none")]).url()).await;
    assert_eq!(none.query("error").as_deref(), Some("consent_required"));
}

#[tokio::test]
async fn a_toolset_asked_for_by_name_is_asked_about_once() {
    let app = App::start().await;
    let mut browser = app.browser();
    let read = Ask::conf().scope("mcp toolset:reading");
    let page = browser.until_consent(&read.url(), "alice").await;
    assert!(page.body.contains("All reading") && !page.body.contains("All writing"));
    browser.answer(&page, "allow", &["reading"]).await.query("code").unwrap();
    assert!(browser.get(&read.url()).await.query("code").is_some());
    // The step-up: both are on the page, the earlier one ticked.
    let both = Ask::conf().scope("mcp toolset:writing");
    let page = browser.until_consent(&both.url(), "alice").await;
    assert!(page.body.contains("All reading") && page.body.contains("All writing"));
    let code = browser.answer(&page, "allow", &["reading", "writing"]).await.query("code").unwrap();
    let tokens = browser.exchange(&both, &code).await.expect(200).json();
    assert_eq!(tokens["scope"], "mcp toolset:reading toolset:writing");
}

#[tokio::test]
async fn a_declined_toolset_is_in_the_token_and_not_asked_about_again() {
    let app = App::start().await;
    let mut browser = app.browser();
    browser.code(&Ask::conf(), "alice", &["reading"]).await;
    let ask = Ask::conf().scope("mcp toolset:writing");
    let code = browser.get(&ask.url()).await.query("code").unwrap();
    let tokens = browser.exchange(&ask, &code).await.expect(200).json();
    assert_eq!(tokens["scope"], "mcp toolset:reading");
    assert_eq!(claims(&tokens)["declined"], serde_json::json!(["writing"]));
}

/// A grant that runs out and is given again: what the person had ticked is not taken for declined in between.
#[tokio::test]
async fn a_toolset_not_held_at_the_moment_is_not_declined_by_a_remembered_yes() {
    let mut world = world();
    world.grants[1].expires_at = T0 + 60_000;
    let app = App::with(world, generous(), nowhere()).await;
    let mut browser = app.browser();
    let ask = Ask::conf();
    let tokens = browser.connect(&ask, "alice", &["reading", "writing"]).await;
    assert_eq!(tokens["scope"], "mcp toolset:reading toolset:writing");
    app.clock.advance(120_000);
    let code = browser.get(&ask.url()).await.query("code").unwrap();
    let tokens = browser.exchange(&ask, &code).await.expect(200).json();
    assert_eq!(tokens["scope"], "mcp toolset:reading");
    assert!(claims(&tokens).get("declined").is_none(), "{}", claims(&tokens));
    // Held again, it is one silent authorization away.
    let mut tx = app.live.store().begin().await.unwrap();
    let mut again = super::grant("g9", "alice", "writing");
    again.origin = ambit_model::grant::GrantOrigin::Operator;
    (again.starts_at, again.expires_at) = (app.now() - 1, app.now() + 3_600_000);
    ambit_store::grants::insert(&mut tx, &again, "operator:test", app.now()).await.unwrap();
    tx.commit().await.unwrap();
    app.live.refresh().await.unwrap();
    let code = browser.get(&ask.url()).await.query("code").unwrap();
    let tokens = browser.exchange(&ask, &code).await.expect(200).json();
    assert_eq!(tokens["scope"], "mcp toolset:reading toolset:writing");
}

#[tokio::test]
async fn consent_needs_the_login_it_was_asked_for() {
    let app = App::start().await;
    let mut browser = app.browser();
    browser.log_in("alice").await;
    app.clock.advance(10_000);
    for more in [("prompt", "login"), ("max_age", "5")] {
        let reply = browser.get(&Ask::conf().with(&[more]).url()).await;
        assert!(reply.location().starts_with("/login?request="), "{more:?}");
        let request = reply.query("request").unwrap();
        let page = browser.get(&format!("/as/default/consent?request={request}")).await;
        assert!(page.location().starts_with("/login?request="), "{more:?}");
    }
    let fresh = browser.get(&Ask::conf().with(&[("max_age", "60")]).url()).await;
    assert!(fresh.location().starts_with("/as/default/consent?request="));
}

#[tokio::test]
async fn a_block_or_revocation_reaches_a_request_under_way() {
    for scope in ["client conf", "user local:alice"] {
        let app = App::start().await;
        let mut browser = app.browser();
        let page = browser.until_consent(&Ask::conf().url(), "alice").await;
        let (kind, id) = scope.split_once(' ').unwrap();
        app.revoke(Scope::parse(kind, id).unwrap()).await;
        let reply = browser.answer(&page, "allow", &["reading"]).await;
        // A revoked person is sent to log in again, a revoked client is refused.
        let expected = if kind == "user" { 303 } else { 403 };
        assert_eq!(reply.status, expected, "{scope}: {reply:?}");
        assert!(!reply.header("location").contains("code="), "{scope}: {reply:?}");
    }
}

#[tokio::test]
async fn another_endpoint_or_person_does_not_answer_a_request() {
    let app = App::start().await;
    let mut browser = app.browser();
    let page = browser.until_consent(&Ask::conf().url(), "alice").await;
    let request = page.field("request");
    browser.get(&format!("/as/other/consent?request={request}")).await.expect(404);
    browser.get("/as/default/consent").await.expect(404);
    browser.get("/as/default/consent?request=unknown").await.expect(410);
    // Bob may open Alice's link and answer in his own name, but not with her form.
    let mut bob = app.browser();
    bob.log_in("bob").await;
    bob.answer(&page, "allow", &["writing"]).await.expect(403);
}
