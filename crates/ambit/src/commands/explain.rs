//! `ambit explain`: what one caller may do with one tool, and why. Made by the same function as every list and call.

use ambit_live::Snapshot;
use ambit_model::{Outcome, caller::CallerFacts, endpoint::Endpoint, ids::ToolId};
use ambit_policy::Explanation;
use clap::Args;
use serde_json::{Value, json};

use super::{
    Context, DONE, Ended, Failure,
    view::{self, Eyes},
};

/// The largest arguments that are looked at, in bytes.
const MAX_ARGUMENTS: usize = 1024 * 1024;

/// Say what one caller may do with one tool, and why.
#[derive(Args, Debug)]
#[command(after_help = "Example: ambit explain --as alice --tool mux/delete-asset-track --json")]
pub struct Explain {
    #[command(flatten)]
    eyes: Eyes,
    /// The tool, as `SERVER/TOOL`.
    #[arg(long, value_name = "SERVER/TOOL", value_parser = ToolId::parse, requires = "user")]
    tool: ToolId,
    /// The arguments of the call, as JSON.
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
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
        let explanation = explain(&snapshot, &caller, endpoint, &self.tool, arguments.as_ref(), context.clock.now());
        let value = json!({
            "outcome": explanation.outcome,
            "policies": explanation.policies,
            "reasons": explanation.reasons,
        });
        context.print(&value, &in_words(&self.tool, endpoint, &explanation))?;
        Ok(DONE)
    }
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
    arguments: Option<&Value>,
    now: i64,
) -> Explanation {
    let hidden = |reason: String, remedy: &str| Explanation {
        outcome: Outcome::Hidden,
        policies: Vec::new(),
        reasons: vec![reason],
        what_would_change: vec![remedy.to_owned()],
    };
    if let Some(reason) = view::blocked(caller, endpoint, snapshot, now) {
        return hidden(reason, "lift it with `ambit unblock`");
    }
    if snapshot.revocations.hides_tool(tool, now.saturating_add(1)) {
        return hidden(format!("`{tool}` or its server is blocked"), "lift it with `ambit unblock`");
    }
    let mut explanation = ambit_policy::explain(&snapshot.judge, caller, &endpoint.slug, tool, now);
    if explanation.outcome == Outcome::Allow
        && let Some(arguments) = arguments
        && let Some(entry) = snapshot.catalogue.position(tool).and_then(|position| snapshot.catalogue.entry(position))
    {
        let mut complaints = match entry.tool.arguments() {
            Ok(schema) => schema.check(arguments).err().unwrap_or_default(),
            Err(error) => vec![error.to_string()],
        };
        complaints.extend(outside_the_grants(snapshot, caller, (endpoint, tool), arguments, now));
        if !complaints.is_empty() {
            explanation.outcome = Outcome::Refused;
            explanation.reasons.extend(complaints.into_iter().map(|complaint| format!("arguments: {complaint}")));
            explanation.what_would_change.push("correct the arguments".to_owned());
        }
    }
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

fn in_words(tool: &ToolId, endpoint: &Endpoint, explanation: &Explanation) -> String {
    let mut lines = vec![format!("{tool} at {}: {}", endpoint.path, explanation.outcome.as_str())];
    for (title, sentences) in [
        ("because", &explanation.reasons),
        ("policies", &explanation.policies),
        ("what would change it", &explanation.what_would_change),
    ] {
        if !sentences.is_empty() {
            lines.push(title.to_owned());
            lines.extend(sentences.iter().map(|sentence| format!("  {sentence}")));
        }
    }
    lines.join("\n")
}
