//! Pages: rendered from templates that escape what they show, without scripts, with one stylesheet of our own.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS},
};

use super::{failure::Down, reply};

/// The stylesheet of every page.
const STYLE: &str = include_str!("../../templates/style.css");

/// `GET /as/style.css`
pub(crate) async fn style() -> Response {
    let mut response = STYLE.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Renders a page whose forms lead nowhere else.
pub(crate) fn show(status: StatusCode, page: &impl Template) -> Response {
    show_leading_to(status, page, "")
}

/// Renders a page whose forms may lead on to a CSP source.
pub(crate) fn show_leading_to(status: StatusCode, page: &impl Template, form_targets: &str) -> Response {
    match page.render() {
        Ok(body) => reply::html(status, body, form_targets),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A page that only says something.
#[derive(Template)]
#[template(path = "notice.html")]
pub(crate) struct Notice<'a> {
    pub(crate) title: &'a str,
    pub(crate) message: &'a str,
    pub(crate) hint: &'a str,
}

impl Notice<'_> {
    pub(crate) fn answer(&self, status: StatusCode, retry_after: Option<u64>) -> Response {
        let mut response = show(status, self);
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Why a page is not what was asked for.
#[derive(Debug)]
pub(crate) enum PageError {
    /// Nothing is there.
    NotFound,
    /// The request makes no sense; the sentence says what to do.
    Bad(&'static str),
    /// The form was not made by us for this browser, or is too old.
    Forged,
    /// What the page was about is over.
    Gone(&'static str),
    /// Whom it is about may not.
    Refused(&'static str),
    /// Not now.
    Down(Down),
}

impl<E: Into<Down>> From<E> for PageError {
    fn from(error: E) -> Self {
        Self::Down(error.into())
    }
}

impl axum::response::IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (status, title, message, hint) = match self {
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "Not found",
                "There is nothing at this address.",
                "Check the link you followed.",
            ),
            Self::Bad(message) => {
                (StatusCode::BAD_REQUEST, "This does not work", message, "Start again from your application.")
            }
            Self::Forged => (
                StatusCode::FORBIDDEN,
                "This form has expired",
                "The form was open for too long, or does not come from this browser.",
                "Go back, reload the page and try again. Cookies must be allowed for this site.",
            ),
            Self::Gone(message) => (StatusCode::GONE, "This is over", message, "Start again from your application."),
            Self::Refused(message) => {
                (StatusCode::FORBIDDEN, "Not possible", message, "Ask the people who run this gateway.")
            }
            Self::Down(down) => return down.page(),
        };
        Notice { title, message, hint }.answer(status, None)
    }
}
