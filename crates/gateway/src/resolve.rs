//! Stage *resolve*: the name a caller asks for becomes a [`Target`] of this endpoint, whoever asks.
//!
//! A name that means nothing gets a stand-in, one of the tools that are there: whatever the next stage does for a tool that
//! is hidden, it does for an absent one as well.

use std::sync::Arc;

use ambit_live::{
    Snapshot,
    catalogue::ToolPosition,
    snapshot::{index_of, position_of},
};
use ambit_model::ids::ToolId;
use ambit_policy::{EndpointIndex, ToolIndex};

use crate::http::Place;

/// What a name means at an endpoint.
pub(crate) struct Target<'a> {
    place: &'a Place,
    asked: &'a str,
    found: Option<ToolPosition>,
    judged: ToolIndex,
}

/// Looks a name up.
pub(crate) fn resolve<'a>(place: &'a Place, asked: &'a str) -> Target<'a> {
    let stand_in = stand_in(place.snapshot(), asked);
    let found = place.view().and_then(|view| view.position(asked));
    let judged = found.and_then(index_of).unwrap_or(stand_in);
    Target { place, asked, found, judged }
}

/// The same for whoever may also name a tool by its id, `server/tool`: the id of one that this endpoint does not publish means
/// nothing here. No shown name has a `/`, so a text has one reading.
pub(crate) fn resolve_by_any_name<'a>(place: &'a Place, asked: &'a str) -> Target<'a> {
    let by_name = resolve(place, asked);
    let (Some(view), Ok(id)) = (place.view(), ToolId::parse(asked)) else { return by_name };
    let published = |position: &ToolPosition| view.shown_name(*position).is_some();
    let found = place.snapshot().catalogue.position(&id).filter(published);
    let judged = found.and_then(index_of).unwrap_or(by_name.judged);
    Target { found, judged, ..by_name }
}

impl<'a> Target<'a> {
    pub(crate) fn snapshot(&self) -> &'a Arc<Snapshot> {
        self.place.snapshot()
    }

    pub(crate) fn endpoint(&self) -> EndpointIndex {
        self.place.number()
    }

    pub(crate) fn asked(&self) -> &'a str {
        self.asked
    }

    /// Whether the name means a tool.
    pub(crate) fn is_there(&self) -> bool {
        self.found.is_some()
    }

    /// The tool to be judged: the one that was asked for, or the stand-in.
    pub(crate) fn judged(&self) -> ToolIndex {
        self.judged
    }

    /// Where that tool stands.
    pub(crate) fn position(&self) -> ToolPosition {
        position_of(self.judged)
    }
}

/// Some tool, chosen by the name (FNV-1a), so that names spread over all of them.
fn stand_in(snapshot: &Snapshot, asked: &str) -> ToolIndex {
    let hash = asked.bytes().fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let tools = u32::try_from(snapshot.catalogue.entries().len()).unwrap_or(u32::MAX);
    ToolIndex(hash.checked_rem(tools).unwrap_or(0))
}
