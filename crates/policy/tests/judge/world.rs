//! Deployments and callers as the case files write them. Times are small integers.

use std::collections::{BTreeMap, BTreeSet};

use ambit_model::{
    Digest, Effect, Outcome,
    caller::{AgentFacts, Assurance, CallerFacts, ClientFacts, Principal, TokenScopes, UserFacts},
    ceiling::{Ceiling, ClientCeilings},
    constraints::{Constraints, ToolPattern},
    grant::{Grant, GrantOrigin, GrantSubject, Reveal},
    ids::{AgentId, ClientId, EndpointSlug, GrantId, GroupName, Millis, ServerSlug, ToolId, ToolsetSlug, UserKey},
    tool::Acceptance,
    toolset::{Selector, Toolset},
};
use ambit_policy::{EndpointFacts, JudgeInput, ServerFacts, ToolFacts};
use serde::Deserialize;
use serde_json::json;

pub const FAR: Millis = 100_000;

#[derive(Deserialize, Debug, Clone, Default)]
#[serde(deny_unknown_fields, default)]
pub struct World {
    pub servers: BTreeMap<String, Millis>,
    pub endpoints: BTreeMap<String, Vec<String>>,
    /// `"server/tool" = "effect"` or `"effect state"`.
    pub tools: BTreeMap<String, String>,
    pub toolsets: BTreeMap<String, Vec<String>>,
    /// `client = ["toolset"]`; `default` for every other, `["*"]` for everything.
    pub ceilings: BTreeMap<String, Vec<String>>,
    pub grants: Vec<GrantSpec>,
    pub reveals: Vec<RevealSpec>,
}

#[derive(Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub struct GrantSpec {
    pub id: String,
    /// `user alice`, `group staff`, `agent bot`, `client desk`, `claim okta:org_id=acme`.
    pub to: String,
    pub toolset: String,
    #[serde(default)]
    pub from: Millis,
    #[serde(default = "far")]
    pub until: Millis,
    /// The values of argument `env` that it allows: `["*: a", "mux/get-*: a b"]`. Everything if there is none.
    #[serde(default)]
    pub only: Vec<String>,
}

#[derive(Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub struct RevealSpec {
    pub id: String,
    pub user: String,
    pub client: String,
    pub agent: Option<String>,
    pub toolset: String,
    #[serde(default)]
    pub from: Millis,
    #[serde(default = "far")]
    pub until: Millis,
}

#[derive(Deserialize, Debug, Clone, Default)]
#[serde(deny_unknown_fields, default)]
pub struct CallerSpec {
    pub user: Option<String>,
    pub groups: Vec<String>,
    /// Claims of one text each.
    pub claims: BTreeMap<String, String>,
    pub agent: Option<String>,
    pub agent_until: Option<Millis>,
    pub client: Option<String>,
    /// Absent: the issuer has no word for toolsets.
    pub scopes: Option<Vec<String>>,
    pub declined: Vec<String>,
    pub operator: bool,
}

fn far() -> Millis {
    FAR
}

impl World {
    pub fn read(text: &str) -> Self {
        toml::from_str(text).unwrap()
    }

    pub fn input(&self) -> JudgeInput {
        JudgeInput {
            revision: 3,
            toolsets: self.toolsets.iter().map(|(slug, tools)| toolset(slug, tools)).collect(),
            grants: self.grants.iter().map(GrantSpec::build).collect(),
            reveals: self.reveals.iter().map(RevealSpec::build).collect(),
            ceilings: self.ceilings(),
            tools: self.tools.iter().map(|(id, state)| tool(id, state)).collect(),
            servers: self.servers.iter().map(|(slug, expires_at)| server(slug, *expires_at)).collect(),
            endpoints: self.endpoints.iter().map(|(slug, servers)| endpoint(slug, servers)).collect(),
            policies: std::sync::Arc::default(),
        }
    }

    fn ceilings(&self) -> ClientCeilings {
        let ceiling = |names: &[String]| match names {
            [all] if all == "*" => Ceiling::Everything,
            some => Ceiling::Only(toolset_slugs(some)),
        };
        let mut ceilings = ClientCeilings::default();
        for (client, names) in &self.ceilings {
            match client.as_str() {
                "default" => ceilings.default = ceiling(names),
                named => {
                    ceilings.clients.insert(ClientId::parse(named).unwrap(), ceiling(names));
                }
            }
        }
        ceilings
    }
}

pub fn toolset_slugs(names: &[String]) -> BTreeSet<ToolsetSlug> {
    names.iter().map(|name| ToolsetSlug::parse(name).unwrap()).collect()
}

pub fn toolset(slug: &str, tools: &[String]) -> Toolset {
    Toolset {
        slug: ToolsetSlug::parse(slug).unwrap(),
        title: slug.to_owned(),
        tools: tools.iter().map(|selector| Selector::try_from(selector.clone()).unwrap()).collect(),
        effects: Vec::new(),
    }
}

