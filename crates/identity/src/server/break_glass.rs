//! `/break-glass`: a named person uses destructive tools for at most an hour without waiting for others, once they have just
//! proved who they are. It is loud: in the log, in the trail before it counts, and with every webhook that listens.
//!
//! Whoever is not named finds nothing here. The glass is broken for one of the person's own clients, never for an agent.

use ambit_live::{
    Snapshot,
    notices::{About, Notice, NoticeKind},
    recorder::Deed,
};
use ambit_model::{
    break_glass::MAX_BROKEN_MS,
    calendar::instant_text,
    grant::Reveal,
    ids::{ClientId, GrantId, Millis, ToolsetSlug},
};
use ambit_store::{broken_glass, families, reveals, sessions::Session};
use askama::Template;
use axum::{body::Bytes, extract::State, response::Response};
use http::StatusCode;
use serde_json::json;

use super::{
    Shared, approvals, authorization,
    code::Details,
    csrf,
    fields::{self, Fields},
    page::{self, PageError},
    person, reply, session,
    state::Server,
    visitor::Visitor,
    when,
};

const FORM: &str = "break-glass";
/// Where it is.
pub(super) const PATH: &str = "/break-glass";

/// Where a person logs in on the way here.
const LOGIN: &str = "/login?approval=break-glass";

const MINUTE_MS: Millis = 60_000;

#[derive(Template)]
#[template(path = "break_glass.html")]
struct GlassPage<'a> {
    title: &'a str,
    person: &'a str,
    clients: Vec<Choice>,
    toolsets: Vec<Choice>,
    broken: Vec<Entry>,
    csrf: String,
}

struct Choice {
    value: String,
    title: String,
}

struct Entry {
    id: String,
    toolset: String,
    client: String,
    reason: String,
    until: String,
    is_live: bool,
    review: Option<String>,
}

/// `GET /break-glass`
pub(crate) async fn look(State(server): State<Shared>, visitor: Visitor) -> Result<Response, PageError> {
    let snapshot = server.live.current();
    let Some(session) = session::current(&server, &snapshot, &visitor.headers).await? else {
        return Ok(reply::see_other(LOGIN));
    };
    if !snapshot.deployment.break_glass.names(&session.user) {
        return Err(PageError::NotFound);
    }
    if !approvals::is_fresh(&session, server.now()) {
        return Ok(reply::see_other(LOGIN));
    }
    let rule = &snapshot.deployment.break_glass;
    let toolsets = rule.toolsets.iter().filter_map(|slug| snapshot.deployment.toolsets.get(slug));
    let clients = clients(&server, &snapshot, &session).await?;
    let now = server.now();
    let own = broken_glass::list(server.live.store(), Some(&session.user)).await?;
    let broken = own.into_iter().take(20).map(|glass| {
        let record = glass.reveal;
        Entry {
            id: record.reveal.id.to_string(),
            toolset: record.reveal.toolset.to_string(),
            client: record.reveal.client.to_string(),
            reason: record.reveal.reason,
            until: when::minute(record.ended.as_ref().map_or(record.reveal.expires_at, |(_, at)| *at)),
            is_live: record.ended.is_none() && now < record.reveal.expires_at,
            review: glass.review.map(|review| format!("{} at {}", review.by, when::minute(review.at))),
        }
    });
    let page = GlassPage {
        title: "Break the glass",
        person: &person::display_name(&snapshot, &session.user),
        clients: clients.into_iter().map(|(id, title)| Choice { value: id.to_string(), title }).collect(),
        toolsets: toolsets
            .map(|toolset| Choice { value: toolset.slug.to_string(), title: toolset.title.clone() })
            .collect(),
        broken: broken.collect(),
        csrf: csrf::issue(server.live.keys(), &session.csrf, FORM, now)?,
    };
    Ok(page::show(StatusCode::OK, &page))
}

/// `POST /break-glass`
pub(crate) async fn act(State(server): State<Shared>, visitor: Visitor, body: Bytes) -> Result<Response, PageError> {
    let unreadable = |_| PageError::Bad("The form could not be read.");
    let fields = Fields::of_form(&visitor.headers, &body).map_err(unreadable)?;
    let snapshot = server.live.current();
    let Some(session) = session::current(&server, &snapshot, &visitor.headers).await? else {
        return Ok(reply::see_other(LOGIN));
    };
    csrf::check_form(&server, &session.csrf, FORM, &fields)?;
    if !snapshot.deployment.break_glass.names(&session.user) {
        return Err(PageError::NotFound);
    }
    if !approvals::is_fresh(&session, server.now()) {
        return Ok(reply::see_other(LOGIN));
    }
    match fields.one("do").map_err(unreadable)? {
        Some("break") => {
            let wish = wish(&server, &snapshot, &session, &fields).await?;
            begin(&server, &session, wish).await?;
        }
        Some("end") => {
            let id = fields.one("id").map_err(unreadable)?.and_then(|id| GrantId::parse(id).ok());
            end(&server, &session, &id.ok_or(PageError::NotFound)?).await?;
        }
        Some(_) | None => return Err(PageError::Bad("The form says neither break nor end.")),
    }
    Ok(reply::see_other(PATH))
}

