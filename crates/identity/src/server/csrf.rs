//! Form tokens: sealed with a key of this use alone, bound to the browser's secret and to the one form they stand in, and
//! old after an hour. A form without a good one changes nothing.

use ambit_live::keys::{Keys, Use};
use ambit_model::{Digest, ids::Millis};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderMap;

use super::{cookie::Cookie, failure::Down, fields::Fields, page::PageError, state::Server};

const LIFE_MS: Millis = 3_600_000;

/// A token for a form. `secret` belongs to the browser's session, `form` names the form and what it is about.
pub(crate) fn issue(keys: &Keys, secret: &[u8], form: &str, now_ms: Millis) -> Result<String, Down> {
    let sealed = keys.seal(Use::Csrf, &(now_ms + LIFE_MS).to_be_bytes(), &binding(secret, form))?;
    Ok(URL_SAFE_NO_PAD.encode(sealed))
}

/// Whether a token was made for this form and browser, within the hour.
pub(crate) fn check(keys: &Keys, secret: &[u8], form: &str, token: &str, now_ms: Millis) -> Result<(), PageError> {
    let sealed = if token.len() <= 256 { URL_SAFE_NO_PAD.decode(token).ok() } else { None };
    let until = sealed.and_then(|sealed| keys.unseal(Use::Csrf, &sealed, &binding(secret, form)));
    let until = until.and_then(|bytes| bytes.try_into().ok()).map(Millis::from_be_bytes);
    if until.is_some_and(|until| now_ms < until) { Ok(()) } else { Err(PageError::Forged) }
}

/// Checks the token of a form of somebody who is logged in.
pub(crate) fn check_form(server: &Server, secret: &[u8], form: &str, fields: &Fields) -> Result<(), PageError> {
    let token = fields.one("csrf").map_err(|_| PageError::Bad("The form could not be read."))?.unwrap_or("");
    check(server.live.keys(), secret, form, token, server.now())
}

fn binding(secret: &[u8], form: &str) -> [u8; 32] {
    Digest::of_parts([secret, form.as_bytes()]).0
}

/// The secret of a browser that nobody is logged in at: the value of a cookie, made when there is none.
pub(crate) struct Anonymous {
    pub(crate) secret: String,
    is_new: bool,
}

impl Anonymous {
    /// The browser's secret, or a new one.
    pub(crate) fn of(server: &Server, headers: &HeaderMap) -> Result<Self, Down> {
        match Cookie::Form.read(headers, server.is_secure()) {
            Some(secret) => Ok(Self { secret: secret.to_owned(), is_new: false }),
            None => Ok(Self { secret: server.secret_text()?, is_new: true }),
        }
    }

    /// Checks the token of a form that was sent; without the cookie none is good.
    pub(crate) fn check(server: &Server, headers: &HeaderMap, form: &str, token: &str) -> Result<(), PageError> {
        let secret = Cookie::Form.read(headers, server.is_secure()).ok_or(PageError::Forged)?;
        check(server.live.keys(), secret.as_bytes(), form, token, server.now())
    }

    pub(crate) fn token(&self, server: &Server, form: &str) -> Result<String, Down> {
        issue(server.live.keys(), self.secret.as_bytes(), form, server.now())
    }

    /// Leaves the secret with the browser.
    pub(crate) fn remember(&self, server: &Server, headers: &mut HeaderMap) {
        if self.is_new {
            Cookie::Form.set(&self.secret, server.is_secure(), headers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_form_browser_and_hour() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::open(dir.path()).unwrap();
        let token = issue(&keys, b"browser", "consent:1", 1000).unwrap();
        assert!(check(&keys, b"browser", "consent:1", &token, 1000).is_ok());
        for (secret, form, token, now) in [
            (b"another", "consent:1", token.as_str(), 1000),
            (b"browser", "consent:2", token.as_str(), 1000),
            (b"browser", "consent:1", token.as_str(), 1000 + LIFE_MS),
            (b"browser", "consent:1", "", 1000),
            (b"browser", "consent:1", "AAAA", 1000),
            (b"browser", "consent:1", &"A".repeat(1000), 1000),
        ] {
            assert!(check(&keys, secret, form, token, now).is_err());
        }
    }
}
