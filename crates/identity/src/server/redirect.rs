//! Redirect URIs: which may be registered, and when a requested one is a registered one.
//!
//! Compared byte for byte (RFC 9700 §2.1). The one exception is the port of a registered loopback redirect, which a program
//! learns only when it listens (RFC 8252 §7.3); `localhost` counts as loopback because real clients register it. Nothing
//! here is normalised before it is compared.

use url::{Host, Url};

/// Longest redirect URI, in bytes.
pub(crate) const MAX_BYTES: usize = 2048;

/// Where a redirect leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A web page of a host, with its port if that is not the usual one: who serves one port need not be who serves another.
    Https(String),
    /// A program of this person's machine that listens on a port. Any program there can.
    Loopback(String),
    /// A program of this person's machine that registered a scheme. Any program there can.
    App(String),
}

impl Kind {
    /// Whether any program of the person's machine could receive the answer.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Https(_) => false,
            Self::Loopback(_) | Self::App(_) => true,
        }
    }

    /// What consent shows of it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Https(host) => host.clone(),
            Self::Loopback(host) => format!("{host} (a program on this computer)"),
            Self::App(scheme) => format!("{scheme}: (an app on this computer)"),
        }
    }
}

/// Schemes without a dot that a redirect may have: those of programs that are known to connect over MCP. Any other opens
/// whatever the person's machine has registered for it, with text of a stranger's choice.
const KNOWN_APPS: [&str; 12] = [
    "claude",
    "cursor",
    "goose",
    "kiro",
    "lmstudio",
    "raycast",
    "vscode",
    "vscode-insiders",
    "vscodium",
    "warp",
    "windsurf",
    "zed",
];

/// Whether a client may register, or ask for, this redirect.
///
/// # Errors
/// The rule it breaks, for whoever registers it.
pub(crate) fn acceptable(uri: &str) -> Result<Kind, &'static str> {
    if uri.len() > MAX_BYTES {
        return Err("a redirect URI has at most 2048 bytes");
    }
    if !uri.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'<' | b'>' | b'`')) {
        return Err("a redirect URI consists of visible ASCII characters: percent-encode the others");
    }
    let url = Url::parse(uri).map_err(|_| "a redirect URI is absolute, as in `https://client.example/callback`")?;
    if uri.contains('#') {
        return Err("a redirect URI has no fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a redirect URI carries no credentials");
    }
    match url.scheme() {
        "https" => place_of(&url).map(Kind::Https).ok_or("a redirect URI names a host"),
        "http" => match url.host() {
            Some(Host::Ipv4(address)) if address.is_loopback() && address.octets() == [127, 0, 0, 1] => {
                Ok(Kind::Loopback("127.0.0.1".into()))
            }
            Some(Host::Ipv6(address)) if address.is_loopback() => Ok(Kind::Loopback("[::1]".into())),
            Some(Host::Domain("localhost")) => Ok(Kind::Loopback("localhost".into())),
            _ => Err("a redirect over `http` leads to `127.0.0.1`, `[::1]` or `localhost`; use `https` for others"),
        },
        scheme if KNOWN_APPS.contains(&scheme) || is_reversed_domain(scheme) => Ok(Kind::App(scheme.to_owned())),
        _ => Err(
            "this scheme is none of a known client: use `https`, a loopback redirect, or a reversed domain name as \
                  in `com.example.app:/callback` (RFC 8252 §7.1)",
        ),
    }
}

