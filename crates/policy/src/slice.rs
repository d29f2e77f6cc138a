//! The slice of entities of one decision: the caller, one tool, its server. What does not depend on the caller is built
//! once per judge and cloned into the slice; there is no store of all entities.

use std::collections::{HashMap, HashSet};

use ambit_model::{
    caller::{CallerFacts, Principal},
    canonical,
};
use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, ParseErrors, Request, RestrictedExpression,
};
use serde_json::Value;

use crate::{
    class::Resolved,
    decide::Reach,
    facts::BuildError,
    index::{EndpointIndex, Index, ToolIndex, ToolsetIndex},
    reads::{Reads, TAGS},
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
    /// The kind of argument values that have no plain type.
    pub(crate) opaque: EntityTypeName,
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
        let opaque = kinds.opaque.clone();
        Ok(Self { kinds, tools, servers, toolsets, endpoints, list, call, opaque })
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

    /// The entities of one decision, with what its rules read of the caller.
    pub(crate) fn slice(
        &self,
        index: &Index,
        class: &Resolved,
        endpoint: EndpointIndex,
        tool: ToolIndex,
        (reach, reads): (&Reach, &Reads),
    ) -> Result<Entities, Unspeakable> {
        let entry = index.tool(tool).ok_or(Unspeakable)?;
        let [live, expired] = self.servers.get(entry.server).ok_or(Unspeakable)?;
        let server = if reach.server_expired { expired } else { live };
        let tool = self.tools.get(tool.0 as usize).ok_or(Unspeakable)?;
        let caller = self.caller(class, endpoint, reach, reads)?;
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

    fn caller(
        &self,
        class: &Resolved,
        endpoint: EndpointIndex,
        reach: &Reach,
        reads: &Reads,
    ) -> Result<Entity, Unspeakable> {
        let own = &class.facts;
        let text = |text: String| RestrictedExpression::new_string(text);
        let mut facts = HashMap::with_capacity(6);
        if reads.touches(&["endpoint"]) {
            let endpoint = self.endpoints.get(endpoint.0 as usize).ok_or(Unspeakable)?;
            facts.insert("endpoint".to_owned(), RestrictedExpression::new_entity_uid(endpoint.clone()));
        }
        facts.insert("operator".to_owned(), RestrictedExpression::new_bool(own.operator.is_some()));
        if let (Some(user), Some(reached)) = (own.user(), &reach.user) {
            let mut fields = vec![("holds", self.set(&reached.holds)), ("revealed", self.set(&reached.revealed))];
            if reads.touches(&["user", "key"]) {
                fields.push(("key", text(user.key.to_string())));
            }
            if reads.touches(&["user", "groups"]) {
                let groups = user.groups.iter().map(|group| text(group.to_string()));
                fields.push(("groups", RestrictedExpression::new_set(groups)));
            }
            facts.insert("user".to_owned(), record(fields)?);
        }
        if let (Some(agent), Some(reached)) = (own.agent(), &reach.agent) {
            let expired = RestrictedExpression::new_bool(reached.expired);
            let mut fields = vec![("holds", self.set(&reached.holds)), ("expired", expired)];
            if reads.touches(&["agent", "id"]) || reads.touches(&["agent", "owner"]) {
                fields.push(("id", text(agent.id.to_string())));
                fields.push(("owner", text(agent.owner.to_string())));
            }
            facts.insert("agent".to_owned(), record(fields)?);
        }
        let mut client = vec![("admits", self.set(&reach.admits))];
        if reads.touches(&["client", "id"]) || reads.touches(&["client", "assurance"]) {
            client.push(("id", text(own.client.id.to_string())));
            client.push(("assurance", text(own.client.assurance.as_str().to_owned())));
        }
        facts.insert("client".to_owned(), record(client)?);
        facts.insert("token".to_owned(), record([("carries", self.set(&reach.carries))])?);
        let claims = own.user().map(|user| &user.claims).filter(|_| reads.touches(&[TAGS]));
        let tags = claims.into_iter().flatten().map(|(name, value)| (name.clone(), claim(value)));
        Entity::new_with_tags(class.uid.clone(), facts, HashSet::new(), tags).map_err(|_| Unspeakable)
    }

    fn set(&self, toolsets: &[ToolsetIndex]) -> RestrictedExpression {
        set_of(&self.toolsets, toolsets)
    }
}

/// The entity types of the schema.
struct Kinds {
    caller: EntityTypeName,
    tool: EntityTypeName,
    server: EntityTypeName,
    toolset: EntityTypeName,
    endpoint: EntityTypeName,
    action: EntityTypeName,
    opaque: EntityTypeName,
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
            opaque: kind("Opaque")?,
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
        ("slug", text(facts.slug.as_str())),
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
        ("name", RestrictedExpression::new_string(facts.id.to_string())),
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

/// A claim as a set of texts: of a list its members, of anything else the one text it is.
fn claim(value: &Value) -> RestrictedExpression {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => String::from_utf8_lossy(&canonical::to_vec(other)).into_owned(),
    };
    let texts: Vec<String> = match value {
        Value::Array(items) => items.iter().map(text).collect(),
        other => vec![text(other)],
    };
    RestrictedExpression::new_set(texts.into_iter().map(RestrictedExpression::new_string))
}

pub(crate) fn record<'a>(
    fields: impl IntoIterator<Item = (&'a str, RestrictedExpression)>,
) -> Result<RestrictedExpression, Unspeakable> {
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
    RestrictedExpression::new_record(fields).map_err(|_| Unspeakable)
}

fn set_of(names: &[EntityUid], toolsets: &[ToolsetIndex]) -> RestrictedExpression {
    let members = toolsets.iter().filter_map(|toolset| names.get(toolset.0 as usize).cloned());
    RestrictedExpression::new_set(members.map(RestrictedExpression::new_entity_uid))
}

fn uid(kind: &EntityTypeName, name: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(name))
}
