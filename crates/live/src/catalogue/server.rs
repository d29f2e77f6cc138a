//! The tools of one server, as last read from its OpenAPI document or MCP listing.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use ambit_model::{
    Effect,
    ids::{Millis, ServerSlug, ToolId, ToolName},
    names::local_name,
    server::Server,
    tool::{ClassifiedEffect, Definition},
};
use ambit_openapi::{BaseUrl, Compiled};
use serde_json::Value;

use super::published::{self, Binding, PublishedTool};

/// One server's tools.
#[derive(Debug)]
pub struct ServerCatalogue {
    /// The server.
    pub slug: ServerSlug,
    /// Its tools, by name.
    pub tools: BTreeMap<ToolName, Arc<PublishedTool>>,
    /// What could not become a tool, each with its reason.
    pub left_out: Vec<LeftOut>,
    /// Where a REST API is reached.
    pub base_url: Option<BaseUrl>,
    /// Why there are no tools, if reading failed.
    pub problem: Option<String>,
    /// The declaration it was read under: its address, its overrides. None where nothing could be read.
    read_as: Option<Box<Server>>,
    /// When it was last read and found to say this.
    read_at: AtomicI64,
}

/// Something that could not become a tool.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LeftOut {
    /// JSON pointer of the operation, or the upstream's name of the tool.
    pub place: String,
    /// Why.
    pub reason: String,
}

/// A tool as an MCP server lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct McpTool {
    /// Its name there.
    pub name: String,
    /// A title for people.
    pub title: Option<String>,
    /// What the model reads.
    pub description: Option<String>,
    /// The schema of the arguments.
    pub input_schema: Value,
    /// The schema of the result.
    pub output_schema: Option<Value>,
    /// Its annotations.
    pub annotations: Option<Value>,
    /// Every other member.
    pub rest: Option<Value>,
}

/// Members of an upstream tool that are not passed on: icons are fetched by clients from places nobody checked,
/// `execution` belongs to a tasks protocol this gateway does not speak.
const NOT_SHOWN: [&str; 2] = ["icons", "execution"];

impl ServerCatalogue {
    /// A server that could not be read: no tools, and why.
    pub fn failed(slug: ServerSlug, problem: String, read_at: Millis) -> Self {
        Self {
            slug,
            tools: BTreeMap::new(),
            left_out: Vec::new(),
            base_url: None,
            problem: Some(problem),
            read_as: None,
            read_at: read_at.into(),
        }
    }

    /// The tools of a compiled OpenAPI document.
    pub fn from_openapi(server: &Server, compiled: &Compiled, base_url: BaseUrl, read_at: Millis) -> Self {
        let mut catalogue = Self {
            slug: server.slug.clone(),
            tools: BTreeMap::new(),
            left_out: compiled
                .left_out
                .iter()
                .map(|left| LeftOut { place: left.pointer.clone(), reason: left.reason.clone() })
                .collect(),
            base_url: Some(base_url),
            problem: None,
            read_as: Some(Box::new(server.clone())),
            read_at: read_at.into(),
        };
        for operation in &compiled.tools {
            let definition = |id| Definition {
                id,
                title: operation.title.clone(),
                description: operation.description.clone(),
                input_schema: operation.input_schema.clone(),
                output_schema: operation.output_schema.clone(),
                annotations: None,
                rest: None,
                binding: Some(format!("{} {}", operation.method, operation.path)),
            };
            let judged = ClassifiedEffect { effect: operation.effect, reason: operation.reason.clone() };
            let binding = Binding::Operation(Arc::clone(operation));
            catalogue.add(server, &operation.name, definition, judged, binding, None);
        }
        catalogue
    }

    /// The tools of an MCP listing. One unusable tool is left out, the rest stay.
    pub fn from_mcp(server: &Server, listed: Vec<McpTool>, left_out: Vec<LeftOut>, read_at: Millis) -> Self {
        Self::from_listing(server, listed, left_out, read_at, None)
    }

    /// The same, after an earlier reading: what is as it was is that very tool and not put together, nor checked, again.
    pub fn from_mcp_after(
        before: &Self,
        server: &Server,
        listed: Vec<McpTool>,
        left_out: Vec<LeftOut>,
        read_at: Millis,
    ) -> Self {
        Self::from_listing(server, listed, left_out, read_at, Some(before))
    }

    fn from_listing(
        server: &Server,
        listed: Vec<McpTool>,
        mut left_out: Vec<LeftOut>,
        read_at: Millis,
        before: Option<&Self>,
    ) -> Self {
        let mut catalogue = Self {
            slug: server.slug.clone(),
            tools: BTreeMap::new(),
            left_out: Vec::new(),
            base_url: None,
            problem: None,
            read_as: Some(Box::new(server.clone())),
            read_at: read_at.into(),
        };
        for tool in listed {
            if !tool.input_schema.get("type").is_some_and(|kind| kind == "object") {
                left_out.push(LeftOut { place: tool.name, reason: "`inputSchema` is not an object schema".into() });
                continue;
            }
            let judged = classify(&tool);
            let local = local_name(&tool.name);
            let binding = Binding::Mcp { name: tool.name.clone() };
            let definition = move |id| Definition {
                id,
                title: tool.title,
                description: tool.description.unwrap_or_default(),
                input_schema: tool.input_schema,
                output_schema: tool.output_schema,
                annotations: tool.annotations,
                rest: tool.rest.map(shown_rest),
                binding: Some(format!("tools/call {}", tool.name)),
            };
            catalogue.add(server, &local, definition, judged, binding, before);
        }
        catalogue.left_out.append(&mut left_out);
        catalogue
    }

