//! Tokens that are none here: each is turned away with a challenge, before and after a good one was remembered.

use ambit_testkit::app::{Application, Caller, Era, Login, Reply, TestApp};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::Request;
use http_body_util::Full;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::world::{self, ORDINARY};

/// A second endpoint over the same server.
const OTHER: &str = r#"
[[endpoints]]
path = "/mcp/other"
servers = ["things"]
"#;

fn part(token: &str, at: usize) -> Value {
    let part = token.split('.').nth(at).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// What a stranger is told: the way in, and nothing of what was presented.
fn turned_away(answer: &Reply, what: &str) {
    assert_eq!(answer.status, 401, "{what}: {}", answer.text());
    let challenge = answer.header("www-authenticate");
    assert!(challenge.starts_with("Bearer ") && challenge.contains("resource_metadata=\""), "{what}: {challenge}");
    assert!(!answer.text().contains("result"), "{what}: {}", answer.text());
}

async fn list(caller: &Caller, token: &str) -> Reply {
    caller.with_token(token).request(Era::Modern, "tools/list", json!({})).await.unwrap()
}

#[tokio::test]
async fn every_token_that_is_not_ours_is_turned_away() {
    let clock = world::still();
    let (app, api) = world::with(world::at(&clock), OTHER).await;
    let alice = world::person(&app, "alice", "c");
    assert_eq!(alice.list().await.unwrap().len(), 3);
    let good = alice.token().to_owned();
    let claims = part(&good, 1);
    let again = |typ: &str, change: &dyn Fn(&mut Value)| {
        let mut claims = claims.clone();
        change(&mut claims);
        app.signing().sign(typ, claims.to_string().as_bytes(), clock.now()).unwrap()
    };
    // The same claims signed again are good: what follows fails for what was changed.
    assert_eq!(list(&alice, &again("at+jwt", &|_| {})).await.status, 200);

    let own = app.url();
    let now = clock.now() / 1000;
    let mut tokens = vec![
        ("nothing".to_owned(), String::new()),
        ("a word".to_owned(), "good".to_owned()),
        ("an ID token".to_owned(), again("JWT", &|claims| claims["aud"] = json!("c"))),
        ("typ JWT".to_owned(), again("JWT", &|_| {})),
        ("another audience".to_owned(), again("at+jwt", &|claims| claims["aud"] = json!(format!("{own}/mcp/other")))),
        (
            "two audiences".to_owned(),
            again("at+jwt", &|claims| claims["aud"] = json!([format!("{own}/mcp"), "https://evil.example"])),
        ),
        (
            "the audience with a slash".to_owned(),
            again("at+jwt", &|claims| claims["aud"] = json!(format!("{own}/mcp/"))),
        ),
        ("no audience".to_owned(), again("at+jwt", &|claims| drop(claims.as_object_mut().unwrap().remove("aud")))),
        ("another issuer".to_owned(), again("at+jwt", &|claims| claims["iss"] = json!(format!("{own}/as/other")))),
        (
            "the issuer with a slash".to_owned(),
            again("at+jwt", &|claims| claims["iss"] = json!(format!("{own}/as/default/"))),
        ),
        ("over".to_owned(), again("at+jwt", &|claims| claims["exp"] = json!(now - 3600))),
        ("of tomorrow".to_owned(), again("at+jwt", &|claims| claims["iat"] = json!(now + 3600))),
        ("without an end".to_owned(), again("at+jwt", &|claims| drop(claims.as_object_mut().unwrap().remove("exp")))),
        ("of nobody".to_owned(), again("at+jwt", &|claims| drop(claims.as_object_mut().unwrap().remove("sub")))),
        ("of somebody undeclared".to_owned(), again("at+jwt", &|claims| claims["sub"] = json!("mallory"))),
        ("unsigned".to_owned(), format!("{}.{}.", encoded(&json!({"alg": "none", "typ": "at+jwt"})), encoded(&claims))),
        (
            "of algorithm none with a signature".to_owned(),
            format!(
                "{}.{}.{}",
                encoded(&json!({"alg": "none", "typ": "at+jwt"})),
                encoded(&claims),
                good.split('.').next_back().unwrap()
            ),
        ),
    ];
    tokens.extend(Box::pin(forged(&app, &good)).await);
    let before = good.clone();
    for (what, token) in tokens {
        let answer = list(&alice, &token).await;
        if answer.status == 429 {
            // One source that goes on and on is told to wait; it did not get in either.
            continue;
        }
        turned_away(&answer, &what);
    }
    // A good one is as good as before.
    assert_eq!(list(&alice, &before).await.status, 200);
    assert!(api.seen().is_empty());
    app.stop().await.unwrap();
}

/// Tokens of one who has no key of ours, but everything that is public and a good token.
async fn forged(app: &TestApp, good: &str) -> Vec<(String, String)> {
    let (header, claims, own) = (part(good, 0), part(good, 1), app.url());
    let mut tokens = Vec::new();
    // Signed with what is public, and with somebody else's key under the name of ours.
    let published = app.web().get(&format!("{own}/as/default/jwks")).await.unwrap();
    let confused = Header {
        typ: Some("at+jwt".into()),
        kid: header["kid"].as_str().map(Into::into),
        ..Header::new(Algorithm::HS256)
    };
    for secret in [
        published.text(),
        published.json()["keys"][0].to_string(),
        published.json()["keys"][0]["x"].as_str().unwrap().to_owned(),
    ] {
        let token = jsonwebtoken::encode(&confused, &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap();
        tokens.push(("signed with what is public".to_owned(), token));
    }
    let (stranger, _api) = world::start().await;
    let foreign =
        stranger.signing().sign("at+jwt", claims.to_string().as_bytes(), stranger.live().clock().now()).unwrap();
    let renamed = [encoded(&header), foreign.split_once('.').unwrap().1.to_owned()].join(".");
    tokens.push(("of another deployment".to_owned(), foreign));
    tokens.push(("of another deployment under our key's name".to_owned(), renamed));
    // Changed at every place that matters.
    let pieces: Vec<&str> = good.split('.').collect();
    let mut bobs = claims.clone();
    bobs["sub"] = json!("bob");
    tokens.push(("with other claims".to_owned(), [pieces[0], &encoded(&bobs), pieces[2]].join(".")));
    tokens.push(("with a piece too many".to_owned(), format!("{good}.x")));
    tokens.push(("without its signature".to_owned(), [pieces[0], pieces[1], ""].join(".")));
    for at in (0..good.len()).step_by(7) {
        let mut bytes = good.to_owned().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        tokens.push((format!("altered at {at}"), String::from_utf8(bytes).unwrap()));
    }
    stranger.stop().await.unwrap();
    tokens
}

#[tokio::test]
async fn a_remembered_token_ends_on_time_and_serves_one_endpoint() {
    let clock = world::still();
    let (app, _api) = world::with(world::at(&clock), OTHER).await;
    let alice = world::person(&app, "alice", "c");
    let other = app.login(&Login { endpoint: "/mcp/other", toolsets: ORDINARY, ..Login::default() }).unwrap();
    assert_eq!((alice.list().await.unwrap().len(), other.list().await.unwrap().len()), (3, 3));
    for (caller, elsewhere) in [(&alice, &other), (&other, &alice)] {
        let answer = caller.at(elsewhere.url()).request(Era::Modern, "tools/list", json!({})).await.unwrap();
        turned_away(&answer, "another endpoint's token");
        assert!(answer.header("www-authenticate").contains(&format!("oauth-protected-resource{}", path(elsewhere))));
    }
    // Ten minutes, and no more than a minute of grace for clocks that differ.
    clock.advance(10 * 60_000 - 1_000);
    assert_eq!(alice.list().await.unwrap().len(), 3);
    clock.advance(61_000);
    let late = alice.call("list-things", json!({})).await.unwrap();
    turned_away(&late, "an expired token");
    assert!(late.header("www-authenticate").contains("error=\"invalid_token\""));
    app.stop().await.unwrap();
}

fn path(caller: &Caller) -> String {
    url::Url::parse(caller.url()).unwrap().path().to_owned()
}

#[tokio::test]
async fn a_token_stands_in_one_authorization_header_and_nowhere_else() {
    let (app, api) = world::start().await;
    let alice = world::person(&app, "alice", "c");
    let token = alice.token();
    for query in
        [format!("?access_token={token}"), format!("?a=b&access_token={token}"), format!("?access%5Ftoken={token}")]
    {
        for header in [None, Some(token)] {
            let mut request = alice.build(Era::Modern, "tools/list", json!({})).unwrap();
            *request.uri_mut() = format!("{}{query}", alice.url()).parse().unwrap();
            if header.is_none() {
                request.headers_mut().remove("authorization");
            }
            let answer = alice.send(request).await.unwrap();
            assert!([400, 401].contains(&answer.status.as_u16()), "{query}: {}", answer.text());
            assert!(!answer.text().contains(token) && !answer.header("www-authenticate").contains(token));
        }
    }
    for authorization in [
        format!("bearer{token}"),
        format!("Token {token}"),
        format!("Basic {}", STANDARD.encode(format!("alice:{token}"))),
        format!("DPoP {token}"),
        token.to_owned(),
        format!("Bearer {token}, Bearer {token}"),
        format!("Bearer \"{token}\""),
    ] {
        let mut request = alice.build(Era::Modern, "tools/list", json!({})).unwrap();
        request.headers_mut().insert("authorization", authorization.parse().unwrap());
        let answer = alice.send(request).await.unwrap();
        assert!([400, 401].contains(&answer.status.as_u16()), "{authorization}: {}", answer.text());
    }
    let mut twice = alice.build(Era::Modern, "tools/list", json!({})).unwrap();
    twice.headers_mut().append("authorization", format!("Bearer {token}").parse().unwrap());
    assert_eq!(alice.send(twice).await.unwrap().status, 400);
    let mut cookie = alice.build(Era::Modern, "tools/list", json!({})).unwrap();
    cookie.headers_mut().remove("authorization");
    cookie
        .headers_mut()
        .insert("cookie", format!("access_token={token}; Authorization=Bearer {token}").parse().unwrap());
    turned_away(&alice.send(cookie).await.unwrap(), "a cookie");
    let form = Request::post(alice.url())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from(format!("access_token={token}")))
        .unwrap();
    turned_away(&alice.send(form).await.unwrap(), "a form");
    assert!(api.seen().is_empty());
    app.stop().await.unwrap();
}

#[tokio::test]
async fn what_the_authorization_server_gives_beside_access_tokens_opens_nothing() {
    let (app, _api) = world::start().await;
    let application = Application::register(app.web(), &format!("{}/mcp", app.url())).await.unwrap();
    let mut browser = app.browser();
    password(&app, &mut browser, "alice").await;
    let page = browser.until_consent(&application, "mcp", "alice").await.unwrap();
    let code = browser.consent(&page, ORDINARY).await.unwrap();
    let alice = world::person(&app, "alice", "c");
    turned_away(&list(&alice, &code).await, "a code");
    let tokens = application.exchange(app.web(), &code).await.unwrap().json();
    assert_eq!(list(&alice, tokens["access_token"].as_str().unwrap()).await.status, 200);
    turned_away(&list(&alice, tokens["refresh_token"].as_str().unwrap()).await, "a refresh token");
    for cookie in browser.cookies.values() {
        turned_away(&list(&alice, cookie).await, "a login session");
    }
    assert!(tokens.get("id_token").is_none(), "{tokens}");
    // And an access token refreshes nothing.
    let refreshed = application.refresh(app.web(), tokens["access_token"].as_str().unwrap()).await.unwrap();
    assert_eq!((refreshed.status.as_u16(), &refreshed.json()["error"]), (400, &json!("invalid_grant")));
    app.stop().await.unwrap();
}

/// Sets the password of a declared account, as its owner does.
pub async fn password(app: &TestApp, browser: &mut ambit_testkit::app::Browser, account: &str) {
    let link: Value = serde_json::from_str(&world::ambit(app, &["account", "link", account, "--json"]).await).unwrap();
    browser.set_password(link["url"].as_str().unwrap()).await.unwrap();
}
