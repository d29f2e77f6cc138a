//! Decisions about requests for access, from outside the pages. A person's token says who they are; on the machine itself the
//! operating system does, and configuration which person that is (`[[operator.roles]]`). Only a person who answers for what is
//! asked for sees it or decides it. Nobody decides their own, whatever user they run as.

use ambit_identity::{
    access::{DecideError, Ruling, decide as decide_one, waiting_for},
    approvals::people::name,
};
use ambit_live::Live;
use ambit_model::{
    access::{AccessRequest, AccessStage, life_text},
    approval::Says,
    ids::AccessId,
    operator::Actor,
};
use serde_json::{Value, json};

use super::{
    act::Done,
    approve::{person_of, unable, via},
    context::OperatorContext,
    entitle::with_reason,
    perform::ActError,
};
use crate::config::quantity::instant_text;

const NOBODY: (&str, &str) = ("no request for access waits", "owner");

/// The requests that this person may decide.
pub(super) async fn list(by: &Actor, context: &OperatorContext) -> Result<Done, ActError> {
    let (live, person) = person_of(by, context, NOBODY)?;
    let waiting = waiting_for(live, &person, live.clock().now()).await?;
    let lines: Vec<_> = waiting.iter().map(|request| line(live, request)).collect();
    let sentence = if lines.is_empty() { format!("nothing waits for {person}") } else { lines.join("\n") };
    Ok(Done { sentence, result: waiting.iter().map(members).collect() })
}

/// A yes or a no.
pub(super) async fn decide(
    (id, says, reason): (&AccessId, Says, Option<&str>),
    by: &Actor,
    context: &OperatorContext,
) -> Result<Done, ActError> {
    let (live, person) = person_of(by, context, NOBODY)?;
    if let Some(reason) = reason {
        with_reason(reason)?;
    }
    let since = live.clock().now();
    let ruling = Ruling { id, by: &person, since, says, via: via(by), reason };
    let stage = decide_one(live, ruling).await.map_err(|error| match error {
        DecideError::Unable(error) => unable(error),
        DecideError::NotFound(_) => ActError::Absent(error.to_string()),
        DecideError::Over(_) | DecideError::Moved => ActError::Refused(error.to_string()),
    })?;
    let (told, grant) = match &stage {
        AccessStage::Approved { grant, .. } => (format!("approved: {grant}"), Some(grant.clone())),
        other => (other.as_str().to_owned(), None),
    };
    let sentence = format!("{person} said {}: request {id} is {told}", says.as_str());
    Ok(Done { sentence, result: json!({ "id": id, "says": says, "stage": stage.as_str(), "grant": grant }) })
}

fn line(live: &Live, request: &AccessRequest) -> String {
    let who = name(&live.current(), &request.user);
    let (word, reason) = match &request.words {
        Some(words) => ("says", words),
        None => ("their client says", &request.told.reason),
    };
    format!(
        "{}  {}  {} ({who}) for {}  asked {}  {word}: {reason:?}",
        request.id,
        request.toolset,
        request.user,
        life_text(request.life_ms),
        instant_text(request.requested_at),
    )
}

fn members(request: &AccessRequest) -> Value {
    json!({
        "id": request.id,
        "toolset": request.toolset,
        "user": request.user.to_string(),
        "agent": request.agent,
        "client": request.client,
        "endpoint": request.endpoint,
        "for_seconds": request.life_ms / 1000,
        "requested_at": instant_text(request.requested_at),
        "said_by_person": request.words,
        "claimed_by_client": request.told.reason,
    })
}
