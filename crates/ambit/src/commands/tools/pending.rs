//! `ambit tools --pending`: what is new or changed since it was accepted, and how.

use std::sync::Arc;

use ambit_live::{
    catalogue::{PublishedTool, ServerCatalogue},
    lock::Lock,
};
use ambit_model::{Digest, Effect, ids::ServerSlug, tool::Definition};
use ambit_store::{Store, acceptances};
use serde::Serialize;

use super::{
    super::{Context, DONE, Ended, FINDING, Failure, render::counted, view},
    clean, difference, problems, review,
};

#[derive(Serialize, Debug)]
struct Pending {
    server: String,
    name: String,
    effect: Effect,
    reason: String,
    /// `new`, `changed`, or `effect` when only Ambit's own reading of it changed.
    change: &'static str,
    accepted: Option<String>,
    seen: String,
    /// What `ambit tools accept SERVER/NAME --digest` takes: definition and effect as they are shown here.
    digest: Digest,
    /// The same for everything of its server that waits, and `ambit tools accept SERVER`.
    server_digest: Digest,
    difference: Vec<String>,
}

pub(super) async fn run(only: Option<&ServerSlug>, context: &mut Context<'_>) -> Ended {
    let resolved = context.resolved()?;
    let servers = view::catalogues(&resolved, only, context).await?;
    let store = view::store_if_any(&resolved).await?;
    let waiting = waiting(&servers, &resolved.lock, store.as_ref()).await?;
    if let Some(store) = store {
        store.close().await;
    }
    let gone = gone(&servers, &resolved.lock);
    let text = in_words(&waiting, &gone);
    context.print(&waiting, &text)?;
    let code = problems(&servers, context)?;
    Ok(if waiting.is_empty() && code == DONE { DONE } else { FINDING })
}

async fn waiting(
    servers: &[Arc<ServerCatalogue>],
    lock: &Lock,
    store: Option<&Store>,
) -> Result<Vec<Pending>, Failure> {
    let mut waiting = Vec::new();
    for server in servers {
        let tools: Vec<_> = server.tools.values().filter(|tool| review::is_pending(tool, lock)).collect();
        let all = review::digest(tools.iter().map(AsRef::as_ref));
        for tool in tools {
            waiting.push(pending(tool, all, lock, store).await?);
        }
    }
    Ok(waiting)
}

async fn pending(
    tool: &PublishedTool,
    server_digest: Digest,
    lock: &Lock,
    store: Option<&Store>,
) -> Result<Pending, Failure> {
    let pin = lock.pin(tool.id());
    let (change, difference) = match pin {
        None => ("new", Vec::new()),
        Some(pin) if pin.digest == tool.digest => {
            ("effect", vec![format!("effect: was accepted as {}, is now judged {}", pin.effect, tool.effect.effect)])
        }
        Some(pin) => {
            let kept = match store {
                Some(store) => {
                    acceptances::find_definition(store, tool.id(), &pin.digest).await.map_err(Failure::because)?
                }
                None => None,
            };
            let mut lines = match kept.and_then(|text| serde_json::from_str::<Definition>(&text).ok()) {
                Some(accepted) => difference::between(&accepted, &tool.definition),
                None => vec![
                    "the accepted definition is not kept here, only its digest; look at the tool as a whole".to_owned(),
                ],
            };
            if pin.effect != tool.effect.effect {
                lines.insert(0, format!("effect: was {}, is now {}", pin.effect, tool.effect.effect));
            }
            ("changed", lines)
        }
    };
    Ok(Pending {
        server: tool.id().server.to_string(),
        name: tool.id().tool.to_string(),
        effect: tool.effect.effect,
        reason: clean(&tool.effect.reason),
        change,
        accepted: pin.map(|pin| pin.digest.to_string()),
        seen: tool.digest.to_string(),
        digest: review::digest([tool]),
        server_digest,
        difference,
    })
}

/// Accepted tools that are not there any more. They hold nothing up.
fn gone(servers: &[Arc<ServerCatalogue>], lock: &Lock) -> Vec<String> {
    let read = servers.iter().filter(|server| server.problem.is_none());
    let read: Vec<_> = read.collect();
    lock.iter()
        .filter(|(id, _)| read.iter().any(|server| server.slug == id.server && !server.tools.contains_key(&id.tool)))
        .map(|(id, _)| id.to_string())
        .collect()
}

fn in_words(waiting: &[Pending], gone: &[String]) -> String {
    let mut lines = Vec::new();
    for tool in waiting {
        lines.push(format!("{}/{}  {}  {}", tool.server, tool.name, tool.change, tool.effect));
        lines.extend(tool.difference.iter().map(|line| format!("    {line}")));
        lines.push(format!("    digest {}", tool.digest));
    }
    if waiting.is_empty() {
        lines.push("nothing is pending".to_owned());
    } else {
        lines.push(format!(
            "\n{} pending and hidden: accept one with `ambit tools accept SERVER/TOOL`, all of a server with \
             `ambit tools accept SERVER`; with `--digest` exactly what is shown here",
            counted(waiting.len(), "tool")
        ));
        let mut servers: Vec<_> = waiting.iter().map(|tool| (&tool.server, tool.server_digest)).collect();
        servers.dedup();
        lines.extend(servers.iter().map(|(slug, digest)| format!("  ambit tools accept {slug} --digest {digest}")));
    }
    lines.extend(gone.iter().map(|id| format!("{id} was accepted and is not there any more")));
    lines.join("\n")
}
