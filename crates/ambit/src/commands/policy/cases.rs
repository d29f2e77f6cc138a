//! The cases beside the rules, as they are written: who calls which tool with what, and what has to come of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use ambit_model::{
    Outcome,
    caller::{AgentFacts, Assurance, CallerFacts, ClientFacts, Principal, TokenScopes, UserFacts},
    ids::{AgentId, ClientId, GroupName, InvalidId, Millis, ToolId, ToolsetSlug, UserKey},
};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::config::quantity;

/// The largest file of cases.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// A file of cases.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct File {
    cases: Vec<Case>,
}

/// One case.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it is about.
    pub name: String,
    /// The user: a local account, or `issuer:subject`.
    #[serde(rename = "as", default, deserialize_with = "user")]
    pub user: Option<UserKey>,
    /// The groups of the user; those of the configuration for a local account if absent.
    groups: Option<BTreeSet<GroupName>>,
    /// Claims that rules may read.
    #[serde(default)]
    claims: BTreeMap<String, Value>,
    /// The agent.
    pub agent: Option<AgentId>,
    /// The client software.
    #[serde(default)]
    client: Client,
    /// The path of the endpoint; the first that publishes the server if absent.
    pub endpoint: Option<String>,
    /// The tool.
    pub tool: ToolId,
    /// The arguments.
    #[serde(default)]
    pub arguments: Map<String, Value>,
    /// Toolsets the caller holds in this case, beside what the configuration grants.
    #[serde(default)]
    pub holds: BTreeSet<ToolsetSlug>,
    /// Toolsets whose destructive tools are revealed in this case.
    #[serde(default)]
    pub revealed: BTreeSet<ToolsetSlug>,
    /// What is particular to the call.
    #[serde(default)]
    pub context: Call,
    /// What has to come of it.
    pub expect: Outcome,
    /// The rules that have to decide; not looked at if absent.
    pub by: Option<BTreeSet<String>>,
    /// The rules that have to be recorded; not looked at if absent.
    pub reported: Option<BTreeSet<String>>,
}

/// A user as configuration writes it.
fn user<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UserKey>, D::Error> {
    let text = String::deserialize(deserializer)?;
    UserKey::parse(&text).map(Some).map_err(serde::de::Error::custom)
}

#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields, default)]
struct Client {
    id: Option<ClientId>,
    assurance: Option<Assurance>,
}

/// What is particular to the call.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Call {
    /// Whether an approval of exactly this call stands.
    pub approved: bool,
    /// Where it comes from.
    pub source: Option<IpAddr>,
    /// When: a date, or `2026-12-24T22:00:00Z`; now if absent.
    at: Option<String>,
    /// The labels the caller touched.
    pub touched: BTreeSet<String>,
    /// The login behind the token.
    login: Option<Login>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Login {
    /// How long ago, such as `10m`.
    age: String,
    #[serde(default)]
    methods: Vec<String>,
}

/// Why cases cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// A file or directory.
    #[error("`{}` cannot be read: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Larger than is read.
    #[error("`{}` has more than {MAX_BYTES} bytes: split it", .0.display())]
    TooLarge(PathBuf),
    /// No cases.
    #[error("`{}` is no file of cases: {why}", path.display())]
    Shape {
        /// Which.
        path: PathBuf,
        /// Why, with the line.
        why: String,
    },
}

/// The cases of every `*.yaml` and `*.yml` of a directory, with the file each stands in.
///
/// # Errors
/// [`Unusable`].
pub fn read(directory: &Path) -> Result<Vec<(PathBuf, Vec<Case>)>, Unusable> {
    let of = |path: &Path, source| Unusable::Unreadable { path: path.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| of(directory, error))? {
        let path = entry.map_err(|error| of(directory, error))?.path();
        if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        if fs::metadata(&path).map_err(|error| of(&path, error))?.len() > MAX_BYTES {
            return Err(Unusable::TooLarge(path));
        }
        let text = fs::read_to_string(&path).map_err(|error| of(&path, error))?;
        let shape = |why: String| Unusable::Shape { path: path.clone(), why };
        let file: File = serde_saphyr::from_str(&text).map_err(|error| shape(error.to_string()))?;
        if let Some(case) = file.cases.iter().find(|case| case.user.is_none() && case.agent.is_none()) {
            return Err(shape(format!("case `{}` has neither `as` nor `agent`: say who calls", case.name)));
        }
        if let Some(case) = file.cases.iter().find(|case| case.times().is_none()) {
            let why = "write `at` as a date or `2026-12-24T22:00:00Z`, and `age` as `10m`";
            return Err(shape(format!("case `{}` has a time that is none: {why}", case.name)));
        }
        files.push((path, file.cases));
    }
    Ok(files)
}

impl Case {
    /// When the call is made, if the case says, and how long before it the login was; `None` if either is no time.
    fn times(&self) -> Option<(Option<Millis>, Option<Millis>)> {
        let at = match &self.context.at {
            Some(text) => Some(quantity::instant(text)?),
            None => None,
        };
        let age = match &self.context.login {
            Some(login) => Some(i64::try_from(quantity::duration(&login.age)?.as_millis()).ok()?),
            None => None,
        };
        Some((at, age))
    }

    /// When the call is made.
    pub fn at(&self, now: Millis) -> Millis {
        self.times().and_then(|(at, _)| at).unwrap_or(now)
    }

    /// When and how the caller logged in.
    pub fn login(&self, now: Millis) -> Option<ambit_policy::Login<'_>> {
        let (_, age) = self.times()?;
        let methods = &self.context.login.as_ref()?.methods;
        Some(ambit_policy::Login { at: self.at(now).saturating_sub(age?), methods })
    }

    /// The client software.
    ///
    /// # Errors
    /// Never with the name operators' commands look through; the type is that of a name that is written.
    pub fn client(&self) -> Result<ClientId, InvalidId> {
        match &self.client.id {
            Some(id) => Ok(id.clone()),
            None => ClientId::parse(ambit_identity::mint::OPERATOR_CLIENT),
        }
    }

    /// The caller, whose token carries everything: scopes are not what rules are tested for.
    pub fn caller(
        &self,
        groups: impl Fn(&UserKey) -> BTreeSet<GroupName>,
        agent: Option<AgentFacts>,
    ) -> Option<CallerFacts> {
        let user = self.user.as_ref().map(|key| UserFacts {
            key: key.clone(),
            groups: self.groups.clone().unwrap_or_else(|| groups(key)),
            claims: self.claims.clone(),
        });
        let principal = match (user, agent) {
            (Some(user), None) => Principal::Person { user },
            (None, Some(agent)) => Principal::Agent { agent },
            (Some(user), Some(agent)) => Principal::Delegated { user, agent },
            (None, None) => return None,
        };
        let id = self.client().ok()?;
        Some(CallerFacts {
            principal,
            client: ClientFacts { id, assurance: self.client.assurance.unwrap_or(Assurance::Confidential) },
            scopes: TokenScopes::None,
            declined: BTreeSet::new(),
            operator: None,
        })
    }
}
