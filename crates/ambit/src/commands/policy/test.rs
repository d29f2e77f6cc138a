//! `ambit policy test`: the cases beside the rules, each decided by the judge that decides calls, over the deployment's tools
//! and grants.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use ambit_live::{Snapshot, catalogue::ServerCatalogue};
use ambit_model::{
    Outcome,
    caller::AgentFacts,
    constraints::Constraints,
    grant::{Grant, GrantOrigin, GrantSubject, MAX_REVEAL_MS, Reveal},
    ids::{GrantId, Millis, ToolsetSlug, UserKey},
};
use ambit_policy::{CallFacts, Explanation, Policies, RuleProblem, explain_call};
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    cases::{self, Case},
    catalogues, hold, read, told,
};
use crate::{
    commands::{Context, DONE, Ended, FINDING, Failure, render::counted},
    config::Resolved,
};

/// Run the cases beside the rules.
#[derive(Args, Debug)]
#[command(
    after_help = "Example: ambit policy test policies\n\nCases lie beside the rules, in `*.yaml`:\n\n  cases:\n    - name: production \
                  is frozen\n      as: alice\n      tool: mux/deploy\n      arguments: { environment: production }\n      context: { \
                  at: 2026-12-24T12:00:00Z }\n      expect: refused\n      by: [freeze]"
)]
pub struct Test {
    /// The directory of rules and cases; the one the configuration names if absent.
    dir: Option<PathBuf>,
}

/// How a case went.
#[derive(Serialize)]
struct Run {
    file: String,
    name: String,
    ok: bool,
    outcome: Option<Outcome>,
    policies: Vec<String>,
    reported: Vec<String>,
    /// What differs, and why the judge says what it says.
    why: Vec<String>,
}

impl Test {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        let resolved = context.resolved_without_rules()?;
        let policies = read(&resolved, self.dir.as_ref()).map_err(|error| Failure::Usage(error.to_string()))?;
        let directory = self.dir.as_ref().unwrap_or(&resolved.rules.directory);
        let files = cases::read(directory).map_err(|error| Failure::Usage(error.to_string()))?;
        if files.is_empty() {
            return Err(Failure::Usage(format!(
                "there are no cases in `{}`: write some into a file `*.yaml`, see `ambit policy test --help`",
                directory.display()
            )));
        }
        let servers = catalogues(&resolved, context).await?;
        let mut runs = Vec::new();
        for (path, cases) in &files {
            let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            for case in cases {
                match decide(&resolved, &policies, &servers, case, context.clock.now())? {
                    Ok(decided) => runs.push(decided.run(file.clone())),
                    Err(problems) => {
                        context.print(&json!({ "ok": false, "problems": problems }), &told(&problems))?;
                        return Ok(FINDING);
                    }
                }
            }
        }
        let failed = runs.iter().filter(|run| !run.ok).count();
        let mut text: Vec<String> = runs.iter().filter(|run| !run.ok).map(in_words).collect();
        text.push(format!("{}: {} passed, {failed} failed", counted(runs.len(), "case"), runs.len() - failed));
        context.print(&json!({ "ok": failed == 0, "cases": runs }), &text.join("\n\n"))?;
        Ok(if failed == 0 { DONE } else { FINDING })
    }
}

fn in_words(run: &Run) -> String {
    let head = format!("{}: {}", run.file, run.name);
    std::iter::once(head.as_str()).chain(run.why.iter().map(String::as_str)).collect::<Vec<_>>().join("\n  ")
}

/// A case with what the judge says to it.
struct Decided<'a> {
    case: &'a Case,
    explanation: Result<Explanation, String>,
}

fn decide<'a>(
    resolved: &Resolved,
    policies: &Arc<Policies>,
    servers: &[Arc<ServerCatalogue>],
    case: &'a Case,
    now: Millis,
) -> Result<Result<Decided<'a>, Vec<RuleProblem>>, Failure> {
    let now = case.at(now);
    let mut with_holdings = resolved.clone();
    with_holdings.deployment.grants.extend(grants(case, now)?);
    let snapshot = match hold(&with_holdings, policies, servers.to_vec(), reveals(case, now)?)? {
        Ok(snapshot) => snapshot,
        Err(problems) => return Ok(Err(problems)),
    };
    Ok(Ok(Decided { case, explanation: explain(&snapshot, case, now)? }))
}

