//! A URL that may be requested, parsed strictly and kept.
//!
//! Parsing happens once, where the URL is configured or first seen; requests then reuse the parts.
//! An address in the URL is judged here, a name is judged when it is resolved. A `Target` alone
//! permits nothing: [`crate::connect`] judges again, with the rules of the client that sends.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use tokio::sync::Semaphore;
use url::{Host, Url};

use crate::pool::Route;
use crate::rules::{EgressRules, Refusal, Transport};

/// Longest URL that is parsed, in bytes.
pub const MAX_URL_BYTES: usize = 8 * 1024;

/// Ports that belong to protocols which take commands from a stray HTTP request
/// (WHATWG Fetch, "bad port"); sorted.
const BAD_PORTS: [u16; 83] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
    532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060,
    5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

/// An `https` URL, or an `http` URL that the rules may permit. Cheap to clone.
#[derive(Clone)]
pub struct Target {
    parts: Arc<Parts>,
    /// Requests in flight at once, where bounded.
    slots: Option<Slots>,
}

/// Places, and how long one is waited for.
#[derive(Clone)]
pub(crate) struct Slots {
    pub(crate) free: Arc<Semaphore>,
    pub(crate) patience: Duration,
}

struct Parts {
    route: Route,
    host: Box<str>,
    host_header: HeaderValue,
    path_and_query: PathAndQuery,
}

/// Why a text is not a [`Target`]. Neither message shows a query or credentials.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Longer than [`MAX_URL_BYTES`].
    #[error("the URL has {0} bytes: at most {MAX_URL_BYTES} are accepted")]
    TooLong(usize),
    /// Spaces, control characters, backslashes and letters outside ASCII are read differently by different parsers.
    #[error("the URL contains {0:?}: percent-encode it, and write host names in their `xn--` form")]
    Character(char),
    /// Not a URL with a host.
    #[error("not a URL ({0}): write it as `https://host/path`")]
    Syntax(String),
    /// A scheme other than the two of HTTP.
    #[error("`{0}:` is not fetched: use an `https` URL")]
    Scheme(String),
    /// User name or password before the host.
    #[error("the URL of `{0}` carries credentials: remove everything up to the `@`")]
    Credentials(String),
    /// A fragment never reaches a server.
    #[error("the URL of `{0}` ends in a fragment: remove `#` and what follows")]
    Fragment(String),
    /// A spelling that means another host than it seems to.
    #[error("`{written}` is an unusual way to write `{meant}`: write that")]
    Spelling {
        /// The host as written.
        written: String,
        /// The host as understood.
        meant: String,
    },
    /// The port belongs to another protocol.
    #[error("port {port} of `{host}` belongs to another protocol: use the port of the HTTP service")]
    Port {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// `http`, and no range is allowed that it could lead to.
    #[error("`{0}` would be reached without encryption: use `https`, or add its range to `[egress] allow`")]
    Plain(String),
    /// The host is an address the rules refuse.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Target {
    /// Parses `text` and judges its host if that is an address.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn parse(text: &str, rules: &EgressRules) -> Result<Self, TargetError> {
        if text.len() > MAX_URL_BYTES {
            return Err(TargetError::TooLong(text.len()));
        }
        if let Some(odd) = text.chars().find(|c| !c.is_ascii_graphic() || *c == '\\') {
            return Err(TargetError::Character(odd));
        }
        let url = Url::parse(text).map_err(|e| TargetError::Syntax(e.to_string()))?;
        let transport = match url.scheme() {
            "https" => Transport::Tls,
            "http" => Transport::Plain,
            other => return Err(TargetError::Scheme(other.to_owned())),
        };
        let host = canonical_host(text, &url)?;
        if url.fragment().is_some() {
            return Err(TargetError::Fragment(host));
        }
        let port = url.port_or_known_default().unwrap_or(0);
        if BAD_PORTS.binary_search(&port).is_ok() {
            return Err(TargetError::Port { host, port });
        }
        judge_host(&url, &host, transport, rules)?;
        Self::from_parts(&url, host, transport)
    }

    /// At most `limit` requests of this target and its clones are in flight at once; more wait, so long at most.
    ///
    /// A request is in flight until its body has been read or dropped.
    #[must_use]
    pub fn with_max_in_flight(mut self, limit: usize, patience: Duration) -> Self {
        let free = Arc::new(Semaphore::new(limit.clamp(1, Semaphore::MAX_PERMITS)));
        self.slots = Some(Slots { free, patience });
        self
    }

    /// The host as written in the URL, IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.parts.host
    }

    /// Whether the connection is encrypted.
    pub fn transport(&self) -> Transport {
        self.parts.route.transport
    }

    /// Path and query of the URL this target was parsed from.
    pub fn path_and_query(&self) -> &PathAndQuery {
        &self.parts.path_and_query
    }

    /// `https://host[:port]`, without a trailing slash.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme(), self.parts.route.authority)
    }

    /// A relative or absolute `reference` resolved against this target (RFC 3986 §5), parsed as strictly.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn join(&self, reference: &str, rules: &EgressRules) -> Result<Self, TargetError> {
        let syntax = |e: url::ParseError| TargetError::Syntax(e.to_string());
        if let Some(odd) = reference.chars().find(|c| !c.is_ascii_graphic() || *c == '\\') {
            return Err(TargetError::Character(odd));
        }
        // A reference with an authority of its own is parsed as written, or its spelling would be lost.
        if reference.contains("://") {
            return Self::parse(reference, rules);
        }
        let base = Url::parse(&format!("{}{}", self.origin(), self.parts.path_and_query)).map_err(syntax)?;
        let joined = base.join(reference).map_err(syntax)?;
        Self::parse(joined.as_str(), rules)
    }

    /// What a connection is opened for.
    pub(crate) fn uri(&self) -> Result<Uri, http::uri::InvalidUriParts> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme());
        parts.authority = Some(self.parts.route.authority.clone());
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        Uri::from_parts(parts)
    }

    pub(crate) fn route(&self) -> &Route {
        &self.parts.route
    }

    pub(crate) fn host_header(&self) -> HeaderValue {
        self.parts.host_header.clone()
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.parts.route.authority
    }

    pub(crate) fn slots(&self) -> Option<&Slots> {
        self.slots.as_ref()
    }

    fn scheme(&self) -> Scheme {
        match self.parts.route.transport {
            Transport::Tls => Scheme::HTTPS,
            Transport::Plain => Scheme::HTTP,
        }
    }

    fn from_parts(url: &Url, host: String, transport: Transport) -> Result<Self, TargetError> {
        let syntax = |e: http::Error| TargetError::Syntax(e.to_string());
        let authority = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let host_header = HeaderValue::try_from(&authority).map_err(|e| syntax(e.into()))?;
        let authority = Authority::try_from(authority).map_err(|e| syntax(e.into()))?;
        let path_and_query = PathAndQuery::try_from(path).map_err(|e| syntax(e.into()))?;
        let parts = Parts { route: Route { transport, authority }, host: host.into(), host_header, path_and_query };
        Ok(Self { parts: Arc::new(parts), slots: None })
    }
}

