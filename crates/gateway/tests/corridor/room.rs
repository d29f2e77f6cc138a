//! A gateway over a small deployment: one REST API with four tools, two endpoints, two people and an agent.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ambit_egress::{Client, EgressRules, Roots};
use ambit_gateway::{Application, Gateway, GatewayParts, Settings, mcp::McpUpstreams};
use ambit_identity::{
    authenticate::Authenticator,
    jwks::Jwks,
    mint::{OperatorRequest, TokenRequest, mint, mint_for_operator},
    signing::Signing,
    token::TokenSubject,
};
use ambit_live::{
    Live, Parts,
    catalogue::ServerCatalogue,
    clock::Clock,
    credentials::Spendables,
    deployment::{Account, Deployment},
    keys::Keys,
    lock::Lock,
};
use ambit_model::{
    Digest, Effect,
    approval::{Approver, ApproverRule, Waiver},
    break_glass::BreakGlass,
    caller::{Assurance, ClientFacts},
    ceiling::{Ceiling, ClientCeilings},
    constraints::Constraints,
    endpoint::{Endpoint, EndpointIssuer},
    grant::{Grant, GrantOrigin, GrantSubject, Reveal},
    ids::{
        AgentId, ClientId, CredentialId, EndpointSlug, GrantId, Millis, ServerSlug, Subject, ToolName, ToolsetSlug,
        UserKey,
    },
    label::Label,
    revocation::Scope,
    secret::{Secret, SecretRef},
    server::{
        CallLimits, Credential, Credentials, DocumentSource, Governance, Scheme, Server, ServerApprovals,
        Upstream as Reached,
    },
    toolset::{Selector, Toolset},
};
use ambit_policy::{Policies, PolicyFile};
use ambit_store::{Store, StoreUrl, accounts};
use ambit_trail::{Disk, Files, Trail};
use axum::{Router, body::Body, response::Response};
use http::{HeaderMap, Request, StatusCode, header::AUTHORIZATION};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::upstream::{Act, Upstream};

/// The time of the tests, at the start of a second.
pub const T0: Millis = 1_800_000_000_000;

/// How long a call waits for its upstream, unless said otherwise.
const PATIENCE: Duration = Duration::from_millis(700);

/// What the API is reached with.
pub const SECRET: &str = "s3cret-of-the-api";

/// What the MCP server lists.
pub const PEER_TOOLS: &str = concat!(
    r#"{"name":"get-report","description":"Gets a report","inputSchema":{"type":"object","properties":{"#,
    r#""region":{"type":"string","x-mcp-header":"Region"},"count":{"type":"number"}}},"annotations":{"readOnlyHint":true}},"#,
    r#"{"name":"create-report","description":"Creates a report","inputSchema":{"type":"object"}}"#
);

/// What it answers.
pub const PEER_RESULT: &str =
    r#"{"resultType":"complete","z":1.10,"content":[{"type":"text","text":"hi","own":{"b":1,"a":2}}]}"#;

pub const MODERN: &str = "2026-07-28";
pub const LEGACY: &str = "2025-11-25";

pub struct Room {
    pub gateway: Gateway,
    pub live: Live,
    pub upstream: Upstream,
    /// The MCP server `up`, published at `/mcp/up`.
    pub peer: Upstream,
    pub clock: Clock,
    signing: Arc<Signing>,
    application: Application,
    home: PathBuf,
    /// Gone with it, unless somebody gave it a home.
    _directory: Option<tempfile::TempDir>,
    _watch: Watch,
}

/// Asks the store whether it is there, as long as the room is.
struct Watch(tokio::task::JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A node that is somebody else's process, or was.
pub struct Node<'a> {
    /// Where its store, trail and keys are.
    pub home: &'a Path,
    /// Its API.
    pub api: SocketAddr,
    /// What its trail writes with.
    pub files: Arc<dyn Files>,
    /// How long it waits for its API.
    pub patience: Duration,
}

/// What a room stands on.
struct Base<'a> {
    /// Whether what destroys needs an approval.
    guarded: bool,
    /// Its own SQLite if absent.
    store: Option<StoreUrl>,
    /// Whose keys, clock and API it has.
    beside: Option<&'a Room>,
    /// How long it waits for its API.
    patience: Duration,
    /// How many have to say yes.
    needed: u32,
    /// A directory of its own if absent.
    home: Option<&'a Path>,
    /// An upstream of its own if absent.
    api: Option<SocketAddr>,
    /// What its trail writes with.
    files: Arc<dyn Files>,
}

