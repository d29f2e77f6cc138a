//! Names to addresses, judged before anyone connects.
//!
//! The connector asks `Judged`, never the system: what it gets back is what it connects to, so a
//! name that answers differently a moment later changes nothing.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

use crate::rules::{EgressRules, Refusal, Transport};

/// Where addresses come from. Its answers are judged, not trusted.
///
/// [`SystemResolver`] in every deployment; tests put a resolver that changes its mind here.
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of `name`.
    fn resolve(&self, name: &str) -> Addresses;
}

/// The answer of a [`Resolve`].
pub type Addresses = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// The machine's own resolver: `/etc/hosts`, then its name servers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: &str) -> Addresses {
        let name = name.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|socket| socket.ip()).collect())
        })
    }
}

/// Why a name leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Its addresses may not be connected to.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The resolver failed, or knows no address.
    #[error("the name could not be resolved ({0}): check its spelling and the name servers")]
    Failed(Box<str>),
}

/// A resolver that answers only with addresses the rules permit.
#[derive(Clone)]
pub(crate) struct Judged {
    source: Arc<dyn Resolve>,
    rules: Arc<EgressRules>,
    transport: Transport,
}

impl Judged {
    pub(crate) fn new(source: Arc<dyn Resolve>, rules: Arc<EgressRules>, transport: Transport) -> Self {
        Self { source, rules, transport }
    }
}

impl Service<Name> for Judged {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ResolveError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ResolveError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let found = self.source.resolve(name.as_str());
        let rules = Arc::clone(&self.rules);
        let transport = self.transport;
        Box::pin(async move {
            let found = found.await.map_err(|e| ResolveError::Failed(e.to_string().into()))?;
            let permitted = permitted(&rules, transport, name.as_str(), found)?;
            Ok(permitted.into_iter())
        })
    }
}

/// All of `found`, or the first refusal.
///
/// A name with one permitted and one refused address is refused as a whole: public names do not
/// resolve to private addresses by accident.
fn permitted(
    rules: &EgressRules,
    transport: Transport,
    name: &str,
    found: Vec<IpAddr>,
) -> Result<Vec<SocketAddr>, ResolveError> {
    if found.is_empty() {
        return Err(ResolveError::Failed("no address".into()));
    }
    for address in &found {
        rules.judge(*address, transport).map_err(|objection| Refusal {
            host: name.into(),
            address: Some(*address),
            objection,
        })?;
    }
    // The connector puts the port of the URL in place of the zero.
    Ok(found.into_iter().map(|address| SocketAddr::new(address, 0)).collect())
}
