//! Names in the configuration that no tool of a document has: what they were to correct, label, limit or spare goes on as if
//! they were not written. A document without tools is told here as well.

use ambit_live::catalogue::ServerCatalogue;
use ambit_model::{
    budget::Allowance,
    constraints::ToolPattern,
    ids::{IssuerName, ServerSlug, ToolName, UserKey},
    server::Server,
    toolset::Selector,
};

use super::Found;
use crate::config::Problem;

/// What to do about a name.
const REMEDY: &str = "correct or remove it; `ambit tools --server";

pub(super) fn unknown(found: &Found<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (slug, read) in found.read {
        if let Some(problem) = &read.problem {
            problems.push(found.problem(format!("servers.{slug}.openapi"), format!("would have no tools: {problem}")));
            continue;
        }
        if let Some(server) = found.resolved.deployment.servers.get(slug) {
            problems.extend(of_server(found, server, read));
        }
        problems.extend(of_toolsets(found, read));
        problems.extend(read.left_out.iter().map(|left| {
            let message = format!("`{}` cannot become a tool: {}", left.place, left.reason);
            found.problem(format!("servers.{slug}.openapi"), message)
        }));
    }
    problems.extend(of_budgets(found));
    problems
}

/// What the owner says of single tools.
fn of_server(found: &Found<'_>, server: &Server, read: &ServerCatalogue) -> Vec<Problem> {
    let slug = &server.slug;
    let gone = |name: &&ToolName| !read.tools.contains_key(*name);
    let say = |at: String, what: &str| found.problem(format!("servers.{slug}.{at}"), of_document(what, slug));
    let effects = server.overrides.keys().filter(gone).map(|name| {
        say(format!("effects.{name}"), "names a tool that the document does not have, so it corrects nothing")
    });
    let waivers = server.approvals.waivers.keys().filter(gone).map(|name| {
        say(format!("approvals.{name}"), "names a tool that the document does not have, so it waives nothing")
    });
    let labels = server.labels.iter().filter(|(pattern, _)| !is_there(pattern, read)).map(|(pattern, _)| {
        let text = String::from(pattern.clone());
        let own = text.strip_prefix(&format!("{slug}/")).unwrap_or(&text).to_owned();
        say(format!("labels.{own}"), "covers no tool of the document, so it labels nothing and guards no flow")
    });
    effects.chain(waivers).chain(labels).collect()
}

fn of_document(what: &str, slug: &ServerSlug) -> String {
    format!("{what}: {REMEDY} {slug}` lists the names")
}

fn of_toolsets<'a>(found: &'a Found<'_>, read: &'a ServerCatalogue) -> impl Iterator<Item = Problem> + use<'a> {
    found.resolved.deployment.toolsets.values().flat_map(move |toolset| {
        toolset.tools.iter().filter_map(move |selector| match selector {
            Selector::Tool(id) if id.server == read.slug && !read.tools.contains_key(&id.tool) => {
                let what = format!("names `{id}`, a tool that the document does not have");
                Some(found.problem(format!("toolsets.{}.tools", toolset.slug), of_document(&what, &read.slug)))
            }
            Selector::Tool(_) | Selector::Wildcard { .. } => None,
        })
    })
}

fn of_budgets(found: &Found<'_>) -> Vec<Problem> {
    let budgets = &found.resolved.deployment.budgets;
    let everybody = [("default".to_owned(), &budgets.everybody)];
    let holders = everybody
        .into_iter()
        .chain(budgets.agents.iter().map(|(agent, own)| (format!("\"agent:{agent}\""), own)))
        .chain(budgets.users.iter().map(|(user, own)| (format!("\"user:{}\"", as_written(user)), own)))
        .chain(budgets.clients.iter().map(|(client, own)| (format!("\"client:{client}\""), own)))
        .chain(budgets.groups.iter().map(|(group, own)| (format!("\"group:{group}\""), own)));
    holders.flat_map(|(holder, allowance)| of_allowance(found, &holder, allowance)).collect()
}

/// A user as configuration usually names it: a local account needs no issuer.
fn as_written(user: &UserKey) -> String {
    if user.issuer == IssuerName::local() { user.subject.to_string() } else { user.to_string() }
}

fn of_allowance(found: &Found<'_>, holder: &str, allowance: &Allowance) -> Vec<Problem> {
    let missing = allowance.tools.iter().filter_map(|(pattern, _)| {
        let ToolPattern::Of(selector) = pattern else { return None };
        let read = found.with_tools().find(|read| read.slug == *selector.server())?;
        if is_there(selector, read) {
            return None;
        }
        let what = "covers no tool of the document, so it limits nothing";
        Some(found.problem(format!("budgets.{holder}.tools.\"{pattern}\""), of_document(what, &read.slug)))
    });
    missing.collect()
}

fn is_there(selector: &Selector, read: &ServerCatalogue) -> bool {
    read.tools.values().any(|tool| selector.names(tool.id()))
}
