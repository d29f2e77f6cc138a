//! What is made up: it costs nobody's turn to write, is refused so many times a minute, and finds no secret.

use std::time::Duration;

use super::{
    App, CONF_SECRET,
    browser::{Ask, Browser, VERIFIER},
};

const TOKEN: &str = "/as/default/token";

async fn made_up_code(browser: &mut Browser) -> u16 {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", "made-up"),
        ("code_verifier", VERIFIER),
        ("redirect_uri", "http://127.0.0.1:3456/cb"),
        ("client_id", "https://client.example/c"),
    ];
    browser.post(TOKEN, &form).await.status.as_u16()
}

#[tokio::test]
async fn what_is_made_up_does_not_wait_for_the_turn_to_write() {
    let app = App::start().await;
    let mut browser = app.browser();
    let tokens = browser.connect(&Ask::pinned(), "alice", &["reading"]).await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    // Whoever holds this holds every other writer back.
    let held = app.live.store().begin().await.unwrap();
    let made_up = async {
        assert_eq!(made_up_code(&mut browser).await, 400);
        assert_eq!(browser.refresh(&Ask::pinned(), "ambit_rt_made-up").await.expect(400).error(), "invalid_grant");
        // A real token of another client's is no better.
        let stolen = Ask { client: "https://client.example/c", ..Ask::pinned() };
        assert_eq!(browser.refresh(&stolen, refresh).await.expect(400).error(), "invalid_grant");
        browser.post("/as/default/revoke", &[("client_id", "pinned"), ("token", "made-up")]).await.expect(200);
    };
    tokio::time::timeout(Duration::from_secs(2), made_up).await.unwrap();
    drop(held);
    browser.refresh(&Ask::pinned(), refresh).await.expect(200);
}

#[tokio::test]
async fn one_source_is_refused_so_often_and_served_whenever_it_is_right() {
    let settings = crate::server::Settings { refusals_per_minute: 5.try_into().unwrap(), ..super::generous() };
    let app = App::with(super::world(), settings, super::nowhere()).await;
    let mut browser = app.browser();
    let mut refresh = browser.connect(&Ask::pinned(), "alice", &["reading"]).await["refresh_token"].clone();
    let paths = [TOKEN, "/as/default/revoke", "/as/default/introspect"];
    for path in [paths, paths].concat().into_iter().take(5) {
        assert_eq!(browser.post(path, &[("client_id", "nobody")]).await.expect(401).error(), "invalid_client");
    }
    for path in paths {
        let reply = browser.post(path, &[("client_id", "nobody")]).await.expect(429);
        assert_eq!(reply.error(), "too_many_requests");
        assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1);
        // In the middle of it, from the same address.
        let next = browser.refresh(&Ask::pinned(), refresh.as_str().unwrap()).await.expect(200).json();
        refresh = next["refresh_token"].clone();
    }
    assert_eq!(made_up_code(&mut browser).await, 429);
    let mut elsewhere = Browser::new(app.router.clone(), [198, 51, 100, 1].into());
    assert_eq!(made_up_code(&mut elsewhere).await, 400);
    app.clock.advance(60_000);
    assert_eq!(made_up_code(&mut browser).await, 400);
    app.live.recorder().flush_refusals(true).await.unwrap();
    let trail = app.trail();
    assert!(trail.contains("\"reason\":\"invalid_client\",\"count\":8"), "{trail}");
    assert!(!trail.contains("made-up"));
}

#[tokio::test]
async fn a_secret_is_not_found_by_trying() {
    let app = App::with(super::world(), super::generous(), super::nowhere()).await;
    let mut browser = app.browser();
    let form = [("token", "made-up")];
    for (n, path) in [TOKEN, "/as/default/revoke", "/as/default/introspect", TOKEN].into_iter().enumerate() {
        let guess = format!("guess {n}");
        assert_eq!(browser.post_as("conf", &guess, path, &form).await.expect(401).error(), "invalid_client");
    }
    let revoke = "/as/default/revoke";
    let reply = browser.post_as("conf", CONF_SECRET, revoke, &form).await.expect(429);
    assert_eq!(reply.header("retry-after"), "1");
    // Neither another client there nor the same one elsewhere waits.
    browser.post_as("rs", "s3cret of rs", revoke, &form).await.expect(200);
    browser.post(revoke, &[("client_id", "pinned"), ("token", "made-up")]).await.expect(200);
    let mut elsewhere = Browser::new(app.router.clone(), [198, 51, 100, 1].into());
    for _ in 0..20 {
        elsewhere.post_as("conf", CONF_SECRET, revoke, &form).await.expect(200);
    }
    app.clock.advance(1_000);
    browser.post_as("conf", CONF_SECRET, revoke, &form).await.expect(200);
    for _ in 0..3 {
        browser.post_as("conf", "wrong", revoke, &form).await.expect(401);
    }
    browser.post_as("conf", CONF_SECRET, revoke, &form).await.expect(200);
}
