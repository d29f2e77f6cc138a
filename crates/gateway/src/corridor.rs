//! The way of a request, stage by stage. This file only puts the stages in order; each decides in its own file.

use std::sync::Arc;

use ambit_identity::approvals::spend::note_outcome;
use ambit_live::mode::Down;
use ambit_mcp::{
    RpcError,
    era::Era,
    reply,
    strict::{Message, Request},
};
use ambit_model::event::Executed;
use axum::body::Body;
use bytes::Bytes;
use http::Method as Verb;

use crate::{
    afford::{self, Afforded},
    answer::Reply,
    approve::{self, Asking, Settled},
    authenticate::{self, Entered},
    authorize::{self, Permit},
    bodies::Part,
    budget::{self, Taken},
    discover, filter,
    finish::{self, Ended, Finish},
    flow,
    gateway::Gateway,
    guard::{self, Brought, Guarded, Refusal, Unapproved},
    http::{Arrival, Place},
    legacy, listening, own,
    parse::{self, Inbound, Method},
    progress::Wish,
    receive::receive,
    refuse,
    resolve::resolve,
    trail::{self, Closed, Opened},
    upstream::{self, Upstreams},
};

/// How often a call is judged again because what it was judged on has changed while its approval was about to be spent.
const JUDGED_ANEW: u32 = 3;

/// Takes a request through the corridor.
pub(crate) async fn pass(gateway: &Gateway, arrival: Arrival, body: Body) -> Ended<Closed<Reply>> {
    let verb = arrival.head.method.clone();
    let entered = match authenticate::authenticate(gateway, arrival).await {
        Ok(entered) => entered,
        Err(closed) => {
            parse::discard(body, parse::OF_STRANGERS).await;
            return closed.into();
        }
    };
    // Whatever it turns out to be: who only sends nonsense is slowed down like everybody.
    let place = match budget::admit(gateway, &entered) {
        Ok(place) => place,
        Err(reply) => {
            parse::discard(body, parse::OF_STRANGERS).await;
            return trail::refuse_over_budget(gateway, &entered, reply).into();
        }
    };
    match verb {
        Verb::POST => {}
        Verb::GET => return Box::pin(listening::open(gateway, entered)).await.into(),
        Verb::DELETE => return legacy::end(gateway, entered).await.into(),
        _ => return entered.refuse(gateway, Reply::method_not_allowed()).into(),
    }
    let admitted = parse::admit(&entered.head().headers, &body, &gateway.shared.settings.limits);
    let (body, part) = match receive(gateway, &entered, body, admitted).await {
        Ok(received) => received,
        Err(reply) => return entered.refuse(gateway, reply).into(),
    };
    let entered = match entered.on_current(gateway).await {
        Ok(entered) => entered,
        Err(closed) => return closed.into(),
    };
    let gateway = gateway.clone();
    let running = Arc::clone(&gateway.shared);
    finish::run(&running.running, |finish| answer(gateway, entered, (body, (part, place)), finish)).await
}

/// Everything after the body. Owns all it needs, so that it can go on without its client; what it takes of its person's
/// budget and of the room for bodies is free again at its end.
async fn answer(
    gateway: Gateway,
    entered: Entered,
    (body, _taken): (Bytes, (Part, Option<Taken>)),
    finish: Finish,
) -> Closed<Reply> {
    let limits = &gateway.shared.settings.limits;
    let read = legacy::negotiated(&gateway, &entered)
        .and_then(|negotiated| Inbound::read(&entered.head().headers, negotiated, &body, limits));
    let inbound = match read {
        Ok(inbound) => inbound,
        Err(reply) => return entered.refuse(&gateway, reply),
    };
    let (era, method) = (inbound.era(), inbound.method());
    let opened = match Opened::open(&gateway, &entered, (era, method), body.len()) {
        Ok(opened) => opened,
        Err(closed) => return closed,
    };
    if let Err(down) = guard::is_open(gateway.live().mode()) {
        return opened.close(Reply::down(down, None)).await;
    }
    let mut elicits_url = false;
    if let Era::Legacy(version) = era {
        // A legacy client that closes its connection has not cancelled its call. Everything else is answered out of memory.
        if method == Method::CallTool
            && let Err(full) = finish.whatever_happens(&entered.caller().person())
        {
            return opened.close(refuse::too_busy(full, id_of(&inbound))).await;
        }
        if method != Method::Initialize {
            match legacy::admit(&gateway, &entered, version, id_of(&inbound)) {
                Ok(offered) => elicits_url = offered,
                Err(reply) => return opened.close(reply).await,
            }
        }
    }
    match inbound.message() {
        Message::Request(request) => {
            respond(&gateway, entered, opened, (era, method, request), (&finish, elicits_url)).await
        }
        Message::Notification(_) | Message::Response(_) => opened.close(Reply::accepted()).await,
    }
}