    fn add(
        &mut self,
        server: &Server,
        local: &str,
        definition: impl FnOnce(ToolId) -> Definition,
        judged: ClassifiedEffect,
        binding: Binding,
        before: Option<&Self>,
    ) {
        let name = match ToolName::parse(local) {
            Ok(name) if !self.tools.contains_key(&name) => name,
            Ok(name) => {
                let reason = "another tool of this server already has this name".to_owned();
                return self.left_out.push(LeftOut { place: name.to_string(), reason });
            }
            Err(error) => {
                return self.left_out.push(LeftOut { place: local.to_owned(), reason: error.to_string() });
            }
        };
        let id = ToolId { server: server.slug.clone(), tool: name.clone() };
        let (effect, overridden) = match server.overrides.get(&name) {
            Some(own) => {
                let reason =
                    format!("owner: {} (Ambit's own reading: {}, {})", own.reason, judged.effect, judged.reason);
                (ClassifiedEffect { effect: own.effect, reason }, true)
            }
            None => (judged, false),
        };
        let definition = definition(id);
        if let Binding::Mcp { .. } = &binding
            && let Some(known) = before.and_then(|before| before.tools.get(&name))
            && (&known.effect, known.overridden) == (&effect, overridden)
            && known.digest == definition.digest()
        {
            // The digest covers everything else, the upstream's name of the tool as well.
            self.tools.insert(name, Arc::clone(known));
            return;
        }
        // Compiled documents are checked by their own tests; an upstream's schema is checked when it arrives. The check is
        // not kept: most of what a server lists is never called, and some of it nobody has accepted.
        if let Binding::Mcp { .. } = &binding
            && let Err(error) = published::check_schema(&definition.input_schema)
        {
            let reason = error.to_string();
            return self.left_out.push(LeftOut { place: local.to_owned(), reason });
        }
        let tool = PublishedTool::new(definition, effect, overridden, binding);
        if let Some(fault) = tool.mirror_fault() {
            let reason = format!("its schema asks for a header that cannot be sent: {fault}");
            return self.left_out.push(LeftOut { place: local.to_owned(), reason });
        }
        self.tools.insert(name, Arc::new(tool));
    }
}

/// By name and description first; the upstream's annotations may only raise it.
fn classify(tool: &McpTool) -> ClassifiedEffect {
    let hint = |name: &str| tool.annotations.as_ref().and_then(|all| all.get(name)).and_then(Value::as_bool);
    let (effect, reason) = ambit_openapi::effect::classify_named(&tool.name, tool.description.as_deref().unwrap_or(""));
    let raised = effect.raised_by_hints(hint("readOnlyHint"), hint("destructiveHint"));
    if raised == effect {
        ClassifiedEffect { effect, reason }
    } else {
        ClassifiedEffect { effect: raised, reason: format!("{reason}; raised by the upstream's annotations") }
    }
}

fn shown_rest(rest: Value) -> Value {
    match rest {
        Value::Object(members) => {
            Value::Object(members.into_iter().filter(|(key, _)| !NOT_SHOWN.contains(&key.as_str())).collect())
        }
        other => other,
    }
}

impl ServerCatalogue {
    /// Whether it was read under this very declaration. What was read under another may come from another address and hold
    /// effects that its owner has corrected since, so it must not be used.
    pub fn is_of(&self, server: &Server) -> bool {
        self.slug == server.slug && self.read_as.as_deref().is_none_or(|read_as| read_as == server)
    }

    /// When it was last read and found to say this.
    pub fn read_at(&self) -> Millis {
        self.read_at.load(Ordering::Relaxed)
    }

    /// Notes that a later reading said the same.
    pub fn touch(&self, read_at: Millis) {
        self.read_at.fetch_max(read_at, Ordering::Relaxed);
    }

    /// Whether another reading makes no difference to anything but the time.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.slug == other.slug
            && self.read_as == other.read_as
            && self.problem == other.problem
            && self.base_url == other.base_url
            && self.left_out == other.left_out
            && self.tools.len() == other.tools.len()
            && self.tools.iter().zip(&other.tools).all(|((name, one), (other_name, other))| {
                name == other_name && one.pin() == other.pin() && one.effect == other.effect
            })
    }

    /// How many tools of an effect there are.
    pub fn count(&self, effect: Effect) -> usize {
        self.tools.values().filter(|tool| tool.effect.effect == effect).count()
    }
}
