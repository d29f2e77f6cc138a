use serde_json::Value;

use super::*;
use crate::testing::{Foreign, deployment, endpoint};

fn json_of(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap()
}

#[test]
fn every_endpoint_has_metadata_of_its_own_and_the_root_is_the_defaults() {
    let deployment = deployment();
    for (path, resource, issuer) in [
        (WELL_KNOWN.to_owned(), "https://gw.example/mcp", "https://gw.example/as/default"),
        (format!("{WELL_KNOWN}/"), "https://gw.example/mcp", "https://gw.example/as/default"),
        (format!("{WELL_KNOWN}/mcp"), "https://gw.example/mcp", "https://gw.example/as/default"),
        (format!("{WELL_KNOWN}/mcp/other"), "https://gw.example/mcp/other", "https://gw.example/as/other"),
    ] {
        let answer = metadata(&path, &deployment);
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers["cache-control"], "public, max-age=300");
        let body = json_of(&answer);
        assert_eq!(body["resource"], resource, "{path}");
        assert_eq!(body["authorization_servers"], json!([issuer]));
        assert_eq!(body["bearer_methods_supported"], json!(["header"]));
        assert_eq!(body["scopes_supported"], json!(["mcp"]), "the least a client asks for");
    }
}

#[test]
fn nothing_but_an_endpoint_has_metadata() {
    let mut deployment = deployment();
    for path in [
        "/mcp",
        "/.well-known/oauth-protected-resource/mcp/",
        "/.well-known/oauth-protected-resource/mcp/ghost",
        "/.well-known/oauth-protected-resource//mcp",
        "/.well-known/oauth-protected-resourcemcp",
        "/.well-known/oauth-authorization-server/mcp",
    ] {
        let answer = metadata(path, &deployment);
        assert_eq!(
            (answer.status, &answer.headers["cache-control"]),
            (StatusCode::NOT_FOUND, &"no-store".parse().unwrap()),
            "{path}"
        );
    }
    deployment.endpoints.remove(0);
    assert_eq!(
        metadata(WELL_KNOWN, &deployment).status,
        StatusCode::NOT_FOUND,
        "no other endpoint stands in at the root"
    );
}

#[test]
fn a_url_is_the_well_known_path_between_origin_and_path() {
    let mut endpoint = endpoint("other", None);
    for (resource, url) in [
        ("https://gw.example/mcp/other", "https://gw.example/.well-known/oauth-protected-resource/mcp/other"),
        ("http://[::1]:8080/mcp", "http://[::1]:8080/.well-known/oauth-protected-resource/mcp"),
        ("https://gw.example", "https://gw.example/.well-known/oauth-protected-resource"),
    ] {
        resource.clone_into(&mut endpoint.resource);
        assert_eq!(metadata_url(&endpoint), url);
    }
}

#[tokio::test]
async fn an_endpoint_of_another_issuer_names_it_and_no_scope_of_ours() {
    let foreign = Foreign::start().await;
    let body = json_of(&metadata(&format!("{WELL_KNOWN}/mcp/foreign"), &foreign.room.deployment));
    assert_eq!(body["authorization_servers"], json!([foreign.script.origin]));
    assert_eq!(body.get("scopes_supported"), None);
}

#[test]
fn any_origin_may_read_and_ask_before_it_does() {
    for path in [WELL_KNOWN, "/.well-known/oauth-protected-resource/ghost"] {
        assert_eq!(metadata(path, &deployment()).headers["access-control-allow-origin"], "*");
    }
    let answer = preflight();
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    assert_eq!(answer.headers["access-control-allow-methods"], "GET, HEAD, OPTIONS");
    let allowed = answer.headers["access-control-allow-headers"].to_str().unwrap().to_ascii_lowercase();
    assert!(allowed.contains("mcp-protocol-version"));
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
}