/// What was wished for, if it is all there and theirs.
async fn wish(server: &Server, snapshot: &Snapshot, session: &Session, fields: &Fields) -> Result<Reveal, PageError> {
    let field = |name| {
        let text = fields.one(name).map_err(|_| PageError::Bad("The form could not be read."))?;
        Ok::<_, PageError>(text.unwrap_or("").trim())
    };
    let rule = &snapshot.deployment.break_glass;
    let toolset = ToolsetSlug::parse(field("toolset")?).ok().filter(|slug| rule.admits(&session.user, slug));
    let toolset = toolset.ok_or(PageError::Bad("Choose one of the toolsets."))?;
    let client = ClientId::parse(field("client")?).ok();
    let known = clients(server, snapshot, session).await?;
    let client = client.filter(|client| known.iter().any(|(own, _)| own == client));
    let client = client.ok_or(PageError::Bad("Choose one of your connected applications."))?;
    let minutes = field("minutes")?.parse::<Millis>().ok();
    let life = minutes.filter(|minutes| (1..=MAX_BROKEN_MS / MINUTE_MS).contains(minutes));
    let life = life.ok_or(PageError::Bad("Give a number of minutes from 1 to 60."))? * MINUTE_MS;
    let reason = fields::reason(field("reason")?);
    if reason.is_empty() {
        return Err(PageError::Bad("Say why: somebody will look at it afterwards."));
    }
    let id = crate::approvals::fresh_id(server.live.keys()).map_err(super::failure::Down::from)?;
    let now = server.now();
    Ok(Reveal {
        id: GrantId::parse(&format!("glass:{id}")).map_err(|_| PageError::Bad("Try again."))?,
        user: session.user.clone(),
        client,
        agent: None,
        toolset,
        reason,
        approved_by: None,
        starts_at: now,
        expires_at: now.saturating_add(life),
    })
}

async fn begin(server: &Server, session: &Session, reveal: Reveal) -> Result<(), PageError> {
    let actor = format!("user {}", session.user);
    let mut tx = server.live.store().begin().await?;
    reveals::insert(&mut tx, &reveal, &actor, server.now()).await?;
    broken_glass::insert(&mut tx, &reveal.id).await?;
    let after = json!({
        "toolset": reveal.toolset,
        "client": reveal.client,
        "until": instant_text(reveal.expires_at),
    });
    record(server, (&actor, "break_glass.begin"), &reveal.id, after, Some(&reveal.reason)).await?;
    let revision = tx.commit().await?;
    tracing::error!(
        user = %session.user, client = %reveal.client, toolset = %reveal.toolset, until = instant_text(reveal.expires_at),
        "the glass was broken: calls of these tools wait for nobody"
    );
    server.live.notices().tell(Notice {
        kind: NoticeKind::GlassBroken,
        at: reveal.starts_at,
        id: reveal.id.to_string(),
        about: About::Toolset {
            toolset: reveal.toolset.to_string(),
            until: reveal.expires_at,
            reason: reveal.reason.clone(),
        },
        requester: actor,
        // The page is for whoever may break it, and nobody else finds it.
        link: format!("ambit break-glass review {}", reveal.id),
    });
    see(server, revision).await;
    Ok(())
}

/// Ends one of theirs before its time. Somebody else's is answered like one that does not exist.
async fn end(server: &Server, session: &Session, id: &GrantId) -> Result<(), PageError> {
    let actor = format!("user {}", session.user);
    let mut tx = server.live.store().begin().await?;
    let found = broken_glass::find(&mut tx, id).await?.filter(|glass| glass.reveal.reveal.user == session.user);
    if found.is_none() || !reveals::end(&mut tx, id, &actor, server.now()).await? {
        return Err(PageError::NotFound);
    }
    record(server, (&actor, "break_glass.end"), id, json!({}), None).await?;
    let revision = tx.commit().await?;
    see(server, revision).await;
    Ok(())
}

/// Waits until requests here see it.
async fn see(server: &Server, revision: Option<u64>) {
    if let Some(revision) = revision
        && server.live.refresh().await.is_err()
    {
        tracing::warn!(revision, "requests here see the change a moment later");
    }
}

async fn record(
    server: &Server,
    (by, act): (&str, &str),
    id: &GrantId,
    after: serde_json::Value,
    reason: Option<&str>,
) -> Result<(), PageError> {
    let subject = format!("grant {id}");
    let deed = Deed { by, act, subject: &subject, before: None, after: Some(after), reason };
    server.live.recorder().act(deed).await.map_err(|error| {
        tracing::error!(%error, "the glass was not broken: it could not be recorded");
        PageError::Down(super::failure::Down::Trail)
    })
}

/// The applications that are connected in the person's name, each once.
async fn clients(
    server: &Server,
    snapshot: &Snapshot,
    session: &Session,
) -> Result<Vec<(ClientId, String)>, PageError> {
    let mut clients: Vec<(ClientId, String)> = Vec::new();
    for family in families::list_by_user(server.live.store(), &session.user).await? {
        if authorization::is_dead(snapshot, &family) || clients.iter().any(|(known, _)| *known == family.client) {
            continue;
        }
        let Ok(details) = serde_json::from_str::<Details>(&family.details) else { continue };
        clients.push((family.client.clone(), details.client_name));
    }
    Ok(clients)
}
