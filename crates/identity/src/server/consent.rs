//! `/as/<slug>/consent`: a logged-in person is asked which toolsets a client may use in their name, and says yes or no.
//!
//! A yes is remembered for the same person, client, endpoint, redirect and metadata, unless any program on the person's
//! machine could be that client. A toolset that was offered and left unticked is declined: hidden from this client until
//! the person ticks it. Nothing is granted here: a token never reaches more than the person holds.

use std::collections::BTreeSet;

use ambit_live::recorder::Deed;
use ambit_model::{
    caller::{Assurance, UserFacts},
    ids::{EndpointSlug, ToolsetSlug},
    revocation::Scope,
};
use ambit_store::{
    consents::{self, Consent, ConsentKey},
    sessions::Session,
};
use askama::Template;
use axum::{
    body::Bytes,
    extract::{Path, RawQuery, State},
    response::Response,
};
use http::StatusCode;
use serde_json::json;

use crate::admin;

use super::{
    Shared, code,
    code::Choice,
    csrf,
    failure::Down,
    fields::Fields,
    offers::{self, Offer},
    page::{self, PageError},
    pending::Pending,
    person, redirect, reply, session,
    state::{Place, Server},
    visitor::Visitor,
};

/// The page that asks about a kept request.
pub(crate) fn path(endpoint: &EndpointSlug, request: &str) -> String {
    format!("/as/{endpoint}/consent?request={request}")
}

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    title: &'a str,
    client: &'a str,
    client_host: Option<&'a str>,
    redirect: &'a str,
    warning: Option<&'a str>,
    endpoint: &'a str,
    person: &'a str,
    account: &'a str,
    offers: Vec<Line<'a>>,
    slug: &'a str,
    request: &'a str,
    csrf: &'a str,
}

#[derive(Template)]
#[template(path = "admin.html")]
struct AdminPage<'a> {
    title: &'a str,
    redirect: &'a str,
    person: &'a str,
    account: &'a str,
    roles: &'a str,
    minutes: i64,
    slug: &'a str,
    request: &'a str,
    csrf: &'a str,
}

/// A toolset with its box.
pub(crate) struct Line<'a> {
    pub(crate) offer: &'a Offer,
    pub(crate) ticked: bool,
}

/// A kept request with everything it is decided on.
struct Case {
    place: Place,
    pending: Pending,
    session: Session,
    user: UserFacts,
    before: Option<Consent>,
    offers: Vec<Offer>,
}

/// `GET`: asks.
pub(crate) async fn ask(
    State(server): State<Shared>,
    Path(slug): Path<String>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let fields = Fields::parse(query.as_deref().unwrap_or("").as_bytes()).map_err(|_| PageError::NotFound)?;
    let request = fields.required("request").map_err(|_| PageError::NotFound)?;
    let case = match case(&server, &slug, request, &visitor).await? {
        Ok(case) => case,
        Err(to_login) => return Ok(to_login),
    };
    if let Some(response) = remembered(&server, &case.place, &case.pending, &case.session).await? {
        return Ok(response);
    }
    let token = csrf::issue(server.live.keys(), &case.session.csrf, &form(request), server.now())?;
    if case.place.admin.is_some() {
        return Ok(ask_about_admin(&case, request, &token));
    }
    let lines = case.offers.iter().map(|offer| Line { offer, ticked: is_ticked(case.before.as_ref(), &offer.slug) });
    let page = ConsentPage {
        title: "Connect an application",
        client: &case.pending.client_name,
        client_host: case.pending.client_host.as_deref(),
        redirect: &case.pending.shown_redirect(),
        warning: warning(case.pending.assurance),
        endpoint: &case.place.endpoint.title,
        person: &person::display_name(&case.place.snapshot, &case.session.user),
        account: case.session.user.subject.as_str(),
        offers: lines.collect(),
        slug: &slug,
        request,
        csrf: &token,
    };
    Ok(page::show_leading_to(StatusCode::OK, &page, &redirect::form_target(&case.pending.redirect_uri)))
}

/// Asks whether the command line may act on Ambit itself.
fn ask_about_admin(case: &Case, request: &str, csrf: &str) -> Response {
    let rights = case.place.snapshot.deployment.roles.of_person(&case.session.user).unwrap_or_default();
    let roles: Vec<_> = rights.roles.iter().map(|role| role.as_str()).collect();
    let page = AdminPage {
        title: "Act on Ambit itself",
        redirect: &case.pending.shown_redirect(),
        person: &person::display_name(&case.place.snapshot, &case.session.user),
        account: case.session.user.subject.as_str(),
        roles: &roles.join(", "),
        minutes: admin::TOKEN_LIFE_MS.div_euclid(60_000),
        slug: admin::SLUG,
        request,
        csrf,
    };
    page::show_leading_to(StatusCode::OK, &page, &redirect::form_target(&case.pending.redirect_uri))
}

