//! Operators and the tokens they mint: a token that tries things out never destroys, and no management is on the agent's path.

use std::os::unix::fs::PermissionsExt as _;

use ambit_testkit::app::{Caller, Era, Given, TestApp};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::world::{self, ambit};

async fn minted(app: &TestApp, args: &[&str]) -> Value {
    serde_json::from_str(&ambit(app, &[&["token", "--json"], args].concat()).await).unwrap()
}

fn caller(app: &TestApp, minted: &Value) -> Caller {
    Caller::new(app.web().clone(), format!("{}/mcp", app.url()), minted["access_token"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_operators_token_never_destroys_whatever_was_revealed() {
    let (app, api) = world::start().await;
    world::reveal(&app, "ambit-cli").await;
    let token = minted(&app, &["--user", "alice"]).await;
    assert!(token["expires_in"].as_i64().unwrap() <= 900);
    let mut operator = caller(&app, &token);
    operator.initialize().await.unwrap();
    for era in [Era::Modern, Era::Legacy] {
        assert_eq!(operator.list_in(era).await.unwrap(), ["create-thing", "get-thing", "list-things"]);
        let refused = operator.call_in(era, "delete-thing", json!({"id": "1"})).await.unwrap();
        assert_eq!(refused.json()["error"]["code"], -32602, "{}", refused.text());
    }
    let made = operator.call("create-thing", json!({"name": "a"})).await.unwrap();
    assert_eq!(made.json()["result"]["isError"], false);
    assert_eq!(api.seen(), [r#"POST /things {"name":"a"}"#]);
    let events = app.events().unwrap();
    let call = events.iter().find(|event| event["event"] == "intent").unwrap();
    assert_eq!(call["who"]["client"], "ambit-cli");
    assert!(call["who"]["actors"][0].as_str().unwrap().starts_with("operator:"), "{call}");
    let mint = events.iter().find(|event| event["act"] == "mint").unwrap();
    assert_eq!(mint["after"]["token"], call["who"]["token"], "the call names the token that was minted");
    assert!(!serde_json::to_string(&events).unwrap().contains(operator.token()));
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_token_is_minted_within_bounds_and_only_where_it_is_switched_on() {
    let (app, _api) = world::start().await;
    for args in [
        vec!["--user", "alice", "--for", "16m"],
        vec!["--user", "mallory"],
        vec!["--user", "alice", "--endpoint", "/mcp/none"],
        vec!["--user", "alice", "--toolset", "invented"],
        vec!["--user", "alice", "--agent", "invented"],
    ] {
        let (code, out, err) = app.ambit(&[&["token"], args.as_slice()].concat()).await;
        assert_ne!(code, 0, "{args:?}: {out}{err}");
        assert!(!out.contains("eyJ"), "{args:?}");
    }
    let narrow = caller(&app, &minted(&app, &["--user", "alice", "--toolset", "things-read"]).await);
    assert_eq!(narrow.list().await.unwrap(), ["create-thing", "get-thing", "list-things"]);
    assert_eq!(narrow.call("create-thing", json!({"name": "x"})).await.unwrap().status, 403);

    let api = world::Api::start().await;
    let text = world::config(api.address).replace("mint = true", "mint = false");
    let (off, _api) = (start_over(&text).await, api);
    let (code, out, err) = off.ambit(&["token", "--user", "alice"]).await;
    assert_eq!(code, 1, "{out}{err}");
    assert!(err.contains("`[operator]`"), "{err}");
    // What was minted elsewhere, or before it was switched off, counts no more either.
    assert_eq!(
        caller(&off, &json!({"access_token": narrow.token()})).call("list-things", json!({})).await.unwrap().status,
        401
    );
    off.stop().await.unwrap();
    app.stop().await.unwrap();
}

async fn start_over(text: &str) -> TestApp {
    let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("things.json"), world::DOCUMENT).unwrap();
    TestApp::with(text, Given { directory: Some(directory), ..Given::default() }).await.unwrap()
}

#[tokio::test]
async fn minting_switched_off_ends_what_was_minted() {
    let (app, api) = world::start().await;
    let operator = caller(&app, &minted(&app, &["--user", "alice"]).await);
    assert_eq!(operator.list().await.unwrap().len(), 3);
    app.write_config(&world::config(api.address).replace("mint = true", "mint = false")).unwrap();
    ambit(&app, &["tools", "accept", "things"]).await;
    assert_eq!(operator.request(Era::Modern, "tools/list", json!({})).await.unwrap().status, 401);
    assert_eq!(world::person(&app, "alice", "c").list().await.unwrap().len(), 3);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn there_is_no_management_on_the_agents_path() {
    let (app, _api) = world::start().await;
    let alice = world::person(&app, "alice", "c");
    for name in alice.list().await.unwrap() {
        assert!(!name.starts_with("ambit"), "{name}");
    }
    for path in [
        "/metrics",
        "/admin",
        "/api",
        "/api/v1/tools",
        "/debug/pprof",
        "/config",
        "/ambit.toml",
        "/.env",
        "/mcp/../admin",
        "/operator.sock",
        "/console",
        "/status",
        "/openapi.json",
    ] {
        for method in [Method::GET, Method::POST] {
            let request = Request::builder()
                .method(&method)
                .uri(format!("{}{path}", app.url()))
                .header("authorization", format!("Bearer {}", alice.token()))
                .body(Full::default())
                .unwrap();
            let answer = app.web().send(request).await.unwrap();
            assert!([401, 404, 405].contains(&answer.status.as_u16()), "{method} {path}: {}", answer.status);
        }
    }
    for method in ["admin/reload", "ambit/grant", "logging/setLevel", "tools/register", "roots/list"] {
        let answer = alice.request(Era::Modern, method, json!({})).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (404, &json!(-32601)), "{method}");
    }
    // The one way in for operators is a socket only the gateway's own user may open.
    let socket = std::fs::metadata(app.data_dir().join("operator.sock")).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    for entry in std::fs::read_dir(app.data_dir()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o077;
        assert_eq!(mode & 0o022, 0, "others may write `{}`", entry.path().display());
    }
    for entry in std::fs::read_dir(app.data_dir().join("keys")).unwrap() {
        let entry = entry.unwrap();
        if entry.metadata().unwrap().is_file() {
            assert_eq!(
                entry.metadata().unwrap().permissions().mode() & 0o077,
                0,
                "`{}` is no secret",
                entry.path().display()
            );
        }
    }
    app.stop().await.unwrap();
}