impl Default for Base<'_> {
    fn default() -> Self {
        Self {
            guarded: false,
            store: None,
            beside: None,
            patience: PATIENCE,
            needed: 1,
            home: None,
            api: None,
            files: Arc::new(Disk),
        }
    }
}

/// What a request was answered.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The text of a tool result.
    pub fn text(&self) -> String {
        self.json()["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }

    pub fn is_tool_error(&self) -> bool {
        self.status == 200 && self.json()["result"]["isError"] == true
    }

    pub fn error_code(&self) -> i64 {
        self.json()["error"]["code"].as_i64().unwrap_or_else(|| panic!("{self:?}"))
    }
}

impl Room {
    pub async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub async fn with(settings: Settings) -> Self {
        Self::over_with(settings, |_| ()).await
    }

    /// One over another deployment than the usual.
    pub async fn over(change: impl FnOnce(&mut Deployment)) -> Self {
        Self::over_with(Settings::default(), change).await
    }

    pub async fn over_with(settings: Settings, change: impl FnOnce(&mut Deployment)) -> Self {
        Self::built(settings, Credentials::default(), Base::default(), change).await
    }

    /// One where what destroys needs an approval, over another deployment than the usual.
    pub async fn guarded_over(change: impl FnOnce(&mut Deployment)) -> Self {
        let base = Base { guarded: true, ..Base::default() };
        Self::built(Settings::default(), Credentials::default(), base, change).await
    }

    /// One where bob and carol approve what destroys, one of them each time.
    pub async fn guarded() -> Self {
        Self::guarded_on(None).await
    }

    pub async fn guarded_on(store: Option<StoreUrl>) -> Self {
        let base = Base { guarded: true, store, ..Base::default() };
        Self::built(Settings::default(), Credentials::default(), base, |_| ()).await
    }

    /// One where bob and carol both have to say yes.
    pub async fn guarded_by_two() -> Self {
        let base = Base { guarded: true, needed: 2, ..Base::default() };
        Self::built(Settings::default(), Credentials::default(), base, |_| ()).await
    }

    /// A guarded one over what another process left, or will leave.
    pub async fn at(node: Node<'_>) -> Self {
        let Node { home, api, files, patience } = node;
        let base = Base { guarded: true, home: Some(home), api: Some(api), files, patience, ..Base::default() };
        Self::built(Settings::default(), Credentials::default(), base, |_| ()).await
    }

    /// Another process on the same store, with the same keys, clock and API.
    pub async fn beside(&self, store: StoreUrl) -> Self {
        let base = Base { guarded: true, store: Some(store), beside: Some(self), ..Base::default() };
        Self::built(Settings::default(), Credentials::default(), base, |_| ()).await
    }

    /// A node of a fleet over another deployment than the usual: the first on a store, or one beside it.
    pub async fn in_fleet(store: StoreUrl, beside: Option<&Self>, change: impl FnOnce(&mut Deployment)) -> Self {
        let base = Base { guarded: true, store: Some(store), beside, ..Base::default() };
        Self::built(Settings::default(), Credentials::default(), base, change).await
    }

    /// One whose MCP server is spoken to with the secret, too.
    pub async fn with_credential_at_peer() -> Self {
        let credential = Credential {
            id: CredentialId::parse("up-all").unwrap(),
            scheme: Scheme::Bearer(SecretRef::Env("API_TOKEN".into())),
        };
        let at_peer = Credentials { default: Some(credential), by_effect: BTreeMap::new() };
        Self::built(Settings::default(), at_peer, Base::default(), |_| ()).await
    }

    async fn built(
        settings: Settings,
        at_peer: Credentials,
        base: Base<'_>,
        change: impl FnOnce(&mut Deployment),
    ) -> Self {
        let upstream = Upstream::start().await;
        let directory = base.home.is_none().then(|| tempfile::tempdir().unwrap());
        let home = base.home.map_or_else(|| directory.as_ref().unwrap().path().to_owned(), Path::to_owned);
        let clock = base.beside.map_or_else(|| Clock::manual(T0), |other| other.clock.clone());
        let shared = base.beside.map_or(home.as_path(), |other| other.home.as_path());
        let api = base.api.unwrap_or_else(|| base.beside.map_or(upstream.address, |other| other.upstream.address));
        let peer = Upstream::start().await;
        peer.will(Act::Mcp { tools: PEER_TOOLS.into(), result: PEER_RESULT.into() });
        let mut deployment = deployment(&format!("http://{}/rpc", peer.address));
        for server in deployment.servers.values_mut() {
            server.limits.timeout = base.patience;
        }
        deployment.servers.get_mut("up").unwrap().credentials = at_peer;
        if base.guarded {
            deployment.servers.get_mut("api").unwrap().approvals = approved_by(&["bob", "carol"], base.needed);
        }
        if base.guarded {
            // Fifty at once are to meet each other, not their budget.
            let destructive = deployment.budgets.everybody.effects.get_mut(&Effect::Destructive).unwrap();
            destructive.at_once = None;
        }
        change(&mut deployment);
        let egress = Client::new(&ambit_egress::Settings {
            rules: EgressRules::new(vec!["127.0.0.1".parse().unwrap()]),
            roots: Roots::native(),
            ..ambit_egress::Settings::default()
        })
        .unwrap();
        let mcp = McpUpstreams::new(egress.clone());
        let up = &deployment.servers["up"];
        let listed = mcp.list(up, None, Instant::now() + Duration::from_secs(10)).await.unwrap();
        let catalogues = [
            catalogue(&deployment.servers["api"], &format!("http://{api}")),
            ServerCatalogue::from_mcp(up, listed.tools, listed.left_out, T0),
        ];
        let mut lock = Lock::default();
        for tool in catalogues.iter().flat_map(|catalogue| catalogue.tools.values()) {
            lock.accept(tool.id().clone(), tool.pin());
        }
        let credentials =
            Spendables::resolve(deployment.servers.values(), |_| Ok(Secret::new(SECRET.to_owned()))).unwrap();
        let file = || StoreUrl::parse(&format!("sqlite:{}", home.join("store.db").display())).unwrap();
        let store = Store::open(&base.store.clone().unwrap_or_else(file)).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        for name in ["alice", "bob", "carol"] {
            accounts::create(&mut tx, &Subject::parse(name).unwrap(), Some("$argon2id$"), T0).await.unwrap();
        }
        tx.commit().await.unwrap();
        let keys = Arc::new(Keys::open(&shared.join("keys")).unwrap());
        let key = ambit_ledger::SigningKey::from_seed("gw.example/trail", &[7; 32]).unwrap();
        let trail = ambit_trail::Settings::new(home.join("trail"), "n1", "gw.example/trail");
        let trail = ambit_trail::Settings { segment_bytes: 1 << 20, ..trail };
        let now = clock.clone();
        let trail = Trail::open(trail, key, base.files, move || now.now()).unwrap();
        let live = Live::open(Parts {
            deployment,
            lock,
            servers: catalogues.into_iter().map(Arc::new).collect(),
            credentials,
            store,
            trail,
            keys,
            clock: clock.clone(),
        })
        .await
        .unwrap();
        let signing = Arc::new(Signing::open(&shared.join("tokens"), T0).unwrap());
        let authenticator = Authenticator::new(Arc::clone(&signing), Arc::new(Jwks::new(egress.clone())));
        let parts = GatewayParts { live: live.clone(), authenticator: Arc::new(authenticator), egress, mcp, settings };
        let gateway = Gateway::new(parts);
        let doors = ambit_gateway::doors::Settings { public_url: "https://gw.example".into(), ..Default::default() };
        let application = gateway.application(&doors, Router::new()).unwrap();
        // As every process does: without it the store is not heard of, and after three seconds nothing is written.
        let store = live.store().clone();
        let watch = Watch(tokio::spawn(async move { store.watch(std::future::pending()).await }));
        Self { gateway, live, upstream, peer, clock, signing, application, home, _directory: directory, _watch: watch }
    }

    /// A token of a local account at a client, for some toolsets, at the default endpoint.
    pub fn token(&self, user: &str, client: &str, toolsets: &[&str]) -> String {
        self.token_at(0, user, client, toolsets)
    }

    pub fn token_at(&self, endpoint: usize, user: &str, client: &str, toolsets: &[&str]) -> String {
        self.token_of(&format!("family-of-{user}"), endpoint, user, client, toolsets)
    }

    /// A token of one login.
    pub fn token_of(&self, family: &str, endpoint: usize, user: &str, client: &str, toolsets: &[&str]) -> String {
        self.minted(
            family,
            endpoint,
            TokenSubject::Person(UserKey::local(user).unwrap()),
            client_facts(client),
            toolsets,
        )
    }

    /// A token of an agent that acts for a person.
    pub fn acting(&self, user: &str, agent: &str, client: &str, toolsets: &[&str]) -> String {
        let (user, agent) = (UserKey::local(user).unwrap(), AgentId::parse(agent).unwrap());
        self.minted("acting", 0, TokenSubject::Delegated { user, agent }, client_facts(client), toolsets)
    }

    /// A token of a client that proved its secret, at the default endpoint.
    pub fn proven(&self, user: &str, client: &str, toolsets: &[&str]) -> String {
        let client = ClientFacts { assurance: Assurance::Confidential, ..client_facts(client) };
        let person = TokenSubject::Person(UserKey::local(user).unwrap());
        self.minted(&format!("family-of-{user}"), 0, person, client, toolsets)
    }

    /// A token that an operator put together for a person.
    pub fn operator_token(&self, user: &str) -> String {
        let deployment = Arc::clone(&self.live.current().deployment);
        let request = OperatorRequest {
            operator: "root".into(),
            user: UserKey::local(user).unwrap(),
            agent: None,
            toolsets: None,
            life_ms: 60_000,
        };
        let (endpoint, now) = (&deployment.endpoints[0], self.clock.now());
        mint_for_operator(&self.signing, &deployment, endpoint, request, now).unwrap().token
    }

    /// A token of anybody.
    pub fn token_for(
        &self,
        subject: TokenSubject,
        family: &str,
        endpoint: usize,
        client: &str,
        toolsets: &[&str],
    ) -> String {
        self.minted(family, endpoint, subject, client_facts(client), toolsets)
    }

    fn minted(
        &self,
        family: &str,
        endpoint: usize,
        subject: TokenSubject,
        client: ClientFacts,
        toolsets: &[&str],
    ) -> String {
        let deployment = Arc::clone(&self.live.current().deployment);
        let request = TokenRequest {
            subject,
            client,
            toolsets: toolsets.iter().map(|slug| ToolsetSlug::parse(slug).unwrap()).collect(),
            declined: BTreeSet::new(),
            family: Some(family.to_owned()),
            auth_time: None,
            amr: Vec::new(),
            authorized_at: self.clock.now(),
        };
        mint(&self.signing, &deployment.endpoints[endpoint], request, self.clock.now()).unwrap().token
    }

    /// Alice with everything she was granted.
    pub fn alice(&self) -> String {
        self.token("alice", "c1", &["reads", "writes"])
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.answer(request).await;
        let (head, body) = response.into_parts();
        let body = tokio::time::timeout(Duration::from_secs(30), body.collect()).await.unwrap().unwrap();
        Answer { status: head.status, headers: head.headers, body: body.to_bytes().to_vec() }
    }

    /// The answer to a request as a future that can be dropped.
    pub fn sending(&self, request: Request<Body>) -> impl Future<Output = StatusCode> + use<> {
        let answer = self.answer(request);
        async move { answer.await.status() }
    }

    /// What a connection of somebody is answered.
    pub fn answer(&self, request: Request<Body>) -> impl Future<Output = Response> + use<> {
        Box::pin(self.application.clone().answer(request, SocketAddr::from(([0, 0, 0, 0], 0))))
    }

    /// The same for a listener.
    pub fn router(&self) -> Router {
        let application = self.application.clone();
        Router::new().fallback(move |request| application.answer(request, SocketAddr::from(([0, 0, 0, 0], 0))))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(base("GET", path).body(Body::empty()).unwrap()).await
    }

    /// A modern `tools/call`.
    pub async fn call(&self, token: &str, name: &str, arguments: Value) -> Answer {
        self.send(call(token, name, &arguments)).await
    }

    /// A modern request.
    pub async fn modern(&self, token: &str, method: &str, params: Value) -> Answer {
        self.send(modern("/mcp", token, method, params)).await
    }

    pub async fn names(&self, token: &str) -> Vec<String> {
        let list = self.modern(token, "tools/list", json!({})).await;
        let tools = list.json()["result"]["tools"].as_array().unwrap_or_else(|| panic!("{list:?}")).clone();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Opens a legacy session and gives back its id.
    pub async fn session(&self, token: &str) -> String {
        let params =
            json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let answer = self.send(legacy(token, None, "initialize", Some(params))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["result"]["protocolVersion"], LEGACY);
        answer.headers["mcp-session-id"].to_str().unwrap().to_owned()
    }

    /// Has other people approve from now on, as a reload of the configuration says it.
    pub async fn approvers_become(&self, names: &[&str]) {
        let mut deployment = Deployment::clone(&self.live.current().deployment);
        deployment.servers.get_mut("api").unwrap().approvals = approved_by(names, 1);
        deployment.digest = Digest::of(names.concat().as_bytes());
        // Read again, as a reload does: what was read under another declaration has no tools.
        let api = catalogue(&deployment.servers["api"], &format!("http://{}", self.upstream.address));
        let mut servers = self.live.servers().await;
        servers.insert(api.slug.clone(), Arc::new(api));
        self.reload(deployment, servers.into_values().collect()).await;
    }

    /// Has the organisation write these rules, as a reload of the configuration says it.
    pub async fn rules_become(&self, text: &str) {
        let file = PolicyFile { name: "policies/a.cedar".to_owned(), text: text.to_owned() };
        let mut deployment = Deployment::clone(&self.live.current().deployment);
        deployment.policies = Arc::new(Policies::new(vec![file], None).unwrap());
        deployment.digest = Digest::of(text.as_bytes());
        let api = catalogue(&deployment.servers["api"], &format!("http://{}", self.upstream.address));
        let mut servers = self.live.servers().await;
        servers.insert(api.slug.clone(), Arc::new(api));
        self.reload(deployment, servers.into_values().collect()).await;
    }

    /// Has the API describe its tools otherwise, and everybody accept that.
    pub async fn tools_become(&self, document: &Value) {
        let deployment = Deployment::clone(&self.live.current().deployment);
        let api = self.described(document);
        let mut servers = self.live.servers().await;
        servers.insert(api.slug.clone(), Arc::new(api));
        self.reload(deployment, servers.into_values().collect()).await;
    }

    /// The same, and nobody has accepted it.
    pub async fn tools_become_unaccepted(&self, document: &Value) {
        self.live.replace_server(Arc::new(self.described(document))).await.unwrap();
    }

    fn described(&self, document: &Value) -> ServerCatalogue {
        let deployment = &self.live.current().deployment;
        let compiled = ambit_openapi::compile(document, &ambit_openapi::Options::default()).unwrap();
        let base = ambit_openapi::BaseUrl::parse(&format!("http://{}", self.upstream.address)).unwrap();
        ServerCatalogue::from_openapi(&deployment.servers["api"], &compiled, base, T0)
    }

    /// Has other people break the glass from now on.
    pub async fn glass_becomes(&self, break_glass: BreakGlass) {
        let mut deployment = Deployment::clone(&self.live.current().deployment);
        deployment.digest = Digest::of(format!("{break_glass:?}").as_bytes());
        deployment.break_glass = break_glass;
        let servers = self.live.servers().await.into_values().collect();
        self.reload(deployment, servers).await;
    }

    /// Has the configuration say something else from now on, as a reload does.
    pub async fn deployment_becomes(&self, change: impl FnOnce(&mut Deployment)) {
        let mut deployment = Deployment::clone(&self.live.current().deployment);
        change(&mut deployment);
        deployment.digest = Digest::of(format!("{deployment:?}").as_bytes());
        let servers = self.live.servers().await.into_values().collect();
        self.reload(deployment, servers).await;
    }

    pub async fn break_glass(&self, id: &str, user: &str, client: &str, toolset: &str) {
        self.reveal_as(id, user, client, toolset).await;
        self.change(async |tx, _| {
            ambit_store::broken_glass::insert(tx, &GrantId::parse(id).unwrap()).await.unwrap();
        })
        .await;
    }

    pub async fn block(&self, scope: Scope) {
        self.change(async |tx, room| {
            let act = ambit_store::revocations::Act { by: "operator:test", reason: "test", at_ms: room.clock.now() };
            ambit_store::revocations::block(tx, &scope, act).await.unwrap();
        })
        .await;
    }

    /// Swaps everything, with every tool accepted.
    async fn reload(&self, deployment: Deployment, servers: Vec<Arc<ServerCatalogue>>) {
        let mut lock = Lock::default();
        for tool in servers.iter().flat_map(|catalogue| catalogue.tools.values()) {
            lock.accept(tool.id().clone(), tool.pin());
        }
        let credentials =
            Spendables::resolve(deployment.servers.values(), |_| Ok(Secret::new(SECRET.to_owned()))).unwrap();
        self.live.reload(deployment, lock, servers, credentials).await.unwrap();
    }

    /// Has the API answer at another address from now on.
    pub async fn move_api_to(&self, base_url: &str) {
        let deployment = Arc::clone(&self.live.current().deployment);
        let moved = catalogue(&deployment.servers["api"], base_url);
        self.live.replace_server(Arc::new(moved)).await.unwrap();
    }

    pub async fn revoke(&self, scope: Scope) {
        self.change(async |tx, room| {
            let act = ambit_store::revocations::Act { by: "operator:test", reason: "test", at_ms: room.clock.now() };
            ambit_store::revocations::revoke(tx, &scope, room.clock.now(), act).await.unwrap();
        })
        .await;
    }

    pub async fn reveal(&self, user: &str, client: &str, toolset: &str) {
        self.reveal_as("r1", user, client, toolset).await;
    }

    pub async fn reveal_as(&self, id: &str, user: &str, client: &str, toolset: &str) {
        self.reveal_to(id, (user, None), client, toolset).await;
    }

    /// A reveal to a person, perhaps through an agent.
    pub async fn reveal_to(&self, id: &str, who: (&str, Option<&str>), client: &str, toolset: &str) {
        self.reveal_for(3_600_000, id, who, client, toolset).await;
    }

    /// A reveal of so many milliseconds.
    pub async fn reveal_for(
        &self,
        length: Millis,
        id: &str,
        (user, agent): (&str, Option<&str>),
        client: &str,
        toolset: &str,
    ) {
        let reveal = Reveal {
            id: GrantId::parse(id).unwrap(),
            user: UserKey::local(user).unwrap(),
            client: ClientId::parse(client).unwrap(),
            agent: agent.map(|agent| AgentId::parse(agent).unwrap()),
            toolset: ToolsetSlug::parse(toolset).unwrap(),
            reason: "test".into(),
            approved_by: None,
            starts_at: self.clock.now(),
            expires_at: self.clock.now() + length,
        };
        self.change(async |tx, room| {
            ambit_store::reveals::insert(tx, &reveal, "operator:test", room.clock.now()).await.unwrap();
        })
        .await;
    }

    pub async fn end_reveal(&self, id: &str) {
        self.change(async |tx, room| {
            let id = GrantId::parse(id).unwrap();
            assert!(ambit_store::reveals::end(tx, &id, "operator:test", room.clock.now()).await.unwrap());
        })
        .await;
    }

    /// A grant that an operator makes.
    pub async fn grant(&self, id: &str, user: &str, toolset: &str) {
        let grant = Grant { origin: GrantOrigin::Operator, starts_at: self.clock.now(), ..grant(id, user, toolset) };
        self.change(async |tx, room| {
            ambit_store::grants::insert(tx, &grant, "operator:test", room.clock.now()).await.unwrap();
        })
        .await;
    }

    pub async fn end_grant(&self, id: &str) {
        self.end_grant_unheard(id).await;
        self.live.refresh().await.unwrap();
    }

    /// The end of a grant, as another node wrote it a moment ago.
    pub async fn end_grant_unheard(&self, id: &str) {
        let mut tx = self.live.store().begin().await.unwrap();
        let id = GrantId::parse(id).unwrap();
        assert!(ambit_store::grants::end(&mut tx, &id, "operator:test", self.clock.now()).await.unwrap());
        tx.commit().await.unwrap();
    }

    async fn change(&self, act: impl AsyncFnOnce(&mut ambit_store::Tx, &Self)) {
        let mut tx = self.live.store().begin().await.unwrap();
        act(&mut tx, self).await;
        tx.commit().await.unwrap();
        self.live.refresh().await.unwrap();
    }

    /// Every event in the trail's files, in order.
    pub fn events(&self) -> Vec<Value> {
        let mut segments: Vec<_> =
            std::fs::read_dir(self.home.join("trail")).unwrap().map(|entry| entry.unwrap().path()).collect();
        segments.sort();
        let mut events = Vec::new();
        for bytes in segments.iter().filter(|path| path.is_file()).map(|path| std::fs::read(path).unwrap()) {
            let mut rest = bytes.as_slice();
            let begin = b"{\"event\":\"";
            while let Some(at) = rest.windows(begin.len()).position(|window| window == begin) {
                rest = &rest[at..];
                let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Value>();
                let value = values.next().unwrap().unwrap();
                let end = values.byte_offset();
                events.push(value);
                rest = &rest[end..];
            }
        }
        events
    }

    /// The events of requests, without the acts of the deployment itself.
    pub fn requests(&self) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["event"] == "intent" || event["event"] == "outcome").collect()
    }

    /// Waits until the trail has this many events of requests.
    pub async fn requests_when(&self, many: usize) -> Vec<Value> {
        for _ in 0..500 {
            let events = self.requests();
            if events.len() >= many {
                return events;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the trail has only {:?}", self.requests());
    }
}

fn client_facts(client: &str) -> ClientFacts {
    ClientFacts { id: ClientId::parse(client).unwrap(), assurance: Assurance::Cimd }
}

pub fn base(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header("host", "gw.example")
}

pub fn post(path: &str, token: &str) -> http::request::Builder {
    base("POST", path)
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
}

pub fn modern(path: &str, token: &str, method: &str, params: Value) -> Request<Body> {
    modern_with(path, token, method, params, &json!({}))
}

/// A modern request of a client that declares some capabilities.
pub fn modern_with(path: &str, token: &str, method: &str, mut params: Value, capabilities: &Value) -> Request<Body> {
    let mut request = post(path, token).header("mcp-protocol-version", MODERN).header("mcp-method", method);
    if let Some(name) = params["name"].as_str() {
        let name = ambit_mcp::headers::encode_value(name).into_owned();
        request = request.header("mcp-name", name);
    }
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    });
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    request.body(Body::from(body.to_string())).unwrap()
}

