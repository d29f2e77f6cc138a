//! Introspection: for resource servers that configuration names, and nobody else.

use ambit_model::revocation::Scope;
use serde_json::json;

use super::{
    App, alice,
    browser::{Ask, Browser},
};

async fn ask(browser: &mut Browser, endpoint: &str, token: &str) -> serde_json::Value {
    let path = format!("/as/{endpoint}/introspect");
    browser.post_as("rs", "s3cret of rs", &path, &[("token", token)]).await.expect(200).json()
}

#[tokio::test]
async fn a_resource_server_learns_what_a_token_is_worth_now() {
    let app = App::start().await;
    let mut browser = app.browser();
    let tokens = browser.connect(&Ask::pinned(), "alice", &["reading"]).await;
    let access = tokens["access_token"].as_str().unwrap();
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let answer = ask(&mut browser, "default", access).await;
    assert_eq!(answer["active"], true);
    assert_eq!(answer["scope"], "mcp toolset:reading");
    assert_eq!(answer["sub"], "local:alice");
    assert_eq!(answer["client_id"], "pinned");
    assert_eq!(answer["aud"], "https://gw.example/mcp");
    assert_eq!(ask(&mut browser, "default", refresh).await["token_type"], "refresh_token");
    // Another issuer did not make it.
    assert_eq!(ask(&mut browser, "other", access).await, json!({ "active": false }));
    assert_eq!(ask(&mut browser, "other", refresh).await, json!({ "active": false }));
    for wrong in ["unknown", "a.b.c", &format!("{access}x")] {
        assert_eq!(ask(&mut browser, "default", wrong).await, json!({ "active": false }));
    }
    app.block(Scope::User(alice())).await;
    assert_eq!(ask(&mut browser, "default", access).await, json!({ "active": false }));
    assert_eq!(ask(&mut browser, "default", refresh).await, json!({ "active": false }));
}

#[tokio::test]
async fn an_expired_or_rotated_token_is_worth_nothing() {
    let app = App::start().await;
    let mut browser = app.browser();
    let tokens = browser.connect(&Ask::pinned(), "alice", &["reading"]).await;
    let (access, refresh) = (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    browser.refresh(&Ask::pinned(), refresh).await.expect(200);
    assert_eq!(ask(&mut browser, "default", refresh).await["active"], false);
    app.clock.advance(599_000);
    assert_eq!(ask(&mut browser, "default", access).await["active"], true);
    app.clock.advance(1_000);
    assert_eq!(ask(&mut browser, "default", access).await["active"], false);
}

#[tokio::test]
async fn nobody_else_learns_anything() {
    let app = App::start().await;
    let mut browser = app.browser();
    let tokens = browser.connect(&Ask::pinned(), "alice", &["reading"]).await;
    let token = tokens["access_token"].as_str().unwrap();
    let path = "/as/default/introspect";
    for form in [
        vec![("token", token)],
        vec![("token", token), ("client_id", "rs")],
        vec![("token", token), ("client_id", "rs"), ("client_secret", "wrong")],
    ] {
        assert_eq!(browser.post(path, &form).await.expect(401).error(), "invalid_client");
    }
    let public = browser.post(path, &[("token", token), ("client_id", "pinned")]).await.expect(403);
    assert_eq!(public.error(), "access_denied");
    let conf = browser.post_as("conf", super::CONF_SECRET, path, &[("token", token)]).await.expect(403);
    assert!(!conf.body.contains("active"));
}
