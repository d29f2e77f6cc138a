//! `ambit policy check`: every problem of the rules with its line, a caret and the remedy; rules that can never match; tools
//! that would be hidden because a rule cannot be asked about them.

use std::path::PathBuf;

use ambit_identity::{mint::OPERATOR_CLIENT, server::ID_PREFIX};
use ambit_live::deployment::Deployment;
use ambit_policy::{Declared, RuleProblem};
use clap::Args;
use serde_json::json;

use super::{catalogues, hold, read, told};
use crate::commands::{Context, DONE, Ended, FINDING, Failure, render::counted};

/// What rules may name beside tools and servers.
fn declared(deployment: &Deployment) -> Declared {
    let of_accounts = deployment.accounts.values().flat_map(|account| &account.groups);
    let of_issuers = deployment.issuers.values().filter_map(|issuer| issuer.groups.as_ref());
    let of_issuers = of_issuers.flat_map(|groups| groups.map.values());
    let registered = deployment.clients.iter().map(|client| client.id.to_string());
    let ceilings = deployment.ceilings.clients.keys().map(ToString::to_string);
    // One that brings its own metadata is named by where that is, one that registered itself by us, and those of another issuer
    // by that.
    let mut open_clients = vec!["https://".to_owned(), ID_PREFIX.to_owned()];
    if !deployment.issuers.is_empty() {
        open_clients.push(String::new());
    }
    Declared {
        agents: deployment.agents.keys().map(ToString::to_string).collect(),
        groups: of_accounts.chain(of_issuers).map(ToString::to_string).collect(),
        clients: registered.chain(ceilings).chain([OPERATOR_CLIENT.to_owned()]).collect(),
        open_clients,
        accounts: deployment.accounts.keys().map(ToString::to_string).collect(),
        issuers: deployment.issuers.keys().map(ToString::to_string).collect(),
    }
}

/// Say what is wrong with the rules: line, caret and remedy.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  ambit policy check\n  ambit policy check proposed --json\nExit code 0: the rules stand. 1: there \
                  are findings. 2: the configuration or the directory cannot be read."
)]
pub struct Check {
    /// The directory of the rules; the one the configuration names if absent.
    dir: Option<PathBuf>,
    /// Read no server: rules that read arguments are only parsed.
    #[arg(long)]
    offline: bool,
}

impl Check {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        let resolved = context.resolved_without_rules()?;
        let policies = read(&resolved, self.dir.as_ref()).map_err(|error| Failure::Usage(error.to_string()))?;
        let servers = if self.offline { Vec::new() } else { catalogues(&resolved, context).await? };
        let snapshot = match hold(&resolved, &policies, servers, Vec::new())? {
            Ok(snapshot) => snapshot,
            Err(problems) => {
                context.print(&json!({ "ok": false, "problems": problems, "hidden": [] }), &told(&problems))?;
                return Ok(FINDING);
            }
        };
        let judge = &snapshot.judge;
        // Without tools every name would be one of a tool that is not there.
        let findings = if self.offline { Vec::new() } else { judge.findings_of(&declared(&snapshot.deployment)) };
        let hidden: Vec<_> = judge.unjudgeable().collect();
        let mut text: Vec<String> = findings.iter().map(RuleProblem::in_full).collect();
        text.extend(hidden.iter().map(|(tool, rule, why)| format!("`{tool}` would be hidden: rule `{rule}` {why}")));
        let code = if text.is_empty() { DONE } else { FINDING };
        text.push(format!(
            "{} in {} over {}",
            counted(judge.organisation_rules(), "rule"),
            counted(policies.files().len(), "file"),
            counted(judge.tools().len(), "tool"),
        ));
        let hidden: Vec<_> =
            hidden.iter().map(|(tool, rule, why)| json!({ "tool": tool, "rule": rule, "why": why })).collect();
        let value = json!({
            "ok": code == DONE,
            "problems": findings,
            "hidden": hidden,
            "rules": judge.organisation_rules(),
            "digest": judge.rules_digest(),
        });
        context.print(&value, &text.join("\n\n"))?;
        Ok(code)
    }
}
