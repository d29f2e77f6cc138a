//! `/login`: a local account proves its password. An unknown account, a disabled one and a wrong password get the same
//! answer in the same time; guessing slows down per account and source, and nobody is locked out.

use ambit_live::recorder::Deed;
use ambit_model::{
    ids::{AccessId, ApprovalId, UserKey},
    secret::Secret,
    source::host,
};
use ambit_store::accounts;
use askama::Template;
use axum::{
    body::Bytes,
    extract::{RawQuery, State},
    response::Response,
};
use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use serde_json::json;

use super::{
    Shared, access, approvals, break_glass, consent,
    cookie::Cookie,
    csrf::Anonymous,
    failure::Down,
    fields::Fields,
    page::{self, PageError},
    pending::Pending,
    person, redirect, reply, session,
    state::Server,
    visitor::Visitor,
};

const FORM: &str = "login";

/// In place of the id of a request: all of them.
const ALL: &str = "all";

/// In place of the id of a request: the page for emergencies.
const GLASS: &str = "break-glass";

/// In place of the id of a request: every request for access.
const ACCESS: &str = "access";

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    title: &'a str,
    /// The client that waits for the login, if one does.
    client: Option<&'a str>,
    request: Option<&'a str>,
    /// The request for an approval, or whatever else of ours the person came for.
    approval: Option<&'a str>,
    /// What that is, in words.
    purpose: &'static str,
    name: &'a str,
    problem: Option<&'a str>,
    csrf: &'a str,
}

/// `GET`: the form. Who is logged in already and was sent by nobody goes to the own clients.
pub(crate) async fn form(
    State(server): State<Shared>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let fields = Fields::parse(query.as_deref().unwrap_or("").as_bytes()).map_err(|_| PageError::NotFound)?;
    let request = fields.one("request").map_err(|_| PageError::NotFound)?;
    let approval = fields.one("approval").map_err(|_| PageError::NotFound)?;
    // Whoever decides about a call proves anew who they are.
    if request.is_none() && approval.is_none() {
        let snapshot = server.live.current();
        if session::current(&server, &snapshot, &visitor.headers).await?.is_some() {
            return Ok(reply::see_other("/clients"));
        }
    }
    let pending = waiting(&server, request).await?;
    show(&server, &visitor, Shown { pending: pending.as_ref(), request, approval, ..Shown::default() })
}

/// Where a person who came for an approval goes on to: a page of ours, whatever the form says.
fn destination(approval: &str) -> String {
    if approval == GLASS {
        return break_glass::PATH.to_owned();
    }
    if let Some(page) = access_page(approval) {
        return page;
    }
    ApprovalId::parse(approval)
        .ok()
        .filter(|id| id.as_str() != ALL)
        .map_or(approvals::PATH.to_owned(), |id| approvals::path(&id))
}

/// The page of the request for access that a person came for, or of all of them. The id of an approval has no `-`.
fn access_page(approval: &str) -> Option<String> {
    let rest = approval.strip_prefix(ACCESS)?;
    match rest.strip_prefix('-') {
        Some(id) => Some(AccessId::parse(id).map_or_else(|_| access::PATH.to_owned(), |id| crate::access::path(&id))),
        None => rest.is_empty().then(|| access::PATH.to_owned()),
    }
}

fn purpose(approval: &str) -> &'static str {
    if access_page(approval).is_some() {
        "to look at a request for access"
    } else {
        "to decide a call that waits for approval, or not to wait for one"
    }
}

/// `POST`: the password.
pub(crate) async fn submit(State(server): State<Shared>, visitor: Visitor, body: Bytes) -> Result<Response, PageError> {
    let unreadable = |_| PageError::Bad("The form could not be read.");
    let fields = Fields::of_form(&visitor.headers, &body).map_err(unreadable)?;
    Anonymous::check(&server, &visitor.headers, FORM, fields.one("csrf").map_err(unreadable)?.unwrap_or(""))?;
    let request = fields.one("request").map_err(unreadable)?;
    let approval = fields.one("approval").map_err(unreadable)?;
    let name = fields.one("name").map_err(unreadable)?.unwrap_or("").trim();
    let password = Secret::new(fields.one("password").map_err(unreadable)?.unwrap_or("").to_owned());
    let pending = waiting(&server, request).await?;
    let shown = Shown { pending: pending.as_ref(), request, approval, name, ..Shown::default() };
    match prove(&server, &visitor, name, password).await? {
        Proof::Holds(user) => {
            let onward = approval.map_or_else(|| "/clients".to_owned(), destination);
            enter(&server, &visitor, &user, (pending.as_ref().zip(request), &onward)).await
        }
        Proof::Fails => {
            let problem = "Name or password is wrong.";
            show(&server, &visitor, Shown { status: StatusCode::UNAUTHORIZED, problem: Some(problem), ..shown })
        }
        Proof::Wait(seconds) => {
            let problem = format!("Too many wrong passwords. Try again in {seconds} seconds.");
            let status = StatusCode::TOO_MANY_REQUESTS;
            let mut response = show(&server, &visitor, Shown { status, problem: Some(&problem), ..shown })?;
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            Ok(response)
        }
    }
}