impl fmt::Display for Target {
    /// The origin: a path or query may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

/// The host in its one normal spelling, if that is how `text` spells it.
///
/// URL parsers turn `0x7f.1`, `2130706433` and `%31%32%37.0.0.1` into `127.0.0.1`. Nobody writes an
/// address that way on purpose, so such a URL is refused rather than corrected. IPv6 addresses have
/// many honest spellings; they are normalised and judged by value.
fn canonical_host(text: &str, url: &Url) -> Result<String, TargetError> {
    let Some(meant) = url.host_str().filter(|host| !host.is_empty()) else {
        return Err(TargetError::Syntax("there is no host".to_owned()));
    };
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(TargetError::Syntax("`//` is missing after the scheme".to_owned()));
    };
    if !scheme.eq_ignore_ascii_case(url.scheme()) || rest.starts_with('/') {
        return Err(TargetError::Syntax("there is no host after `://`".to_owned()));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(TargetError::Credentials(meant.to_owned()));
    }
    if authority.starts_with('[') {
        return Ok(meant.to_owned());
    }
    let written = authority.split(':').next().unwrap_or_default();
    let meant_name = meant.trim_end_matches('.');
    if written.eq_ignore_ascii_case(meant_name) {
        Ok(meant.to_owned())
    } else {
        Err(TargetError::Spelling { written: written.to_owned(), meant: meant_name.to_owned() })
    }
}

fn judge_host(url: &Url, host: &str, transport: Transport, rules: &EgressRules) -> Result<(), TargetError> {
    let address: IpAddr = match url.host() {
        Some(Host::Ipv4(v4)) => v4.into(),
        Some(Host::Ipv6(v6)) => v6.into(),
        Some(Host::Domain(_)) | None => {
            return match transport {
                Transport::Plain if !rules.allows_plain() => Err(TargetError::Plain(host.to_owned())),
                Transport::Plain | Transport::Tls => Ok(()),
            };
        }
    };
    rules
        .judge(address, transport)
        .map_err(|objection| TargetError::Refused(Refusal { host: host.into(), address: None, objection }))
}

#[cfg(test)]
mod tests;
