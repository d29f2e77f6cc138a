//! The slice of entities of one decision: the caller, one tool, its server. What does not depend on the caller is built
//! once per judge and cloned into the slice; there is no store of all entities.

use std::collections::{HashMap, HashSet};

use ambit_model::caller::{CallerFacts, Principal};
use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, ParseErrors, Request, RestrictedExpression,
};

use crate::{
    class::Resolved,
    decide::Reach,
    facts::BuildError,
    index::{EndpointIndex, Index, ToolIndex, ToolsetIndex},
    per_call::CallFacts,
    reads::Reads,
};

/// The entities that are the same for every caller.
pub(crate) struct Frames {
    kinds: Kinds,
    tools: Vec<Entity>,
    /// Per server: before and after its expiry.
    servers: Vec<[Entity; 2]>,
    toolsets: Vec<EntityUid>,
    endpoints: Vec<EntityUid>,
    list: EntityUid,
    call: EntityUid,
}

/// The two questions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    List,
    Call,
}

/// A fact the engine refused. The decision that needed it is a deny.
pub(crate) struct Unspeakable;

impl Frames {
    pub(crate) fn build(index: &Index) -> Result<Self, BuildError> {
        let kinds = Kinds::build()?;
        let toolsets: Vec<_> =
            index.toolsets.iter().map(|toolset| uid(&kinds.toolset, toolset.slug.as_str())).collect();
        let endpoints: Vec<_> =
            index.endpoints.iter().map(|entry| uid(&kinds.endpoint, entry.facts.slug.as_str())).collect();
        let mut servers = Vec::with_capacity(index.servers.len());
        for number in 0..index.servers.len() {
            let at = |expired| server(&kinds, index, number, &endpoints, expired);
            servers.push([at(false)?, at(true)?]);
        }
        let mut tools = Vec::with_capacity(index.tools.len());
        for number in 0..index.tools.len() {
            tools.push(tool(&kinds, index, number, &toolsets)?);
        }
        let (list, call) = (uid(&kinds.action, "list"), uid(&kinds.action, "call"));
        Ok(Self { kinds, tools, servers, toolsets, endpoints, list, call })
    }

    /// The principal of a caller. Policies tell callers apart by their facts; the name is for people.
    pub(crate) fn principal(&self, facts: &CallerFacts) -> EntityUid {
        let name = match &facts.principal {
            Principal::Person { user } => user.key.to_string(),
            Principal::Agent { agent } => agent.id.to_string(),
            Principal::Delegated { user, agent } => format!("{} via {}", user.key, agent.id),
        };
        uid(&self.kinds.caller, &name)
    }

    /// The entities of one decision.
    pub(crate) fn slice(
        &self,
        index: &Index,
        class: &Resolved,
        endpoint: EndpointIndex,
        tool: ToolIndex,
        reach: &Reach,
    ) -> Result<Entities, Unspeakable> {
        let entry = index.tool(tool).ok_or(Unspeakable)?;
        let [live, expired] = self.servers.get(entry.server).ok_or(Unspeakable)?;
        let server = if reach.server_expired { expired } else { live };
        let tool = self.tools.get(tool.0 as usize).ok_or(Unspeakable)?;
        let caller = self.caller(class, endpoint, reach)?;
        Entities::from_entities([caller, tool.clone(), server.clone()], None).map_err(|_| Unspeakable)
    }

    pub(crate) fn request(&self, class: &Resolved, action: Action, tool: ToolIndex) -> Result<Request, Unspeakable> {
        let action = match action {
            Action::List => &self.list,
            Action::Call => &self.call,
        };
        let tool = self.tools.get(tool.0 as usize).ok_or(Unspeakable)?;
        Request::new(class.uid.clone(), action.clone(), tool.uid(), Context::empty(), None).map_err(|_| Unspeakable)
    }

    /// The request of the per-call half.
    pub(crate) fn call(&self, class: &Resolved, tool: ToolIndex, context: Context) -> Result<Request, Unspeakable> {
        let tool = self.tools.get(tool.0 as usize).ok_or(Unspeakable)?;
        Request::new(class.uid.clone(), self.call.clone(), tool.uid(), context, None).map_err(|_| Unspeakable)
    }

    fn caller(&self, class: &Resolved, endpoint: EndpointIndex, reach: &Reach) -> Result<Entity, Unspeakable> {
        let endpoint = self.endpoints.get(endpoint.0 as usize).ok_or(Unspeakable)?;
        let mut facts = HashMap::with_capacity(6);
        facts.insert("endpoint".to_owned(), RestrictedExpression::new_entity_uid(endpoint.clone()));
        facts.insert("operator".to_owned(), RestrictedExpression::new_bool(class.facts.operator.is_some()));
        if let Some(user) = &reach.user {
            let holds = ("holds", self.set(&user.holds));
            facts.insert("user".to_owned(), record([holds, ("revealed", self.set(&user.revealed))])?);
        }
        if let Some(agent) = &reach.agent {
            let expired = RestrictedExpression::new_bool(agent.expired);
            facts.insert("agent".to_owned(), record([("holds", self.set(&agent.holds)), ("expired", expired)])?);
        }
        facts.insert("client".to_owned(), record([("admits", self.set(&reach.admits))])?);
        facts.insert("token".to_owned(), record([("carries", self.set(&reach.carries))])?);
        Entity::new(class.uid.clone(), facts, HashSet::new()).map_err(|_| Unspeakable)
    }

