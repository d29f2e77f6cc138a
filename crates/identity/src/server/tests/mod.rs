//! The authorization server through its router, on a real store and a real trail, with a clock that stands still.

mod access;
mod approvals;
mod break_glass;
mod browser;
mod code;
mod consent;
mod documents;
mod flow;
mod hardening;
mod introspect;
mod login;
mod my_clients;
mod outage;
mod redirects;
mod refresh;
mod refusals;
mod register;
mod revoke;
mod routes;
mod setup;
mod under_way;
mod webhooks;

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Arc, OnceLock},
};

use ambit_egress::{Client, EgressRules, Roots};
use ambit_ledger::SigningKey;
use ambit_live::{
    Live, Parts,
    catalogue::{McpTool, ServerCatalogue},
    clock::Clock,
    credentials::Spendables,
    deployment::{Deployment, RegisteredClient},
    keys::Keys,
    lock::Lock,
};
use ambit_model::{
    Effect,
    ceiling::{Ceiling, ClientCeilings},
    constraints::Constraints,
    grant::{Grant, GrantOrigin, GrantSubject},
    ids::{ClientId, GrantId, Millis, ServerSlug, Subject, ToolName, ToolsetSlug, UserKey},
    revocation::Scope,
    secret::{Secret, SecretRef},
    server::{CallLimits, Credentials, EffectOverride, Governance, Server, Upstream},
    toolset::{Selector, Toolset},
};
use ambit_store::{Store, StoreUrl, accounts, revocations};
use ambit_trail::{Disk, Trail};
use axum::Router;

use self::browser::Browser;
use super::{ServerParts, Settings, password, router};
use crate::{
    authenticate::{Authenticator, Standing},
    jwks::Jwks,
    signing::Signing,
    testing::{T0, account, bearer, deployment, endpoint},
};

/// The password of every account of the tests.
const PASSWORD: &str = "correct horse battery";

/// The redirect of the client that configuration knows with a secret.
const CONF_REDIRECT: &str = "https://conf.example/cb";

/// Its secret.
const CONF_SECRET: &str = "s3cret of conf";

/// A gateway's authorization server.
struct App {
    router: Router,
    live: Live,
    clock: Clock,
    signing: Arc<Signing>,
    dir: tempfile::TempDir,
}

impl App {
    async fn start() -> Self {
        Self::with(world(), Settings::default(), nowhere()).await
    }

