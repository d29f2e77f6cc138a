//! The doors of the whole application: is this request meant for us, does a browser send it for a page of ours, and where
//! does it come from. Asked before every route, also those of other rooms.
//!
//! Reads headers only, never a body, and knows nothing of tokens. Host and origin come from configuration; what a proxy
//! says counts only if the proxy is one of the trusted ones, and then only about the source address.

use std::net::{IpAddr, SocketAddr};

use ambit_egress::Network;
/// Where a request comes from, as far as trusted proxies vouch for it. Made here; other rooms read it from the extensions.
pub use ambit_identity::server::Source;
use http::{
    HeaderMap, Uri,
    header::{HOST, ORIGIN},
};
use url::Url;

/// What the doors are set to.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `https://gateway.example`: its host is ours, its origin may ask.
    pub public_url: String,
    /// More names of ours, as `host` or `host:port`.
    pub more_hosts: Vec<String>,
    /// Origins of web applications that may ask besides our own pages.
    pub more_origins: Vec<String>,
    /// Proxies whose word on the source address counts.
    pub trusted_proxies: Vec<Network>,
}

/// Why doors cannot be set.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidDoors {
    /// Not an http or https URL with a host.
    #[error("`public_url` is `{0}`, which is not an http or https URL with a host")]
    PublicUrl(String),
    /// Not an origin.
    #[error("`{0}` is not an origin: write scheme, host and, if it is not the usual one, port")]
    Origin(String),
}

/// What the doors hold a request to. Other listeners hold theirs to rules of their own.
#[derive(Debug)]
pub struct Rules {
    /// Lower case, without the scheme's usual port.
    hosts: Vec<String>,
    origins: Vec<String>,
    usual_port: &'static str,
    proxies: Vec<Network>,
}

/// Why a request is sent away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// It names another host, none, or several.
    Host,
    /// A page of another origin sends it.
    Origin,
}

impl Rules {
    /// The rules of a listener with this URL.
    ///
    /// # Errors
    /// [`InvalidDoors`].
    pub fn new(settings: &Settings) -> Result<Self, InvalidDoors> {
        let not_ours = || InvalidDoors::PublicUrl(settings.public_url.clone());
        let url = Url::parse(&settings.public_url).map_err(|_| not_ours())?;
        let host = url.host_str().ok_or_else(not_ours)?.to_ascii_lowercase();
        let usual_port = match url.scheme() {
            "https" => ":443",
            "http" => ":80",
            _ => return Err(not_ours()),
        };
        // On one's own machine the three names of the loopback are one place.
        let loopback = ["localhost", "127.0.0.1", "[::1]"];
        let names: Vec<&str> = if loopback.contains(&host.as_str()) { loopback.to_vec() } else { vec![&host] };
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let mut hosts: Vec<String> = names.iter().map(|name| format!("{name}{port}")).collect();
        hosts.extend(
            settings.more_hosts.iter().map(|host| without_port(&host.to_ascii_lowercase(), usual_port).to_owned()),
        );
        let mut origins: Vec<String> = hosts.iter().map(|host| format!("{}://{host}", url.scheme())).collect();
        for origin in &settings.more_origins {
            let parsed = Url::parse(origin).map_err(|_| InvalidDoors::Origin(origin.clone()))?.origin();
            if !parsed.is_tuple() {
                return Err(InvalidDoors::Origin(origin.clone()));
            }
            origins.push(parsed.ascii_serialization());
        }
        Ok(Self { hosts, origins, usual_port, proxies: settings.trusted_proxies.clone() })
    }

