//! The own clients: seen, changed and ended by their person alone.

use std::sync::Arc;

use ambit_store::families;

use super::{
    App, alice,
    browser::{Ask, Browser, Reply},
};
use crate::{
    authenticate::{AuthFailure, Authenticator, Standing},
    jwks::Jwks,
    testing::bearer,
};

async fn change(browser: &mut Browser, page: &Reply, act: &str, toolsets: &[&str]) -> Reply {
    let csrf = page.field("csrf");
    let action = page.body.split("action=\"/clients/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let mut fields = vec![("csrf", csrf.as_str()), ("do", act)];
    fields.extend(toolsets.iter().map(|slug| ("toolset", *slug)));
    browser.post(&format!("/clients/{action}"), &fields).await
}

#[tokio::test]
async fn a_change_counts_from_the_next_refresh_on() {
    let app = App::start().await;
    let mut browser = app.browser();
    let tokens = browser.connect(&Ask::pinned(), "alice", &["reading"]).await;
    let page = browser.get("/clients").await.expect(200);
    for shown in ["Client pinned", "a program on your computer", "The default tools", "15 January 2027, 08:00 UTC"] {
        assert!(page.body.contains(shown), "`{shown}` is not in {}", page.body);
    }
    assert_eq!(page.body.matches(" checked").count(), 1);
    assert_eq!(change(&mut browser, &page, "save", &["writing", "invented"]).await.location(), "/clients");
    let next = browser.refresh(&Ask::pinned(), tokens["refresh_token"].as_str().unwrap()).await.expect(200).json();
    assert_eq!(next["scope"], "mcp toolset:writing");
    let trail = app.trail();
    assert!(trail.contains("\"act\":\"family.change\""));
    // The next consent starts from what was chosen here.
    let page = browser.until_consent(&Ask::pinned().url(), "alice").await;
    assert!(page.body.contains("value=\"writing\" checked") && !page.body.contains("value=\"reading\" checked"));
}

#[tokio::test]
async fn disconnecting_counts_from_the_next_request_on() {
    let app = App::start().await;
    let mut browser = app.browser();
    let tokens = browser.connect(&Ask::conf(), "alice", &["reading"]).await;
    let authenticator = Authenticator::new(Arc::clone(&app.signing), Arc::new(Jwks::new(super::nowhere())));
    let headers = bearer(tokens["access_token"].as_str().unwrap());
    let called = async || {
        let snapshot = app.live.current();
        let standing = Standing {
            revision: snapshot.revision,
            deployment: &snapshot.deployment,
            revocations: &snapshot.revocations,
            judge: &snapshot.judge,
        };
        let endpoint = &snapshot.deployment.endpoints[0];
        authenticator.authenticate(&headers, None, endpoint, standing, app.now()).await.map(drop)
    };
    called().await.unwrap();
    let page = browser.get("/clients").await.expect(200);
    assert_eq!(change(&mut browser, &page, "end", &[]).await.location(), "/clients");
    assert!(matches!(called().await, Err(AuthFailure::Dead(_))));
    let reply = browser.refresh(&Ask::conf(), tokens["refresh_token"].as_str().unwrap()).await.expect(400);
    assert_eq!(reply.error(), "invalid_grant");
    assert!(browser.get("/clients").await.expect(200).body.contains("No application is connected."));
    // The remembered yes is gone with it.
    browser.until_consent(&Ask::conf().url(), "alice").await;
}

#[tokio::test]
async fn nobody_sees_or_changes_what_is_anothers() {
    let app = App::start().await;
    let mut owner = app.browser();
    owner.connect(&Ask::pinned(), "alice", &["reading"]).await;
    let page = owner.get("/clients").await.expect(200);
    let family = families::list_by_user(app.live.store(), &alice()).await.unwrap().remove(0).id;
    let mut bob = app.browser();
    bob.log_in("bob").await;
    assert!(bob.get("/clients").await.expect(200).body.contains("No application is connected."));
    change(&mut bob, &page, "end", &[]).await.expect(403);
    // With a form of his own for a family that is not his.
    bob.connect(&Ask::pinned(), "bob", &["reading"]).await;
    let own = bob.get("/clients").await.expect(200);
    let csrf = own.field("csrf");
    bob.post(&format!("/clients/{family}"), &[("csrf", &csrf), ("do", "end")]).await.expect(403);
    assert_eq!(families::list_by_user(app.live.store(), &alice()).await.unwrap().len(), 1);
    assert_eq!(app.browser().get("/clients").await.location(), "/login");
    assert_eq!(app.browser().post(&format!("/clients/{family}"), &[("do", "end")]).await.location(), "/login");
    change(&mut owner, &page, "explode", &[]).await.expect(400);
}
