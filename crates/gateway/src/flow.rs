//! Between *afford* and *trail*: the labels a call leaves on its caller are noted before it is dispatched, so that whatever is
//! read, the note is older. The rules about them are judged by the guard. A tool without a label costs nothing here.

use std::collections::BTreeSet;

use ambit_live::mode::Down;
use ambit_model::label::Label;

use crate::{gateway::Gateway, guard::Guarded};

/// Notes what a call is about to bring.
///
/// # Errors
/// What is down: other nodes would not know, so nothing must be dispatched.
pub(crate) async fn touch(gateway: &Gateway, guarded: &Guarded) -> Result<(), Down> {
    let Some(server) = guarded.server().filter(|server| !server.labels.is_empty()) else { return Ok(()) };
    let labels: BTreeSet<Label> = server.labels_of(guarded.tool().id());
    if !labels.iter().any(|label| label.is_carried()) {
        return Ok(());
    }
    let (live, now, caller) = (gateway.live(), gateway.live().clock().now(), guarded.caller().name());
    // Boxed: what writes to the store is large, and most calls have no use for it.
    Box::pin(live.flow().touch(live.store(), &caller, &labels, now)).await.map_err(|error| {
        tracing::warn!(%error, "what a call brings cannot be noted: it is refused");
        Down::Store
    })
}
