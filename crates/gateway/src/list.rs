//! `tools/list`: what the caller sees, in the order of shown names, page by page.
//!
//! The list is the judge's, with Ambit's own tools between; nothing else is left out or added here but what a revocation hides. A page is written once per caller
//! class and snapshot, and copied from then on. What is cached is always `private`, and never for longer than it holds.

use std::{sync::Arc, time::Duration};

use ambit_identity::caller::Caller;
use ambit_live::{
    catalogue::{Catalogue, EndpointView, PublishedTool},
    snapshot::position_of,
};
use ambit_mcp::{
    Id,
    era::Era,
    reply::{self, ToolsCursor},
    strict::Params,
};
use ambit_model::{Digest, ids::Millis};
use ambit_policy::{Narrowing, ToolIndex, Visible};
use quick_cache::{Weighter, sync::Cache};

use crate::{
    answer::{Note, Reply},
    authorize,
    http::Place,
    metrics::Metrics,
    own::{self, OwnTool},
};

/// Most bytes of written pages kept.
const KEPT_BYTES: u64 = 64 * 1024 * 1024;

/// Bookkeeping of one page, in bytes.
const PAGE_OVERHEAD: u64 = 256;

pub(crate) struct Lists {
    page_tools: usize,
    ttl: Millis,
    pages: Cache<Key, Arc<Page>, ByBytes>,
}

/// A page of one judged list. The address of the list stands for its class, its judge and its instant.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    list: usize,
    endpoint: u32,
    own: &'static [OwnTool],
    after: Option<Box<str>>,
}

struct Page {
    /// Kept, so that its address belongs to no other list.
    _list: Arc<Visible>,
    catalogue: Arc<Catalogue>,
    /// The tools as JSON, with commas between.
    tools: String,
    next: Option<ToolsCursor>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Arc<Page>> for ByBytes {
    fn weight(&self, _: &Key, page: &Arc<Page>) -> u64 {
        PAGE_OVERHEAD + u64::try_from(page.tools.len()).unwrap_or(u64::MAX / 2)
    }
}

impl Lists {
    pub(crate) fn new(page_tools: usize, ttl: Duration) -> Self {
        Self {
            page_tools: page_tools.max(1),
            ttl: Millis::try_from(ttl.as_millis()).unwrap_or(0),
            pages: Cache::with_weighter(1_024, KEPT_BYTES, ByBytes),
        }
    }

