//! Every route of the table is served, refuses what it should, and knows no issuer that is not ours.

use axum::body::Body;
use http::{Method, Request};

use super::App;
use crate::server::ROUTES;

/// How a route refuses a stranger who sends nothing: its status, or 200 for what everybody may read.
fn refusal(method: &str, path: &str) -> u16 {
    match (method, path) {
        ("GET", "/as/style.css" | "/login") => 200,
        ("GET", path) if path.contains(".well-known") || path.ends_with("/jwks") => 200,
        ("GET", "/as/{slug}/authorize") => 400,
        ("GET", "/as/{slug}/consent") => 404,
        ("GET", "/logout" | "/clients" | "/approvals" | "/approvals/{id}" | "/break-glass") => 303,
        ("GET", "/access" | "/access/{id}") => 303,
        ("GET", "/setup/{link}") => 410,
        ("POST", "/as/{slug}/register" | "/as/{slug}/token" | "/as/{slug}/revoke" | "/as/{slug}/introspect") => 400,
        (
            "POST",
            "/as/{slug}/consent" | "/login" | "/logout" | "/setup/{link}" | "/clients/{family}" | "/approvals/{id}"
            | "/break-glass" | "/access/{id}",
        ) => 400,
        (method, path) => panic!("no refusal is known of {method} {path}: add one"),
    }
}

#[tokio::test]
async fn every_route_refuses_a_stranger_who_sends_nothing() {
    let app = App::start().await;
    for route in ROUTES {
        let path = route
            .path
            .replace("{slug}", "default")
            .replace("{link}", "x")
            .replace("{family}", "x")
            .replace("{id}", "x");
        let request = Request::builder().method(route.method).uri(&path).body(Body::empty()).unwrap();
        let reply = app.browser().send(request).await;
        assert_eq!(reply.status.as_u16(), refusal(route.method, route.path), "{} {path}: {reply:?}", route.method);
    }
}

#[tokio::test]
async fn an_issuer_that_is_not_ours_is_not_served() {
    let app = App::start().await;
    for route in ROUTES.iter().filter(|route| route.path.contains("{slug}")) {
        for slug in ["unknown", "foreign", "Default", "%2e%2e", "a%2fb"] {
            let path = route.path.replace("{slug}", slug);
            let request = Request::builder().method(route.method).uri(&path);
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            let reply = app.browser().send(request.body(Body::from("request=x")).unwrap()).await;
            assert_eq!(reply.status.as_u16(), 404, "{} {path}: {reply:?}", route.method);
        }
    }
}

#[tokio::test]
async fn other_methods_are_not_served() {
    let app = App::start().await;
    for route in ROUTES {
        let path = route
            .path
            .replace("{slug}", "default")
            .replace("{link}", "x")
            .replace("{family}", "x")
            .replace("{id}", "x");
        for method in [Method::PUT, Method::DELETE, Method::PATCH] {
            let request = Request::builder().method(method).uri(&path).body(Body::empty()).unwrap();
            assert_eq!(app.browser().send(request).await.status, 405, "{path}");
        }
    }
}

#[tokio::test]
async fn a_browser_may_ask_before_it_sends() {
    let app = App::start().await;
    for path in ["/as/default/token", "/as/default/register", "/as/default/revoke", "/as/default/jwks"] {
        let request = Request::builder().method(Method::OPTIONS).uri(path).body(Body::empty()).unwrap();
        let reply = app.browser().send(request).await.expect(204);
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert!(reply.headers.get("access-control-allow-credentials").is_none());
    }
    // Pages and decisions are for this origin alone.
    for path in ["/login", "/clients", "/as/default/authorize", "/as/default/introspect"] {
        let reply = app.browser().get(path).await;
        assert!(reply.headers.get("access-control-allow-origin").is_none(), "{path}");
    }
}
