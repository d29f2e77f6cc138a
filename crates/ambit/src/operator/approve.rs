//! Decisions about calls that wait for people, from outside the pages. A person's token says who they are; on the machine
//! itself the operating system does, and configuration which person that is (`[[operator.roles]]`). Only a person who may decide a request sees it or decides it. Nobody
//! decides their own, whatever user they run as.

use ambit_identity::approvals::{self, Ballot, VoteError, people, show::Shown};
use ambit_live::Live;
use ambit_model::{
    approval::{Approval, Says, Via},
    ids::{ApprovalId, UserKey},
    operator::Actor,
    shown::plain,
};
use ambit_store::approvals as rows;
use serde_json::{Value, json};

use super::{act::Done, context::OperatorContext, entitle::with_reason, perform::ActError};
use crate::config::quantity::instant_text;

/// The requests that this person may decide.
pub(super) async fn list(by: &Actor, context: &OperatorContext) -> Result<Done, ActError> {
    let (live, person) = who(by, context)?;
    let waiting = approvals::waiting_for(live, &person, live.clock().now()).await?;
    let lines: Vec<_> = waiting.iter().map(line).collect();
    let sentence = if lines.is_empty() { format!("nothing waits for {person}") } else { lines.join("\n") };
    Ok(Done { sentence, result: waiting.iter().map(brief).collect() })
}

/// One request with everything a decision needs.
pub(super) async fn show(id: &ApprovalId, by: &Actor, context: &OperatorContext) -> Result<Done, ActError> {
    let (live, person) = who(by, context)?;
    let (snapshot, now) = (live.current(), live.clock().now());
    let not_found = || ActError::Absent(VoteError::NotFound(id.clone()).to_string());
    let approval = rows::find(live.store(), id).await?.ok_or_else(not_found)?;
    people::eligible(live.store(), &snapshot, &approval, &person, now).await?.ok_or_else(not_found)?;
    let shown = approvals::show::show(live, approval).await.map_err(unable)?;
    Ok(Done { sentence: text(&shown), result: complete(&shown) })
}

/// A yes or a no.
pub(super) async fn decide(
    (id, says, reason): (&ApprovalId, Says, Option<&str>),
    by: &Actor,
    context: &OperatorContext,
) -> Result<Done, ActError> {
    let (live, person) = who(by, context)?;
    if let Some(reason) = reason {
        with_reason(reason)?;
    }
    let since = live.clock().now();
    let ballot = Ballot { id, by: &person, since, says, via: via(by), reason };
    let stage = approvals::vote(live, ballot).await.map_err(|error| match error {
        VoteError::Unable(error) => unable(error),
        VoteError::NotFound(_) => ActError::Absent(error.to_string()),
        VoteError::Over(_) => ActError::Refused(error.to_string()),
    })?;
    let sentence = format!("{person} said {}: request {id} is {}", says.as_str(), stage.as_str());
    Ok(Done { sentence, result: json!({ "id": id, "says": says, "stage": stage.as_str() }) })
}

fn who<'a>(by: &Actor, context: &'a OperatorContext) -> Result<(&'a Live, UserKey), ActError> {
    person_of(by, context, ("no call waits", "approver"))
}

/// By which way somebody says something.
pub(super) const fn via(by: &Actor) -> Via {
    match by {
        Actor::OsUser(_) | Actor::Ambit => Via::Command,
        Actor::Person(_) => Via::Api,
    }
}

