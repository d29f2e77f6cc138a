//! `ambit tools`: every tool with effect, reason and state; what a caller is shown; what waits for acceptance.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};

use ambit_live::catalogue::{Binding, PublishedTool, ServerCatalogue};
pub(super) use ambit_model::shown::plain as clean;
use ambit_model::{Effect, ids::ServerSlug, label::Label, server::Server, tool::Acceptance};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::{
    Context, DONE, Ended, FINDING, Failure,
    render::{counted, table},
    view::{self, Eyes},
};

mod accept;
mod difference;
mod pending;
mod review;
mod shown;

/// So far references of a schema are followed for the names of its arguments.
const DEEPEST: usize = 4;

/// List tools with effect and state; accept definitions.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  ambit tools --server mux\n  ambit tools --as alice --endpoint /mcp\n  ambit tools --pending\n  \
                  ambit tools accept mux"
)]
pub struct Tools {
    #[command(subcommand)]
    what: Option<What>,
    /// Only the tools of one server.
    #[arg(long, value_name = "SERVER")]
    server: Option<ServerSlug>,
    /// Only tools that are new or changed, each with what changed.
    #[arg(long, conflicts_with = "user")]
    pending: bool,
    #[command(flatten)]
    eyes: Eyes,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Accept the definitions of a server's tools, or of one tool, as they are now.
    Accept(accept::Accept),
}

/// One tool, as scripts read it.
#[derive(Serialize, Debug)]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    name: String,
    effect: Effect,
    reason: String,
    method: Option<String>,
    path: Option<String>,
    state: &'static str,
    /// What rules can read of it and its server beside.
    labels: Vec<&'static str>,
    environment: Option<String>,
    data_class: Option<String>,
    /// The names of its arguments.
    arguments: Vec<String>,
}

impl Tools {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        match self.what {
            Some(What::Accept(accept)) => accept.run(context).await,
            None if self.pending => pending::run(self.server.as_ref(), context).await,
            None if self.eyes.is_somebody()? => shown::run(&self.eyes, self.server.as_ref(), context).await,
            None => list(self.server.as_ref(), context).await,
        }
    }
}

async fn list(only: Option<&ServerSlug>, context: &mut Context<'_>) -> Ended {
    let resolved = context.resolved()?;
    let servers = view::catalogues(&resolved, only, context).await?;
    let mut rows = Vec::new();
    for server in &servers {
        for tool in server.tools.values() {
            let acceptance = resolved.lock.acceptance(tool.id(), tool.pin(), tool.overridden);
            let mut row = row(tool, acceptance, resolved.deployment.servers.get(&server.slug));
            // With one server named, its slug in every row says nothing.
            row.server = only.is_none().then(|| server.slug.to_string());
            rows.push(row);
        }
    }
    let text = format!("{}{}", in_columns(&rows), summaries(&servers, &rows));
    context.print(&rows, &text)?;
    problems(&servers, context)
}

fn row(tool: &PublishedTool, acceptance: Acceptance, server: Option<&Server>) -> Row {
    let (method, path) = match &tool.binding {
        Binding::Operation(operation) => (Some(operation.method.to_string()), Some(operation.path.clone())),
        Binding::Mcp { .. } => (None, None),
    };
    Row {
        server: None,
        name: tool.id().tool.to_string(),
        effect: tool.effect.effect,
        reason: clean(&tool.effect.reason),
        method,
        path: path.map(|path| clean(&path)),
        state: state(acceptance),
        labels: server
            .map_or_else(Vec::new, |server| server.labels_of(tool.id()).into_iter().map(Label::as_str).collect()),
        environment: server.map(|server| server.governance.environment.clone()),
        data_class: server.map(|server| server.governance.data_class.clone()),
        arguments: arguments(tool.input_schema()),
    }
}

/// The names of arguments a schema declares, also behind a reference and in the parts it is put together of.
fn arguments(schema: &Value) -> Vec<String> {
    let mut names = BTreeSet::new();
    declared(schema, schema, 0, &mut names);
    names.into_iter().collect()
}

fn declared(root: &Value, schema: &Value, depth: usize, names: &mut BTreeSet<String>) {
    let own = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    names.extend(own.map(|(name, _)| clean(name)));
    if depth >= DEEPEST {
        return;
    }
    let reference = schema.get("$ref").and_then(Value::as_str).and_then(|text| root.pointer(text.strip_prefix('#')?));
    let parts = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|of| schema.get(of)?.as_array()).flatten();
    for part in reference.into_iter().chain(parts) {
        declared(root, part, depth + 1, names);
    }
}

/// The word of an acceptance: a tool is shown, or it waits for somebody to look at it.
fn state(acceptance: Acceptance) -> &'static str {
    match acceptance {
        Acceptance::Accepted => "accepted",
        Acceptance::New | Acceptance::Changed => "pending",
    }
}

fn in_columns(rows: &[Row]) -> String {
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            let name = match &row.server {
                Some(server) => format!("{server}/{}", row.name),
                None => row.name.clone(),
            };
            let request = match (&row.method, &row.path) {
                (Some(method), Some(path)) => format!("{method} {path}"),
                _ => String::new(),
            };
            [name, row.effect.to_string(), row.state.to_owned(), request, row.reason.clone()]
        })
        .collect();
    table(["TOOL", "EFFECT", "STATE", "REQUEST", "WHY THIS EFFECT"], &cells)
}

fn summaries(servers: &[Arc<ServerCatalogue>], rows: &[Row]) -> String {
    let summary = |server: &Arc<ServerCatalogue>| {
        let counts: Vec<_> = Effect::ALL.iter().map(|effect| format!("{} {effect}", server.count(*effect))).collect();
        format!("\n{}: {} ({})", server.slug, counted(server.tools.len(), "tool"), counts.join(", "))
    };
    let mut text: String = servers.iter().map(summary).collect();
    for server in servers {
        let doubtful = server.tools.values().filter(|tool| tool.reads_by_method_alone()).count();
        if doubtful > 0 {
            let _ = write!(
                text,
                "\n{}: {} `read` by the method alone; the reason says so: look, and confirm or correct it in \
                 `[servers.{}.effects]`",
                server.slug,
                counted(doubtful, "tool"),
                server.slug
            );
        }
    }
    if rows.iter().any(|row| row.state == "pending") {
        text.push_str(
            "\npending tools are hidden: `ambit tools --pending` shows what changed, `ambit tools accept` accepts",
        );
    }
    text
}

/// What could not be read or become a tool. Goes beside the result; a server without tools is a finding.
fn problems(servers: &[Arc<ServerCatalogue>], context: &mut Context<'_>) -> Ended {
    let mut code = DONE;
    for server in servers {
        if let Some(problem) = &server.problem {
            code = FINDING;
            writeln!(context.err, "server `{}` has no tools: {}", server.slug, clean(problem))?;
        }
        for left in &server.left_out {
            context.note(&format!(
                "server `{}`: `{}` cannot become a tool: {}",
                server.slug,
                clean(&left.place),
                clean(&left.reason)
            ))?;
        }
    }
    Ok(code)
}

/// A server that has to be readable.
fn readable(servers: &[Arc<ServerCatalogue>]) -> Result<(), Failure> {
    match servers.iter().find_map(|server| Some((server, server.problem.as_ref()?))) {
        Some((server, problem)) => {
            Err(Failure::Refused(format!("server `{}` cannot be read: {}", server.slug, clean(problem))))
        }
        None => Ok(()),
    }
}
