//! `ambit grants`: who holds what, until when, and where it was said. It reads and changes nothing.

use ambit_model::ids::{AgentId, ClientId, GroupName, IssuerName, ToolsetSlug, UserKey};
use clap::Args;

use super::{Context, DONE, Ended, Failure, grant::Holder, render, view};
use crate::holdings::{self, Holding, Wanted};

/// List grants and reveals: who, what, until when, and where it was said.
#[derive(Args, Debug)]
#[command(after_help = "Example: ambit grants --group analysts --json")]
pub struct Grants {
    /// Only of this user.
    #[arg(long, value_parser = UserKey::parse)]
    user: Option<UserKey>,
    /// Only of this group.
    #[arg(long)]
    group: Option<GroupName>,
    /// Only of this agent.
    #[arg(long)]
    agent: Option<AgentId>,
    /// Only of this client software.
    #[arg(long)]
    client: Option<ClientId>,
    /// Only of this claim.
    #[arg(long, value_name = "CLAIM=VALUE")]
    claim: Option<String>,
    /// The issuer that vouches for the claim.
    #[arg(long, requires = "claim")]
    issuer: Option<IssuerName>,
    /// Only of this toolset.
    #[arg(long)]
    toolset: Option<ToolsetSlug>,
    /// Also what is over.
    #[arg(long)]
    all: bool,
}

impl Grants {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        let resolved = context.resolved()?;
        let now = context.clock.now();
        let Self { user, group, agent, client, claim, issuer, toolset, all } = self;
        let subject = Holder { user, group, agent, client, claim, issuer }.subject(&resolved.deployment)?;
        let wanted = Wanted { subject, toolset, live_at: (!all).then_some(now) };
        let store = view::store_if_any(&resolved).await?;
        let lines = holdings::list(&resolved.deployment, store.as_ref(), &wanted, now).await;
        if let Some(store) = store {
            store.close().await;
        }
        let lines = lines.map_err(Failure::because)?;
        let text = in_words(&lines);
        context.print(&lines, &text)?;
        Ok(DONE)
    }
}

fn in_words(lines: &[Holding]) -> String {
    if lines.is_empty() {
        return "nobody holds anything of that: `ambit grant` grants, `--all` lists what is over".to_owned();
    }
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            [
                line.holder.clone(),
                format!("{}{}", line.toolset, if line.constraints.is_none() { "" } else { " (constrained)" }),
                line.state.as_str().to_owned(),
                line.expires.clone(),
                line.origin.to_owned(),
                line.ticket.clone().unwrap_or_default(),
                line.id.clone(),
            ]
        })
        .collect();
    let what = render::counted(lines.len(), "grant");
    format!("{}\n{what}", render::table(["HOLDER", "TOOLSET", "STATE", "UNTIL", "ORIGIN", "TICKET", "ID"], &rows))
}
