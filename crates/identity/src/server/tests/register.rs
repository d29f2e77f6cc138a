//! Dynamic registration: bounded, anonymous, forgotten unless used.

use ambit_model::ids::ClientId;
use ambit_store::clients;
use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use super::{App, browser::Ask, generous, nowhere, world};
use crate::server::{Settings, sweep};

const REDIRECT: &str = "https://app.example/cb";

fn good() -> Value {
    json!({ "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none", "client_name": "App" })
}

async fn register(app: &App, metadata: &Value) -> super::browser::Reply {
    app.browser().post_json("/as/default/register", metadata.to_string()).await
}

#[tokio::test]
async fn a_registration_says_what_was_kept() {
    let app = App::start().await;
    let mut metadata = good();
    metadata["logo_uri"] = "https://app.example/logo.png".into();
    metadata["grant_types"] = json!(["authorization_code", "refresh_token", "implicit"]);
    let answer = register(&app, &metadata).await.expect(201);
    assert_eq!(answer.header("cache-control"), "no-store");
    let answer = answer.json();
    assert!(answer["client_id"].as_str().unwrap().starts_with("dyn_"));
    assert_eq!(answer["grant_types"], json!(["authorization_code", "refresh_token"]));
    assert!(answer.get("client_secret").is_none() && answer.get("logo_uri").is_none());
    let with_secret = register(&app, &json!({ "redirect_uris": [REDIRECT] })).await.expect(201).json();
    assert_eq!(with_secret["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(with_secret["client_secret_expires_at"], 0);
    let secret = with_secret["client_secret"].as_str().unwrap();
    assert!(secret.starts_with("ambit_cs_") && !app.trail().contains(secret));
}

#[tokio::test]
async fn a_secret_that_was_given_has_to_be_shown() {
    let app = App::start().await;
    let answer = register(&app, &json!({ "redirect_uris": [REDIRECT] })).await.expect(201).json();
    let (id, secret) = (answer["client_id"].as_str().unwrap(), answer["client_secret"].as_str().unwrap());
    let mut browser = app.browser();
    let ask = Ask { client: id, redirect: REDIRECT, secret: None, ..Ask::conf() };
    let code = browser.code(&ask, "alice", &["reading"]).await;
    for wrong in [None, Some("ambit_cs_wrong")] {
        assert_eq!(browser.exchange(&Ask { secret: wrong, ..ask }, &code).await.expect(401).error(), "invalid_client");
    }
    browser.exchange(&Ask { secret: Some(secret), ..ask }, &code).await.expect(200);
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let app = App::with(world(), generous(), nowhere()).await;
    for (member, value, error) in [
        ("redirect_uris", json!([]), "invalid_redirect_uri"),
        ("redirect_uris", Value::Null, "invalid_redirect_uri"),
        ("redirect_uris", json!(["http://app.example/cb"]), "invalid_redirect_uri"),
        ("redirect_uris", json!(["javascript:alert(1)"]), "invalid_redirect_uri"),
        ("redirect_uris", json!([REDIRECT, "https://app.example/#f"]), "invalid_redirect_uri"),
        ("redirect_uris", json!(vec![REDIRECT; 11]), "invalid_redirect_uri"),
        ("redirect_uris", json!("x"), "invalid_client_metadata"),
        ("client_name", json!(["x"]), "invalid_client_metadata"),
        ("token_endpoint_auth_method", json!("private_key_jwt"), "invalid_client_metadata"),
        ("grant_types", json!(["client_credentials"]), "invalid_client_metadata"),
        ("response_types", json!(["token"]), "invalid_client_metadata"),
        ("application_type", json!("robot"), "invalid_client_metadata"),
        ("client_uri", json!("x".repeat(17_000)), "invalid_client_metadata"),
    ] {
        let mut metadata = good();
        metadata[member] = value;
        assert_eq!(register(&app, &metadata).await.expect(400).error(), error, "{member}");
    }
    let mut browser = app.browser();
    for body in ["", "[]", "{", r#"{"redirect_uris":[],"redirect_uris":["https://app.example/cb"]}"#] {
        let reply = browser.post_json("/as/default/register", body.to_owned()).await.expect(400);
        assert_eq!(reply.error(), "invalid_client_metadata", "{body}");
    }
    let not_json = Request::post("/as/default/register").body(Body::from(good().to_string())).unwrap();
    assert_eq!(browser.send(not_json).await.expect(400).error(), "invalid_client_metadata");
    let mut flood = browser.post_json("/as/default/register", "x".repeat(100_000)).await;
    flood.body.truncate(100);
    assert_eq!(flood.status, 413, "{flood:?}");
}

#[tokio::test]
async fn one_source_registers_so_often_and_all_together_so_often() {
    let settings = Settings {
        registrations_per_hour: 3.try_into().unwrap(),
        all_registrations_per_hour: 5.try_into().unwrap(),
        ..generous()
    };
    let app = App::with(world(), settings, nowhere()).await;
    for _ in 0..3 {
        register(&app, &good()).await.expect(201);
    }
    let refused = register(&app, &good()).await.expect(429);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    let mut elsewhere = 0;
    for n in 2..10 {
        let mut browser = super::browser::Browser::new(app.router.clone(), [192, 0, 2, n].into());
        let reply = browser.post_json("/as/default/register", good().to_string()).await;
        elsewhere += usize::from(reply.status == 201);
    }
    assert_eq!(elsewhere, 2);
    app.clock.advance(3_600_000);
    register(&app, &good()).await.expect(201);
}

#[tokio::test]
async fn an_unused_registration_is_forgotten_after_a_day_and_a_used_one_stays() {
    let app = App::start().await;
    let mut browser = app.browser();
    let ids: Vec<String> = {
        let mut ids = Vec::new();
        for _ in 0..2 {
            ids.push(register(&app, &good()).await.expect(201).json()["client_id"].as_str().unwrap().to_owned());
        }
        ids
    };
    let ask = |id| Ask { client: id, redirect: REDIRECT, secret: None, ..Ask::conf() };
    browser.connect(&ask(&ids[0]), "alice", &["reading"]).await;
    app.clock.advance(24 * 3_600_000);
    // Before any sweep, too.
    browser.get(&ask(&ids[1]).url()).await.expect(400);
    sweep(app.live.store(), app.now()).await.unwrap();
    app.clock.advance(1);
    sweep(app.live.store(), app.now()).await.unwrap();
    let known = |id: &str| ClientId::parse(id).unwrap();
    assert!(clients::find(app.live.store(), &known(&ids[1])).await.unwrap().is_none());
    assert!(clients::find(app.live.store(), &known(&ids[0])).await.unwrap().is_some());
    browser.get(&ask(&ids[0]).url()).await.expect(303);
}

#[tokio::test]
async fn a_registration_is_no_client_of_another_issuer() {
    let app = App::start().await;
    let id = register(&app, &good()).await.expect(201).json()["client_id"].as_str().unwrap().to_owned();
    let mut browser = app.browser();
    let ask = Ask { endpoint: "other", client: &id, redirect: REDIRECT, secret: None, ..Ask::conf() };
    browser.get(&ask.url()).await.expect(400);
    assert_eq!(browser.exchange(&ask, "x").await.expect(401).error(), "invalid_client");
}
