//! `/approvals/<id>`: where a call that waits for people is looked at and decided. Whoever made the call sees its status;
//! whoever may decide it sees the whole call and says yes or no, once they have just proved who they are.
//!
//! Everybody else, logged in or not, is answered as if there were no such request. A link alone opens nothing, a form without
//! its token changes nothing, and whatever the agent said is shown as its word.

use ambit_live::Snapshot;
use ambit_model::{
    approval::{Approval, Says, Stage, Via},
    event::Executed,
    ids::{ApprovalId, Millis},
    shown::plain,
};
use ambit_store::{approvals as rows, sessions::Session};
use askama::Template;
use axum::{
    body::Bytes,
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;

use super::{
    Shared, access, csrf,
    fields::Fields,
    inbox::{Entry, Inbox},
    page::{self, PageError},
    person, reply, session,
    state::Server,
    visitor::Visitor,
    when,
};
use crate::{
    approvals::{
        Ballot, Unable, VoteError, caller_text, of_person, people,
        show::{self, Differences, Shown},
        vote, waiting_for,
    },
    fresh,
};

/// Where all of them are, and what they are called.
pub(super) const PATH: &str = "/approvals";
pub(super) const TITLE: &str = "Approvals";

#[derive(Template)]
#[template(path = "approval_status.html")]
struct StatusPage<'a> {
    title: &'a str,
    tool: String,
    stage: &'static str,
    sentence: String,
    asked: String,
    id: &'a str,
}

#[derive(Template)]
#[template(path = "approval.html")]
struct DecisionPage<'a> {
    title: &'a str,
    shown: &'a Shown,
    effect: &'static str,
    who: String,
    agent: Option<String>,
    client: String,
    asked: String,
    arguments: Option<String>,
    differences: Option<&'a Differences>,
    votes: Vec<String>,
    grounds: Vec<String>,
    /// What the client and the server say of themselves.
    claimed: Option<String>,
    purpose: String,
    /// The stage in a word, and whether there is anything to decide.
    stage: &'static str,
    sentence: String,
    may_approve: bool,
    may_deny: bool,
    csrf: String,
    digest: String,
    definition: String,
}

/// `GET /approvals`: what waits for this person, and what they wait for.
pub(crate) async fn list(State(server): State<Shared>, visitor: Visitor) -> Result<Response, PageError> {
    let snapshot = server.live.current();
    let Some(session) = session::current(&server, &snapshot, &visitor.headers).await? else {
        return Ok(reply::see_other("/login?approval=all"));
    };
    let now = server.now();
    let waiting = waiting_for(&server.live, &session.user, session.auth_time).await?;
    let own = of_person(&server.live, &session.user).await?;
    let page = Inbox {
        title: TITLE,
        person: &person::display_name(&snapshot, &session.user),
        beside: (access::PATH, access::TITLE),
        waiting: waiting.iter().map(|approval| entry(&snapshot, approval, now)).collect(),
        own: own.iter().map(|approval| entry(&snapshot, approval, now)).collect(),
    };
    Ok(page::show(StatusCode::OK, &page))
}

fn entry(snapshot: &Snapshot, approval: &Approval, now: Millis) -> Entry {
    Entry {
        href: path(&approval.id),
        what: approval.tool.to_string(),
        who: who(snapshot, approval),
        stage: approval.stage.clone().at(now).as_str(),
        when: when::minute(approval.requested_at),
    }
}

/// `GET /approvals/<id>`
pub(crate) async fn look(
    State(server): State<Shared>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let id = ApprovalId::parse(&id).map_err(|_| PageError::NotFound)?;
    let snapshot = server.live.current();
    let Some(session) = session::current(&server, &snapshot, &visitor.headers).await? else {
        return Ok(log_in(&id));
    };
    let approval = rows::find(server.live.store(), &id).await?.ok_or(PageError::NotFound)?;
    if approval.user.as_ref() == Some(&session.user) {
        return Ok(status(&approval, server.now()));
    }
    let (store, since) = (server.live.store(), session.auth_time);
    people::eligible(store, &snapshot, &approval, &session.user, since).await?.ok_or(PageError::NotFound)?;
    if !is_fresh(&session, server.now()) {
        return Ok(log_in(&id));
    }
    let shown = show::show(&server.live, approval).await.map_err(down)?;
    decision(&server, &snapshot, &session, &shown)
}

