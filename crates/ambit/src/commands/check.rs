//! `ambit check`: everything `ambit serve` validates before it opens a port, and what it would find in local documents.
//! Nothing is fetched, nothing is written.

use ambit_live::catalogue::ServerCatalogue;
use ambit_model::{
    server::{DocumentSource, Server, Upstream},
    toolset::Selector,
};
use clap::Args;
use serde_json::json;

use super::{Context, DONE, Ended, FINDING, Failure, render::counted, view};
use crate::config::{Problem, Resolved, Severity, secrets};

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
        let (findings, doubts) = documents(&resolved, context).await?;
        for doubt in &doubts {
            context.note(doubt)?;
        }
        let code = if findings.is_empty() { DONE } else { FINDING };
        problems.extend(findings);
        let summary = summary(&resolved);
        let text: Vec<_> = problems.iter().map(ToString::to_string).chain([summary]).collect();
        context.print(&json!({ "ok": code == DONE, "problems": problems, "doubts": doubts }), &text.join("\n"))?;
        Ok(code)
    }
}

/// What would go wrong with the documents that lie here: a server that would have no tools, a name that names none. And what
/// an owner should look at, which is no error.
async fn documents(resolved: &Resolved, context: &Context<'_>) -> Result<(Vec<Problem>, Vec<String>), Failure> {
    let (mut findings, mut doubts) = (Vec::new(), Vec::new());
    for server in resolved.deployment.servers.values() {
        let local = matches!(&server.upstream, Upstream::OpenApi { document: DocumentSource::File(_), .. });
        if local {
            for read in view::catalogues(resolved, Some(&server.slug), context).await? {
                findings.extend(document(resolved, server, &read));
                doubts.extend(doubt(&read));
            }
        }
    }
    Ok((findings, doubts))
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

fn document(resolved: &Resolved, server: &Server, read: &ServerCatalogue) -> Vec<Problem> {
    let finding = |path: String, message: String| Problem {
        severity: Severity::Warning,
        file: resolved.file.clone().unwrap_or_default(),
        line: None,
        path,
        message,
    };
    let slug = &server.slug;
    if let Some(problem) = &read.problem {
        return vec![finding(format!("servers.{slug}.openapi"), format!("would have no tools: {problem}"))];
    }
    let overrides = server.overrides.keys().filter(|name| !read.tools.contains_key(*name)).map(|name| {
        let message = "names a tool that the document does not have: correct or remove it".to_owned();
        finding(format!("servers.{slug}.effects.{name}"), message)
    });
    let toolsets = resolved.deployment.toolsets.values().flat_map(|toolset| {
        toolset.tools.iter().filter_map(|selector| match selector {
            Selector::Tool(id) if id.server == *slug && !read.tools.contains_key(&id.tool) => {
                let message = format!("names `{id}`, a tool that the document does not have: correct or remove it");
                Some(finding(format!("toolsets.{}.tools", toolset.slug), message))
            }
            Selector::Tool(_) | Selector::Wildcard { .. } => None,
        })
    });
    let left_out = read.left_out.iter().map(|left| {
        let message = format!("`{}` cannot become a tool: {}", left.place, left.reason);
        finding(format!("servers.{slug}.openapi"), message)
    });
    overrides.chain(toolsets).chain(left_out).collect()
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
