//! One open stream: when it wakes, what it looks at, what it says, how it ends.
//!
//! Nothing is ever queued in it. It knows of one list, the caller's last one, and of that the digest alone.

use std::{fmt, time::Duration};

use ambit_mcp::sse;
use ambit_model::{Digest, event::RequestId, ids::Millis};
use bytes::Bytes;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{Kind, seats::Seat};
use crate::{
    answer::{Note, Reply},
    authenticate::Entered,
    gateway::Gateway,
    guard, legacy, list, stream,
    trail::Opened,
};

/// Why a stream ends, if not because its client left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// Its time is over, or that of its token.
    Over,
    /// Nothing of what was wished for is ever told.
    Nothing,
    /// The process stops.
    Stopping,
    /// Its caller is none any more, or its session is over: the reason, as a request would leave it.
    NotNow(&'static str),
}

impl End {
    fn word(self) -> &'static str {
        match self {
            Self::Over => "stream_over",
            Self::Nothing => "nothing_to_tell",
            Self::Stopping => "stopping",
            Self::NotNow(reason) => reason,
        }
    }

    /// Whether the client is told that this was in order. Whoever is nobody any more is told nothing.
    fn is_in_order(self) -> bool {
        match self {
            Self::Over | Self::Nothing | Self::Stopping => true,
            Self::NotNow(_) => false,
        }
    }
}

/// How far a stream is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Not yet on its way to the client.
    Made,
    /// Nothing was told yet.
    Begun,
    /// The client knows that it is there.
    Open,
    Ended,
}

/// What a stream woke up for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Woke {
    /// What is allowed may be something else.
    Changed,
    /// Something is due by the clock.
    Due,
    Stopping,
}

