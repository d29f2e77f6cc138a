//! `ambit check`: everything `ambit serve` validates before it opens a port, and what it would find in local documents.
//! Nothing is fetched, nothing is written.

use std::{collections::BTreeMap, sync::Arc};

use ambit_live::catalogue::ServerCatalogue;
use ambit_model::{
    ids::ServerSlug,
    server::{DocumentSource, Upstream},
};
use clap::Args;
use serde_json::json;

use super::{Context, DONE, Ended, FINDING, Failure, render::counted, view};
use crate::config::{Problem, Resolved, Severity, secrets};

mod approvers;
mod arguments;
mod names;

/// What was read of the documents that lie here, by server.
type Read = BTreeMap<ServerSlug, Arc<ServerCatalogue>>;

/// So many tools are named that an owner should look at; `ambit tools` has them all.
const MOST_NAMED: usize = 5;

/// Check the configuration without serving.
#[derive(Args, Debug)]
#[command(after_help = "Example: ambit check --config ambit.toml")]
pub struct Check {}

impl Check {
    pub(crate) async fn run(&self, context: &mut Context<'_>) -> Ended {
        let resolved = context.resolved()?;
        secrets::spendables(&resolved)?;
        let mut problems = resolved.warnings.clone();
        let read = documents(&resolved, context).await?;
        let doubts: Vec<_> = read.values().filter_map(|read| doubt(read)).collect();
        for doubt in &doubts {
            context.note(doubt)?;
        }
        let found = Found { resolved: &resolved, read: &read };
        problems.extend(approvers::missing(&found, context.clock.now()));
        let findings: Vec<_> = names::unknown(&found).into_iter().chain(arguments::unknown(&found)).collect();
        let code = if findings.is_empty() { DONE } else { FINDING };
        problems.extend(findings);
        let summary = summary(&resolved);
        let text: Vec<_> = problems.iter().map(ToString::to_string).chain([summary]).collect();
        context.print(&json!({ "ok": code == DONE, "problems": problems, "doubts": doubts }), &text.join("\n"))?;
        Ok(code)
    }
}

/// What a configuration is held to.
struct Found<'a> {
    resolved: &'a Resolved,
    read: &'a Read,
}

impl Found<'_> {
    /// Something to look at, at a place of the configuration.
    fn problem(&self, path: String, message: String) -> Problem {
        let file = self.resolved.file.clone().unwrap_or_default();
        Problem { severity: Severity::Warning, file, line: None, path, message }
    }

    /// The documents with tools. Of a server that is not read here, nobody can say which tools it has.
    fn with_tools(&self) -> impl Iterator<Item = &ServerCatalogue> {
        self.read.values().map(Arc::as_ref).filter(|read| read.problem.is_none())
    }
}

/// Reads the documents that lie here.
async fn documents(resolved: &Resolved, context: &Context<'_>) -> Result<Read, Failure> {
    let mut found = Read::new();
    for server in resolved.deployment.servers.values() {
        if matches!(&server.upstream, Upstream::OpenApi { document: DocumentSource::File(_), .. }) {
            let read = view::catalogues(resolved, Some(&server.slug), context).await?;
            found.extend(read.into_iter().map(|read| (read.slug.clone(), read)));
        }
    }
    Ok(found)
}

/// Names the tools of a server that only their method says to read.
fn doubt(read: &ServerCatalogue) -> Option<String> {
    let names: Vec<_> = read.tools.values().filter(|tool| tool.reads_by_method_alone()).map(|tool| tool.id()).collect();
    let (first, more) = names.split_at(names.len().min(MOST_NAMED));
    let first = first.iter().map(|id| format!("`{}`", id.tool)).collect::<Vec<_>>().join(", ");
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    let slug = &read.slug;
    (!names.is_empty()).then(|| {
        format!(
            "server `{slug}`: {} as `read` because of the method alone, with no word that says so ({first}{more}): look at them \
             with `ambit tools --server {slug}`, and say in `[servers.{slug}.effects]` what they are",
            counted_as(names.len())
        )
    })
}

fn counted_as(tools: usize) -> String {
    if tools == 1 { "1 tool counts".to_owned() } else { format!("{tools} tools count") }
}

fn summary(resolved: &Resolved) -> String {
    let deployment = &resolved.deployment;
    format!(
        "the configuration is valid: {}, {}, {}, {}, {}",
        counted(deployment.endpoints.len(), "endpoint"),
        counted(deployment.servers.len(), "server"),
        counted(deployment.toolsets.len(), "toolset"),
        counted(deployment.grants.len(), "grant"),
        counted(resolved.lock.iter().count(), "accepted tool"),
    )
}
