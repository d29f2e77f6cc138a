use std::collections::BTreeSet;

use ambit_model::{
    caller::{Assurance, Principal, TokenScopes},
    ids::{AgentId, Millis, UserKey},
    revocation::{Dead, Scope},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::AUTHORIZATION};
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    mint::{MintError, OperatorRequest, TokenRequest, mint_for_operator},
    testing::{OWN_ISSUER, OWN_RESOURCE, Room, T0, account, deployment, fault, request, toolsets},
    token::TokenSubject,
    verify::{LEEWAY_MS, MAX_ACTORS},
};

mod forged;
mod revoked;

const MINUTE: Millis = 60_000;

fn own_claims() -> Map<String, Value> {
    let claims = json!({
        "iss": OWN_ISSUER, "aud": OWN_RESOURCE, "sub": "local:alice", "sub_profile": "user", "client_id": "c1",
        "assurance": "dynamic", "scope": "mcp toolset:read", "iat": T0 / 1000, "exp": T0 / 1000 + 600, "jti": "j1",
        "authorized_ms": T0,
    });
    claims.as_object().unwrap().clone()
}

fn with(changes: &Value) -> Vec<u8> {
    let mut claims = own_claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.remove(name);
        } else {
            claims.insert(name.clone(), value.clone());
        }
    }
    Value::Object(claims).to_string().into_bytes()
}

async fn own(room: &Room, changes: Value) -> Result<Arc<Caller>, AuthFailure> {
    let token = room.signing.sign("at+jwt", &with(&changes), T0).unwrap();
    room.at("default", &token, T0).await
}

#[tokio::test]
async fn a_minted_token_becomes_the_caller_it_was_made_for() {
    let room = Room::new(deployment());
    let minted = room.mint(request(), T0);
    assert_eq!((minted.expires_in, minted.scope.as_str()), (600, "mcp toolset:read"));
    let caller = room.at("default", &minted.token, T0).await.unwrap();
    let facts = caller.facts();
    let Principal::Person { user } = &facts.principal else { panic!("{facts:?}") };
    assert_eq!(user.key, UserKey::local("alice").unwrap());
    assert_eq!(user.groups.iter().map(ToString::to_string).collect::<Vec<_>>(), ["staff"]);
    assert_eq!(facts.scopes, TokenScopes::Toolsets(toolsets(&["read"])));
    assert_eq!(facts.declined, toolsets(&["write"]));
    assert_eq!((facts.client.id.as_str(), facts.client.assurance), ("c1", Assurance::Dynamic));
    assert_eq!((caller.issued_at(), caller.expires_at()), (T0 - 4_000, T0 + 10 * MINUTE));
    assert_eq!(caller.token_digest(), minted.record);
    let who = caller.who();
    assert_eq!((who.user.as_deref(), who.agent, &*who.client), (Some("local:alice"), None, "c1"));
    assert!(who.actors.is_empty() && caller.scopes_for_revocation().contains(&Scope::Family("f1".into())));
    let again = room.at("default", &minted.token, T0 + 1).await.unwrap();
    assert!(Arc::ptr_eq(&caller, &again), "the second time it is remembered");
}

#[tokio::test]
async fn an_agents_token_names_the_agent_and_ends_with_it() {
    let room = Room::new(deployment());
    let bot = AgentId::parse("bot").unwrap();
    let alice = UserKey::local("alice").unwrap();
    let delegated = TokenSubject::Delegated { user: alice.clone(), agent: bot.clone() };
    let token = room.mint(TokenRequest { subject: delegated, ..request() }, T0).token;
    let caller = room.at("default", &token, T0).await.unwrap();
    assert!(
        matches!(&caller.facts().principal, Principal::Delegated { user, agent } if user.key == alice && agent.owner == alice)
    );
    assert_eq!(caller.actors(), ["bot"]);
    let alone = room.mint(TokenRequest { subject: TokenSubject::Agent(bot), ..request() }, T0).token;
    let caller = room.at("default", &alone, T0).await.unwrap();
    assert!(matches!(caller.facts().principal, Principal::Agent { .. }) && caller.actors().is_empty());
    assert_eq!(caller.who().user, None);
    let late = T0 + 60 * MINUTE;
    let fresh = room.mint(
        TokenRequest { subject: TokenSubject::Agent(AgentId::parse("bot").unwrap()), ..request() },
        late - MINUTE,
    );
    assert!(room.at("default", &fresh.token, late - 1).await.is_ok());
    let remembered = room.at("default", &fresh.token, late).await;
    assert_eq!(fault(&remembered), TokenFault::AgentExpired);
}

