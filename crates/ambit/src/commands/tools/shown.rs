//! `ambit tools --as USER --endpoint PATH`: exactly what that caller's list holds.

use ambit_live::snapshot::position_of;
use ambit_model::{
    Effect, Outcome,
    ids::{ServerSlug, UserKey},
};
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

pub(super) async fn run(user: &UserKey, eyes: &Eyes, only: Option<&ServerSlug>, context: &mut Context<'_>) -> Ended {
    let resolved = context.resolved()?;
    let endpoint = eyes.endpoint(&resolved.deployment, only)?;
    let caller = eyes.caller(user, endpoint, &resolved.deployment)?;
    let servers = view::catalogues(&resolved, None, context).await?;
    let snapshot = view::snapshot(&resolved, servers.clone(), context).await?;
    let now = context.clock.now();
    let mut rows = Vec::new();
    if let Some(reason) = view::blocked(&caller, endpoint, &snapshot, now) {
        context.note(&format!("{reason}: every request of this caller is refused"))?;
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
                outcome: judge.standing(&class, at, *index, now).outcome,
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
    let text = format!("{heading}\nshown to {user} at {}: {}", endpoint.path, counted(rows.len(), "tool"));
    context.print(&rows, &text)?;
    problems(&servers, context)
}
