//! Between *guard* and *trail*: whether a guarded call is sent now. Its person has to have a place at the server, the server
//! has to answer at all, and something has to be left of the budget. Nothing that is decided here hides a tool or changes a
//! list.

use ambit_live::recorder::Deed;
use ambit_mcp::{Id, era::Era, reply};
use ambit_model::ids::ServerSlug;

use crate::{
    answer::Reply,
    breaker::{Pass, Turned},
    budget::{OVER_BUDGET, Spending},
    gateway::Gateway,
    guard::Guarded,
    shares,
    upstream::Performed,
};

/// What a call holds while it runs.
pub(crate) struct Afforded {
    pass: Option<Pass>,
    spending: Spending,
    _place: Option<shares::Place>,
}

/// Why a call is not sent now.
pub(crate) struct NotNow {
    sentence: String,
    result: &'static str,
    wait_ms: u64,
}

/// Takes what a call needs. Waits a moment for a place, holding nothing else meanwhile.
///
/// # Errors
/// [`NotNow`], with when to come back.
pub(crate) async fn afford(gateway: &Gateway, guarded: &Guarded) -> Result<Afforded, NotNow> {
    let (shared, caller, server) = (&gateway.shared, guarded.caller(), guarded.server());
    let place = match server {
        Some(server) => Some(shared.upstreams.place(caller.person(), server).await.map_err(|shares::Held| NotNow {
            sentence: format!("as many of your calls of server `{}` are running as one person may have", server.slug),
            result: "busy",
            wait_ms: shares::UNTIL_A_PLACE_MS,
        })?),
        None => None,
    };
    let now = gateway.live().clock().now();
    let pass = server.map(|server| shared.breakers.pass(&server.slug, server.limits.breaker, now));
    let pass = pass.transpose().map_err(|open| NotNow {
        sentence: format!(
            "server `{}` did not answer the last calls, so it is left alone for a while",
            guarded.tool().id().server
        ),
        result: "breaker_open",
        wait_ms: open.wait_ms,
    })?;
    let spending = shared.budgets.spend(caller, guarded, now).map_err(|over| NotNow {
        sentence: over.sentence(),
        result: OVER_BUDGET,
        wait_ms: over.wait_ms(),
    })?;
    Ok(Afforded { pass, spending, _place: place })
}

impl Afforded {
    /// The call goes out.
    pub(crate) fn dispatched(&mut self) {
        self.spending.dispatched();
    }

    /// Hears what came of it, and writes down if that turned the server's breaker.
    pub(crate) async fn heard(&mut self, gateway: &Gateway, server: &ServerSlug, performed: &Performed) {
        let now = || gateway.live().clock().now();
        let Some(turned) = self.pass.take().and_then(|pass| pass.heard(performed, now)) else { return };
        let (act, reason) = match turned {
            Turned::Open => ("breaker.open", "its calls were not answered"),
            Turned::Closed => ("breaker.close", "it answers again"),
        };
        tracing::warn!(%server, "{act}: {reason}");
        let subject = format!("server {server}");
        let deed = Deed { by: "ambit", act, subject: &subject, reason: Some(reason), ..Deed::default() };
        if let Err(error) = Box::pin(gateway.live().recorder().act(deed)).await {
            tracing::error!(%error, %server, "that a breaker turned could not be written down");
        }
    }
}

impl NotNow {
    pub(crate) fn reply(&self, id: Id<'_>, era: Era, face: &reply::Server) -> Reply {
        Reply::not_now((id, era), face, &self.sentence, self.wait_ms, self.result)
    }
}