/// The person an operator is, on a running server; without one nothing waits.
pub(super) fn person_of<'a>(
    by: &Actor,
    context: &'a OperatorContext,
    (nothing, role): (&str, &str),
) -> Result<(&'a Live, UserKey), ActError> {
    let Some(live) = context.live() else {
        return Err(ActError::Refused(format!(
            "no server runs on this data directory, so {nothing}: start `ambit serve`"
        )));
    };
    let os_user = match by {
        Actor::Person(user) => return Ok((live, user.clone())),
        Actor::OsUser(name) => name.as_str(),
        Actor::Ambit => "ambit",
    };
    let mut persons = live.current().deployment.roles.rights_of(by).persons.into_iter();
    match (persons.next(), persons.next()) {
        (Some(person), None) => Ok((live, person)),
        (first, _) => {
            let many = if first.is_some() { "several people" } else { "nobody" };
            Err(ActError::Refused(format!(
                "the system's user `{os_user}` is {many} here: add `[[operator.roles]]` with `os_user = \"{os_user}\"`, one \
                 `person` and `roles = [\"{role}\"]`, and reload"
            )))
        }
    }
}

pub(super) fn unable(error: approvals::Unable) -> ActError {
    match error {
        approvals::Unable::Store(error) => error.into(),
        approvals::Unable::Record(error) => error.into(),
        approvals::Unable::Key(error) => ActError::Refused(error.to_string()),
    }
}

fn line(approval: &Approval) -> String {
    let who = approvals::caller_text(approval.user.as_ref(), approval.agent.as_ref());
    format!("{}  {}  {}  asked {}", approval.id, approval.tool, plain(&who), instant_text(approval.requested_at))
}

fn brief(approval: &Approval) -> Value {
    json!({
        "id": approval.id,
        "tool": approval.tool,
        "user": approval.user.as_ref().map(ToString::to_string),
        "agent": approval.agent,
        "client": approval.client,
        "environment": approval.told.environment,
        "effect": approval.told.effect,
        "requested_at": instant_text(approval.requested_at),
        "needed": approval.needed,
    })
}

fn complete(shown: &Shown) -> Value {
    let mut value = brief(&shown.approval);
    let differences = shown.differences.as_ref().map(|all| {
        let listed = all.listed.iter();
        listed.map(|one| json!({ "at": one.pointer, "before": one.before, "now": one.now })).collect::<Vec<_>>()
    });
    let more = json!({
        "arguments": shown.arguments,
        "differences": differences,
        "more_differences": shown.differences.as_ref().map(|all| all.more),
        "grounds": shown.approval.told.grounds,
        "owner": shown.approval.told.owner,
        "claimed_by_client": shown.approval.told.claimed,
        "call": shown.approval.digest,
        "definition": shown.approval.told.definition,
        "stage": shown.approval.stage.as_str(),
    });
    if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
    }
    value
}

fn text(shown: &Shown) -> String {
    let Approval { id, tool, told, client, digest, .. } = &shown.approval;
    let arguments = shown.arguments_text().unwrap_or_else(|| "not kept any more".to_owned());
    let who = approvals::caller_text(shown.approval.user.as_ref(), shown.approval.agent.as_ref());
    let mut lines = vec![
        format!("request      {id} ({})", shown.approval.stage.as_str()),
        format!("tool         {tool}  {}  {}", told.effect, told.environment),
        format!("owner        {}", told.owner),
        format!("who          {}", plain(&who)),
        format!("client       {} ({})", plain(client.as_str()), told.assurance),
    ];
    lines.extend(told.claimed.as_ref().map(|name| format!("calls itself {:?} (its own claim)", plain(name))));
    lines.extend(told.grounds.iter().map(|ground| format!("by           {}", plain(ground))));
    lines.push(format!("call         {digest}"));
    lines.push(format!("arguments, as they will be sent:\n{arguments}"));
    match &shown.differences {
        None => lines
            .push("no earlier call of this tool whose arguments are still kept, so nothing to compare with".to_owned()),
        Some(all) if all.are_none() => lines.push("the same arguments as the last such call".to_owned()),
        Some(all) => {
            lines.extend(all.listed.iter().map(|one| {
                let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
                format!("differs at {}: {} was {}", one.pointer, side(&one.now), side(&one.before))
            }));
            if all.more > 0 {
                lines.push(format!("and at {} more places: read the arguments themselves", all.more));
            }
        }
    }
    lines.join("\n")
}
