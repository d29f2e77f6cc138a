//! `ambit tools accept`: pins definitions in the lock file, as they are read now, or with `--digest` exactly as somebody
//! looked at them.
//!
//! The act is recorded before the file is written; a running server reads the file afterwards. Where there is no deployment
//! (no data directory), the lock file in version control is the record.

use std::{collections::BTreeSet, fs, io::Write as _, path::Path, sync::Arc};

use ambit_live::{
    catalogue::{PublishedTool, ServerCatalogue},
    lock::Lock,
};
use ambit_model::{
    Digest, Effect,
    digest::InvalidDigest,
    ids::{ServerSlug, ToolId},
    tool::Acceptance,
};
use clap::Args;
use serde_json::json;

use super::{
    super::{Context, DONE, Ended, Failure, operate, render::counted, view},
    problems, readable, review,
};
use crate::{
    config::{self, Resolved},
    operator::{
        Act,
        act::{AcceptedTool, MAX_ACCEPTED},
    },
};

/// Accept the definitions of a server's tools, or of one tool, as they are now.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  ambit tools accept mux\n  ambit tools accept mux/get-asset mux/list-assets\n  \
                  ambit tools accept mux --digest sha256:...   # as `ambit tools --pending` showed them")]
pub(super) struct Accept {
    /// `SERVER` for all its tools, `SERVER/TOOL` for one.
    #[arg(required = true, value_name = "SERVER[/TOOL]")]
    what: Vec<String>,
    /// Only if what waits is what `ambit tools --pending` showed under this digest.
    #[arg(long, value_name = "DIGEST", value_parser = read_digest)]
    digest: Option<Digest>,
}

fn read_digest(text: &str) -> Result<Digest, InvalidDigest> {
    Digest::try_from(text.to_owned())
}

/// What was asked for, read.
enum Wanted {
    Server(ServerSlug),
    Tool(ToolId),
}

impl Wanted {
    fn parse(text: &str) -> Result<Self, Failure> {
        let usage = |error: ambit_model::ids::InvalidId| Failure::Usage(error.to_string());
        if text.contains('/') {
            ToolId::parse(text).map(Self::Tool).map_err(usage)
        } else {
            ServerSlug::parse(text).map(Self::Server).map_err(usage)
        }
    }

    fn server(&self) -> &ServerSlug {
        match self {
            Self::Server(slug) => slug,
            Self::Tool(tool) => &tool.server,
        }
    }
}

impl Accept {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Ended {
        let wanted = self.what.iter().map(|text| Wanted::parse(text)).collect::<Result<Vec<_>, _>>()?;
        let mut resolved = context.resolved()?;
        let slugs: BTreeSet<_> = wanted.iter().map(|wanted| wanted.server().clone()).collect();
        let mut servers = Vec::new();
        for slug in &slugs {
            servers.extend(view::catalogues(&resolved, Some(slug), context).await?);
        }
        readable(&servers)?;
        let accepted = changes(&wanted, &servers, &resolved.lock)?;
        if let Some(reviewed) = &self.digest {
            insist(reviewed, &wanted, &servers, &resolved.lock)?;
        }
        let removed = stale(&wanted, &servers, &resolved.lock);
        let recorded = record(&accepted, &resolved, &servers, context).await?;
        if !accepted.is_empty() || !removed.is_empty() {
            write_lock(&mut resolved, &accepted, &removed)?;
        }
        if operate::is_serving(&resolved).await {
            operate::act_on(Act::Reload {}, &resolved, &[], context).await?;
        }
        print(&accepted, &removed, recorded, &resolved, context)?;
        problems(&servers, context)?;
        Ok(DONE)
    }
}

/// Refuses if what waits is not what was looked at.
fn insist(reviewed: &Digest, wanted: &[Wanted], servers: &[Arc<ServerCatalogue>], lock: &Lock) -> Result<(), Failure> {
    let is_wanted = |tool: &PublishedTool| {
        wanted.iter().any(|wanted| match wanted {
            Wanted::Server(slug) => tool.id().server == *slug,
            Wanted::Tool(id) => tool.id() == id,
        })
    };
    let tools = servers.iter().flat_map(|server| server.tools.values()).map(AsRef::as_ref);
    let waiting = tools.filter(|tool| is_wanted(tool) && review::is_pending(tool, lock)).collect::<Vec<_>>();
    if waiting.is_empty() {
        return Err(Failure::Refused("nothing of it is pending: what was reviewed is accepted, or gone".into()));
    }
    let now = review::digest(waiting);
    if now == *reviewed {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "nothing was accepted: what waits now has the digest `{now}`, which is not what was reviewed; look at it again with \
         `ambit tools --pending`"
    )))
}

