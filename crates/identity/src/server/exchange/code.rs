//! `grant_type=authorization_code`: a code is spent by being shown. Shown again, it was copied: everything that came of it
//! ends (RFC 6749 §4.1.2, RFC 9700 §2.1.1).

use ambit_model::Digest;
use ambit_store::{
    codes::{self, Consumed},
    families::{self, Family},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq as _;

use super::{Issued, access_token, record, refresh_token, still_good};
use crate::server::{
    client::prove::Proved,
    code::{self, Granted},
    failure::Down,
    fields::Fields,
    oauth_error::OAuthError,
    state::{Place, Server},
};

const OVER: &str = "the code is unknown or expired: authorize again";

pub(super) async fn exchange(
    server: &Server,
    place: &Place,
    client: &Proved,
    fields: &Fields,
) -> Result<Issued, OAuthError> {
    let code = fields.required("code")?;
    let verifier = fields.required("code_verifier")?;
    let redirect_uri = fields.required("redirect_uri")?;
    let (hash, now) = (code::hash(code), server.now());
    // Anybody can make codes up: that must not take anybody's turn to write.
    if !codes::is_known(server.live.store(), &hash).await? {
        return Err(OAuthError::invalid_grant(OVER));
    }
    let mut tx = server.live.store().begin().await?;
    let spent = match codes::consume(&mut tx, &hash, now).await? {
        Consumed::Fresh(spent) => spent,
        Consumed::Replayed { family } => return replayed(server, tx, &family).await,
        Consumed::Expired | Consumed::Unknown => return Err(OAuthError::invalid_grant(OVER)),
    };
    let granted: Granted = serde_json::from_str(&spent.payload).map_err(Down::from)?;
    if let Err(refused) = belongs(&granted, place, client, redirect_uri, verifier) {
        tx.commit().await?;
        return Err(refused);
    }
    let family = Family {
        id: spent.family,
        user: granted.user,
        client: granted.client,
        endpoint: granted.endpoint,
        toolsets: granted.toolsets.into_iter().collect(),
        details: serde_json::to_string(&granted.details).map_err(Down::from)?,
        auth_time: granted.auth_time,
        // What was revoked since the client asked reaches the family as well.
        created_at: granted.asked_at,
        last_used_at: now,
        revoked_at: None,
    };
    let user = match still_good(server, &mut tx, place, &family, &granted.details, client).await? {
        Ok(user) => user,
        Err(over) => {
            tx.commit().await?;
            return Err(OAuthError::invalid_grant(over.0));
        }
    };
    families::insert(&mut tx, &family).await?;
    let refresh_token =
        if granted.details.refreshes { Some(refresh_token(server, &mut tx, &family, 0).await?) } else { None };
    let minted = access_token(server, place, (&family, &granted.details), &user, None)?;
    record(server, "family.start", &family, Some(&minted), None).await?;
    tx.commit().await?;
    Ok(Issued { minted, refresh_token })
}

/// Whether a code was made for this request.
fn belongs(
    granted: &Granted,
    place: &Place,
    client: &Proved,
    redirect_uri: &str,
    verifier: &str,
) -> Result<(), OAuthError> {
    if granted.client != client.id || granted.endpoint != place.endpoint.slug {
        return Err(OAuthError::invalid_grant("the code was made for another client or authorization server"));
    }
    if granted.redirect_uri != redirect_uri {
        return Err(OAuthError::invalid_grant("`redirect_uri` is not the one the code was asked for with"));
    }
    if verifies(verifier, &granted.challenge) {
        Ok(())
    } else {
        Err(OAuthError::invalid_grant("`code_verifier` does not fit the challenge"))
    }
}

/// S256 (RFC 7636 §4.6).
fn verifies(verifier: &str, challenge: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let well_formed = (43..=128).contains(&verifier.len()) && verifier.bytes().all(unreserved);
    let digest = URL_SAFE_NO_PAD.encode(Digest::of(verifier.as_bytes()).0);
    well_formed && bool::from(digest.as_bytes().ct_eq(challenge.as_bytes()))
}

/// Ends the family once. A code that is shown again and again afterwards changes nothing more.
async fn replayed(server: &Server, mut tx: ambit_store::Tx, id: &str) -> Result<Issued, OAuthError> {
    const REASON: &str = "a code was shown again";
    let family = families::find(&mut tx, id).await?.filter(|family| family.revoked_at.is_none());
    if let Some(family) = family {
        families::revoke(&mut tx, id, server.now(), "ambit", REASON).await?;
        record(server, "family.revoke", &family, None, Some(REASON)).await?;
        tx.commit().await?;
        server.settle().await;
    }
    Err(OAuthError::invalid_grant("the code was used already: everything that came of it is revoked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_verifies_and_nothing_else() {
        let (verifier, challenge) =
            ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(verifies(verifier, challenge));
        assert!(!verifies("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl", challenge));
        assert!(!verifies(challenge, challenge));
        assert!(!verifies("short", &URL_SAFE_NO_PAD.encode(Digest::of(b"short").0)));
    }
}
