use ambit_model::{
    caller::{Assurance, Principal, TokenScopes},
    endpoint::EndpointIssuer,
    ids::{AgentId, IssuerName, UserKey},
    issuer::{Algorithm, Issuer, IssuerScopes, People, TypRule},
    revocation::{Dead, Mark, Scope},
};
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use crate::{
    authenticate::AuthFailure,
    caller::Caller,
    testing::{Foreign, Room, Script, T0, TestKey, endpoint, fault, issuer, toolsets},
    verify::TokenFault,
};

const HERE: &str = "https://gw.example/mcp/foreign";

fn groups(caller: &Caller) -> Vec<String> {
    caller.facts().user().unwrap().groups.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_foreign_token_becomes_the_caller_its_issuer_vouches_for() {
    let foreign = Foreign::start().await;
    let caller = foreign.present(json!({})).await.unwrap();
    let facts = caller.facts();
    let Principal::Person { user } = &facts.principal else { panic!("{facts:?}") };
    assert_eq!(user.key, UserKey::parse("okta:u1").unwrap());
    assert_eq!(groups(&caller), ["staff"], "a group that is not mapped does not count");
    assert_eq!(user.claims, [("department".to_owned(), json!("media"))].into(), "and an e-mail address never");
    assert_eq!((facts.client.id.as_str(), facts.client.assurance), ("vscode", Assurance::Dynamic));
    assert_eq!(facts.scopes, TokenScopes::Toolsets(toolsets(&["read"])));
    assert!(facts.declined.is_empty() && facts.operator.is_none());
    assert_eq!(caller.who().user.as_deref(), Some("okta:u1"));
}

#[tokio::test]
async fn the_login_a_foreign_token_tells_of_is_told_to_rules_and_what_is_none_is_not() {
    let foreign = Foreign::start().await;
    let second = T0 / 1000;
    for (changes, expected) in [
        (json!({}), None),
        (json!({ "auth_time": second - 90, "amr": ["pwd", "otp"] }), Some((T0 - 90_000, vec!["pwd", "otp"]))),
        (json!({ "auth_time": second - 90 }), Some((T0 - 90_000, vec![]))),
        (json!({ "auth_time": second, "amr": "otp" }), Some((T0, vec![]))),
        (json!({ "auth_time": second, "amr": ["otp", 7] }), Some((T0, vec![]))),
        (json!({ "auth_time": "now", "amr": ["otp"] }), None),
        (json!({ "amr": ["otp"] }), None),
    ] {
        let caller = foreign.present(changes.clone()).await.unwrap();
        let told = caller.login().map(|login| (login.at, login.methods.to_vec()));
        let expected = expected.map(|(at, methods)| (at, methods.into_iter().map(String::from).collect()));
        assert_eq!(told, expected, "{changes}");
    }
}

#[tokio::test]
async fn every_claim_of_a_foreign_token_is_checked() {
    let foreign = Foreign::start().await;
    let second = T0 / 1000;
    for (changes, expected) in [
        (json!({ "iss": format!("{}/", foreign.script.origin) }), TokenFault::Issuer),
        (json!({ "iss": "https://gw.example/as/foreign" }), TokenFault::Issuer),
        (json!({ "iss": null }), TokenFault::Missing("iss")),
        (json!({ "aud": "https://gw.example/mcp" }), TokenFault::Audience),
        (json!({ "aud": format!("{HERE}/") }), TokenFault::Audience),
        (json!({ "aud": "vscode" }), TokenFault::Audience),
        (json!({ "aud": ["account", "https://gw.example/mcp"] }), TokenFault::Audience),
        (json!({ "aud": ["account", HERE] }), TokenFault::Audiences),
        (json!({ "aud": [HERE, 7] }), TokenFault::Malformed("aud")),
        (json!({ "aud": null }), TokenFault::Missing("aud")),
        (json!({ "exp": second - 60 }), TokenFault::Expired),
        (json!({ "nbf": second + 61 }), TokenFault::NotYetValid),
        (json!({ "iat": second + 61 }), TokenFault::IssuedInFuture),
        (json!({ "at_hash": "x" }), TokenFault::IdToken),
        (json!({ "c_hash": "x" }), TokenFault::IdToken),
        (json!({ "typ": "ID" }), TokenFault::IdToken),
        (json!({ "cnf": { "jkt": "x" } }), TokenFault::Bound),
        (json!({ "sub": null }), TokenFault::Subject),
        (json!({ "sub": "" }), TokenFault::Subject),
        (json!({ "sub": 7 }), TokenFault::Subject),
        (json!({ "sub": "vscode" }), TokenFault::Nobody),
        (json!({ "sub": "vscode@clients" }), TokenFault::Nobody),
        (json!({ "gty": "client-credentials" }), TokenFault::Nobody),
        (json!({ "idtyp": "app" }), TokenFault::Nobody),
        (json!({ "client_id": null }), TokenFault::Client),
        (json!({ "client_id": "" }), TokenFault::Client),
        (json!({ "client_id": ["vscode"] }), TokenFault::Client),
        (json!({ "jti": null }), TokenFault::Missing("jti")),
        (json!({ "jti": 7 }), TokenFault::Malformed("jti")),
        (json!({ "sid": 7 }), TokenFault::Malformed("sid")),
        (json!({ "scope": 7 }), TokenFault::Malformed("scope")),
        (json!({ "scope": ["mux.read", 7] }), TokenFault::Malformed("scope")),
        (json!({ "groups": null }), TokenFault::GroupsMissing),
        (json!({ "groups": 7 }), TokenFault::GroupsMissing),
        (json!({ "groups": ["staff-id", 7] }), TokenFault::GroupsMissing),
        (json!({ "groups": { "staff-id": true } }), TokenFault::GroupsMissing),
        (json!({ "groups": null, "_claim_names": { "groups": "src1" } }), TokenFault::GroupsOverage),
        (json!({ "groups": null, "hasgroups": true }), TokenFault::GroupsOverage),
        (json!({ "act": { "sub": "ghost" } }), TokenFault::UnknownAgent),
        (json!({ "act": { "sub": "no agent's id" } }), TokenFault::UnknownAgent),
        (json!({ "act": {} }), TokenFault::ActorChain),
        (json!({ "act": [] }), TokenFault::ActorChain),
    ] {
        assert_eq!(fault(&foreign.present(changes.clone()).await), expected, "{changes}");
    }
}

#[tokio::test]
async fn an_audience_may_be_a_text_or_a_list() {
    let foreign = Foreign::start().await;
    for audience in [json!(HERE), json!([HERE])] {
        assert!(foreign.present(json!({ "aud": audience })).await.is_ok(), "{audience}");
    }
}

#[tokio::test]
async fn a_token_for_another_api_too_is_not_taken_unless_that_api_was_named() {
    let other = json!({ "aud": [HERE, "https://other-api.example"] });
    let foreign = Foreign::start().await;
    assert_eq!(fault(&foreign.present(other.clone()).await), TokenFault::Audiences);
    let mut keycloak = Foreign::with(|issuer| issuer.other_audiences = ["account".to_owned()].into()).await;
    let with_account = keycloak.key.token(&keycloak.claims(&json!({ "aud": [HERE, "account"] })));
    assert!(keycloak.show(&with_account, T0).await.is_ok());
    assert_eq!(fault(&keycloak.present(other).await), TokenFault::Audiences);
    assert_eq!(fault(&keycloak.present(json!({ "aud": ["account"] })).await), TokenFault::Audience);
    // A remembered token is held to the rules of now.
    keycloak.room.reconfigure(|deployment| {
        deployment.issuers.values_mut().for_each(|issuer| issuer.other_audiences.clear());
    });
    assert_eq!(fault(&keycloak.show(&with_account, T0).await), TokenFault::Audiences);
}

#[tokio::test]
async fn what_a_client_got_for_itself_is_no_persons_by_any_known_mark() {
    let foreign = Foreign::start().await;
    for claims in [
        json!({ "preferred_username": "service-account-vscode" }),
        json!({ "client_id": "VSCode", "preferred_username": "service-account-vscode" }),
        json!({ "tid": "t", "oid": "u1" }),
    ] {
        assert_eq!(fault(&foreign.present(claims.clone()).await), TokenFault::Nobody, "{claims}");
    }
    for claims in [
        json!({ "preferred_username": "service-account-other" }),
        json!({ "preferred_username": "alice" }),
        json!({ "tid": "t", "oid": "o1" }),
        json!({ "oid": "u1" }),
    ] {
        assert!(foreign.present(claims.clone()).await.is_ok(), "{claims}");
    }
}

#[tokio::test]
async fn a_machine_is_no_person_where_people_have_a_sign() {
    // A service account as some issuers make it: a subject of its own, groups, and nothing that says what it is.
    let machine = json!({ "sub": "7c1f0d1e-0000-4000-8000-000000000000", "sid": null });
    let anybody = Foreign::start().await;
    assert!(anybody.present(machine.clone()).await.is_ok(), "without a sign nothing tells it from a person");
    let having = Foreign::with(|issuer| issuer.people = People::Having { claim: "sid".into() }).await;
    assert!(having.present(json!({})).await.is_ok());
    assert_eq!(fault(&having.present(machine).await), TokenFault::NoPerson);
    let marked = |claim: &str| People::Having { claim: claim.to_owned() };
    let sign = Foreign::with(|issuer| issuer.people = marked("upn")).await;
    for nothing in [json!(null), json!(""), json!(false), json!([]), json!({})] {
        assert_eq!(fault(&sign.present(json!({ "upn": nothing })).await), TokenFault::NoPerson, "{nothing}");
    }
    let saying = |issuer: &mut Issuer| issuer.people = People::Saying { claim: "kind".into(), value: "user".into() };
    let saying = Foreign::with(saying).await;
    for (said, is_person) in [
        (json!("user"), true),
        (json!(["x", "user"]), true),
        (json!("app"), false),
        (json!("user app"), false),
        (json!("User"), false),
        (json!(["app"]), false),
        (json!({ "user": true }), false),
        (json!(null), false),
    ] {
        let shown = saying.present(json!({ "kind": said })).await;
        assert_eq!(shown.is_ok(), is_person, "{said}");
        assert!(is_person || fault(&shown) == TokenFault::NoPerson, "{said}");
    }
    // The sign of a person does not outweigh a mark of a client.
    assert_eq!(fault(&saying.present(json!({ "kind": "user", "sub": "vscode" })).await), TokenFault::Nobody);
}

#[tokio::test]
async fn two_issuers_with_one_subject_and_one_group_name_are_two_people() {
    let (one, two) = (Foreign::start().await, Script::start().await);
    let key = TestKey::new("k1", "ES256");
    two.publish("", &[&key]);
    let mut deployment = one.room.deployment.clone();
    deployment.endpoints.push(endpoint("second", Some("entra")));
    let mut entra = issuer("entra", &two.origin);
    // The same word means nothing at the other issuer.
    entra.groups.as_mut().unwrap().map.clear();
    deployment.issuers.insert(entra.name.clone(), entra);
    let mut room = Room::new(deployment);
    let of_okta = one.key.token(&one.claims(&json!({})));
    let of_entra = key.token(&one.claims(&json!({ "iss": two.origin, "aud": "https://gw.example/mcp/second" })));
    let (okta, entra) =
        (room.at("foreign", &of_okta, T0).await.unwrap(), room.at("second", &of_entra, T0).await.unwrap());
    assert_eq!(okta.who().user.as_deref(), Some("okta:u1"));
    assert_eq!(entra.who().user.as_deref(), Some("entra:u1"));
    assert_eq!((groups(&okta), groups(&entra)), (vec!["staff".to_owned()], vec![]));
    assert_ne!(okta.class().key(), entra.class().key());
    assert_eq!(fault(&room.at("second", &of_okta, T0).await), TokenFault::Signature, "same key id, other issuer's key");
    room.mark(Scope::User(UserKey::parse("entra:u1").unwrap()), Mark { revoked_at: None, blocked: true });
    assert!(room.at("foreign", &of_okta, T0).await.is_ok());
    assert_eq!(room.at("second", &of_entra, T0).await.unwrap_err(), AuthFailure::Dead(Dead::Blocked));
}

#[tokio::test]
async fn an_endpoint_takes_the_tokens_of_its_own_issuer_alone() {
    let foreign = Foreign::start().await;
    assert_eq!(fault(&foreign.show(&foreign.room.alice(T0), T0).await), TokenFault::UnknownKey);
    let token = foreign.key.token(&foreign.claims(&json!({ "aud": "https://gw.example/mcp" })));
    assert_eq!(fault(&foreign.room.at("default", &token, T0).await), TokenFault::UnknownKey);
}

#[tokio::test]
async fn an_issuer_named_local_vouches_for_nobody() {
    let mut foreign = Foreign::start().await;
    foreign.room.reconfigure(|deployment| {
        let mut issuer = deployment.issuers.pop_first().unwrap().1;
        issuer.name = IssuerName::local();
        deployment.issuers.insert(issuer.name.clone(), issuer);
        deployment.endpoints.last_mut().unwrap().issuer = EndpointIssuer::External(IssuerName::local());
    });
    assert_eq!(fault(&foreign.present(json!({ "sub": "alice" })).await), TokenFault::Issuer);
}

#[tokio::test]
async fn groups_count_only_where_they_are_mapped() {
    let foreign = Foreign::with(|issuer| issuer.groups = None).await;
    let caller = foreign.present(json!({ "groups": ["staff", "staff-id"] })).await.unwrap();
    assert!(groups(&caller).is_empty());
    let foreign = Foreign::start().await;
    for (values, expected) in [
        (json!([]), vec![]),
        (json!("staff-id"), vec!["staff"]),
        (json!(["staff"]), vec![]),
        (json!(["STAFF-ID", " staff-id"]), vec![]),
        (json!(["x", "staff-id", "staff-id"]), vec!["staff"]),
    ] {
        assert_eq!(groups(&foreign.present(json!({ "groups": values })).await.unwrap()), expected, "{values}");
    }
}

#[tokio::test]
async fn scopes_are_mapped_or_say_nothing() {
    let foreign = Foreign::start().await;
    for (changes, expected) in [
        (json!({ "scope": "mux.read" }), vec!["read"]),
        (json!({ "scope": "" }), vec![]),
        (json!({ "scope": null }), vec![]),
        (json!({ "scope": "mcp toolset:read toolset:write MUX.READ" }), vec![]),
        (json!({ "scope": null, "scp": "openid mux.read" }), vec!["read"]),
        (json!({ "scope": null, "scp": ["mux.read"] }), vec!["read"]),
        (json!({ "scope": ["mux.read"] }), vec!["read"]),
        (json!({ "scope": "openid", "scp": "mux.read" }), vec![]),
    ] {
        let caller = foreign.present(changes.clone()).await.unwrap();
        assert_eq!(caller.facts().scopes, TokenScopes::Toolsets(toolsets(&expected)), "{changes}");
    }
    let silent = Foreign::with(|issuer| issuer.scopes = IssuerScopes::None).await;
    for changes in [json!({}), json!({ "scope": null }), json!({ "scope": "toolset:write" })] {
        assert_eq!(silent.present(changes).await.unwrap().facts().scopes, TokenScopes::None);
    }
}

#[tokio::test]
async fn the_client_is_in_the_claim_its_issuer_uses() {
    let foreign = Foreign::start().await;
    for (changes, client) in
        [(json!({ "client_id": "a", "azp": "b" }), "a"), (json!({ "client_id": null, "azp": "b" }), "b")]
    {
        assert_eq!(foreign.present(changes).await.unwrap().client_id().as_str(), client);
    }
    let okta = Foreign::with(|issuer| issuer.client_claims = vec!["cid".into()]).await;
    assert_eq!(okta.present(json!({ "cid": "c", "azp": "b" })).await.unwrap().client_id().as_str(), "c");
    assert_eq!(fault(&okta.present(json!({ "azp": "b" })).await), TokenFault::Client);
}

#[tokio::test]
async fn the_subject_is_in_the_claim_its_issuer_uses() {
    let entra = Foreign::with(|issuer| issuer.subject_claim = "oid".into()).await;
    let caller = entra.present(json!({ "oid": "o1" })).await.unwrap();
    assert_eq!(caller.who().user.as_deref(), Some("okta:o1"));
    assert_eq!(fault(&entra.present(json!({})).await), TokenFault::Subject, "`sub` does not stand in");
    assert_eq!(fault(&entra.present(json!({ "oid": "vscode" })).await), TokenFault::Nobody);
}

#[tokio::test]
async fn an_agent_acts_only_if_it_is_declared() {
    let foreign = Foreign::start().await;
    let caller = foreign.present(json!({ "act": { "sub": "bot", "act": { "sub": "earlier one" } } })).await.unwrap();
    let Principal::Delegated { user, agent } = &caller.facts().principal else { panic!("{caller:?}") };
    assert_eq!((user.key.to_string(), agent.id.as_str()), ("okta:u1".to_owned(), "bot"));
    assert_eq!(caller.actors(), ["bot", "earlier one"]);
    assert!(caller.scopes_for_revocation().contains(&Scope::Agent(AgentId::parse("bot").unwrap())));
}

#[tokio::test]
async fn what_an_issuer_calls_session_and_token_can_be_revoked() {
    for (kind, id) in [("sid", "okta:s1"), ("jti", "okta:j1"), ("user", "okta:u1"), ("client", "vscode")] {
        let mut foreign = Foreign::start().await;
        let token = foreign.key.token(&foreign.claims(&json!({})));
        foreign.show(&token, T0).await.unwrap();
        foreign.room.mark(Scope::parse(kind, id).unwrap(), Mark { revoked_at: Some(T0), blocked: false });
        let refused = foreign.show(&token, T0).await.unwrap_err();
        assert_eq!(refused, AuthFailure::Dead(Dead::Revoked), "{kind} {id}");
        let other = json!({ "sid": "s2", "jti": "j2", "sub": "u2", "client_id": "cursor" });
        foreign.present(other).await.unwrap();
    }
}

#[tokio::test]
async fn a_revocation_ends_what_was_used_before_whatever_the_issuers_clock_says() {
    let scopes = [
        ("deployment", ""),
        ("endpoint", "foreign"),
        ("user", "okta:u1"),
        ("client", "vscode"),
        ("sid", "okta:s1"),
        ("jti", "okta:j1"),
    ];
    for (kind, id) in scopes {
        for ahead in [-1, 0, 1, 50, 60] {
            let mut foreign = Foreign::start().await;
            let token = foreign.key.token(&foreign.claims(&json!({ "iat": T0 / 1000 + ahead })));
            foreign.show(&token, T0).await.unwrap();
            foreign.room.mark(Scope::parse(kind, id).unwrap(), Mark { revoked_at: Some(T0), blocked: false });
            for later in [0, 1, 200_000] {
                let refused = foreign.show(&token, T0 + later).await.unwrap_err();
                assert_eq!(refused, AuthFailure::Dead(Dead::Revoked), "{kind} {id} {ahead} {later}");
            }
            // Also to a gateway that never saw it before.
            let unseen = foreign.key.token(&foreign.claims(&json!({ "iat": T0 / 1000 + ahead, "x": 1 })));
            assert!(foreign.show(&unseen, T0).await.is_err(), "{kind} {id} {ahead}");
        }
    }
}

#[tokio::test]
async fn a_tool_that_was_revoked_is_hidden_from_tokens_of_an_issuer_ahead() {
    let foreign = Foreign::start().await;
    let caller = foreign.present(json!({ "iat": T0 / 1000 + 60 })).await.unwrap();
    assert!(caller.issued_at() <= T0, "compared with the revocation of a tool");
}

#[tokio::test]
async fn a_new_foreign_login_counts_a_minute_after_a_revocation() {
    let mut foreign = Foreign::start().await;
    foreign.room.mark(Scope::Deployment, Mark { revoked_at: Some(T0), blocked: false });
    for (after, counts) in [(1, false), (60, false), (61, true)] {
        let token = foreign.key.token(&foreign.claims(&json!({ "iat": T0 / 1000 + after, "jti": after.to_string() })));
        assert_eq!(foreign.show(&token, T0 + after * 1000).await.is_ok(), counts, "{after}");
    }
}

#[tokio::test]
async fn one_token_and_one_session_stay_revoked_whenever_they_were_issued() {
    for (kind, id) in [("sid", "okta:s1"), ("jti", "okta:j1")] {
        let mut foreign = Foreign::start().await;
        foreign.room.mark(Scope::parse(kind, id).unwrap(), Mark { revoked_at: Some(T0 - 3_600_000), blocked: false });
        assert_eq!(foreign.present(json!({})).await.unwrap_err(), AuthFailure::Dead(Dead::Revoked), "{kind}");
        foreign.present(json!({ "sid": "s2", "jti": "j2" })).await.unwrap();
    }
}

#[tokio::test]
async fn a_foreign_token_lives_a_day_at_most() {
    let foreign = Foreign::start().await;
    let (second, day) = (T0 / 1000, 86_400);
    for (iat, exp, accepted) in [
        (second, second + day, true),
        (second, second + day + 1, false),
        (second - day, second + 1, false),
        (second, second + 1_000_000_000, false),
        (0, second + 300, false),
    ] {
        let shown = foreign.present(json!({ "iat": iat, "exp": exp })).await;
        assert_eq!(shown.is_ok(), accepted, "{iat} {exp}");
        assert!(accepted || shown.unwrap_err().reason() == "lives_too_long", "{iat} {exp}");
    }
}

#[tokio::test]
async fn an_issuer_that_does_not_mark_its_tokens_needs_to_be_configured() {
    let header = |typ: Option<&str>| {
        let mut header = json!({ "alg": "ES256", "kid": "k1" });
        if let Some(typ) = typ {
            header["typ"] = json!(typ);
        }
        header.to_string()
    };
    let strict = Foreign::start().await;
    let lenient = Foreign::with(|issuer| issuer.typ = TypRule::Lenient).await;
    for (typ, if_strict, if_lenient) in [
        (Some("at+jwt"), None, None),
        (Some("application/at+jwt"), None, None),
        (Some("JWT"), Some(TokenFault::Typ), None),
        (None, Some(TokenFault::Typ), None),
        (Some("logout+jwt"), Some(TokenFault::Typ), Some(TokenFault::Typ)),
        (Some("oauth-id-jag+jwt"), Some(TokenFault::Typ), Some(TokenFault::Typ)),
    ] {
        for (foreign, expected) in [(&strict, if_strict), (&lenient, if_lenient)] {
            let token = foreign.key.raw(&header(typ), &foreign.claims(&json!({})).to_string());
            let result = foreign.show(&token, T0).await;
            match expected {
                None => assert!(result.is_ok(), "{typ:?} {result:?}"),
                Some(expected) => assert_eq!(fault(&result), expected, "{typ:?}"),
            }
        }
    }
    assert!(lenient.present(json!({ "jti": null })).await.is_ok(), "such issuers may leave the id out");
    // An ID token is for the client. Told apart by `typ` where tokens are marked, by its audience where not.
    let id_token = |foreign: &Foreign| {
        let claims = foreign.claims(&json!({ "aud": "vscode", "nonce": "n", "client_id": null, "azp": "vscode" }));
        foreign.key.raw(&header(Some("JWT")), &claims.to_string())
    };
    assert_eq!(fault(&strict.show(&id_token(&strict), T0).await), TokenFault::Typ);
    assert_eq!(fault(&lenient.show(&id_token(&lenient), T0).await), TokenFault::Audience);
}

#[tokio::test]
async fn a_key_verifies_its_own_algorithm_alone() {
    let foreign = Foreign::with(|issuer| {
        issuer.algorithms.remove(&Algorithm::EdDsa);
    })
    .await;
    let (rsa, ed) = (TestKey::new("r", "RS256"), TestKey::new("d", "EdDSA"));
    foreign.script.publish("", &[&foreign.key, &rsa, &ed]);
    let claims = foreign.claims(&json!({})).to_string();
    let header = |alg: &str, kid: &str| json!({ "alg": alg, "typ": "at+jwt", "kid": kid }).to_string();
    foreign.show(&rsa.raw(&header("RS256", "r"), &claims), T0).await.unwrap();
    for (token, expected) in [
        (rsa.raw(&header("PS256", "r"), &claims), TokenFault::Algorithm),
        (rsa.raw(&header("ES256", "r"), &claims), TokenFault::Algorithm),
        (rsa.raw(&header("RS256", "k1"), &claims), TokenFault::Algorithm),
        (ed.raw(&header("EdDSA", "d"), &claims), TokenFault::Algorithm),
        (rsa.raw(&header("none", "r"), &claims), TokenFault::Algorithm),
        (foreign.key.raw(&header("ES256", "K1"), &claims), TokenFault::UnknownKey),
    ] {
        assert_eq!(fault(&foreign.show(&token, T0).await), expected, "{token:.80}");
    }
    // The oldest trick: the public key as the secret of a symmetric algorithm, in every form it is published in.
    let jwk = rsa.jwk();
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    for secret in [modulus, jwk.to_string().into_bytes(), jwk["n"].as_str().unwrap().as_bytes().to_vec()] {
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header("HS256", "r")), URL_SAFE_NO_PAD.encode(&claims));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), input.as_bytes());
        let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag));
        assert_eq!(fault(&foreign.show(&token, T0).await), TokenFault::Algorithm);
    }
}

