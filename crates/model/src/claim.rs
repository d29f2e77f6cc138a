//! A claim of one issuer with one value: how a grant names "everybody of this customer". Claims come from verified tokens, as
//! configuration lets policies read them; an e-mail address never grants.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    caller::UserFacts,
    ids::{InvalidId, IssuerName},
};

/// Claims that say how to reach somebody, which is not who somebody is.
const ADDRESSES: [&str; 2] = ["email", "preferred_username"];

/// A claim that a person's token must carry.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClaimMatch {
    issuer: IssuerName,
    name: String,
    value: String,
}

impl ClaimMatch {
    /// Checks the parts.
    ///
    /// # Errors
    /// [`InvalidId`] for a name or value that cannot be one, and for a claim that must not grant.
    pub fn new(issuer: IssuerName, name: &str, value: &str) -> Result<Self, InvalidId> {
        let refuse = |rule| {
            Err(InvalidId { what: "claim match", value: format!("{name}={value}").chars().take(80).collect(), rule })
        };
        let is_text = |text: &str| (1..=512).contains(&text.len()) && !text.chars().any(char::is_control);
        if !is_text(name) || name.contains('=') || !is_text(value) {
            return refuse("write `CLAIM=VALUE`, each of 1 to 512 characters without control characters");
        }
        if ADDRESSES.contains(&name) {
            return refuse("an address never grants: name a claim that says who or whose somebody is");
        }
        Ok(Self { issuer, name: name.to_owned(), value: value.to_owned() })
    }

    /// Reads `issuer:claim=value`.
    ///
    /// # Errors
    /// [`InvalidId`].
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let parts = text.split_once(':').and_then(|(issuer, rest)| Some((issuer, rest.split_once('=')?)));
        let Some((issuer, (name, value))) = parts else {
            return Err(InvalidId {
                what: "claim match",
                value: text.chars().take(80).collect(),
                rule: "write it as `ISSUER:CLAIM=VALUE`",
            });
        };
        Self::new(IssuerName::parse(issuer)?, name, value)
    }

    /// Who vouches for the claim.
    pub fn issuer(&self) -> &IssuerName {
        &self.issuer
    }

    /// The claim.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it must say.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Every match that means a person: one for each text that a claim of theirs is or lists.
    pub fn all_of(user: &UserFacts) -> impl Iterator<Item = Self> + '_ {
        let said = user.claims.iter().flat_map(|(name, claim)| texts(claim).map(move |text| (name, text)));
        said.filter_map(|(name, text)| Self::new(user.key.issuer.clone(), name, text).ok())
    }

    /// Whether a person is meant.
    pub fn fits(&self, user: &UserFacts) -> bool {
        user.key.issuer == self.issuer
            && user.claims.get(&self.name).is_some_and(|claim| texts(claim).any(|text| text == self.value))
    }
}

/// What a claim says: its text, or the texts of its list. Anything else says nothing.
fn texts(claim: &Value) -> impl Iterator<Item = &str> {
    let (one, list) = match claim {
        Value::String(text) => (Some(text.as_str()), [].as_slice()),
        Value::Array(items) => (None, items.as_slice()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => (None, [].as_slice()),
    };
    one.into_iter().chain(list.iter().filter_map(Value::as_str))
}

impl fmt::Display for ClaimMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}={}", self.issuer, self.name, self.value)
    }
}

impl TryFrom<String> for ClaimMatch {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<ClaimMatch> for String {
    fn from(claim: ClaimMatch) -> String {
        claim.to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ids::UserKey;

    fn user(issuer: &str, claim: Value) -> UserFacts {
        UserFacts {
            key: UserKey::parse(&format!("{issuer}:u")).unwrap(),
            groups: [].into(),
            claims: [("org_id".to_owned(), claim)].into(),
        }
    }

    #[test]
    fn only_the_issuer_that_vouches_and_the_exact_value_fit() {
        let acme = ClaimMatch::parse("okta:org_id=acme").unwrap();
        for (issuer, claim, fits) in [
            ("okta", json!("acme"), true),
            ("okta", json!(["other", "acme"]), true),
            ("okta", json!("Acme"), false),
            ("okta", json!("acme "), false),
            ("okta", json!({"acme": "acme"}), false),
            ("okta", json!(["acme-2", ["acme"]]), false),
            ("okta", json!(true), false),
            ("entra", json!("acme"), false),
        ] {
            let user = user(issuer, claim.clone());
            assert_eq!(acme.fits(&user), fits, "{issuer} {claim}");
            assert_eq!(ClaimMatch::all_of(&user).any(|said| said == acme), fits, "{issuer} {claim}");
        }
        assert!(!ClaimMatch::parse("okta:tenant=acme").unwrap().fits(&user("okta", json!("acme"))));
    }

    #[test]
    fn an_address_and_half_a_match_are_refused() {
        for bad in [
            "okta:email=a@acme.example",
            "okta:preferred_username=a",
            "org_id=acme",
            "okta:org_id",
            "okta:=x",
            "okta:org_id=",
        ] {
            assert!(ClaimMatch::parse(bad).is_err(), "{bad}");
        }
        let numeric = ClaimMatch::parse("okta:level=3").unwrap();
        assert!(!numeric.fits(&user("okta", json!(3))), "a number is no text");
    }
}
