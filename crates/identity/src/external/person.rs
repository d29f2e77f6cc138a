//! Whether a person stands behind a foreign token. No specification says how an issuer marks the tokens that a client got
//! for itself, so there are two answers: the marks that are known are refused always, and where configuration names a sign
//! of a person, a token without it is refused too. Only where it says outright that people are unmarked, an unmarked token
//! counts as a person's; its issuer alone decides whether that is true.

use ambit_model::{ids::ClientId, issuer::People};
use serde_json::Value;

use crate::verify::{Claims, TokenFault};

/// Whether a token is a client's own, by any of the ways issuers are known to say so: the client is its subject (RFC 9068
/// §2.2), or its subject with `@clients`, and `gty` names the grant (Auth0); `idtyp` is `app`, or the object itself is the
/// subject where people have a subject per application (Entra); the user name of a service account (Keycloak).
pub(super) fn is_of_a_client(claims: &Claims, client: &ClientId) -> Result<bool, TokenFault> {
    let subject = claims.text("sub")?;
    let bare = subject.map(|subject| subject.strip_suffix("@clients").unwrap_or(subject));
    let text = |name: &str| claims.member(name).and_then(Value::as_str);
    let is_object = text("tid").is_some() && subject.is_some() && text("oid") == subject;
    let service_account = text("preferred_username").and_then(|name| name.strip_prefix("service-account-"));
    Ok(bare == Some(client.as_str())
        || text("gty") == Some("client-credentials")
        || text("idtyp") == Some("app")
        || is_object
        || service_account.is_some_and(|of| of.eq_ignore_ascii_case(client.as_str())))
}

/// Whether a token shows the sign by which its issuer marks people.
pub(super) fn is_marked(claims: &Claims, people: &People) -> bool {
    match people {
        People::Unmarked => true,
        People::Having { claim } => claims.member(claim).is_some_and(says_something),
        People::Saying { claim, value } => match claims.member(claim) {
            Some(Value::String(said)) => said == value,
            Some(Value::Array(said)) => said.iter().any(|said| said == value.as_str()),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => false,
        },
    }
}

/// Issuers that template their claims leave empty ones behind.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is_so) => *is_so,
        Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}
