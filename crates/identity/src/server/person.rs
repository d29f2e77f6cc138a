//! The person behind a login: a local account that configuration declares and the store has not switched off.

use ambit_live::Snapshot;
use ambit_model::{
    caller::UserFacts,
    ids::{IssuerName, UserKey},
};
use ambit_store::{Source, StoreError, accounts};

/// What decisions may read about a person who may still act; `None` for one who may not. An account that is not declared
/// (any more), or is disabled, or was never made, is nobody.
pub(crate) async fn standing(
    source: impl Source,
    snapshot: &Snapshot,
    user: &UserKey,
) -> Result<Option<UserFacts>, StoreError> {
    let Some(facts) = declared(snapshot, user) else { return Ok(None) };
    let account = accounts::find(source, &user.subject).await?;
    Ok(account.filter(|account| !account.disabled).map(|_| facts))
}

/// What configuration says about a local account.
pub(crate) fn declared(snapshot: &Snapshot, user: &UserKey) -> Option<UserFacts> {
    let account = snapshot.deployment.accounts.get(&user.subject).filter(|_| user.issuer == IssuerName::local())?;
    Some(UserFacts { key: user.clone(), groups: account.groups.clone(), claims: std::collections::BTreeMap::new() })
}

/// What pages call a person.
pub(crate) fn display_name(snapshot: &Snapshot, user: &UserKey) -> String {
    let account = snapshot.deployment.accounts.get(&user.subject).filter(|_| user.issuer == IssuerName::local());
    match account {
        Some(account) if !account.display_name.is_empty() => account.display_name.clone(),
        Some(_) | None => user.subject.to_string(),
    }
}
