//! One immutable view of the deployment: everything a request decides on. Built whole, or not at all.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use ambit_model::{
    Effect,
    caller::CallerFacts,
    grant::{Grant, Reveal},
    ids::{EndpointSlug, GrantId, Millis, ServerSlug, ToolId},
    revocation::{Mark, Scope},
};
use ambit_policy::{BuildError, EndpointFacts, EndpointIndex, Judge, JudgeInput, ServerFacts, ToolFacts, ToolIndex};

use crate::{
    catalogue::{Catalogue, EndpointView, ServerCatalogue, ToolPosition},
    credentials::Spendables,
    deployment::Deployment,
    lock::Lock,
    revocations::Revocations,
};

/// What a request sees.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts this node's snapshots; every swap has a new one. The trail says what each was made of.
    pub revision: u64,
    /// The revision of the store its rows were read at.
    pub store_revision: u64,
    /// What configuration declares.
    pub deployment: Arc<Deployment>,
    /// Revocations and blocks.
    pub revocations: Arc<Revocations>,
    /// Who may see and call what.
    pub judge: Arc<Judge>,
    /// Every tool.
    pub catalogue: Arc<Catalogue>,
    /// What is spent downstream.
    pub credentials: Arc<Spendables>,
    glass: Vec<Reveal>,
    by_path: HashMap<String, usize>,
}

/// Why there is no snapshot of some inputs. The one before stays.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The facts contradict each other.
    #[error(transparent)]
    Judge(#[from] BuildError),
    /// Catalogue and judge count tools differently: a defect, caught before anything is decided on it.
    #[error("tool `{0}` has two numbers; this is a defect of the program")]
    Numbering(String),
}

/// Everything a snapshot is made of.
#[derive(Debug, Clone)]
pub(crate) struct Inputs {
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) lock: Arc<Lock>,
    pub(crate) servers: BTreeMap<ServerSlug, Arc<ServerCatalogue>>,
    pub(crate) credentials: Arc<Spendables>,
    pub(crate) rows: Arc<Rows>,
}

/// What the store says.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) revision: u64,
    pub(crate) grants: Vec<Grant>,
    pub(crate) reveals: Vec<Reveal>,
    /// Those of a broken glass.
    pub(crate) glass: BTreeSet<GrantId>,
    pub(crate) marks: Vec<(Scope, Mark)>,
}

impl Snapshot {
    /// Builds the snapshot of some inputs, with the rules of the one before.
    pub(crate) fn build(inputs: &Inputs, revision: u64, before: Option<&Judge>) -> Result<Self, SnapshotError> {
        let deployment = &inputs.deployment;
        let servers = usable(inputs);
        let catalogue = Catalogue::build(deployment, &servers, &inputs.lock);
        let input = judge_input(inputs, &catalogue, revision);
        let judge = match before {
            Some(before) => before.successor(input)?,
            None => Judge::build(input)?,
        };
        for (position, entry) in catalogue.entries().iter().enumerate() {
            if judge.tool_index(entry.tool.id()).map(position_of) != Some(position) {
                return Err(SnapshotError::Numbering(entry.tool.id().to_string()));
            }
        }
        let by_path = deployment.endpoints.iter().enumerate().map(|(at, e)| (e.path.clone(), at)).collect();
        Ok(Self {
            revision,
            store_revision: inputs.rows.revision,
            deployment: Arc::clone(deployment),
            revocations: Arc::new(Revocations::new(inputs.rows.marks.iter().cloned(), revision)),
            judge: Arc::new(judge),
            catalogue: Arc::new(catalogue),
            credentials: Arc::clone(&inputs.credentials),
            glass: inputs
                .rows
                .reveals
                .iter()
                .filter(|reveal| inputs.rows.glass.contains(&reveal.id))
                .cloned()
                .collect(),
            by_path,
        })
    }

    /// The broken glass by which a call of this caller waits for nobody now: their own, in this client, for a toolset that has
    /// the tool, while configuration still names them and it. No agent has one, and nobody by a token an operator made.
    pub fn broken_glass(
        &self,
        caller: &CallerFacts,
        (tool, effect): (&ToolId, Effect),
        now: Millis,
    ) -> Option<&Reveal> {
        let user = caller.user().filter(|_| caller.agent().is_none() && caller.operator.is_none())?;
        self.glass.iter().find(|reveal| {
            let toolset = self.deployment.toolsets.get(&reveal.toolset);
            reveal.user == user.key
                && reveal.client == caller.client.id
                && reveal.agent.is_none()
                && reveal.starts_at <= now
                && now < reveal.expires_at
                && self.deployment.break_glass.admits(&reveal.user, &reveal.toolset)
                && toolset.is_some_and(|toolset| toolset.contains(tool, effect))
        })
    }