    /// Whether a request is meant for this listener and comes from no other origin, whatever its path: for listeners that no
    /// page and no probe has anything to ask.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn admit_strictly(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Wrong> {
        self.admit_host(uri, headers)?;
        let mut origins = headers.get_all(ORIGIN).iter();
        let is_own = |origin: &http::HeaderValue| self.origins.iter().any(|own| origin.as_bytes() == own.as_bytes());
        let admitted = origins.next().is_none_or(is_own) && origins.next().is_none();
        admitted.then_some(()).ok_or(Wrong::Origin)
    }

    pub(crate) fn admit(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Wrong> {
        let path = uri.path();
        // Probes come by address, and learn nothing but whether we live.
        if !matches!(path, "/healthz" | "/readyz") {
            self.admit_host(uri, headers)?;
        }
        if counts_no_cookie(path) {
            return Ok(());
        }
        self.admit_origin(path, headers)
    }

    fn admit_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Wrong> {
        let mut values = headers.get_all(HOST).iter();
        let host = values.next().and_then(|value| value.to_str().ok()).ok_or(Wrong::Host)?;
        if values.next().is_some() || uri.authority().is_some_and(|authority| authority.as_str() != host) {
            return Err(Wrong::Host);
        }
        if self.hosts.iter().any(|own| own == host) {
            return Ok(());
        }
        let host = host.to_ascii_lowercase();
        let host = without_port(&host, self.usual_port);
        self.hosts.iter().any(|own| own == host).then_some(()).ok_or(Wrong::Host)
    }

    fn admit_origin(&self, path: &str, headers: &HeaderMap) -> Result<(), Wrong> {
        let mut values = headers.get_all(ORIGIN).iter();
        let Some(origin) = values.next() else {
            return Ok(());
        };
        let origin = origin.to_str().map_err(|_| Wrong::Origin)?;
        // A page that hides its address sends its forms with `null`; forms have tokens of their own. Endpoints do not.
        let hidden_form = origin == "null" && !is_endpoint(path);
        let known = self.origins.iter().any(|own| own.eq_ignore_ascii_case(origin));
        (values.next().is_none() && (known || hidden_form)).then_some(()).ok_or(Wrong::Origin)
    }

    /// The peer, or, if that is a trusted proxy, the last address in `X-Forwarded-For` that no trusted proxy has.
    pub fn source(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let trusted = |address: IpAddr| self.proxies.iter().any(|proxy| proxy.contains(address));
        let mut source = peer.to_canonical();
        if !trusted(source) {
            return source;
        }
        for value in headers.get_all("x-forwarded-for").iter().rev() {
            let Ok(text) = value.to_str() else { return source };
            for hop in text.rsplit(',') {
                // From here on, towards the left, nobody trusted vouches.
                let Some(address) = hop_address(hop.trim()) else { return source };
                source = address;
                if !trusted(source) {
                    return source;
                }
            }
        }
        source
    }
}

/// `192.0.2.1`, `2001:db8::1`, or either with a port.
fn hop_address(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

fn without_port<'a>(host: &'a str, port: &str) -> &'a str {
    host.strip_suffix(port).unwrap_or(host)
}

/// Public documents, and what clients call without a cookie: clients in browsers have origins of their own, and there is
/// nothing a page could borrow from whoever is logged in.
fn counts_no_cookie(path: &str) -> bool {
    const OF_CLIENTS: [&str; 6] =
        [".well-known/openid-configuration", "jwks", "register", "token", "revoke", "introspect"];
    let of_issuer = path.strip_prefix("/as/").and_then(|rest| rest.split_once('/')).map(|(_, what)| what);
    path.starts_with("/.well-known/") || of_issuer.is_some_and(|what| OF_CLIENTS.contains(&what))
}

fn is_endpoint(path: &str) -> bool {
    path == "/mcp" || path.starts_with("/mcp/") || path.starts_with("/access/")
}

