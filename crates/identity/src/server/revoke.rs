//! `POST /as/<slug>/revoke` (RFC 7009): a client gives a token back. A refresh token ends its whole family, with every
//! access token of it; an access token ends alone. Unknown tokens and those of other clients are answered like revoked ones.

use ambit_live::recorder::Deed;
use ambit_model::{
    ids::{ClientId, IssuerName},
    revocation::Scope,
};
use ambit_store::{families, revocations};
use axum::{
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use serde_json::json;

use super::{
    Shared,
    client::prove,
    exchange::refresh_hash,
    fields::Fields,
    oauth_error::OAuthError,
    own_token, refusals, reply,
    state::{Place, Server},
    visitor::Visitor,
};

const REASON: &str = "the client gave the token back";

pub(crate) async fn revoke(
    State(server): State<Shared>,
    Path(slug): Path<String>,
    visitor: Visitor,
    body: Bytes,
) -> Response {
    let Some(place) = Place::find(&server, &slug) else { return OAuthError::not_found().into_response() };
    let answer = match answer(&server, &place, &visitor, &body).await {
        Ok(()) => reply::json(StatusCode::OK, &json!({})),
        Err(error) => refusals::refuse(&server, place.endpoint.slug.as_str(), visitor.source, error).into_response(),
    };
    reply::to_any_origin(answer)
}

async fn answer(server: &Server, place: &Place, visitor: &Visitor, body: &[u8]) -> Result<(), OAuthError> {
    let fields = Fields::of_form(&visitor.headers, body)?;
    let client = prove::client(server, place, visitor, &fields).await?;
    let token = fields.required("token")?;
    // The hint only says where to look first (RFC 7009 §2.1); both places are cheap to look at.
    let shown = families::find_by_token(server.live.store(), &refresh_hash(token)).await?;
    if let Some(shown) = shown {
        let family = shown.family;
        if family.client == client.id && family.endpoint == place.endpoint.slug && family.revoked_at.is_none() {
            end(server, &client.id, Ended::Family(family.id)).await?;
        }
        return Ok(());
    }
    let now = server.now();
    if let Some(token) = own_token::read(server, place, token, now)
        && token.client.id == client.id
    {
        let scope = Scope::ForeignToken(IssuerName::local(), token.id.clone());
        let is_dead = place.snapshot.revocations.judge([&scope], token.issued_at).is_some();
        if !is_dead {
            end(server, &client.id, Ended::Token(token.id)).await?;
        }
    }
    Ok(())
}

enum Ended {
    Family(String),
    Token(String),
}

async fn end(server: &Server, client: &ClientId, ended: Ended) -> Result<(), OAuthError> {
    let by = format!("client {client}");
    let now = server.now();
    let mut tx = server.live.store().begin().await?;
    let (act, subject) = match &ended {
        Ended::Family(id) => {
            families::revoke(&mut tx, id, now, &by, REASON).await?;
            ("family.revoke", format!("family {id}"))
        }
        Ended::Token(id) => {
            let scope = Scope::ForeignToken(IssuerName::local(), id.clone());
            let act = revocations::Act { by: &by, reason: REASON, at_ms: now };
            revocations::revoke(&mut tx, &scope, now, act).await?;
            ("token.revoke", scope.to_string())
        }
    };
    server.record(Deed { by: &by, act, subject: &subject, reason: Some(REASON), ..Deed::default() }).await?;
    tx.commit().await?;
    server.settle().await;
    Ok(())
}
