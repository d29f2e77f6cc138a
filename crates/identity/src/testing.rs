//! What the tests of this room share: a small deployment, and the room over it with a revision that moves.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ambit_egress::{Client, EgressRules, Roots, Settings};
use ambit_live::{
    deployment::{Account, Agent, Deployment},
    revocations::Revocations,
};
use ambit_model::{
    Digest,
    caller::{Assurance, ClientFacts},
    ceiling::ClientCeilings,
    endpoint::{Endpoint, EndpointIssuer},
    ids::{AgentId, ClientId, EndpointSlug, GroupName, IssuerName, Millis, Subject, ToolsetSlug, UserKey},
    issuer::{Algorithm, GroupSource, Issuer, IssuerScopes, People, TypRule},
    revocation::{Mark, Scope},
    toolset::Toolset,
};
use ambit_policy::{Judge, JudgeInput};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use proptest::prelude::*;
use serde_json::Value;

use crate::{
    authenticate::{AuthFailure, Authenticator, Standing},
    caller::Caller,
    jwks::Jwks,
    mint::{Minted, TokenRequest, mint},
    signing::Signing,
    token::TokenSubject,
    verify::TokenFault,
};

mod issuer;

pub use issuer::{Foreign, Reply, Script, TestKey, jwks_of};

/// The time of the tests, at the start of a second.
pub const T0: Millis = 1_800_000_000_000;

/// The issuer of the default endpoint.
pub const OWN_ISSUER: &str = "https://gw.example/as/default";

/// The URL of the default endpoint.
pub const OWN_RESOURCE: &str = "https://gw.example/mcp";

/// An endpoint of the tests.
pub fn endpoint(slug: &str, issuer: Option<&str>) -> Endpoint {
    let path = if slug == "default" { "/mcp".to_owned() } else { format!("/mcp/{slug}") };
    Endpoint {
        slug: EndpointSlug::parse(slug).unwrap(),
        resource: format!("https://gw.example{path}"),
        path,
        title: slug.to_owned(),
        servers: Vec::new(),
        prefix: true,
        issuer: match issuer {
            None => EndpointIssuer::Embedded { issuer: format!("https://gw.example/as/{slug}") },
            Some(name) => EndpointIssuer::External(IssuerName::parse(name).unwrap()),
        },
    }
}

/// A deployment with endpoints `default` and `other`, user alice, agent bot, toolsets `read` and `write`.
pub fn deployment() -> Deployment {
    let toolset = |slug: &str| {
        let slug = ToolsetSlug::parse(slug).unwrap();
        (slug.clone(), Toolset { slug, title: String::new(), tools: Vec::new(), effects: Vec::new() })
    };
    Deployment {
        public_url: "https://gw.example".into(),
        endpoints: vec![endpoint("default", None), endpoint("other", None)],
        servers: BTreeMap::new(),
        issuers: BTreeMap::new(),
        accounts: [(Subject::parse("alice").unwrap(), account(&["staff"]))].into(),
        agents: [(
            AgentId::parse("bot").unwrap(),
            Agent { owner: UserKey::local("alice").unwrap(), purpose: "tests".into(), expires_at: T0 + 3_600_000 },
        )]
        .into(),
        toolsets: [toolset("read"), toolset("write")].into(),
        grants: Vec::new(),
        ceilings: ClientCeilings::default(),
        clients: Vec::new(),
        roles: ambit_model::operator::Roles::default(),
        policies: Arc::default(),
        break_glass: ambit_model::break_glass::BreakGlass::default(),
        budgets: ambit_model::budget::Budgets::default(),
        admin: None,
        access: ambit_model::access::AccessRules::default(),
        operator_may_mint: true,
        digest: Digest::of(b"one"),
    }
}

pub fn account(groups: &[&str]) -> Account {
    Account {
        display_name: String::new(),
        groups: groups.iter().map(|name| GroupName::parse(name).unwrap()).collect(),
        email: None,
    }
}

pub fn toolsets(slugs: &[&str]) -> BTreeSet<ToolsetSlug> {
    slugs.iter().map(|slug| ToolsetSlug::parse(slug).unwrap()).collect()
}

/// A configured issuer that maps `staff-id` to `staff`.
pub fn issuer(name: &str, iss: &str) -> Issuer {
    Issuer {
        name: IssuerName::parse(name).unwrap(),
        issuer: iss.to_owned(),
        jwks_uri: None,
        algorithms: [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa].into(),
        typ: TypRule::Strict,
        other_audiences: BTreeSet::new(),
        subject_claim: "sub".into(),
        client_claims: vec!["client_id".into(), "azp".into()],
        people: People::Unmarked,
        groups: Some(GroupSource {
            claim: "groups".into(),
            map: [("staff-id".to_owned(), GroupName::parse("staff").unwrap())].into(),
        }),
        scopes: IssuerScopes::Map([("mux.read".to_owned(), ToolsetSlug::parse("read").unwrap())].into()),
        claims: ["department".to_owned()].into(),
    }
}

