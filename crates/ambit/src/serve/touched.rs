//! Begins with the labels that callers touched before the restart, as the trail of this node tells: every call of a labelled
//! tool whose intent stands there was dispatched, or may have been.

use std::{path::Path, sync::Arc};

use ambit_identity::caller;
use ambit_live::{Live, flow::STICKS_MS};
use ambit_model::ids::ToolId;
use ambit_trail::{Files, Peek, since};
use anyhow::Context as _;

/// Reads the last half hour, if anything has a label. Blocks for file operations.
///
/// # Errors
/// If the trail cannot be read: nobody would know what must not leave.
pub fn restore(live: &Live, files: &Arc<dyn Files>, directory: &Path) -> anyhow::Result<()> {
    let snapshot = live.current();
    if snapshot.deployment.servers.values().all(|server| server.labels.is_empty()) {
        return Ok(());
    }
    let from = live.clock().now().saturating_sub(STICKS_MS);
    let mut remember = |peek: &Peek| {
        if peek.event != "intent" {
            return;
        }
        let keys = peek.keys();
        let Some(tool) = keys.tool.as_deref().and_then(|tool| ToolId::parse(tool).ok()) else { return };
        let Some(server) = snapshot.deployment.servers.get(&tool.server) else { return };
        let name =
            caller::name(keys.subject.as_deref(), keys.agent.as_deref(), keys.client.as_deref().unwrap_or_default());
        live.flow().remember(&name, &server.labels_of(&tool), peek.at);
    };
    since(files, directory, from, &mut remember)
        .context("the labels that callers touched cannot be read from the trail")
}
