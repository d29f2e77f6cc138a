//! The rules of single values, by the `format` their schema names. Every rule answers with a sentence that says what to
//! write; only [`check`] decides whether the rejected value may be shown.

use ambit_egress::Network;
use ambit_model::{
    approval::Approver,
    budget::Rate,
    constraints::ToolPattern,
    ids::{ClientId, InvalidId, ServerSlug, Subject, ToolName, UserKey},
    secret::SecretRef,
    shown::is_a_line,
    toolset::Selector,
};
use ambit_openapi::BaseUrl;
use ambit_policy::Policies;
use ambit_store::StoreUrl;
use url::{Host, Url};

use super::{problem::shown, quantity, resolve::budgets};

/// Checks a text against a format.
///
/// # Errors
/// The message, with the value in backticks unless it may be a secret.
pub fn check(format: &str, text: &str) -> Result<(), String> {
    let with_value = |rule: String| format!("is {}: {rule}", shown(text));
    match format {
        // Whoever wrote a literal may have pasted the secret: these never show the value.
        "ambit-secret" => secret(text),
        "ambit-store" => store(text),
        "ambit-slug" => ServerSlug::parse(text).map(drop).map_err(|error| with_value(error.rule.to_owned())),
        "ambit-account" => account(text).map_err(with_value),
        "ambit-tool-name" => ToolName::parse(text).map(drop).map_err(|error| with_value(rule(&error))),
        "ambit-client-id" => ClientId::parse(text).map(drop).map_err(|error| with_value(rule(&error))),
        "ambit-user" => UserKey::parse(text).map(drop).map_err(|error| {
            with_value(format!("write a local account, or `issuer:subject`; for the {}, {}", error.what, error.rule))
        }),
        "ambit-selector" => Selector::try_from(text.to_owned())
            .map(drop)
            .map_err(|_| with_value("write `server/tool`, `server/prefix*` or `server/*`".to_owned())),
        "ambit-approver" => Approver::parse(text)
            .map(drop)
            .map_err(|_| with_value("write `user NAME` of a local account, or `group NAME`".to_owned())),
        // Behind any server: which one is said elsewhere.
        "ambit-name-pattern" => Selector::try_from(format!("x/{text}"))
            .map(drop)
            .map_err(|_| with_value("write the name of a tool, `prefix*` or `*`".to_owned())),
        "ambit-budget-holder" => budgets::check_holder(text).map_err(with_value),
        "ambit-rate" => Rate::parse(text, None)
            .map(drop)
            .ok_or_else(|| with_value("write a whole number and a time, such as `20/s`, `600/m`, `100/h`".to_owned())),
        "ambit-toolset-or-star" if text == "*" => Ok(()),
        "ambit-toolset-or-star" => ServerSlug::parse(text)
            .map(drop)
            .map_err(|_| with_value("write the slug of a toolset, or `*` for everything".to_owned())),
        "ambit-tool-pattern" => ToolPattern::parse(text)
            .map(drop)
            .map_err(|_| with_value("write `*`, `server/tool`, `server/prefix*` or `server/*`".to_owned())),
        "ambit-fragment" => match serde_json::from_str(text) {
            Ok(serde_json::Value::Object(_)) => Ok(()),
            Ok(_) => Err("is no JSON object: write a JSON Schema such as `{\"properties\": …}`".to_owned()),
            Err(error) => Err(format!("is no JSON ({error}): write a table, or JSON in single quotes")),
        },
        "ambit-timezone" => Policies::new(Vec::new(), Some(text)).map(drop).map_err(|error| error.to_string()),
        "ambit-text" => plain(text).map_err(with_value),
        "ambit-instant" => quantity::instant(text)
            .map(drop)
            .ok_or_else(|| with_value("write a date such as `2027-06-30`, or `2027-06-30T12:00:00Z`".to_owned())),
        "ambit-duration" => quantity::duration(text)
            .filter(|length| !length.is_zero())
            .map(drop)
            .ok_or_else(|| with_value("write a whole number and a unit, such as `500ms`, `30s`, `2h`".to_owned())),
        "ambit-size" => quantity::size(text)
            .filter(|size| *size > 0)
            .map(drop)
            .ok_or_else(|| with_value("write a whole number and a unit, such as `64KiB` or `1MiB`".to_owned())),
        "ambit-listen" => text
            .parse::<std::net::SocketAddr>()
            .map(drop)
            .map_err(|_| with_value("write an address and a port, such as `127.0.0.1:8080`".to_owned())),
        "ambit-network" => text.parse::<Network>().map(drop).map_err(|error| error.to_string()),
        "ambit-endpoint-path" => endpoint_path(text).map_err(with_value),
        "ambit-public-url" => public_url(text).map(drop).map_err(with_value),
        "ambit-url" => web_url(text).map(drop).map_err(with_value),
        "ambit-webhook-url" if text.starts_with("env:") || text.starts_with("file:") => secret(text),
        // The URL of a chat's webhook is a secret: whoever has it can post there.
        "ambit-webhook-url" => web_url(text).map(drop),
        "ambit-document" if text.contains("://") => web_url(text).and_then(|url| only_https(&url)).map_err(with_value),
        "ambit-document" => plain(text).map_err(with_value),
        "ambit-base-url" => BaseUrl::parse(text).map(drop).map_err(|error| error.to_string()),
        "ambit-header-name" => header_name(text).map_err(with_value),
        "ambit-redirect-uri" => redirect_uri(text).map_err(with_value),
        // A format without a rule would accept everything: it is a defect that the tests find.
        other => Err(format!("has the format `{other}`, which this program has no rule for")),
    }
}

