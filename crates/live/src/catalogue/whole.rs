//! All servers' tools with their acceptance, and the names each endpoint shows them under.

use std::{collections::HashMap, sync::Arc};

use ambit_model::{
    endpoint::Endpoint,
    ids::{EndpointSlug, Millis, ServerSlug, ToolId},
    names::shown_name,
    tool::Acceptance,
};

use super::{published::PublishedTool, server::ServerCatalogue};
use crate::{deployment::Deployment, lock::Lock};

/// Where a tool stands in the catalogue. The judge counts the same way.
pub type ToolPosition = usize;

/// The catalogue of one snapshot.
#[derive(Debug, Default)]
pub struct Catalogue {
    entries: Vec<Entry>,
    by_id: HashMap<ToolId, ToolPosition>,
    endpoints: Vec<EndpointView>,
    servers: HashMap<ServerSlug, Arc<ServerCatalogue>>,
}

/// A tool and whether its definition is accepted.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The tool.
    pub tool: Arc<PublishedTool>,
    /// Whether its definition is the pinned one.
    pub acceptance: Acceptance,
}

/// One endpoint's names.
#[derive(Debug)]
pub struct EndpointView {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Its slug, shared: what records of the trail are found by.
    pub slug: Arc<str>,
    /// Shown name → tool.
    by_shown: HashMap<Arc<str>, ToolPosition>,
    /// Tool → shown name.
    shown: HashMap<ToolPosition, Arc<str>>,
}

impl Catalogue {
    /// Puts the servers together.
    pub fn build(deployment: &Deployment, servers: &[Arc<ServerCatalogue>], lock: &Lock) -> Self {
        let mut catalogue = Self::default();
        for server in servers {
            for tool in server.tools.values() {
                let acceptance = lock.acceptance(tool.id(), tool.pin(), tool.overridden);
                catalogue.by_id.insert(tool.id().clone(), catalogue.entries.len());
                catalogue.entries.push(Entry { tool: Arc::clone(tool), acceptance });
            }
            catalogue.servers.insert(server.slug.clone(), Arc::clone(server));
        }
        catalogue.endpoints =
            deployment.endpoints.iter().map(|endpoint| EndpointView::build(endpoint, &catalogue.entries)).collect();
        catalogue
    }

    /// Every tool, in the judge's order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// A tool by its position.
    pub fn entry(&self, position: ToolPosition) -> Option<&Entry> {
        self.entries.get(position)
    }

    /// Where a tool stands.
    pub fn position(&self, id: &ToolId) -> Option<ToolPosition> {
        self.by_id.get(id).copied()
    }

    /// The endpoints, in the deployment's order.
    pub fn endpoints(&self) -> &[EndpointView] {
        &self.endpoints
    }

    /// One endpoint.
    pub fn endpoint(&self, slug: &EndpointSlug) -> Option<&EndpointView> {
        self.endpoints.iter().find(|view| view.endpoint.slug == *slug)
    }

    /// One server's tools as last read.
    pub fn server(&self, slug: &ServerSlug) -> Option<&Arc<ServerCatalogue>> {
        self.servers.get(slug)
    }

    /// When a server was last read.
    pub fn read_at(&self, slug: &ServerSlug) -> Option<Millis> {
        self.servers.get(slug).map(|server| server.read_at())
    }
}

impl EndpointView {
    fn build(endpoint: &Endpoint, entries: &[Entry]) -> Self {
        let mut view = Self {
            endpoint: endpoint.clone(),
            slug: endpoint.slug.as_str().into(),
            by_shown: HashMap::new(),
            shown: HashMap::new(),
        };
        for (position, entry) in entries.iter().enumerate() {
            let id = entry.tool.id();
            if !endpoint.servers.contains(&id.server) {
                continue;
            }
            // A slug holds no `_`, so `server_tool` has one reading.
            let name: Arc<str> = shown_name(endpoint.prefix.then(|| id.server.as_str()), id.tool.as_str()).into();
            view.by_shown.insert(Arc::clone(&name), position);
            view.shown.insert(position, name);
        }
        view
    }

    /// The tool behind a shown name, whoever asks.
    pub fn position(&self, shown_name: &str) -> Option<ToolPosition> {
        self.by_shown.get(shown_name).copied()
    }

    /// The name a tool is shown under here.
    pub fn shown_name(&self, position: ToolPosition) -> Option<&str> {
        self.shown.get(&position).map(AsRef::as_ref)
    }
}