    /// The block that refuses a caller everything at an endpoint, whatever their token: of something they consist of, of the
    /// endpoint, or of everything.
    pub fn block_of(&self, caller: &CallerFacts, endpoint: &EndpointSlug, now: Millis) -> Option<Scope> {
        let mut scopes = vec![Scope::Deployment, Scope::Endpoint(endpoint.clone())];
        scopes.extend(caller.user().map(|user| Scope::User(user.key.clone())));
        scopes.extend(caller.agent().map(|agent| Scope::Agent(agent.id.clone())));
        scopes.push(Scope::Client(caller.client.id.clone()));
        // A login after this instant is judged: only a block stands in its way.
        self.revocations.judge(&scopes, now.saturating_add(1)).map(|(scope, _)| scope.clone())
    }

    /// The endpoint published at a path, with its number.
    pub fn endpoint_at(&self, path: &str) -> Option<(EndpointIndex, &EndpointView)> {
        let at = *self.by_path.get(path)?;
        Some((EndpointIndex(u32::try_from(at).ok()?), self.catalogue.endpoints().get(at)?))
    }
}

/// The servers as declared now. One that was only read under another declaration has no tools until it is read again.
fn usable(inputs: &Inputs) -> Vec<Arc<ServerCatalogue>> {
    let declared = inputs.servers.values().filter_map(|read| Some((read, inputs.deployment.servers.get(&read.slug)?)));
    let usable = declared.map(|(read, server)| {
        if read.is_of(server) {
            return Arc::clone(read);
        }
        let problem = "its declaration has changed and it was not read since".to_owned();
        Arc::new(ServerCatalogue::failed(read.slug.clone(), problem, read.read_at()))
    });
    usable.collect()
}

/// The judge's number of a catalogue position.
pub fn index_of(position: ToolPosition) -> Option<ToolIndex> {
    u32::try_from(position).ok().map(ToolIndex)
}

/// The catalogue position of a judge's number.
pub fn position_of(index: ToolIndex) -> ToolPosition {
    usize::try_from(index.0).unwrap_or(usize::MAX)
}

fn labels(deployment: &Deployment, tool: &ToolId) -> Vec<String> {
    let server = deployment.servers.get(&tool.server);
    let labels = server.map(|server| server.labels_of(tool)).unwrap_or_default();
    labels.into_iter().map(|label| label.as_str().to_owned()).collect()
}

fn judge_input(inputs: &Inputs, catalogue: &Catalogue, revision: u64) -> JudgeInput {
    let deployment = &inputs.deployment;
    let tools = catalogue.entries().iter().map(|entry| ToolFacts {
        id: entry.tool.id().clone(),
        definition: entry.tool.digest,
        effect: entry.tool.effect.effect,
        acceptance: entry.acceptance,
        labels: labels(deployment, entry.tool.id()),
        approval_waived_until: deployment
            .servers
            .get(&entry.tool.id().server)
            .and_then(|server| server.approvals.waivers.get(&entry.tool.id().tool))
            .map(|waiver| waiver.until),
        input_schema: Some(Arc::clone(entry.tool.input_schema())),
    });
    let servers = deployment.servers.values().map(|server| ServerFacts {
        slug: server.slug.clone(),
        environment: server.governance.environment.clone(),
        data_class: server.governance.data_class.clone(),
        owner: server.governance.owner.clone(),
        expires_at: server.governance.expires_at,
    });
    let endpoints = deployment
        .endpoints
        .iter()
        .map(|endpoint| EndpointFacts { slug: endpoint.slug.clone(), servers: endpoint.servers.clone() });
    JudgeInput {
        revision,
        toolsets: deployment.toolsets.values().cloned().collect(),
        grants: deployment.grants.iter().chain(&inputs.rows.grants).cloned().collect(),
        reveals: inputs.rows.reveals.clone(),
        ceilings: deployment.ceilings.clone(),
        tools: tools.collect(),
        servers: servers.collect(),
        endpoints: endpoints.collect(),
        policies: Arc::clone(&deployment.policies),
    }
}
