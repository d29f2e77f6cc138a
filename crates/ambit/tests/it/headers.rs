//! What stands in headers: it agrees with the body or the request is refused, it says for which host and from which page a
//! request is, and it widens nothing.

use ambit_testkit::app::{Caller, Era, Reply};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, Request};
use http_body_util::Full;
use serde_json::json;

use crate::{raw, world};

fn base64(text: &str) -> String {
    format!("=?base64?{}?=", STANDARD.encode(text))
}

async fn spoiled(caller: &Caller, spoil: impl FnOnce(&mut HeaderMap)) -> Reply {
    let mut request =
        caller.build(Era::Modern, "tools/call", json!({"name": "get-thing", "arguments": {"id": "1"}})).unwrap();
    spoil(request.headers_mut());
    caller.send(request).await.unwrap()
}

#[tokio::test]
async fn mirrored_headers_agree_with_the_body_or_the_request_is_refused() {
    let (app, api) = world::start().await;
    world::reveal(&app, "c").await;
    let alice = world::person(&app, "alice", "c");
    for (name, value) in [
        ("mcp-name", "delete-thing"),
        ("mcp-name", "Get-Thing"),
        ("mcp-name", "get-thing,delete-thing"),
        ("mcp-name", ""),
        ("mcp-name", &base64("delete-thing")),
        ("mcp-name", "=?base64?!!!?="),
        ("mcp-name", "=?base64?Z2V0LXRoaW5n"),
        // The markers are case-sensitive, so this is a name of its own.
        ("mcp-name", &base64("get-thing").replace("base64", "BASE64")),
        ("mcp-name", &base64("\u{0}get-thing")),
        ("mcp-method", "tools/list"),
        ("mcp-method", "Tools/Call"),
        ("mcp-method", "initialize"),
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-protocol-version", "2026-07-28 2025-11-25"),
    ] {
        let answer = spoiled(&alice, |headers| drop(headers.insert(name, value.parse().unwrap()))).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]["code"]),
            (400, &json!(-32020)),
            "{name}: {value} {}",
            answer.text()
        );
    }
    for name in ["mcp-name", "mcp-method", "mcp-protocol-version"] {
        let missing = spoiled(&alice, |headers| drop(headers.remove(name))).await;
        assert_eq!((missing.status.as_u16(), &missing.json()["error"]["code"]), (400, &json!(-32020)), "{name}");
        // Twice is a difference waiting to happen, even if both say the same.
        let doubled = spoiled(&alice, |headers| {
            let same = headers[name].clone();
            headers.append(name, same);
        })
        .await;
        assert_eq!((doubled.status.as_u16(), &doubled.json()["error"]["code"]), (400, &json!(-32020)), "{name}");
    }
    assert!(api.seen().is_empty(), "{:?}", api.seen());
    // The sentinel says the same as the plain name.
    let encoded =
        spoiled(&alice, |headers| drop(headers.insert("mcp-name", base64("get-thing").parse().unwrap()))).await;
    assert_eq!(encoded.json()["result"]["isError"], false, "{}", encoded.text());
    assert_eq!(api.seen(), ["GET /things/1"]);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_request_for_another_host_or_from_another_page_stays_outside() {
    let (app, api) = world::start().await;
    let alice = world::person(&app, "alice", "c");
    let own = app.address().to_string();
    for host in [
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:1",
        &format!("evil.example:{}", app.address().port()),
        &format!("{own}.evil.example"),
    ] {
        let answer = spoiled(&alice, |headers| drop(headers.insert("host", host.parse().unwrap()))).await;
        assert_eq!(answer.status, 403, "{host}");
        let metadata =
            Request::get(format!("{}/.well-known/oauth-protected-resource/mcp", app.url())).header("host", host);
        let metadata = app.web().send(metadata.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(metadata.status, 403, "{host}");
        assert!(!metadata.text().contains("evil"), "{}", metadata.text());
    }
    for origin in [
        "https://evil.example",
        "null",
        "http://127.0.0.1",
        &format!("https://{own}"),
        &format!("http://{own}.evil.example"),
        "chrome-extension://abc",
    ] {
        let answer = spoiled(&alice, |headers| drop(headers.insert("origin", origin.parse().unwrap()))).await;
        assert_eq!(answer.status, 403, "{origin}");
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{origin}");
    }
    assert!(api.seen().is_empty());
    let own_page =
        spoiled(&alice, |headers| drop(headers.insert("origin", format!("http://{own}").parse().unwrap()))).await;
    assert_eq!(own_page.status, 200);
    // What proxies say of host and scheme is not asked: the address is the configured one.
    for (name, value) in [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "host=evil.example;proto=https"),
    ] {
        let request =
            Request::get(format!("{}/.well-known/oauth-protected-resource/mcp", app.url())).header(name, value);
        let metadata = app.web().send(request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(metadata.json()["resource"], format!("{}/mcp", app.url()), "{name}");
    }
    app.stop().await.unwrap();
}

#[tokio::test]
async fn browsers_get_what_is_public_and_no_door_to_an_endpoint() {
    let (app, _api) = world::start().await;
    let preflight = |path: &str| {
        Request::options(format!("{}{path}", app.url()))
            .header("origin", "https://inspector.example")
            .header("access-control-request-method", "GET")
            .body(Full::default())
            .unwrap()
    };
    for path in [
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server/as/default",
        "/as/default/jwks",
    ] {
        let allowed = app.web().send(preflight(path)).await.unwrap();
        assert!(allowed.status.is_success(), "{path}");
        assert_eq!(allowed.header("access-control-allow-origin"), "*", "{path}");
        assert!(!allowed.headers.contains_key("access-control-allow-credentials"), "{path}");
        let page = Request::get(format!("{}{path}", app.url())).header("origin", "https://inspector.example");
        let page = app.web().send(page.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!((page.status.as_u16(), page.header("access-control-allow-origin")), (200, "*"), "{path}");
    }
    for path in ["/mcp", "/login", "/clients", "/as/default/consent"] {
        let closed = app.web().send(preflight(path)).await.unwrap();
        assert!(closed.status.is_client_error(), "{path} {}", closed.status);
        assert!(!closed.headers.contains_key("access-control-allow-origin"), "{path}");
    }
    app.stop().await.unwrap();
}

/// No header makes anybody somebody else, and none opens anything.
#[tokio::test]
async fn no_header_widens_what_a_caller_may_do() {
    let (app, api) = world::start().await;
    let bob = world::person(&app, "bob", "c");
    let plain = bob.call("create-thing", json!({"name": "x"})).await.unwrap();
    assert_eq!(plain.json()["error"]["code"], -32602);
    for (name, value) in [
        ("x-ambit-user", "alice"),
        ("x-forwarded-user", "alice"),
        ("x-remote-user", "alice"),
        ("remote-user", "alice"),
        ("x-mcp-permissions", "*"),
        ("x-ambit-toolsets", "things-edit"),
        ("x-original-url", "/admin"),
        ("x-http-method-override", "DELETE"),
        ("x-forwarded-for", "127.0.0.1"),
        ("cookie", "ambit-session=alice; __Host-ambit-session=alice"),
        ("mcp-session-id", "alice"),
    ] {
        let mut request =
            bob.build(Era::Modern, "tools/call", json!({"name": "create-thing", "arguments": {"name": "x"}})).unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        let answer = bob.send(request).await.unwrap();
        assert_eq!((answer.status, &answer.body), (plain.status, &plain.body), "{name}");
    }
    assert!(api.seen().is_empty());
    app.stop().await.unwrap();
}

/// One connection, two readings of where a request ends: the second request is never there.
#[tokio::test]
async fn a_request_is_not_smuggled_behind_another() {
    let (app, api) = world::start().await;
    let alice = world::person(&app, "alice", "c");
    let hidden = format!(
        "POST /mcp HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        app.address(),
        alice.token()
    );
    let head = format!("POST /mcp HTTP/1.1\r\nhost: {}\r\n", app.address());
    for framing in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "content-length: 0\r\ncontent-length: 5\r\n\r\n",
        "content-length: +0\r\n\r\n",
        "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n0x0\r\n\r\n",
    ] {
        let answers = raw::exchange(app.address(), format!("{head}{framing}{hidden}").as_bytes()).await;
        let statuses = raw::statuses(&answers);
        assert!(statuses.len() <= 1, "{framing:?}: {answers}");
        assert!(statuses.iter().all(|status| (400..500).contains(status)), "{framing:?}: {answers}");
    }
    for (line, host) in [
        ("POST http://evil.example/mcp HTTP/1.1", app.address().to_string()),
        ("POST /mcp HTTP/1.1", format!("evil.example\r\nhost: {}", app.address())),
        ("POST /mcp HTTP/1.1", format!("{}\r\nhost: {}", app.address(), app.address())),
        ("POST /mcp HTTP/1.0", "evil.example".to_owned()),
    ] {
        let request = format!(
            "{line}\r\nhost: {host}\r\nauthorization: Bearer {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            alice.token()
        );
        let answers = raw::exchange(app.address(), request.as_bytes()).await;
        assert!(raw::statuses(&answers).iter().all(|status| [400, 403].contains(status)), "{line} {host}: {answers}");
    }
    let without_host = format!(
        "POST /mcp HTTP/1.1\r\nauthorization: Bearer {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        alice.token()
    );
    let answers = raw::exchange(app.address(), without_host.as_bytes()).await;
    assert!(raw::statuses(&answers).iter().all(|status| [400, 403].contains(status)), "{answers}");
    assert!(api.seen().is_empty());
    assert_eq!(alice.list().await.unwrap().len(), 3);
    app.stop().await.unwrap();
}