fn tool(id: &str, state: &str) -> ToolFacts {
    let mut words = state.split(' ');
    let effect = match words.next().unwrap() {
        "read" => Effect::Read,
        "write" => Effect::Write,
        "destructive" => Effect::Destructive,
        other => panic!("no effect: {other}"),
    };
    let acceptance = match words.next() {
        None => Acceptance::Accepted,
        Some("new") => Acceptance::New,
        Some("changed") => Acceptance::Changed,
        Some(other) => panic!("no state: {other}"),
    };
    let id = ToolId::parse(id).unwrap();
    ToolFacts {
        definition: Digest::of(id.to_string().as_bytes()),
        id,
        effect,
        acceptance,
        labels: Vec::new(),
        approval_waived_until: None,
        input_schema: None,
    }
}

fn server(slug: &str, expires_at: Millis) -> ServerFacts {
    ServerFacts {
        slug: ServerSlug::parse(slug).unwrap(),
        environment: "production".to_owned(),
        data_class: "internal".to_owned(),
        owner: "platform".to_owned(),
        expires_at,
    }
}

fn endpoint(slug: &str, servers: &[String]) -> EndpointFacts {
    EndpointFacts {
        slug: EndpointSlug::parse(slug).unwrap(),
        servers: servers.iter().map(|server| ServerSlug::parse(server).unwrap()).collect(),
    }
}

impl GrantSpec {
    pub fn build(&self) -> Grant {
        let (kind, name) = self.to.split_once(' ').unwrap();
        let subject = GrantSubject::parse(kind, name).unwrap().unwrap();
        Grant {
            id: GrantId::parse(&self.id).unwrap(),
            subject,
            toolset: ToolsetSlug::parse(&self.toolset).unwrap(),
            reason: "case".to_owned(),
            ticket: None,
            approved_by: None,
            starts_at: self.from,
            expires_at: self.until,
            origin: GrantOrigin::Config,
            constraints: constraints(&self.only),
        }
    }
}

/// `pattern: value value` as a constraint of argument `env`.
fn constraints(only: &[String]) -> Constraints {
    let fragment = |values: &str| json!({"properties": {"env": {"enum": values.split(' ').collect::<Vec<_>>()}}});
    let each = only.iter().map(|line| line.split_once(": ").unwrap());
    Constraints::new(each.map(|(tools, values)| (ToolPattern::parse(tools).unwrap(), fragment(values))).collect())
        .unwrap()
}

impl RevealSpec {
    pub fn build(&self) -> Reveal {
        Reveal {
            id: GrantId::parse(&self.id).unwrap(),
            user: UserKey::parse(&self.user).unwrap(),
            client: ClientId::parse(&self.client).unwrap(),
            agent: self.agent.as_ref().map(|agent| AgentId::parse(agent).unwrap()),
            toolset: ToolsetSlug::parse(&self.toolset).unwrap(),
            reason: "case".to_owned(),
            approved_by: None,
            starts_at: self.from,
            expires_at: self.until,
        }
    }
}

impl CallerSpec {
    pub fn build(&self) -> CallerFacts {
        let user = self.user.as_ref().map(|user| UserFacts {
            key: UserKey::parse(user).unwrap(),
            groups: self.groups.iter().map(|group| GroupName::parse(group).unwrap()).collect(),
            claims: self.claims.iter().map(|(name, text)| (name.clone(), text.as_str().into())).collect(),
        });
        let agent = self.agent.as_ref().map(|agent| AgentFacts {
            id: AgentId::parse(agent).unwrap(),
            owner: UserKey::local("owner").unwrap(),
            expires_at: self.agent_until.unwrap_or(FAR),
        });
        let principal = match (user, agent) {
            (Some(user), None) => Principal::Person { user },
            (None, Some(agent)) => Principal::Agent { agent },
            (Some(user), Some(agent)) => Principal::Delegated { user, agent },
            (None, None) => panic!("a caller has a user or an agent"),
        };
        let id = ClientId::parse(self.client.as_deref().unwrap_or("desk")).unwrap();
        CallerFacts {
            principal,
            client: ClientFacts { id, assurance: Assurance::Cimd },
            scopes: self.scopes.as_ref().map_or(TokenScopes::None, |names| TokenScopes::Toolsets(toolset_slugs(names))),
            declined: toolset_slugs(&self.declined),
            operator: self.operator.then(|| "operator:root".to_owned()),
        }
    }
}

pub fn outcome(word: &str) -> Outcome {
    [Outcome::Hidden, Outcome::Allow, Outcome::NeedsScope, Outcome::NeedsApproval, Outcome::Refused]
        .into_iter()
        .find(|outcome| outcome.as_str() == word)
        .unwrap()
}
