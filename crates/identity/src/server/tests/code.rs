//! Codes at the token endpoint: good once, for whom they were made.

use serde_json::Value;

use super::{
    App, alice,
    browser::{Ask, VERIFIER},
};
use ambit_model::revocation::Scope;
use ambit_store::{accounts, families};

fn form<'a>(code: &'a str, change: (&'a str, &'a str)) -> Vec<(&'a str, &'a str)> {
    let usual = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", "http://127.0.0.1:3456/cb"),
        ("client_id", "pinned"),
    ];
    let kept = usual.into_iter().filter(|(name, _)| *name != change.0);
    kept.chain([change]).filter(|(_, value)| !value.is_empty()).collect()
}

#[tokio::test]
async fn a_code_is_good_for_its_client_redirect_and_verifier() {
    let app = App::start().await;
    let mut browser = app.browser();
    for (change, error) in [
        (("code_verifier", "eBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), "invalid_grant"),
        (("code_verifier", ""), "invalid_request"),
        (("redirect_uri", "http://127.0.0.1:3457/cb"), "invalid_grant"),
        (("redirect_uri", ""), "invalid_request"),
        (("client_id", "conf"), "invalid_client"),
        (("client_id", "https://client.example/c"), "invalid_grant"),
        (("client_id", ""), "invalid_client"),
        (("client_secret", "x"), "invalid_client"),
        (("resource", "https://gw.example/mcp/other"), "invalid_target"),
        (("code", "unknown"), "invalid_grant"),
        (("grant_type", "client_credentials"), "unsupported_grant_type"),
        (("grant_type", ""), "invalid_request"),
    ] {
        let code = browser.code(&Ask::pinned(), "alice", &["reading"]).await;
        let reply = browser.post("/as/default/token", &form(&code, change)).await;
        assert!(reply.status.is_client_error(), "{change:?}: {reply:?}");
        assert_eq!(reply.error(), error, "{change:?}");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert!(!reply.body.contains(&code), "{change:?}");
    }
    let code = browser.code(&Ask::pinned(), "alice", &["reading"]).await;
    let elsewhere = browser.post("/as/other/token", &form(&code, ("", ""))).await.expect(400);
    assert_eq!(elsewhere.error(), "invalid_grant");
    let doubled = [form(&code, ("", "")), vec![("code", code.as_str())]].concat();
    assert_eq!(browser.post("/as/default/token", &doubled).await.expect(400).error(), "invalid_request");
    let json = browser.post_json("/as/default/token", "{}").await.expect(400);
    assert_eq!(json.error(), "invalid_request");
}

#[tokio::test]
async fn a_wrong_verifier_spends_the_code() {
    let app = App::start().await;
    let mut browser = app.browser();
    let code = browser.code(&Ask::pinned(), "alice", &[]).await;
    browser.post("/as/default/token", &form(&code, ("code_verifier", &"x".repeat(43)))).await.expect(400);
    let reply = browser.exchange(&Ask::pinned(), &code).await.expect(400);
    assert_eq!(reply.error(), "invalid_grant");
}

#[tokio::test]
async fn a_replayed_code_ends_everything_that_came_of_it() {
    let app = App::start().await;
    let mut browser = app.browser();
    let ask = Ask::pinned();
    let code = browser.code(&ask, "alice", &["reading"]).await;
    let tokens: Value = browser.exchange(&ask, &code).await.expect(200).json();
    assert_eq!(browser.exchange(&ask, &code).await.expect(400).error(), "invalid_grant");
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(browser.refresh(&ask, refresh).await.expect(400).error(), "invalid_grant");
    assert!(families::list_by_user(app.live.store(), &alice()).await.unwrap().is_empty());
    assert!(app.trail().contains("a code was shown again"));
    // A third time changes nothing, so it cannot be used to keep the deployment busy.
    let revision = app.live.current().store_revision;
    browser.exchange(&ask, &code).await.expect(400);
    assert_eq!(app.live.store().confirm().await.unwrap(), revision);
}

#[tokio::test]
async fn of_two_exchanges_at_once_at_most_one_succeeds_and_nothing_survives_both() {
    let app = App::start().await;
    let mut browser = app.browser();
    let ask = Ask::pinned();
    let code = browser.code(&ask, "alice", &["reading"]).await;
    let (mut one, mut two) = (app.browser(), app.browser());
    let (one, two) = tokio::join!(one.exchange(&ask, &code), two.exchange(&ask, &code));
    let good: Vec<_> = [one, two].into_iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(good.len(), 1);
    let refresh = good[0].json()["refresh_token"].as_str().unwrap().to_owned();
    browser.refresh(&ask, &refresh).await.expect(400);
}

#[tokio::test]
async fn a_code_is_good_for_a_minute() {
    let app = App::start().await;
    let mut browser = app.browser();
    let code = browser.code(&Ask::pinned(), "alice", &[]).await;
    app.clock.advance(59_999);
    browser.exchange(&Ask::pinned(), &code).await.expect(200);
    let code = browser.code(&Ask::pinned(), "alice", &[]).await;
    app.clock.advance(60_000);
    assert_eq!(browser.exchange(&Ask::pinned(), &code).await.expect(400).error(), "invalid_grant");
}

#[tokio::test]
async fn a_revocation_or_block_reaches_a_code_under_way() {
    for scope in ["user local:alice", "client pinned", "endpoint default", "deployment "] {
        let app = App::start().await;
        let mut browser = app.browser();
        let code = browser.code(&Ask::pinned(), "alice", &["reading"]).await;
        let (kind, id) = scope.split_once(' ').unwrap();
        app.revoke(Scope::parse(kind, id).unwrap()).await;
        assert_eq!(browser.exchange(&Ask::pinned(), &code).await.expect(400).error(), "invalid_grant", "{scope}");
    }
    let app = App::start().await;
    let mut browser = app.browser();
    let code = browser.code(&Ask::pinned(), "alice", &["reading"]).await;
    let mut tx = app.live.store().begin().await.unwrap();
    accounts::disable(&mut tx, &alice().subject, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(browser.exchange(&Ask::pinned(), &code).await.expect(400).error(), "invalid_grant");
}

#[tokio::test]
async fn a_confidential_client_shows_its_secret() {
    let app = App::start().await;
    let mut browser = app.browser();
    let ask = Ask::conf();
    for secret in [None, Some("wrong"), Some("")] {
        let code = browser.code(&ask.with(&[("prompt", "consent")]), "alice", &["reading"]).await;
        let reply = browser.exchange(&Ask { secret, ..ask }, &code).await.expect(401);
        assert_eq!(reply.error(), "invalid_client");
        assert_eq!(reply.header("www-authenticate"), "Basic realm=\"ambit\"");
        // Who could not be identified spends nothing.
        browser.exchange(&ask, &code).await.expect(200);
    }
    let code = browser.code(&ask.with(&[("prompt", "consent")]), "alice", &["reading"]).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", ask.redirect),
        ("client_id", "conf"),
        ("client_secret", super::CONF_SECRET),
    ];
    browser.post("/as/default/token", &form).await.expect(200);
}