/// A gateway's identity room over one deployment, with a revision that moves.
pub struct Room {
    pub deployment: Deployment,
    pub signing: Arc<Signing>,
    pub jwks: Arc<Jwks>,
    pub authenticator: Authenticator,
    marks: BTreeMap<Scope, Mark>,
    revocations: Revocations,
    judge: Judge,
    revision: u64,
    keys: tempfile::TempDir,
}

impl Room {
    pub fn new(deployment: Deployment) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let signing = Arc::new(Signing::open(keys.path(), T0).unwrap());
        let jwks = Arc::new(Jwks::new(loopback_client()));
        jwks.follow(&deployment);
        let authenticator = Authenticator::new(Arc::clone(&signing), Arc::clone(&jwks));
        let mut room = Self {
            deployment,
            signing,
            jwks,
            authenticator,
            marks: BTreeMap::new(),
            revocations: Revocations::default(),
            judge: Judge::build(JudgeInput::default()).unwrap(),
            revision: 0,
            keys,
        };
        room.next_revision();
        room
    }

    /// Where the signing keys are.
    pub fn key_directory(&self) -> &std::path::Path {
        self.keys.path()
    }

    pub fn next_revision(&mut self) {
        self.revision += 1;
        self.revocations = Revocations::new(self.marks.clone(), self.revision);
        let toolsets = self.deployment.toolsets.values().cloned().collect();
        self.judge = Judge::build(JudgeInput { revision: self.revision, toolsets, ..JudgeInput::default() }).unwrap();
    }

    /// Sets or lifts a mark, as a revision that a node learns of.
    pub fn mark(&mut self, scope: Scope, mark: Mark) {
        self.marks.insert(scope, mark);
        self.next_revision();
    }

    /// Changes the configuration, as a reload does.
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut Deployment)) {
        change(&mut self.deployment);
        self.deployment.digest = Digest::of(self.deployment.digest.to_string().as_bytes());
        self.jwks.follow(&self.deployment);
    }

    pub fn standing(&self) -> Standing<'_> {
        Standing {
            revision: self.revision,
            deployment: &self.deployment,
            revocations: &self.revocations,
            judge: &self.judge,
        }
    }

    /// Authenticates a bearer token at an endpoint.
    pub async fn at(&self, slug: &str, token: &str, now: Millis) -> Result<Arc<Caller>, AuthFailure> {
        self.with(slug, &bearer(token), None, now).await
    }

    pub async fn with(
        &self,
        slug: &str,
        headers: &HeaderMap,
        query: Option<&str>,
        now: Millis,
    ) -> Result<Arc<Caller>, AuthFailure> {
        let endpoint = self.deployment.endpoint(&EndpointSlug::parse(slug).unwrap()).unwrap();
        self.authenticator.authenticate(headers, query, endpoint, self.standing(), now).await
    }

    pub fn mint(&self, request: TokenRequest, now: Millis) -> Minted {
        mint(&self.signing, &self.deployment.endpoints[0], request, now).unwrap()
    }

    /// A token of alice's for the default endpoint.
    pub fn alice(&self, now: Millis) -> String {
        self.mint(request(), now).token
    }
}

/// What a login of alice at client `c1` asks for.
pub fn request() -> TokenRequest {
    TokenRequest {
        subject: TokenSubject::Person(UserKey::local("alice").unwrap()),
        client: ClientFacts { id: ClientId::parse("c1").unwrap(), assurance: Assurance::Dynamic },
        toolsets: toolsets(&["read"]),
        declined: toolsets(&["write"]),
        family: Some("f1".into()),
        auth_time: Some(T0 - 5_000),
        amr: vec!["pwd".into()],
        authorized_at: T0 - 4_000,
    }
}

pub fn bearer(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
    headers
}

pub fn loopback_client() -> Client {
    let rules = EgressRules::new(vec!["127.0.0.0/8".parse().unwrap()]);
    Client::new(&Settings { rules, roots: Roots::native(), ..Settings::default() }).unwrap()
}

/// The fault a token was refused for.
pub fn fault(result: &Result<Arc<Caller>, AuthFailure>) -> TokenFault {
    match result {
        Err(AuthFailure::Token(fault)) => *fault,
        other => panic!("expected a token fault, got {other:?}"),
    }
}

/// Any JSON value of a modest size, with the member names of headers, claims and keys among its own.
pub fn any_json() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "alg", "typ", "kid", "crit", "keys", "kty", "crv", "x", "n", "e", "use", "sub", "act",
    ]);
    let words =
        prop::sample::select(vec!["ES256", "RS256", "none", "at+jwt", "sig", "EC", "RSA", "OKP", "P-256", "AQAB"]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        (-1e12..1e12).prop_map(|number: f64| Value::from(number)),
        words.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let name = prop_oneof![names.prop_map(str::to_owned), any::<String>()];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::hash_map(name.clone(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}
