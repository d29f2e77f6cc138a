//! `/access/<id>`: where a person confirms that they want what a client asked for in their name, and where somebody who
//! answers for it says yes or no, once they have just proved who they are.
//!
//! Everybody else, logged in or not, is answered as if there were no such request; so is whoever could decide it before
//! the person has confirmed it. A link alone opens nothing, a form without its token changes nothing, and whatever the
//! client said is shown as its word.

use ambit_live::Snapshot;
use ambit_model::{
    Effect,
    access::{AccessRequest, AccessStage, life_text},
    approval::{Says, Via},
    ids::{AccessId, Millis, ToolsetSlug},
    shown::plain,
    tool::Acceptance,
};
use ambit_store::{access_requests as rows, sessions::Session};
use askama::Template;
use axum::{
    body::Bytes,
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;

use super::{
    Shared,
    approvals::{self, is_fresh},
    csrf,
    failure::Down,
    fields::Fields,
    inbox::{Entry, Inbox},
    page::{self, PageError},
    person, reply, session,
    state::Server,
    visitor::Visitor,
    when,
};
use crate::access::{
    self, ConfirmError, DecideError, Ruling, Unable, confirm, decide,
    people::{decider, servers_of},
    waiting_for, withdraw,
};

/// Where all of them are, and what they are called.
pub(super) const PATH: &str = "/access";
pub(super) const TITLE: &str = "Requests for access";

/// Where a person logs in on the way here.
const LOGIN: &str = "/login?approval=access";

#[derive(Template)]
#[template(path = "access_own.html")]
struct OwnPage<'a> {
    title: &'a str,
    request: &'a Details,
    /// Whether it is to be confirmed, and whether it can be withdrawn.
    may_confirm: bool,
    may_withdraw: bool,
    stage: &'static str,
    sentence: String,
    csrf: String,
}

#[derive(Template)]
#[template(path = "access_decide.html")]
struct DecidePage<'a> {
    title: &'a str,
    request: &'a Details,
    who: String,
    account: String,
    servers: Vec<Reached>,
    tools: Vec<Tool>,
    may_decide: bool,
    stage: &'static str,
    sentence: String,
    csrf: String,
}

/// What both pages say of a request.
struct Details {
    id: String,
    toolset: String,
    title: String,
    endpoint: String,
    client: String,
    assurance: String,
    agent: Option<String>,
    claimed: Option<String>,
    claim: String,
    words: Option<String>,
    life: String,
    asked: String,
    counts: Counts,
}

/// How many accepted tools of each effect there are.
#[derive(Default)]
struct Counts {
    read: usize,
    write: usize,
    destructive: usize,
}

struct Reached {
    slug: String,
    environment: String,
    data_class: String,
    owner: String,
}

struct Tool {
    id: String,
    effect: &'static str,
}

/// `GET /access`: what waits for this person, and what they wait for.
pub(crate) async fn list(State(server): State<Shared>, visitor: Visitor) -> Result<Response, PageError> {
    let snapshot = server.live.current();
    let Some(session) = session::current(&server, &snapshot, &visitor.headers).await? else {
        return Ok(reply::see_other(LOGIN));
    };
    let now = server.now();
    let waiting = waiting_for(&server.live, &session.user, session.auth_time).await?;
    let own = access::of_person(&server.live, &session.user).await?;
    let entry = |request: &AccessRequest| Entry {
        href: access::path(&request.id),
        what: title(&snapshot, &request.toolset),
        who: person::display_name(&snapshot, &request.user),
        stage: request.stage.clone().at(now).as_str(),
        when: when::minute(request.requested_at),
    };
    let page = Inbox {
        title: TITLE,
        person: &person::display_name(&snapshot, &session.user),
        beside: (approvals::PATH, approvals::TITLE),
        waiting: waiting.iter().map(entry).collect(),
        own: own.iter().map(entry).collect(),
    };
    Ok(page::show(StatusCode::OK, &page))
}

/// `GET /access/<id>`
pub(crate) async fn look(
    State(server): State<Shared>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let id = AccessId::parse(&id).map_err(|_| PageError::NotFound)?;
    let snapshot = server.live.current();
    let Some(session) = session::current(&server, &snapshot, &visitor.headers).await? else {
        return Ok(log_in(&id));
    };
    let (store, since) = (server.live.store(), session.auth_time);
    let request = rows::find(store, &id).await?.ok_or(PageError::NotFound)?;
    if request.user == session.user {
        return own(&server, &snapshot, &session, &request);
    }
    decider(store, &snapshot, &request, &session.user, since).await?.ok_or(PageError::NotFound)?;
    if !was_confirmed(&request) {
        return Err(PageError::NotFound);
    }
    if !is_fresh(&session, server.now()) {
        return Ok(log_in(&id));
    }
    decision(&server, &snapshot, &session, &request)
}