/// Every wanted tool whose pin would change.
fn changes(wanted: &[Wanted], servers: &[Arc<ServerCatalogue>], lock: &Lock) -> Result<Vec<AcceptedTool>, Failure> {
    let mut accepted = Vec::new();
    for wanted in wanted {
        let Some(server) = servers.iter().find(|server| server.slug == *wanted.server()) else { continue };
        let tools: Vec<_> = match wanted {
            Wanted::Server(_) => server.tools.values().collect(),
            Wanted::Tool(id) => {
                let there_is_none =
                    || format!("there is no tool `{id}`: `ambit tools --server {}` lists what is", id.server);
                vec![server.tools.get(&id.tool).ok_or_else(|| Failure::Usage(there_is_none()))?]
            }
        };
        for tool in tools {
            let before = lock.pin(tool.id());
            let known = accepted.iter().any(|known: &AcceptedTool| known.tool == *tool.id());
            let current = lock.acceptance(tool.id(), tool.pin(), false) == Acceptance::Accepted;
            if !known && !current {
                accepted.push(AcceptedTool {
                    tool: tool.id().clone(),
                    before: before.map(|pin| pin.digest),
                    after: tool.digest,
                    effect: tool.effect.effect,
                });
            }
        }
    }
    Ok(accepted)
}

/// Pins of tools that a wholly accepted server no longer has.
fn stale(wanted: &[Wanted], servers: &[Arc<ServerCatalogue>], lock: &Lock) -> Vec<ToolId> {
    let whole = |id: &ToolId| wanted.iter().any(|wanted| matches!(wanted, Wanted::Server(slug) if *slug == id.server));
    let there =
        |id: &ToolId| servers.iter().any(|server| server.slug == id.server && server.tools.contains_key(&id.tool));
    lock.iter().filter(|(id, _)| whole(id) && !there(id)).map(|(id, _)| id.clone()).collect()
}

/// Records the act where a deployment is: in the running server, or in the data directory.
async fn record(
    accepted: &[AcceptedTool],
    resolved: &Resolved,
    servers: &[Arc<ServerCatalogue>],
    context: &Context<'_>,
) -> Result<bool, Failure> {
    if !resolved.data_dir.exists() {
        return Ok(false);
    }
    for tools in accepted.chunks(MAX_ACCEPTED) {
        operate::act_on(Act::Accept { tools: tools.to_vec() }, resolved, servers, context).await?;
    }
    Ok(true)
}

/// Writes the lock file whole or not at all. It is read again first: somebody may have accepted something meanwhile.
fn write_lock(resolved: &mut Resolved, accepted: &[AcceptedTool], removed: &[ToolId]) -> Result<(), Failure> {
    let mut lock = config::load_lock(&resolved.lock_file)?;
    for tool in accepted {
        lock.accept(tool.tool.clone(), ambit_live::lock::Pin { effect: tool.effect, digest: tool.after });
    }
    lock.retain(|id| !removed.contains(id));
    let path = &resolved.lock_file;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let neighbour = path.with_extension(format!("lock.{}.tmp", std::process::id()));
    let write = || {
        let mut file = fs::File::create(&neighbour)?;
        file.write_all(lock.to_text().as_bytes())?;
        file.sync_all()?;
        fs::rename(&neighbour, path)?;
        fs::File::open(directory)?.sync_all()
    };
    write().map_err(|error: std::io::Error| Failure::Refused(format!("cannot write `{}`: {error}", path.display())))?;
    resolved.lock = lock;
    Ok(())
}

fn print(
    accepted: &[AcceptedTool],
    removed: &[ToolId],
    recorded: bool,
    resolved: &Resolved,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let count = |effect: Effect| accepted.iter().filter(|tool| tool.effect == effect).count();
    let counts: Vec<_> = Effect::ALL.iter().map(|effect| format!("{} {effect}", count(*effect))).collect();
    let mut lines = vec![format!(
        "accepted {} ({}) in {}",
        counted(accepted.len(), "tool"),
        counts.join(", "),
        resolved.lock_file.display()
    )];
    if !removed.is_empty() {
        lines.push(format!("removed {} that cannot be found any more", counted(removed.len(), "tool")));
    }
    if !recorded {
        lines.push("no deployment lies here, so nothing was recorded: review the lock file like code".to_owned());
    }
    let value = json!({
        "accepted": accepted
            .iter()
            .map(|tool| json!({ "tool": tool.tool, "effect": tool.effect, "before": tool.before, "digest": tool.after }))
            .collect::<Vec<_>>(),
        "removed": removed,
        "lock": resolved.lock_file,
        "recorded": recorded,
    });
    context.print(&value, &lines.join("\n"))
}
