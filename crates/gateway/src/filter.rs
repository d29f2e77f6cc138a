//! Stage *filter*: what the upstream said becomes the reply, without the credential that was spent on it, and is closed.
//!
//! Everything else passes as it came: unknown members, their order, numbers. Size was bounded where it was read.

use ambit_live::credentials::Spendable;
use ambit_mcp::{Id, RpcError, era::Era, reply, strict::Params, upstream::capabilities};

use crate::{
    answer::{Note, Reply},
    trail::Closed,
    upstream::{Performed, Said},
};

/// Turns what an upstream said into a closed reply.
pub(crate) async fn filter(
    performed: Performed,
    (id, era): (Id<'_>, Era),
    params: &Params<'_>,
    face: &reply::Server,
) -> Closed<Reply> {
    let Performed { said, note, credential, recorded } = performed;
    // It holds no word of the upstream's but names that the specification defines.
    if let Said::Lacks { required, .. } = &said
        && era.is_modern()
        && capabilities::lacks(params.meta.client_capabilities, required)
    {
        let mut reply = Reply::error(&RpcError::missing_client_capability(required.as_raw()), Some(id), note.result);
        reply.note = Note { code: reply.note.code, ..note };
        return recorded.close(id, reply).await;
    }
    // The body of an API was looked through before anything was cut off or encoded; words that were made of it, or of what
    // an MCP server said, are looked through as they are written.
    let is_clean = matches!(&said, Said::Tool(outcome) if !outcome.is_error);
    let mut body = write(said, (id, era), face);
    if let Some(credential) = credential.filter(|_| !is_clean)
        && let Some(clean) = without_secrets(&body, &credential)
    {
        body = clean;
    }
    recorded.close(id, Reply::result(body, note)).await
}

fn write(said: Said, (id, era): (Id<'_>, Era), face: &reply::Server) -> Vec<u8> {
    match said {
        Said::Tool(outcome) => {
            let outcome = if era.is_modern() { outcome } else { outcome.for_object_only_clients() };
            reply::tool_outcome(id, era, face, &outcome)
        }
        Said::Result(result) => reply::raw_result(id, result.as_raw()),
        Said::Failed(sentence) | Said::Lacks { sentence, .. } => {
            reply::tool_result(id, era, face, reply::Outcome::Error, &sentence, None)
        }
    }
}

/// The text without the credential, if it is in there in any spelling.
pub(crate) fn without_secrets(text: &[u8], credential: &Spendable) -> Option<Vec<u8>> {
    let clean = credential.spellings().redacted(text)?;
    tracing::warn!(credential = %credential.id, "an upstream sent back the credential: taken out of the reply");
    Some(clean)
}

impl Note {
    /// Whether anything went wrong.
    pub(crate) fn is_ok(&self) -> bool {
        self.result == "ok"
    }
}
