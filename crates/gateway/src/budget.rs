//! How much of its budget each person has left on this node; each agent, where no person stands behind it. Looked at for
//! every request before it is read, and for every call of a visible tool before it is dispatched; never when a list is made.
//!
//! Nothing here waits, locks or, for somebody who is known, allocates. Nobody is locked out: every answer says when to come
//! back, and what was taken for a call that was not dispatched is given back.

mod days;
mod spent;

use std::{convert::Infallible, sync::Arc};

use ambit_identity::caller::Caller;
use ambit_model::{
    Digest, Effect,
    budget::{Limits, Use},
    ids::{Millis, ToolId},
};
use quick_cache::sync::Cache;

use crate::{answer::Reply, authenticate::Entered, gateway::Gateway, guard::Guarded, http::Place};
use spent::Spent;
pub(crate) use spent::{Over, Taken};

/// The word of trail and metrics for a budget that is used up.
pub(crate) const OVER_BUDGET: &str = "over_budget";

/// Most uses of most people kept. The least recent is forgotten, which only gives it a fresh allowance.
const MOST: usize = 64 * 1024;

const NANOS_PER_MS: u64 = 1_000_000;

pub(crate) struct Budgets {
    kept: Cache<Key, Arc<Spent>>,
}

/// A person's use of something, whatever client they use it with.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Key {
    person: Digest,
    what: What,
}

/// [`Use`], kept.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum What {
    Request,
    Effect(Effect),
    Tool(ToolId),
}

/// What a call has taken: its places are free again, whatever becomes of it, when this is dropped.
pub(crate) struct Spending {
    of_effect: Option<Taken>,
    of_tool: Option<Taken>,
}

/// Why there is no more for now.
#[derive(Debug)]
pub(crate) struct OverBudget {
    what: What,
    over: Over,
}

/// Takes what any request costs, whatever it turns out to be.
///
/// # Errors
/// HTTP 429: its person is over their budget.
pub(crate) fn admit(gateway: &Gateway, entered: &Entered) -> Result<Option<Taken>, Reply> {
    let now = gateway.live().clock().now();
    gateway.shared.budgets.admit(entered.place(), entered.caller(), now).map_err(|over| nothing_was_done(&over))
}

/// Takes what `more` requests cost beside one that was admitted and brings them along: of all of them, or of none.
///
/// # Errors
/// HTTP 429: its person is over their budget.
pub(crate) fn admit_more(gateway: &Gateway, entered: &Entered, more: usize) -> Result<(), Reply> {
    let now = gateway.live().clock().now();
    let admitted = gateway.shared.budgets.admit_more((entered.place(), entered.caller()), more, now);
    admitted.map_err(|over| nothing_was_done(&over))
}

/// How many requests can be had together after however long a rest, if that is limited: to wait for more is in vain.
pub(crate) fn most_together(entered: &Entered) -> Option<usize> {
    let limits = of_requests(entered.place(), entered.caller());
    let most = [limits.rate.map(|rate| rate.burst), limits.per_day].into_iter().flatten().min()?;
    usize::try_from(most.get()).ok()
}

fn of_requests(place: &Place, caller: &Caller) -> Limits {
    place.snapshot().deployment.budgets.limits(caller.facts(), Use::Request)
}

fn nothing_was_done(over: &OverBudget) -> Reply {
    let sentence = format!("{}, so nothing was done", over.sentence());
    Reply::over_budget(None, &sentence, over.wait_ms(), OVER_BUDGET)
}

impl Budgets {
    pub(crate) fn new() -> Self {
        Self { kept: Cache::new(MOST) }
    }

    fn admit(&self, place: &Place, caller: &Caller, now: Millis) -> Result<Option<Taken>, OverBudget> {
        let mut taken = self.take(caller, What::Request, of_requests(place, caller), now)?;
        if let Some(taken) = &mut taken {
            taken.keep();
        }
        Ok(taken)
    }

