//! `ambit tools --as USER --endpoint PATH`: exactly what that caller's list holds.

use ambit_live::{Snapshot, snapshot::position_of};
use ambit_model::{
    Effect, Outcome,
    ids::{Millis, ServerSlug},
};
use ambit_policy::{CallFacts, CallerClass, EndpointIndex, ToolIndex};
use serde::Serialize;
use serde_json::Value;

use super::{Context, Ended, Failure, problems};
use crate::commands::{
    render::{counted, table},
    view::{self, Eyes},
};

#[derive(Serialize, Debug)]
struct Shown {
    /// The name the client sees.
    name: String,
    server: String,
    tool: String,
    effect: Effect,
    outcome: Outcome,
    /// The schema it is shown with, where grants narrow it.
    #[serde(rename = "inputSchema", skip_serializing_if = "Option::is_none")]
    narrowed: Option<Value>,
    /// What the schema cannot say, where it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

pub(super) async fn run(eyes: &Eyes, only: Option<&ServerSlug>, context: &mut Context<'_>) -> Ended {
    let resolved = context.resolved()?;
    let endpoint = eyes.endpoint(&resolved.deployment, only)?;
    let caller = eyes.caller(endpoint, &resolved.deployment)?;
    let servers = view::catalogues(&resolved, None, context).await?;
    let snapshot = view::snapshot(&resolved, servers.clone(), context).await?;
    let now = context.clock.now();
    let mut rows = Vec::new();
    if let Some(scope) = snapshot.block_of(&caller, &endpoint.slug, now) {
        context.note(&format!("{scope} is blocked: every request of this caller is refused"))?;
    } else {
        let judge = &snapshot.judge;
        let defect = || Failure::Refused("the snapshot does not know its own endpoint; this is a defect".into());
        let at = judge.endpoint_index(&endpoint.slug).ok_or_else(defect)?;
        let names = snapshot.catalogue.endpoint(&endpoint.slug).ok_or_else(defect)?;
        let class = judge.class(&caller);
        let list = judge.visible(&class, at, now);
        for index in &list.tools {
            let position = position_of(*index);
            let (Some(entry), Some(name)) = (snapshot.catalogue.entry(position), names.shown_name(position)) else {
                continue;
            };
            let id = entry.tool.id();
            let other_server = only.is_some_and(|only| id.server != *only);
            if other_server || snapshot.revocations.hides_tool(id, now.saturating_add(1)) {
                continue;
            }
            rows.push(Shown {
                name: name.to_owned(),
                server: id.server.to_string(),
                tool: id.tool.to_string(),
                effect: entry.tool.effect.effect,
                outcome: outcome(&snapshot, &class, (at, *index), entry.tool.effect.effect, now),
                narrowed: list.narrowing_of(*index).map(|narrowing| narrowing.shown.schema.clone()),
                note: list.narrowing_of(*index).and_then(|narrowing| narrowing.shown.note.clone()),
            });
        }
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            let tool = format!("{}/{}", row.server, row.tool);
            let tool = if row.narrowed.is_some() { format!("{tool} (arguments narrowed)") } else { tool };
            [row.name.clone(), row.effect.to_string(), row.outcome.as_str().to_owned(), tool]
        })
        .collect();
    let heading = table(["SHOWN AS", "EFFECT", "OUTCOME", "TOOL"], &cells);
    let who =
        [caller.user().map(|user| user.key.to_string()), caller.agent().map(|agent| format!("agent {}", agent.id))];
    let who = who.into_iter().flatten().collect::<Vec<_>>().join(" through ");
    let text = format!("{heading}\nshown to {who} at {}: {}", endpoint.path, counted(rows.len(), "tool"));
    context.print(&rows, &text)?;
    problems(&servers, context)
}

/// What a call would come to now, as far as that is known without its arguments and its login.
fn outcome(
    snapshot: &Snapshot,
    class: &CallerClass,
    (at, index): (EndpointIndex, ToolIndex),
    effect: Effect,
    now: Millis,
) -> Outcome {
    let judge = &snapshot.judge;
    let standing = judge.standing(class, at, index, now).outcome;
    let Some(facts) = judge.tool(index).filter(|_| standing == Outcome::Allow) else { return standing };
    let waived = facts.approval_waived_until.is_some_and(|until| now < until);
    let glass = snapshot.broken_glass(class.facts(), (&facts.id, effect), now).is_some();
    // A rule that reads arguments says nothing without them.
    let none = Value::Object(serde_json::Map::new());
    let verdict =
        (!judge.reads_arguments(index)).then(|| judge.per_call(class, at, index, &CallFacts::new(now, &none)));
    let by_rule = verdict
        .is_some_and(|verdict| verdict.outcome == Outcome::NeedsApproval && !verdict.asks_only_for_a_second_person());
    if by_rule || (effect == Effect::Destructive && !waived && !glass) {
        return Outcome::NeedsApproval;
    }
    standing
}
