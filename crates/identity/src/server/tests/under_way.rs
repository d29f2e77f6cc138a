//! What is under way when a revocation comes: it reaches refreshes, codes and consents that were asked for before it, also
//! where it was not heard of yet, and nothing that was asked for afterwards.

use std::{sync::Arc, time::Duration};

use ambit_model::revocation::Scope;
use ambit_store::families;
use serde_json::Value;

use super::{App, alice, browser::Ask, generous, nowhere, world};

const SCOPES: [&str; 4] = ["user local:alice", "client pinned", "endpoint default", "deployment "];

fn scope(text: &str) -> Scope {
    let (kind, id) = text.split_once(' ').unwrap();
    Scope::parse(kind, id).unwrap()
}

fn text<'a>(tokens: &'a Value, name: &str) -> &'a str {
    tokens[name].as_str().unwrap()
}

/// A refresh waits for its turn to write while the revocation is committed, and a second passes before it goes on.
#[tokio::test]
async fn a_refresh_under_way_does_not_outlive_a_revocation() {
    for name in SCOPES {
        let app = Arc::new(App::start().await);
        let tokens = app.browser().connect(&Ask::pinned(), "alice", &["reading"]).await;
        app.clock.advance(5_000);
        let mut turn = app.live.store().begin().await.unwrap();
        let refresh = {
            let (app, token) = (Arc::clone(&app), text(&tokens, "refresh_token").to_owned());
            tokio::spawn(async move { app.browser().refresh(&Ask::pinned(), &token).await })
        };
        tokio::time::sleep(Duration::from_millis(100)).await;
        let act = ambit_store::revocations::Act { by: "operator:test", reason: "test", at_ms: app.now() };
        ambit_store::revocations::revoke(&mut turn, &scope(name), app.now(), act).await.unwrap();
        app.clock.advance(1_500);
        turn.commit().await.unwrap();
        assert_eq!(refresh.await.unwrap().expect(400).error(), "invalid_grant", "{name}");
        assert!(families::list_by_user(app.live.store(), &alice()).await.unwrap().is_empty(), "{name}");
        app.live.refresh().await.unwrap();
        assert!(!app.lets_in(text(&tokens, "access_token")).await, "{name}");
    }
}

/// Two nodes, one of which has not heard of a revocation: it gives nothing for what came before, and refuses what it gave as
/// soon as it has heard.
#[tokio::test]
async fn a_node_that_has_not_heard_of_a_revocation_gives_nothing_that_outlives_it() {
    let store = ambit_store::testing::postgres().unwrap_or_else(|error| panic!("{error}"));
    let first = App::on(&store, tempfile::tempdir().unwrap(), world(), generous(), nowhere()).await;
    let second = first.beside(&store).await;
    let ask = Ask::pinned();
    for name in SCOPES {
        first.clock.advance(60_000);
        let mut browser = second.browser();
        let tokens = browser.connect(&ask, "alice", &["reading"]).await;
        let code = browser.code(&ask, "alice", &["reading"]).await;
        let page = browser.until_consent(&ask.url(), "alice").await;
        first.clock.advance(5_000);
        first.revoke(scope(name)).await;
        assert!(!first.lets_in(text(&tokens, "access_token")).await, "{name}");
        first.clock.advance(1_500);
        assert!(second.lets_in(text(&tokens, "access_token")).await, "{name}: it has not heard");
        let late = browser.answer(&page, "allow", &["reading"]).await.query("code").unwrap();
        for code in [&code, &late] {
            assert_eq!(browser.exchange(&ask, code).await.expect(400).error(), "invalid_grant", "{name}");
        }
        assert!(second.lets_in(text(&tokens, "access_token")).await, "{name}: still not");
        let refused = browser.refresh(&ask, text(&tokens, "refresh_token")).await.expect(400);
        assert_eq!(refused.error(), "invalid_grant", "{name}");
        second.live.refresh().await.unwrap();
        assert!(!second.lets_in(text(&tokens, "access_token")).await, "{name}");
    }
}

/// A page that waits for a yes is as old as the question, whoever else the answer passes.
#[tokio::test]
async fn a_consent_under_way_is_as_old_as_the_question() {
    for name in SCOPES {
        let app = App::start().await;
        let mut browser = app.browser();
        let page = browser.until_consent(&Ask::pinned().url(), "alice").await;
        app.clock.advance(5_000);
        app.revoke_unheard(scope(name)).await;
        app.clock.advance(1_500);
        let code = browser.answer(&page, "allow", &["reading"]).await.query("code").unwrap();
        app.live.refresh().await.unwrap();
        assert_eq!(browser.exchange(&Ask::pinned(), &code).await.expect(400).error(), "invalid_grant", "{name}");
        assert!(families::list_by_user(app.live.store(), &alice()).await.unwrap().is_empty(), "{name}");
    }
}

/// A question asked afterwards, of a login from before: the login is over with its person, not with a client.
#[tokio::test]
async fn a_login_from_before_is_no_way_round_the_end_of_logins() {
    for (name, status) in [(SCOPES[0], 400), (SCOPES[1], 200), (SCOPES[2], 200), (SCOPES[3], 400)] {
        let app = App::start().await;
        let mut browser = app.browser();
        browser.log_in("alice").await;
        app.clock.advance(5_000);
        app.revoke_unheard(scope(name)).await;
        app.clock.advance(1_500);
        let code = browser.code(&Ask::pinned(), "alice", &["reading"]).await;
        app.live.refresh().await.unwrap();
        let answer = browser.exchange(&Ask::pinned(), &code).await.expect(status);
        if status == 200 {
            assert!(app.lets_in(text(&answer.json(), "access_token")).await, "{name}");
        }
    }
}

/// Before and after are told apart within one second.
#[tokio::test]
async fn within_the_second_of_a_revocation_before_is_dead_and_after_counts() {
    for name in SCOPES {
        let app = App::start().await;
        let before = app.browser().connect(&Ask::pinned(), "alice", &["reading"]).await;
        app.clock.advance(10);
        app.revoke(scope(name)).await;
        app.clock.advance(10);
        assert!(!app.lets_in(text(&before, "access_token")).await, "{name}");
        let after = app.browser().connect(&Ask::pinned(), "alice", &["reading"]).await;
        assert!(app.lets_in(text(&after, "access_token")).await, "{name}");
        app.clock.advance(400_000);
        let next = app.browser().refresh(&Ask::pinned(), text(&after, "refresh_token")).await.expect(200).json();
        assert!(app.lets_in(text(&next, "access_token")).await, "{name}: refreshed");
        app.browser().refresh(&Ask::pinned(), text(&before, "refresh_token")).await.expect(400);
    }
}
