//! `/clients`: the applications connected in a person's name. The person changes what each may use, from its next refresh
//! on, or ends it, from the next request on.

use std::collections::BTreeSet;

use ambit_live::{Snapshot, recorder::Deed};
use ambit_model::{caller::Assurance, ids::ToolsetSlug};
use ambit_store::{
    consents::{self, Consent, ConsentKey},
    families::{self, Family},
    sessions::Session,
};
use askama::Template;
use axum::{
    body::Bytes,
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;
use serde_json::json;

use super::{
    Shared, authorization,
    code::Details,
    consent::Line,
    csrf,
    exchange::{FAMILY_LIFE_MS, REFRESH_LIFE_MS},
    failure::Down,
    fields::Fields,
    offers::{self, Offer},
    page::{self, PageError},
    person, reply, session,
    state::Server,
    visitor::Visitor,
    when,
};

#[derive(Template)]
#[template(path = "clients.html")]
struct ClientsPage<'a> {
    title: &'a str,
    person: &'a str,
    connections: Vec<Connection<'a>>,
}

struct Connection<'a> {
    family: &'a str,
    client: &'a str,
    client_id: &'a str,
    assurance: &'static str,
    endpoint: &'a str,
    began: String,
    used: String,
    lines: Vec<Line<'a>>,
    csrf: String,
}

/// A family with what it is shown with.
struct Connected {
    family: Family,
    details: Details,
    endpoint: String,
    offers: Vec<Offer>,
}

/// `GET /clients`
pub(crate) async fn list(State(server): State<Shared>, visitor: Visitor) -> Result<Response, PageError> {
    let snapshot = server.live.current();
    let Some(session) = session::current(&server, &snapshot, &visitor.headers).await? else {
        return Ok(reply::see_other("/login"));
    };
    let families = families::list_by_user(server.live.store(), &session.user).await?;
    let connected: Vec<_> = families.into_iter().filter_map(|family| connected(&server, &snapshot, family)).collect();
    let connections = connected.iter().map(|one| connection(&server, &session, one));
    let page = ClientsPage {
        title: "Connected applications",
        person: &person::display_name(&snapshot, &session.user),
        connections: connections.collect::<Result<_, _>>()?,
    };
    Ok(page::show(StatusCode::OK, &page))
}

/// `POST /clients/<family>`
pub(crate) async fn change(
    State(server): State<Shared>,
    Path(family): Path<String>,
    visitor: Visitor,
    body: Bytes,
) -> Result<Response, PageError> {
    let unreadable = |_| PageError::Bad("The form could not be read.");
    let fields = Fields::of_form(&visitor.headers, &body).map_err(unreadable)?;
    let snapshot = server.live.current();
    let Some(session) = session::current(&server, &snapshot, &visitor.headers).await? else {
        return Ok(reply::see_other("/login"));
    };
    csrf::check_form(&server, &session.csrf, &form(&family), &fields)?;
    // Somebody else's is answered like one that does not exist.
    let found = families::find(server.live.store(), &family).await?;
    let found = found.filter(|found| found.user == session.user && found.revoked_at.is_none());
    let one = found.and_then(|found| connected(&server, &snapshot, found)).ok_or(PageError::NotFound)?;
    match fields.one("do").map_err(unreadable)? {
        Some("save") => save(&server, &one, &fields.all("toolset").collect()).await?,
        Some("end") => end(&server, &one.family).await?,
        Some(_) | None => return Err(PageError::Bad("The form says neither save nor disconnect.")),
    }
    Ok(reply::see_other("/clients"))
}

/// A family that could still be refreshed. One whose details cannot be read is shown as nothing rather than as something.
fn connected(server: &Server, snapshot: &Snapshot, family: Family) -> Option<Connected> {
    let now = server.now();
    let over = family.last_used_at + REFRESH_LIFE_MS <= now || family.created_at + FAMILY_LIFE_MS <= now;
    if over || authorization::is_dead(snapshot, &family) {
        return None;
    }
    let details: Details = serde_json::from_str(&family.details).ok()?;
    let user = person::declared(snapshot, &family.user)?;
    let endpoint = snapshot.deployment.endpoint(&family.endpoint)?;
    let offers = offers::offers(snapshot, endpoint, &user, &details.client(&family.client), now);
    Some(Connected { endpoint: endpoint.title.clone(), offers, family, details })
}