pub fn call(token: &str, name: &str, arguments: &Value) -> Request<Body> {
    modern("/mcp", token, "tools/call", json!({"name": name, "arguments": arguments}))
}

pub fn legacy(token: &str, session: Option<&str>, method: &str, params: Option<Value>) -> Request<Body> {
    let mut request = post("/mcp", token);
    if method != "initialize" {
        request = request.header("mcp-protocol-version", LEGACY);
    }
    if let Some(session) = session {
        request = request.header("mcp-session-id", session);
    }
    let mut body = json!({"jsonrpc": "2.0", "method": method});
    if !method.starts_with("notifications/") {
        body["id"] = json!("l-1");
    }
    if let Some(params) = params {
        body["params"] = params;
    }
    request.body(Body::from(body.to_string())).unwrap()
}

fn endpoint(slug: &str, path: &str, server: &str, prefix: bool) -> Endpoint {
    Endpoint {
        slug: EndpointSlug::parse(slug).unwrap(),
        path: path.into(),
        resource: format!("https://gw.example{path}"),
        title: format!("The {slug} tools"),
        servers: vec![ServerSlug::parse(server).unwrap()],
        prefix,
        issuer: EndpointIssuer::Embedded { issuer: format!("https://gw.example/as/{slug}") },
    }
}