    async fn with(deployment: Deployment, settings: Settings, egress: Client) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = StoreUrl::File(dir.path().join("ambit.db"));
        Self::on(&store, dir, deployment, settings, egress).await
    }

    async fn on(
        store: &StoreUrl,
        dir: tempfile::TempDir,
        deployment: Deployment,
        settings: Settings,
        egress: Client,
    ) -> Self {
        let keys = Arc::new(Keys::open(&dir.path().join("keys")).unwrap());
        let store = Store::open(store).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        for name in ["alice", "bob"] {
            accounts::create(&mut tx, &Subject::parse(name).unwrap(), Some(hashed()), T0).await.unwrap();
        }
        tx.commit().await.unwrap();
        Self::node(store, keys, Clock::manual(T0), dir, (deployment, settings, egress)).await
    }

    /// Another node on the same store, with the same keys and clock. It hears of nothing unless it is told to look.
    async fn beside(&self, store: &StoreUrl) -> Self {
        let store = Store::open(store).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let given = (world(), Settings::default(), nowhere());
        Self::node(store, Arc::clone(self.live.keys()), self.clock.clone(), dir, given).await
    }

    async fn node(
        store: Store,
        keys: Arc<Keys>,
        clock: Clock,
        dir: tempfile::TempDir,
        (deployment, settings, egress): (Deployment, Settings, Client),
    ) -> Self {
        let signing = Arc::new(Signing::open(keys.directory(), T0).unwrap());
        let mut trail = ambit_trail::Settings::new(dir.path().join("trail"), "n1", "gw.example/n1");
        trail.segment_bytes = 1024 * 1024;
        let key = SigningKey::from_seed("gw.example/n1", &[7; 32]).unwrap();
        let trail = Trail::open(trail, key, Disk, || T0).unwrap();
        let catalogue = Arc::new(tools());
        let mut lock = Lock::default();
        for tool in catalogue.tools.values() {
            lock.accept(tool.id().clone(), tool.pin());
        }
        let parts = Parts {
            deployment,
            lock,
            servers: vec![catalogue],
            credentials: Spendables::default(),
            store,
            trail,
            keys,
            clock: clock.clone(),
        };
        let live = Live::open(parts).await.unwrap();
        let router = router(ServerParts {
            live: live.clone(),
            signing: Arc::clone(&signing),
            egress,
            secrets: Arc::new(|reference| match reference {
                SecretRef::Env(name) if name == "CONF" => Some(Secret::new(CONF_SECRET.into())),
                SecretRef::Env(name) if name == "RS" => Some(Secret::new("s3cret of rs".into())),
                _ => None,
            }),
            settings,
        });
        Self { router, live, clock, signing, dir }
    }

    fn browser(&self) -> Browser {
        Browser::new(self.router.clone(), [192, 0, 2, 1].into())
    }

    fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Every act in the trail, as text, oldest first.
    fn trail(&self) -> String {
        let mut text = String::new();
        let mut files: Vec<_> = std::fs::read_dir(self.dir.path().join("trail")).unwrap().flatten().collect();
        files.sort_by_key(std::fs::DirEntry::file_name);
        for file in files {
            if file.file_type().unwrap().is_file() {
                text.push_str(&String::from_utf8_lossy(&std::fs::read(file.path()).unwrap()).replace('\0', ""));
            }
        }
        text
    }

    async fn block(&self, scope: Scope) {
        let mut tx = self.live.store().begin().await.unwrap();
        let act = revocations::Act { by: "operator:test", reason: "test", at_ms: self.now() };
        revocations::block(&mut tx, &scope, act).await.unwrap();
        tx.commit().await.unwrap();
        self.live.refresh().await.unwrap();
    }

    async fn revoke(&self, scope: Scope) {
        self.revoke_unheard(scope).await;
        self.live.refresh().await.unwrap();
    }

    /// A revocation that requests here do not see yet.
    async fn revoke_unheard(&self, scope: Scope) {
        let mut tx = self.live.store().begin().await.unwrap();
        let act = revocations::Act { by: "operator:test", reason: "test", at_ms: self.now() };
        revocations::revoke(&mut tx, &scope, self.now(), act).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Whether a call with an access token would be let in at the default endpoint.
    async fn lets_in(&self, token: &str) -> bool {
        let snapshot = self.live.current();
        let authenticator = Authenticator::new(Arc::clone(&self.signing), Arc::new(Jwks::new(nowhere())));
        let endpoint = &snapshot.deployment.endpoints[0];
        let standing = Standing::from(&*snapshot);
        authenticator.authenticate(&bearer(token), None, endpoint, standing, self.now()).await.is_ok()
    }
}

fn alice() -> UserKey {
    UserKey::local("alice").unwrap()
}

fn slug(text: &str) -> ToolsetSlug {
    ToolsetSlug::parse(text).unwrap()
}

fn hashed() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| password::hash("alice", PASSWORD).unwrap())
}

/// A client that reaches only the public internet, as in production.
fn nowhere() -> Client {
    let pem = rcgen::generate_simple_self_signed(["stranger.example".to_owned()]).unwrap().cert.pem();
    let settings =
        ambit_egress::Settings { rules: EgressRules::public_only(), roots: Roots::only(pem), ..Default::default() };
    Client::new(&settings).unwrap()
}

/// Bounds that no test meets by accident.
fn generous() -> Settings {
    let many = NonZeroU32::new(10_000).unwrap();
    Settings {
        registrations_per_hour: many,
        all_registrations_per_hour: many,
        documents_per_minute: many,
        waiting_per_minute: many,
        logins_per_minute: many,
        refusals_per_minute: many,
        failed_documents_after: std::time::Duration::from_millis(40),
    }
}

