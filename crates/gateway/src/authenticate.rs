//! Stage *authenticate*: an arrival becomes an entry of somebody, out of its headers alone. Runs before the body is read;
//! whoever is nobody gets its answer from here and leaves only a count.

use std::{net::IpAddr, sync::Arc, time::Instant};

use ambit_identity::{
    authenticate::{AuthFailure, Standing},
    caller::Caller,
};
use ambit_live::Snapshot;
use http::request::Parts;

use crate::{
    answer::Reply,
    gateway::Gateway,
    http::{Arrival, Place},
    trail::{self, Closed},
};

/// A request of a verified caller at an endpoint.
pub(crate) struct Entered {
    caller: Arc<Caller>,
    head: Parts,
    place: Place,
    source: IpAddr,
    started: Instant,
}

impl Entered {
    pub(crate) fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    pub(crate) fn head(&self) -> &Parts {
        &self.head
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn source(&self) -> IpAddr {
        self.source
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Refuses it although somebody sent it: it was no message, so there is nothing to judge.
    pub(crate) fn refuse(&self, gateway: &Gateway, reply: Reply) -> Closed<Reply> {
        trail::refuse_known(gateway, self.place.slug(), self.source, reply)
    }

    /// Puts it on another snapshot, for an answer that lasts. Counted nowhere: nobody asked anything anew.
    ///
    /// # Errors
    /// Why the caller, or the endpoint, is not there any more.
    pub(crate) async fn renew(&mut self, gateway: &Gateway, snapshot: Arc<Snapshot>) -> Result<(), &'static str> {
        let place = Place::find(snapshot, self.head.uri.path()).ok_or("no_such_endpoint")?;
        self.caller = caller(gateway, &self.head, &place).await.map_err(|refusal| refusal.note.result)?;
        self.place = place;
        Ok(())
    }

    /// The same request on what holds now, if that is another snapshot: reading the body may have taken a while.
    ///
    /// # Errors
    /// A closed refusal: the caller, or the endpoint, is not there any more.
    pub(crate) async fn on_current(self, gateway: &Gateway) -> Result<Self, Closed<Reply>> {
        let current = gateway.live().current();
        if Arc::ptr_eq(&current, self.place.snapshot()) {
            return Ok(self);
        }
        Box::pin(self.on(gateway, current)).await
    }

    /// The same request on another snapshot.
    ///
    /// # Errors
    /// A closed refusal: the caller, or the endpoint, is not there any more.
    pub(crate) async fn on(self, gateway: &Gateway, snapshot: Arc<Snapshot>) -> Result<Self, Closed<Reply>> {
        let Self { head, place, source, started, .. } = self;
        let Some(place) = place.on(snapshot) else {
            let gone = Reply::empty(http::StatusCode::NOT_FOUND, "no_such_endpoint");
            return Err(trail::refuse_early(gateway, place.slug(), source, gone));
        };
        authenticate(gateway, Arrival { head, place, source, started }).await
    }
}

/// Authenticates a request.
///
/// # Errors
/// A closed refusal with its challenge.
pub(crate) async fn authenticate(gateway: &Gateway, arrival: Arrival) -> Result<Entered, Closed<Reply>> {
    let Arrival { head, place, source, started } = arrival;
    match caller(gateway, &head, &place).await {
        Ok(caller) => Ok(Entered { caller, head, place, source, started }),
        Err(refusal) => Err(trail::refuse_early(gateway, place.slug(), source, refusal)),
    }
}

async fn caller(gateway: &Gateway, head: &Parts, place: &Place) -> Result<Arc<Caller>, Reply> {
    let Some(view) = place.view() else {
        return Err(Reply::empty(http::StatusCode::NOT_FOUND, "no_such_endpoint"));
    };
    let snapshot = place.snapshot();
    let standing = Standing {
        revision: snapshot.revision,
        deployment: &snapshot.deployment,
        revocations: &snapshot.revocations,
        judge: &snapshot.judge,
    };
    let now = gateway.live().clock().now();
    let authenticator = &gateway.shared.authenticator;
    let caller = authenticator.authenticate(&head.headers, head.uri.query(), &view.endpoint, standing, now).await;
    caller.map_err(|failure: AuthFailure| Reply::of_identity(failure.response(&view.endpoint), failure.reason()))
}