enum Proof {
    Holds(UserKey),
    Fails,
    Wait(u64),
}

async fn prove(server: &Server, visitor: &Visitor, name: &str, password: Secret) -> Result<Proof, Down> {
    let snapshot = server.live.current();
    let user = UserKey::local(name).ok();
    let declared = user.clone().filter(|user| person::declared(&snapshot, user).is_some());
    let refused = |reason| server.live.recorder().refused_login(declared.as_ref(), visitor.source, reason);
    if let Err(seconds) = server.logins.admit(visitor.source) {
        refused("login_throttled");
        return Ok(Proof::Wait(seconds));
    }
    let admitted = match server.throttle.admit(name, visitor.source, server.now()) {
        Ok(admitted) => admitted,
        Err(seconds) => {
            refused("login_throttled");
            return Ok(Proof::Wait(seconds));
        }
    };
    // Looked up whether or not it is declared: the answer takes the same way for both.
    let account = match &user {
        Some(user) => accounts::find(server.live.store(), &user.subject).await?,
        None => None,
    };
    let stored = account.filter(|account| declared.is_some() && session::may_log_in(account));
    let holds = server.hashing.verify(password, stored.and_then(|account| account.password_hash)).await?;
    let Some(user) = declared.clone().filter(|_| holds) else {
        refused("login_failed");
        return Ok(Proof::Fails);
    };
    server.throttle.passed(&admitted);
    Ok(Proof::Holds(user))
}

/// Begins the session and goes on to what the person came for.
async fn enter(
    server: &Server,
    visitor: &Visitor,
    user: &UserKey,
    (pending, onward): (Option<(&Pending, &str)>, &str),
) -> Result<Response, PageError> {
    if session::is_dead(&server.live.current(), user, server.now()) {
        return Err(PageError::Refused("This account is blocked."));
    }
    let mut tx = server.live.store().begin().await?;
    let id = session::begin(server, &mut tx, &visitor.headers, user).await?;
    let (by, subject) = (format!("user {user}"), user.to_string());
    let after = json!({ "amr": ["pwd"], "source": host(visitor.source).to_string() });
    server.record(Deed { by: &by, act: "login", subject: &subject, after: Some(after), ..Deed::default() }).await?;
    tx.commit().await?;
    let mut response = match pending {
        Some((pending, request)) => reply::see_other(&consent::path(&pending.endpoint, request)),
        None => reply::see_other(onward),
    };
    Cookie::Session.set(&id, server.is_secure(), response.headers_mut());
    Ok(response)
}

/// The request that waits for this login.
async fn waiting(server: &Server, request: Option<&str>) -> Result<Option<Pending>, PageError> {
    match request {
        Some(request) => Pending::find(server.live.store(), request, server.now()).await.map(Some),
        None => Ok(None),
    }
}

#[derive(Clone, Copy)]
struct Shown<'a> {
    pending: Option<&'a Pending>,
    request: Option<&'a str>,
    approval: Option<&'a str>,
    name: &'a str,
    problem: Option<&'a str>,
    status: StatusCode,
}

impl Default for Shown<'_> {
    fn default() -> Self {
        Self { pending: None, request: None, approval: None, name: "", problem: None, status: StatusCode::OK }
    }
}

fn show(server: &Server, visitor: &Visitor, shown: Shown<'_>) -> Result<Response, PageError> {
    let browser = Anonymous::of(server, &visitor.headers)?;
    let token = browser.token(server, FORM)?;
    let page = LoginPage {
        title: "Log in",
        client: shown.pending.map(|pending| pending.client_name.as_str()),
        request: shown.request,
        approval: shown.approval,
        purpose: shown.approval.map_or("", purpose),
        name: shown.name,
        problem: shown.problem,
        csrf: &token,
    };
    // After the login a remembered consent may lead straight back to the client.
    let leads_to = shown.pending.map_or(String::new(), |pending| redirect::form_target(&pending.redirect_uri));
    let mut response = page::show_leading_to(shown.status, &page, &leads_to);
    browser.remember(server, response.headers_mut());
    Ok(response)
}