fn explain(snapshot: &Snapshot, case: &Case, now: Millis) -> Result<Result<Explanation, String>, Failure> {
    let deployment = &snapshot.deployment;
    let agent = match &case.agent {
        None => None,
        Some(id) => match deployment.agents.get(id) {
            Some(agent) => {
                Some(AgentFacts { id: id.clone(), owner: agent.owner.clone(), expires_at: agent.expires_at })
            }
            None => return Ok(Err(format!("agent `{id}` is not declared: add `[agents.{id}]`"))),
        },
    };
    let groups = |key: &UserKey| {
        deployment.accounts.get(&key.subject).map_or_else(BTreeSet::new, |account| account.groups.clone())
    };
    let Some(caller) = case.caller(groups, agent) else {
        return Err(Failure::Usage(format!("case `{}` names nobody who calls", case.name)));
    };
    let endpoint = match &case.endpoint {
        Some(path) => deployment.endpoints.iter().find(|endpoint| endpoint.path == *path),
        None => deployment.endpoints.iter().find(|endpoint| endpoint.servers.contains(&case.tool.server)),
    };
    let Some(endpoint) = endpoint else {
        return Ok(Err(format!("no such endpoint publishes server `{}`", case.tool.server)));
    };
    if snapshot.judge.tool_index(&case.tool).is_none() {
        return Ok(Err(format!("there is no tool `{}`: check the name with `ambit tools`", case.tool)));
    }
    let arguments = Value::Object(case.arguments.clone());
    let facts = CallFacts {
        approved: case.context.approved,
        source: case.context.source,
        touched: &case.context.touched,
        login: case.login(now),
        ..CallFacts::new(now, &arguments)
    };
    Ok(Ok(explain_call(&snapshot.judge, &caller, &endpoint.slug, &case.tool, &facts)))
}

impl Decided<'_> {
    fn run(self, file: String) -> Run {
        let Self { case, explanation } = self;
        let name = case.name.clone();
        let explanation = match explanation {
            Ok(explanation) => explanation,
            Err(why) => {
                let (policies, reported) = (Vec::new(), Vec::new());
                return Run { file, name, ok: false, outcome: None, policies, reported, why: vec![why] };
            }
        };
        let mut why = Vec::new();
        if explanation.outcome != case.expect {
            why.push(format!("expected {}, got {}", case.expect.as_str(), explanation.outcome.as_str()));
        }
        for (what, wanted, got) in
            [("decided by", &case.by, &explanation.policies), ("recorded for", &case.reported, &explanation.reported)]
        {
            let same = |wanted: &BTreeSet<String>| wanted.iter().eq(got.iter().collect::<BTreeSet<_>>());
            if let Some(wanted) = wanted.as_ref().filter(|wanted| !same(wanted)) {
                why.push(format!("expected it {what} {}, it was {}", named(wanted), named(got)));
            }
        }
        let ok = why.is_empty();
        if !ok {
            why.extend(explanation.reasons.iter().map(|reason| format!("because {reason}")));
        }
        let Explanation { outcome, policies, reported, .. } = explanation;
        Run { file, name, ok, outcome: Some(outcome), policies, reported, why }
    }
}

fn named<'a>(ids: impl IntoIterator<Item = &'a String>) -> String {
    let ids: Vec<_> = ids.into_iter().map(|id| format!("`{id}`")).collect();
    if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
}

/// What the case lets its caller hold, for as long as a reveal may live.
fn grants(case: &Case, now: Millis) -> Result<Vec<Grant>, Failure> {
    let user = case.user.clone().map(GrantSubject::User);
    let agent = case.agent.clone().map(GrantSubject::Agent);
    let mut grants = Vec::new();
    for subject in user.into_iter().chain(agent) {
        for toolset in &case.holds {
            grants.push(Grant {
                id: GrantId::parse("case").map_err(Failure::because)?,
                subject: subject.clone(),
                toolset: toolset.clone(),
                reason: format!("case `{}`", case.name),
                ticket: None,
                approved_by: None,
                starts_at: now,
                expires_at: now.saturating_add(MAX_REVEAL_MS),
                constraints: Constraints::default(),
                origin: GrantOrigin::Config,
            });
        }
    }
    Ok(grants)
}

fn reveals(case: &Case, now: Millis) -> Result<Vec<Reveal>, Failure> {
    let Some(user) = &case.user else { return Ok(Vec::new()) };
    let reveal = |toolset: &ToolsetSlug| {
        Ok(Reveal {
            id: GrantId::parse("case").map_err(Failure::because)?,
            user: user.clone(),
            client: case.client().map_err(Failure::because)?,
            agent: case.agent.clone(),
            toolset: toolset.clone(),
            reason: format!("case `{}`", case.name),
            approved_by: None,
            starts_at: now,
            expires_at: now.saturating_add(MAX_REVEAL_MS),
        })
    };
    case.revealed.iter().map(reveal).collect()
}
