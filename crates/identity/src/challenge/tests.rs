use ambit_model::ids::IssuerName;

use super::*;
use crate::testing::{deployment, endpoint, issuer, toolsets};

fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap()
}

const OTHER: &str = r#"resource_metadata="https://gw.example/.well-known/oauth-protected-resource/mcp/other""#;

#[test]
fn a_401_says_where_to_begin() {
    let endpoint = endpoint("other", None);
    assert_eq!(text(&unauthorized(&endpoint, None)), format!(r#"Bearer scope="mcp", {OTHER}"#));
    assert_eq!(
        text(&unauthorized(&endpoint, Some(("invalid_token", "it is over")))),
        format!(r#"Bearer error="invalid_token", error_description="it is over", scope="mcp", {OTHER}"#)
    );
}

#[test]
fn a_403_names_every_scope_at_once() {
    let wanted = toolsets(&["read", "write"]);
    let value = insufficient_scope(&endpoint("other", None), &deployment(), &wanted, "more is needed");
    assert_eq!(
        text(&value),
        format!(
            r#"Bearer error="insufficient_scope", error_description="more is needed", scope="mcp toolset:read toolset:write", {OTHER}"#
        )
    );
}

#[test]
fn another_issuer_is_asked_in_its_own_words_or_not_at_all() {
    let mut deployment = deployment();
    let okta = issuer("okta", "https://okta.example");
    deployment.issuers.insert(okta.name.clone(), okta);
    let endpoint = endpoint("other", Some("okta"));
    assert_eq!(text(&unauthorized(&endpoint, None)), format!("Bearer {OTHER}"));
    let ask = |deployment: &Deployment, slugs: &[&str]| {
        let value = insufficient_scope(&endpoint, deployment, &toolsets(slugs), "x");
        text(&value).to_owned()
    };
    assert!(ask(&deployment, &["read", "write"]).contains(r#"scope="mux.read", "#));
    assert!(!ask(&deployment, &["write"]).contains("scope="));
    if let Some(issuer) = deployment.issuers.get_mut(&IssuerName::parse("okta").unwrap()) {
        issuer.scopes = IssuerScopes::None;
    }
    assert!(!ask(&deployment, &["read"]).contains(" scope="));
}

#[test]
fn no_text_breaks_out_of_its_quotes() {
    let value = unauthorized(&endpoint("other", None), Some(("x", "a\"b\\c\r\nd, e=\"f\u{e9}")));
    assert!(text(&value).contains(r#"error_description="a'b?c??d, e='f?", "#), "{value:?}");
}