    /// Answers a `tools/list`.
    pub(crate) fn answer(
        &self,
        (id, era): (Id<'_>, Era),
        params: &Params<'_>,
        (place, caller): (&Place, &Caller),
        (server, metrics): (&reply::Server, &Metrics),
        now: Millis,
    ) -> Reply {
        let after = match params.cursor.as_deref().map(ToolsCursor::decode).transpose() {
            Ok(cursor) => cursor,
            Err(bad) => return Reply::error(&bad.to_rpc(), Some(id), "bad_cursor"),
        };
        let list = authorize::visible(place, caller, now);
        if !list.broken.is_empty() {
            tracing::error!(policies = ?list.broken, "rules could not be evaluated: what they concern is not listed");
            metrics.rules_broke(&list.broken);
        }
        let page = self.page(place, caller, &list, after.as_ref());
        let ttl = self.ttl.min(list.valid_until.saturating_sub(now)).max(0);
        let tools = std::iter::once(page.tools.as_str()).filter(|tools| !tools.is_empty());
        let ttl = u64::try_from(ttl).unwrap_or(0);
        Reply::result(reply::tools_list(id, era, server, tools, page.next.as_ref(), ttl), Note::of("ok"))
    }

    fn page(&self, place: &Place, caller: &Caller, list: &Arc<Visible>, after: Option<&ToolsCursor>) -> Arc<Page> {
        let Some(view) = place.view() else {
            return Arc::new(Page::empty(list, &place.snapshot().catalogue));
        };
        let (snapshot, own) = (place.snapshot(), own::seen(place, caller));
        if snapshot.revocations.reach_tools() {
            // Rare, and different for each token: not worth keeping.
            let seen =
                list.tools.iter().copied().filter(|tool| !authorize::is_revoked(snapshot, *tool, caller.issued_at()));
            return Arc::new(self.write(view, list, &snapshot.catalogue, (seen, own), after));
        }
        let key = Key {
            list: Arc::as_ptr(list).addr(),
            endpoint: place.number().0,
            own,
            after: after.map(|cursor| cursor.name().into()),
        };
        if let Some(page) = self.pages.get(&key).filter(|page| Arc::ptr_eq(&page.catalogue, &snapshot.catalogue)) {
            return page;
        }
        let seen = (list.tools.iter().copied(), own);
        let page = Arc::new(self.write(view, list, &snapshot.catalogue, seen, after));
        // A cursor is a caller's word: only ends of pages we wrote are worth keeping.
        let is_end = |name: &str| view.position(name).is_some() || own.iter().any(|tool| tool.name() == name);
        if after.is_none_or(|cursor| is_end(cursor.name())) {
            self.pages.insert(key, Arc::clone(&page));
        }
        page
    }

    fn write(
        &self,
        view: &EndpointView,
        list: &Arc<Visible>,
        catalogue: &Arc<Catalogue>,
        (seen, own): (impl Iterator<Item = ToolIndex>, &'static [OwnTool]),
        after: Option<&ToolsCursor>,
    ) -> Page {
        let of_servers = seen.filter_map(|tool| Some((view.shown_name(position_of(tool))?, Listed::OfServer(tool))));
        let mut named: Vec<_> = of_servers
            .chain(own.iter().map(|tool| (tool.name(), Listed::Own(*tool))))
            .filter(|(name, _)| after.is_none_or(|cursor| *name > cursor.name()))
            .collect();
        named.sort_unstable_by_key(|(name, _)| *name);
        let mut page = Page::empty(list, catalogue);
        for (name, listed) in named.iter().take(self.page_tools) {
            if let Listed::OfServer(tool) = listed
                && catalogue.entry(position_of(*tool)).is_none()
            {
                continue;
            }
            if !page.tools.is_empty() {
                page.tools.push(',');
            }
            match listed {
                Listed::Own(tool) => page.tools.push_str(tool.listing()),
                Listed::OfServer(tool) => write_tool(name, *tool, (list, catalogue), &mut page.tools),
            }
        }
        let end = named.get(self.page_tools.saturating_sub(1)).filter(|_| named.len() > self.page_tools);
        page.next = end.map(|(name, _)| ToolsCursor::after(*name));
        page
    }
}

/// What a page shows under a name.
enum Listed {
    OfServer(ToolIndex),
    Own(OwnTool),
}

fn write_tool(name: &str, tool: ToolIndex, (list, catalogue): (&Visible, &Catalogue), out: &mut String) {
    let Some(entry) = catalogue.entry(position_of(tool)) else { return };
    match list.narrowing_of(tool) {
        None => entry.tool.write_listing(name, out),
        Some(narrowing) => {
            let (schema, note) = (&narrowing.shown.schema, narrowing.shown.note.as_deref());
            entry.tool.write_narrowed(name, schema, note, out);
        }
    }
}

/// What a caller is shown at an endpoint, as a digest that is another one if and only if the list is, and until when that
/// holds if nothing else changes.
pub(crate) fn shown(place: &Place, caller: &Caller, now: Millis) -> (Digest, Millis) {
    let list = authorize::visible(place, caller, now);
    let (snapshot, view) = (place.snapshot(), place.view());
    let seen = list.tools.iter().filter(|tool| !authorize::is_revoked(snapshot, **tool, caller.issued_at()));
    let mut tools: Vec<(&str, Digest)> = seen
        .filter_map(|tool| {
            let name = view?.shown_name(position_of(*tool))?;
            let tool = (*tool, &snapshot.catalogue.entry(position_of(*tool))?.tool);
            Some((name, list.narrowing_of(tool.0).map_or_else(|| tool.1.shown_digest(), |by| narrowed(tool.1, by))))
        })
        .collect();
    tools.extend(own::seen(place, caller).iter().map(|tool| (tool.name(), tool.target().definition)));
    tools.sort_unstable_by_key(|(name, _)| *name);
    let parts = tools.iter().flat_map(|(name, shown)| [name.as_bytes(), &shown.0]);
    (Digest::of_parts(parts), list.valid_until)
}

/// Stands for a tool as a narrowed list shows it.
fn narrowed(tool: &PublishedTool, by: &Narrowing) -> Digest {
    let mut text = String::new();
    tool.write_narrowed("", &by.shown.schema, by.shown.note.as_deref(), &mut text);
    Digest::of(text.as_bytes())
}

impl Page {
    fn empty(list: &Arc<Visible>, catalogue: &Arc<Catalogue>) -> Self {
        Self { _list: Arc::clone(list), catalogue: Arc::clone(catalogue), tools: String::new(), next: None }
    }
}
