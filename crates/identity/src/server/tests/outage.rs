//! The store is gone: nothing is given, and everybody is told to come back.

use super::{App, browser::Ask};

#[tokio::test]
async fn without_a_store_everything_that_needs_one_is_503() {
    let app = App::start().await;
    let mut browser = app.browser();
    let login = browser.get("/login").await.expect(200);
    let page = browser.until_consent(&Ask::conf().url(), "alice").await;
    let mut anonymous = app.browser();
    app.live.store().close().await;
    let replies = [
        browser.get(&Ask::conf().url()).await,
        anonymous.get(&Ask::conf().url()).await,
        browser.answer(&page, "allow", &["reading"]).await,
        browser.get("/clients").await,
        browser.get("/logout").await,
        browser.get("/setup/x").await,
        browser.exchange(&Ask::pinned(), "x").await,
        browser.refresh(&Ask::pinned(), "x").await,
        browser.post("/as/default/revoke", &[("client_id", "pinned"), ("token", "x")]).await,
        browser.post_as("rs", "s3cret of rs", "/as/default/introspect", &[("token", "x")]).await,
        browser.post_json("/as/default/register", r#"{"redirect_uris":["https://a.example/cb"]}"#).await,
    ];
    for (number, reply) in replies.into_iter().enumerate() {
        assert_eq!(reply.status, 503, "{number}: {reply:?}");
        assert!(reply.header("retry-after").parse::<u64>().is_ok(), "{number}");
        assert!(!reply.body.contains("sqlite") && !reply.body.contains("pool"), "{number}");
    }
    let reply = anonymous.enter(&login, "alice", super::PASSWORD).await;
    assert!(reply.status == 503 || reply.status == 403, "{reply:?}");
    // What needs no store goes on.
    browser.get("/.well-known/oauth-authorization-server/as/default").await.expect(200);
    browser.get("/as/default/jwks").await.expect(200);
    browser.get("/as/style.css").await.expect(200);
}
