//! All tools of one server, page by page, or a failure: a part of a list is never taken for the
//! whole.
//!
//! Pages, tools, bytes and time are bounded; a cursor that comes twice ends the reading. Two tools
//! of one name are both left out: nobody could say which definition a call would reach.

use std::collections::{HashMap, HashSet};

use ambit_live::catalogue::{LeftOut, McpTool};
use ambit_live::credentials::Spendable;
use ambit_mcp::Raw;
use ambit_mcp::era::Era;
use ambit_mcp::headers;
use ambit_mcp::upstream::listing::read_page;
use ambit_mcp::upstream::{ListedTool, Page, Unusable, request};
use ambit_model::server::Server;
use http::HeaderMap;
use tokio::time::Instant;

use super::McpUpstreams;
use super::connection::{Connection, Took};
use super::exchange::{Exchange, Told};
use super::failure::{UpstreamFailure, repeats};
use super::one::{Upstream, presented};

/// Most tools of one server.
const MOST_TOOLS: usize = 10_000;

/// Most pages of one list.
const MOST_PAGES: usize = 1_000;

/// Most bytes of one page.
const MOST_PAGE_BYTES: usize = 8 * 1024 * 1024;

/// Most bytes of one list.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// The tools of one server at one time.
#[derive(Debug)]
pub struct Listing {
    /// The usable ones, in the server's order.
    pub tools: Vec<McpTool>,
    /// The others, each with the reason.
    pub left_out: Vec<LeftOut>,
    /// The revision the server speaks.
    pub era: Era,
}

/// Why pages stopped.
pub(super) enum Stopped {
    /// The server did not take the request: its session may be over, or its era another one.
    Unheard(UpstreamFailure),
    /// Anything else.
    Failed(UpstreamFailure),
}

impl McpUpstreams {
    /// Reads all tools of a server, with the credential that is spent for reading.
    ///
    /// # Errors
    /// [`UpstreamFailure`]; then nothing is known of the tools.
    pub async fn list(
        &self,
        server: &Server,
        credential: Option<&Spendable>,
        deadline: Instant,
    ) -> Result<Listing, UpstreamFailure> {
        let upstream = self.one(server)?;
        let told = upstream.told();
        let listing = list(&upstream, credential, deadline).await.map_err(|failure| failure.without(credential))?;
        upstream.listed(told);
        Ok(listing)
    }
}

async fn list(
    upstream: &Upstream,
    credential: Option<&Spendable>,
    deadline: Instant,
) -> Result<Listing, UpstreamFailure> {
    let presented = presented(credential);
    let connection = upstream.connected(&presented, deadline).await?;
    let failure = match list_over(upstream, &connection, credential, deadline).await {
        Ok(listing) => return Ok(listing),
        Err(Stopped::Failed(failure)) => return Err(failure),
        Err(Stopped::Unheard(failure)) => failure,
    };
    upstream.forget(&presented, &connection);
    let fresh = upstream.connected(&presented, deadline).await?;
    if *fresh == *connection {
        return Err(failure);
    }
    list_over(upstream, &fresh, credential, deadline).await.map_err(Stopped::into_failure)
}

impl Stopped {
    pub(super) fn into_failure(self) -> UpstreamFailure {
        match self {
            Self::Unheard(failure) | Self::Failed(failure) => failure,
        }
    }
}

/// Reads all pages over one connection.
pub(super) async fn list_over(
    upstream: &Upstream,
    connection: &Connection,
    credential: Option<&Spendable>,
    deadline: Instant,
) -> Result<Listing, Stopped> {
    let presented = &presented(credential);
    let exchange = Exchange {
        upstream,
        connection,
        presented,
        deadline,
        max_bytes: MOST_PAGE_BYTES,
        progress: None,
        stands: &|| true,
    };
    let mut listed = Vec::new();
    let mut left_out = Vec::new();
    let mut cursors = HashSet::new();
    let mut cursor: Option<String> = None;
    let mut bytes = 0_usize;
    let failed = |why: &str| Stopped::Failed(UpstreamFailure::listing(&upstream.slug, why));
    for _ in 0..MOST_PAGES {
        let most = MOST_TOOLS.saturating_sub(listed.len());
        let (page, size) = one_page(&exchange, cursor.as_deref(), most, credential).await?;
        bytes = bytes.saturating_add(size);
        if bytes > MOST_BYTES {
            return Err(failed("it is larger than 32 MiB"));
        }
        listed.extend(page.tools);
        left_out.extend(page.left_out);
        match page.next_cursor {
            None => return Ok(sort_out(listed, left_out, connection.era())),
            Some(next) if !cursors.insert(next.clone()) => return Err(failed("its pages lead back to one before")),
            Some(next) => cursor = Some(next),
        }
    }
    Err(failed("it has more than 1000 pages"))
}

async fn one_page(
    exchange: &Exchange<'_>,
    cursor: Option<&str>,
    most: usize,
    credential: Option<&Spendable>,
) -> Result<(Page, usize), Stopped> {
    let upstream = exchange.upstream;
    let id = upstream.next_id();
    let body = request::tools_list(id, exchange.connection.era(), cursor, &upstream.client);
    let session = exchange.connection.session();
    let target = headers::Target { method: "tools/list", name: None, mirrored: None, session };
    let read = |_: &HeaderMap, result: Raw<'_>| read_page(result, most, |text| repeats(text, credential));
    let told = exchange.ask(&target, id, body, read).await.map_err(Stopped::Failed)?;
    match told {
        Told::Result(Ok(page), size) => Ok((page, size)),
        Told::Result(Err(why), _) => Err(Stopped::Failed(UpstreamFailure::listing(&upstream.slug, why))),
        Told::Error(error, status) => {
            let failure = UpstreamFailure::remote(&upstream.slug, &error);
            Err(stopped(exchange.connection.took(status, Some(&error)), failure))
        }
        Told::Refused(status) => {
            let failure = UpstreamFailure::refused(&upstream.slug, status);
            Err(stopped(exchange.connection.took(status, None), failure))
        }
    }
}

/// A list may be asked for again, so a doubt is enough.
fn stopped(took: Took, failure: UpstreamFailure) -> Stopped {
    match took {
        Took::Not | Took::NotIfOther | Took::Perhaps => Stopped::Unheard(failure),
        Took::It => Stopped::Failed(failure),
    }
}

/// Leaves out what shares its name with another tool.
fn sort_out(listed: Vec<ListedTool>, left_out: Vec<Unusable>, era: Era) -> Listing {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for tool in &listed {
        *counts.entry(tool.name.clone()).or_default() += 1;
    }
    let mut listing = Listing { tools: Vec::with_capacity(listed.len()), left_out: Vec::new(), era };
    for tool in listed {
        match counts.get(&tool.name) {
            Some(1) => listing.tools.push(published(tool)),
            _ => listing.left_out.push(LeftOut {
                place: tool.name,
                reason: "the server lists more than one tool of this name, so nobody can say which a call would reach"
                    .into(),
            }),
        }
    }
    listing.left_out.extend(left_out.into_iter().map(|one| LeftOut { place: one.place, reason: one.reason }));
    listing
}

pub(super) fn published(tool: ListedTool) -> McpTool {
    McpTool {
        name: tool.name,
        title: tool.title,
        description: tool.description,
        input_schema: tool.input_schema,
        output_schema: tool.output_schema,
        annotations: tool.annotations,
        rest: tool.rest,
    }
}
