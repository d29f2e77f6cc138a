//! Reads what every server offers: OpenAPI documents from files and https URLs, listings of MCP servers. Used at start, at
//! reload and by the commands that look without serving.
//!
//! A server that cannot be read has no tools and says why; the others are not touched by it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ambit_egress::{Client, FetchLimits, Redirects};
use ambit_gateway::mcp::{self, McpUpstreams};
use ambit_live::{catalogue::ServerCatalogue, credentials::Spendables};
use ambit_model::{
    Effect,
    ids::Millis,
    server::{DocumentSource, Server, Upstream},
};
use ambit_openapi::{Options, document};
use http::HeaderValue;
use tokio::{task::JoinSet, time::Instant};

/// How long a document or a listing may take.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// Where catalogues are read through.
#[derive(Clone)]
pub struct Sources {
    /// The outgoing client.
    pub egress: Client,
    /// The sessions with MCP servers.
    pub mcp: McpUpstreams,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

/// Reads every server at once.
pub async fn read_all<'a>(
    servers: impl IntoIterator<Item = &'a Server>,
    sources: &Sources,
    credentials: &Spendables,
    now: Millis,
) -> Vec<Arc<ServerCatalogue>> {
    let mut reading = JoinSet::new();
    for server in servers {
        let (server, sources, credentials) = (server.clone(), sources.clone(), credentials.clone());
        reading.spawn(async move { read(&server, &sources, &credentials, now).await });
    }
    let mut catalogues = Vec::new();
    while let Some(read) = reading.join_next().await {
        match read {
            Ok(catalogue) => catalogues.push(Arc::new(catalogue)),
            Err(error) => tracing::error!(%error, "reading a server ended abnormally"),
        }
    }
    catalogues
}

/// Reads one server.
pub async fn read(server: &Server, sources: &Sources, credentials: &Spendables, now: Millis) -> ServerCatalogue {
    let read = match &server.upstream {
        Upstream::OpenApi { document, base_url } => {
            read_openapi(server, document, base_url.as_deref(), &sources.egress, now).await
        }
        Upstream::Mcp { .. } => read_mcp(server, sources, credentials, now).await,
    };
    match read {
        Ok(catalogue) => {
            if !catalogue.left_out.is_empty() {
                let count = catalogue.left_out.len();
                tracing::warn!(server = %server.slug, count, "something could not become a tool; `ambit tools` lists it");
            }
            catalogue
        }
        Err(problem) => {
            tracing::warn!(server = %server.slug, %problem, "the server could not be read; it has no tools");
            ServerCatalogue::failed(server.slug.clone(), problem, now)
        }
    }
}

async fn read_openapi(
    server: &Server,
    source: &DocumentSource,
    base_url: Option<&str>,
    egress: &Client,
    now: Millis,
) -> Result<ServerCatalogue, String> {
    // Files are read where waiting for a disk holds up nobody.
    let source = match source {
        DocumentSource::File(path) => Document::Unread(path.clone()),
        DocumentSource::Url(url) => Document::Read(fetch(url, egress).await?),
    };
    let (server, base_url) = (server.clone(), base_url.map(ToOwned::to_owned));
    let compiling = tokio::task::spawn_blocking(move || {
        let bytes = match source {
            Document::Unread(path) => read_file(&path)?,
            Document::Read(bytes) => bytes,
        };
        let document = ambit_openapi::parse(&bytes).map_err(|error| error.to_string())?;
        let base = ambit_openapi::base_url(&document, base_url.as_deref()).map_err(|error| error.to_string())?;
        let compiled = ambit_openapi::compile(&document, &Options::default()).map_err(|error| error.to_string())?;
        Ok(ServerCatalogue::from_openapi(&server, &compiled, base, now))
    });
    compiling.await.map_err(|_| "compiling the document ended abnormally".to_owned())?
}

/// A document on its way to being compiled.
enum Document {
    Unread(PathBuf),
    Read(Vec<u8>),
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("the document `{}` cannot be read: {error}", path.display());
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > document::MAX_BYTES as u64 {
        return Err(format!(
            "the document `{}` has {size} bytes, at most {} are read",
            path.display(),
            document::MAX_BYTES
        ));
    }
    std::fs::read(path).map_err(unreadable)
}

async fn fetch(url: &str, egress: &Client) -> Result<Vec<u8>, String> {
    let limits = FetchLimits {
        max_bytes: document::MAX_BYTES,
        timeout: READ_TIMEOUT,
        accept: HeaderValue::from_static("application/json, application/yaml;q=0.9, */*;q=0.1"),
        redirects: Redirects::SameOrigin { most: 3 },
    };
    let fetched = egress.fetch(url, &limits).await.map_err(|error| error.to_string())?;
    if !fetched.status.is_success() {
        return Err(format!("the document was answered with status {}: check its URL", fetched.status.as_u16()));
    }
    Ok(fetched.body.to_vec())
}

async fn read_mcp(
    server: &Server,
    sources: &Sources,
    credentials: &Spendables,
    now: Millis,
) -> Result<ServerCatalogue, String> {
    // A listing changes nothing, so it is read with the credential for reading.
    let credential = credentials.find(&server.slug, Effect::Read);
    let listing = sources.mcp.list(server, credential.map(AsRef::as_ref), Instant::now() + READ_TIMEOUT).await;
    let mcp::Listing { tools, left_out, .. } = listing.map_err(|failure| match failure.detail() {
        Some(detail) => format!("{failure} ({detail})"),
        None => failure.to_string(),
    })?;
    Ok(ServerCatalogue::from_mcp(server, tools, left_out, now))
}
