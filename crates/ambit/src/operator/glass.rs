//! What operators see of broken glass, and what they say of it afterwards. Whoever broke it is not who looks at it.

use ambit_model::{ids::GrantId, operator::Actor};
use ambit_store::broken_glass::{self, BrokenGlass, Review};
use serde_json::{Value, json};

use super::{
    act::Done,
    context::OperatorContext,
    entitle::with_reason,
    perform::{ActError, Entry, settle},
    rights::own_people,
};
use crate::config::quantity::instant_text;

/// Every broken glass that nobody has looked at, and the latest that somebody has.
pub(super) async fn list(context: &OperatorContext) -> Result<Done, ActError> {
    let all = broken_glass::list(&context.store, None).await?;
    let mut lines: Vec<_> = all.iter().map(line).collect();
    let reviewed = all.iter().filter(|glass| glass.review.is_some()).count();
    if i64::try_from(reviewed).is_ok_and(|reviewed| reviewed >= broken_glass::MOST_REVIEWED) {
        lines.push(format!("of those that somebody looked at, the latest {reviewed}; the trail has all"));
    }
    let sentence = if lines.is_empty() { "nobody broke the glass".to_owned() } else { lines.join("\n") };
    Ok(Done { sentence, result: all.iter().map(members).collect() })
}

/// What somebody says of one, once.
pub(super) async fn review(
    (id, says): (&GrantId, &str),
    by: &Actor,
    context: &OperatorContext,
) -> Result<Done, ActError> {
    with_reason(says)?;
    let found = broken_glass::find(&context.store, id).await?;
    let glass = found
        .ok_or_else(|| ActError::Absent(format!("no glass was broken as `{id}`: see `ambit break-glass list`")))?;
    let (reveal, now) = (&glass.reveal.reveal, context.clock.now());
    let who = &reveal.user;
    if own_people(&context.deployment().roles.rights_of(by), &context.deployment()).contains(who) {
        return Err(ActError::NotYours(format!("you are {who}, who broke it: let somebody else look at it")));
    }
    // One word is all there is, so it is about everything that was done under it.
    if glass.reveal.ended.is_none() && now < reveal.expires_at {
        return Err(ActError::Refused(format!(
            "`{id}` is still broken until {}: look at it when it is over, or end it first with `ambit revoke grant {id}`",
            instant_text(reveal.expires_at)
        )));
    }
    let review = Review { by: by.to_string(), at: now, says: says.to_owned() };
    let mut tx = context.store.begin().await?;
    if !broken_glass::review(&mut tx, id, &review).await? {
        return Err(ActError::Refused(format!("`{id}` was looked at before: see `ambit break-glass list`")));
    }
    let subject = format!("grant {id}");
    let after = Some(json!({ "user": who.to_string() }));
    let entry = Entry { act: "break_glass.review", subject: &subject, before: None, after, reason: Some(says) };
    settle(tx, entry, by, context).await?;
    Ok(Done { sentence: format!("{by} looked at {id}"), result: json!({ "id": id, "reviewed_by": by.to_string() }) })
}

fn line(glass: &BrokenGlass) -> String {
    let reveal = &glass.reveal.reveal;
    let review = glass.review.as_ref().map_or_else(
        || "nobody has looked at it yet".to_owned(),
        |review| format!("{} at {}: {}", review.by, instant_text(review.at), review.says),
    );
    format!(
        "{}  {}  {} in {}  {} to {}  {:?}  {review}",
        reveal.id,
        reveal.user,
        reveal.toolset,
        reveal.client,
        instant_text(reveal.starts_at),
        instant_text(glass.reveal.ended.as_ref().map_or(reveal.expires_at, |(_, at)| *at)),
        reveal.reason
    )
}

fn members(glass: &BrokenGlass) -> Value {
    let reveal = &glass.reveal.reveal;
    json!({
        "id": reveal.id,
        "user": reveal.user.to_string(),
        "client": reveal.client,
        "toolset": reveal.toolset,
        "reason": reveal.reason,
        "starts_at": instant_text(reveal.starts_at),
        "expires_at": instant_text(reveal.expires_at),
        "ended_at": glass.reveal.ended.as_ref().map(|(_, at)| instant_text(*at)),
        "review": glass.review.as_ref().map(|review| json!({
            "by": review.by,
            "at": instant_text(review.at),
            "says": review.says,
        })),
    })
}
