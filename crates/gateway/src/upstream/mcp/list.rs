//! All tools of one server, page by page, or a failure: a part of a list is never taken for the
//! whole.
//!
//! Pages, tools, bytes and time are bounded; a cursor that comes twice ends the reading. Two tools
//! of one name are both left out: nobody could say which definition a call would reach. Pages that
//! say what is known already are not looked into.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ambit_live::catalogue::{LeftOut, McpTool};
use ambit_live::credentials::Spendable;
use ambit_mcp::era::Era;
use ambit_mcp::headers;
use ambit_mcp::upstream::listing::{next_cursor, read_page, substance};
use ambit_mcp::upstream::{ListedTool, Unusable, request};
use ambit_mcp::{OwnedRaw, Raw};
use ambit_model::Digest;
use ambit_model::server::{CallLimits, Server};
use http::HeaderMap;
use tokio::time::Instant;

use super::McpUpstreams;
use super::connection::{Connection, Took};
use super::exchange::{Exchange, Told};
use super::failure::{UpstreamFailure, repeats};
use super::one::{Lane, Presented, Upstream, presented};

/// Most pages of one list.
const MOST_PAGES: usize = 1_000;

/// The tools of one server at one time.
#[derive(Debug)]
pub struct Listing {
    /// The usable ones, in the server's order.
    pub tools: Vec<McpTool>,
    /// The others, each with the reason.
    pub left_out: Vec<LeftOut>,
    /// The revision the server speaks.
    pub era: Era,
    /// What the pages said, to tell another reading of the same.
    pub digest: Digest,
}

/// A listing beside one that is known.
#[derive(Debug)]
pub enum Relisted {
    /// The pages say what they said.
    Same,
    /// They say something else, and looking into them took so long.
    Other(Listing, Duration),
}

/// Every page, complete and not yet looked into.
struct Pages {
    results: Vec<OwnedRaw>,
    digest: Digest,
    era: Era,
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
        let pages = pages(&upstream, server.limits, credential, deadline).await;
        let listing = pages.and_then(|pages| understand(&upstream, server.limits, credential, &pages));
        let listing = listing.map_err(|failure| failure.without(credential))?;
        upstream.listed(told);
        Ok(listing)
    }

    /// The same, without looking into pages that are `known`: of this server as it is declared, and read with this
    /// credential.
    ///
    /// # Errors
    /// As [`McpUpstreams::list`].
    pub async fn list_again(
        &self,
        server: &Server,
        credential: Option<&Spendable>,
        deadline: Instant,
        known: Option<Digest>,
    ) -> Result<Relisted, UpstreamFailure> {
        let upstream = self.one(server)?;
        let told = upstream.told();
        let relisted = async {
            let pages = pages(&upstream, server.limits, credential, deadline).await?;
            if known == Some(pages.digest) {
                return Ok(Relisted::Same);
            }
            let began = Instant::now();
            let listing = understand(&upstream, server.limits, credential, &pages)?;
            Ok(Relisted::Other(listing, began.elapsed()))
        };
        let relisted = relisted.await.map_err(|failure: UpstreamFailure| failure.without(credential))?;
        upstream.listed(told);
        Ok(relisted)
    }
}

async fn pages(
    upstream: &Upstream,
    limits: CallLimits,
    credential: Option<&Spendable>,
    deadline: Instant,
) -> Result<Pages, UpstreamFailure> {
    let presented = presented(credential);
    let connection = upstream.connected(&presented, deadline).await?;
    let failure = match pages_over(upstream, &connection, limits, &presented, deadline).await {
        Ok(pages) => return Ok(pages),
        Err(Stopped::Failed(failure)) => return Err(failure),
        Err(Stopped::Unheard(failure)) => failure,
    };
    upstream.forget(&presented, &connection);
    let fresh = upstream.connected(&presented, deadline).await?;
    if *fresh == *connection {
        return Err(failure);
    }
    pages_over(upstream, &fresh, limits, &presented, deadline).await.map_err(Stopped::into_failure)
}

impl Stopped {
    pub(super) fn into_failure(self) -> UpstreamFailure {
        match self {
            Self::Unheard(failure) | Self::Failed(failure) => failure,
        }
    }
}