fn connection<'a>(server: &Server, session: &Session, one: &'a Connected) -> Result<Connection<'a>, Down> {
    let Connected { family, details, endpoint, offers } = one;
    Ok(Connection {
        family: &family.id,
        client: &details.client_name,
        client_id: family.client.as_str(),
        assurance: match details.assurance {
            Assurance::Confidential => "set up by the people who run this gateway",
            Assurance::Cimd => "identified by its web address",
            Assurance::CimdLoopback => "a program on your computer",
            Assurance::Dynamic => "registered itself, unchecked",
        },
        endpoint,
        began: when::minute(family.created_at),
        used: when::minute(family.last_used_at),
        lines: offers.iter().map(|offer| Line { offer, ticked: family.toolsets.contains(&offer.slug) }).collect(),
        csrf: csrf::issue(server.live.keys(), &session.csrf, &form(&family.id), server.now())?,
    })
}

/// What was shown and left unticked is declined from now on.
async fn save(server: &Server, one: &Connected, ticked: &BTreeSet<&str>) -> Result<(), PageError> {
    let Connected { family, details, offers, .. } = one;
    let shown: BTreeSet<ToolsetSlug> = offers.iter().map(|offer| offer.slug.clone()).collect();
    // What cannot be shown now, because the person does not hold it at the moment, stays as it was.
    let unseen = family.toolsets.iter().filter(|slug| !shown.contains(*slug)).cloned();
    let toolsets: BTreeSet<ToolsetSlug> =
        shown.iter().filter(|slug| ticked.contains(slug.as_str())).cloned().chain(unseen).collect();
    let mut details = details.clone();
    details.offered.extend(shown);
    let declined = details.declined(&toolsets);
    let mut tx = server.live.store().begin().await?;
    let kept: Vec<_> = toolsets.iter().cloned().collect();
    if !families::update_choice(&mut tx, &family.id, &kept, &serde_json::to_string(&details)?).await? {
        return Err(PageError::NotFound);
    }
    let consent = Consent {
        key: ConsentKey {
            user: family.user.clone(),
            client: family.client.clone(),
            endpoint: family.endpoint.clone(),
            redirect_uri: details.registered_redirect.clone(),
            metadata_digest: details.metadata_digest,
        },
        ticked: kept,
        declined: declined.into_iter().collect(),
        decided_at: server.now(),
    };
    consents::upsert(&mut tx, &consent).await?;
    let (by, subject) = (format!("user {}", family.user), format!("family {}", family.id));
    let deed = Deed {
        by: &by,
        act: "family.change",
        subject: &subject,
        before: Some(json!({ "toolsets": family.toolsets })),
        after: Some(json!({ "client": family.client, "toolsets": consent.ticked, "declined": consent.declined })),
        reason: None,
    };
    server.record(deed).await?;
    tx.commit().await?;
    Ok(())
}

async fn end(server: &Server, family: &Family) -> Result<(), PageError> {
    let reason = "the person disconnected the client";
    let (by, subject) = (format!("user {}", family.user), format!("family {}", family.id));
    let mut tx = server.live.store().begin().await?;
    families::revoke(&mut tx, &family.id, server.now(), &by, reason).await?;
    consents::delete_by_client(&mut tx, &family.user, &family.client).await?;
    let after = json!({ "client": family.client, "endpoint": family.endpoint });
    let deed = Deed {
        by: &by,
        act: "family.revoke",
        subject: &subject,
        after: Some(after),
        reason: Some(reason),
        before: None,
    };
    server.record(deed).await?;
    tx.commit().await?;
    server.settle().await;
    Ok(())
}

fn form(family: &str) -> String {
    format!("clients {family}")
}
