//! Every route, without a token and with a wrong one: nothing is anonymous but what is listed here, and the list may only
//! shrink.

use std::collections::BTreeSet;

use ambit_testkit::app::Era;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;

use crate::world;

/// What answers 200 to a stranger who sends nothing, and why it may.
const PUBLIC: [(&str, &str); 12] = [
    // Where the decision point is: addresses made of the public URL, and nothing else.
    ("GET", "/.well-known/authzen-configuration"),
    ("GET", "/.well-known/oauth-protected-resource"),
    ("GET", "/.well-known/oauth-protected-resource/mcp"),
    ("GET", "/.well-known/ambit/checkpoint"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/.well-known/oauth-authorization-server/as/default"),
    ("GET", "/.well-known/openid-configuration/as/default"),
    ("GET", "/as/default/.well-known/openid-configuration"),
    ("GET", "/as/default/jwks"),
    ("GET", "/as/style.css"),
    ("GET", "/login"),
];

#[tokio::test]
async fn no_route_is_anonymous_but_the_listed_ones() {
    let (app, api) = world::start().await;
    let fill = |path: &str| path.replace("{slug}", "default").replace("{link}", "none").replace("{family}", "none");
    let corridor =
        ambit_gateway::ROUTES.iter().flat_map(|route| route.methods.iter().map(|method| (*method, route.path)));
    let pages = ambit_identity::server::ROUTES.iter().map(|route| (route.method, route.path));
    let all: BTreeSet<(&str, String)> = corridor.chain(pages).map(|(method, path)| (method, fill(path))).collect();
    assert!(all.len() > 25);
    let mut open = BTreeSet::new();
    for (method, path) in &all {
        for authorization in [None, Some("Bearer invented"), Some("Basic YTpi")] {
            let mut request = Request::builder().method(*method).uri(format!("{}{path}", app.url()));
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            let answer = app.web().send(request.body(Full::default()).unwrap()).await.unwrap();
            assert!(!answer.status.is_server_error(), "{method} {path}: {}", answer.status);
            if answer.status.is_success() {
                open.insert((*method, path.clone()));
            }
        }
    }
    let listed: BTreeSet<(&str, String)> = PUBLIC.iter().map(|(method, path)| (*method, (*path).to_owned())).collect();
    let unlisted: Vec<_> = open.difference(&listed).collect();
    assert!(unlisted.is_empty(), "open to strangers: {unlisted:?}");
    // What the list has too much: it may only shrink.
    let closed: Vec<_> = listed.difference(&open).collect();
    assert!(closed.is_empty(), "listed and closed: {closed:?}");
    assert!(api.seen().is_empty());
    app.stop().await.unwrap();
}

#[tokio::test]
async fn every_page_says_how_it_may_be_used() {
    let (app, _api) = world::start().await;
    for path in ["/login", "/setup/none", "/as/default/authorize", "/as/default/consent"] {
        let page = app.web().get(&format!("{}{path}", app.url())).await.unwrap();
        let policy = page.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy:?}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert!(page.header("cache-control").contains("no-store"), "{path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert!(!page.headers.contains_key("access-control-allow-origin"), "{path}");
        for cookie in page.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite="), "{path}: {cookie}");
        }
    }
    app.stop().await.unwrap();
}

/// Which revisions are spoken, and how another is refused.
#[tokio::test]
async fn each_era_is_told_from_the_other() {
    let (app, api) = world::start().await;
    let mut alice = world::person(&app, "alice", "c");
    let unsupported = {
        let mut request = alice.build(Era::Modern, "tools/list", json!({})).unwrap();
        request.headers_mut().insert("mcp-protocol-version", "2027-01-01".parse().unwrap());
        let body = http_body_util::BodyExt::collect(request.body().clone()).await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap().replace("2026-07-28", "2027-01-01");
        *request.body_mut() = Full::from(body);
        alice.send(request).await.unwrap()
    };
    assert_eq!((unsupported.status.as_u16(), &unsupported.json()["error"]["code"]), (400, &json!(-32022)));
    assert_eq!(unsupported.json()["error"]["data"]["supported"], json!(["2026-07-28", "2025-11-25", "2025-06-18"]));
    assert_eq!(unsupported.json()["error"]["data"]["requested"], "2027-01-01");
    for gone in ["initialize", "ping", "notifications/initialized", "logging/setLevel", "resources/subscribe"] {
        let answer = alice.request(Era::Modern, gone, json!({})).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (404, &json!(-32601)), "{gone}");
        assert!(!answer.headers.contains_key("mcp-session-id"));
    }
    let without = alice.request(Era::Legacy, "tools/list", json!({})).await.unwrap();
    assert_eq!(without.status, 400, "no session, no service: {}", without.text());
    alice.initialize().await.unwrap();
    let ping = alice.request(Era::Legacy, "ping", json!({})).await.unwrap();
    assert_eq!(ping.json()["result"], json!({}));
    for member in ["ttlMs", "cacheScope", "resultType"] {
        let listed = alice.request(Era::Legacy, "tools/list", json!({})).await.unwrap();
        assert!(listed.json()["result"].get(member).is_none(), "{member}");
        let listed = alice.request(Era::Modern, "tools/list", json!({})).await.unwrap();
        assert!(listed.json()["result"].get(member).is_some(), "{member}");
    }
    for version in ["1999-01-01", "2024-11-05", "2025-03-26", "", "latest"] {
        let params =
            json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let mut request = alice.build(Era::Legacy, "initialize", params).unwrap();
        request.headers_mut().remove("mcp-protocol-version");
        request.headers_mut().remove("mcp-session-id");
        let answer = alice.send(request).await.unwrap();
        let spoken = answer.json()["result"]["protocolVersion"].clone();
        assert!(
            spoken == "2025-06-18" || spoken == "2025-11-25" || answer.status == 400,
            "{version}: {}",
            answer.text()
        );
    }
    for method in [Method::GET, Method::PUT, Method::HEAD] {
        let request = Request::builder()
            .method(&method)
            .uri(alice.url())
            .header("authorization", format!("Bearer {}", alice.token()))
            .header("accept", "text/event-stream")
            .body(Full::default())
            .unwrap();
        assert_eq!(alice.send(request).await.unwrap().status, 405, "{method}");
    }
    assert!(api.seen().is_empty());
    app.stop().await.unwrap();
}
