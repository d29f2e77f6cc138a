//! What every page has, and what no form does without.

use super::{App, browser::Ask, generous, nowhere, world};

#[tokio::test]
async fn every_page_is_framed_cached_and_scripted_by_nobody() {
    let app = App::start().await;
    let mut browser = app.browser();
    let consent = browser.until_consent(&Ask::pinned().url(), "alice").await;
    let mut pages = vec![consent, app.browser().get("/login").await];
    for path in ["/clients", "/logout", "/setup/unknown", "/as/default/authorize", "/as/nothing/authorize"] {
        pages.push(browser.get(path).await);
    }
    for page in pages {
        let policy = page.header("content-security-policy");
        for rule in ["default-src 'none'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"));
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("x-frame-options"), "DENY");
        assert_eq!(page.header("referrer-policy"), "same-origin");
        for active in ["<script", "style=\"", "javascript:", "onclick=", "onload=", "onsubmit="] {
            assert!(!page.body.contains(active), "`{active}` in {}", page.body);
        }
    }
    let style = browser.get("/as/style.css").await.expect(200);
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
}

#[tokio::test]
async fn a_consent_form_may_lead_to_its_client_and_nowhere_else() {
    let app = App::start().await;
    let mut browser = app.browser();
    let page = browser.until_consent(&Ask::pinned().url(), "alice").await;
    assert!(page.header("content-security-policy").contains("form-action 'self' http://127.0.0.1:3456;"));
    assert!(browser.get("/clients").await.header("content-security-policy").contains("form-action 'self' ;"));
}

#[tokio::test]
async fn what_strangers_wrote_is_shown_as_text() {
    let app = App::start().await;
    let mut browser = app.browser();
    let name = "<img src=x onerror=alert(1)>\"'";
    let metadata = serde_json::json!({ "redirect_uris": ["https://app.example/cb"], "client_name": name, "token_endpoint_auth_method": "none" });
    let id =
        browser.post_json("/as/default/register", metadata.to_string()).await.expect(201).json()["client_id"].clone();
    let ask = Ask { client: id.as_str().unwrap(), redirect: "https://app.example/cb", secret: None, ..Ask::conf() };
    let login = browser.get(&ask.url()).await;
    let to = login.location().to_owned();
    assert!(!browser.get(&to).await.expect(200).body.contains("<img"));
    let page = browser.until_consent(&ask.url(), "alice").await;
    assert!(!page.body.contains("<img") && page.body.contains("&#60;img"), "{}", page.body);
    let mut other = app.browser();
    let form = other.get("/login").await;
    assert!(!other.enter(&form, "\"><script>", "x").await.body.contains("<script>"));
}

#[tokio::test]
async fn a_form_without_a_good_token_changes_nothing() {
    let app = App::with(world(), generous(), nowhere()).await;
    let mut browser = app.browser();
    let form = browser.get("/login").await;
    let good = form.field("csrf");
    let fields = |csrf| [("csrf", csrf), ("name", "alice"), ("password", super::PASSWORD)];
    for csrf in ["", "x", &good[1..]] {
        browser.post("/login", &fields(csrf)).await.expect(403);
    }
    // A token of another browser, or without the cookie it belongs to.
    let mut other = app.browser();
    other.get("/login").await;
    other.post("/login", &fields(&good)).await.expect(403);
    app.browser().post("/login", &fields(&good)).await.expect(403);
    app.clock.advance(3_600_000);
    browser.post("/login", &fields(&good)).await.expect(403);
    assert!(!browser.cookies.contains_key("__Host-ambit-session"));

    browser.log_in("alice").await;
    browser.post("/logout", &[]).await.expect(403);
    browser.get("/clients").await.expect(200);
    let page = browser.until_consent(&Ask::pinned().url(), "alice").await;
    let request = page.field("request");
    let logout = browser.get("/logout").await.field("csrf");
    for csrf in ["", &logout] {
        let fields = [("csrf", csrf), ("request", &*request), ("decision", "allow")];
        browser.post("/as/default/consent", &fields).await.expect(403);
    }
    // It is still there to be answered properly.
    browser.answer(&page, "allow", &[]).await.query("code").unwrap();
}

#[tokio::test]
async fn a_body_of_another_kind_is_no_form() {
    let app = App::start().await;
    let mut browser = app.browser();
    browser.log_in("alice").await;
    for path in ["/login", "/logout", "/as/default/consent", "/clients/x", "/setup/x"] {
        browser.post_json(path, "{\"decision\":\"allow\"}").await.expect(400);
    }
}

#[tokio::test]
async fn without_tls_on_loopback_cookies_do_without_the_prefix() {
    let mut world = world();
    world.public_url = "http://127.0.0.1:8080".into();
    let app = App::with(world, generous(), nowhere()).await;
    let mut browser = app.browser();
    browser.log_in("alice").await;
    assert!(browser.cookies.contains_key("ambit-session"));
}