fn rule(error: &InvalidId) -> String {
    error.rule.to_owned()
}

fn secret(text: &str) -> Result<(), String> {
    match SecretRef::parse(text) {
        Ok(SecretRef::Env(_) | SecretRef::File(_)) => Ok(()),
        Ok(SecretRef::Sealed(_)) => {
            Err("names the sealed store, which this version does not have: write `env:NAME` or `file:PATH`".to_owned())
        }
        Err(_) => Err("holds a literal, which is not shown here: a secret is given by reference; write `env:NAME` or \
                       `file:PATH`, and replace the secret, since it stood in a file"
            .to_owned()),
    }
}

fn store(text: &str) -> Result<(), String> {
    if text.starts_with("env:") || text.starts_with("file:") {
        return secret(text);
    }
    StoreUrl::parse(text).map_err(|error| error.to_string().replacen("the store url is", "is", 1))?;
    let password = Url::parse(text).is_ok_and(|url| url.password().is_some()) || text.contains("password=");
    if password {
        return Err(
            "holds a password, which is not shown here: put the whole URL behind `env:NAME` or `file:PATH`".to_owned()
        );
    }
    Ok(())
}

fn account(text: &str) -> Result<(), String> {
    if text.contains(':') {
        return Err("leave `:` out of the name of a local account; it separates issuer and subject".to_owned());
    }
    Subject::parse(text).map(drop).map_err(|error| rule(&error))
}

fn plain(text: &str) -> Result<(), String> {
    if is_a_line(text, 1000) { Ok(()) } else { Err("write 1 to 1000 characters on one line".to_owned()) }
}

fn endpoint_path(text: &str) -> Result<(), String> {
    let slug = match text.strip_prefix("/mcp") {
        Some("") => return Ok(()),
        Some(rest) => rest.strip_prefix('/'),
        None => None,
    };
    match slug {
        Some(ambit_identity::admin::SLUG) => Err("`ambit-admin` is the admin API's own: use another".to_owned()),
        Some("default") => Err("`default` is the slug of `/mcp`: use another".to_owned()),
        Some(slug) if ServerSlug::parse(slug).is_ok() => Ok(()),
        Some(_) | None => {
            Err("write `/mcp`, or `/mcp/SLUG` with a slug of a-z, 0-9 and `-`, at most 40 characters".to_owned())
        }
    }
}

/// The public URL without a trailing slash.
pub(crate) fn public_url(text: &str) -> Result<String, String> {
    let url = web_url(text)?;
    if url.path() != "/" || url.query().is_some() {
        return Err("leave out path and query: endpoints stand below the root".to_owned());
    }
    if url.scheme() != "https" && !is_loopback(&url) {
        return Err("use `https`: plain `http` is for loopback addresses only".to_owned());
    }
    Ok(url.origin().ascii_serialization())
}

/// Whether a URL leads back to this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn web_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "write a complete URL such as `https://host/path`".to_owned())?;
    if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
        return Err("write a complete URL such as `https://host/path`".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("leave user name and password out of the URL: use `credential`".to_owned());
    }
    if url.fragment().is_some() {
        return Err("leave out the fragment after `#`".to_owned());
    }
    Ok(url)
}

