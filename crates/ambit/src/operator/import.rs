//! Grants of another system become grants here: each is held to what a grant made here is held to, and each is recorded, but
//! either all of them are made or none is. Every problem is named with its line, so that one more try is enough.

use ambit_model::{grant::GrantOrigin, operator::Actor};
use ambit_store::grants;
use serde_json::json;

use super::{
    act::{Done, ImportedGrant, MAX_IMPORTED},
    context::OperatorContext,
    entitle::{GrantWish, planned},
    perform::{ActError, Entry, record, settle},
};

/// Makes them all.
pub(super) async fn import(
    imported: &[ImportedGrant],
    by: &Actor,
    context: &OperatorContext,
) -> Result<Done, ActError> {
    if imported.is_empty() || imported.len() > MAX_IMPORTED {
        return Err(ActError::Refused(format!("import between 1 and {MAX_IMPORTED} grants at once")));
    }
    let (mut made, mut problems) = (Vec::new(), Vec::new());
    let acts: Vec<_> = imported.iter().map(|one| (one, one.alone())).collect();
    for (index, (one, act)) in acts.iter().enumerate() {
        if let Some((earlier, _)) = acts.iter().take(index).find(|(_, earlier)| earlier == act) {
            problems.push(format!("line {}: it says the same as line {}: leave it out", one.line, earlier.line));
            continue;
        }
        match planned(wish(one), GrantOrigin::Import, context) {
            Ok((grant, _)) => made.push(grant),
            Err(error) => problems.push(format!("line {}: {error}", one.line)),
        }
    }
    if !problems.is_empty() {
        return Err(ActError::Refused(nothing(&problems)));
    }
    let mut tx = context.store.begin().await?;
    for grant in &made {
        grants::insert(&mut tx, grant, &by.to_string(), context.clock.now()).await?;
        let (subject, reason) = (grant.subject.to_string(), Some(grant.reason.as_str()));
        let entry = Entry { act: "grant.create", subject: &subject, before: None, after: Some(json!(grant)), reason };
        record(&entry, by, context).await?;
    }
    let ids: Vec<_> = made.iter().map(|grant| grant.id.to_string()).collect();
    let subject = format!("{} grants", made.len());
    let after = Some(json!({ "grants": ids }));
    let entry = Entry { act: "grant.import", subject: &subject, before: None, after, reason: None };
    let revision = settle(tx, entry, by, context).await?;
    Ok(Done { sentence: format!("imported: {subject}"), result: json!({ "grants": ids, "revision": revision }) })
}

fn wish(one: &ImportedGrant) -> GrantWish {
    let ImportedGrant { subject, toolset, reason, ticket, approved_by, starts_at, expires_at, constraints, .. } =
        one.clone();
    GrantWish { subject, toolset, reason, ticket, approved_by, starts_at, expires_at, constraints }
}

/// The sentence of an import that did not happen.
pub(crate) fn nothing(problems: &[String]) -> String {
    format!("nothing was imported:\n{}", problems.join("\n"))
}
