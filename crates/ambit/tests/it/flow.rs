//! The whole way of a person and a client that knows only a URL: challenge, metadata, registration, login, consent, tokens,
//! tools; and the ways it ends.

use ambit_testkit::app::{
    Application, Browser, Caller, Era, TestApp,
    browser::{PASSWORD, action, field},
};
use serde_json::{Value, json};

use crate::{
    tokens::password,
    world::{self, ORDINARY},
};

fn caller(app: &TestApp, tokens: &Value) -> Caller {
    Caller::new(app.web().clone(), format!("{}/mcp", app.url()), tokens["access_token"].as_str().unwrap().to_owned())
}

/// A person whose password is set, and an application that registered itself.
async fn arrive(app: &TestApp, name: &str) -> (Browser, Application) {
    let mut browser = app.browser();
    password(app, &mut browser, name).await;
    let application = Application::register(app.web(), &format!("{}/mcp", app.url())).await.unwrap();
    (browser, application)
}

#[tokio::test]
async fn one_url_leads_to_a_call_and_what_was_declined_is_hidden() {
    let (app, api) = world::start().await;
    let (mut browser, application) = arrive(&app, "alice").await;
    let page = browser.until_consent(&application, "mcp", "alice").await.unwrap();
    for shown in ["A test client", "Alice", "Make things", "127.0.0.1"] {
        assert!(page.text().contains(shown), "`{shown}` is not in {}", page.text());
    }
    // She is asked for what she holds: no more, and nothing that destroys.
    assert!(!page.text().contains("things-cleanup"), "{}", page.text());
    let code = browser.consent(&page, &["things-edit"]).await.unwrap();
    let tokens = application.exchange(app.web(), &code).await.unwrap().json();
    assert_eq!(
        (&tokens["token_type"], &tokens["expires_in"], &tokens["scope"]),
        (&json!("Bearer"), &json!(600), &json!("mcp toolset:things-edit"))
    );
    let mut alice = caller(&app, &tokens);
    alice.initialize().await.unwrap();
    for era in [Era::Modern, Era::Legacy] {
        assert_eq!(alice.list_in(era).await.unwrap(), ["create-thing", "get-thing", "list-things"]);
        let made = alice.call_in(era, "create-thing", json!({"name": "a"})).await.unwrap();
        assert_eq!(made.json()["result"]["isError"], json!(false), "{}", made.text());
    }
    assert_eq!(api.seen().len(), 2);

    // Another time she says no to it: then it is not there, whatever she holds.
    let mut again = app.browser();
    let page = again.until_consent(&application, "mcp", "alice").await.unwrap();
    let code = again.consent(&page, &[]).await.unwrap();
    let declined = caller(&app, &application.exchange(app.web(), &code).await.unwrap().json());
    assert!(declined.list().await.unwrap().is_empty());
    let (no, absent) = (
        declined.call("create-thing", json!({"name": "a"})).await.unwrap(),
        declined.call("createXthing", json!({"name": "a"})).await.unwrap(),
    );
    assert_eq!(no.text().replace("create-thing", ""), absent.text().replace("createXthing", ""));
    assert_eq!(api.seen().len(), 2);
    // The first connection is as it was.
    assert_eq!(alice.list().await.unwrap().len(), 3);

    let events = serde_json::to_string(&app.events().unwrap()).unwrap();
    for act in ["login", "consent", "family.start"] {
        assert!(events.contains(&format!("\"act\":\"{act}\"")), "no `{act}`");
    }
    for secret in [PASSWORD, alice.token(), tokens["refresh_token"].as_str().unwrap(), &code] {
        assert!(!events.contains(secret));
    }
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_refresh_goes_on_and_a_stolen_one_ends_everything_of_the_login() {
    let clock = world::still();
    let (app, _api) = world::with(world::at(&clock), "").await;
    let (mut browser, application) = arrive(&app, "alice").await;
    let first = browser.connect(&application, "alice", &["things-edit"]).await.unwrap();
    let text = |tokens: &Value, name: &str| tokens[name].as_str().unwrap().to_owned();
    clock.advance(11 * 60_000);
    assert_eq!(caller(&app, &first).request(Era::Modern, "tools/list", json!({})).await.unwrap().status, 401);
    let second = application.refresh(app.web(), &text(&first, "refresh_token")).await.unwrap();
    assert_eq!(second.status, 200, "{}", second.text());
    let second = second.json();
    assert_eq!(second["scope"], first["scope"]);
    assert_eq!(caller(&app, &second).list().await.unwrap().len(), 3);
    // A reply that was lost: the same once more gives an access token and nothing to refresh with.
    clock.advance(20_000);
    let lost = application.refresh(app.web(), &text(&first, "refresh_token")).await.unwrap();
    assert_eq!(lost.status, 200, "{}", lost.text());
    assert!(lost.json().get("refresh_token").is_none(), "{}", lost.text());
    let lost = lost.json();
    assert_eq!(caller(&app, &lost).list().await.unwrap().len(), 3);
    // Somebody else with an old one: all of the login ends, on the next request.
    clock.advance(40_000);
    let stolen = application.refresh(app.web(), &text(&first, "refresh_token")).await.unwrap();
    assert_eq!((stolen.status.as_u16(), &stolen.json()["error"]), (400, &json!("invalid_grant")));
    for dead in [&second, &lost] {
        assert_eq!(caller(&app, dead).request(Era::Modern, "tools/list", json!({})).await.unwrap().status, 401);
    }
    let after = application.refresh(app.web(), &text(&second, "refresh_token")).await.unwrap();
    assert_eq!((after.status.as_u16(), &after.json()["error"]), (400, &json!("invalid_grant")));
    // A new consent is a new login.
    clock.advance(1_000);
    let anew = browser.connect(&application, "alice", &["things-edit"]).await.unwrap();
    assert_eq!(caller(&app, &anew).list().await.unwrap().len(), 3);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_code_serves_once_and_a_replay_takes_back_what_it_gave() {
    let (app, _api) = world::start().await;
    let (mut browser, application) = arrive(&app, "alice").await;
    let page = browser.until_consent(&application, "mcp", "alice").await.unwrap();
    let code = browser.consent(&page, &["things-edit"]).await.unwrap();
    let tokens = application.exchange(app.web(), &code).await.unwrap().json();
    let alice = caller(&app, &tokens);
    assert_eq!(alice.list().await.unwrap().len(), 3);
    let replayed = application.exchange(app.web(), &code).await.unwrap();
    assert_eq!((replayed.status.as_u16(), &replayed.json()["error"]), (400, &json!("invalid_grant")));
    assert_eq!(alice.request(Era::Modern, "tools/list", json!({})).await.unwrap().status, 401);
    // Nor does the page serve twice.
    let (csrf, request) = (field(&page, "csrf").unwrap(), field(&page, "request").unwrap());
    let form = [("csrf", csrf.as_str()), ("request", &request), ("decision", "allow"), ("toolset", "things-edit")];
    let twice = browser.submit(&action(&page).unwrap(), &form).await.unwrap();
    assert!(!twice.header("location").contains("code="), "{}", twice.header("location"));
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_missing_scope_is_said_and_can_be_added() {
    let (app, api) = world::start().await;
    world::ambit(&app, &["grant", "--user", "alice", "--toolset", "things-read", "--for", "1d", "--reason", "r"]).await;
    let (mut browser, application) = arrive(&app, "alice").await;
    // Asked for one toolset, she was asked about that one.
    let page = browser.until_consent(&application, "mcp toolset:things-read", "alice").await.unwrap();
    assert!(!page.text().contains("Make things"), "{}", page.text());
    let code = browser.consent(&page, &["things-read"]).await.unwrap();
    let read = application.exchange(app.web(), &code).await.unwrap().json();
    assert_eq!(read["scope"], "mcp toolset:things-read");
    let alice = caller(&app, &read);
    // What lacks only the scope is listed, and the challenge names all that is needed; a real client goes with it.
    assert!(alice.list().await.unwrap().contains(&"create-thing".to_owned()));
    let refused = alice.call("create-thing", json!({"name": "x"})).await.unwrap();
    assert_eq!(refused.status, 403, "{}", refused.text());
    let challenge = refused.header("www-authenticate").to_owned();
    assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
    let scope = challenge.split("scope=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(scope, "mcp toolset:things-edit toolset:things-read");
    assert!(api.seen().is_empty());
    let page = browser.until_consent(&application, scope, "alice").await.unwrap();
    let code = browser.consent(&page, ORDINARY).await.unwrap();
    let more = caller(&app, &application.exchange(app.web(), &code).await.unwrap().json());
    let made = more.call("create-thing", json!({"name": "x"})).await.unwrap();
    assert_eq!(made.json()["result"]["isError"], json!(false), "{}", made.text());
    assert_eq!(api.seen().len(), 1);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn what_was_offered_and_left_out_is_no_missing_scope() {
    let (app, api) = world::start().await;
    world::ambit(&app, &["grant", "--user", "alice", "--toolset", "things-read", "--for", "1d", "--reason", "r"]).await;
    let (mut browser, application) = arrive(&app, "alice").await;
    let page = browser.until_consent(&application, "mcp", "alice").await.unwrap();
    assert!(page.text().contains("Make things"), "{}", page.text());
    let code = browser.consent(&page, &["things-read"]).await.unwrap();
    let alice = caller(&app, &application.exchange(app.web(), &code).await.unwrap().json());
    assert_eq!(alice.list().await.unwrap(), ["get-thing", "list-things"]);
    let refused = alice.call("create-thing", json!({"name": "x"})).await.unwrap();
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["error"]["code"]),
        (200, &json!(-32602)),
        "{}",
        refused.text()
    );
    assert_eq!(refused.header("www-authenticate"), "");
    assert!(api.seen().is_empty());
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_person_changes_and_ends_a_connection() {
    let (app, _api) = world::start().await;
    world::ambit(&app, &["grant", "--user", "alice", "--toolset", "things-read", "--for", "1d", "--reason", "r"]).await;
    let (mut browser, application) = arrive(&app, "alice").await;
    let tokens = browser.connect(&application, "alice", ORDINARY).await.unwrap();
    let alice = caller(&app, &tokens);
    assert_eq!(alice.list().await.unwrap().len(), 3);
    let page = browser.open("/clients").await.unwrap();
    assert!(page.text().contains("A test client"), "{}", page.text());
    let csrf = field(&page, "csrf").unwrap();
    let connection = page
        .text()
        .split("action=\"")
        .find(|rest| rest.starts_with("/clients/"))
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    browser.submit(&connection, &[("csrf", &csrf), ("do", "save"), ("toolset", "things-read")]).await.unwrap();
    // What was issued stands until the next refresh, within ten minutes.
    assert_eq!(alice.list().await.unwrap().len(), 3);
    let next = application.refresh(app.web(), tokens["refresh_token"].as_str().unwrap()).await.unwrap().json();
    assert_eq!(next["scope"], "mcp toolset:things-read");
    let narrowed = caller(&app, &next);
    assert_eq!(narrowed.list().await.unwrap(), ["get-thing", "list-things"]);
    // The end counts at once.
    let page = browser.open("/clients").await.unwrap();
    let csrf = field(&page, "csrf").unwrap();
    browser.submit(&connection, &[("csrf", &csrf), ("do", "end")]).await.unwrap();
    for ended in [&alice, &narrowed] {
        assert_eq!(ended.request(Era::Modern, "tools/list", json!({})).await.unwrap().status, 401);
    }
    app.stop().await.unwrap();
}

#[tokio::test]
async fn an_operators_revocation_ends_tokens_login_and_what_is_under_way() {
    let clock = world::still();
    let (app, _api) = world::with(world::at(&clock), "").await;
    let (mut browser, application) = arrive(&app, "alice").await;
    let tokens = browser.connect(&application, "alice", &["things-edit"]).await.unwrap();
    let page = browser.until_consent(&application, "mcp", "alice").await.unwrap();
    let code = browser.consent(&page, &["things-edit"]).await.unwrap();
    let waiting = browser.until_consent(&application, "mcp", "alice").await.unwrap();
    clock.advance(2_000);
    world::ambit(&app, &["revoke", "user", "alice", "--reason", "laptop lost"]).await;
    assert_eq!(caller(&app, &tokens).request(Era::Modern, "tools/list", json!({})).await.unwrap().status, 401);
    for dead in [
        application.exchange(app.web(), &code).await.unwrap(),
        application.refresh(app.web(), tokens["refresh_token"].as_str().unwrap()).await.unwrap(),
    ] {
        assert_eq!((dead.status.as_u16(), &dead.json()["error"]), (400, &json!("invalid_grant")), "{}", dead.text());
    }
    assert!(browser.consent(&waiting, &["things-edit"]).await.is_err());
    assert!(browser.open("/clients").await.unwrap().header("location").starts_with("/login"));
    // A new login is possible.
    clock.advance(2_000);
    let anew = app.browser().connect(&application, "alice", &["things-edit"]).await.unwrap();
    assert_eq!(caller(&app, &anew).list().await.unwrap().len(), 3);
    // A block is not.
    world::ambit(&app, &["block", "user", "alice", "--reason", "left"]).await;
    assert!(app.browser().connect(&application, "alice", &["things-edit"]).await.is_err());
    assert_eq!(caller(&app, &anew).request(Era::Modern, "tools/list", json!({})).await.unwrap().status, 401);
    let refreshed = application.refresh(app.web(), anew["refresh_token"].as_str().unwrap()).await.unwrap();
    assert_eq!(refreshed.status, 400, "{}", refreshed.text());
    app.stop().await.unwrap();
}

/// A client renews its tokens by itself. That is no new login: what was revoked stays away until the person connects it anew.
#[tokio::test]
async fn a_refresh_does_not_undo_a_revocation() {
    let clock = world::still();
    let (app, api) = world::with(world::at(&clock), "").await;
    let (mut browser, application) = arrive(&app, "alice").await;
    let refresh =
        async |tokens: &Value| application.refresh(app.web(), tokens["refresh_token"].as_str().unwrap()).await.unwrap();
    for (kind, id, left) in
        [("tool", "things/create-thing", &["get-thing", "list-things"][..]), ("server", "things", &[][..])]
    {
        let first = browser.connect(&application, "alice", &["things-edit"]).await.unwrap();
        clock.advance(1_500);
        world::ambit(&app, &["revoke", kind, id, "--reason", "incident"]).await;
        let mut tokens = first;
        for round in 0..3 {
            let caller = caller(&app, &tokens);
            assert_eq!(caller.list().await.unwrap(), left, "{kind} {id}, round {round}");
            let answer = caller.call("create-thing", json!({"name": "x"})).await.unwrap();
            assert_eq!(answer.json()["error"]["code"], -32602, "{kind} {id}, round {round}: {}", answer.text());
            clock.advance(60_000);
            let next = refresh(&tokens).await;
            assert_eq!(next.status, 200, "{}", next.text());
            tokens = next.json();
        }
        let anew = browser.connect(&application, "alice", &["things-edit"]).await.unwrap();
        assert_eq!(caller(&app, &anew).list().await.unwrap().len(), 3, "{kind} {id}");
    }
    let first = browser.connect(&application, "alice", &["things-edit"]).await.unwrap();
    clock.advance(1_500);
    world::ambit(&app, &["revoke", "endpoint", "default", "--reason", "incident"]).await;
    assert_eq!(refresh(&first).await.status, 400);
    clock.advance(1);
    let anew = browser.connect(&application, "alice", &["things-edit"]).await.unwrap();
    assert_eq!(caller(&app, &anew).list().await.unwrap().len(), 3);
    assert!(api.seen().is_empty());
    app.stop().await.unwrap();
}

/// Refreshes and the revocation wait for one another's turn to write, and a second passes meanwhile: whatever comes of it is
/// dead once the operator is told so.
#[tokio::test]
async fn no_refresh_overtakes_an_operators_revocation() {
    let clock = world::still();
    let (app, _api) = world::with(world::at(&clock), "").await;
    let (mut browser, application) = arrive(&app, "alice").await;
    for scope in [["user", "alice"], ["client", &application.id], ["endpoint", "default"]] {
        let mut connected = Vec::new();
        for _ in 0..4 {
            connected.push(browser.connect(&application, "alice", &["things-edit"]).await.unwrap());
        }
        clock.advance(1_500);
        let turn = app.live().store().begin().await.unwrap();
        let under_way: Vec<_> = connected
            .into_iter()
            .map(|tokens| {
                let (web, application) = (app.web().clone(), application.clone());
                tokio::spawn(async move {
                    let token = tokens["refresh_token"].as_str().unwrap();
                    (application.refresh(&web, token).await.unwrap(), tokens)
                })
            })
            .collect();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let release = async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            clock.advance(1_500);
            drop(turn);
        };
        let act = json!({"act": "revoke", "scope": scope, "reason": "laptop lost"});
        let act: ambit::operator::Act = serde_json::from_value(act).unwrap();
        let (revoked, ()) = tokio::join!(app.act(&act), release);
        assert!(matches!(revoked.unwrap(), ambit::operator::socket::Answer::Done(_)), "{scope:?}");
        let mut dead = Vec::new();
        for refresh in under_way {
            let (answer, before) = refresh.await.unwrap();
            dead.extend((answer.status == 200).then(|| answer.json()));
            dead.push(before);
        }
        // The access tokens first: a refresh that is refused ends its family, and those with it.
        for tokens in &dead {
            let answer = caller(&app, tokens).request(Era::Modern, "tools/list", json!({})).await.unwrap();
            assert_eq!(answer.status, 401, "{scope:?}");
        }
        for tokens in &dead {
            let again = application.refresh(app.web(), tokens["refresh_token"].as_str().unwrap()).await.unwrap();
            assert_eq!(again.status, 400, "{scope:?}");
        }
        clock.advance(1_000);
    }
    app.stop().await.unwrap();
}

/// What is issued for one endpoint is nothing at another, also at the authorization server.
#[tokio::test]
async fn an_issuer_serves_its_own_endpoint() {
    let more = "[[endpoints]]\npath = \"/mcp/other\"\nservers = [\"things\"]\n";
    let (app, _api) = world::with(ambit_testkit::app::Given::default(), more).await;
    let (mut browser, application) = arrive(&app, "alice").await;
    let other = Application::register(app.web(), &format!("{}/mcp/other", app.url())).await.unwrap();
    assert_ne!(application.issuer, other.issuer);
    let tokens = browser.connect(&other, "alice", &["things-edit"]).await.unwrap();
    let there = caller(&app, &tokens).at(&other.resource);
    assert_eq!(there.list().await.unwrap().len(), 3);
    assert_eq!(
        there.at(&application.resource).request(Era::Modern, "tools/list", json!({})).await.unwrap().status,
        401
    );
    // Another endpoint as `resource`, and a client of the other issuer.
    let wrong = Application { resource: other.resource.clone(), ..application.clone() };
    let refused = browser.open(&wrong.authorize_url("mcp").unwrap()).await.unwrap();
    assert!(
        refused.header("location").contains("error=invalid_target"),
        "{} {}",
        refused.status,
        refused.header("location")
    );
    let foreign = Application { id: other.id.clone(), ..application.clone() };
    let refused = browser.open(&foreign.authorize_url("mcp").unwrap()).await.unwrap();
    assert!(refused.status.is_client_error() && refused.header("location").is_empty(), "{}", refused.status);
    let crossed = application.refresh(app.web(), tokens["refresh_token"].as_str().unwrap()).await.unwrap();
    assert_eq!(crossed.status, 400, "{}", crossed.text());
    app.stop().await.unwrap();
}

/// A login of a person at a client can be ended by its family, which the trail names.
#[tokio::test]
async fn one_login_is_revoked_alone() {
    let clock = world::still();
    let (app, _api) = world::with(world::at(&clock), "").await;
    let (mut browser, application) = arrive(&app, "alice").await;
    let first = browser.connect(&application, "alice", &["things-edit"]).await.unwrap();
    let started = app.events().unwrap().into_iter().rfind(|event| event["act"] == "family.start").unwrap();
    let family = started["subject"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned();
    clock.advance(1_000);
    let second = browser.connect(&application, "alice", &["things-edit"]).await.unwrap();
    clock.advance(1_000);
    world::ambit(&app, &["revoke", "family", &family, "--reason", "that laptop"]).await;
    assert_eq!(caller(&app, &first).request(Era::Modern, "tools/list", json!({})).await.unwrap().status, 401);
    let refreshed = application.refresh(app.web(), first["refresh_token"].as_str().unwrap()).await.unwrap();
    assert_eq!(refreshed.status, 400, "{}", refreshed.text());
    assert_eq!(caller(&app, &second).list().await.unwrap().len(), 3);
    app.stop().await.unwrap();
}

/// What operators allow for upstreams does not let strangers make the gateway ask addresses of the inside.
#[tokio::test]
async fn a_client_document_at_an_inside_address_is_not_fetched() {
    let (app, _api) = world::start().await;
    let inside = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = inside.local_addr().unwrap().port();
    let (mut browser, application) = arrive(&app, "alice").await;
    for id in [
        format!("https://127.0.0.1:{port}/client.json"),
        format!("https://localhost:{port}/client.json"),
        format!("http://127.0.0.1:{port}/client.json"),
        format!("https://[::1]:{port}/client.json"),
        format!("https://[::ffff:127.0.0.1]:{port}/client.json"),
        format!("https://0x7f000001:{port}/client.json"),
        format!("https://2130706433:{port}/client.json"),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://10.0.0.1/client.json".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        let stranger = Application { id: id.clone(), ..application.clone() };
        let refused = browser.open(&stranger.authorize_url("mcp").unwrap()).await.unwrap();
        assert!(refused.status.is_client_error() && refused.header("location").is_empty(), "{id}: {}", refused.status);
    }
    let nobody = std::future::poll_fn(|context| match inside.poll_accept(context) {
        std::task::Poll::Ready(came) => std::task::Poll::Ready(Some(came)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    });
    assert!(nobody.await.is_none(), "somebody came");
    app.stop().await.unwrap();
}

/// A page of somebody else sends a form with the person's cookies: it comes from the wrong place and lacks the token.
#[tokio::test]
async fn another_site_cannot_agree_for_a_person() {
    let (app, _api) = world::start().await;
    let (mut browser, application) = arrive(&app, "alice").await;
    let page = browser.until_consent(&application, "mcp", "alice").await.unwrap();
    let request = field(&page, "request").unwrap();
    let cookies: Vec<String> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let forged = |origin: Option<&str>, csrf: &str| {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("csrf", csrf), ("request", &request), ("decision", "allow"), ("toolset", "things-edit")])
            .finish();
        let mut form = http::Request::post(format!("{}{}", app.url(), action(&page).unwrap()))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("cookie", cookies.join("; "));
        if let Some(origin) = origin {
            form = form.header("origin", origin);
        }
        app.web().send(form.body(http_body_util::Full::from(body)).unwrap())
    };
    let csrf = field(&page, "csrf").unwrap();
    for (origin, csrf) in [
        (Some("https://evil.example"), csrf.as_str()),
        (Some("null"), ""),
        (None, ""),
        (None, "invented"),
        (Some("null"), "invented"),
    ] {
        let answer = forged(origin, csrf).await.unwrap();
        assert!(answer.status.is_client_error(), "{origin:?} {csrf}: {}", answer.status);
        assert!(!answer.header("location").contains("code="), "{origin:?} {csrf}");
    }
    // With a person's own page it goes through.
    assert!(!browser.consent(&page, &["things-edit"]).await.unwrap().is_empty());
    app.stop().await.unwrap();
}

/// A reveal is for a person at a client: the one that registered itself and was agreed to, and no other.
#[tokio::test]
async fn a_reveal_reaches_the_client_it_names() {
    let (app, api) = world::start().await;
    let (mut browser, application) = arrive(&app, "alice").await;
    let other = Application::register(app.web(), &format!("{}/mcp", app.url())).await.unwrap();
    world::reveal(&app, &application.id).await;
    let page = browser.until_consent(&application, "mcp", "alice").await.unwrap();
    assert!(page.text().contains("Delete things"), "{}", page.text());
    let code = browser.consent(&page, &["things-edit", "things-cleanup"]).await.unwrap();
    let named = caller(&app, &application.exchange(app.web(), &code).await.unwrap().json());
    assert!(named.list().await.unwrap().contains(&"delete-thing".to_owned()));
    api.answers(204, "");
    let deleted = named.call("delete-thing", json!({"id": "1"})).await.unwrap();
    assert_eq!(deleted.json()["result"]["isError"], json!(false), "{}", deleted.text());
    let page = browser.until_consent(&other, "mcp toolset:things-cleanup", "alice").await.unwrap();
    assert!(!page.text().contains("Delete things"), "{}", page.text());
    // Nothing that was asked for can be offered; ticked by hand it is not there either.
    let code = browser.consent(&page, &["things-edit", "things-cleanup"]).await.unwrap();
    let tokens = other.exchange(app.web(), &code).await.unwrap().json();
    assert_eq!(tokens["scope"], "mcp");
    let unnamed = caller(&app, &tokens);
    assert!(!unnamed.list().await.unwrap().contains(&"delete-thing".to_owned()));
    assert_eq!(unnamed.call("delete-thing", json!({"id": "1"})).await.unwrap().json()["error"]["code"], -32602);
    assert_eq!(api.seen(), ["DELETE /things/1"]);
    app.stop().await.unwrap();
}
