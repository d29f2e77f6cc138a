//! From a URI to a connection: judge, resolve, connect, TLS.
//!
//! This is the narrow place. Whatever a caller did or forgot, no socket opens here to an address
//! the rules refuse: names go through [`crate::resolve`], addresses written in the URI are judged
//! below because the TCP connector does not ask its resolver about them.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower::Service;

use crate::heard::{Heard, Noting};
use crate::resolve::{Judged, Resolve, ResolveError};
use crate::rules::{EgressRules, Refusal, Transport};

/// How long the first address family may take before the other is tried beside it (RFC 8305).
const OTHER_FAMILY_AFTER: Duration = Duration::from_millis(300);

/// Idle connections are probed, so that a peer that vanished is noticed before a request goes to it.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Why there is no connection. Nothing of a request has been sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address that may be connected to.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// No address answers.
    #[error("no connection ({0}): check that the server is up and reachable from this machine")]
    Tcp(Box<str>),
    /// The peer does not prove to be the host.
    #[error("no secure connection ({0}): check the server's certificate, or add its authority to `[egress] extra_ca`")]
    Tls(Box<str>),
    /// Resolving, connecting and TLS together took too long.
    #[error("no connection within {} ms: check that the server is up and reachable from this machine", .0.as_millis())]
    Timeout(Duration),
}

/// Opens connections that the rules permit.
#[derive(Clone)]
pub(crate) struct Connector {
    plain: HttpConnector<Judged>,
    tls: HttpsConnector<HttpConnector<Judged>>,
    rules: Arc<EgressRules>,
    timeout: Duration,
}

/// A connection before HTTP.
pub(crate) type Stream = TokioIo<Noting<TokioIo<Plain>>>;
type Plain = MaybeHttpsStream<TokioIo<TcpStream>>;
type BoxError = Box<dyn Error + Send + Sync>;

impl Connector {
    pub(crate) fn new(
        rules: Arc<EgressRules>,
        resolver: &Arc<dyn Resolve>,
        config: ClientConfig,
        timeout: Duration,
    ) -> Self {
        let tcp = |transport| {
            let judged = Judged::new(Arc::clone(resolver), Arc::clone(&rules), transport);
            let mut tcp = HttpConnector::new_with_resolver(judged);
            tcp.set_nodelay(true);
            tcp.set_keepalive(Some(KEEPALIVE));
            tcp.set_happy_eyeballs_timeout(Some(OTHER_FAMILY_AFTER));
            tcp.set_connect_timeout(Some(timeout));
            tcp.enforce_http(transport == Transport::Plain);
            tcp
        };
        let tls = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp(Transport::Tls));
        Self { plain: tcp(Transport::Plain), tls, rules, timeout }
    }

    /// Opens a connection. Its second half tells whether anything came.
    pub(crate) async fn connect(&self, uri: Uri) -> Result<(Stream, Heard), ConnectError> {
        let transport = if uri.scheme() == Some(&Scheme::HTTP) { Transport::Plain } else { Transport::Tls };
        self.judge_literal(&uri, transport)?;
        // Both are always ready.
        let opening: Pin<Box<dyn Future<Output = Result<Plain, ConnectError>> + Send>> = match transport {
            Transport::Plain => {
                let connecting = self.plain.clone().call(uri);
                Box::pin(async move { connecting.await.map(MaybeHttpsStream::Http).map_err(|e| diagnose(&e)) })
            }
            Transport::Tls => {
                let connecting = self.tls.clone().call(uri);
                Box::pin(async move { connecting.await.map_err(|e| diagnose_tls(&e)) })
            }
        };
        let opened = tokio::time::timeout(self.timeout, opening).await;
        let stream = Noting::new(TokioIo::new(opened.unwrap_or(Err(ConnectError::Timeout(self.timeout)))?));
        let heard = stream.heard();
        Ok((TokioIo::new(stream), heard))
    }

    /// Judges an address that stands in the URI itself.
    fn judge_literal(&self, uri: &Uri, transport: Transport) -> Result<(), ResolveError> {
        let host = uri.host().unwrap_or_default();
        let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() else { return Ok(()) };
        self.rules
            .judge(address, transport)
            .map_err(|objection| ResolveError::Refused(Refusal { host: host.into(), address: None, objection }))
    }
}

/// The TLS layer reports its own failures as [`io::Error`] and passes those of TCP on as they are.
fn diagnose_tls(error: &BoxError) -> ConnectError {
    match error.downcast_ref::<io::Error>() {
        Some(io) => ConnectError::Tls(innermost(io).into()),
        None => diagnose(error.as_ref()),
    }
}

fn diagnose(error: &(dyn Error + 'static)) -> ConnectError {
    let mut cause = Some(error);
    while let Some(one) = cause {
        if let Some(resolve) = one.downcast_ref::<ResolveError>() {
            return ConnectError::Resolve(resolve.clone());
        }
        if let Some(io) = one.downcast_ref::<io::Error>() {
            return ConnectError::Tcp(innermost(io).into());
        }
        cause = one.source();
    }
    ConnectError::Tcp(error.to_string().into())
}

/// The text of the error inside: an [`io::Error`] may wrap another, and does not show it as its source.
fn innermost(error: &io::Error) -> String {
    match error.get_ref().map(|inner| (inner.downcast_ref::<io::Error>(), inner)) {
        Some((Some(io), _)) => innermost(io),
        Some((None, inner)) => inner.to_string(),
        None => error.to_string(),
    }
}