/// `POST`: decides.
pub(crate) async fn decide(
    State(server): State<Shared>,
    Path(slug): Path<String>,
    visitor: Visitor,
    body: Bytes,
) -> Result<Response, PageError> {
    let unreadable = |_| PageError::Bad("The form could not be read.");
    let fields = Fields::of_form(&visitor.headers, &body).map_err(unreadable)?;
    let request = fields.required("request").map_err(unreadable)?;
    let case = match case(&server, &slug, request, &visitor).await? {
        Ok(case) => case,
        Err(to_login) => return Ok(to_login),
    };
    csrf::check_form(&server, &case.session.csrf, &form(request), &fields)?;
    match fields.one("decision").map_err(unreadable)? {
        Some("allow") => {
            let ticked: BTreeSet<&str> = fields.all("toolset").collect();
            allow(&server, &case, request, &ticked).await
        }
        Some("deny") => deny(&server, &case, request).await,
        Some(_) | None => Err(PageError::Bad("The form says neither yes nor no.")),
    }
}

/// The kept request and the person who is to answer it; a way to the login if nobody is logged in, or not freshly enough.
async fn case(
    server: &Server,
    slug: &str,
    request: &str,
    visitor: &Visitor,
) -> Result<Result<Case, Response>, PageError> {
    let place = Place::of_issuer(server, slug).ok_or(PageError::NotFound)?;
    let store = server.live.store();
    let pending = Pending::find(store, request, server.now()).await?;
    if pending.endpoint != place.endpoint.slug {
        return Err(PageError::NotFound);
    }
    let session = session::current(server, &place.snapshot, &visitor.headers).await?;
    let Some(session) = session.filter(|session| pending.accepts_login_at(session.auth_time)) else {
        return Ok(Err(reply::see_other(&format!("/login?request={request}"))));
    };
    let user = person::declared(&place.snapshot, &session.user)
        .ok_or(PageError::Refused("This account may not connect applications."))?;
    if !place.admits(&session.user) {
        return Err(PageError::Refused("This account has no part in running this gateway."));
    }
    if is_dead(&place, &pending, &session) {
        return Err(PageError::Refused("This application, or this account, is blocked here."));
    }
    let before = consents::find(store, &key(&pending, &session)).await?;
    let offers = offered(&place, &pending, &user, before.as_ref(), server.now());
    Ok(Ok(Case { place, pending, session, user, before, offers }))
}

/// Answers without asking, if an earlier yes covers the request.
pub(crate) async fn remembered(
    server: &Server,
    place: &Place,
    pending: &Pending,
    session: &Session,
) -> Result<Option<Response>, Down> {
    let asks_every_time = match pending.assurance {
        Assurance::Dynamic | Assurance::CimdLoopback => true,
        Assurance::Cimd | Assurance::Confidential => pending.always_ask,
    };
    if asks_every_time || is_dead(place, pending, session) {
        return Ok(None);
    }
    let Some(user) = person::declared(&place.snapshot, &session.user) else { return Ok(None) };
    let Some(before) = consents::find(server.live.store(), &key(pending, session)).await? else { return Ok(None) };
    let offers = offered(place, pending, &user, Some(&before), server.now());
    let decided = |slug: &ToolsetSlug| before.ticked.contains(slug) || before.declined.contains(slug);
    if offers.iter().any(|offer| pending.toolsets.contains(&offer.slug) && !decided(&offer.slug)) {
        return Ok(None);
    }
    let ticked: BTreeSet<ToolsetSlug> =
        offers.iter().map(|offer| offer.slug.clone()).filter(|slug| before.ticked.contains(slug)).collect();
    // What was ticked and is not held at the moment was not declined: held again, it can be asked for.
    let offered = ticked.iter().chain(&before.declined).cloned().collect();
    let mut tx = server.live.store().begin().await?;
    let code = code::issue(server, &mut tx, pending, session, Choice { ticked, offered }).await?;
    tx.commit().await?;
    Ok(Some(reply::see_other(&pending.with_code(&code))))
}

