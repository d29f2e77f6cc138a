//! A whole gateway in the process of a test: configuration text in, a listening server out, stopped with its directory.
//!
//! It goes the way of `ambit serve`: the text is read from a file, tools are accepted by the command, the socket listens.
//! Only the time and the files of the trail may be a test's own.

#![expect(clippy::indexing_slicing, reason = "only JSON values are indexed: one that lacks a member gives null there")]

pub mod browser;
mod caller;
mod evidence;
mod http;
pub mod mcp_server;

pub use browser::{Application, Browser};
pub use caller::{Answer, Caller, Era};
pub use http::{Reply, Web};
pub use mcp_server::McpServer;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ambit::{
    Streams, config,
    operator::{self, Act, socket::Answer as OperatorAnswer},
    serve::{self, Ready, Start},
};
use ambit_gateway::Gateway;
use ambit_identity::{
    mint::{TokenRequest, mint},
    signing::Signing,
    token::TokenSubject,
};
use ambit_live::{Live, clock::Clock};
use ambit_model::{
    calendar::civil_from_days,
    caller::{Assurance, ClientFacts},
    ids::{AgentId, ClientId, Millis, ToolsetSlug, UserKey},
};
use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// The date that configurations of tests give to what shall outlive them. No grant may live that long, so it stands for the
/// one 300 days ahead.
pub const FAR: &str = "2099-01-01";

/// A configuration whose far dates are as far ahead of an instant as a grant may live.
pub fn dated(text: &str, now: Millis) -> String {
    let (year, month, day) = civil_from_days(now / 86_400_000 + 300);
    text.replace(FAR, &format!("{year:04}-{month:02}-{day:02}"))
}

/// How long a stop may take.
const STOP: Duration = Duration::from_mins(1);

/// A running gateway.
pub struct TestApp {
    directory: Arc<TempDir>,
    address: SocketAddr,
    metrics: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    live: Live,
    signing: Arc<Signing>,
    gateway: Gateway,
    web: Web,
    stop: watch::Sender<bool>,
    running: JoinHandle<Result<()>>,
}

impl std::fmt::Debug for TestApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestApp").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What a test gives a gateway besides its configuration.
#[derive(Debug, Default)]
pub struct Given {
    /// The directory of configuration and data; a new one if absent. Given twice, it is a restart.
    pub directory: Option<Arc<TempDir>>,
    /// Clock and trail files.
    pub start: Start,
    /// Whether the tools of every server are accepted first, as `ambit tools accept` does.
    pub leave_pending: bool,
}

/// A person's token, as the authorization server would make it.
#[derive(Debug, Clone)]
pub struct Login<'a> {
    /// The local account.
    pub user: &'a str,
    /// The agent that acts for it.
    pub agent: Option<&'a str>,
    /// The client software.
    pub client: &'a str,
    /// The path of the endpoint.
    pub endpoint: &'a str,
    /// The toolsets that were ticked.
    pub toolsets: &'a [&'a str],
}

impl Default for Login<'_> {
    fn default() -> Self {
        Self { user: "alice", agent: None, client: "test-client", endpoint: "/mcp", toolsets: &[] }
    }
}

impl TestApp {
    /// Starts a gateway. In the text, `{url}` stands for its own address, `{admin}` for the address and port of its admin API,
    /// and [`FAR`] for a date that is far.
    ///
    /// # Errors
    /// Whatever keeps `ambit serve` from starting.
    pub async fn start(text: &str) -> Result<Self> {
        Self::with(text, Given::default()).await
    }

    /// Starts a gateway with what a test gives it.
    ///
    /// # Errors
    /// Whatever keeps `ambit serve` from starting.
    pub async fn with(text: &str, given: Given) -> Result<Self> {
        let directory = given.directory.map_or_else(|| tempfile::tempdir().map(Arc::new), Ok)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let file = directory.path().join("ambit.toml");
        let admin = if text.contains("{admin}") { Some(TcpListener::bind("127.0.0.1:0").await?) } else { None };
        let text = match &admin {
            Some(listener) => text.replace("{admin}", &listener.local_addr()?.to_string()),
            None => text.to_owned(),
        };
        let text = dated(&text.replace("{url}", &format!("http://{address}")), given.start.clock.now());
        std::fs::write(&file, format!("data_dir = \"data\"\n{text}"))?;
        if !given.leave_pending {
            accept_everything(&file, given.start.clock.clone()).await?;
        }
        let resolved = config::load(&file, given.start.clock.now())?;
        // Boxed: every test that starts a gateway would carry it about.
        let ready =
            Box::pin(serve::prepare(resolved, Start { listener: Some(listener), admin, ..given.start })).await?;
        Ok(Self::run(directory, address, ready))
    }

    fn run(directory: Arc<TempDir>, address: SocketAddr, ready: Ready) -> Self {
        let (stop, stopping) = watch::channel(false);
        let (live, signing, gateway) = (ready.live().clone(), Arc::clone(ready.signing()), ready.gateway().clone());
        let (metrics, admin) = (ready.metrics_address(), ready.admin_address());
        let running = tokio::spawn(ready.run(stopping));
        Self { directory, address, metrics, admin, live, signing, gateway, web: Web::new(), stop, running }
    }

