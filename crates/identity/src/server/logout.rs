//! `/logout`: ends the browser's session. Connected applications stay connected; they are ended under `/clients`.

use ambit_live::recorder::Deed;
use askama::Template;
use axum::{body::Bytes, extract::State, response::Response};
use http::StatusCode;

use super::{
    Shared,
    cookie::Cookie,
    csrf,
    fields::Fields,
    page::{self, Notice, PageError},
    person, reply, session,
    visitor::Visitor,
};

const FORM: &str = "logout";

#[derive(Template)]
#[template(path = "logout.html")]
struct LogoutPage<'a> {
    title: &'a str,
    person: &'a str,
    csrf: &'a str,
}

/// `GET`: asks, so that a link alone logs nobody out.
pub(crate) async fn form(State(server): State<Shared>, visitor: Visitor) -> Result<Response, PageError> {
    let snapshot = server.live.current();
    let Some(session) = session::current(&server, &snapshot, &visitor.headers).await? else {
        return Ok(reply::see_other("/login"));
    };
    let token = csrf::issue(server.live.keys(), &session.csrf, FORM, server.now())?;
    let name = person::display_name(&snapshot, &session.user);
    Ok(page::show(StatusCode::OK, &LogoutPage { title: "Log out", person: &name, csrf: &token }))
}

/// `POST`: ends the session.
pub(crate) async fn submit(State(server): State<Shared>, visitor: Visitor, body: Bytes) -> Result<Response, PageError> {
    let unreadable = |_| PageError::Bad("The form could not be read.");
    let fields = Fields::of_form(&visitor.headers, &body).map_err(unreadable)?;
    let snapshot = server.live.current();
    let Some(current) = session::current(&server, &snapshot, &visitor.headers).await? else {
        return Ok(reply::see_other("/login"));
    };
    csrf::check_form(&server, &current.csrf, FORM, &fields)?;
    let mut tx = server.live.store().begin().await?;
    session::end(&server, &mut tx, &visitor.headers).await?;
    let (by, subject) = (format!("user {}", current.user), current.user.to_string());
    server.record(Deed { by: &by, act: "logout", subject: &subject, ..Deed::default() }).await?;
    tx.commit().await?;
    let notice = Notice { title: "Logged out", message: "You are logged out.", hint: "You can close this page." };
    let mut response = notice.answer(StatusCode::OK, None);
    Cookie::Session.clear(server.is_secure(), response.headers_mut());
    Ok(response)
}
