//! Refresh tokens: rotated once, forgiven for half a minute, fatal afterwards.

use std::sync::Arc;

use ambit_model::revocation::Scope;
use ambit_store::{accounts, families};

use super::{App, alice, browser::Ask, world};

async fn refreshed(app: &App, token: &str) -> super::browser::Reply {
    app.browser().refresh(&Ask::pinned(), token).await
}

async fn connected(app: &App) -> String {
    let tokens = app.browser().connect(&Ask::pinned(), "alice", &["reading"]).await;
    tokens["refresh_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_refresh_gives_the_next_token_and_the_same_scope() {
    let app = App::start().await;
    let mut token = connected(&app).await;
    for _ in 0..3 {
        app.clock.advance(600_000);
        let next = refreshed(&app, &token).await.expect(200).json();
        assert_eq!(next["scope"], "mcp toolset:reading");
        assert_ne!(next["refresh_token"], token);
        token = next["refresh_token"].as_str().unwrap().to_owned();
    }
}

#[tokio::test]
async fn a_lost_reply_is_forgiven_without_another_refresh_token() {
    let app = App::start().await;
    let first = connected(&app).await;
    let second = refreshed(&app, &first).await.expect(200).json();
    app.clock.advance(30_000);
    let again = refreshed(&app, &first).await.expect(200).json();
    assert!(again["access_token"].is_string() && again.get("refresh_token").is_none());
    refreshed(&app, second["refresh_token"].as_str().unwrap()).await.expect(200);
}

#[tokio::test]
async fn a_copy_shown_later_ends_the_family_and_its_access_tokens() {
    let app = App::start().await;
    let first = connected(&app).await;
    let second = refreshed(&app, &first).await.expect(200).json();
    app.clock.advance(30_001);
    assert_eq!(refreshed(&app, &first).await.expect(400).error(), "invalid_grant");
    let second = second["refresh_token"].as_str().unwrap();
    assert_eq!(refreshed(&app, second).await.expect(400).error(), "invalid_grant");
    let snapshot = app.live.current();
    let family = Scope::Family(family_of_trail(&app));
    assert!(snapshot.revocations.judge([&family], app.now()).is_some());
    assert!(families::list_by_user(app.live.store(), &alice()).await.unwrap().is_empty());
}

fn family_of_trail(app: &App) -> String {
    let trail = app.trail();
    trail.split("\"subject\":\"family ").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn of_many_at_once_one_rotates_and_the_others_are_forgiven() {
    let app = Arc::new(App::start().await);
    let token = connected(&app).await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (app, token) = (Arc::clone(&app), token.clone());
            tokio::spawn(async move { refreshed(&app, &token).await.expect(200).json() })
        })
        .collect();
    let mut rotated = 0;
    for task in tasks {
        rotated += usize::from(task.await.unwrap().get("refresh_token").is_some());
    }
    assert_eq!(rotated, 1);
}

#[tokio::test]
async fn a_refresh_token_is_good_for_its_client_and_issuer() {
    let app = App::start().await;
    let token = connected(&app).await;
    let mut browser = app.browser();
    for ask in [
        Ask { client: "https://client.example/c", ..Ask::pinned() },
        Ask { endpoint: "other", ..Ask::pinned() },
        Ask::conf(),
    ] {
        assert_eq!(browser.refresh(&ask, &token).await.expect(400).error(), "invalid_grant");
    }
    for wrong in ["", "ambit_rt_unknown"] {
        refreshed(&app, wrong).await.expect(400);
    }
    // None of that spent it.
    refreshed(&app, &token).await.expect(200);
}

#[tokio::test]
async fn a_scope_may_shrink_and_never_grow() {
    let app = App::start().await;
    let token = connected(&app).await;
    let mut browser = app.browser();
    let form = |scope| {
        [("grant_type", "refresh_token"), ("refresh_token", &*token), ("client_id", "pinned"), ("scope", scope)]
    };
    let reply = browser.post("/as/default/token", &form("mcp toolset:reading toolset:writing")).await.expect(400);
    assert_eq!(reply.error(), "invalid_scope");
    let reply = browser.post("/as/default/token", &form("mcp offline_access")).await.expect(200).json();
    assert_eq!(reply["scope"], "mcp");
    let next = refreshed(&app, reply["refresh_token"].as_str().unwrap()).await.expect(200).json();
    assert_eq!(next["scope"], "mcp toolset:reading");
}

#[tokio::test]
async fn a_grant_that_ended_is_not_in_the_next_token() {
    let mut world = world();
    world.grants[0].expires_at = crate::testing::T0 + 500_000;
    let app = App::with(world, super::generous(), super::nowhere()).await;
    let token = connected(&app).await;
    app.clock.advance(600_000);
    let next = refreshed(&app, &token).await.expect(200).json();
    assert_eq!(next["scope"], "mcp");
}

#[tokio::test]
async fn each_refresh_looks_at_account_blocks_and_age() {
    for scope in ["user local:alice", "client pinned", "endpoint default"] {
        let app = App::start().await;
        let token = connected(&app).await;
        let (kind, id) = scope.split_once(' ').unwrap();
        app.block(Scope::parse(kind, id).unwrap()).await;
        assert_eq!(refreshed(&app, &token).await.expect(400).error(), "invalid_grant", "{scope}");
    }
    let app = App::start().await;
    let token = connected(&app).await;
    let mut tx = app.live.store().begin().await.unwrap();
    accounts::disable(&mut tx, &alice().subject, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(refreshed(&app, &token).await.expect(400).error(), "invalid_grant");
    // What was refused once stays refused.
    let mut tx = app.live.store().begin().await.unwrap();
    accounts::enable(&mut tx, &alice().subject, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(refreshed(&app, &token).await.expect(400).error(), "invalid_grant");

    let app = App::start().await;
    let token = connected(&app).await;
    app.clock.advance(30 * 24 * 3_600_000);
    assert_eq!(refreshed(&app, &token).await.expect(400).error(), "invalid_grant");
}

#[tokio::test]
async fn after_ninety_days_the_person_logs_in_again() {
    let app = App::start().await;
    let mut token = connected(&app).await;
    for _ in 0..3 {
        app.clock.advance(29 * 24 * 3_600_000);
        let next = refreshed(&app, &token).await.expect(200).json();
        token = next["refresh_token"].as_str().unwrap().to_owned();
    }
    app.clock.advance(4 * 24 * 3_600_000);
    assert_eq!(refreshed(&app, &token).await.expect(400).error(), "invalid_grant");
}
