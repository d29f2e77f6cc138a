//! What the rules of a tool read of one call, and nothing else, as the engine takes it.

use cedar_policy::{Context, EntityTypeName, RestrictedExpression};

use crate::{
    per_call::CallFacts,
    slice::{Unspeakable, record},
    slices::PerCall,
    typing::Unjudgeable,
    zone::{Zone, datetime},
};

/// Why a call cannot be put before the rules.
pub(crate) enum NotPut {
    /// An argument that a rule reads has no value it could be judged by.
    Argument(Unjudgeable),
    /// A fact the engine refuses.
    Unspeakable,
}

impl From<Unspeakable> for NotPut {
    fn from(Unspeakable: Unspeakable) -> Self {
        Self::Unspeakable
    }
}

/// Everything but the approval, which is asked about both ways.
pub(crate) fn facts_of_call(
    rules: &PerCall,
    facts: &CallFacts<'_>,
    waived: bool,
    (zone, opaque): (&Zone, &EntityTypeName),
) -> Result<Vec<(String, RestrictedExpression)>, NotPut> {
    let reads = |name| rules.context.touches(&[name]);
    let mut pairs = Vec::with_capacity(8);
    let mut add = |name: &str, value: RestrictedExpression| pairs.push((name.to_owned(), value));
    if reads("approval_waived") {
        add("approval_waived", RestrictedExpression::new_bool(waived));
    }
    if reads("now") {
        add("now", RestrictedExpression::new_datetime(datetime(facts.now_ms).ok_or(Unspeakable)?));
    }
    if reads("time") {
        let wall = zone.wall(facts.now_ms).ok_or(Unspeakable)?;
        let hour = ("hour", RestrictedExpression::new_long(wall.hour));
        let minute = ("minute", RestrictedExpression::new_long(wall.minute));
        let weekday = ("weekday", RestrictedExpression::new_string(wall.weekday.to_owned()));
        add("time", record([hour, minute, weekday, ("date", RestrictedExpression::new_string(wall.date))])?);
    }
    if let Some(source) = facts.source.filter(|_| reads("source")) {
        add("source", RestrictedExpression::new_ip(source.to_canonical().to_string()));
    }
    if reads("touched") {
        add("touched", texts(facts.touched.iter()));
    }
    if let Some(login) = facts.login.filter(|_| reads("login")) {
        let age = facts.now_ms.saturating_sub(login.at).max(0) / 1000;
        let methods = ("methods", texts(login.methods.iter()));
        add("login", record([("age_seconds", RestrictedExpression::new_long(age)), methods])?);
    }
    if let Some(kind) = &rules.arguments {
        add("arguments", kind.value(facts.arguments, opaque).map_err(NotPut::Argument)?);
    }
    Ok(pairs)
}

/// The context of one question.
pub(crate) fn context(
    facts: &[(String, RestrictedExpression)],
    rules: &PerCall,
    approved: bool,
) -> Result<Context, Unspeakable> {
    let mut pairs = facts.to_vec();
    if rules.context.touches(&["approved"]) {
        pairs.push(("approved".to_owned(), RestrictedExpression::new_bool(approved)));
    }
    Context::from_pairs(pairs).map_err(|_| Unspeakable)
}

fn texts<'a>(texts: impl Iterator<Item = &'a String>) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.cloned().map(RestrictedExpression::new_string))
}
