//! `ambit check`: everything `ambit serve` validates before it opens a port, and what it would find in local documents.
//! Nothing is fetched, nothing is written.

use ambit_model::server::{DocumentSource, Upstream};
use clap::Args;
use serde_json::json;

use super::{Context, DONE, Ended, FINDING, view};
use crate::config::{Problem, Resolved, Severity, secrets};

/// Check the configuration without serving.
#[derive(Args, Debug)]
#[command(after_help = "Example: ambit check --config ambit.toml")]
pub struct Check {}

impl Check {
    #[expect(clippy::unused_self, reason = "every command runs as a method of its arguments")]
    pub(crate) async fn run(&self, context: &mut Context<'_>) -> Ended {
        let resolved = context.resolved()?;
        secrets::spendables(&resolved)?;
        let mut problems = resolved.warnings.clone();
        let findings = documents(&resolved, context).await?;
        let code = if findings.is_empty() { DONE } else { FINDING };
        problems.extend(findings);
        let summary = summary(&resolved);
        let text: Vec<_> = problems.iter().map(ToString::to_string).chain([summary]).collect();
        context.print(&json!({ "ok": code == DONE, "problems": problems }), &text.join("\n"))?;
        Ok(code)
    }
}

/// What would go wrong with the documents that lie here: a server that would have no tools, an override that names none.
async fn documents(resolved: &Resolved, context: &Context<'_>) -> Result<Vec<Problem>, super::Failure> {
    let mut findings = Vec::new();
    for server in resolved.deployment.servers.values() {
        let local = matches!(&server.upstream, Upstream::OpenApi { document: DocumentSource::File(_), .. });
        if !local {
            continue;
        }
        let mut finding = |path: String, message: String| {
            findings.push(Problem {
                severity: Severity::Warning,
                file: resolved.file.clone().unwrap_or_default(),
                line: None,
                path: format!("servers.{}{path}", server.slug),
                message,
            });
        };
        for read in view::catalogues(resolved, Some(&server.slug), context).await? {
            if let Some(problem) = &read.problem {
                finding(".openapi".to_owned(), format!("would have no tools: {problem}"));
                continue;
            }
            for name in server.overrides.keys().filter(|name| !read.tools.contains_key(*name)) {
                finding(
                    format!(".effects.{name}"),
                    "names a tool that the document does not have: correct or remove it".into(),
                );
            }
            for left in &read.left_out {
                finding(".openapi".to_owned(), format!("`{}` cannot become a tool: {}", left.place, left.reason));
            }
        }
    }
    Ok(findings)
}

fn summary(resolved: &Resolved) -> String {
    let deployment = &resolved.deployment;
    format!(
        "the configuration is valid: {} endpoints, {} servers, {} toolsets, {} grants, {} accepted tools",
        deployment.endpoints.len(),
        deployment.servers.len(),
        deployment.toolsets.len(),
        deployment.grants.len(),
        resolved.lock.iter().count(),
    )
}