fn only_https(url: &Url) -> Result<(), String> {
    if url.scheme() == "https" {
        Ok(())
    } else {
        Err("documents are fetched over `https` only: use an `https` URL or a file".to_owned())
    }
}

fn header_name(text: &str) -> Result<(), String> {
    text.parse::<http::HeaderName>().map(drop).map_err(|_| "write the name of an HTTP header".to_owned())
}

fn redirect_uri(text: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|_| "write a complete URI".to_owned())?;
    if url.fragment().is_some() {
        return Err("leave out the fragment after `#`".to_owned());
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(&url) => Ok(()),
        "http" => Err("use `https`: plain `http` is for loopback addresses only".to_owned()),
        "javascript" | "data" | "file" | "blob" | "about" | "vbscript" => Err("use an `https` URI".to_owned()),
        // A private-use scheme of a native app is a reversed domain name (RFC 8252 §7.1).
        scheme if scheme.contains('.') => Ok(()),
        _ => Err("use `https`, loopback `http`, or a scheme that is a reversed domain name".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_may_be_a_secret_is_never_shown() {
        for (format, literal) in [
            ("ambit-secret", "hunter2"),
            ("ambit-secret", "Bearer hunter2"),
            ("ambit-secret", "sealed:hunter2"),
            ("ambit-store", "postgres://u:hunter2@h/d"),
            ("ambit-store", "postgres://u@h/d?password=hunter2"),
            ("ambit-store", "mysql://hunter2@h/d"),
            ("ambit-base-url", "https://me:hunter2@h/"),
            ("ambit-url", "https://me:hunter2@h/"),
            ("ambit-public-url", "https://me:hunter2@h/"),
        ] {
            let message = check(format, literal).unwrap_err();
            assert!(!message.contains("hunter2"), "{format}: {message}");
        }
    }

    #[test]
    fn values_that_fit_are_taken_and_others_get_a_remedy() {
        for (format, good, bad) in [
            ("ambit-secret", "env:TOKEN", "TOKEN"),
            ("ambit-store", "sqlite:var/ambit.db", "mysql://h/d"),
            ("ambit-store", "env:STORE_URL", "env:"),
            ("ambit-slug", "mux", "Mux"),
            ("ambit-account", "alice", "okta:alice"),
            ("ambit-tool-name", "get-asset", "a/b"),
            ("ambit-client-id", "https://c.example/id", ""),
            ("ambit-user", "okta:alice", "Okta:alice"),
            ("ambit-selector", "mux/*", "mux*"),
            ("ambit-approver", "group owners", "owners"),
            ("ambit-name-pattern", "delete*", "mux/delete*"),
            ("ambit-budget-holder", "default", "everybody"),
            ("ambit-budget-holder", "user:okta:alice", "user:Okta:alice"),
            ("ambit-budget-holder", "client:https://c.example/id", "clients:x"),
            ("ambit-rate", "600/m", "600/d"),
            ("ambit-toolset-or-star", "*", "**"),
            ("ambit-tool-pattern", "*", "mux*"),
            ("ambit-tool-pattern", "mux/get-*", "/get"),
            ("ambit-fragment", "{\"required\": [\"a\"]}", "[1]"),
            ("ambit-text", "Video team", " "),
            ("ambit-instant", "2027-06-30", "next year"),
            ("ambit-duration", "30s", "0s"),
            ("ambit-size", "1MiB", "1 MB"),
            ("ambit-listen", "127.0.0.1:0", "localhost"),
            ("ambit-network", "10.0.0.0/8", "0.0.0.0/0"),
            ("ambit-endpoint-path", "/mcp/video", "/mcp/default"),
            ("ambit-endpoint-path", "/mcp", "/mcp/"),
            ("ambit-public-url", "http://127.0.0.1:8080", "http://gateway.example"),
            ("ambit-public-url", "https://gateway.example/", "https://gateway.example/path"),
            ("ambit-url", "https://h/x", "h/x"),
            ("ambit-document", "openapi.json", "http://h/openapi.json"),
            ("ambit-base-url", "https://api.example/v1", "https://api.example/v1?x=1"),
            ("ambit-header-name", "x-api-key", "x api key"),
            ("ambit-redirect-uri", "com.example.app:/cb", "javascript:alert(1)"),
            ("ambit-redirect-uri", "http://127.0.0.1/cb", "http://h/cb"),
        ] {
            assert_eq!(check(format, good), Ok(()), "{format} {good}");
            assert!(check(format, bad).is_err(), "{format} {bad}");
        }
    }
}