/// Whether the person ever wanted it. What only a client asked for is nobody's to see but theirs.
fn was_confirmed(request: &AccessRequest) -> bool {
    match request.stage {
        AccessStage::Waiting { .. } | AccessStage::Approved { .. } | AccessStage::Denied { .. } => true,
        AccessStage::Unconfirmed { .. } | AccessStage::Withdrawn { .. } | AccessStage::Lapsed { .. } => false,
    }
}

/// `POST /access/<id>`
pub(crate) async fn act(
    State(server): State<Shared>,
    Path(id): Path<String>,
    visitor: Visitor,
    body: Bytes,
) -> Result<Response, PageError> {
    let unreadable = |_| PageError::Bad("The form could not be read.");
    let fields = Fields::of_form(&visitor.headers, &body).map_err(unreadable)?;
    let id = AccessId::parse(&id).map_err(|_| PageError::NotFound)?;
    let snapshot = server.live.current();
    let Some(session) = session::current(&server, &snapshot, &visitor.headers).await? else {
        return Ok(log_in(&id));
    };
    csrf::check_form(&server, &session.csrf, &form(&id), &fields)?;
    let reason = fields.reason().map_err(unreadable)?;
    let reason = reason.as_deref();
    let (live, user) = (&server.live, &session.user);
    match fields.one("do").map_err(unreadable)? {
        Some("confirm") => confirm(live, &id, user, reason).await.map_err(not_confirmed)?,
        Some("withdraw") => withdraw(live, &id, user).await.map_err(not_confirmed)?,
        Some(word @ ("approve" | "deny")) => {
            if !is_fresh(&session, server.now()) {
                return Ok(log_in(&id));
            }
            let says = if word == "approve" { Says::Yes } else { Says::No };
            let ruling = Ruling { id: &id, by: user, since: session.auth_time, says, via: Via::Page, reason };
            decide(live, ruling).await.map(drop).map_err(not_decided)?;
        }
        Some(_) | None => return Err(PageError::Bad("The form does not say what to do.")),
    }
    Ok(reply::see_other(&access::path(&id)))
}

fn not_confirmed(error: ConfirmError) -> PageError {
    match error {
        ConfirmError::NotFound(_) => PageError::NotFound,
        ConfirmError::Over(_) => PageError::Gone("There is nothing to confirm or withdraw here any more."),
        ConfirmError::Nobody => {
            PageError::Refused("Nobody but you could decide this request, and nobody decides their own.")
        }
        ConfirmError::Unable(error) => down(error),
    }
}

fn not_decided(error: DecideError) -> PageError {
    match error {
        DecideError::NotFound(_) => PageError::NotFound,
        DecideError::Over(_) => PageError::Gone("This request does not wait for a decision any more."),
        DecideError::Unable(error) => down(error),
        DecideError::Moved => PageError::Down(Down::Store),
    }
}

fn down(error: Unable) -> PageError {
    PageError::Down(error.into())
}

fn log_in(id: &AccessId) -> Response {
    reply::see_other(&format!("{LOGIN}-{id}"))
}

fn form(id: &AccessId) -> String {
    format!("access {id}")
}

fn title(snapshot: &Snapshot, toolset: &ToolsetSlug) -> String {
    let title = snapshot.deployment.toolsets.get(toolset).map(|toolset| toolset.title.clone());
    title.filter(|title| !title.is_empty()).unwrap_or_else(|| toolset.to_string())
}

/// The accepted tools of a toolset.
fn tools_of(snapshot: &Snapshot, toolset: &ToolsetSlug) -> Vec<Tool> {
    let Some(toolset) = snapshot.deployment.toolsets.get(toolset) else { return Vec::new() };
    let entries = snapshot.catalogue.entries().iter();
    let accepted = entries.filter(|entry| entry.acceptance == Acceptance::Accepted);
    let tools = accepted.map(|entry| (entry.tool.id(), entry.tool.effect.effect));
    let own = tools.filter(|(id, effect)| toolset.contains(id, *effect));
    own.map(|(id, effect)| Tool { id: id.to_string(), effect: effect.as_str() }).collect()
}

