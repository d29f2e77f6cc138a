//! The headers of a request we send upstream.
//!
//! The map is built from nothing: no header of the caller is copied, so neither its token nor its
//! cookies can reach an upstream this way.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use super::mirror::Mirrors;
use super::{METHOD, NAME, PROTOCOL_VERSION, SESSION_ID, encode_value};
use crate::era::Era;

/// What a request upstream names, besides its version.
#[derive(Clone, Copy, Debug)]
pub struct Target<'t> {
    /// The JSON-RPC method.
    pub method: &'t str,
    /// The upstream's own name of the tool, prompt, resource or task.
    pub name: Option<&'t str>,
    /// The tool's mirrored parameters with the arguments of this call.
    pub mirrored: Option<(&'t Mirrors, &'t Value)>,
    /// The legacy session we hold there. It never leaves for a modern upstream.
    pub session: Option<&'t HeaderValue>,
}

/// Accept, content type, version; modern also method, name and mirrored parameters, legacy the
/// session. A legacy `initialize` carries no version, because none is agreed yet.
pub fn build(era: Era, target: &Target<'_>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    write_accept(&mut headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    match era {
        Era::Modern => {
            headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(era.as_str()));
            insert(&mut headers, METHOD, target.method);
            if let Some(name) = target.name {
                insert(&mut headers, NAME, name);
            }
            if let Some((mirrors, arguments)) = target.mirrored {
                mirrors.write(&mut headers, arguments);
            }
        }
        Era::Legacy(version) => {
            if target.method != "initialize" {
                headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(version.as_str()));
            }
            if let Some(session) = target.session {
                headers.insert(SESSION_ID, session.clone());
            }
        }
    }
    headers
}

/// `Accept: application/json, text/event-stream`.
pub fn write_accept(headers: &mut HeaderMap) {
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
}

/// Encoded values are visible ASCII, so a header value can always be made of them.
fn insert(headers: &mut HeaderMap, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(&encode_value(value)) {
        headers.insert(name, value);
    }
}
