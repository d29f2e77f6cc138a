//! The facts of a revision, numbered and cross-referenced once: tool → toolsets, subject → grants, user → reveals. After
//! this no decision walks over all of anything.

use std::collections::{BTreeSet, HashMap};

use ambit_model::{
    Effect,
    ceiling::ClientCeilings,
    constraints::ToolPattern,
    grant::{Grant, GrantSubject, Reveal},
    ids::{EndpointSlug, ServerSlug, ToolId, ToolsetSlug, UserKey},
    tool::Acceptance,
    toolset::{Selector, Toolset},
};

use crate::{
    arguments::{Sayings, is_usable},
    facts::{BuildError, EndpointFacts, JudgeInput, ServerFacts, ToolFacts},
    validity::Horizon,
};

/// The number of a tool in one judge. In the order of ids; means nothing to another judge.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ToolIndex(pub u32);

/// The number of an endpoint in one judge. Means nothing to another judge.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct EndpointIndex(pub u32);

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct ToolsetIndex(pub(crate) u32);

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct GrantIndex(pub(crate) u32);

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct RevealIndex(pub(crate) u32);

#[derive(Debug)]
pub(crate) struct ToolEntry {
    pub(crate) facts: ToolFacts,
    pub(crate) server: usize,
    /// The toolsets that contain it, sorted.
    pub(crate) toolsets: Vec<ToolsetIndex>,
    /// Shared by tools that differ in nothing a rule may read but their id.
    pub(crate) shape: usize,
}

#[derive(Debug)]
pub(crate) struct ToolsetEntry {
    pub(crate) slug: ToolsetSlug,
    /// The tools it contains, sorted.
    pub(crate) tools: Vec<ToolIndex>,
}

#[derive(Debug)]
pub(crate) struct EndpointEntry {
    pub(crate) facts: EndpointFacts,
    /// The numbers of the servers it publishes, sorted.
    pub(crate) servers: Vec<usize>,
}

#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) tools: Vec<ToolEntry>,
    pub(crate) toolsets: Vec<ToolsetEntry>,
    pub(crate) servers: Vec<ServerFacts>,
    pub(crate) endpoints: Vec<EndpointEntry>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) reveals: Vec<Reveal>,
    pub(crate) ceilings: ClientCeilings,
    /// What grants say about arguments.
    pub(crate) sayings: Sayings,
    tool_numbers: HashMap<ToolId, ToolIndex>,
    toolset_numbers: HashMap<ToolsetSlug, ToolsetIndex>,
    endpoint_numbers: HashMap<EndpointSlug, EndpointIndex>,
    grants_of: HashMap<GrantSubject, Vec<GrantIndex>>,
    reveals_of: HashMap<UserKey, Vec<RevealIndex>>,
}

impl Index {
    pub(crate) fn build(input: JudgeInput) -> Result<Self, BuildError> {
        let JudgeInput { revision: _, toolsets, grants, reveals, ceilings, tools, servers, endpoints, policies: _ } =
            input;
        let server_numbers = number_servers(&servers)?;
        let (mut tools, tool_numbers) = number_tools(tools, &server_numbers)?;
        let (toolsets, toolset_numbers) = expand_toolsets(toolsets, &mut tools, &tool_numbers)?;
        let (endpoints, endpoint_numbers) = number_endpoints(endpoints, &server_numbers)?;

        let grants: Vec<Grant> = grants.into_iter().filter(is_usable).collect();
        let numbered = grants
            .iter()
            .enumerate()
            .filter_map(|(number, grant)| Some((GrantIndex(u32::try_from(number).ok()?), grant)));
        let sayings = Sayings::read(numbered);
        number_shapes(&mut tools, &told_apart(&sayings, &grants, &toolset_numbers));

        let mut grants_of: HashMap<GrantSubject, Vec<GrantIndex>> = HashMap::new();
        for (number, grant) in grants.iter().enumerate() {
            grants_of.entry(grant.subject.clone()).or_default().push(GrantIndex(dense(number, "grants")?));
        }
        // A reveal that would live too long reveals nothing, however it came to be stored.
        let reveals: Vec<Reveal> = reveals.into_iter().filter_map(|reveal| reveal.checked().ok()).collect();
        let mut reveals_of: HashMap<UserKey, Vec<RevealIndex>> = HashMap::new();
        for (number, reveal) in reveals.iter().enumerate() {
            reveals_of.entry(reveal.user.clone()).or_default().push(RevealIndex(dense(number, "reveals")?));
        }
        Ok(Self {
            tools,
            toolsets,
            servers,
            endpoints,
            grants,
            reveals,
            ceilings,
            sayings,
            tool_numbers,
            toolset_numbers,
            endpoint_numbers,
            grants_of,
            reveals_of,
        })
    }

