//! What anybody may read: each endpoint's protected resource metadata, the latest signed checkpoint of the trail, and
//! whether this node lives and serves. All of it from configuration and state; nothing from the request but its path.

use ambit_identity::resource;
use ambit_live::Mode;
use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderValue, StatusCode, Uri,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};

use crate::gateway::Gateway;

/// RFC 9728 metadata, at the path of an endpoint or, for the default one, at the root.
pub(crate) async fn protected_resource(State(gateway): State<Gateway>, uri: Uri) -> Response {
    resource::metadata(uri.path(), &gateway.live().current().deployment).into_response()
}

/// The preflight of a browser that wants to read it.
pub(crate) async fn preflight() -> Response {
    resource::preflight().into_response()
}

/// The latest checkpoint: a C2SP signed note.
pub(crate) async fn checkpoint(State(gateway): State<Gateway>) -> Response {
    let note = gateway.live().recorder().trail().checkpoint().note().to_string();
    plain(StatusCode::OK, note)
}

/// Whether this node can do its work at all. Red once the trail cannot be written.
pub(crate) async fn healthz(State(gateway): State<Gateway>) -> Response {
    if gateway.live().recorder().trail().is_writable() {
        plain(StatusCode::OK, "ok\n".to_owned())
    } else {
        plain(StatusCode::SERVICE_UNAVAILABLE, "the trail cannot be written\n".to_owned())
    }
}

/// Whether this node should get requests now.
pub(crate) async fn readyz(State(gateway): State<Gateway>) -> Response {
    match gateway.live().mode() {
        Mode::Normal => plain(StatusCode::OK, "ok\n".to_owned()),
        Mode::ReadsOnly(down) => plain(StatusCode::OK, format!("reads only: {down}\n")),
        Mode::Refuse(down) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{down}\n")),
    }
}

fn plain(status: StatusCode, text: String) -> Response {
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
