//! Decisions as the specification writes them (§5.5, §7.2): `decision`, and for a no a `context` that says why. A yes has
//! none: whoever does not understand all of a context may turn a yes down.

use serde_json::{Value, json};

use super::evaluate::{Evaluation, Said};

/// One decision.
pub(super) fn decision(evaluation: &Evaluation) -> Value {
    match &evaluation.said {
        Said::Yes => json!({ "decision": true }),
        Said::No { outcome, code, sentence } => json!({
            "decision": false,
            "context": { "outcome": outcome, "code": code, "reason_user": { "403": sentence } },
        }),
        Said::Malformed(sentence) => json!({
            "decision": false,
            "context": { "error": { "status": 400, "message": sentence } },
        }),
    }
}

/// The body: the list, or the only one.
pub(super) fn body(decisions: Vec<Value>, are_several: bool) -> Vec<u8> {
    let whole = if are_several {
        json!({ "evaluations": decisions })
    } else {
        decisions.into_iter().next().unwrap_or_else(|| json!({ "decision": false }))
    };
    whole.to_string().into_bytes()
}