    fn admit_more(&self, (place, caller): (&Place, &Caller), more: usize, now: Millis) -> Result<(), OverBudget> {
        // The one that brings them has a place, and they are under way in it.
        let limits = Limits { at_once: None, ..of_requests(place, caller) };
        let mut all = Vec::with_capacity(more);
        for left in (1..=more).rev() {
            // What is not kept is given back. Whoever comes again needs all of it again, with the first.
            let taken = self.take(caller, What::Request, limits, now).map_err(|over| over.with_more(left))?;
            all.extend(taken);
        }
        all.iter_mut().for_each(Taken::keep);
        Ok(())
    }

    /// Takes what a call costs.
    ///
    /// # Errors
    /// [`OverBudget`].
    pub(crate) fn spend(&self, caller: &Caller, guarded: &Guarded, now: Millis) -> Result<Spending, OverBudget> {
        let (tool, budgets) = (guarded.tool(), &guarded.snapshot().deployment.budgets);
        let (effect, id) = (tool.effect.effect, tool.id());
        let of_effect = budgets.limits(caller.facts(), Use::Effect(effect));
        let of_effect = self.take(caller, What::Effect(effect), of_effect, now)?;
        let of_tool = budgets.limits(caller.facts(), Use::Tool(id));
        let of_tool = self.take(caller, What::Tool(id.clone()), of_tool, now)?;
        Ok(Spending { of_effect, of_tool })
    }

    fn take(&self, caller: &Caller, what: What, limits: Limits, now: Millis) -> Result<Option<Taken>, OverBudget> {
        if limits.are_none() {
            return Ok(None);
        }
        let key = Key { person: caller.person(), what };
        let spent = self.spent(&key);
        match Taken::from(&spent, limits, now) {
            Ok(taken) => Ok(Some(taken)),
            Err(over) => Err(OverBudget { what: key.what, over }),
        }
    }

    fn spent(&self, key: &Key) -> Arc<Spent> {
        let Ok(spent) = self.kept.get_or_insert_with(key, || Ok::<_, Infallible>(Arc::default()));
        spent
    }
}

impl Spending {
    /// The call goes out: what it took is not given back.
    pub(crate) fn dispatched(&mut self) {
        for taken in [&mut self.of_effect, &mut self.of_tool].into_iter().flatten() {
            taken.keep();
        }
    }
}

impl OverBudget {
    /// The same, for whoever needs so many more behind the next one.
    fn with_more(self, more: usize) -> Self {
        let over = match self.over {
            Over::Rate { rate, wait_ms } => {
                let more = u64::try_from(more).unwrap_or(u64::MAX);
                let behind = rate.interval_ns().unsigned_abs().saturating_mul(more).div_ceil(NANOS_PER_MS);
                Over::Rate { rate, wait_ms: wait_ms.saturating_add(behind) }
            }
            over @ (Over::AtOnce { .. } | Over::PerDay { .. }) => over,
        };
        Self { over, ..self }
    }

    /// When there is some again, in milliseconds from now; at least one.
    pub(crate) fn wait_ms(&self) -> u64 {
        self.over.wait_ms()
    }

    /// Which limit it is, to be followed by when to come back.
    pub(crate) fn sentence(&self) -> String {
        let what = match &self.what {
            What::Request => "requests".to_owned(),
            What::Effect(effect) => format!("calls of tools whose effect is `{effect}`"),
            What::Tool(_) => "calls of this tool".to_owned(),
        };
        match self.over {
            Over::Rate { rate, .. } => {
                format!("this login is over its budget of {} {what} a {}", rate.times, rate.per.word())
            }
            Over::AtOnce { most } => format!("this login already has {most} {what} under way, which is its budget"),
            Over::PerDay { most, .. } => format!("this login has used its budget of {most} {what} a day (UTC)"),
        }
    }
}

#[cfg(test)]
impl Budgets {
    pub(crate) fn kept(&self) -> usize {
        self.kept.len()
    }
}
