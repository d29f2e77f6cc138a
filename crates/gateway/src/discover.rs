//! `server/discover` and `initialize`: who we are, before anything is asked for. The same for every caller of an endpoint.

use ambit_mcp::{
    Id, RpcError,
    era::{Era, LegacyVersion},
    headers::SESSION_ID,
    reply::{self, Server},
    strict::Request,
    upstream::capabilities,
};

use crate::{
    answer::{Note, Reply},
    authenticate::Entered,
    gateway::Gateway,
    legacy::Bound,
};

/// How long a modern client may keep what discovery says, in milliseconds.
const TTL_MS: u64 = 60_000;

/// Answers `server/discover`.
pub(crate) fn discover(id: Id<'_>, server: &Server) -> Reply {
    Reply::result(reply::discover(id, server, TTL_MS), Note::of("ok"))
}

/// Answers `initialize` and opens a session, which is nothing but a sealed id.
pub(crate) fn initialize(
    gateway: &Gateway,
    entered: &Entered,
    request: &Request<'_>,
    version: LegacyVersion,
    server: &Server,
) -> Reply {
    let id = request.id;
    let elicits_url = capabilities::elicits_url(request.params.capabilities);
    let live = gateway.live();
    let bound = Bound::new(entered.place().slug(), entered.caller(), version);
    let Some(session) =
        gateway.shared.sessions.issue(live.keys(), &bound, (entered.caller(), elicits_url), live.clock().now())
    else {
        let error = RpcError::internal("no session could be opened: try again");
        return Reply::error(&error, Some(id), "no_session");
    };
    Reply::result(reply::initialize(id, version, server), Note::of("ok")).with(SESSION_ID, session)
}

/// Answers `ping`.
pub(crate) fn ping(id: Id<'_>, era: Era, server: &Server) -> Reply {
    Reply::result(reply::empty(id, era, server), Note::of("ok"))
}
