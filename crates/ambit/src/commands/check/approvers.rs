//! Destructive tools that could be revealed and never called: nobody may approve a call of them, and no owner said that none
//! has to. It is a safe place to be in, and rarely the one that was meant.

use std::collections::{BTreeMap, BTreeSet};

use ambit_model::{
    Effect,
    ids::{Millis, ServerSlug, ToolId},
};

use super::Found;
use crate::config::Problem;

/// So many tools are named of each server.
const MOST_NAMED: usize = 5;

pub(super) fn missing(found: &Found<'_>, now: Millis) -> Vec<Problem> {
    let deployment = &found.resolved.deployment;
    let mut stuck: BTreeMap<&ServerSlug, Vec<ToolId>> = BTreeMap::new();
    for id in destructive(found) {
        let Some(server) = deployment.servers.get(&id.server) else { continue };
        let waived = server.approvals.waivers.get(&id.tool).is_some_and(|waiver| now < waiver.until);
        let held = deployment.toolsets.values().any(|toolset| toolset.contains(&id, Effect::Destructive));
        if held && !waived && server.approvals.rule.approvers.is_empty() {
            stuck.entry(&server.slug).or_default().push(id);
        }
    }
    let told = stuck.into_iter().map(|(slug, tools)| {
        let (first, more) = tools.split_at(tools.len().min(MOST_NAMED));
        let names = first.iter().map(|id| format!("`{}`", id.tool)).collect::<Vec<_>>().join(", ");
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        let message = format!(
            "is empty, so every call of {names}{more} would be refused even while it is revealed, because nobody could approve \
             it: name local accounts, such as `approvers = [\"user NAME\"]`, or say in `[servers.{slug}.approvals.TOOL]` which \
             tool needs no approval"
        );
        found.problem(format!("servers.{slug}.approvers"), message)
    });
    told.collect()
}

/// The destructive tools of the documents that lie here, and of other servers those that were accepted as destructive.
fn destructive(found: &Found<'_>) -> BTreeSet<ToolId> {
    let read = found.with_tools().flat_map(|read| read.tools.values());
    let read = read.filter(|tool| tool.effect.effect == Effect::Destructive).map(|tool| tool.id().clone());
    let accepted = found
        .resolved
        .lock
        .iter()
        .filter(|(id, pin)| pin.effect == Effect::Destructive && !found.read.contains_key(&id.server));
    read.chain(accepted.map(|(id, _)| id.clone())).collect()
}
