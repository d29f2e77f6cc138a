//! What is particular to one call besides its arguments: when, from where, after which login, approved or not, and after what
//! else its caller touched. Whatever a rule that reads calls may ask for is gathered here.
//!
//! Decides nothing. What nobody knows is left out, never guessed, and no rule allows anything for that.

use std::{collections::BTreeSet, net::IpAddr};

use ambit_live::mode::Down;
use ambit_model::{Digest, ids::Millis};
use ambit_policy::CallFacts;
use serde_json::Value;

use crate::{authorize::Permit, gateway::Gateway};

pub(super) struct Circumstances {
    now_ms: Millis,
    source: IpAddr,
    touched: BTreeSet<String>,
}

impl Circumstances {
    /// Gathers them. What costs something is asked for only if a rule about this tool reads it.
    ///
    /// # Errors
    /// What is down: nobody can say what the caller touched.
    pub(super) async fn of(gateway: &Gateway, permit: &Permit, source: IpAddr) -> Result<Self, Down> {
        let now_ms = gateway.live().clock().now();
        let touched = if permit.asks_what_was_touched() {
            // Boxed: what asks the store is large, and most calls have no use for it.
            Box::pin(touched(gateway, &permit.caller().name(), now_ms)).await?
        } else {
            BTreeSet::new()
        };
        Ok(Self { now_ms, source, touched })
    }

    /// The facts of a call with these arguments. Nobody has approved it yet.
    pub(super) fn facts<'a>(&'a self, permit: &'a Permit, arguments: &'a Value) -> CallFacts<'a> {
        CallFacts {
            now_ms: self.now_ms,
            approved: false,
            arguments,
            source: Some(self.source),
            touched: &self.touched,
            login: permit.caller().login(),
        }
    }
}

/// The labels that user, agent and client carry together, by what they are known by.
///
/// # Errors
/// What is down: nobody can say.
pub(crate) async fn touched(gateway: &Gateway, caller: &Digest, now: Millis) -> Result<BTreeSet<String>, Down> {
    let live = gateway.live();
    let labels = live.flow().touched(live.store(), caller, now).await.map_err(|error| {
        tracing::warn!(%error, "what a caller touched cannot be asked: its call is refused");
        Down::Store
    })?;
    Ok(labels.into_iter().map(|label| label.as_str().to_owned()).collect())
}
