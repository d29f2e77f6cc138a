//! `ambit explain`: what one caller may do with one tool, and why. Made by the same function as every list and call.

use ambit_live::Snapshot;
use ambit_model::{Outcome, caller::CallerFacts, endpoint::Endpoint, ids::ToolId};
use ambit_policy::{ARGUMENTS, Explanation, explain_call};
use clap::Args;
use serde_json::{Value, json};

use super::{
    Context, DONE, Ended, Failure,
    view::{self, Eyes},
};

mod approving;
mod call;
mod unknown;

use approving::Approving;
use call::{Call, Particulars};

/// The largest arguments that are looked at, in bytes.
const MAX_ARGUMENTS: usize = 1024 * 1024;

/// Say what one caller may do with one tool, and why.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  ambit explain --as alice --tool mux/delete-asset-track --json\n  ambit explain --as alice --tool \
                  mux/create-asset --args '{\"test\":true}' --source 10.0.0.7 --at 2026-12-24T22:00:00Z"
)]
pub struct Explain {
    #[command(flatten)]
    eyes: Eyes,
    /// The tool, as `SERVER/TOOL`.
    #[arg(long, value_name = "SERVER/TOOL", value_parser = ToolId::parse)]
    tool: ToolId,
    /// The arguments of the call, as JSON.
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    #[command(flatten)]
    particulars: Particulars,
}

impl Explain {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        if !self.eyes.is_somebody()? {
            return Err(Failure::Usage("name who calls: `--as USER`, `--agent AGENT`, or both".into()));
        }
        let arguments = self.args.as_deref().map(read_arguments).transpose()?;
        let resolved = context.resolved()?;
        let only = resolved.deployment.servers.contains_key(&self.tool.server).then_some(&self.tool.server);
        let servers = view::catalogues(&resolved, only, context).await?;
        if let Some(problem) =
            servers.iter().find(|server| server.slug == self.tool.server).and_then(|s| s.problem.clone())
        {
            context.note(&format!("server `{}` could not be read: {problem}", self.tool.server))?;
        }
        let endpoint = self.eyes.endpoint(&resolved.deployment, Some(&self.tool.server))?;
        let caller = self.eyes.caller(endpoint, &resolved.deployment)?;
        let snapshot = view::snapshot(&resolved, servers, context).await?;
        let call = self.particulars.call(arguments.as_ref(), context.clock.now())?;
        let (mut explanation, decided) = explain(&snapshot, &caller, endpoint, &self.tool, &call);
        let unknown = unknown::of(&snapshot, &self.tool, &self.eyes, &call, decided);
        let approving = if explanation.outcome == Outcome::NeedsApproval {
            Some(Approving::of(&resolved, &snapshot, (&caller, &self.tool), call.at).await?)
        } else {
            None
        };
        if let Some(approving) = &approving {
            approving.settle(&mut explanation, &self.tool);
        }
        let mut value = json!({
            "outcome": explanation.outcome,
            "policies": explanation.policies,
            "reasons": explanation.reasons,
            "reported": explanation.reported,
            "what_would_change": explanation.what_would_change,
            "not_known": unknown,
        });
        if let (Some(approving), Some(members)) = (&approving, value.as_object_mut()) {
            members.insert("approvers".to_owned(), json!(approving.people));
            members.insert("approvals_needed".to_owned(), json!(approving.needed));
        }
        context.print(&value, &in_words(&self.tool, endpoint, &explanation, &unknown))?;
        Ok(DONE)
    }
}

/// How far down the decision went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Decided {
    /// By who calls what: nothing of the call was looked at.
    Standing,
    /// By the arguments, before any rule.
    Arguments,
    /// Without the arguments.
    WithoutArguments,
    /// To the call.
    Call,
}

fn read_arguments(text: &str) -> Result<Value, Failure> {
    if text.len() > MAX_ARGUMENTS {
        return Err(Failure::Usage(format!(
            "the arguments have {} bytes: at most {MAX_ARGUMENTS} are read",
            text.len()
        )));
    }
    let value: Value =
        serde_json::from_str(text).map_err(|error| Failure::Usage(format!("`--args` is not JSON: {error}")))?;
    if value.is_object() { Ok(value) } else { Err(Failure::Usage("`--args` is not a JSON object".into())) }
}