    /// Stops it in order and gives its directory back, for a restart.
    ///
    /// # Errors
    /// If it does not stop in time, or stopped with an error.
    pub async fn stop(self) -> Result<Arc<TempDir>> {
        let Self { directory, live, gateway, stop, running, .. } = self;
        drop((live, gateway));
        stop.send_replace(true);
        tokio::time::timeout(STOP, running).await.context("it did not stop")???;
        Ok(directory)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its counters are read, if anywhere.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// `http://127.0.0.1:PORT` of the admin API, if there is one.
    pub fn admin_url(&self) -> Option<String> {
        self.admin.map(|address| format!("http://{address}"))
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.directory.path().join("ambit.toml")
    }

    /// The directory of keys, trail and store.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The live deployment.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// The corridor, for its counters.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// An HTTP client.
    pub fn web(&self) -> &Web {
        &self.web
    }

    /// The keys that sign access tokens, for forging.
    pub fn signing(&self) -> &Arc<Signing> {
        &self.signing
    }

    /// A browser without cookies.
    pub fn browser(&self) -> Browser {
        Browser::new(Web::new(), &self.url())
    }

    /// The directory of configuration and data.
    pub fn directory(&self) -> &Arc<TempDir> {
        &self.directory
    }

    /// Every event of the trail so far, as it stands in the files.
    ///
    /// # Errors
    /// If the files cannot be read.
    pub fn events(&self) -> Result<Vec<serde_json::Value>> {
        evidence::events(&self.data_dir().join("trail"))
    }

    /// Writes another configuration file; nothing happens before a reload. In the text, `{url}` stands for its own address.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_config(&self, text: &str) -> Result<()> {
        let admin = self.admin.map(|address| address.to_string()).unwrap_or_default();
        let text = dated(&text.replace("{url}", &self.url()).replace("{admin}", &admin), self.live.clock().now());
        Ok(std::fs::write(self.config_file(), format!("data_dir = \"data\"\n{text}"))?)
    }

    /// Asks the running gateway to perform an act, past the command line and its own checks.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub async fn act(&self, act: &Act) -> Result<OperatorAnswer> {
        let socket = self.data_dir().join("operator.sock");
        operator::client::ask(&socket, act).await?.context("no gateway listens")
    }

    /// Runs a command of the program against this gateway: its exit code, and what it wrote to both streams.
    pub async fn ambit(&self, args: &[&str]) -> (u8, String, String) {
        run_command(&self.config_file(), args).await
    }

    /// The caller of a login.
    ///
    /// # Errors
    /// If there is no such endpoint, or a name is none.
    pub fn login(&self, login: &Login<'_>) -> Result<Caller> {
        let token = self.token(login, Assurance::Confidential)?;
        Ok(Caller::new(self.web.clone(), format!("{}{}", self.url(), login.endpoint), token))
    }

    /// The token of a login.
    ///
    /// # Errors
    /// If there is no such endpoint, or a name is none.
    pub fn token(&self, login: &Login<'_>, assurance: Assurance) -> Result<String> {
        let snapshot = self.live.current();
        let (_, view) = snapshot.endpoint_at(login.endpoint).context("no such endpoint")?;
        let user = UserKey::local(login.user)?;
        let subject = match login.agent {
            None => TokenSubject::Person(user),
            Some(agent) => TokenSubject::Delegated { user, agent: AgentId::parse(agent)? },
        };
        let toolsets = login.toolsets.iter().map(|slug| ToolsetSlug::parse(slug)).collect::<Result<_, _>>()?;
        let now = self.live.clock().now();
        let request = TokenRequest {
            subject,
            client: ClientFacts { id: ClientId::parse(login.client)?, assurance },
            toolsets,
            declined: BTreeSet::new(),
            family: None,
            auth_time: Some(now),
            amr: vec!["pwd".to_owned()],
            authorized_at: now,
        };
        Ok(mint(&self.signing, &view.endpoint, request, now)?.token)
    }
}

async fn accept_everything(file: &Path, clock: Clock) -> Result<()> {
    let resolved = config::load(file, clock.now())?;
    for server in resolved.deployment.servers.keys() {
        let (code, out, err) = run_command(file, &["tools", "accept", server.as_str()]).await;
        ensure!(code == 0, "`tools accept {server}` ended with {code}: {out}{err}");
    }
    Ok(())
}

async fn run_command(file: &Path, args: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let file = file.display().to_string();
    let args = ["ambit", "--config", &file].into_iter().chain(args.iter().copied());
    // Boxed: every command is in it, and every test that starts a gateway would carry it about.
    let code = Box::pin(ambit::cli(args, Streams { out: &mut out, err: &mut err })).await;
    (code, String::from_utf8_lossy(&out).into_owned(), String::from_utf8_lossy(&err).into_owned())
}
