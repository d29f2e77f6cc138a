//! Streams on which clients hear that their list of tools changed: of a modern client the answer to its `subscriptions/listen`,
//! of a legacy one the `GET` of its session.
//!
//! A stream is the body of an answer: it lives in its connection, is asked for the next event when the client can take one, and
//! so holds nothing back for a client that does not read. It is held to its caller on every swap of the snapshot and says
//! nothing once that is none. What it tells is that this caller's own list is another one, and never what changed or for whom.
//!
//! Its opening is a request with an outcome, on the record before the first byte; its end is on the record under the same name.

mod seats;
mod stream;

use std::time::Duration;

use ambit_mcp::{
    RpcError,
    era::{Era, EraError, LegacyVersion},
    headers::{self, SESSION_ID},
    sse::{self, Event},
    strict::Request,
    subscription::{self, Subscription, Wanted},
};
use ambit_model::Digest;
use bytes::Bytes;
use http::HeaderMap;

use crate::{
    answer::Reply,
    authenticate::Entered,
    gateway::Gateway,
    guard, legacy,
    parse::Method,
    trail::{Closed, Opened},
};
use seats::Full;
pub(crate) use seats::Seats;
pub(crate) use stream::Listening;

/// Bounds and times of the streams to clients. The defaults are meant for production.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamSettings {
    /// Most that one person has open, through however many clients.
    pub per_person: usize,
    /// Most that are open.
    pub at_once: usize,
    /// The longest one lasts.
    pub life: Duration,
    /// How often a silent one says that it is still there. What runs out by the clock is noticed by then at the latest.
    pub keep_alive: Duration,
    /// The shortest time between two changes that are told.
    pub rest: Duration,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            per_person: 8,
            at_once: 1_024,
            life: Duration::from_hours(1),
            keep_alive: Duration::from_secs(15),
            rest: Duration::from_secs(1),
        }
    }
}

/// When whoever has too many streams is told to come back: nobody knows when one of them ends.
const COME_BACK_MS: u64 = 30_000;

/// Answers `subscriptions/listen`.
pub(crate) async fn subscribe(
    gateway: &Gateway,
    entered: Entered,
    opened: Opened,
    request: &Request<'_>,
) -> Closed<Reply> {
    let wanted = match Wanted::read(request.params.notifications) {
        Ok(wanted) => wanted,
        Err(error) => return opened.close(Reply::error(&error, Some(request.id), "bad_filter")).await,
    };
    begin(gateway, entered, opened, Kind::Modern(Subscription::of(request.id), wanted), Some(request)).await
}

/// Answers a `GET`: the stream of a legacy session. There is none in 2026-07-28, and none for whoever names neither a legacy
/// revision nor a session.
pub(crate) async fn open(gateway: &Gateway, entered: Entered) -> Closed<Reply> {
    let versions = match versions(&entered.head().headers) {
        Ok(versions) => versions,
        Err(reply) => return entered.refuse(gateway, reply),
    };
    if let Err(error) = headers::accepts_stream(&entered.head().headers) {
        return entered.refuse(gateway, Reply::error(&error, None, "not_acceptable"));
    }
    let era = Era::Legacy(versions.first().copied().unwrap_or(LegacyVersion::V2025_11_25));
    let opened = match Opened::open(gateway, &entered, (era, Method::OpenStream), 0) {
        Ok(opened) => opened,
        Err(closed) => return closed,
    };
    if let Err(down) = guard::is_open(gateway.live().mode()) {
        return opened.close(Reply::down(down, None)).await;
    }
    match legacy::session(gateway, &entered, versions) {
        Ok((version, session)) => begin(gateway, entered, opened, Kind::Legacy(version, session), None).await,
        Err(reply) => opened.close(reply).await,
    }
}

/// The legacy revisions that the session of a `GET` may be of.
fn versions(headers: &HeaderMap) -> Result<&'static [LegacyVersion], Reply> {
    let no_era = |error: &EraError| Reply::error(&error.to_rpc(), None, "no_era");
    let named = headers::protocol_version(headers).map_err(|error| no_era(&error))?;
    match named.map(|named| (named, Era::from_wire(named))) {
        Some((_, Some(Era::Legacy(LegacyVersion::V2025_06_18)))) => Ok(&[LegacyVersion::V2025_06_18]),
        Some((_, Some(Era::Legacy(LegacyVersion::V2025_11_25)))) => Ok(&[LegacyVersion::V2025_11_25]),
        // 2025-06-18 lets a client leave out the version that was negotiated.
        None if headers.contains_key(SESSION_ID) => Ok(&[LegacyVersion::V2025_11_25, LegacyVersion::V2025_06_18]),
        Some((_, Some(Era::Modern))) | None => Err(Reply::method_not_allowed()),
        Some((other, None)) => Err(no_era(&EraError::Unsupported(other.to_owned()))),
    }
}

async fn begin(
    gateway: &Gateway,
    entered: Entered,
    opened: Opened,
    kind: Kind,
    request: Option<&Request<'_>>,
) -> Closed<Reply> {
    match gateway.shared.seats.take(entered.caller().person(), kind.session()) {
        Ok(seat) => {
            let listening = Listening::new(gateway, entered, kind, seat, opened.request());
            opened.close(Reply::listening(listening)).await
        }
        Err(full) => opened.close(full.reply(gateway, request)).await,
    }
}

impl Full {
    fn reply(self, gateway: &Gateway, request: Option<&Request<'_>>) -> Reply {
        let id = request.map(|request| request.id);
        match self {
            Self::OfPerson => {
                let most = gateway.shared.settings.streams.per_person;
                let sentence =
                    format!("this login already listens on {most} streams, which is as many as one may have");
                Reply::over_budget(id, &sentence, COME_BACK_MS, "too_many_streams")
            }
            Self::OfAll => {
                let sentence = "no stream is free on this server: ask for the list of tools now and then instead";
                Reply::error(&RpcError::unavailable(sentence), id, "no_stream_free")
            }
        }
    }
}

/// Whose stream it is, in the words of its era.
enum Kind {
    Modern(Subscription, Wanted),
    /// With the name of its session.
    Legacy(LegacyVersion, Digest),
}

impl Kind {
    fn session(&self) -> Option<Digest> {
        match self {
            Self::Modern(..) => None,
            Self::Legacy(_, session) => Some(*session),
        }
    }

    fn era(&self) -> (Era, Method) {
        match self {
            Self::Modern(..) => (Era::Modern, Method::Listen),
            Self::Legacy(version, _) => (Era::Legacy(*version), Method::OpenStream),
        }
    }

    /// What a stream begins with. A legacy client waits for nothing, but what lies in between may.
    fn first(&self) -> Bytes {
        match self {
            Self::Modern(subscription, wanted) => event(&subscription.acknowledged(*wanted)),
            Self::Legacy(..) => Bytes::from_static(sse::KEEP_ALIVE),
        }
    }

    fn tools_changed(&self) -> Bytes {
        match self {
            Self::Modern(subscription, _) => event(&subscription.tools_changed()),
            Self::Legacy(..) => event(subscription::TOOLS_CHANGED),
        }
    }

    fn tells_nothing(&self) -> bool {
        matches!(self, Self::Modern(_, Wanted { tools: false }))
    }
}

fn event(message: &str) -> Bytes {
    Event::message(message).encode().into()
}