/// Two endpoints over one server of three tools. Alice holds `reading` and `writing`, Bob `reading`.
fn world() -> Deployment {
    let server = server();
    let mut world = deployment();
    world.endpoints = ["default", "other"]
        .map(|slug| {
            let mut endpoint = endpoint(slug, None);
            endpoint.servers = vec![server.slug.clone()];
            endpoint.title = format!("The {slug} tools");
            endpoint
        })
        .to_vec();
    world.endpoints.push(endpoint("foreign", Some("okta")));
    world.servers = [(server.slug.clone(), server)].into();
    world.accounts = [("alice", "Alice Example"), ("bob", "")]
        .map(|(name, title)| {
            let mut account = account(&[]);
            account.display_name = title.into();
            (Subject::parse(name).unwrap(), account)
        })
        .into();
    world.toolsets = [toolset("reading", &["up/get"]), toolset("writing", &["up/create", "up/delete"])].into();
    world.grants =
        vec![grant("g1", "alice", "reading"), grant("g2", "alice", "writing"), grant("g3", "bob", "reading")];
    world.ceilings = ClientCeilings { clients: BTreeMap::new(), default: Ceiling::Everything };
    world.clients = vec![
        client("conf", &[CONF_REDIRECT], Some("CONF"), false),
        client("pinned", &["http://127.0.0.1/cb", "https://pinned.example/cb"], None, false),
        client("rs", &[], Some("RS"), true),
    ];
    world
}

fn toolset(name: &str, selectors: &[&str]) -> (ToolsetSlug, Toolset) {
    let tools = selectors.iter().map(|text| Selector::try_from((*text).to_owned()).unwrap()).collect();
    (slug(name), Toolset { slug: slug(name), title: format!("All {name}"), tools, effects: Vec::new() })
}

fn grant(id: &str, user: &str, toolset: &str) -> Grant {
    Grant {
        id: GrantId::parse(id).unwrap(),
        subject: GrantSubject::User(UserKey::local(user).unwrap()),
        toolset: slug(toolset),
        reason: "tests".into(),
        ticket: None,
        approved_by: None,
        starts_at: 0,
        expires_at: T0 + 365 * 24 * 3_600_000,
        origin: GrantOrigin::Config,
        constraints: Constraints::default(),
    }
}

fn client(id: &str, redirects: &[&str], secret: Option<&str>, may_introspect: bool) -> RegisteredClient {
    RegisteredClient {
        id: ClientId::parse(id).unwrap(),
        name: format!("Client {id}"),
        redirect_uris: redirects.iter().map(|uri| (*uri).to_owned()).collect(),
        secret: secret.map(|name| SecretRef::Env(name.into())),
        may_introspect,
        is_pep: false,
    }
}

fn server() -> Server {
    let effect =
        |name: &str, effect| (ToolName::parse(name).unwrap(), EffectOverride { effect, reason: "tests".into() });
    Server {
        slug: ServerSlug::parse("up").unwrap(),
        governance: Governance {
            owner: "o".into(),
            purpose: "p".into(),
            environment: "test".into(),
            data_class: "internal".into(),
            expires_at: Millis::MAX,
            revoke_when: "never".into(),
        },
        upstream: Upstream::Mcp { url: "https://up.example/mcp".into() },
        credentials: Credentials::default(),
        overrides: [
            effect("get", Effect::Read),
            effect("create", Effect::Write),
            effect("delete", Effect::Destructive),
        ]
        .into(),
        approvals: ambit_model::server::ServerApprovals::default(),
        labels: Vec::new(),
        limits: CallLimits::default(),
    }
}

fn tools() -> ServerCatalogue {
    let listed = ["get", "create", "delete"].map(|name| McpTool {
        name: name.into(),
        title: None,
        description: Some(name.into()),
        input_schema: serde_json::json!({ "type": "object" }),
        output_schema: None,
        annotations: None,
        rest: None,
    });
    ServerCatalogue::from_mcp(&server(), listed.to_vec(), Vec::new(), T0)
}
