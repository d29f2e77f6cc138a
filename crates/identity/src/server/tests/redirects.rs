//! Authorization requests that want the answer somewhere else, or are not whole. Until client and redirect stand, nothing
//! is sent anywhere; and what nobody vouches for gets no browser sent to it before a person agreed.

use serde_json::json;

use super::{
    App,
    browser::{Ask, Browser, Reply},
};

/// Registers a client at one redirect, as anybody can.
async fn register(browser: &mut Browser, redirect: &str) -> Reply {
    let metadata =
        json!({ "redirect_uris": [redirect], "token_endpoint_auth_method": "none", "client_name": "Call us" });
    browser.post_json("/as/default/register", metadata.to_string()).await
}

/// What makes a request fail, or end without a question.
const ENDS: [(&str, &str, &str); 4] = [
    ("response_type", "token", "unsupported_response_type"),
    ("code_challenge", "", "invalid_request"),
    ("resource", "https://gw.example", "invalid_target"),
    ("prompt", "none", "login_required"),
];

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
    let mut elsewhere = Browser::new(app.router.clone(), [198, 51, 100, 1].into());
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

#[tokio::test]
async fn nobody_is_led_away_by_a_client_that_nobody_checked() {
    let app = App::with(super::world(), super::generous(), super::nowhere()).await;
    let mut browser = app.browser();
    for (redirect, shown) in [
        ("https://evil.example/x?a=1", "evil.example"),
        ("com.evil.app:/x", "com.evil.app: (an app on this computer)"),
        ("cursor://evil/x", "cursor: (an app on this computer)"),
    ] {
        let id = register(&mut browser, redirect).await.expect(201).json()["client_id"].as_str().unwrap().to_owned();
        let ask = Ask { client: &id, redirect, secret: None, ..Ask::conf() };
        for (name, value, error) in ENDS {
            let page = browser.get(&ask.with(&[(name, value)]).url()).await.expect(400);
            assert!(
                page.headers.get("location").is_none() && page.headers.get("refresh").is_none(),
                "{redirect} {name}"
            );
            assert!(page.body.contains(shown) && page.body.contains(error), "{redirect} {name}: {}", page.body);
            assert!(!page.body.contains("Call us"), "a stranger writes no text on this page");
            let link = page.body.split("<a href=\"").nth(1).unwrap().split_once('"').unwrap();
            let target = url::Url::parse(&link.0.replace("&#38;", "&")).unwrap();
            assert!(target.as_str().starts_with(redirect), "{target}");
            assert_eq!(target.query_pairs().find(|(key, _)| key == "error").unwrap().1, error);
            assert!(link.1.starts_with(" rel=\"noreferrer\""), "{}", link.1);
        }
    }
}

#[tokio::test]
async fn once_a_person_agreed_the_client_is_answered_and_only_for_that_person() {
    let app = App::with(super::world(), super::generous(), super::nowhere()).await;
    let mut browser = app.browser();
    let redirect = "https://app.example/cb";
    let id = register(&mut browser, redirect).await.expect(201).json()["client_id"].as_str().unwrap().to_owned();
    let ask = Ask { client: &id, redirect, secret: None, ..Ask::conf() };
    let silent = ask.with(&[("prompt", "none")]).url();
    browser.log_in("alice").await;
    browser.get(&silent).await.expect(400);
    let page = browser.until_consent(&ask.url(), "alice").await;
    let said_no = browser.answer(&page, "deny", &[]).await;
    assert_eq!(said_no.query("error").as_deref(), Some("access_denied"), "a click answers whoever asked");
    browser.get(&silent).await.expect(400);
    browser.code(&ask, "alice", &["reading"]).await;
    assert_eq!(browser.get(&silent).await.query("error").as_deref(), Some("consent_required"));
    let mut other = app.browser();
    other.get(&silent).await.expect(400);
    other.log_in("bob").await;
    other.get(&silent).await.expect(400);
}

#[tokio::test]
async fn a_program_on_this_computer_and_a_client_of_configuration_are_answered_at_once() {
    let app = App::with(super::world(), super::generous(), super::nowhere()).await;
    let mut browser = app.browser();
    let redirect = "http://127.0.0.1:4000/cb";
    let id = register(&mut browser, redirect).await.expect(201).json()["client_id"].as_str().unwrap().to_owned();
    let local = Ask { client: &id, redirect, secret: None, ..Ask::conf() };
    let pinned = Ask { redirect: "https://pinned.example/cb", ..Ask::pinned() };
    for ask in [local, pinned, Ask::pinned(), Ask::conf()] {
        for (name, value, error) in ENDS {
            let reply = browser.get(&ask.with(&[(name, value)]).url()).await;
            assert!(reply.location().starts_with(ask.redirect), "{reply:?}");
            assert_eq!(reply.query("error").as_deref(), Some(error));
        }
    }
}

#[tokio::test]
async fn a_scheme_that_opens_something_else_than_a_client_is_not_registered() {
    let app = App::with(super::world(), super::generous(), super::nowhere()).await;
    let mut browser = app.browser();
    for scheme in
        ["ms-msdt", "search-ms", "ssh", "steam", "microsoft-edge", "x", "file", "data", "javascript", "intent", "tel"]
    {
        let refused = register(&mut browser, &format!("{scheme}:/x")).await.expect(400);
        assert_eq!(refused.error(), "invalid_redirect_uri", "{scheme}");
    }
    for redirect in ["com.example.app:/cb", "cursor://anysphere.cursor-retrieval/oauth/callback", "vscode://x/cb"] {
        register(&mut browser, redirect).await.expect(201);
    }
}
