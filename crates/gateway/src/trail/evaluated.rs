//! What is written down of questions to the decision point: one record for each, under the one request that asked them, with
//! the decision as a call's record has it. Nothing is answered before they are written.
//!
//! A client that leaves before that has learned nothing, and leaves no record.

use ambit_live::recorder::{Appended, Durability, IndexKeys, Open};
use ambit_model::event::{About as Whom, Evaluation as Evaluated, Event, VERSION};

use super::{Closed, Found, decided, unrecorded};
use crate::{
    answer::Reply,
    authenticate::Entered,
    decision::{Evaluation, in_words},
    gateway::Gateway,
};

/// The records of one request, in the making.
pub(crate) struct Evaluating {
    gateway: Gateway,
    open: Open,
    durability: Durability,
    written: Vec<Appended>,
}

impl Evaluating {
    /// Reserves their places.
    ///
    /// # Errors
    /// A closed refusal: the trail has no place; nothing is decided.
    pub(crate) fn open(gateway: &Gateway, entered: &Entered, places: usize) -> Result<Self, Closed<Reply>> {
        let places = u32::try_from(places).unwrap_or(u32::MAX);
        let open = gateway.live().recorder().open(places).map_err(|unavailable| {
            tracing::error!(%unavailable, "the trail takes no records: questions are refused");
            super::refuse_known(gateway, entered.place().slug(), entered.source(), withheld())
        })?;
        let durability = gateway.shared.settings.reads.durability();
        Ok(Self { gateway: gateway.clone(), open, durability, written: Vec::with_capacity(1) })
    }

    /// Writes one of them.
    pub(crate) fn write(&mut self, entered: &Entered, evaluation: &Evaluation) {
        let live = self.gateway.live();
        let at = live.clock().now();
        let (place, who) = (entered.place(), entered.caller().who());
        let (ruled, kept) = (evaluation.ruled.as_ref(), evaluation.kept_subject.as_deref());
        let found = evaluation
            .judged
            .as_ref()
            .map(|judged| judged.found(live.keys(), |verdict, outcome| decided((verdict, outcome), ruled, kept)));
        let Found { target, decision, asked, filler } = found.unwrap_or_default();
        let event = Event::Evaluation(Evaluated {
            v: VERSION,
            request: self.open.request(),
            at,
            endpoint: place.slug(),
            who,
            about: evaluation.about.as_ref().map(|about| Whom {
                user: about.user.as_deref().map(Into::into),
                agent: about.agent.as_deref().map(Into::into),
                client: about.client.as_deref().map(Into::into),
            }),
            action: evaluation.action.map(crate::decision::Action::method),
            target,
            asked,
            filler,
            arguments: evaluation.arguments,
            decision,
            allowed: evaluation.is_allowed(),
            result: evaluation.result,
        });
        self.gateway.shared.metrics.evaluated(evaluation.is_allowed());
        self.written.push(self.open.write(&event, at, IndexKeys::of(&event), self.durability));
    }

    /// Lets the answer go once all of them are written.
    pub(crate) async fn close(self, reply: Reply) -> Closed<Reply> {
        let Self { open, written, .. } = self;
        for written in futures_util::future::join_all(written).await {
            if let Err(error) = written {
                tracing::error!(%error, "an evaluation could not be written: its answer is withheld");
                return Closed(withheld());
            }
        }
        drop(open);
        Closed(reply)
    }
}

fn withheld() -> Reply {
    in_words(unrecorded("nothing was decided", None))
}