    fn set(&self, toolsets: &[ToolsetIndex]) -> RestrictedExpression {
        set_of(&self.toolsets, toolsets)
    }
}

/// What the rules of a tool read of one call, and nothing else.
pub(crate) fn context(reads: &Reads, facts: &CallFacts<'_>, waived: bool) -> Result<Context, Unspeakable> {
    let mut pairs = Vec::with_capacity(4);
    let mut add = |name: &str, value: RestrictedExpression| pairs.push((name.to_owned(), value));
    if reads.touches(&["approved"]) {
        add("approved", RestrictedExpression::new_bool(facts.approved));
    }
    if reads.touches(&["approval_waived"]) {
        add("approval_waived", RestrictedExpression::new_bool(waived));
    }
    if let Some(source) = facts.source.filter(|_| reads.touches(&["source"])) {
        add("source", RestrictedExpression::new_ip(source.to_canonical().to_string()));
    }
    if reads.touches(&["touched"]) {
        add("touched", texts(facts.touched.iter()));
    }
    if let Some(login) = facts.login.filter(|_| reads.touches(&["login"])) {
        let age = facts.now_ms.saturating_sub(login.at).max(0) / 1000;
        let methods = ("methods", texts(login.methods.iter()));
        add("login", record([("age_seconds", RestrictedExpression::new_long(age)), methods])?);
    }
    Context::from_pairs(pairs).map_err(|_| Unspeakable)
}

/// The entity types of the schema.
struct Kinds {
    caller: EntityTypeName,
    tool: EntityTypeName,
    server: EntityTypeName,
    toolset: EntityTypeName,
    endpoint: EntityTypeName,
    action: EntityTypeName,
}

impl Kinds {
    fn build() -> Result<Self, BuildError> {
        let kind = |name: &str| {
            name.parse()
                .map_err(|error: ParseErrors| BuildError::Fact { what: name.to_owned(), source: Box::new(error) })
        };
        Ok(Self {
            caller: kind("Caller")?,
            tool: kind("Tool")?,
            server: kind("Server")?,
            toolset: kind("Toolset")?,
            endpoint: kind("Endpoint")?,
            action: kind("Action")?,
        })
    }
}

fn server(
    kinds: &Kinds,
    index: &Index,
    number: usize,
    endpoints: &[EntityUid],
    expired: bool,
) -> Result<Entity, BuildError> {
    let Some(facts) = index.servers.get(number) else { return Err(BuildError::TooMany { what: "servers" }) };
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let publishing = index.endpoints.iter().zip(endpoints).filter(|(entry, _)| entry.servers.contains(&number));
    let published_at = publishing.map(|(_, uid)| RestrictedExpression::new_entity_uid(uid.clone()));
    let attributes = [
        ("published_at", RestrictedExpression::new_set(published_at)),
        ("environment", text(&facts.environment)),
        ("data_class", text(&facts.data_class)),
        ("owner", text(&facts.owner)),
        ("expired", RestrictedExpression::new_bool(expired)),
    ];
    entity(uid(&kinds.server, facts.slug.as_str()), attributes)
}

fn tool(kinds: &Kinds, index: &Index, number: usize, toolsets: &[EntityUid]) -> Result<Entity, BuildError> {
    let Some(entry) = index.tools.get(number) else { return Err(BuildError::TooMany { what: "tools" }) };
    let facts = &entry.facts;
    let server = uid(&kinds.server, facts.id.server.as_str());
    let accepted = facts.acceptance == ambit_model::tool::Acceptance::Accepted;
    let labels = facts.labels.iter().cloned().map(RestrictedExpression::new_string);
    let attributes = [
        ("server", RestrictedExpression::new_entity_uid(server)),
        ("effect", RestrictedExpression::new_string(facts.effect.as_str().to_owned())),
        ("accepted", RestrictedExpression::new_bool(accepted)),
        ("labels", RestrictedExpression::new_set(labels)),
        ("toolsets", set_of(toolsets, &entry.toolsets)),
    ];
    entity(uid(&kinds.tool, &facts.id.to_string()), attributes)
}

fn entity<const N: usize>(uid: EntityUid, attributes: [(&str, RestrictedExpression); N]) -> Result<Entity, BuildError> {
    let what = uid.to_string();
    let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Entity::new(uid, attributes, HashSet::new()).map_err(|error| BuildError::Fact { what, source: Box::new(error) })
}

fn record<const N: usize>(fields: [(&str, RestrictedExpression); N]) -> Result<RestrictedExpression, Unspeakable> {
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
    RestrictedExpression::new_record(fields).map_err(|_| Unspeakable)
}

fn texts<'a>(texts: impl Iterator<Item = &'a String>) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.cloned().map(RestrictedExpression::new_string))
}

fn set_of(names: &[EntityUid], toolsets: &[ToolsetIndex]) -> RestrictedExpression {
    let members = toolsets.iter().filter_map(|toolset| names.get(toolset.0 as usize).cloned());
    RestrictedExpression::new_set(members.map(RestrictedExpression::new_entity_uid))
}

fn uid(kind: &EntityTypeName, name: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(name))
}