/// Host, and port where it is not the scheme's own: with the scheme, an origin.
pub(crate) fn place_of(url: &Url) -> Option<String> {
    let host = url.host_str().filter(|host| !host.is_empty())?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// Whether a scheme can be a domain name its owner turned round (RFC 8252 §7.1).
fn is_reversed_domain(scheme: &str) -> bool {
    scheme.contains('.') && scheme.split('.').all(|label| !label.is_empty())
}

/// Whether a requested redirect is the registered one.
pub(crate) fn matches(registered: &str, requested: &str) -> bool {
    if registered == requested {
        return true;
    }
    match (loopback_parts(registered), loopback_parts(requested)) {
        (Some(known), Some(asked)) => known == asked,
        (None | Some(_), None) | (None, Some(_)) => false,
    }
}

/// Host and everything after the port of a loopback redirect, as written.
fn loopback_parts(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(at)?;
    let host = ["127.0.0.1", "[::1]", "localhost"].into_iter().find(|host| {
        authority.strip_prefix(host).is_some_and(|port| port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
    })?;
    Some((host, path))
}

fn is_port(text: &str) -> bool {
    text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// The redirect with parameters behind it (RFC 6749 §4.1.2); its own query stays.
pub(crate) fn with_parameters(uri: &str, parameters: &[(&str, &str)]) -> String {
    let mut added = url::form_urlencoded::Serializer::new(String::new());
    added.extend_pairs(parameters);
    let separator = match uri.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    format!("{uri}{separator}{}", added.finish())
}

/// The source a page may send its form on to (CSP `form-action`): browsers hold the redirect after a form to it as well.
pub(crate) fn form_target(uri: &str) -> String {
    let Ok(url) = Url::parse(uri) else { return String::new() };
    match (url.scheme(), url.host()) {
        // A policy has no spelling for an IPv6 address.
        ("http" | "https", Some(Host::Domain(_) | Host::Ipv4(_))) => url.origin().ascii_serialization(),
        (scheme, _) => format!("{scheme}:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_port_of_a_loopback_redirect_may_differ() {
        for (registered, requested) in [
            ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb"),
            ("http://127.0.0.1:1/cb?x=1", "http://127.0.0.1:2/cb?x=1"),
            ("http://localhost:3000/cb", "http://localhost/cb"),
            ("http://[::1]/cb", "http://[::1]:65535/cb"),
            ("https://c.example/cb", "https://c.example/cb"),
            ("cursor://anysphere/cb", "cursor://anysphere/cb"),
        ] {
            assert!(matches(registered, requested), "{registered} {requested}");
        }
        for (registered, requested) in [
            ("http://127.0.0.1/cb", "http://localhost/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1/cb/"),
            ("http://127.0.0.1/cb", "http://127.0.0.1/CB"),
            ("http://127.0.0.1/cb", "http://127.0.0.1/cb?x=1"),
            ("http://127.0.0.1/cb", "http://127.0.0.1/cb/../cb"),
            ("http://127.0.0.1/cb", "https://127.0.0.1:1/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:0/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:99999/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:80@evil.example/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1.evil.example/cb"),
            ("http://127.0.0.1/cb", "http://evil.example/cb"),
            ("http://127.0.0.1", "http://127.0.0.1:80#@evil.example"),
            ("https://c.example/cb", "https://c.example:8443/cb"),
            ("https://c.example/cb", "https://c.example/cb%2f"),
            ("https://c.example/cb", "HTTPS://c.example/cb"),
            ("https://c.example/cb", "https://c.example/cb#f"),
            ("cursor://a/cb", "cursor://a:1/cb"),
        ] {
            assert!(!matches(registered, requested), "{registered} {requested}");
        }
    }

    #[test]
    fn what_cannot_be_a_client_is_not_registered() {
        assert_eq!(acceptable("https://c.example/cb"), Ok(Kind::Https("c.example".into())));
        assert_eq!(acceptable("https://c.example:443/cb"), Ok(Kind::Https("c.example".into())));
        assert_eq!(acceptable("https://c.example:8443/cb"), Ok(Kind::Https("c.example:8443".into())));
        assert_eq!(acceptable("http://localhost:1/cb"), Ok(Kind::Loopback("localhost".into())));
        assert_eq!(acceptable("cursor://anysphere.mcp/oauth"), Ok(Kind::App("cursor".into())));
        assert_eq!(acceptable("VSCODE-insiders://a.b/c"), Ok(Kind::App("vscode-insiders".into())));
        assert_eq!(acceptable("com.example.app:/cb"), Ok(Kind::App("com.example.app".into())));
        for bad in [
            "",
            "/cb",
            "c.example/cb",
            "http://c.example/cb",
            "http://127.0.0.2/cb",
            "http://192.168.1.1/cb",
            "http://localhost.evil.example/cb",
            "https://user@c.example/cb",
            "https://c.example/cb#f",
            "https://c.example/#",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "https://c.example\\@evil.example/",
            "https://c.example/\u{e4}",
            "https://c.example/a b",
            "http://127.0.0.1:80@evil.example/",
            "ws://c.example/",
            "ms-msdt:/id",
            "search-ms:query=x",
            "ssh://c.example/",
            "intent://c.example/#Intent",
            "cursors://x",
            "com.:/cb",
            "com..app:/cb",
        ] {
            assert!(acceptable(bad).is_err(), "{bad}");
        }
        assert!(acceptable(&format!("https://c.example/{}", "x".repeat(2048))).is_err());
    }

    #[test]
    fn parameters_are_encoded_and_keep_the_own_query() {
        assert_eq!(with_parameters("https://c/cb", &[("state", "a b&c")]), "https://c/cb?state=a+b%26c");
        assert_eq!(with_parameters("https://c/cb?x=1", &[("a", "b")]), "https://c/cb?x=1&a=b");
        assert_eq!(with_parameters("https://c/cb?", &[("a", "b")]), "https://c/cb?a=b");
    }

    #[test]
    fn a_form_may_go_on_to_the_redirect_alone() {
        assert_eq!(form_target("http://127.0.0.1:3000/cb?x"), "http://127.0.0.1:3000");
        assert_eq!(form_target("https://c.example/cb;script-src *"), "https://c.example");
        assert_eq!(form_target("http://[::1]:3/cb"), "http:");
        assert_eq!(form_target("cursor://x/y"), "cursor:");
    }
}