fn server() -> Server {
    let credential = |id: &str| Credential {
        id: CredentialId::parse(id).unwrap(),
        scheme: Scheme::Bearer(SecretRef::Env("API_TOKEN".into())),
    };
    Server {
        slug: ServerSlug::parse("api").unwrap(),
        governance: Governance {
            owner: "team".into(),
            purpose: "tests".into(),
            environment: "test".into(),
            data_class: "internal".into(),
            expires_at: T0 + 365 * 24 * 3_600_000,
            revoke_when: "the tests end".into(),
        },
        upstream: Reached::OpenApi { document: DocumentSource::File("api.json".into()), base_url: None },
        credentials: Credentials {
            default: Some(credential("api-reads")),
            by_effect: [(Effect::Write, credential("api-writes"))].into(),
        },
        overrides: BTreeMap::new(),
        approvals: ServerApprovals {
            rule: ApproverRule::default(),
            waivers: [(
                ToolName::parse("delete-thing").unwrap(),
                Waiver { reason: "tests of something else".into(), until: T0 + 300 * 24 * 3_600_000 },
            )]
            .into(),
        },
        labels: Vec::new(),
        limits: CallLimits { timeout: PATIENCE, max_reply_bytes: 64 * 1024, ..CallLimits::default() },
    }
}