async fn respond(
    gateway: &Gateway,
    entered: Entered,
    opened: Opened,
    (era, method, request): (Era, Method, &Request<'_>),
    (finish, elicits_url): (&Finish, bool),
) -> Closed<Reply> {
    let place = entered.place();
    let face = gateway.shared.faces.of(place);
    let reply = match (method, era) {
        (Method::CallTool, _) => {
            return call(gateway, entered, opened, (era, request), (finish, elicits_url)).await;
        }
        (Method::Listen, _) => return Box::pin(listening::subscribe(gateway, entered, opened, request)).await,
        (Method::ListTools, _) => {
            let now = gateway.live().clock().now();
            let lists = &gateway.shared.lists;
            let metrics = &gateway.shared.metrics;
            lists.answer((request.id, era), &request.params, (place, entered.caller()), (&face, metrics), now)
        }
        (Method::Discover, _) => discover::discover(request.id, &face),
        (Method::Initialize, Era::Legacy(version)) => discover::initialize(gateway, &entered, request, version, &face),
        (Method::Ping, _) => discover::ping(request.id, era, &face),
        (Method::Initialize | Method::Other | Method::OneWay | Method::EndSession | Method::OpenStream, _) => {
            let error = RpcError::method_not_found(era, &request.method);
            Reply::error(&error, Some(request.id), "no_such_method")
        }
    };
    opened.close(reply).await
}

/// `tools/call`: resolve, authorize, guard, approve, trail, upstream, filter.
async fn call(
    gateway: &Gateway,
    mut entered: Entered,
    mut opened: Opened,
    (era, request): (Era, &Request<'_>),
    (finish, session_elicits_url): (&Finish, bool),
) -> Closed<Reply> {
    let Some(name) = request.params.name.as_deref() else {
        let error = RpcError::invalid_params("`params.name` is missing: name the tool to call");
        return opened.close(Reply::error(&error, Some(request.id), "no_name")).await;
    };
    if let Some(own) = own::find(entered.place(), entered.caller(), name) {
        return Box::pin(own::call(gateway, &entered, opened, own, (era, request), finish)).await;
    }
    let mut judged_anew = 0;
    let (ready, face) = loop {
        let (on, permit) = match permit(gateway, entered, &mut opened, name, (era, request)).await {
            Ok(permitted) => permitted,
            Err(Stopped::Reply(reply)) => return opened.close(reply).await,
            Err(Stopped::Closed(closed)) => {
                opened.superseded();
                return closed;
            }
        };
        let face = gateway.shared.faces.of(on.place());
        let brought = Brought { params: &request.params, headers: &on.head().headers, era, source: on.source() };
        let (guarded, afforded) = match guard::guard(gateway, permit, &brought).await {
            Ok(guarded) => {
                opened.ruled(guarded.ruled());
                match afforded(gateway, &mut opened, &guarded, (request.id, era, &face)).await {
                    Ok(afforded) => (guarded, afforded),
                    Err(reply) => return opened.close(reply).await,
                }
            }
            Err(Refusal::Unapproved(unapproved)) => {
                opened.ruled(unapproved.guarded().ruled());
                let asking = Asking { id: request.id, era, params: &request.params, face: &face, session_elicits_url };
                match approved(gateway, &mut opened, unapproved, (&asking, finish)).await {
                    Settled::Free(guarded, afforded) => (*guarded, afforded),
                    Settled::Told(reply) => return opened.close(reply).await,
                    Settled::Moved if judged_anew < JUDGED_ANEW => {
                        judged_anew += 1;
                        entered = match Box::pin(anew(gateway, on)).await {
                            Ok(entered) => entered,
                            Err(Stopped::Reply(reply)) => return opened.close(reply).await,
                            Err(Stopped::Closed(closed)) => {
                                opened.superseded();
                                return closed;
                            }
                        };
                        opened.moved_to(&entered);
                        continue;
                    }
                    Settled::Moved => return opened.close(Reply::down(Down::Store, Some(request.id))).await,
                }
            }
            Err(refusal) => {
                if let Refusal::Ruled(_, ruled) = &refusal {
                    opened.ruled(ruled);
                }
                opened.refused();
                return opened.close(refused(refusal, (request.id, era), &face)).await;
            }
        };
        let wish = Wish::of(&brought, &guarded, finish);
        break (Ready { guarded, afforded, wish }, face);
    };
    if !ready.guarded.is_read()
        && let Err(full) = finish.whatever_happens(&ready.guarded.caller().person())
    {
        return opened.close(refuse::too_busy(full, Some(request.id))).await;
    }
    dispatch(gateway, opened, ready, (era, request, &face)).await
}

/// A call that people have to approve, with its approval or without need of one.
async fn approved(
    gateway: &Gateway,
    opened: &mut Opened,
    unapproved: Box<Unapproved>,
    (asking, finish): (&Asking<'_>, &Finish),
) -> Settled {
    let unapproved = match unapproved.under_glass(gateway.live().clock().now()) {
        Ok(guarded) => {
            return match afforded(gateway, opened, &guarded, (asking.id, asking.era, asking.face)).await {
                Ok(afforded) => Settled::Free(guarded, afforded),
                Err(reply) => Settled::Told(reply),
            };
        }
        Err(unapproved) => unapproved,
    };
    // Once its approval is spent it goes on, whatever its client does.
    if let Err(full) = finish.whatever_happens(&unapproved.guarded().caller().person()) {
        return Settled::Told(refuse::too_busy(full, Some(asking.id)));
    }
    let settled = Box::pin(approve::settle(gateway, opened, *unapproved, asking)).await;
    if let Settled::Free(guarded, _) = &settled {
        opened.ruled(guarded.ruled());
    }
    settled
}

/// What a guarded call takes to be sent now, or the answer that it is not.
async fn afforded(
    gateway: &Gateway,
    opened: &mut Opened,
    guarded: &Guarded,
    (id, era, face): (ambit_mcp::Id<'_>, Era, &reply::Server),
) -> Result<Afforded, Reply> {
    afford::afford(gateway, guarded).await.map_err(|not_now| {
        opened.refused();
        not_now.reply(id, era, face)
    })
}

/// A call that may be dispatched, and what it holds for it.
struct Ready {
    guarded: Guarded,
    afforded: Afforded,
    wish: Option<Wish>,
}

/// Everything behind the guard: what it brings is noted, the intent, the call, its outcome.
async fn dispatch(
    gateway: &Gateway,
    opened: Opened,
    ready: Ready,
    (era, request, face): (Era, &Request<'_>, &reply::Server),
) -> Closed<Reply> {
    let Ready { mut guarded, mut afforded, wish } = ready;
    let recorded = match flow::touch(gateway, &guarded).await {
        Ok(()) => opened.before_dispatch(&guarded, wish).await,
        Err(down) => Err(opened.close(Reply::down(down, Some(request.id))).await),
    };
    let spent = guarded.take_spent();
    let recorded = match recorded {
        Ok(recorded) => recorded,
        Err(closed) => {
            if let Some(spent) = spent {
                Box::pin(note_outcome(gateway.live(), &spent, Executed::No)).await;
            }
            return closed;
        }
    };
    afforded.dispatched();
    let server = guarded.tool().id().server.clone();
    let performed = upstream::call(gateway, guarded, recorded).await;
    afforded.heard(gateway, &server, &performed).await;
    if let Some(spent) = spent {
        Box::pin(note_outcome(gateway.live(), &spent, performed.note.executed)).await;
    }
    filter::filter(performed, (request.id, era), &request.params, face).await
}

/// The same request on what holds now.
async fn anew(gateway: &Gateway, entered: Entered) -> Result<Entered, Stopped> {
    let snapshot = gateway.live().refresh().await.map_err(|error| {
        tracing::warn!(%error, "a call was not dispatched: what holds now is not known");
        Stopped::Reply(Reply::down(Down::Store, None))
    })?;
    entered.on(gateway, snapshot).await.map_err(Stopped::Closed)
}

fn refused(refusal: Refusal, (id, era): (ambit_mcp::Id<'_>, Era), face: &reply::Server) -> Reply {
    match refusal {
        Refusal::Headers(error) => Reply::error(&error, Some(id), "header_mismatch"),
        Refusal::Call { sentence, result } => Reply::refused(id, era, face, &sentence, result),
        Refusal::Ruled(sentence, _) => Reply::refused(id, era, face, &sentence, "refused_by_rule"),
        Refusal::Down(down) => Reply::down(down, Some(id)),
        // Settled by the caller of this; should it get here, nothing runs without an approval.
        Refusal::Unapproved(_) => Reply::refused(id, era, face, "this call needs an approval", "approval_pending"),
    }
}

/// What ended a call before it was guarded.
enum Stopped {
    Reply(Reply),
    /// The caller is none any more; that was counted.
    Closed(Closed<Reply>),
}

/// Resolves and authorizes a call, on definitions that are fresh enough for its effect.
async fn permit(
    gateway: &Gateway,
    entered: Entered,
    opened: &mut Opened,
    name: &str,
    (era, request): (Era, &Request<'_>),
) -> Result<(Entered, Permit), Stopped> {
    let permit = judge(gateway, &entered, opened, name, (era, request)).map_err(Stopped::Reply)?;
    if !Upstreams::must_confirm(&permit) {
        return Ok((entered, permit));
    }
    let confirming = gateway.shared.upstreams.confirmed(gateway.live(), &permit);
    match Box::pin(confirming).await {
        Ok(None) => Ok((entered, permit)),
        Ok(Some(snapshot)) => {
            let entered = Box::pin(entered.on(gateway, snapshot)).await.map_err(Stopped::Closed)?;
            opened.moved_to(&entered);
            let permit = judge(gateway, &entered, opened, name, (era, request)).map_err(Stopped::Reply)?;
            Ok((entered, permit))
        }
        Err(not_fresh) => {
            let face = gateway.shared.faces.of(entered.place());
            opened.refused();
            let reply = Reply::refused(request.id, era, &face, &not_fresh.to_string(), "definition_unconfirmed");
            Err(Stopped::Reply(reply))
        }
    }
}

fn judge(
    gateway: &Gateway,
    entered: &Entered,
    opened: &mut Opened,
    name: &str,
    (era, request): (Era, &Request<'_>),
) -> Result<Permit, Reply> {
    let place: &Place = entered.place();
    let now = gateway.live().clock().now();
    match authorize::authorize(&resolve(place, name), entered.caller(), now) {
        Ok(permit) => {
            opened.judged(permit.judged());
            Ok(permit)
        }
        Err(denied) => {
            let face = gateway.shared.faces.of(place);
            let (reply, judged) = refuse::denied(denied, name, (request.id, era), (place, entered.caller()), &face);
            opened.judged(judged);
            Err(reply)
        }
    }
}

fn id_of<'a>(inbound: &Inbound<'a>) -> Option<ambit_mcp::Id<'a>> {
    match inbound.message() {
        Message::Request(request) => Some(request.id),
        Message::Notification(_) | Message::Response(_) => None,
    }
}
