//! What a caller is told of a call that waits, was refused or is done: a sentence a model and a person can act on, and the
//! same as members. It says first whether anything was executed. It names who can say yes, never what they said in private.

use ambit_identity::approvals::Standing;
use ambit_live::deployment::Deployment;
use ambit_model::{
    approval::{Approval, MAX_WAITING, REFUSED_MS, Stage},
    calendar::{civil_from_days, instant_text},
    event::Executed,
    ids::{Millis, ToolId},
};
use serde_json::{Value, json};

use super::settled_until;

/// Most people that are named.
const NAMED: usize = 5;

/// What a caller is told.
pub(super) struct Told {
    pub(super) sentence: String,
    pub(super) structured: Value,
    /// The trail's word.
    pub(super) result: &'static str,
    /// Whether what was asked for has been done.
    pub(super) is_done: bool,
}

/// Where a request is looked at and decided.
pub(crate) fn page(deployment: &Deployment, approval: &Approval) -> String {
    format!("{}/approvals/{}", deployment.public_url, approval.id)
}

/// What a call that does not run now is told.
pub(super) fn of(standing: &Standing, tool: &ToolId, deployment: &Deployment, now: Millis) -> Told {
    match standing {
        Standing::Waiting { approval, approvers, retry_after_ms, .. } => {
            waiting(approval, approvers, *retry_after_ms, &page(deployment, approval))
        }
        // Whoever gets here has just lost the turn to another request.
        Standing::Approved(approval) => waiting(approval, &[], 1_000, &page(deployment, approval)),
        Standing::Denied(approval, at) => {
            let until = at.saturating_add(REFUSED_MS);
            let sentence = format!(
                "not executed: an approver said no to this exact call (request {}). Do not repeat it; tell the person you work \
                 for. It can be asked for again after {}. What was said: {}",
                approval.id,
                time(until),
                page(deployment, approval)
            );
            let structured = json!({ "status": "approval_denied", "executed": false, "approval": approval.id,
                "retry_after": seconds(until.saturating_sub(now)) });
            Told { sentence, structured, result: "approval_denied", is_done: false }
        }
        Standing::LetOut(approval) => let_out(approval),
        Standing::TooMany { retry_after_ms } => {
            let wait = seconds(*retry_after_ms);
            let sentence = format!(
                "not executed: {MAX_WAITING} of your calls wait for an approval already. Wait until some are decided, then call \
                 again with the same arguments, not before {wait} seconds."
            );
            let structured = json!({ "status": "too_many_waiting", "executed": false, "retry_after": wait });
            Told { sentence, structured, result: "approval_capped", is_done: false }
        }
        Standing::Nobody { needed, there } => {
            let owner = deployment.servers.get(&tool.server).map_or("its owner", |server| &server.governance.owner);
            let sentence = format!(
                "not executed: this call needs the approval of {}, and {there} can give it. Tell {owner}, who answers for the \
                 server `{}`: its `approvers` have to name more people who are not you.",
                people(*needed),
                tool.server
            );
            let structured = json!({ "status": "no_approvers", "executed": false });
            Told { sentence, structured, result: "no_approvers", is_done: false }
        }
    }
}

/// The guard of what strangers wrote and what is private.
const FLOW: &str = "guard.flow";

/// Why a call waits, where its tool alone does not say.
fn why(rules: &[String]) -> &'static str {
    if rules.iter().any(|rule| rule == FLOW) {
        "in the last half hour this login read content that strangers wrote and data that is private, so what leaves now is \
         looked at first: "
    } else {
        ""
    }
}

fn waiting(approval: &Approval, approvers: &[String], retry_after_ms: Millis, page: &str) -> Told {
    let (Stage::Pending { until } | Stage::Approved { until, .. }) = &approval.stage else {
        return let_out(approval);
    };
    let wait = seconds(retry_after_ms);
    let sentence = format!(
        "not executed yet: {}`{}` needs the approval of {} for exactly these arguments. {} can give it at {page} (request {}, open \
         until {}). Nothing was changed. Call again with the same arguments, not before {wait} seconds: it runs once, as soon as \
         it is approved.",
        why(&approval.told.rules),
        approval.tool.tool,
        people(approval.needed),
        names(approvers),
        approval.id,
        time(*until),
    );
    let structured = json!({
        "status": "approval_pending",
        "executed": false,
        "approval": approval.id,
        "link": page,
        "approvers": approvers.iter().take(NAMED).collect::<Vec<_>>(),
        "needed": approval.needed,
        "retry_after": wait,
        "expires_at": instant_text(*until),
    });
    Told { sentence, structured, result: "approval_pending", is_done: false }
}

fn let_out(approval: &Approval) -> Told {
    let (record, executed) = match &approval.stage {
        Stage::Executed { record, executed, .. } => (record.as_str(), *executed),
        Stage::Consumed { record, .. } => (record.as_str(), Executed::Unknown),
        Stage::Pending { .. } | Stage::Approved { .. } | Stage::Denied { .. } | Stage::Lapsed { .. } => {
            ("unknown", Executed::Unknown)
        }
    };
    let again = settled_until(approval).map(time).unwrap_or_default();
    let (sentence, status, result, is_done) = match executed {
        Executed::Yes => (
            format!(
                "not executed again: this exact call was already executed once, record {record}. To do it once more, call again \
                 after {again}: it will need a new approval."
            ),
            "already_executed",
            "already_executed",
            true,
        ),
        Executed::Unknown | Executed::No => (
            format!(
                "not executed again: this exact call was let out once, record {record}, and what came of it is not known: it may \
                 still be running or may have happened. Look at what it changed before anything else. It can be asked for anew \
                 after {again}."
            ),
            "outcome_unknown",
            "already_let_out",
            false,
        ),
    };
    let structured = json!({ "status": status, "executed": is_done, "approval": approval.id, "record": record });
    Told { sentence, structured, result, is_done }
}

fn people(needed: u32) -> String {
    match needed {
        0 | 1 => "another person".to_owned(),
        more => format!("{more} other people"),
    }
}

/// As one would say it: `An approver`, if nobody is named.
pub(crate) fn names(approvers: &[String]) -> String {
    let mut shown: Vec<&str> = approvers.iter().take(NAMED).map(String::as_str).collect();
    let more;
    if approvers.len() > NAMED {
        more = format!("{} more", approvers.len() - NAMED);
        shown.push(&more);
    }
    match shown.split_last() {
        None => "An approver".to_owned(),
        Some((only, [])) => (*only).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

/// Whole seconds, rounded up.
fn seconds(millis: Millis) -> Millis {
    millis.max(0).saturating_add(999) / 1000
}

/// `2026-11-25 14:33 UTC`, rounded up to the minute.
pub(crate) fn time(at_ms: Millis) -> String {
    let minutes = at_ms.saturating_add(59_999).div_euclid(60_000);
    let (year, month, day) = civil_from_days(minutes.div_euclid(1440));
    let of_day = minutes.rem_euclid(1440);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", of_day / 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_named_as_one_would_say_it() {
        let named = |names_of: &[&str]| names(&names_of.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(named(&[]), "An approver");
        assert_eq!(named(&["Ann"]), "Ann");
        assert_eq!(named(&["Ann", "Bo", "Cy"]), "Ann, Bo or Cy");
        assert_eq!(named(&["A", "B", "C", "D", "E", "F", "G"]), "A, B, C, D, E or 2 more");
        assert_eq!((seconds(1), seconds(0), seconds(5_000), seconds(-1)), (1, 0, 5, 0));
        assert_eq!(time(1_795_599_225_000), "2026-11-25 09:34 UTC");
    }
}
