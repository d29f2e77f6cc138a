//! The signature of a message, after Standard Webhooks: `webhook-signature: v1,BASE64` over id, time and body, keyed with a
//! secret that both sides hold. The time is signed, so that an old message cannot be shown again for long.

use ambit_model::{ids::Millis, secret::Secret};
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};

/// What marks a key of this scheme.
const PREFIX: &str = "whsec_";

/// Fewest and most bytes of a key.
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Signs messages. Never printed.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

/// A secret that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no signing key: write `whsec_` and the base64 of 24 to 64 random bytes")]
pub struct InvalidKey;

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// Reads `whsec_BASE64`.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn parse(secret: &Secret) -> Result<Self, InvalidKey> {
        let text = secret.expose().strip_prefix(PREFIX).ok_or(InvalidKey)?;
        let bytes = STANDARD.decode(text).map_err(|_| InvalidKey)?;
        if !LENGTH.contains(&bytes.len()) {
            return Err(InvalidKey);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The three headers of a message. `None` if the id has characters that no header takes.
    pub(super) fn headers(&self, id: &str, now_ms: Millis, body: &[u8]) -> Option<HeaderMap> {
        let seconds = now_ms.div_euclid(1000).to_string();
        let mut context = hmac::Context::with_key(&self.0);
        for part in [id.as_bytes(), b".", seconds.as_bytes(), b".", body] {
            context.update(part);
        }
        let signature = format!("v1,{}", STANDARD.encode(context.sign()));
        let value = |text: &str| HeaderValue::from_str(text).ok();
        Some(HeaderMap::from_iter([(ID, value(id)?), (TIMESTAMP, value(&seconds)?), (SIGNATURE, value(&signature)?)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Result<SigningKey, InvalidKey> {
        SigningKey::parse(&Secret::new(text.to_owned()))
    }

    #[test]
    fn signs_the_example_of_the_specification() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let headers =
            key.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330_000, br#"{"test": 2432232314}"#).unwrap();
        assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(headers["webhook-timestamp"], "1614265330");
    }

    #[test]
    fn what_is_no_key_is_refused_and_none_is_printed() {
        for bad in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_not base64"] {
            assert_eq!(key(bad).unwrap_err(), InvalidKey, "{bad}");
        }
        assert_eq!(format!("{:?}", key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()), "SigningKey");
    }
}
