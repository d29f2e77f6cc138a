//! The one place a server's requests go to: scheme, host and path prefix.
//!
//! Taken from the configuration or from the first entry of `servers`, fixed when the document is compiled. No argument and
//! no single operation moves it: the credential of a server is only ever sent there.

use serde_json::Value;
use url::Url;

use crate::document::DocumentError;

/// A checked base URL: `https` or `http`, a host, no user information, query or fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    origin: String,
    prefix: String,
}

impl BaseUrl {
    /// Checks a URL.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let reject =
            |problem| DocumentError::BaseUrl { url: crate::text::clean(&without_userinfo(text), 200), problem };
        if text.contains(['\\', '\r', '\n', '\t', ' ', '\0']) {
            return Err(reject("it contains a backslash, white space or a control character"));
        }
        if text.contains(['{', '}']) {
            return Err(reject("it has a variable without a value"));
        }
        let url = Url::parse(text).map_err(|_| reject("it is not an absolute URL"))?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(reject("only `https` and `http` can be called"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(reject("it carries a user name or password"));
        }
        if url.fragment().is_some() || url.query().is_some() {
            return Err(reject("it carries a query or a fragment"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(reject("it has no host"));
        }
        Ok(Self { origin: url.origin().ascii_serialization(), prefix: url.path().trim_end_matches('/').to_owned() })
    }

    /// Scheme, host and port: `https://api.example.com`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The path in front of every operation, empty or `/…` without a final slash.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl std::fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.origin, self.prefix)
    }
}

/// The base URL of a document: `overriding` from the configuration, else `servers[0]` with the defaults of its variables.
pub fn base_url(document: &Value, overriding: Option<&str>) -> Result<BaseUrl, DocumentError> {
    if let Some(text) = overriding {
        return BaseUrl::parse(text);
    }
    match document.pointer("/servers/0") {
        Some(server) => BaseUrl::parse(&with_variables(server)),
        None => Err(DocumentError::BaseUrl { url: "/".to_owned(), problem: "the document names no server" }),
    }
}

fn with_variables(server: &Value) -> String {
    let mut url = server.get("url").and_then(Value::as_str).unwrap_or("/").to_owned();
    if let Some(variables) = server.get("variables").and_then(Value::as_object) {
        for (name, variable) in variables {
            let Some(default) = variable.get("default").and_then(Value::as_str) else { continue };
            url = url.replace(&format!("{{{name}}}"), default);
        }
    }
    url
}

/// The URL without what may be a password, for messages.
fn without_userinfo(text: &str) -> String {
    match text.split_once("://").and_then(|(scheme, rest)| rest.split_once('@').map(|(_, host)| (scheme, host))) {
        Some((scheme, host)) => format!("{scheme}://…@{host}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn prefix_and_variables_are_kept() {
        let document = json!({"servers": [{"url": "https://{region}.example.com:8443/v1/", "variables": {"region": {"default": "eu"}}}]});
        let base = base_url(&document, None).unwrap();
        assert_eq!((base.origin(), base.prefix()), ("https://eu.example.com:8443", "/v1"));
        assert_eq!(base_url(&document, Some("http://127.0.0.1:9000")).unwrap().to_string(), "http://127.0.0.1:9000");
    }

    #[test]
    fn anything_but_a_plain_absolute_url_is_refused() {
        for bad in [
            "/v1",
            "",
            "ftp://x/",
            "https://",
            "https://a:b@x/",
            "https://x/#f",
            "https://x/?q",
            "https://{v}.x/",
            "https://x/{v}",
            "file:///etc/passwd",
            "https:\\\\x",
            "https://x/\r\nb",
            "javascript:alert(1)",
        ] {
            assert!(BaseUrl::parse(bad).is_err(), "{bad}");
        }
        assert!(base_url(&json!({}), None).is_err());
        let message = BaseUrl::parse("https://me:hunter2@x/").unwrap_err().to_string();
        assert!(!message.contains("hunter2"), "{message}");
    }
}
