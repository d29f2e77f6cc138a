//! Keeps every accepted definition that was read, so that a later change can be shown against it. The lock file holds digests
//! only, and often comes from version control to a deployment that never saw the accepting.
//!
//! Nothing decides on what is kept here: a failure is said and changes no start, reload or list.

use ambit_live::{Live, lock::Lock};
use ambit_store::{StoreError, acceptances};

/// Most definitions in one transaction, so that others can write in between.
const AT_ONCE: usize = 200;

/// Keeps the definitions of everything that is offered as it was accepted.
pub async fn keep(live: &Live, lock: &Lock) {
    if let Err(error) = try_keep(live, lock).await {
        tracing::warn!(%error, "accepted definitions could not be kept; `ambit tools --pending` may show digests only");
    }
}

async fn try_keep(live: &Live, lock: &Lock) -> Result<(), StoreError> {
    let servers = live.servers().await;
    let tools = servers.values().flat_map(|server| server.tools.values());
    let accepted: Vec<_> =
        tools.filter(|tool| lock.pin(tool.id()).is_some_and(|pin| pin.digest == tool.digest)).collect();
    for some in accepted.chunks(AT_ONCE) {
        let mut tx = live.store().begin().await?;
        for tool in some {
            let Ok(definition) = serde_json::to_string(&tool.definition) else { continue };
            acceptances::keep_definition(&mut tx, tool.id(), &tool.digest, &definition, live.clock().now()).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}