    pub(crate) fn tool_number(&self, id: &ToolId) -> Option<ToolIndex> {
        self.tool_numbers.get(id).copied()
    }

    pub(crate) fn endpoint_number(&self, slug: &EndpointSlug) -> Option<EndpointIndex> {
        self.endpoint_numbers.get(slug).copied()
    }

    pub(crate) fn toolset_number(&self, slug: &ToolsetSlug) -> Option<ToolsetIndex> {
        self.toolset_numbers.get(slug).copied()
    }

    pub(crate) fn tool(&self, tool: ToolIndex) -> Option<&ToolEntry> {
        self.tools.get(tool.0 as usize)
    }

    pub(crate) fn toolset(&self, toolset: ToolsetIndex) -> Option<&ToolsetEntry> {
        self.toolsets.get(toolset.0 as usize)
    }

    pub(crate) fn endpoint(&self, endpoint: EndpointIndex) -> Option<&EndpointEntry> {
        self.endpoints.get(endpoint.0 as usize)
    }

    pub(crate) fn grant(&self, grant: GrantIndex) -> Option<&Grant> {
        self.grants.get(grant.0 as usize)
    }

    pub(crate) fn reveal(&self, reveal: RevealIndex) -> Option<&Reveal> {
        self.reveals.get(reveal.0 as usize)
    }

    /// Whether a grant counts at the instant of the horizon.
    pub(crate) fn grant_lives(&self, grant: GrantIndex, horizon: &mut Horizon) -> bool {
        self.grant(grant).is_some_and(|grant| horizon.within(grant.starts_at, grant.expires_at))
    }

    /// Whether a reveal does.
    pub(crate) fn reveal_lives(&self, reveal: RevealIndex, horizon: &mut Horizon) -> bool {
        self.reveal(reveal).is_some_and(|reveal| horizon.within(reveal.starts_at, reveal.expires_at))
    }

    pub(crate) fn grants_of(&self, subject: &GrantSubject) -> &[GrantIndex] {
        self.grants_of.get(subject).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn reveals_of(&self, user: &UserKey) -> &[RevealIndex] {
        self.reveals_of.get(user).map_or(&[], Vec::as_slice)
    }
}

fn dense(number: usize, what: &'static str) -> Result<u32, BuildError> {
    u32::try_from(number).map_err(|_| BuildError::TooMany { what })
}

fn number_servers(servers: &[ServerFacts]) -> Result<HashMap<ServerSlug, usize>, BuildError> {
    let mut numbers = HashMap::with_capacity(servers.len());
    for (number, server) in servers.iter().enumerate() {
        if numbers.insert(server.slug.clone(), number).is_some() {
            return Err(BuildError::DuplicateServer(server.slug.clone()));
        }
    }
    Ok(numbers)
}

type Tools = (Vec<ToolEntry>, HashMap<ToolId, ToolIndex>);

fn number_tools(mut tools: Vec<ToolFacts>, servers: &HashMap<ServerSlug, usize>) -> Result<Tools, BuildError> {
    tools.sort_by(|a, b| a.id.cmp(&b.id));
    let mut entries = Vec::with_capacity(tools.len());
    let mut numbers = HashMap::with_capacity(tools.len());
    for (number, facts) in tools.into_iter().enumerate() {
        let Some(&server) = servers.get(&facts.id.server) else {
            return Err(BuildError::ToolWithoutServer(facts.id));
        };
        if numbers.insert(facts.id.clone(), ToolIndex(dense(number, "tools")?)).is_some() {
            return Err(BuildError::DuplicateTool(facts.id));
        }
        entries.push(ToolEntry { facts, server, toolsets: Vec::new(), shape: 0 });
    }
    Ok((entries, numbers))
}

type Toolsets = (Vec<ToolsetEntry>, HashMap<ToolsetSlug, ToolsetIndex>);

fn expand_toolsets(
    mut toolsets: Vec<Toolset>,
    tools: &mut [ToolEntry],
    tool_numbers: &HashMap<ToolId, ToolIndex>,
) -> Result<Toolsets, BuildError> {
    // Numbered in the order of slugs, so that a choice by number is a choice by name.
    toolsets.sort_by(|a, b| a.slug.cmp(&b.slug));
    let mut entries = Vec::with_capacity(toolsets.len());
    let mut numbers = HashMap::with_capacity(toolsets.len());
    for (number, toolset) in toolsets.into_iter().enumerate() {
        let index = ToolsetIndex(dense(number, "toolsets")?);
        if numbers.insert(toolset.slug.clone(), index).is_some() {
            return Err(BuildError::DuplicateToolset(toolset.slug));
        }
        let members = expand(&toolset, tools, tool_numbers);
        for member in &members {
            if let Some(entry) = tools.get_mut(member.0 as usize) {
                entry.toolsets.push(index);
            }
        }
        entries.push(ToolsetEntry { slug: toolset.slug, tools: members.into_iter().collect() });
    }
    Ok((entries, numbers))
}

/// The tools of a toolset, as [`Toolset::contains`] says, without asking it for every tool there is.
fn expand(toolset: &Toolset, tools: &[ToolEntry], tool_numbers: &HashMap<ToolId, ToolIndex>) -> BTreeSet<ToolIndex> {
    let counts = |effect: Effect| toolset.effects.is_empty() || toolset.effects.contains(&effect);
    let mut members = BTreeSet::new();
    for selector in &toolset.tools {
        match selector {
            Selector::Tool(id) => {
                let named = tool_numbers.get(id).and_then(|index| Some((*index, tools.get(index.0 as usize)?)));
                members.extend(named.filter(|(_, tool)| counts(tool.facts.effect)).map(|(index, _)| index));
            }
            Selector::Wildcard { server, prefix } => {
                let first = tools.partition_point(|tool| {
                    (tool.facts.id.server.as_str(), tool.facts.id.tool.as_str()) < (server.as_str(), prefix.as_str())
                });
                let run = tools.iter().skip(first).take_while(|tool| {
                    tool.facts.id.server == *server && tool.facts.id.tool.as_str().starts_with(prefix.as_str())
                });
                let mild = run.filter(|tool| tool.facts.effect != Effect::Destructive && counts(tool.facts.effect));
                members.extend(mild.filter_map(|tool| tool_numbers.get(&tool.facts.id).copied()));
            }
        }
    }
    members
}

/// A pattern by which a grant on a toolset says something about some of its tools only.
type Telling<'a> = (ToolsetIndex, GrantIndex, usize, &'a ToolPattern);

