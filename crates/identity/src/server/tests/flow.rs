//! The whole way: metadata, registration, login, consent, tokens, and a token that the resource server lets in.

use std::sync::Arc;

use serde_json::json;

use super::{App, alice, browser::Ask, generous, nowhere, slug, world};
use crate::{
    authenticate::{Authenticator, Standing},
    jwks::Jwks,
    testing::bearer,
};

#[tokio::test]
async fn a_client_registers_logs_in_and_calls() {
    let app = App::start().await;
    let mut browser = app.browser();
    let metadata = browser.get("/.well-known/oauth-authorization-server/as/default").await.expect(200).json();
    assert_eq!(metadata["issuer"], "https://gw.example/as/default");
    let registered = browser
        .post_json(
            "/as/default/register",
            json!({
                "client_name": "A client",
                "redirect_uris": ["http://localhost:8080/cb"],
                "token_endpoint_auth_method": "none",
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "application_type": "native",
            })
            .to_string(),
        )
        .await
        .expect(201)
        .json();
    let id = registered["client_id"].as_str().unwrap();
    let ask = Ask { client: id, redirect: "http://localhost:61000/cb", secret: None, ..Ask::conf() };

    let page = browser.until_consent(&ask.url(), "alice").await;
    for shown in ["A client", "localhost (a program on this computer)", "Nobody has checked", "Alice Example"] {
        assert!(page.body.contains(shown), "`{shown}` is not in {}", page.body);
    }
    assert!(page.body.contains("All reading") && page.body.contains("All writing"));
    let back = browser.answer(&page, "allow", &["reading"]).await;
    assert!(back.location().starts_with("http://localhost:61000/cb?"), "{}", back.location());
    assert_eq!(back.query("state").as_deref(), Some("st&te"));
    assert_eq!(back.query("iss").as_deref(), Some("https://gw.example/as/default"));

    let tokens = browser.exchange(&ask, &back.query("code").unwrap()).await.expect(200);
    assert_eq!(tokens.header("cache-control"), "no-store");
    let tokens = tokens.json();
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 600);
    assert_eq!(tokens["scope"], "mcp toolset:reading");
    assert!(tokens["refresh_token"].as_str().unwrap().starts_with("ambit_rt_"));

    let snapshot = app.live.current();
    let authenticator = Authenticator::new(Arc::clone(&app.signing), Arc::new(Jwks::new(nowhere())));
    let standing = Standing {
        revision: snapshot.revision,
        deployment: &snapshot.deployment,
        revocations: &snapshot.revocations,
        judge: &snapshot.judge,
    };
    let headers = bearer(tokens["access_token"].as_str().unwrap());
    let endpoint = &snapshot.deployment.endpoints[0];
    let caller = authenticator.authenticate(&headers, None, endpoint, standing, app.now()).await.unwrap();
    assert_eq!(caller.facts().user().unwrap().key, alice());
    assert_eq!(caller.facts().client.assurance.as_str(), "dynamic");
    assert_eq!(caller.facts().declined, [slug("writing")].into());
    let other = &snapshot.deployment.endpoints[1];
    assert!(authenticator.authenticate(&headers, None, other, standing, app.now()).await.is_err());
}

#[tokio::test]
async fn every_act_is_in_the_trail_and_no_secret_is() {
    let app = App::start().await;
    let mut browser = app.browser();
    let ask = Ask::conf();
    let code = browser.code(&ask, "alice", &["reading"]).await;
    let tokens = browser.exchange(&ask, &code).await.expect(200).json();
    let next = browser.refresh(&ask, tokens["refresh_token"].as_str().unwrap()).await.expect(200).json();
    let trail = app.trail();
    for act in ["login", "consent", "family.start", "family.refresh"] {
        assert!(trail.contains(&format!("\"act\":\"{act}\"")), "no `{act}` in the trail");
    }
    let session = browser.cookies["__Host-ambit-session"].clone();
    let secrets = [
        super::PASSWORD,
        super::CONF_SECRET,
        &code,
        &session,
        tokens["access_token"].as_str().unwrap(),
        tokens["refresh_token"].as_str().unwrap(),
        next["refresh_token"].as_str().unwrap(),
        super::browser::VERIFIER,
    ];
    let store: Vec<u8> = ["ambit.db", "ambit.db-wal"]
        .iter()
        .filter_map(|name| std::fs::read(app.dir.path().join(name)).ok())
        .flatten()
        .collect();
    let store = String::from_utf8_lossy(&store);
    assert!(store.contains("local:alice"));
    for secret in secrets {
        assert!(!trail.contains(secret), "a secret is in the trail");
        assert!(!store.contains(secret), "a secret is in the store");
    }
}

#[tokio::test]
async fn metadata_says_what_is_served_at_each_spelling() {
    let app = App::with(world(), generous(), nowhere()).await;
    let mut browser = app.browser();
    for path in [
        "/.well-known/oauth-authorization-server/as/other",
        "/.well-known/openid-configuration/as/other",
        "/as/other/.well-known/openid-configuration",
    ] {
        let reply = browser.get(path).await.expect(200);
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        let metadata = reply.json();
        assert_eq!(metadata["issuer"], "https://gw.example/as/other");
        assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(metadata["client_id_metadata_document_supported"], true);
        assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
        assert_eq!(metadata["scopes_supported"], json!(["mcp"]));
        for (member, end) in [
            ("authorization_endpoint", "authorize"),
            ("token_endpoint", "token"),
            ("registration_endpoint", "register"),
            ("revocation_endpoint", "revoke"),
            ("introspection_endpoint", "introspect"),
            ("jwks_uri", "jwks"),
        ] {
            assert_eq!(metadata[member], format!("https://gw.example/as/other/{end}"));
        }
    }
    let keys = browser.get("/as/other/jwks").await.expect(200).json();
    assert_eq!(keys["keys"][0]["alg"], "ES256");
    assert!(keys["keys"][0].get("d").is_none());
}

#[tokio::test]
async fn the_same_on_postgresql() {
    let store = ambit_store::testing::postgres().unwrap_or_else(|error| panic!("{error}"));
    let app = App::on(&store, tempfile::tempdir().unwrap(), world(), generous(), nowhere()).await;
    let app = Arc::new(app);
    let mut browser = app.browser();
    let tokens = browser.connect(&Ask::pinned(), "alice", &["reading"]).await;
    let refresh = tokens["refresh_token"].as_str().unwrap().to_owned();
    let at_once = (0..6).map(|_| {
        let (app, refresh) = (Arc::clone(&app), refresh.clone());
        tokio::spawn(async move { app.browser().refresh(&Ask::pinned(), &refresh).await.expect(200).json() })
    });
    let mut next = Vec::new();
    for task in at_once.collect::<Vec<_>>() {
        next.extend(task.await.unwrap().get("refresh_token").cloned());
    }
    assert_eq!(next.len(), 1, "one rotates");

    let code = browser.code(&Ask::pinned(), "alice", &["reading"]).await;
    let (mut one, mut two) = (app.browser(), app.browser());
    let ask = Ask::pinned();
    let (one, two) = tokio::join!(one.exchange(&ask, &code), two.exchange(&ask, &code));
    let good: Vec<_> = [one, two].into_iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(good.len(), 1);
    let replayed = good[0].json()["refresh_token"].as_str().unwrap().to_owned();
    browser.refresh(&ask, &replayed).await.expect(400);

    app.clock.advance(31_000);
    browser.refresh(&ask, &refresh).await.expect(400);
    browser.refresh(&ask, next[0].as_str().unwrap()).await.expect(400);
    assert!(browser.get("/clients").await.expect(200).body.contains("No application is connected."));
}
