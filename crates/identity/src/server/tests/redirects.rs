//! Authorization requests that want the answer somewhere else, or are not whole. Until client and redirect stand, nothing
//! is sent anywhere.

use super::{App, browser::Ask};

#[tokio::test]
async fn nothing_is_sent_to_an_address_that_was_not_registered() {
    let app = App::start().await;
    let mut browser = app.browser();
    browser.log_in("alice").await;
    for redirect in [
        "https://evil.example/cb",
        "https://conf.example/cb/",
        "https://conf.example/cb?x=1",
        "https://conf.example:444/cb",
        "https://conf.example/cb#f",
        "https://conf.example@evil.example/cb",
        "https://conf.example.evil.example/cb",
        "http://conf.example/cb",
        "http://127.0.0.1:3456/cb",
        "javascript:alert(1)",
        "//conf.example/cb",
        "",
    ] {
        let ask = Ask::conf();
        let reply = browser.get(&ask.with(&[("redirect_uri", redirect)]).url()).await.expect(400);
        assert!(reply.headers.get("location").is_none(), "{redirect}");
        assert!(!reply.body.contains("href=\"http"), "{redirect}");
    }
    for redirect in ["http://127.0.0.1:80@evil.example/cb", "http://localhost:3456/cb", "http://127.0.0.1:3456/cb/x"] {
        browser.get(&Ask::pinned().with(&[("redirect_uri", redirect)]).url()).await.expect(400);
    }
}

#[tokio::test]
async fn an_unknown_or_repeated_client_is_answered_here() {
    let app = App::start().await;
    let mut browser = app.browser();
    for client in ["nobody", "dyn_nobody", "", "https://127.0.0.1/client.json", "https://client.example"] {
        let reply = browser.get(&Ask::conf().with(&[("client_id", client)]).url()).await.expect(400);
        assert!(reply.headers.get("location").is_none(), "{client}");
    }
    let twice = format!("{}&client_id=other", Ask::conf().url());
    browser.get(&twice).await.expect(400);
    let twice = format!("{}&redirect_uri=https%3A%2F%2Fevil.example", Ask::conf().url());
    browser.get(&twice).await.expect(400);
}

#[tokio::test]
async fn every_other_fault_goes_back_to_the_client_with_state_and_issuer() {
    let app = App::start().await;
    let mut browser = app.browser();
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "", "invalid_request"),
        ("response_mode", "fragment", "invalid_request"),
        ("request", "eyJ", "request_not_supported"),
        ("request_uri", "https://c.example/r", "request_uri_not_supported"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("resource", "https://gw.example/mcp/other", "invalid_target"),
        ("resource", "https://gw.example", "invalid_target"),
        ("resource", "not a url", "invalid_target"),
        ("scope", "a\"b", "invalid_scope"),
        ("prompt", "none login", "invalid_request"),
        ("prompt", "none", "login_required"),
        ("max_age", "soon", "invalid_request"),
    ] {
        let reply = browser.get(&Ask::conf().with(&[(name, value)]).url()).await;
        assert!(reply.location().starts_with("https://conf.example/cb?"), "{name}={value}: {reply:?}");
        assert_eq!(reply.query("error").as_deref(), Some(error), "{name}={value}");
        assert_eq!(reply.query("state").as_deref(), Some("st&te"));
        assert_eq!(reply.query("iss").as_deref(), Some("https://gw.example/as/default"));
        assert!(reply.query("code").is_none());
    }
    let long = "x".repeat(5000);
    let reply = browser.get(&Ask::conf().with(&[("state", &long)]).url()).await;
    assert_eq!((reply.query("error").as_deref(), reply.query("state")), (Some("invalid_request"), None));
    let twice = format!("{}&state=other", Ask::conf().url());
    assert_eq!(browser.get(&twice).await.query("state"), None);
}

#[tokio::test]
async fn an_absent_or_slashed_resource_is_this_one() {
    let app = App::start().await;
    let mut browser = app.browser();
    for resource in ["", "https://gw.example/mcp/", "HTTPS://GW.EXAMPLE/mcp"] {
        let reply = browser.get(&Ask::conf().with(&[("resource", resource)]).url()).await;
        assert!(reply.location().starts_with("/login?request="), "{resource}: {reply:?}");
    }
    let both = format!("{}&resource=https%3A%2F%2Felsewhere.example", Ask::conf().url());
    assert_eq!(browser.get(&both).await.query("error").as_deref(), Some("invalid_target"));
}

#[tokio::test]
async fn one_source_cannot_fill_the_store_with_requests_that_wait() {
    let settings = crate::server::Settings { waiting_per_minute: 3.try_into().unwrap(), ..super::generous() };
    let app = App::with(super::world(), settings, super::nowhere()).await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(app.browser().get(&Ask::conf().url()).await.status.as_u16());
    }
    assert_eq!(statuses, [303, 303, 303, 503, 503]);
    let mut elsewhere = super::browser::Browser::new(app.router.clone(), [198, 51, 100, 1].into());
    elsewhere.get(&Ask::conf().url()).await.expect(303);
}

#[tokio::test]
async fn a_blocked_client_gets_no_page() {
    let app = App::start().await;
    app.block(ambit_model::revocation::Scope::parse("client", "conf").unwrap()).await;
    let mut browser = app.browser();
    let reply = browser.get(&Ask::conf().url()).await.expect(400);
    assert!(reply.body.contains("blocked") && reply.headers.get("location").is_none());
    browser.get(&Ask::pinned().url()).await.expect(303);
}
