//! `ambit policy`: the organisation's rules from the side of the person who writes them.

use std::{path::PathBuf, sync::Arc};

use ambit_live::{LiveError, Snapshot, catalogue::ServerCatalogue, deployment::Deployment, snapshot::SnapshotError};
use ambit_model::grant::Reveal;
use ambit_policy::{BuildError, Policies, RuleProblem, RulesError};
use clap::{Args, Subcommand};

use super::{Context, Ended, Failure, view};
use crate::config::{
    Resolved,
    policies::{self, Unreadable},
};

mod cases;
mod check;
mod history;
mod test;

/// Check, test and roll back the organisation's rules.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  ambit policy check\n  ambit policy test policies\n  ambit policy history")]
pub struct Policy {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Say what is wrong with the rules: line, caret and remedy.
    Check(check::Check),
    /// Run the cases beside the rules.
    Test(test::Test),
    /// List the rule sets that were applied, the latest first.
    History(history::History),
    /// Write an earlier rule set back and apply it.
    Rollback(history::Rollback),
}

impl Policy {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        match self.what {
            What::Check(check) => check.run(context).await,
            What::Test(test) => test.run(context).await,
            What::History(history) => history.run(context).await,
            What::Rollback(rollback) => rollback.run(context).await,
        }
    }
}

/// The rules of a directory, or of the one the configuration names.
pub(super) fn read(resolved: &Resolved, dir: Option<&PathBuf>) -> Result<Arc<Policies>, Unreadable> {
    let place = &resolved.rules;
    let (directory, shown) = match dir {
        Some(dir) => (dir.clone(), dir.display().to_string()),
        None => (place.directory.clone(), place.shown.clone()),
    };
    policies::read_dir(&directory, &shown, place.timezone.as_deref()).map(Arc::new)
}

/// Holds rules to the deployment's tools, as a start would.
fn hold(
    resolved: &Resolved,
    policies: &Arc<Policies>,
    servers: Vec<Arc<ServerCatalogue>>,
    reveals: Vec<Reveal>,
) -> Result<Held, Failure> {
    let deployment = Deployment { policies: Arc::clone(policies), ..resolved.deployment.clone() };
    held(ambit_live::preview_revealing((deployment, resolved.lock.clone(), servers), reveals))
}

/// What reading rules over the deployment's tools comes to: they stand, or they have problems.
pub(super) type Held = Result<Snapshot, Vec<RuleProblem>>;

/// Tells what is wrong with rules from whatever else keeps a snapshot from being there.
pub(super) fn held(built: Result<Snapshot, LiveError>) -> Result<Held, Failure> {
    match built {
        Ok(snapshot) => Ok(Ok(snapshot)),
        Err(LiveError::Snapshot(SnapshotError::Judge(BuildError::Rules(RulesError::Organisation(problems))))) => {
            Ok(Err(problems))
        }
        Err(other) => Err(Failure::because(other)),
    }
}

/// Problems as a person reads them.
pub(super) fn told(problems: &[RuleProblem]) -> String {
    problems.iter().map(RuleProblem::in_full).collect::<Vec<_>>().join("\n\n")
}

/// The tools of every server, with a word about those that cannot be read.
async fn catalogues(resolved: &Resolved, context: &mut Context<'_>) -> Result<Vec<Arc<ServerCatalogue>>, Failure> {
    let servers = view::catalogues(resolved, None, context).await?;
    for server in &servers {
        if let Some(problem) = &server.problem {
            context.note(&format!(
                "server `{}` could not be read, so its tools are not looked at: {problem}",
                server.slug
            ))?;
        }
    }
    Ok(servers)
}