fn details(snapshot: &Snapshot, request: &AccessRequest, tools: &[Tool]) -> Details {
    let mut counts = Counts::default();
    for tool in tools {
        let of = |effect: Effect| tool.effect == effect.as_str();
        counts.read += usize::from(of(Effect::Read));
        counts.write += usize::from(of(Effect::Write));
        counts.destructive += usize::from(of(Effect::Destructive));
    }
    let endpoint = snapshot.deployment.endpoint(&request.endpoint);
    Details {
        id: request.id.to_string(),
        toolset: request.toolset.to_string(),
        title: title(snapshot, &request.toolset),
        endpoint: endpoint.map_or_else(|| request.endpoint.to_string(), |endpoint| endpoint.title.clone()),
        client: plain(request.client.as_str()),
        assurance: request.told.assurance.clone(),
        agent: request.agent.as_ref().map(ToString::to_string),
        claimed: request.told.claimed.as_deref().map(plain),
        claim: request.told.reason.clone(),
        words: request.words.clone(),
        life: life_text(request.life_ms),
        asked: when::minute(request.requested_at),
        counts,
    }
}

/// The page of the person it is for.
fn own(
    server: &Server,
    snapshot: &Snapshot,
    session: &Session,
    request: &AccessRequest,
) -> Result<Response, PageError> {
    let now = server.now();
    let stage = request.stage.clone().at(now);
    let may_confirm = matches!(stage, AccessStage::Unconfirmed { .. });
    let page = OwnPage {
        title: if may_confirm { "Do you want this access?" } else { "Your request for access" },
        request: &details(snapshot, request, &tools_of(snapshot, &request.toolset)),
        may_confirm,
        may_withdraw: stage.is_open(),
        stage: stage.as_str(),
        sentence: sentence(snapshot, request, &stage, now),
        csrf: csrf::issue(server.live.keys(), &session.csrf, &form(&request.id), now)?,
    };
    Ok(page::show(StatusCode::OK, &page))
}

/// The page of somebody who may decide it.
fn decision(
    server: &Server,
    snapshot: &Snapshot,
    session: &Session,
    request: &AccessRequest,
) -> Result<Response, PageError> {
    let now = server.now();
    let stage = request.stage.clone().at(now);
    let tools = tools_of(snapshot, &request.toolset);
    let servers = servers_of(&snapshot.deployment, &request.toolset);
    let reached = servers.iter().filter_map(|slug| snapshot.deployment.servers.get(slug)).map(|server| Reached {
        slug: server.slug.to_string(),
        environment: server.governance.environment.clone(),
        data_class: server.governance.data_class.clone(),
        owner: server.governance.owner.clone(),
    });
    let page = DecidePage {
        title: "Give this access?",
        request: &details(snapshot, request, &tools),
        who: person::display_name(snapshot, &request.user),
        account: request.user.to_string(),
        servers: reached.collect(),
        tools,
        may_decide: matches!(stage, AccessStage::Waiting { .. }),
        stage: stage.as_str(),
        sentence: sentence(snapshot, request, &stage, now),
        csrf: csrf::issue(server.live.keys(), &session.csrf, &form(&request.id), now)?,
    };
    Ok(page::show(StatusCode::OK, &page))
}

/// Where it stands, for people.
fn sentence(snapshot: &Snapshot, request: &AccessRequest, stage: &AccessStage, now: Millis) -> String {
    let decided = request.decided.as_ref().map(|decided| {
        let name = person::display_name(snapshot, &decided.by);
        let reason = decided.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        (name, reason)
    });
    let (who, said) = decided.unwrap_or_else(|| ("Somebody".to_owned(), String::new()));
    match stage {
        AccessStage::Unconfirmed { until } => {
            format!("Nobody sees it until you confirm it. It is over at {}.", when::minute(*until))
        }
        AccessStage::Waiting { until, .. } => {
            format!("It waits for a decision until {}. Nothing is granted yet.", when::minute(*until))
        }
        AccessStage::Approved { at, grant } => {
            let ends = at.saturating_add(request.life_ms);
            let over = if ends <= now { " That is over." } else { "" };
            format!(
                "{who} approved it at {}{said}. The grant {grant} counts until {}, unless it is ended before.{over}",
                when::minute(*at),
                when::minute(ends)
            )
        }
        AccessStage::Denied { at } => format!("{who} denied it at {}{said}.", when::minute(*at)),
        AccessStage::Withdrawn { at } => format!("It was withdrawn at {}. Nothing was granted.", when::minute(*at)),
        AccessStage::Lapsed { .. } => {
            "It is over: it was not confirmed or decided in time, or it no longer counts. Nothing was granted."
                .to_owned()
        }
    }
}