fn approved_by(names: &[&str], needed: u32) -> ServerApprovals {
    let approvers = names.iter().map(|name| Approver::parse(&format!("user {name}")).unwrap()).collect();
    ServerApprovals { rule: ApproverRule { approvers, needed }, waivers: BTreeMap::new() }
}

pub fn document() -> Value {
    let id = json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string"}});
    let limit = json!({"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 100}});
    let ok = json!({"200": {"description": "ok"}});
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Things", "version": "1"},
        "paths": {
            "/things": {
                "get": {"operationId": "list-things", "summary": "List things", "parameters": [limit], "responses": ok},
                "post": {
                    "operationId": "create-thing", "summary": "Create a thing", "responses": ok,
                    "requestBody": {"required": true, "content": {"application/json": {"schema": {
                        "type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}
                    }}}},
                },
            },
            "/things/{id}": {
                "get": {"operationId": "get-thing", "summary": "Get a thing", "parameters": [id], "responses": ok},
                "delete": {"operationId": "delete-thing", "summary": "Delete a thing", "parameters": [id], "responses": ok},
            },
        },
    })
}

fn catalogue(server: &Server, base_url: &str) -> ServerCatalogue {
    let compiled = ambit_openapi::compile(&document(), &ambit_openapi::Options::default()).unwrap();
    let base = ambit_openapi::BaseUrl::parse(base_url).unwrap();
    let catalogue = ServerCatalogue::from_openapi(server, &compiled, base, T0);
    assert_eq!(catalogue.tools.len(), 4, "{:?}", compiled.left_out);
    catalogue
}