#[tokio::test]
async fn a_changed_rule_counts_for_remembered_tokens() {
    let mut foreign = Foreign::start().await;
    let token = foreign.key.token(&foreign.claims(&json!({})));
    assert_eq!(groups(&foreign.show(&token, T0).await.unwrap()), ["staff"]);
    foreign.room.reconfigure(|deployment| {
        let issuer = deployment.issuers.values_mut().next().unwrap();
        issuer.groups.as_mut().unwrap().map.clear();
    });
    assert!(groups(&foreign.show(&token, T0).await.unwrap()).is_empty());
    foreign.room.reconfigure(|deployment| {
        deployment.issuers.values_mut().next().unwrap().algorithms = [Algorithm::Rs256].into();
    });
    assert_eq!(fault(&foreign.show(&token, T0).await), TokenFault::Algorithm);
}

#[tokio::test]
async fn a_foreign_token_names_no_account_and_no_operator_of_ours() {
    let foreign = Foreign::start().await;
    let caller = foreign.present(json!({ "sub": "local:alice" })).await.unwrap();
    assert_eq!(caller.facts().user().unwrap().key.issuer.as_str(), "okta");
    let operator = json!({ "act": { "sub": "operator:root", "sub_profile": "operator" } });
    assert_eq!(fault(&foreign.present(operator).await), TokenFault::UnknownAgent);
}