fn told_apart<'a>(
    sayings: &'a Sayings,
    grants: &[Grant],
    toolsets: &HashMap<ToolsetSlug, ToolsetIndex>,
) -> Vec<Telling<'a>> {
    let mut telling: Vec<_> = sayings
        .telling()
        .filter_map(|(grant, at, pattern)| {
            let toolset = toolsets.get(&grants.get(grant.0 as usize)?.toolset)?;
            Some((*toolset, grant, at, pattern))
        })
        .collect();
    telling.sort_unstable_by_key(|(toolset, grant, at, _)| (*toolset, *grant, *at));
    telling
}

fn number_shapes(tools: &mut [ToolEntry], telling: &[Telling<'_>]) {
    let mut shapes = HashMap::new();
    for ToolEntry { facts, server, toolsets, shape } in tools {
        let ToolFacts { id, definition: _, effect, acceptance, labels, approval_waived_until: _, input_schema: _ } =
            facts;
        let accepted = *acceptance == Acceptance::Accepted;
        let told: Vec<_> = telling
            .iter()
            .filter(|(toolset, .., pattern)| toolsets.contains(toolset) && pattern.fits(id))
            .map(|(_, grant, at, _)| (*grant, *at))
            .collect();
        let next = shapes.len();
        *shape = *shapes.entry((*server, *effect, accepted, labels.clone(), toolsets.clone(), told)).or_insert(next);
    }
}

type Endpoints = (Vec<EndpointEntry>, HashMap<EndpointSlug, EndpointIndex>);

fn number_endpoints(
    endpoints: Vec<EndpointFacts>,
    server_numbers: &HashMap<ServerSlug, usize>,
) -> Result<Endpoints, BuildError> {
    let mut entries = Vec::with_capacity(endpoints.len());
    let mut numbers = HashMap::with_capacity(endpoints.len());
    for (number, facts) in endpoints.into_iter().enumerate() {
        if numbers.insert(facts.slug.clone(), EndpointIndex(dense(number, "endpoints")?)).is_some() {
            return Err(BuildError::DuplicateEndpoint(facts.slug));
        }
        let mut servers = Vec::with_capacity(facts.servers.len());
        for slug in &facts.servers {
            let Some(&server) = server_numbers.get(slug) else {
                return Err(BuildError::EndpointWithoutServer { endpoint: facts.slug, server: slug.clone() });
            };
            servers.push(server);
        }
        servers.sort_unstable();
        servers.dedup();
        entries.push(EndpointEntry { facts, servers });
    }
    Ok((entries, numbers))
}