fn toolset(slug: &str, tools: &[&str], effects: &[Effect]) -> (ToolsetSlug, Toolset) {
    let slug = ToolsetSlug::parse(slug).unwrap();
    let tools = tools.iter().map(|tool| Selector::try_from((*tool).to_owned()).unwrap()).collect();
    (slug.clone(), Toolset { title: slug.to_string(), slug, tools, effects: effects.to_vec() })
}

pub fn grant(id: &str, user: &str, toolset: &str) -> Grant {
    Grant {
        id: GrantId::parse(id).unwrap(),
        subject: GrantSubject::User(UserKey::local(user).unwrap()),
        toolset: ToolsetSlug::parse(toolset).unwrap(),
        reason: "tests".into(),
        ticket: None,
        approved_by: None,
        starts_at: 0,
        expires_at: T0 + 30 * 24 * 3_600_000,
        origin: GrantOrigin::Config,
        constraints: Constraints::default(),
    }
}

/// Says what passes through tools of the API.
pub fn label<const N: usize>(deployment: &mut Deployment, labels: [(&str, Label); N]) {
    let selector = |tools: &str| Selector::try_from(tools.to_owned()).unwrap();
    deployment.servers.get_mut("api").unwrap().labels =
        labels.map(|(tools, label)| (selector(tools), [label].into())).to_vec();
}