#[tokio::test]
async fn an_operators_token_says_so_and_needs_the_switch() {
    let mut room = Room::new(deployment());
    let ask = OperatorRequest {
        operator: "root".into(),
        user: UserKey::local("alice").unwrap(),
        agent: Some(AgentId::parse("bot").unwrap()),
        toolsets: None,
        life_ms: 15 * MINUTE,
    };
    let make = |room: &Room, ask: OperatorRequest| {
        mint_for_operator(&room.signing, &room.deployment, &room.deployment.endpoints[0], ask, T0)
    };
    let token = make(&room, ask.clone()).unwrap().token;
    let caller = room.at("default", &token, T0).await.unwrap();
    assert_eq!(caller.actors(), ["operator:root", "bot"]);
    assert_eq!(caller.facts().operator.as_deref(), Some("operator:root"));
    assert_eq!(caller.facts().scopes, TokenScopes::Toolsets(toolsets(&["read", "write"])));
    let refused = |change: &dyn Fn(&mut OperatorRequest)| {
        let mut ask = ask.clone();
        change(&mut ask);
        make(&room, ask).unwrap_err().to_string()
    };
    for (message, part) in [
        (refused(&|ask| ask.life_ms = 15 * MINUTE + 1), "15 minutes"),
        (refused(&|ask| ask.user = UserKey::local("mallory").unwrap()), "`local:mallory`"),
        (refused(&|ask| ask.user = UserKey::parse("okta:alice").unwrap()), "`okta:alice`"),
        (refused(&|ask| ask.agent = Some(AgentId::parse("ghost").unwrap())), "`ghost`"),
        (refused(&|ask| ask.toolsets = Some(toolsets(&["none"]))), "`none`"),
    ] {
        assert!(message.contains(part), "{message}");
    }
    room.reconfigure(|deployment| deployment.operator_may_mint = false);
    assert!(matches!(make(&room, ask), Err(MintError::NotAllowed)));
    assert_eq!(fault(&room.at("default", &token, T0).await), TokenFault::OperatorMint);
}

#[tokio::test]
async fn how_a_token_is_presented_is_checked_first() {
    let room = Room::new(deployment());
    let token = room.alice(T0);
    let header = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        headers
    };
    let good = format!("Bearer {token}");
    for (values, query, expected) in [
        (vec![], None, AuthFailure::Absent),
        (vec!["Bearer"], None, AuthFailure::Absent),
        (vec!["Bearer "], None, AuthFailure::Absent),
        (vec!["Basic YTpi"], None, AuthFailure::Scheme),
        (vec![token.as_str()], None, AuthFailure::Scheme),
        (vec![good.as_str(), good.as_str()], None, AuthFailure::Several),
        (vec![good.as_str(), "Basic YTpi"], None, AuthFailure::Several),
        (vec![], Some("access_token=x"), AuthFailure::InQuery),
        (vec![good.as_str()], Some("a=b&access%5Ftoken=x"), AuthFailure::InQuery),
        (vec![good.as_str()], Some("Access_Token"), AuthFailure::InQuery),
    ] {
        let result = room.with("default", &header(&values), query, T0).await;
        assert_eq!(result.unwrap_err(), expected, "{values:?} {query:?}");
    }
    for value in [good.clone(), format!("bearer {token}"), format!("BEARER  {token}")] {
        assert!(room.with("default", &header(&[&value]), Some("access_tokens=1&%zz"), T0).await.is_ok(), "{value}");
    }
    let mut elsewhere = HeaderMap::new();
    elsewhere.insert(HeaderName::from_static("x-authorization"), HeaderValue::from_str(&good).unwrap());
    assert_eq!(room.with("default", &elsewhere, None, T0).await.unwrap_err(), AuthFailure::Absent);
}