fn explain(
    snapshot: &Snapshot,
    caller: &CallerFacts,
    endpoint: &Endpoint,
    tool: &ToolId,
    call: &Call<'_>,
) -> (Explanation, Decided) {
    let now = call.at;
    let hidden = |reason: String, remedy: &str| Explanation {
        outcome: Outcome::Hidden,
        policies: Vec::new(),
        reasons: vec![reason],
        reported: Vec::new(),
        what_would_change: vec![remedy.to_owned()],
    };
    if let Some(scope) = snapshot.block_of(caller, &endpoint.slug, now) {
        return (hidden(format!("{scope} is blocked"), "lift it with `ambit unblock`"), Decided::Standing);
    }
    if snapshot.revocations.hides_tool(tool, now.saturating_add(1)) {
        let reason = format!("`{tool}` or its server is blocked");
        return (hidden(reason, "lift it with `ambit unblock`"), Decided::Standing);
    }
    let mut explanation = ambit_policy::explain(&snapshot.judge, caller, &endpoint.slug, tool, now);
    let entry = snapshot.catalogue.position(tool).and_then(|position| snapshot.catalogue.entry(position));
    let Some(entry) = entry.filter(|_| explanation.outcome == Outcome::Allow) else {
        return (explanation, Decided::Standing);
    };
    let reads_arguments = snapshot.judge.tool_index(tool).is_some_and(|tool| snapshot.judge.reads_arguments(tool));
    let Some(arguments) = call.arguments else {
        if reads_arguments {
            explanation.reasons.push("rules read the arguments of this call: give them with `--args`".to_owned());
            return (explanation, Decided::WithoutArguments);
        }
        // What the grants say of arguments is told by the standing half.
        let mut one = one_call(snapshot, caller, (endpoint, tool), call, &Value::Object(serde_json::Map::new()));
        if one.policies == [ARGUMENTS] {
            one = explanation;
        }
        return (one, Decided::WithoutArguments);
    };
    let complaints = match entry.tool.arguments() {
        Ok(schema) => schema.check(arguments).err().unwrap_or_default(),
        Err(error) => vec![error.to_string()],
    };
    let limits = outside_the_grants(snapshot, caller, (endpoint, tool), arguments, now);
    if complaints.is_empty() && limits.is_none() {
        return (one_call(snapshot, caller, (endpoint, tool), call, arguments), Decided::Call);
    }
    explanation.outcome = Outcome::Refused;
    // What the tool itself does not take, no policy decides.
    explanation.policies = limits.iter().map(|_| ARGUMENTS.to_owned()).collect();
    // Beside what let the caller in, which says whose grants limit the arguments.
    let complaints = complaints.into_iter().chain(limits);
    explanation.reasons.extend(complaints.map(|complaint| format!("arguments: {complaint}")));
    explanation.what_would_change.push("correct the arguments".to_owned());
    (explanation, Decided::Arguments)
}

/// What the grants do not allow of these arguments.
fn outside_the_grants(
    snapshot: &Snapshot,
    caller: &CallerFacts,
    (endpoint, tool): (&Endpoint, &ToolId),
    arguments: &Value,
    now: i64,
) -> Option<String> {
    let judge = &snapshot.judge;
    let (at, number) = (judge.endpoint_index(&endpoint.slug)?, judge.tool_index(tool)?);
    let verdict = judge.standing(&judge.class(caller), at, number, now);
    let violation = verdict.narrowing.as_ref()?.allowed.check(arguments).err()?;
    Some(violation.sentence)
}

/// With the rules that read the call, whose arguments are valid.
fn one_call(
    snapshot: &Snapshot,
    caller: &CallerFacts,
    (endpoint, tool): (&Endpoint, &ToolId),
    call: &Call<'_>,
    arguments: &Value,
) -> Explanation {
    let mut explanation = explain_call(&snapshot.judge, caller, &endpoint.slug, tool, &call.facts(arguments));
    approving::under_glass(snapshot, (caller, tool), call.at, &mut explanation);
    explanation
}

fn in_words(tool: &ToolId, endpoint: &Endpoint, explanation: &Explanation, unknown: &[unknown::Unknown]) -> String {
    let mut lines = vec![format!("{tool} at {}: {}", endpoint.path, explanation.outcome.as_str())];
    let unknown: Vec<_> = unknown.iter().map(ToString::to_string).collect();
    for (title, sentences) in [
        ("because", &explanation.reasons),
        ("policies", &explanation.policies),
        ("only recorded", &explanation.reported),
        ("not known here", &unknown),
        ("what would change it", &explanation.what_would_change),
    ] {
        if !sentences.is_empty() {
            lines.push(title.to_owned());
            lines.extend(sentences.iter().map(|sentence| format!("  {sentence}")));
        }
    }
    lines.join("\n")
}
