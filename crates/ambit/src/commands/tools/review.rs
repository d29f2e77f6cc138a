//! What somebody looked at, in one word: a digest over the definitions and effects that wait, so that accepting can insist on
//! them. What a server says when it is accepted is not what it said when it was read.

use ambit_live::{catalogue::PublishedTool, lock::Lock};
use ambit_model::{Digest, tool::Acceptance};

/// Whether a tool waits for somebody to look at it.
pub(super) fn is_pending(tool: &PublishedTool, lock: &Lock) -> bool {
    match lock.acceptance(tool.id(), tool.pin(), tool.overridden) {
        Acceptance::Accepted => false,
        Acceptance::New | Acceptance::Changed => true,
    }
}

/// The digest of tools as they are seen, in whatever order and however often each is named.
pub(super) fn digest<'a>(tools: impl IntoIterator<Item = &'a PublishedTool>) -> Digest {
    let seen = tools
        .into_iter()
        .map(|tool| [tool.name().to_string(), tool.digest.to_string(), tool.effect.effect.to_string()]);
    let mut seen: Vec<_> = seen.collect();
    seen.sort_unstable();
    seen.dedup();
    Digest::of_parts(seen.iter().flatten().map(String::as_bytes))
}