#[tokio::test]
async fn a_malformed_token_is_named_and_costs_nothing() {
    let room = Room::new(deployment());
    let token = room.alice(T0);
    let parts: Vec<&str> = token.split('.').collect();
    let kid = room.signing.states(T0)[0].0.clone();
    let signed = |header: &str, claims: &str| {
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        format!("{input}.{}", parts[2])
    };
    let claims = String::from_utf8(with(&json!({}))).unwrap();
    let h = |members: &str| signed(&format!("{{{members}}}"), &claims);
    let good = format!(r#""alg":"ES256","typ":"at+jwt","kid":"{kid}""#);
    for (token, expected) in [
        ("x".repeat(16 * 1024 + 1), TokenFault::TooLong),
        ("x".to_owned(), TokenFault::NotCompact),
        (parts[..2].join("."), TokenFault::NotCompact),
        (format!("{token}.x"), TokenFault::NotCompact),
        (format!("..{}", parts[2]), TokenFault::NotCompact),
        (format!("{token}="), TokenFault::Encoding),
        (format!("{}=.{}.{}", parts[0], parts[1], parts[2]), TokenFault::Encoding),
        (format!("{} .{}.{}", parts[0], parts[1], parts[2]), TokenFault::Encoding),
        (format!("{}+/.{}.{}", parts[0], parts[1], parts[2]), TokenFault::Encoding),
        (signed("[]", &claims), TokenFault::HeaderJson),
        (h(&format!(r#"{good},"alg":"none""#)), TokenFault::HeaderJson),
        (h(&format!(r#"{good},"\u0061lg":"ES256""#)), TokenFault::HeaderJson),
        (h(&format!(r#"{good},"crit":["b64"],"b64":false"#)), TokenFault::Critical),
        (h(&format!(r#""alg":"none","typ":"at+jwt","kid":"{kid}""#)), TokenFault::Algorithm),
        (h(&format!(r#""alg":"None","typ":"at+jwt","kid":"{kid}""#)), TokenFault::Algorithm),
        (h(&format!(r#""alg":"es256","typ":"at+jwt","kid":"{kid}""#)), TokenFault::Algorithm),
        (h(&format!(r#""alg":"HS256","typ":"at+jwt","kid":"{kid}""#)), TokenFault::Algorithm),
        (h(&format!(r#""alg":"RS256","typ":"at+jwt","kid":"{kid}""#)), TokenFault::Algorithm),
        (h(&format!(r#""alg":["ES256"],"typ":"at+jwt","kid":"{kid}""#)), TokenFault::Algorithm),
        (h(&format!(r#""typ":"at+jwt","kid":"{kid}""#)), TokenFault::Algorithm),
        (h(&format!(r#""alg":"ES256","kid":"{kid}""#)), TokenFault::Typ),
        (h(&format!(r#""alg":"ES256","typ":"JWT","kid":"{kid}""#)), TokenFault::Typ),
        (h(&format!(r#""alg":"ES256","typ":1,"kid":"{kid}""#)), TokenFault::Typ),
        (h(r#""alg":"ES256","typ":"at+jwt""#), TokenFault::UnknownKey),
        (h(r#""alg":"ES256","typ":"at+jwt","kid":7"#), TokenFault::UnknownKey),
        (h(r#""alg":"ES256","typ":"at+jwt","kid":"../../seal""#), TokenFault::UnknownKey),
        (h(r#""alg":"ES256","typ":"at+jwt","kid":"' or 1=1 --""#), TokenFault::UnknownKey),
        (h(&good), TokenFault::Signature),
        (h(&format!(r#"{good},"jwk":{{"kty":"EC"}},"jku":"http://127.0.0.1/","x5u":"x""#)), TokenFault::Signature),
        (format!("{}.{}.", parts[0], parts[1]), TokenFault::Signature),
    ] {
        assert_eq!(fault(&room.at("default", &token, T0).await), expected, "{token:.200}");
    }
    let upper = signed_by_us(&room, r#""alg":"ES256","typ":"application/AT+JWT""#, &claims);
    assert!(room.at("default", &upper, T0).await.is_ok(), "a media type has no case");
}

/// A token with any header members, signed with the current key.
fn signed_by_us(room: &Room, members: &str, claims: &str) -> String {
    let typ = members.split(r#""typ":""#).nth(1).unwrap().split('"').next().unwrap();
    room.signing.sign(typ, claims.as_bytes(), T0).unwrap()
}

#[tokio::test]
async fn every_claim_of_our_own_tokens_is_checked() {
    let room = Room::new(deployment());
    assert!(own(&room, json!({})).await.is_ok());
    for (changes, expected) in [
        (json!({ "iss": null }), TokenFault::Missing("iss")),
        (json!({ "iss": format!("{OWN_ISSUER}/") }), TokenFault::Issuer),
        (json!({ "iss": "https://gw.example/as/other" }), TokenFault::Issuer),
        (json!({ "iss": "HTTPS://gw.example/as/default" }), TokenFault::Issuer),
        (json!({ "iss": [OWN_ISSUER] }), TokenFault::Malformed("iss")),
        (json!({ "aud": null }), TokenFault::Missing("aud")),
        (json!({ "aud": format!("{OWN_RESOURCE}/") }), TokenFault::Audience),
        (json!({ "aud": format!("{OWN_RESOURCE}/other") }), TokenFault::Audience),
        (json!({ "aud": "https://gw.example" }), TokenFault::Audience),
        (json!({ "aud": [OWN_RESOURCE, "https://gw.example/mcp/other"] }), TokenFault::Audiences),
        (json!({ "aud": [] }), TokenFault::Audience),
        (json!({ "aud": { "x": OWN_RESOURCE } }), TokenFault::Malformed("aud")),
        (json!({ "exp": null }), TokenFault::Missing("exp")),
        (json!({ "exp": "never" }), TokenFault::Malformed("exp")),
        (json!({ "exp": 1e300 }), TokenFault::Malformed("exp")),
        (json!({ "exp": -1 }), TokenFault::Malformed("exp")),
        (json!({ "authorized_ms": null }), TokenFault::Missing("authorized_ms")),
        (json!({ "authorized_ms": T0.to_string() }), TokenFault::Malformed("authorized_ms")),
        (json!({ "authorized_ms": -1 }), TokenFault::Malformed("authorized_ms")),
        (json!({ "login_ms": 1.5 }), TokenFault::Malformed("login_ms")),
        (json!({ "iat": null }), TokenFault::Missing("iat")),
        (json!({ "nbf": "now" }), TokenFault::Malformed("nbf")),
        (json!({ "sub": null }), TokenFault::Missing("sub")),
        (json!({ "sub": "alice" }), TokenFault::Subject),
        (json!({ "sub": "local:" }), TokenFault::Subject),
        (json!({ "sub": "bot" }), TokenFault::Subject),
        (json!({ "sub": "local:mallory" }), TokenFault::UnknownAccount),
        (json!({ "sub": "okta:alice" }), TokenFault::UnknownAccount),
        (json!({ "sub_profile": null }), TokenFault::Missing("sub_profile")),
        (json!({ "sub_profile": "root" }), TokenFault::Subject),
        (json!({ "client_id": null }), TokenFault::Missing("client_id")),
        (json!({ "client_id": "" }), TokenFault::Client),
        (json!({ "assurance": "certain" }), TokenFault::Client),
        (json!({ "scope": null }), TokenFault::Missing("scope")),
        (json!({ "scope": "toolset:read" }), TokenFault::Malformed("scope")),
        (json!({ "declined": "write" }), TokenFault::Malformed("declined")),
        (json!({ "declined": ["No Slug"] }), TokenFault::Malformed("declined")),
        (json!({ "jti": null }), TokenFault::Missing("jti")),
        (json!({ "jti": 7 }), TokenFault::Malformed("jti")),
        (json!({ "at_hash": "x" }), TokenFault::IdToken),
        (json!({ "act": "bot" }), TokenFault::ActorChain),
        (json!({ "act": { "sub": "bot" } }), TokenFault::ActorChain),
        (json!({ "act": { "sub": "ghost", "sub_profile": "ai_agent" } }), TokenFault::UnknownAgent),
        (json!({ "act": { "sub": "root", "sub_profile": "operator" } }), TokenFault::ActorChain),
    ] {
        assert_eq!(fault(&own(&room, changes.clone()).await), expected, "{changes}");
    }
    let twice = String::from_utf8(with(&json!({}))).unwrap().replacen('{', r#"{"aud":"x","#, 1);
    let token = room.signing.sign("at+jwt", twice.as_bytes(), T0).unwrap();
    assert_eq!(fault(&room.at("default", &token, T0).await), TokenFault::ClaimsJson);
}

#[tokio::test]
async fn an_actor_chain_ends_at_four() {
    let room = Room::new(deployment());
    let chain = |links: usize| {
        (1..links).fold(
            json!({ "sub": "bot", "sub_profile": "ai_agent" }),
            |inner, _| json!({ "sub": "bot", "sub_profile": "ai_agent", "act": inner }),
        )
    };
    assert!(own(&room, json!({ "act": chain(1) })).await.is_ok());
    for links in [2, MAX_ACTORS, MAX_ACTORS + 1, 9] {
        assert_eq!(fault(&own(&room, json!({ "act": chain(links) })).await), TokenFault::ActorChain, "{links}");
    }
}

#[tokio::test]
async fn clocks_may_differ_by_a_minute() {
    let room = Room::new(deployment());
    let second = T0 / 1000;
    for (changes, now, expected) in [
        (json!({ "exp": second }), T0 + LEEWAY_MS - 1, None),
        (json!({ "exp": second }), T0 + LEEWAY_MS, Some(TokenFault::Expired)),
        (json!({ "iat": second + 60 }), T0, None),
        (json!({ "iat": second + 61 }), T0, Some(TokenFault::IssuedInFuture)),
        (json!({ "nbf": second + 60 }), T0, None),
        (json!({ "nbf": second + 61 }), T0, Some(TokenFault::NotYetValid)),
        (json!({ "exp": 1_800_000_599.9 }), T0, None),
    ] {
        let token = room.signing.sign("at+jwt", &with(&changes), T0).unwrap();
        let result = room.at("default", &token, now).await;
        match expected {
            None => assert!(result.is_ok(), "{changes} {result:?}"),
            Some(expected) => assert_eq!(fault(&result), expected, "{changes}"),
        }
    }
}

#[tokio::test]
async fn a_remembered_token_expires_on_time() {
    let room = Room::new(deployment());
    let token = room.alice(T0);
    let end = T0 + 10 * MINUTE + LEEWAY_MS;
    assert!(room.at("default", &token, end - 1).await.is_ok());
    assert_eq!(fault(&room.at("default", &token, end).await), TokenFault::Expired);
}

#[tokio::test]
async fn a_token_of_one_endpoint_is_none_at_another() {
    let room = Room::new(deployment());
    let token = room.alice(T0);
    assert!(room.at("default", &token, T0).await.is_ok());
    assert_eq!(fault(&room.at("other", &token, T0).await), TokenFault::Issuer);
}

#[tokio::test]
async fn groups_and_accounts_follow_the_configuration() {
    let mut room = Room::new(deployment());
    let token = room.alice(T0);
    let before = room.at("default", &token, T0).await.unwrap();
    room.reconfigure(|deployment| {
        deployment.accounts.values_mut().for_each(|alice| *alice = account(&["oncall"]));
    });
    let after = room.at("default", &token, T0).await.unwrap();
    let groups = |caller: &Caller| caller.facts().user().unwrap().groups.clone();
    assert_ne!(groups(&before), groups(&after));
    room.reconfigure(|deployment| deployment.accounts.clear());
    assert_eq!(fault(&room.at("default", &token, T0).await), TokenFault::UnknownAccount);
}

#[tokio::test]
async fn a_removed_signing_key_ends_remembered_tokens_and_a_rotated_one_does_not() {
    let room = Room::new(deployment());
    let token = room.alice(T0);
    let before = room.at("default", &token, T0).await.unwrap();
    room.signing.rotate(T0).unwrap();
    assert!(Arc::ptr_eq(&before, &room.at("default", &token, T0).await.unwrap()));
    let kid = room.signing.states(T0)[0].0.clone();
    room.signing.remove(&kid, T0).unwrap();
    assert_eq!(fault(&room.at("default", &token, T0).await), TokenFault::UnknownKey);
    assert!(room.at("default", &room.alice(T0), T0).await.is_ok());
}

#[tokio::test]
async fn every_refusal_has_an_answer_with_a_way_on() {
    let room = Room::new(deployment());
    let endpoint = &room.deployment.endpoints[1];
    let metadata = r#"resource_metadata="https://gw.example/.well-known/oauth-protected-resource/mcp/other""#;
    let mut reasons = BTreeSet::new();
    for (failure, status, start) in [
        (AuthFailure::Absent, 401, r#"Bearer scope="mcp", "#),
        (AuthFailure::Scheme, 401, r#"Bearer scope="mcp", "#),
        (AuthFailure::Several, 400, r#"Bearer error="invalid_request", "#),
        (AuthFailure::InQuery, 400, r#"Bearer error="invalid_request", "#),
        (AuthFailure::Token(TokenFault::Expired), 401, r#"Bearer error="invalid_token", "#),
        (AuthFailure::Dead(Dead::Revoked), 401, r#"Bearer error="invalid_token", "#),
        (AuthFailure::Dead(Dead::Blocked), 401, r#"Bearer error="invalid_token", "#),
    ] {
        let answer = failure.response(endpoint);
        assert_eq!(answer.status.as_u16(), status);
        let challenge = answer.headers["www-authenticate"].to_str().unwrap();
        assert!(challenge.starts_with(start) && challenge.ends_with(metadata), "{challenge}");
        assert!(challenge.contains(r#"scope="mcp""#) && answer.headers["cache-control"] == "no-store");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body["error_description"], failure.to_string());
        assert!(reasons.insert(failure.reason()));
    }
    let answer = AuthFailure::KeysUnavailable.response(endpoint);
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after") && !answer.headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn an_independent_library_verifies_what_is_minted_with_what_is_published() {
    let room = Room::new(deployment());
    let token = room.alice(T0);
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&room.signing.jwks(T0)).unwrap();
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    let key = jsonwebtoken::DecodingKey::from_jwk(set.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.set_audience(&[OWN_RESOURCE]);
    validation.set_issuer(&[OWN_ISSUER]);
    validation.validate_exp = false; // the tests' clock stands still
    let claims = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap().claims;
    assert_eq!(claims["sub"], "local:alice");
    assert_eq!((claims["sid"].as_str(), claims["auth_time"].as_i64()), (Some("f1"), Some(T0 / 1000 - 5)));
    assert_eq!(claims["amr"], serde_json::json!(["pwd"]));
    assert!(claims.get("groups").is_none());
}

#[test]
fn a_slot_is_of_one_token_at_one_resource() {
    assert_ne!(slot("bc", "a"), slot("c", "ab"));
    assert_ne!(slot("a", "x"), slot("a", "y"));
    assert_eq!(slot("a", "x"), slot("a", "x"));
}
