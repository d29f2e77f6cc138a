//! What every handler reads of a request before its body: the source address and the headers.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
};

use axum::extract::FromRequestParts;
use http::{HeaderMap, request::Parts};

/// The address a request came from, as the doors of the application decided it (`trusted_proxies` are the only source of another
/// than the peer's). They put it into the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source(pub IpAddr);

impl Source {
    /// Where a request came from; without doors they all come from one place.
    pub fn of(head: &Parts) -> IpAddr {
        head.extensions.get::<Self>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |source| source.0)
    }
}

/// Who knocks.
pub(crate) struct Visitor {
    pub(crate) source: IpAddr,
    pub(crate) headers: HeaderMap,
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self { source: Source::of(parts), headers: parts.headers.clone() })
    }
}