/// `POST /approvals/<id>`
pub(crate) async fn decide(
    State(server): State<Shared>,
    Path(id): Path<String>,
    visitor: Visitor,
    body: Bytes,
) -> Result<Response, PageError> {
    let unreadable = |_| PageError::Bad("The form could not be read.");
    let fields = Fields::of_form(&visitor.headers, &body).map_err(unreadable)?;
    let id = ApprovalId::parse(&id).map_err(|_| PageError::NotFound)?;
    let snapshot = server.live.current();
    let Some(session) = session::current(&server, &snapshot, &visitor.headers).await? else {
        return Ok(log_in(&id));
    };
    csrf::check_form(&server, &session.csrf, &form(&id), &fields)?;
    if !is_fresh(&session, server.now()) {
        return Ok(log_in(&id));
    }
    let says = match fields.one("do").map_err(unreadable)? {
        Some("approve") => Says::Yes,
        Some("deny") => Says::No,
        Some(_) | None => return Err(PageError::Bad("The form says neither approve nor deny.")),
    };
    let reason = fields.reason().map_err(unreadable)?;
    let reason = reason.as_deref();
    let ballot = Ballot { id: &id, by: &session.user, since: session.auth_time, says, via: Via::Page, reason };
    match vote(&server.live, ballot).await {
        Ok(_) => Ok(reply::see_other(&path(&id))),
        Err(VoteError::NotFound(_)) => Err(PageError::NotFound),
        Err(VoteError::Over(_)) => Err(PageError::Gone("This request does not wait for a decision any more.")),
        Err(VoteError::Unable(error)) => Err(down(error)),
    }
}

fn down(error: Unable) -> PageError {
    PageError::Down(error.into())
}

/// Whether whoever decides has proved who they are recently.
pub(super) fn is_fresh(session: &Session, now: Millis) -> bool {
    fresh::is_fresh(session.auth_time, now)
}

fn log_in(id: &ApprovalId) -> Response {
    reply::see_other(&format!("/login?approval={id}"))
}

/// The address of a request.
pub(crate) fn path(id: &ApprovalId) -> String {
    format!("{PATH}/{id}")
}

fn form(id: &ApprovalId) -> String {
    format!("approval {id}")
}

fn who(snapshot: &Snapshot, approval: &Approval) -> String {
    plain(&match &approval.user {
        Some(user) => person::display_name(snapshot, user),
        None => caller_text(None, approval.agent.as_ref()),
    })
}

fn status(approval: &Approval, now: Millis) -> Response {
    let stage = approval.stage.clone().at(now);
    let page = StatusPage {
        title: "Your request",
        tool: approval.tool.to_string(),
        stage: stage.as_str(),
        sentence: sentence(&stage),
        asked: when::minute(approval.requested_at),
        id: approval.id.as_str(),
    };
    page::show(StatusCode::OK, &page)
}

fn decision(server: &Server, snapshot: &Snapshot, session: &Session, shown: &Shown) -> Result<Response, PageError> {
    let (approval, now) = (&shown.approval, server.now());
    let stage = approval.stage.clone().at(now);
    let votes = shown.votes.iter().map(|vote| {
        let name = person::display_name(snapshot, &vote.by.user);
        let reason = vote.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        plain(&format!("{name} said {} at {}{reason}", vote.says.as_str(), when::minute(vote.at)))
    });
    let arguments = shown.arguments_text();
    let complete = arguments.is_some();
    let page = DecisionPage {
        title: "Approve this call?",
        effect: approval.told.effect.as_str(),
        who: who(snapshot, approval),
        agent: approval.agent.as_ref().map(ToString::to_string),
        client: plain(approval.client.as_str()),
        asked: when::minute(approval.requested_at),
        arguments,
        differences: shown.differences.as_ref(),
        votes: votes.collect(),
        grounds: approval.told.grounds.iter().map(|ground| plain(ground)).collect(),
        claimed: approval.told.claimed.as_deref().map(plain),
        purpose: plain(&approval.told.purpose),
        stage: stage.as_str(),
        sentence: sentence(&stage),
        // Nobody says yes to what they were not shown.
        may_approve: complete && matches!(stage, Stage::Pending { .. }),
        may_deny: matches!(stage, Stage::Pending { .. } | Stage::Approved { .. }),
        csrf: csrf::issue(server.live.keys(), &session.csrf, &form(&approval.id), now)?,
        digest: approval.digest.to_string(),
        definition: approval.told.definition.to_string(),
        shown,
    };
    Ok(page::show(StatusCode::OK, &page))
}

fn sentence(stage: &Stage) -> String {
    match stage {
        Stage::Pending { until } => format!("It waits for a decision until {}.", when::minute(*until)),
        Stage::Approved { until, .. } => {
            format!("It is approved and can be made once, until {}.", when::minute(*until))
        }
        Stage::Denied { .. } => "An approver said no. Nothing was done.".to_owned(),
        Stage::Lapsed { .. } => {
            "It is over: nobody decided in time, or it no longer counts. Nothing was done.".to_owned()
        }
        Stage::Consumed { record, .. } => {
            format!("It was let out as record {record}. What came of it is not known yet.")
        }
        Stage::Executed { record, executed: Executed::Yes, .. } => {
            format!("It was carried out once, as record {record}.")
        }
        Stage::Executed { record, executed: Executed::Unknown, .. } => {
            format!("It was let out as record {record} and may have been carried out.")
        }
        Stage::Executed { executed: Executed::No, .. } => "It could not be sent. Nothing was done.".to_owned(),
    }
}
