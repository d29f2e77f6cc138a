//! Tokens given back.

use ambit_model::revocation::Scope;
use ambit_store::families;

use super::{
    App, alice,
    browser::{Ask, Browser, Reply},
};

async fn give_back(browser: &mut Browser, client: &str, token: &str) -> Reply {
    browser.post("/as/default/revoke", &[("client_id", client), ("token", token)]).await
}

#[tokio::test]
async fn a_refresh_token_given_back_ends_its_family_at_once() {
    let app = App::start().await;
    let mut browser = app.browser();
    let tokens = browser.connect(&Ask::pinned(), "alice", &["reading"]).await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let family = families::list_by_user(app.live.store(), &alice()).await.unwrap().remove(0).id;
    give_back(&mut browser, "pinned", refresh).await.expect(200);
    browser.refresh(&Ask::pinned(), refresh).await.expect(400);
    let marks = &app.live.current().revocations;
    assert!(marks.judge([&Scope::Family(family)], app.now()).is_some());
    assert!(app.trail().contains("the client gave the token back"));
}

#[tokio::test]
async fn an_access_token_given_back_ends_alone() {
    let app = App::start().await;
    let mut browser = app.browser();
    let tokens = browser.connect(&Ask::pinned(), "alice", &["reading"]).await;
    let access = tokens["access_token"].as_str().unwrap();
    let introspect = async |browser: &mut Browser| {
        let form = [("token", access)];
        browser.post_as("rs", "s3cret of rs", "/as/default/introspect", &form).await.expect(200).json()["active"]
            .clone()
    };
    assert_eq!(introspect(&mut browser).await, true);
    give_back(&mut browser, "pinned", access).await.expect(200);
    assert_eq!(introspect(&mut browser).await, false);
    let revision = app.live.current().store_revision;
    give_back(&mut browser, "pinned", access).await.expect(200);
    assert_eq!(app.live.store().confirm().await.unwrap(), revision, "the second time changes nothing");
    browser.refresh(&Ask::pinned(), tokens["refresh_token"].as_str().unwrap()).await.expect(200);
}

#[tokio::test]
async fn others_cannot_give_it_back_and_learn_nothing() {
    let app = App::start().await;
    let mut browser = app.browser();
    let tokens = browser.connect(&Ask::pinned(), "alice", &["reading"]).await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    for token in [refresh, tokens["access_token"].as_str().unwrap(), "unknown", "a.b.c"] {
        let reply = give_back(&mut browser, "https://client.example/c", token).await.expect(200);
        assert_eq!(reply.body, "{}");
    }
    assert_eq!(give_back(&mut browser, "conf", refresh).await.expect(401).error(), "invalid_client");
    assert_eq!(give_back(&mut browser, "nobody", refresh).await.expect(401).error(), "invalid_client");
    assert_eq!(
        browser.post("/as/default/revoke", &[("client_id", "pinned")]).await.expect(400).error(),
        "invalid_request"
    );
    browser.refresh(&Ask::pinned(), refresh).await.expect(200);
}
