//! Revocations and blocks against tokens: what came before is dead, whenever its token was made; what comes after counts.

use ambit_model::{
    ids::{ClientId, EndpointSlug, IssuerName},
    revocation::Mark,
};

use super::*;

#[tokio::test]
async fn revocations_and_blocks_reach_remembered_tokens_at_the_next_call() {
    let scopes = [
        Scope::Deployment,
        Scope::Endpoint(EndpointSlug::parse("default").unwrap()),
        Scope::User(UserKey::local("alice").unwrap()),
        Scope::Client(ClientId::parse("c1").unwrap()),
        Scope::Family("f1".into()),
        Scope::Agent(AgentId::parse("bot").unwrap()),
    ];
    for scope in scopes {
        let mut room = Room::new(deployment());
        let alice = UserKey::local("alice").unwrap();
        let subject = TokenSubject::Delegated { user: alice, agent: AgentId::parse("bot").unwrap() };
        let asked = || TokenRequest { subject: subject.clone(), ..request() };
        let old = room.mint(asked(), T0).token;
        let now = T0 + 5_500;
        assert!(room.at("default", &old, now).await.is_ok());
        room.mark(scope.clone(), Mark { revoked_at: Some(now), blocked: false });
        for _ in 0..2 {
            let revoked = room.at("default", &old, now).await.unwrap_err();
            assert_eq!((revoked, revoked.reason()), (AuthFailure::Dead(Dead::Revoked), "revoked"), "{scope}");
        }
        // A refresh that was under way, or at a node that has not heard of it, is as old as what it refreshes.
        let refreshed = room.mint(asked(), now + 2_000).token;
        let late = room.at("default", &refreshed, now + 2_000).await.unwrap_err();
        assert_eq!(late, AuthFailure::Dead(Dead::Revoked), "{scope}: refreshed");
        // A new login counts, also in the same second. One authorization is not given anew.
        let again = |family: &str| TokenRequest {
            family: Some(family.to_owned()),
            auth_time: Some(now + 1),
            authorized_at: now + 2,
            ..asked()
        };
        let new = room.mint(again("f2"), now + 3).token;
        if let Scope::Family(_) = scope {
            let same = room.mint(again("f1"), now + 3).token;
            assert!(room.at("default", &same, now + 3).await.is_err());
            assert!(room.at("default", &new, now + 3).await.is_ok());
            continue;
        }
        assert!(room.at("default", &new, now + 3).await.is_ok(), "{scope}: a new login works");
        room.mark(scope.clone(), Mark { revoked_at: Some(now), blocked: true });
        let blocked = room.at("default", &new, now + 3).await.unwrap_err();
        assert_eq!(blocked, AuthFailure::Dead(Dead::Blocked), "{scope}");
        let newest =
            room.mint(TokenRequest { auth_time: None, authorized_at: now + 2_000, ..asked() }, now + 2_000).token;
        assert_eq!(room.at("default", &newest, now + 2_000).await.unwrap_err(), blocked, "{scope}");
        room.mark(scope.clone(), Mark { revoked_at: Some(now), blocked: false });
        assert!(room.at("default", &new, now + 3).await.is_ok(), "{scope}: a lifted block works again");
        assert!(room.at("default", &old, now).await.is_err(), "{scope}: what was revoked stays so");
    }
}

/// Who authorizes a client with a login from before, at a node that has not heard that the login is over, gets nothing by it.
#[tokio::test]
async fn a_token_ends_with_the_login_it_rests_on() {
    let alice = Scope::User(UserKey::local("alice").unwrap());
    for (scope, is_dead) in
        [(alice, true), (Scope::Deployment, true), (Scope::Client(ClientId::parse("c1").unwrap()), false)]
    {
        let mut room = Room::new(deployment());
        let asked = TokenRequest { auth_time: Some(T0), authorized_at: T0 + 2_000, ..request() };
        let token = room.mint(asked, T0 + 2_000).token;
        room.mark(scope.clone(), Mark { revoked_at: Some(T0 + 1_000), blocked: false });
        assert_eq!(room.at("default", &token, T0 + 2_000).await.is_err(), is_dead, "{scope}");
    }
}

/// The measure of revocations stands in the token, so it is held to be there and to be no later than the token.
#[tokio::test]
async fn a_token_is_no_younger_than_it_was_issued() {
    let mut room = Room::new(deployment());
    let user = Scope::User(UserKey::local("alice").unwrap());
    room.mark(user, Mark { revoked_at: Some(T0 + 1_000), blocked: false });
    let late = own(&room, json!({ "authorized_ms": T0 + 500_000, "jti": "j2" })).await.unwrap_err();
    assert_eq!(late, AuthFailure::Dead(Dead::Revoked));
}

#[tokio::test]
async fn a_mark_on_something_else_harms_nobody() {
    let mut room = Room::new(deployment());
    let token = room.alice(T0);
    let first = room.at("default", &token, T0).await.unwrap();
    for scope in [
        Scope::Endpoint(EndpointSlug::parse("other").unwrap()),
        Scope::User(UserKey::parse("okta:alice").unwrap()),
        Scope::Family("f2".into()),
        Scope::ForeignToken(IssuerName::parse("okta").unwrap(), "j1".into()),
    ] {
        room.mark(scope, Mark { revoked_at: None, blocked: true });
    }
    let second = room.at("default", &token, T0).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &second), "the class is of the new revision");
    assert_eq!(first.class().key(), second.class().key());
}

#[tokio::test]
async fn one_token_can_be_revoked_by_its_id() {
    let mut room = Room::new(deployment());
    let (one, two) = (room.mint(request(), T0), room.mint(request(), T0));
    assert!(room.at("default", &one.token, T0).await.is_ok());
    room.mark(
        Scope::parse("jti", &format!("local:{}", one.jti)).unwrap(),
        Mark { revoked_at: Some(T0), blocked: false },
    );
    assert!(room.at("default", &one.token, T0).await.is_err() && room.at("default", &two.token, T0).await.is_ok());
}