/// Reads all tools over one connection.
pub(super) async fn list_over(
    upstream: &Upstream,
    connection: &Connection,
    limits: CallLimits,
    credential: Option<&Spendable>,
    deadline: Instant,
) -> Result<Listing, Stopped> {
    let pages = pages_over(upstream, connection, limits, &presented(credential), deadline).await?;
    understand(upstream, limits, credential, &pages).map_err(Stopped::Failed)
}

async fn pages_over(
    upstream: &Upstream,
    connection: &Connection,
    limits: CallLimits,
    presented: &Presented,
    deadline: Instant,
) -> Result<Pages, Stopped> {
    let max_bytes = limits.max_listing_bytes;
    let exchange = Exchange {
        upstream,
        connection,
        presented,
        deadline,
        max_bytes,
        progress: None,
        lane: Lane::Upkeep,
        stands: &|| true,
    };
    let mut results = Vec::new();
    let mut cursors = HashSet::new();
    let mut cursor: Option<String> = None;
    let mut bytes = 0_usize;
    let failed = |why: &str| Stopped::Failed(UpstreamFailure::listing(&upstream.slug, why));
    for _ in 0..MOST_PAGES {
        let (result, next) = one_page(&exchange, cursor.as_deref()).await?;
        bytes = bytes.saturating_add(result.as_str().len());
        if bytes > max_bytes {
            return Err(failed("it is larger than the `max_listing` of this server"));
        }
        results.push(result);
        match next {
            None => return Ok(Pages { digest: digest(&results), results, era: connection.era() }),
            Some(next) if !cursors.insert(next.clone()) => return Err(failed("its pages lead back to one before")),
            Some(next) => cursor = Some(next),
        }
    }
    Err(failed("it has more than 1000 pages"))
}

/// One page and where the next begins.
async fn one_page(exchange: &Exchange<'_>, cursor: Option<&str>) -> Result<(OwnedRaw, Option<String>), Stopped> {
    let upstream = exchange.upstream;
    let id = upstream.next_id();
    let body = request::tools_list(id, exchange.connection.era(), cursor, &upstream.client);
    let session = exchange.connection.session();
    let target = headers::Target { method: "tools/list", name: None, mirrored: None, session };
    let read = |_: &HeaderMap, result: Raw<'_>| Ok::<_, String>((result.into_owned(), next_cursor(result)?));
    let told = exchange.ask(&target, id, body, read).await.map_err(Stopped::Failed)?;
    match told {
        Told::Result(Ok(page), _) => Ok(page),
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

/// Of what the pages say, and how many there were. Cursors differ each time at some servers and say nothing.
fn digest(results: &[OwnedRaw]) -> Digest {
    Digest::of_parts(results.iter().flat_map(|result| substance(result.as_raw())).map(str::as_bytes))
}

/// Looks into the pages.
fn understand(
    upstream: &Upstream,
    limits: CallLimits,
    credential: Option<&Spendable>,
    pages: &Pages,
) -> Result<Listing, UpstreamFailure> {
    let (mut listed, mut left_out) = (Vec::new(), Vec::new());
    let mut left = limits.max_tools;
    for result in &pages.results {
        let page = read_page(result.as_raw(), left, |text| repeats(text, credential))
            .map_err(|why| UpstreamFailure::listing(&upstream.slug, why))?;
        left = left.saturating_sub(page.tools.len() + page.left_out.len());
        listed.extend(page.tools);
        left_out.extend(page.left_out);
    }
    Ok(sort_out(listed, left_out, pages))
}

/// A list may be asked for again, so a doubt is enough.
fn stopped(took: Took, failure: UpstreamFailure) -> Stopped {
    match took {
        Took::Not | Took::NotIfOther | Took::Perhaps => Stopped::Unheard(failure),
        Took::It => Stopped::Failed(failure),
    }
}

/// Leaves out what shares its name with another tool.
fn sort_out(listed: Vec<ListedTool>, left_out: Vec<Unusable>, pages: &Pages) -> Listing {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for tool in &listed {
        *counts.entry(tool.name.clone()).or_default() += 1;
    }
    let tools = Vec::with_capacity(listed.len());
    let mut listing = Listing { tools, left_out: Vec::new(), era: pages.era, digest: pages.digest };
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
