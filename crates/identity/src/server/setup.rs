//! `/setup/<link>`: a one-time link lets its holder set the password of one account. The link is spent by setting it, and
//! with it every other link and every session of the account.
//!
//! The store knows a link by `Digest::of` its text. Whoever makes one shows it once and keeps nothing.

use ambit_live::recorder::Deed;
use ambit_model::{
    Digest,
    ids::{IssuerName, Subject, UserKey},
    secret::Secret,
};
use ambit_store::accounts;
use askama::Template;
use axum::{
    body::Bytes,
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;

use super::{
    Shared,
    csrf::Anonymous,
    fields::Fields,
    page::{self, Notice, PageError},
    password, session,
    state::Server,
    visitor::Visitor,
};

const FORM: &str = "setup";
const OVER: PageError = PageError::Gone("This link was used already, has expired, or never existed.");

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage<'a> {
    title: &'a str,
    account: &'a str,
    least: usize,
    link: &'a str,
    problem: Option<&'a str>,
    csrf: &'a str,
}

/// `GET`: the form.
pub(crate) async fn form(
    State(server): State<Shared>,
    Path(link): Path<String>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let account = account_of(&server, &link).await?;
    show(&server, &visitor, (&link, &account), None)
}

/// `POST`: the password.
pub(crate) async fn submit(
    State(server): State<Shared>,
    Path(link): Path<String>,
    visitor: Visitor,
    body: Bytes,
) -> Result<Response, PageError> {
    let unreadable = |_| PageError::Bad("The form could not be read.");
    let fields = Fields::of_form(&visitor.headers, &body).map_err(unreadable)?;
    Anonymous::check(&server, &visitor.headers, FORM, fields.one("csrf").map_err(unreadable)?.unwrap_or(""))?;
    let account = account_of(&server, &link).await?;
    let password = fields.one("password").map_err(unreadable)?.unwrap_or("");
    let again = fields.one("again").map_err(unreadable)?.unwrap_or("");
    if password != again {
        return show(&server, &visitor, (&link, &account), Some("The two passwords are not the same."));
    }
    if let Err(weak) = password::accept(account.as_str(), password) {
        return show(&server, &visitor, (&link, &account), Some(&format!("Choose another password: {weak}.")));
    }
    let hash = server.hashing.hash(account.to_string(), Secret::new(password.to_owned())).await?;
    let hash = hash.map_err(|_| super::failure::Down::Defect)?;
    set(&server, &link, &account, &hash).await?;
    let notice = Notice {
        title: "Password set",
        message: "Your password is set.",
        hint: "Go back to your application, or open /login to see what is connected in your name.",
    };
    Ok(notice.answer(StatusCode::OK, None))
}

async fn set(server: &Server, link: &str, account: &Subject, hash: &str) -> Result<(), PageError> {
    let now = server.now();
    let mut tx = server.live.store().begin().await?;
    let consumed = accounts::consume_link(&mut tx, &Digest::of(link.as_bytes()), now).await?;
    if consumed.as_ref() != Some(account) || !accounts::set_password(&mut tx, account, hash, now).await? {
        return Err(OVER);
    }
    let user = UserKey { issuer: IssuerName::local(), subject: account.clone() };
    session::end_all(&mut tx, &user).await?;
    let (by, subject) = (format!("user {user}"), user.to_string());
    server.record(Deed { by: &by, act: "password.set", subject: &subject, ..Deed::default() }).await?;
    Ok(tx.commit().await.map(drop)?)
}

/// Whose link this is, while it can be used. An account that configuration no longer declares has none.
async fn account_of(server: &Server, link: &str) -> Result<Subject, PageError> {
    let found = accounts::find_link(server.live.store(), &Digest::of(link.as_bytes()), server.now()).await?;
    let snapshot = server.live.current();
    found.filter(|account| snapshot.deployment.accounts.contains_key(account)).ok_or(OVER)
}

fn show(
    server: &Server,
    visitor: &Visitor,
    (link, account): (&str, &Subject),
    problem: Option<&str>,
) -> Result<Response, PageError> {
    let browser = Anonymous::of(server, &visitor.headers)?;
    let token = browser.token(server, FORM)?;
    let (title, least) = ("Choose a password", password::MIN_CHARS);
    let page = SetupPage { title, account: account.as_str(), least, link, problem, csrf: &token };
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let mut response = page::show(status, &page);
    browser.remember(server, response.headers_mut());
    Ok(response)
}
