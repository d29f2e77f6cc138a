//! The key that signs checkpoints and the one that verifies them: Ed25519, in the text form of C2SP signed notes.
//!
//! The signing key has no text form and never leaves this type.

use std::{fmt, str::FromStr};

use aws_lc_rs::{
    digest,
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The signature type of plain Ed25519 in C2SP signed notes.
const ED25519_TYPE: u8 = 0x01;

/// The first four bytes of the key's hash: recognises it, proves nothing.
pub type KeyId = [u8; 4];

/// Why a text or a seed is no key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidKey {
    /// The name does not fit.
    #[error("`{0}` cannot name a key: use 1 to 200 characters without spaces, control characters or `+`")]
    Name(String),
    /// The text is not `name+id+key`.
    #[error("`{0}` is not a verifier key: expected `NAME+ID+KEY`, as `ambit audit export` prints it")]
    Form(String),
    /// The id is not that of name and key.
    #[error("the verifier key `{0}` is damaged: its id does not fit its name and key")]
    Id(String),
    /// Not a point of the curve.
    #[error("the verifier key `{0}` holds no Ed25519 public key")]
    Point(String),
    /// The seed gives no key.
    #[error("the signing key for `{0}` cannot be made from its seed")]
    Seed(String),
}

/// Signs checkpoints under a name, which is the trail's origin.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    verifying: VerifyingKey,
}

impl SigningKey {
    /// Makes the key of a 32-byte seed, under the name that stands in its signature lines.
    ///
    /// # Errors
    /// [`InvalidKey`] if the name cannot stand in a signature line.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, InvalidKey> {
        let seed_error = || InvalidKey::Seed(shorten(name));
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| seed_error())?;
        let public: [u8; 32] = pair.public_key().as_ref().try_into().map_err(|_| seed_error())?;
        let verifying = VerifyingKey::new(name, public)?;
        Ok(Self { pair, verifying })
    }

    /// The key that verifies.
    pub fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    pub(crate) fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.pair.sign(text).as_ref().to_vec()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("verifying", &self.verifying).finish_non_exhaustive()
    }
}

/// Verifies what the key of the same name signed.
#[derive(Clone)]
pub struct VerifyingKey {
    name: String,
    id: KeyId,
    public: [u8; 32],
    parsed: ParsedPublicKey,
}

impl VerifyingKey {
    fn new(name: &str, public: [u8; 32]) -> Result<Self, InvalidKey> {
        if !is_key_name(name) {
            return Err(InvalidKey::Name(shorten(name)));
        }
        let parsed = ParsedPublicKey::new(&ED25519, public).map_err(|_| InvalidKey::Point(shorten(name)))?;
        Ok(Self { name: name.to_owned(), id: key_id(name, &public), public, parsed })
    }

    /// The name in signature lines.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id in signature lines.
    pub fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(text, signature).is_ok()
    }
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.public == other.public
    }
}

impl Eq for VerifyingKey {}

/// `NAME+ID+KEY`: the id in hexadecimal, type byte and key in base64.
impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = vec![ED25519_TYPE];
        typed.extend_from_slice(&self.public);
        let id = u32::from_be_bytes(self.id);
        write!(f, "{}+{id:08x}+{}", self.name, STANDARD.encode(typed))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({self})")
    }
}

impl FromStr for VerifyingKey {
    type Err = InvalidKey;
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let form = || InvalidKey::Form(shorten(text));
        let (name, rest) = text.split_once('+').ok_or_else(form)?;
        let (id, key) = rest.split_once('+').ok_or_else(form)?;
        let typed = STANDARD.decode(key).map_err(|_| form())?;
        let public: [u8; 32] = match typed.split_first() {
            Some((&ED25519_TYPE, public)) => public.try_into().map_err(|_| form())?,
            Some(_) | None => return Err(form()),
        };
        let key = Self::new(name, public)?;
        let expected = format!("{:08x}", u32::from_be_bytes(key.id));
        if id == expected { Ok(key) } else { Err(InvalidKey::Id(shorten(text))) }
    }
}

/// `SHA-256(name || 0x0A || type || public key)[..4]`.
fn key_id(name: &str, public: &[u8; 32]) -> KeyId {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(name.as_bytes());
    context.update(&[b'\n', ED25519_TYPE]);
    context.update(public);
    let mut id = [0; 4];
    for (to, from) in id.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    id
}

/// Whether a text can name a key and be an origin line.
pub fn is_key_name(name: &str) -> bool {
    (1..=200).contains(&name.len()) && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and note of C2SP's signed-note page are Go's test vectors; this is the vector of Go's `sumdb/note`.
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn a_published_verifier_key_round_trips() {
        let key: VerifyingKey = PETER.parse().unwrap();
        assert_eq!(key.name(), "PeterNeumann");
        assert_eq!(key.to_string(), PETER);
    }

    #[test]
    fn a_damaged_verifier_key_is_refused() {
        assert!(matches!(PETER.replace("c74f20a3", "c74f20a4").parse::<VerifyingKey>(), Err(InvalidKey::Id(_))));
        assert!(matches!(PETER.replace("c74f20a3", "C74F20A3").parse::<VerifyingKey>(), Err(InvalidKey::Id(_))));
        assert!(matches!(PETER.replace("Peter", "Petra").parse::<VerifyingKey>(), Err(InvalidKey::Id(_))));
        for bad in ["", "a", "a+b", "a+00000000+", "a+00000000+AQ==", "+00000000+AQ=="] {
            assert!(bad.parse::<VerifyingKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_with_spaces_or_plus_are_refused() {
        for bad in ["", "a b", "a+b", "a\nb", &"x".repeat(201)] {
            assert!(matches!(SigningKey::from_seed(bad, &[1; 32]), Err(InvalidKey::Name(_))), "{bad}");
        }
    }

    #[test]
    fn the_signing_key_does_not_print() {
        let key = SigningKey::from_seed("example.com/trail", &[1; 32]).unwrap();
        assert!(!format!("{key:?}").contains("pair"));
    }
}
