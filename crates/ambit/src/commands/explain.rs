//! `ambit explain`: what one caller may do with one tool, and why. Made by the same function as every list and call.

use std::net::IpAddr;

use ambit_live::Snapshot;
use ambit_model::{
    Outcome,
    caller::CallerFacts,
    endpoint::Endpoint,
    ids::{Millis, ToolId},
};
use ambit_policy::{CallFacts, Explanation, explain_call};
use clap::Args;
use serde_json::{Value, json};

use super::{
    Context, DONE, Ended, Failure,
    view::{self, Eyes},
};
use crate::config::quantity;

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
    #[arg(long, value_name = "SERVER/TOOL", value_parser = ToolId::parse, requires = "user")]
    tool: ToolId,
    /// The arguments of the call, as JSON.
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    /// As if an approval of exactly this call stood.
    #[arg(long)]
    approved: bool,
    /// The address the call comes from.
    #[arg(long, value_name = "ADDRESS")]
    source: Option<IpAddr>,
    /// The time of the call, such as `2026-12-24T22:00:00Z`; now if absent.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

impl Explain {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        let Some(user) = &self.eyes.user else {
            return Err(Failure::Usage("name the user: `--as USER`".into()));
        };
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
        let caller = self.eyes.caller(user, endpoint, &resolved.deployment)?;
        let snapshot = view::snapshot(&resolved, servers, context).await?;
        let call = Call {
            arguments: arguments.as_ref(),
            approved: self.approved,
            source: self.source,
            at: self.at()?.unwrap_or_else(|| context.clock.now()),
        };
        let explanation = explain(&snapshot, &caller, endpoint, &self.tool, &call);
        let value = json!({
            "outcome": explanation.outcome,
            "policies": explanation.policies,
            "reasons": explanation.reasons,
            "reported": explanation.reported,
            "what_would_change": explanation.what_would_change,
        });
        context.print(&value, &in_words(&self.tool, endpoint, &explanation))?;
        Ok(DONE)
    }

    fn at(&self) -> Result<Option<Millis>, Failure> {
        let Some(text) = &self.at else { return Ok(None) };
        let at = quantity::instant(text).ok_or_else(|| {
            Failure::Usage(format!("`--at {text}` is no time: write a date, or `2026-12-24T22:00:00Z`"))
        })?;
        Ok(Some(at))
    }
}

/// The call that is asked about.
struct Call<'a> {
    arguments: Option<&'a Value>,
    approved: bool,
    source: Option<IpAddr>,
    at: Millis,
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
) -> Explanation {
    let now = call.at;
    let hidden = |reason: String, remedy: &str| Explanation {
        outcome: Outcome::Hidden,
        policies: Vec::new(),
        reasons: vec![reason],
        reported: Vec::new(),
        what_would_change: vec![remedy.to_owned()],
    };
    if let Some(reason) = view::blocked(caller, endpoint, snapshot, now) {
        return hidden(reason, "lift it with `ambit unblock`");
    }
    if snapshot.revocations.hides_tool(tool, now.saturating_add(1)) {
        return hidden(format!("`{tool}` or its server is blocked"), "lift it with `ambit unblock`");
    }
    let mut explanation = ambit_policy::explain(&snapshot.judge, caller, &endpoint.slug, tool, now);
    let entry = snapshot.catalogue.position(tool).and_then(|position| snapshot.catalogue.entry(position));
    let Some(entry) = entry.filter(|_| explanation.outcome == Outcome::Allow) else { return explanation };
    let reads_arguments = snapshot.judge.tool_index(tool).is_some_and(|tool| snapshot.judge.reads_arguments(tool));
    let Some(arguments) = call.arguments else {
        if reads_arguments {
            explanation.reasons.push("rules read the arguments of this call: give them with `--args`".to_owned());
            return explanation;
        }
        return one_call(snapshot, caller, endpoint, tool, (call, &Value::Object(serde_json::Map::new())));
    };
    let mut complaints = match entry.tool.arguments() {
        Ok(schema) => schema.check(arguments).err().unwrap_or_default(),
        Err(error) => vec![error.to_string()],
    };
    complaints.extend(outside_the_grants(snapshot, caller, (endpoint, tool), arguments, now));
    if complaints.is_empty() {
        return one_call(snapshot, caller, endpoint, tool, (call, arguments));
    }
    explanation.outcome = Outcome::Refused;
    explanation.reasons.extend(complaints.into_iter().map(|complaint| format!("arguments: {complaint}")));
    explanation.what_would_change.push("correct the arguments".to_owned());
    explanation
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
    endpoint: &Endpoint,
    tool: &ToolId,
    (call, arguments): (&Call<'_>, &Value),
) -> Explanation {
    let facts = CallFacts { approved: call.approved, source: call.source, ..CallFacts::new(call.at, arguments) };
    explain_call(&snapshot.judge, caller, &endpoint.slug, tool, &facts)
}

fn in_words(tool: &ToolId, endpoint: &Endpoint, explanation: &Explanation) -> String {
    let mut lines = vec![format!("{tool} at {}: {}", endpoint.path, explanation.outcome.as_str())];
    for (title, sentences) in [
        ("because", &explanation.reasons),
        ("policies", &explanation.policies),
        ("only recorded", &explanation.reported),
        ("what would change it", &explanation.what_would_change),
    ] {
        if !sentences.is_empty() {
            lines.push(title.to_owned());
            lines.extend(sentences.iter().map(|sentence| format!("  {sentence}")));
        }
    }
    lines.join("\n")
}