async fn allow(server: &Server, case: &Case, request: &str, ticked: &BTreeSet<&str>) -> Result<Response, PageError> {
    let offered: BTreeSet<ToolsetSlug> = case.offers.iter().map(|offer| offer.slug.clone()).collect();
    let (ticked, declined): (BTreeSet<_>, BTreeSet<_>) =
        offered.iter().cloned().partition(|slug| ticked.contains(slug.as_str()));
    let mut tx = server.live.store().begin().await?;
    let pending = Pending::take(&mut tx, request, server.now()).await?;
    let consent = Consent {
        key: key(&pending, &case.session),
        ticked: ticked.iter().cloned().collect(),
        declined: keep_declined(case.before.as_ref(), &offered, &declined),
        decided_at: server.now(),
    };
    if case.place.admin.is_none() {
        consents::upsert(&mut tx, &consent).await?;
    }
    // What was declined before and not asked about now stays declined, also in the tokens.
    let offered = offered.into_iter().chain(consent.declined.iter().cloned()).collect();
    let code = code::issue(server, &mut tx, &pending, &case.session, Choice { ticked, offered }).await?;
    record(server, &pending, &case.user, "consent", &consent).await?;
    tx.commit().await?;
    Ok(reply::see_other(&pending.with_code(&code)))
}

async fn deny(server: &Server, case: &Case, request: &str) -> Result<Response, PageError> {
    let mut tx = server.live.store().begin().await?;
    let pending = Pending::take(&mut tx, request, server.now()).await?;
    let nothing = Consent {
        key: key(&pending, &case.session),
        ticked: Vec::new(),
        declined: Vec::new(),
        decided_at: server.now(),
    };
    record(server, &pending, &case.user, "consent.deny", &nothing).await?;
    tx.commit().await?;
    Ok(reply::see_other(&pending.with_error("access_denied", "the person said no")))
}

async fn record(
    server: &Server,
    pending: &Pending,
    user: &UserFacts,
    act: &str,
    consent: &Consent,
) -> Result<(), Down> {
    let after = json!({
        "endpoint": pending.endpoint,
        "assurance": pending.assurance.as_str(),
        "redirect": pending.registered_redirect,
        "metadata": pending.metadata_digest,
        "ticked": consent.ticked,
        "declined": consent.declined,
    });
    let (by, subject) = (format!("user {}", user.key), format!("client {}", pending.client));
    server.record(Deed { by: &by, act, subject: &subject, after: Some(after), ..Deed::default() }).await
}

/// What the person is asked about: what the client named, and what it was given before; everything held if it named nothing.
fn offered(
    place: &Place,
    pending: &Pending,
    user: &UserFacts,
    before: Option<&Consent>,
    now: ambit_model::ids::Millis,
) -> Vec<Offer> {
    let mut offers = offers::offers(&place.snapshot, &place.endpoint, user, &pending.client_facts(), now);
    if !pending.toolsets.is_empty() {
        let given = |slug: &ToolsetSlug| before.is_some_and(|before| before.ticked.contains(slug));
        offers.retain(|offer| pending.toolsets.contains(&offer.slug) || given(&offer.slug));
    }
    offers
}

fn keep_declined(
    before: Option<&Consent>,
    offered: &BTreeSet<ToolsetSlug>,
    declined: &BTreeSet<ToolsetSlug>,
) -> Vec<ToolsetSlug> {
    let earlier = before.into_iter().flat_map(|before| &before.declined).filter(|slug| !offered.contains(*slug));
    declined.iter().chain(earlier).cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

/// Boxes stand as they were left; what was never asked about is ticked, since the person holds it and the client needs it
/// to be of any use.
fn is_ticked(before: Option<&Consent>, slug: &ToolsetSlug) -> bool {
    before.is_none_or(|before| !before.declined.contains(slug))
}

fn warning(assurance: Assurance) -> Option<&'static str> {
    match assurance {
        Assurance::Confidential | Assurance::Cimd => None,
        Assurance::CimdLoopback => Some(
            "The answer goes to a program on this computer, and any program here could claim to be this application. \
             Continue only if you started it yourself just now.",
        ),
        Assurance::Dynamic => Some(
            "Nobody has checked who made this application: it chose its name itself. \
             Continue only if you started connecting it yourself just now.",
        ),
    }
}

fn is_dead(place: &Place, pending: &Pending, session: &Session) -> bool {
    let scopes = [
        Scope::Deployment,
        Scope::Endpoint(place.endpoint.slug.clone()),
        Scope::Client(pending.client.clone()),
        Scope::User(session.user.clone()),
    ];
    place.snapshot.revocations.judge(&scopes, pending.asked_at).is_some()
}

pub(crate) fn key(pending: &Pending, session: &Session) -> ConsentKey {
    ConsentKey {
        user: session.user.clone(),
        client: pending.client.clone(),
        endpoint: pending.endpoint.clone(),
        redirect_uri: pending.registered_redirect.clone(),
        metadata_digest: pending.metadata_digest,
    }
}

fn form(request: &str) -> String {
    format!("consent {request}")
}