/// Its servers are waited for longer than any test takes.
pub fn patient(deployment: &mut Deployment) {
    for server in deployment.servers.values_mut() {
        server.limits.timeout = Duration::from_mins(1);
    }
}

/// The name of one of a crowd.
pub fn person(number: usize) -> String {
    format!("person-{number}")
}

/// Adds people who may read.
pub fn crowd(deployment: &mut Deployment, many: usize) {
    for name in (0..many).map(person) {
        let account = Account { display_name: name.clone(), groups: BTreeSet::new(), email: None };
        deployment.accounts.insert(Subject::parse(&name).unwrap(), account);
        deployment.grants.push(grant(&name, &name, "reads"));
    }
}

/// Alice holds reads and writes, bob only reads; nobody holds what destroys, until it is revealed.
fn deployment(peer_url: &str) -> Deployment {
    let account = |name: &str| {
        (Subject::parse(name).unwrap(), Account { display_name: name.into(), groups: BTreeSet::new(), email: None })
    };
    let peer = Server {
        slug: ServerSlug::parse("up").unwrap(),
        upstream: Reached::Mcp { url: peer_url.into() },
        credentials: Credentials::default(),
        ..server()
    };
    Deployment {
        public_url: "https://gw.example".into(),
        endpoints: vec![
            endpoint("default", "/mcp", "api", false),
            endpoint("other", "/mcp/other", "api", true),
            endpoint("up", "/mcp/up", "up", false),
        ],
        servers: [server(), peer].into_iter().map(|server| (server.slug.clone(), server)).collect(),
        issuers: BTreeMap::new(),
        accounts: [account("alice"), account("bob"), account("carol")].into(),
        agents: BTreeMap::new(),
        toolsets: [
            toolset("reads", &["api/*"], &[Effect::Read]),
            toolset("writes", &["api/*"], &[Effect::Write]),
            toolset("destroys", &["api/delete-thing"], &[]),
            toolset("reports", &["up/*"], &[]),
        ]
        .into(),
        grants: vec![
            grant("g1", "alice", "reads"),
            grant("g2", "alice", "writes"),
            grant("g3", "bob", "reads"),
            grant("g4", "alice", "reports"),
        ],
        ceilings: ClientCeilings { default: Ceiling::Everything, ..ClientCeilings::default() },
        clients: Vec::new(),
        roles: ambit_model::operator::Roles::default(),
        policies: Arc::default(),
        access: ambit_model::access::AccessRules::default(),
        break_glass: BreakGlass {
            people: [UserKey::local("alice").unwrap()].into(),
            toolsets: [ToolsetSlug::parse("destroys").unwrap()].into(),
        },
        budgets: ambit_model::budget::Budgets::default(),
        admin: None,
        operator_may_mint: true,
        digest: Digest::of(b"tests"),
    }
}
