//! What one authorization belongs to, and since when it counts: the measure of every revocation that may end it. Never the
//! instant of a refresh.

use ambit_live::{
    Snapshot,
    revocations::{Issued, Revocations},
};
use ambit_model::revocation::Scope;
use ambit_store::{Tx, families::Family, revocations};

use super::failure::Down;

fn scopes(family: &Family) -> [Scope; 5] {
    [
        Scope::Deployment,
        Scope::Endpoint(family.endpoint.clone()),
        Scope::User(family.user.clone()),
        Scope::Client(family.client.clone()),
        Scope::Family(family.id.clone()),
    ]
}

fn issued(family: &Family) -> Issued {
    Issued { at: family.created_at, login_at: family.auth_time }
}

/// Whether a revocation or block that requests see reaches a family.
pub(crate) fn is_dead(snapshot: &Snapshot, family: &Family) -> bool {
    snapshot.revocations.judge(&scopes(family), issued(family)).is_some()
}

/// The same by the rows themselves. What was committed while this request waited for its turn to write, or at another node,
/// need not be in its snapshot.
pub(crate) async fn is_over(tx: &mut Tx, family: &Family) -> Result<bool, Down> {
    let scopes = scopes(family);
    let mut marks = Vec::with_capacity(scopes.len());
    for scope in &scopes {
        marks.extend(revocations::find(&mut *tx, scope).await?.map(|marked| (marked.scope, marked.mark)));
    }
    Ok(Revocations::new(marks, 0).judge(&scopes, issued(family)).is_some())
}