impl Wrong {
    /// A stable label for records.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Host => "foreign_host",
            Self::Origin => "foreign_origin",
        }
    }

    /// What is told.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Host => "this request is for another host: use the public URL of the gateway",
            Self::Origin => "requests from pages of this origin are not accepted: ask the people who run this gateway",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(public_url: &str) -> Rules {
        let settings = Settings {
            public_url: public_url.into(),
            more_hosts: vec!["Other.example:8443".into()],
            more_origins: vec!["https://app.example".into()],
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        };
        Rules::new(&settings).unwrap()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn admit(rules: &Rules, path: &str, pairs: &[(&'static str, &str)]) -> Result<(), Wrong> {
        rules.admit(&path.parse().unwrap(), &headers(pairs))
    }

    #[test]
    fn only_our_own_host_is_ours() {
        let rules = rules("https://gw.example");
        for host in ["gw.example", "GW.example", "gw.example:443", "other.example:8443"] {
            assert_eq!(admit(&rules, "/mcp", &[("host", host)]), Ok(()), "{host}");
        }
        for host in ["evil.example", "gw.example.evil.example", "gw.example:444", "gw.example.", "127.0.0.1", ""] {
            assert_eq!(admit(&rules, "/mcp", &[("host", host)]), Err(Wrong::Host), "{host}");
        }
        let strictly =
            |pairs: &[(&'static str, &str)]| rules.admit_strictly(&"/healthz".parse().unwrap(), &headers(pairs));
        let host = ("host", "gw.example");
        assert_eq!(strictly(&[host]), Ok(()));
        assert_eq!(strictly(&[host, ("origin", "https://gw.example")]), Ok(()));
        assert_eq!(strictly(&[("host", "10.1.2.3:8080")]), Err(Wrong::Host));
        for foreign in ["null", "https://evil.example", "http://gw.example", ""] {
            assert_eq!(strictly(&[host, ("origin", foreign)]), Err(Wrong::Origin), "{foreign}");
        }
        assert_eq!(strictly(&[host, ("origin", "https://gw.example"), ("origin", "null")]), Err(Wrong::Origin));
        assert_eq!(admit(&rules, "/mcp", &[]), Err(Wrong::Host));
        assert_eq!(admit(&rules, "/mcp", &[("host", "gw.example"), ("host", "gw.example")]), Err(Wrong::Host));
        assert_eq!(admit(&rules, "https://evil.example/mcp", &[("host", "gw.example")]), Err(Wrong::Host));
        assert_eq!(admit(&rules, "/healthz", &[("host", "10.1.2.3:8080")]), Ok(()));
    }

    #[test]
    fn the_names_of_the_loopback_are_one_place() {
        let rules = rules("http://127.0.0.1:8080");
        for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"] {
            assert_eq!(admit(&rules, "/mcp", &[("host", host), ("origin", &format!("http://{host}"))]), Ok(()));
        }
        assert_eq!(admit(&rules, "/mcp", &[("host", "localhost:9090")]), Err(Wrong::Host));
        assert_eq!(admit(&rules, "/mcp", &[("host", "rebound.example:8080")]), Err(Wrong::Host));
    }

    #[test]
    fn a_foreign_page_is_sent_away_and_no_page_is_none() {
        let rules = rules("https://gw.example");
        let with = |path, origin| admit(&rules, path, &[("host", "gw.example"), ("origin", origin)]);
        assert_eq!(with("/mcp", "https://gw.example"), Ok(()));
        assert_eq!(with("/mcp", "https://app.example"), Ok(()));
        for foreign in ["https://evil.example", "http://gw.example", "https://gw.example:444", "null", ""] {
            assert_eq!(with("/mcp", foreign), Err(Wrong::Origin), "{foreign}");
        }
        assert_eq!(with("/login", "null"), Ok(()));
        assert_eq!(with("/login", "https://evil.example"), Err(Wrong::Origin));
        for open in ["/.well-known/oauth-protected-resource", "/as/default/token", "/as/default/jwks"] {
            assert_eq!(with(open, "https://evil.example"), Ok(()), "{open}");
        }
        for closed in ["/as/default/consent", "/as/token", "/clients", "/as/default/consent/token", "/mcp/token"] {
            assert_eq!(with(closed, "https://evil.example"), Err(Wrong::Origin), "{closed}");
        }
        assert_eq!(admit(&rules, "/mcp", &[("host", "gw.example")]), Ok(()));
    }

    #[test]
    fn only_trusted_proxies_speak_for_others() {
        let rules = rules("https://gw.example");
        let source = |peer: &str, forwarded: &[&str]| {
            let pairs: Vec<_> = forwarded.iter().map(|value| ("x-forwarded-for", *value)).collect();
            rules.source(peer.parse().unwrap(), &headers(&pairs)).to_string()
        };
        assert_eq!(source("192.0.2.9", &["198.51.100.1"]), "192.0.2.9");
        assert_eq!(source("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(source("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        // What the client wrote itself stands to the left of what the proxies added.
        assert_eq!(source("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(source("10.0.0.1", &["1.1.1.1", "198.51.100.1:555"]), "198.51.100.1");
        assert_eq!(source("10.0.0.1", &["garbage, 10.0.0.3"]), "10.0.0.3");
        assert_eq!(source("::ffff:10.0.0.1", &["2001:db8::1"]), "2001:db8::1");
    }

    #[test]
    fn doors_need_a_real_url() {
        for bad in ["", "gw.example", "ftp://gw.example", "https://"] {
            let settings = Settings { public_url: bad.into(), ..Settings::default() };
            assert!(matches!(Rules::new(&settings), Err(InvalidDoors::PublicUrl(_))), "{bad}");
        }
    }
}