/// An open stream. Dropping it is the client's leaving.
pub(crate) struct Listening {
    gateway: Gateway,
    entered: Entered,
    kind: Kind,
    seat: Seat,
    /// The trail's name of the request that opened it.
    request: RequestId,
    stage: Stage,
    /// Every swap of the snapshot.
    published: watch::Receiver<u64>,
    /// The ends of legacy sessions.
    sessions: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    /// The caller's list when it was last looked at.
    seen: Digest,
    /// When that changes by itself.
    seen_until: Millis,
    /// When it is looked at next.
    look_at: Option<Instant>,
    /// Whether it became another one since the client was last told. It may be the old one again: the client may have asked
    /// in between.
    has_changed: bool,
    /// Not before this is it told.
    rests_until: Instant,
    speaks_at: Instant,
    ends_at: Instant,
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl Listening {
    pub(super) fn new(gateway: &Gateway, entered: Entered, kind: Kind, seat: Seat, request: RequestId) -> Self {
        let settings = &gateway.shared.settings.streams;
        // Before the list is looked at: a swap in between is heard of twice rather than not at all.
        let published = gateway.live().published();
        let sessions = gateway.shared.sessions.ends();
        let (seen, seen_until) = list::shown(entered.place(), entered.caller(), gateway.live().clock().now());
        let now = Instant::now();
        Self {
            seat,
            kind,
            request,
            published,
            sessions,
            seen,
            seen_until,
            has_changed: false,
            stopping: gateway.shared.seats.stopping(),
            stage: Stage::Made,
            look_at: Some(now),
            rests_until: now,
            speaks_at: now + settings.keep_alive,
            ends_at: now + settings.life,
            gateway: gateway.clone(),
            entered,
        }
    }

    /// It is on its way: from here on its end is recorded.
    pub(crate) fn begun(mut self) -> Self {
        self.stage = Stage::Begun;
        self
    }

    /// The next thing to tell; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        match self.stage {
            Stage::Made | Stage::Begun => {
                self.stage = Stage::Open;
                return Some(self.kind.first());
            }
            Stage::Open => {}
            Stage::Ended => return None,
        }
        if self.kind.tells_nothing() {
            return self.end(End::Nothing).await;
        }
        loop {
            let woke = self.wake().await;
            if woke == Woke::Stopping {
                return self.end(End::Stopping).await;
            }
            if let Err(end) = self.stands().await {
                return self.end(end).await;
            }
            let now = Instant::now();
            self.plan_look(woke, now);
            if self.look_at.is_some_and(|at| at <= now) {
                self.look();
            }
            let told = if self.is_to_tell(now) {
                Some(self.kind.tools_changed())
            } else {
                (self.speaks_at <= now).then_some(Bytes::from_static(sse::KEEP_ALIVE))
            };
            if told.is_some() {
                self.speaks_at = now + self.gateway.shared.settings.streams.keep_alive;
                return told;
            }
        }
    }

    async fn wake(&mut self) -> Woke {
        let clock = self.gateway.live().clock().now();
        let until = |instant: Millis| {
            let left = u64::try_from(instant.saturating_sub(clock)).unwrap_or(0);
            // What is further off is looked at again by then.
            Instant::now() + Duration::from_millis(left.min(24 * 3_600_000))
        };
        let by_clock = until(self.seen_until.min(self.entered.caller().valid_until()));
        let rested = self.has_changed.then_some(self.rests_until);
        let due = [self.look_at, rested].into_iter().flatten().fold(by_clock, Instant::min);
        let due = due.min(self.speaks_at).min(self.ends_at);
        // A sender that is gone went with the process.
        tokio::select! {
            biased;
            _ = self.stopping.wait_for(|stopping| *stopping) => Woke::Stopping,
            swapped = self.published.changed() => if swapped.is_ok() { Woke::Changed } else { Woke::Stopping },
            ended = self.sessions.changed() => if ended.is_ok() { Woke::Due } else { Woke::Stopping },
            () = sleep_until(due) => Woke::Due,
        }
    }

    /// Holds it to its caller, on what holds now.
    async fn stands(&mut self) -> Result<(), End> {
        let clock = self.gateway.live().clock().now();
        if Instant::now() >= self.ends_at || !self.entered.caller().is_valid_at(clock) {
            return Err(End::Over);
        }
        let current = self.gateway.live().current();
        self.entered.renew(&self.gateway, current).await.map_err(End::NotNow)?;
        match self.kind {
            Kind::Legacy(version, _) if !legacy::stands(&self.gateway, &self.entered, version) => {
                Err(End::NotNow("session_not_found"))
            }
            Kind::Legacy(..) | Kind::Modern(..) => Ok(()),
        }
    }

    /// Plans when to look at the list. Streams do it one after the other: each look may mean a list that nobody has asked for
    /// yet, and a swap wakes all of them at once. What comes and is gone again before its turn is not seen.
    fn plan_look(&mut self, woke: Woke, now: Instant) {
        let over = self.seen_until <= self.gateway.live().clock().now();
        if woke == Woke::Changed || over {
            self.look_at.get_or_insert_with(|| now + self.seat.turn());
        }
        if over {
            self.seen_until = Millis::MAX;
        }
    }

    fn look(&mut self) {
        self.look_at = None;
        let now = self.gateway.live().clock().now();
        let (list, until) = list::shown(self.entered.place(), self.entered.caller(), now);
        self.has_changed |= list != self.seen;
        (self.seen, self.seen_until) = (list, until);
    }

    /// Whether the client is told now that its list changed. If so, it was.
    fn is_to_tell(&mut self, now: Instant) -> bool {
        if !self.has_changed || now < self.rests_until {
            return false;
        }
        let settings = &self.gateway.shared.settings.streams;
        // What is not sure is not told: the client would be refused its list. And another stream may speak for this one.
        let tells = guard::is_open(self.gateway.live().mode()).is_ok() && self.seat.speaks();
        self.rests_until = now + if tells { settings.rest } else { settings.keep_alive };
        self.has_changed = !tells;
        tells
    }

    /// Ends it: on the record first, then for the client, if there is something to say.
    async fn end(&mut self, end: End) -> Option<Bytes> {
        self.stage = Stage::Ended;
        let last = match &self.kind {
            Kind::Modern(subscription, _) if end.is_in_order() => {
                subscription.ended(&self.gateway.shared.faces.of(self.entered.place()))
            }
            Kind::Modern(..) | Kind::Legacy(..) => Vec::new(),
        };
        let ending = Opened::end_of_stream(&self.gateway, &self.entered, self.kind.era(), self.request)?;
        let closed = ending.close(Reply::result(last, Note::of(end.word()))).await;
        stream::last_of(closed, end.word())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        match self.stage {
            Stage::Made | Stage::Ended => {}
            // Dropping the record says that the client left.
            Stage::Begun | Stage::Open => {
                drop(Opened::end_of_stream(&self.gateway, &self.entered, self.kind.era(), self.request));
            }
        }
    }
}
