//! The counters on a listener of their own: off unless said, one question answered, clients kept away.

use http::{Method, Request, header::HOST};
use http_body_util::Full;
use serde_json::json;

use ambit_testkit::app::{Given, TestApp};

use crate::world;

async fn ask(app: &TestApp, method: Method, path: &str, host: Option<&str>) -> (u16, String) {
    let at = app.metrics_address().unwrap();
    let mut request = Request::builder().method(method).uri(format!("http://{at}{path}"));
    if let Some(host) = host {
        request = request.header(HOST, host);
    }
    let answer = app.web().send(request.body(Full::default()).unwrap()).await.unwrap();
    (answer.status.as_u16(), answer.text())
}

#[tokio::test]
async fn counters_are_read_on_a_listener_of_their_own() {
    let (app, _api) = world::with(Given::default(), "[metrics]\nlisten = \"127.0.0.1:0\"\n").await;
    let alice = world::person(&app, "alice", "c");
    assert!(world::is_fine(&alice.call("list-things", json!({})).await.unwrap()));
    alice.call("no-such-thing", json!({})).await.unwrap();
    app.web().get(&format!("{}/mcp", app.url())).await.unwrap();
    let (status, text) = ask(&app, Method::GET, "/metrics", None).await;
    assert_eq!(status, 200, "{text}");
    for line in [
        "ambit_requests_total{method=\"tools/call\",end=\"ok\"} 1",
        "ambit_requests_total{method=\"tools/call\",end=\"refused\"} 1",
        "ambit_refused_total{reason=\"token_absent\"} 1",
        "ambit_trail_writable 1",
        "ambit_store_reachable 1",
        "ambit_mode{mode=\"normal\"} 1",
    ] {
        assert!(text.lines().any(|written| written == line), "{line}\n{text}");
    }
    assert!(text.contains(&format!("ambit_snapshot_revision {}\n", app.live().current().revision)), "{text}");
    assert!(!text.contains("no-such-thing") && !text.contains("alice"));
    // Where counters are, nothing else is; and where clients are, no counters.
    for (method, path, refused) in
        [(Method::POST, "/metrics", 405), (Method::GET, "/mcp", 404), (Method::GET, "/healthz", 404)]
    {
        assert_eq!(ask(&app, method, path, None).await.0, refused, "{path}");
    }
    assert_eq!(ask(&app, Method::GET, "/metrics", Some("gateway.example")).await.0, 421);
    assert_eq!(app.web().get(&format!("{}/metrics", app.url())).await.unwrap().status, 404);
    let at = app.metrics_address().unwrap();
    app.stop().await.unwrap();
    assert!(tokio::net::TcpListener::bind(at).await.is_ok(), "it is closed with the rest");
}

#[tokio::test]
async fn nothing_is_counted_in_public_unless_it_is_said() {
    let (app, _api) = world::start().await;
    assert_eq!(app.metrics_address(), None);
    assert_eq!(app.web().get(&format!("{}/metrics", app.url())).await.unwrap().status, 404);
    app.stop().await.unwrap();
}
