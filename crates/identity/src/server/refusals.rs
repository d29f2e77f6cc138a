//! What refuses a machine, at the token, revocation and introspection endpoints: counted for the trail, and slowed down.
//!
//! A source whose refusals are used up is told to wait in place of the reason. Only refusals count and only they are held
//! back: whoever brings something good is served whatever its neighbours do. What proves a confidential client is another
//! matter, because a good guess is what it must not come to: after a few wrong secrets of one client from one source, the
//! next is not looked at for a while.

use std::net::IpAddr;

use ambit_model::ids::ClientId;
use http::StatusCode;

use super::{oauth_error::OAuthError, state::Server};

/// The answer to a refused request.
pub(crate) fn refuse(server: &Server, endpoint: &str, source: IpAddr, error: OAuthError) -> OAuthError {
    server.live.recorder().refused_early(endpoint, source, error.code());
    if !error.is_callers() {
        return error;
    }
    match server.refusals.admit(source) {
        Ok(()) => error,
        Err(seconds) => wait(seconds, "too many refused requests from this address: wait"),
    }
}

/// Lets the secret of a client be compared, by `compare`, which says whether it was wrong.
///
/// # Errors
/// 429 while this source has to wait; what `compare` gives.
pub(crate) async fn guarded<T>(
    server: &Server,
    client: &ClientId,
    source: IpAddr,
    compare: impl Future<Output = Result<T, OAuthError>>,
) -> Result<T, OAuthError> {
    let now = server.now();
    let tried = server
        .secrets_tried
        .look(client.as_str(), source, now)
        .map_err(|seconds| wait(seconds, "too many wrong secrets for this client: wait"))?;
    let compared = compare.await;
    match &compared {
        Ok(_) => server.secrets_tried.passed(&tried),
        Err(error) if error.is_callers() => server.secrets_tried.failed(&tried, now),
        Err(_) => {}
    }
    compared
}

fn wait(seconds: u64, description: &'static str) -> OAuthError {
    OAuthError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", description).retry_after(seconds)
}
