//! The admin API through its real door: who gets in, what each route refuses, and that what is done counts at once.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};

use ambit::admin::{ROUTES, Route, routes::Takes};
use ambit_live::clock::Clock;
use ambit_model::{
    grant::Reveal,
    ids::{ClientId, GrantId, ToolsetSlug, UserKey},
};
use ambit_store::{broken_glass, reveals};
use ambit_testkit::app::{Application, Browser, Era, Given, Reply, TestApp, browser::field};
use http::{Request, header};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::world::{self, Api, ambit};

/// People of every role, and one of none.
const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dora", "eve"];

/// A second server, whose owner is nobody here; and who has which role.
fn more(api: &Api) -> String {
    format!(
        r#"
[admin]
listen = "{{admin}}"

[servers.other]
openapi = "things.json"
base_url = "http://{}"
owner = "Team Other"
purpose = "tests"
environment = "test"
data_class = "internal"
expires = 2099-01-01
revoke_when = "the tests are over"

[toolsets.others]
tools = ["other/*"]

[accounts.dora]
[accounts.eve]
email = "eve@example.com"
[accounts.bob-again]
email = "bob@example.com"

[[operator.roles]]
person = "alice"
roles = ["admin"]

[[operator.roles]]
person = "bob"
roles = ["owner"]
servers = ["things"]

[[operator.roles]]
person = "carol"
roles = ["approver"]

[[operator.roles]]
person = "dora"
roles = ["auditor"]
"#,
        api.address
    )
}

fn text(api: &Api) -> String {
    let text = world::config_with(api.address, "approvers = [\"user carol\"]\n") + &more(api);
    text.replace("name = \"Bob\"", "name = \"Bob\"\nemail = \"Bob@example.com\"")
}

async fn start(clock: Option<&Clock>) -> (TestApp, Api) {
    let api = Api::start().await;
    let directory = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("things.json"), world::DOCUMENT).unwrap();
    let given = clock.map_or_else(Given::default, world::at);
    let given = Given { directory: Some(directory), ..given };
    let app = TestApp::with(&text(&api), given).await.unwrap();
    // Whoever was never given a link has no account yet, and is nobody.
    for name in PEOPLE {
        ambit(&app, &["account", "link", name]).await;
    }
    (app, api)
}

/// The built-in client, on its way to a token.
fn command_line(app: &TestApp) -> Application {
    Application {
        id: "ambit-cli".into(),
        issuer: format!("{}/as/ambit-admin", app.url()),
        resource: app.admin_url().unwrap(),
    }
}

/// A browser whose person has a password.
async fn browser(app: &TestApp, name: &str) -> Browser {
    let link: Value = serde_json::from_str(&ambit(app, &["account", "--json", "link", name]).await).unwrap();
    let mut browser = app.browser();
    browser.set_password(link["url"].as_str().unwrap()).await.unwrap();
    browser
}

async fn token(app: &TestApp, name: &str) -> String {
    let tokens = browser(app, name).await.connect(&command_line(app), name, &[]).await.unwrap();
    assert_eq!(tokens["scope"], "ambit-admin");
    assert_eq!(tokens["expires_in"], 900);
    assert!(tokens.get("refresh_token").is_none(), "{tokens}");
    tokens["access_token"].as_str().unwrap().to_owned()
}

struct Ask<'a> {
    method: &'a str,
    path: &'a str,
    token: Option<&'a str>,
    body: Option<String>,
    headers: Vec<(&'a str, &'a str)>,
}

fn get<'a>(path: &'a str, token: &'a str) -> Ask<'a> {
    Ask { method: "GET", path, token: Some(token), body: None, headers: Vec::new() }
}

fn delete<'a>(path: &'a str, token: &'a str) -> Ask<'a> {
    Ask { method: "DELETE", ..get(path, token) }
}

fn post<'a>(path: &'a str, token: &'a str, body: &Value) -> Ask<'a> {
    let headers = vec![("content-type", "application/json")];
    Ask { method: "POST", path, token: Some(token), body: Some(body.to_string()), headers }
}

async fn ask(app: &TestApp, ask: Ask<'_>) -> Reply {
    let mut request = Request::builder().method(ask.method).uri(format!("{}{}", app.admin_url().unwrap(), ask.path));
    if let Some(token) = ask.token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    for (name, value) in ask.headers {
        request = request.header(name, value);
    }
    let body = ask.body.map_or_else(Full::default, Full::from);
    let reply = app.web().send(request.body(body).unwrap()).await.unwrap();
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    assert!(!reply.headers.contains_key("access-control-allow-origin"));
    if !reply.status.is_success() {
        assert_eq!(reply.header("content-type"), "application/problem+json", "{}", reply.text());
        assert_eq!(reply.json()["status"], reply.status.as_u16());
        assert!(reply.json()["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    }
    reply
}

fn grant(kind: &str, name: &str, toolset: &str) -> Value {
    json!({ "holder": { "kind": kind, "name": name }, "toolset": toolset, "reason": "because" })
}

/// A request that a route understands; what it names need not be there.
fn example(route: &Route) -> (String, Option<Value>) {
    let path = route.path.replace("{id}", "none");
    match (route.method, route.path) {
        ("POST", "/v1/grants") => (path, Some(grant("group", "readers", "things-read"))),
        ("DELETE", "/v1/grants/{id}") => (format!("{path}?reason=over"), None),
        ("POST", "/v1/reveals") => {
            let reveal = json!({
                "user": "eve", "client": "c", "toolset": "things-cleanup", "reason": "clean up", "life": "1h",
            });
            (path, Some(reveal))
        }
        ("POST", "/v1/approvals/{id}/decision") => (path, Some(json!({ "says": "yes" }))),
        ("POST", "/v1/revocations" | "/v1/blocks") => {
            (path, Some(json!({ "scope": { "kind": "tool", "id": "things/list-things" }, "reason": "r" })))
        }
        ("DELETE", "/v1/blocks") => (format!("{path}?kind=tool&id=things/list-things&reason=r"), None),
        ("POST", "/v1/break-glass/{id}/review") => (path, Some(json!({ "says": "it had to be" }))),
        ("GET", _) => (path, None),
        other => panic!("no example of {other:?}"),
    }
}

fn ask_of<'a>(route: &Route, path: &'a str, token: Option<&'a str>, body: Option<&Value>) -> Ask<'a> {
    let headers = if body.is_some() { vec![("content-type", "application/json")] } else { Vec::new() };
    Ask { method: route.method, path, token, body: body.map(ToString::to_string), headers }
}

/// Claims of a good token for alice, for a test to spoil.
fn claims(app: &TestApp) -> Value {
    let now = app.live().clock().now();
    json!({
        "iss": format!("{}/as/ambit-admin", app.url()),
        "aud": app.admin_url().unwrap(),
        "sub": "local:alice",
        "sub_profile": "ambit_operator",
        "client_id": "ambit-cli",
        "scope": "ambit-admin",
        "sid": "a-family",
        "auth_time": now / 1000,
        "login_ms": now,
        "authorized_ms": now,
        "iat": now / 1000,
        "exp": now / 1000 + 900,
        "jti": "a-token",
    })
}

fn signed(app: &TestApp, spoil: impl FnOnce(&mut Value)) -> String {
    let mut claims = claims(app);
    spoil(&mut claims);
    app.signing().sign("at+jwt", claims.to_string().as_bytes(), app.live().clock().now()).unwrap()
}

#[tokio::test]
async fn what_a_person_grants_counts_on_the_next_request_and_stands_in_the_trail_with_their_name() {
    let (app, _api) = start(None).await;
    let alice = token(&app, "alice").await;
    let eve = world::person(&app, "eve", "c");
    assert!(eve.list().await.unwrap().is_empty());
    let made = ask(&app, post("/v1/grants", &alice, &grant("user", "eve", "things-read"))).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(eve.list().await.unwrap(), ["get-thing", "list-things"]);
    let id = made.json()["result"]["id"].as_str().unwrap().to_owned();

    let listed = ask(&app, get("/v1/grants?holder_kind=user&holder=eve", &alice)).await.json();
    assert_eq!(listed["grants"][0]["id"], id.as_str());
    assert_eq!(listed["grants"][0]["created_by"], "user local:alice");
    assert_eq!(listed["grants"].as_array().unwrap().len(), 1);

    let path = format!("/v1/grants/{id}?reason=over");
    let ended = ask(&app, delete(&path, &alice)).await;
    assert_eq!(ended.status, 200, "{}", ended.text());
    assert!(eve.list().await.unwrap().is_empty());
    assert_eq!(ask(&app, delete(&path, &alice)).await.status, 404, "it is over already");

    let acts: Vec<_> = app.events().unwrap().into_iter().filter(|event| event["event"] == "act").collect();
    let of = |act: &str| acts.iter().find(|event| event["act"] == act).unwrap_or_else(|| panic!("no {act}"));
    for act in ["login", "consent", "family.start", "grant.create", "grant.end"] {
        assert_eq!(of(act)["by"], "user local:alice", "{act}");
    }
    assert_eq!(of("family.start")["after"]["client"], "ambit-cli");
    let text = serde_json::to_string(&acts).unwrap();
    assert!(!text.contains(&alice));
    app.stop().await.unwrap();
}

#[tokio::test]
async fn every_route_refuses_whoever_does_not_prove_who_they_are() {
    let (app, _api) = start(None).await;
    let mcp = world::person(&app, "alice", "c");
    let minted: Value = serde_json::from_str(&ambit(&app, &["token", "--json", "--user", "alice"]).await).unwrap();
    let now = app.live().clock().now();
    let other_port = app.admin_url().unwrap() + "0";
    let wrong = [
        ("a token of an endpoint", mcp.token().to_owned()),
        ("a token of `ambit token`", minted["access_token"].as_str().unwrap().to_owned()),
        ("an expired one", signed(&app, |claims| claims["exp"] = (now / 1000).into())),
        ("of another issuer", signed(&app, |claims| claims["iss"] = format!("{}/as/default", app.url()).into())),
        ("for an endpoint", signed(&app, |claims| claims["aud"] = format!("{}/mcp", app.url()).into())),
        ("for another port", signed(&app, |claims| claims["aud"] = other_port.as_str().into())),
        ("for two", signed(&app, |claims| claims["aud"] = json!([app.admin_url().unwrap(), "https://b.example"]))),
        ("of another scope", signed(&app, |claims| claims["scope"] = "mcp".into())),
        ("of more scopes", signed(&app, |claims| claims["scope"] = "mcp ambit-admin".into())),
        ("of another client", signed(&app, |claims| claims["client_id"] = "app".into())),
        ("of a user", signed(&app, |claims| claims["sub_profile"] = "user".into())),
        ("of an actor", signed(&app, |claims| claims["act"] = json!({ "sub": "operator:root" }))),
        ("of another issuer's person", signed(&app, |claims| claims["sub"] = "okta:alice".into())),
        ("of nobody", signed(&app, |claims| claims["sub"] = "local:mallory".into())),
        ("without an authorization", signed(&app, |claims| drop(claims.as_object_mut().unwrap().remove("sid")))),
        ("unsigned", format!("{}x", signed(&app, |_| {}))),
        ("no token", "invented".to_owned()),
    ];
    for route in ROUTES.iter().filter(|route| !route.is_public()) {
        let (path, body) = example(route);
        let name = format!("{} {path}", route.method);
        let nothing = ask(&app, ask_of(route, &path, None, body.as_ref())).await;
        assert_eq!(nothing.status, 401, "{name}");
        let challenge = nothing.header("www-authenticate");
        let metadata =
            format!("resource_metadata=\"{}/.well-known/oauth-protected-resource\"", app.admin_url().unwrap());
        assert!(challenge.contains(&metadata) && challenge.contains("scope=\"ambit-admin\""), "{name}: {challenge}");
        for (what, token) in &wrong {
            let refused = ask(&app, ask_of(route, &path, Some(token), body.as_ref())).await;
            assert_eq!(refused.status, 401, "{name} with {what}: {}", refused.text());
            assert!(refused.header("www-authenticate").contains("error=\"invalid_token\""), "{name} with {what}");
            assert!(!refused.text().contains(token.as_str()));
        }
        let good = signed(&app, |_| {});
        let with = |headers: &[(&'static str, &'static str)]| {
            let mut ask = ask_of(route, &path, Some(&good), body.as_ref());
            ask.headers.extend_from_slice(headers);
            ask
        };
        for host in ["evil.example", "127.0.0.1", "localhost:1"] {
            assert_eq!(ask(&app, with(&[("host", host)])).await.status, 421, "{name} as {host}");
        }
        for origin in ["https://evil.example", "null"] {
            assert_eq!(ask(&app, with(&[("origin", origin)])).await.status, 403, "{name} from {origin}");
        }
        assert_eq!(ask(&app, with(&[("authorization", "Bearer b")])).await.status, 400, "{name} with two tokens");
        let separator = if path.contains('?') { '&' } else { '?' };
        let leaked = format!("{path}{separator}access_token={good}");
        assert_eq!(ask(&app, ask_of(route, &leaked, None, body.as_ref())).await.status, 400, "{name} in the query");
    }
    let counted = app.live().recorder().flush_refusals(true).await;
    counted.unwrap();
    let refusals: Vec<_> = app.events().unwrap().into_iter().filter(|event| event["event"] != "act").collect();
    assert!(serde_json::to_string(&refusals).unwrap().contains("wrong_audience"));
    assert!(ask(&app, get("/v1/grants", &signed(&app, |_| {}))).await.status.is_success(), "the good one is good");
    app.stop().await.unwrap();
}

#[tokio::test]
async fn every_route_takes_its_role() {
    let (app, _api) = start(None).await;
    let mut table = String::new();
    for route in ROUTES.iter().filter(|route| !route.is_public()) {
        let (path, body) = example(route);
        write!(table, "{:<7}{:<32}", route.method, route.path).unwrap();
        for name in PEOPLE {
            let token = signed(&app, |claims| claims["sub"] = format!("local:{name}").into());
            let answer = ask(&app, ask_of(route, &path, Some(&token), body.as_ref())).await;
            write!(table, "{name} {:<5}", answer.status.as_u16()).unwrap();
            if name == "eve" {
                assert_eq!(answer.json()["type"], "urn:ambit:problem:no-role", "{} {path}", route.method);
            }
            if answer.status.is_success() {
                assert_eq!(answer.status.as_u16(), route.status(), "{} {path}", route.method);
                (route.gives.fits)(answer.json()).unwrap_or_else(|why| panic!("{} {path}: {why}", route.method));
            }
        }
        table.truncate(table.trim_end().len());
        table.push('\n');
    }
    insta::assert_snapshot!(table);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn nobody_gives_anything_to_themselves_and_no_owner_reaches_the_servers_of_others() {
    let (app, _api) = start(None).await;
    let of = |name: &str| signed(&app, |claims| claims["sub"] = format!("local:{name}").into());
    let (alice, bob) = (of("alice"), of("bob"));
    let reveal =
        |user: &str| json!({"user": user, "client": "c", "toolset": "things-cleanup", "reason": "r", "life": "1h"});
    let mut said = String::new();
    for (token, path, body) in [
        (&alice, "/v1/grants", grant("user", "alice", "things-read")),
        (&alice, "/v1/grants", grant("group", "editors", "things-cleanup")),
        (&alice, "/v1/reveals", reveal("alice")),
        (&bob, "/v1/grants", grant("user", "bob", "things-edit")),
        (&bob, "/v1/grants", grant("user", "bob-again", "things-edit")),
        (&bob, "/v1/grants", grant("group", "readers", "things-edit")),
        (&bob, "/v1/reveals", reveal("bob-again")),
        (&bob, "/v1/grants", grant("user", "eve", "others")),
        (&bob, "/v1/grants", grant("client", "c", "things-read")),
        (&bob, "/v1/blocks", json!({"scope": {"kind": "server", "id": "other"}, "reason": "r"})),
        (&bob, "/v1/blocks", json!({"scope": {"kind": "user", "id": "alice"}, "reason": "r"})),
    ] {
        let refused = ask(&app, post(path, token, &body)).await;
        assert_eq!(refused.status, 403, "{path} {body}: {}", refused.text());
        writeln!(said, "{}", refused.json()["detail"].as_str().unwrap()).unwrap();
    }
    insta::assert_snapshot!(said);
    let refusals = app.events().unwrap().into_iter().filter(|event| event["act"] == "operator.refused");
    assert_eq!(refusals.filter(|event| event["reason"].is_string()).count(), 11);

    // What an owner may not know of is not there for them; what reaches a server of theirs beside another is.
    let others = ask(&app, post("/v1/grants", &alice, &grant("user", "eve", "others"))).await.json();
    let hidden = format!("/v1/grants/{}?reason=r", others["result"]["id"].as_str().unwrap());
    let absent = ask(&app, delete("/v1/grants/grant:none?reason=r", &bob)).await;
    let refused = ask(&app, delete(&hidden, &bob)).await;
    assert_eq!((absent.status.as_u16(), refused.status.as_u16()), (404, 404));
    let without = |reply: &Reply, id: &str| reply.text().replace(id, "ID");
    assert_eq!(without(&absent, "grant:none"), without(&refused, others["result"]["id"].as_str().unwrap()));
    let seen = ask(&app, get("/v1/grants", &bob)).await.json();
    let toolsets: BTreeSet<_> = seen["grants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["toolset"].clone())
        .map(|slug| slug.to_string())
        .collect();
    assert_eq!(toolsets.into_iter().collect::<Vec<_>>(), ["\"things-edit\"", "\"things-read\""]);
    let everything = ask(&app, get("/v1/grants", &of("dora"))).await.json();
    assert!(everything.to_string().contains("\"others\""));
    app.stop().await.unwrap();
}

#[tokio::test]
async fn what_configuration_declares_is_shown_and_changed_only_there() {
    let (app, _api) = start(None).await;
    let alice = signed(&app, |_| {});
    let listed = ask(&app, get("/v1/grants?holder_kind=group&holder=readers", &alice)).await.json();
    assert_eq!(listed["grants"][0]["origin"], "config");
    let id = listed["grants"][0]["id"].as_str().unwrap();
    let refused = ask(&app, delete(&format!("/v1/grants/{id}?reason=r"), &alice)).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert_eq!(refused.json()["type"], "urn:ambit:problem:declared");
    assert!(refused.text().contains("remove it there and reload"));

    for index in 0..5 {
        let made = ask(&app, post("/v1/grants", &alice, &grant("group", &format!("g{index}"), "things-read"))).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
    let (mut turned, mut after) = (Vec::new(), String::new());
    loop {
        let page = ask(&app, get(&format!("/v1/grants?limit=2{after}"), &alice)).await.json();
        let ids = page["grants"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned());
        turned.extend(ids);
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    let whole = ask(&app, get("/v1/grants?limit=500", &alice)).await.json();
    assert!(whole.get("next").is_none());
    let whole: Vec<_> =
        whole["grants"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(turned, whole);
    assert_eq!(turned.len(), 7);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_nothing_of_it_done() {
    let (app, _api) = start(None).await;
    let alice = signed(&app, |_| {});
    let good = grant("user", "eve", "things-read");
    let raw = |body: &str| Ask { body: Some(body.to_owned()), ..post("/v1/grants", &alice, &good) };
    let huge = format!("{{\"reason\":\"{}\"}}", "x".repeat(300 * 1024));
    for (body, status) in [
        ("", 400),
        ("nonsense", 400),
        ("[]", 400),
        ("{}", 400),
        ("{\"reason\":\"a\",\"reason\":\"b\"}", 400),
        (&good.to_string().replace("\"reason\"", "\"reason\":\"twice\",\"reason\""), 400),
        (&good.to_string().replace("\"name\"", "\"name\":\"alice\",\"name\""), 400),
        (&good.to_string().replace("\"reason\"", "\"by\":\"root\",\"reason\""), 400),
        (&good.to_string().replace("\"because\"", "7"), 400),
        (&good.to_string().replace("\"user\"", "\"everybody\""), 400),
        (&format!("{good} {good}"), 400),
        (&huge, 413),
        (&good.to_string().replace("\"because\"", "\" \""), 422),
        (&good.to_string().replace("\"eve\"", "\"mallory\""), 422),
        (&good.to_string().replace("things-read", "no-such-toolset"), 422),
        (&good.to_string().replace("things-read", "Not A Slug"), 422),
        (&good.to_string().replace("\"reason\"", "\"expires_at\":\"soon\",\"reason\""), 422),
        (&good.to_string().replace("\"reason\"", "\"expires_at\":\"2999-01-01\",\"reason\""), 422),
        (&good.to_string().replace("\"reason\"", "\"constraints\":{\"other/*\":{}},\"reason\""), 422),
    ] {
        let refused = ask(&app, raw(body)).await;
        assert_eq!(refused.status.as_u16(), status, "{body:.80}: {}", refused.text());
    }
    let placed = ask(&app, raw(&good.to_string().replace("\"reason\"", "\"expires_at\":\"soon\",\"reason\""))).await;
    assert_eq!(placed.json()["pointer"], "/expires_at");
    let form = Ask { headers: vec![("content-type", "text/plain")], ..post("/v1/grants", &alice, &good) };
    assert_eq!(ask(&app, form).await.status, 415);
    for (method, path, status) in [
        ("GET", "/v1/grants?limit=0", 400),
        ("GET", "/v1/grants?limit=501", 400),
        ("GET", "/v1/grants?all=1", 400),
        ("GET", "/v1/grants?all=true&all=true", 400),
        ("GET", "/v1/grants?sort=name", 400),
        ("GET", "/v1/grants?holder=eve", 422),
        ("GET", "/v1/grants?after=!", 422),
        ("GET", "/v1/approvals?x=1", 400),
        ("DELETE", "/v1/grants/grant:none", 400),
        ("DELETE", "/v1/grants/%FF?reason=r", 404),
        ("DELETE", "/v1/grants/a%20b?reason=r", 404),
        ("DELETE", "/v1/blocks?kind=planet&id=earth&reason=r", 422),
        ("DELETE", "/v1/blocks?kind=server&id=things&reason=r", 404),
        ("GET", "/v1/approvals/none", 404),
        ("GET", "/v1/", 404),
        ("GET", "/v1/grants/", 404),
        ("GET", "/v2/grants", 404),
        ("GET", "/mcp", 404),
        ("GET", "/login", 404),
        ("GET", "/as/ambit-admin/authorize", 404),
        ("GET", "/metrics", 404),
        ("PUT", "/v1/grants", 405),
        ("PATCH", "/v1/blocks", 405),
        ("OPTIONS", "/v1/grants", 405),
        ("TRACE", "/v1/grants", 405),
    ] {
        let answer = ask(&app, Ask { method, ..get(path, &alice) }).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.text());
    }
    let with_body = Ask { body: Some("{}".into()), ..get("/v1/grants", &alice) };
    assert_eq!(ask(&app, with_body).await.status, 400);
    assert!(!app.events().unwrap().iter().any(|event| event["act"] == "grant.create"));
    app.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_taken_away_while_a_body_arrives_is_gone() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (app, _api) = start(None).await;
    let alice = signed(&app, |_| {});
    let address: std::net::SocketAddr = app.admin_url().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
    let body = grant("user", "eve", "things-read").to_string();
    let head = format!(
        "POST /v1/grants HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {alice}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = crate::raw::connect(address).await;
    stream.write_all(format!("{head}{}", &body[..10]).as_bytes()).await.unwrap();
    // The head was heard, and its token was good, before this.
    let mut others = 0;
    while others < 20 {
        others += usize::from(ask(&app, get("/v1/grants", &alice)).await.status == 200);
    }
    ambit(&app, &["block", "user", "alice", "--reason", "laptop lost"]).await;
    stream.write_all(&body.as_bytes()[10..]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(!app.events().unwrap().iter().any(|event| event["act"] == "grant.create"));
    app.stop().await.unwrap();
}

#[tokio::test]
async fn the_two_doors_do_not_lead_into_each_other() {
    let (app, api) = start(None).await;
    let alice = token(&app, "alice").await;
    for route in &ROUTES {
        let (path, _) = example(route);
        if route.path.starts_with("/.well-known/") {
            continue;
        }
        let request = Request::builder()
            .method(route.method)
            .uri(format!("{}{path}", app.url()))
            .header("authorization", format!("Bearer {alice}"));
        let answer = app.web().send(request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(answer.status, 404, "{} {path}", route.method);
    }
    // A token of the admin API opens no endpoint, and is nothing that endpoints could be asked about.
    let caller = world::person(&app, "alice", "c").with_token(&alice);
    for era in [Era::Modern, Era::Legacy] {
        assert_eq!(caller.request(era, "tools/list", json!({})).await.unwrap().status, 401);
    }
    let metadata =
        app.web().get(&format!("{}/.well-known/oauth-protected-resource", app.admin_url().unwrap())).await.unwrap();
    assert_eq!(metadata.json()["resource"], app.admin_url().unwrap());
    assert_eq!(metadata.json()["authorization_servers"][0], format!("{}/as/ambit-admin", app.url()));
    let described = ask(&app, Ask { token: None, ..get("/openapi.json", "") }).await.json();
    for route in &ROUTES {
        let operation = &described["paths"][route.path][route.method.to_lowercase()];
        assert_eq!(operation["summary"], route.purpose);
        assert_eq!(matches!(route.takes, Takes::Body(_)), operation["requestBody"].is_object());
    }
    assert!(api.seen().is_empty());
    app.stop().await.unwrap();
}

#[tokio::test]
async fn only_the_built_in_client_and_only_people_with_a_role_get_a_token() {
    let clock = world::still();
    let (app, api) = start(Some(&clock)).await;
    let application = command_line(&app);
    let issuer = &application.issuer;
    // There is nothing to register at, to introspect with, or to refresh by.
    let form = |fields: &[(&str, &str)]| {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        Full::from(body)
    };
    for (what, status) in [("register", 404), ("introspect", 404), ("revoke", 404)] {
        let request = Request::post(format!("{issuer}/{what}")).header(
            "content-type",
            if what == "register" { "application/json" } else { "application/x-www-form-urlencoded" },
        );
        let answer =
            app.web().send(request.body(form(&[("client_id", "ambit-cli"), ("token", "x")])).unwrap()).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.text());
    }
    let refreshed = application.refresh(app.web(), "ambit_rt_x").await.unwrap();
    assert_eq!(refreshed.json()["error"], "unsupported_grant_type");
    assert!(!refreshed.headers.contains_key("access-control-allow-origin"));
    let server = app
        .web()
        .get(&format!("{}/.well-known/oauth-authorization-server/as/ambit-admin", app.url()))
        .await
        .unwrap()
        .json();
    assert_eq!(server["issuer"], issuer.as_str());
    assert!(server.get("registration_endpoint").is_none() && server.get("introspection_endpoint").is_none());

    // Another client, also one that registered itself elsewhere, is none here; nor is another redirect.
    let registered = Application::register(app.web(), &format!("{}/mcp", app.url())).await.unwrap();
    for id in [registered.id.as_str(), "https://app.example/client.json", "app"] {
        let other = Application { id: id.to_owned(), ..application.clone() };
        let page = app.browser().open(&other.authorize_url("mcp").unwrap()).await.unwrap();
        assert_eq!(page.status, 400, "{id}");
    }
    let elsewhere = application.authorize_url("").unwrap().replace("%2Fcallback", "%2Felsewhere");
    assert_eq!(app.browser().open(&elsewhere).await.unwrap().status, 400);
    let for_mcp = Application { resource: format!("{}/mcp", app.url()), ..application.clone() };
    let to = app.browser().open(&for_mcp.authorize_url("").unwrap()).await.unwrap();
    assert!(to.header("location").contains("error=invalid_target"), "{}", to.header("location"));

    // Who has no role is told so on the page, and gets no code.
    let mut eve = browser(&app, "eve").await;
    let page = eve.until_consent(&application, "ambit-admin", "eve").await.unwrap();
    assert_eq!(page.status, 403, "{}", page.text());
    assert!(page.text().contains("no part in running this gateway"));

    // The page says what it is about, and a login of six minutes ago does not do.
    let mut alice = browser(&app, "alice").await;
    let page = alice.until_consent(&application, "ambit-admin", "alice").await.unwrap();
    assert!(page.text().contains("This is not about tools") && page.text().contains("admin"), "{}", page.text());
    assert!(page.text().contains("after 15 minutes"));
    clock.advance(4 * 60_000);
    let again = alice.open(&application.authorize_url("").unwrap()).await.unwrap();
    assert!(again.header("location").starts_with("/as/ambit-admin/consent"), "asked every time");
    clock.advance(2 * 60_000);
    let again = alice.open(&application.authorize_url("").unwrap()).await.unwrap();
    assert!(again.header("location").starts_with("/login"), "{}", again.header("location"));

    // A role that is lost between the yes and the code's exchange gives nothing.
    let mut dora = browser(&app, "dora").await;
    let page = dora.until_consent(&application, "ambit-admin", "dora").await.unwrap();
    assert!(field(&page, "request").is_ok());
    let code = dora.consent(&page, &[]).await.unwrap();
    let text = text(&api).replace("person = \"dora\"", "person = \"eve\"");
    app.write_config(&text).unwrap();
    reload(&app).await;
    let refused = application.exchange(app.web(), &code).await.unwrap();
    assert_eq!(refused.json()["error"], "invalid_grant", "{}", refused.text());
    app.stop().await.unwrap();
}

#[tokio::test]
async fn whoever_decides_a_call_logged_in_within_five_minutes() {
    let (app, _api) = start(None).await;
    let decide = json!({"says": "yes"});
    for (ago, status) in [(301_000, 401), (299_000, 404)] {
        let token = signed(&app, |claims| {
            let login = claims["login_ms"].as_i64().unwrap() - ago;
            (claims["login_ms"], claims["auth_time"]) = (json!(login), json!(login / 1000));
        });
        let reply = ask(&app, post("/v1/approvals/none/decision", &token, &decide)).await;
        assert_eq!(reply.status, status, "{reply:?}");
        let asked = reply.header("www-authenticate");
        assert_eq!(asked.contains("insufficient_user_authentication"), status == 401, "{reply:?}");
        // What it does not ask for, a token of a quarter of an hour may.
        assert_eq!(ask(&app, get("/v1/approvals", &token)).await.status, 200);
    }
    app.stop().await.unwrap();
}

async fn reload(app: &TestApp) {
    let answer = app.act(&ambit::operator::Act::Reload {}).await.unwrap();
    assert!(matches!(answer, ambit::operator::socket::Answer::Done(_)), "{answer:?}");
}

#[tokio::test]
async fn a_token_counts_only_as_long_as_everything_behind_it_does() {
    let clock = world::still();
    let (app, api) = start(Some(&clock)).await;
    let mut browser = browser(&app, "dora").await;
    let application = command_line(&app);
    let fresh = async |browser: &mut Browser| {
        clock.advance(1000);
        let tokens = browser.connect(&application, "dora", &[]).await.unwrap();
        tokens["access_token"].as_str().unwrap().to_owned()
    };
    let status = async |token: &str| ask(&app, get("/v1/grants", token)).await.status.as_u16();

    let token = fresh(&mut browser).await;
    assert_eq!(status(&token).await, 200);
    clock.advance(14 * 60_000);
    assert_eq!(status(&token).await, 200);
    clock.advance(60_000);
    assert_eq!(status(&token).await, 401, "a quarter of an hour is over");

    for (kind, id) in [("user", "dora"), ("deployment", ""), ("client", "ambit-cli")] {
        let token = fresh(&mut browser).await;
        assert_eq!(status(&token).await, 200, "{kind}");
        let args = ["block", kind, id, "--reason", "r"];
        ambit(&app, &args.iter().copied().filter(|arg| !arg.is_empty()).collect::<Vec<_>>()).await;
        assert_eq!(status(&token).await, 401, "{kind} is blocked");
        let args = ["unblock", kind, id, "--reason", "r"];
        ambit(&app, &args.iter().copied().filter(|arg| !arg.is_empty()).collect::<Vec<_>>()).await;
        assert_eq!(status(&token).await, 200, "{kind} is not blocked any more");
        let args = ["revoke", kind, id, "--reason", "r"];
        ambit(&app, &args.iter().copied().filter(|arg| !arg.is_empty()).collect::<Vec<_>>()).await;
        assert_eq!(status(&token).await, 401, "{kind} is revoked");
    }

    // A code that is shown again was copied: what came of it ends.
    clock.advance(1000);
    let page = browser.until_consent(&application, "ambit-admin", "dora").await.unwrap();
    let code = browser.consent(&page, &[]).await.unwrap();
    let tokens = application.exchange(app.web(), &code).await.unwrap().json();
    let token = tokens["access_token"].as_str().unwrap().to_owned();
    assert_eq!(status(&token).await, 200);
    assert_eq!(application.exchange(app.web(), &code).await.unwrap().status, 400);
    assert_eq!(status(&token).await, 401, "its code was shown again");

    // The role goes, and with it everything the token was good for; the account goes, and it is nobody's.
    let token = fresh(&mut browser).await;
    let without_role = text(&api).replace("person = \"dora\"", "person = \"eve\"");
    app.write_config(&without_role).unwrap();
    reload(&app).await;
    assert_eq!(status(&token).await, 403);
    app.write_config(&without_role.replace("[accounts.dora]", "")).unwrap();
    reload(&app).await;
    assert_eq!(status(&token).await, 401);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn approvals_and_broken_glass_are_decided_and_looked_at_over_http() {
    let (app, api) = start(None).await;
    let carol = token(&app, "carol").await;
    let of = |name: &str| signed(&app, |claims| claims["sub"] = format!("local:{name}").into());
    world::reveal(&app, "c1").await;
    let alice = world::person(&app, "alice", "c1");
    let call = async || alice.call("delete-thing", json!({"id": "a-secret-id"})).await.unwrap();
    let id = call().await.json()["result"]["structuredContent"]["approval"].as_str().unwrap().to_owned();
    let (one, decision) = (format!("/v1/approvals/{id}"), format!("/v1/approvals/{id}/decision"));

    let route =
        |method: &str, path: &str| ROUTES.iter().find(|route| (route.method, route.path) == (method, path)).unwrap();
    let listed = ask(&app, get("/v1/approvals", &carol)).await.json();
    assert_eq!(listed["result"][0]["id"], id.as_str());
    (route("GET", "/v1/approvals").gives.fits)(listed).unwrap();
    let shown = ask(&app, get(&one, &carol)).await.json();
    assert_eq!(shown["result"]["arguments"], json!({"id": "a-secret-id"}));
    (route("GET", "/v1/approvals/{id}").gives.fits)(shown).unwrap();
    // Who asked may be an admin, and neither sees nor decides the own call.
    for token in [of("alice"), of("bob"), of("dora")] {
        let seen = ask(&app, get(&one, &token)).await.status.as_u16();
        assert!(matches!(seen, 403 | 404), "{seen}");
        let decided = ask(&app, post(&decision, &token, &json!({"says": "yes"}))).await.status.as_u16();
        assert!(matches!(decided, 403 | 404), "{decided}");
    }
    assert!(!api.seen().iter().any(|line| line.starts_with("DELETE")));
    let decided = ask(&app, post(&decision, &carol, &json!({"says": "yes", "reason": "checked"}))).await;
    assert_eq!(decided.json()["result"]["stage"], "approved", "{}", decided.text());
    (route("POST", "/v1/approvals/{id}/decision").gives.fits)(decided.json()).unwrap();
    assert!(world::is_fine(&call().await));
    assert_eq!(ask(&app, post(&decision, &carol, &json!({"says": "no"}))).await.status, 422, "it is spent");
    let vote = app.events().unwrap().into_iter().find(|event| event["act"] == "approval.approve").unwrap();
    assert_eq!((&vote["by"], &vote["after"]["via"]), (&json!("user local:carol"), &json!("api")));

    let now = app.live().clock().now();
    let reveal = Reveal {
        id: GrantId::parse("glass:one").unwrap(),
        user: UserKey::local("dora").unwrap(),
        client: ClientId::parse("c").unwrap(),
        agent: None,
        toolset: ToolsetSlug::parse("things-cleanup").unwrap(),
        reason: "at night".into(),
        approved_by: None,
        starts_at: now,
        expires_at: now + 3_600_000,
    };
    let mut tx = app.live().store().begin().await.unwrap();
    reveals::insert(&mut tx, &reveal, "user local:dora", now).await.unwrap();
    broken_glass::insert(&mut tx, &reveal.id).await.unwrap();
    tx.commit().await.unwrap();
    let listed = ask(&app, get("/v1/break-glass", &of("dora"))).await.json();
    assert_eq!(listed["result"][0]["user"], "local:dora");
    let review = json!({"says": "it had to be"});
    let path = "/v1/break-glass/glass:one/review";
    assert_eq!(ask(&app, post(path, &of("dora"), &review)).await.status, 403, "whoever broke it");
    assert_eq!(ask(&app, post(path, &of("alice"), &review)).await.status, 422, "it is still broken");
    assert_eq!(ask(&app, delete("/v1/grants/glass:one?reason=done", &of("alice"))).await.status, 200);
    let reviewed = ask(&app, post(path, &of("alice"), &review)).await;
    assert_eq!(reviewed.json()["result"]["reviewed_by"], "user local:alice", "{}", reviewed.text());
    (route("POST", "/v1/break-glass/{id}/review").gives.fits)(reviewed.json()).unwrap();
    assert_eq!(ask(&app, post(path, &of("alice"), &review)).await.status, 422);
    let listed = ask(&app, get("/v1/break-glass", &of("dora"))).await.json();
    (route("GET", "/v1/break-glass").gives.fits)(listed).unwrap();

    let reveal = json!({"user": "eve", "client": "c", "toolset": "things-cleanup", "reason": "r", "life": "9h"});
    assert_eq!(ask(&app, post("/v1/reveals", &of("alice"), &reveal)).await.status, 422, "nine hours");
    let block = json!({"scope": {"kind": "tool", "id": "things/list-things"}, "reason": "r"});
    for _ in 0..2 {
        assert_eq!(ask(&app, post("/v1/blocks", &of("alice"), &block)).await.status, 200);
    }
    assert_eq!(alice.list().await.unwrap(), ["create-thing", "delete-thing", "get-thing"]);
    let unblocked = ask(&app, delete("/v1/blocks?kind=tool&id=things/list-things&reason=r", &of("alice"))).await;
    assert_eq!(unblocked.status, 200, "{}", unblocked.text());
    (route("DELETE", "/v1/blocks").gives.fits)(unblocked.json()).unwrap();
    let revoked = ask(
        &app,
        post("/v1/revocations", &of("alice"), &json!({"scope": {"kind": "user", "id": "eve"}, "reason": "r"})),
    )
    .await;
    (route("POST", "/v1/revocations").gives.fits)(revoked.json()).unwrap();
    app.stop().await.unwrap();
}

/// What a command says while it runs.
struct Said(tokio::sync::mpsc::UnboundedSender<String>);

impl std::io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs `ambit login` with a person at a browser, and gives its exit code and everything it said.
async fn log_in(app: &TestApp, state: &std::path::Path, browser: &mut Browser, decision: &str) -> (u8, String) {
    let (said, mut hearing) = tokio::sync::mpsc::unbounded_channel();
    let (url, state) = (app.admin_url().unwrap(), state.display().to_string());
    let running = async move {
        let (mut out, mut err) = (Vec::new(), Said(said));
        let args = ["ambit", "login", "--admin", &url, "--state-dir", &state];
        let code = Box::pin(ambit::cli(args, ambit::Streams { out: &mut out, err: &mut err })).await;
        (code, String::from_utf8_lossy(&out).into_owned())
    };
    let person = async {
        let mut all = String::new();
        let page = loop {
            all.push_str(&hearing.recv().await.unwrap_or_else(|| panic!("no page: {all}")));
            let line = all.lines().find(|line| line.starts_with("http")).map(ToOwned::to_owned);
            if let Some(line) = line.filter(|_| all.ends_with('\n')) {
                break line;
            }
        };
        let mut reply = browser.open(&page).await.unwrap();
        if reply.header("location").starts_with("/login") {
            let form = browser.open(reply.header("location")).await.unwrap();
            reply = browser.log_in(&form, "dora").await.unwrap();
        }
        let form = browser.open(reply.header("location")).await.unwrap();
        let (csrf, request) = (field(&form, "csrf").unwrap(), field(&form, "request").unwrap());
        let fields = [("csrf", csrf.as_str()), ("request", &request), ("decision", decision)];
        let back = browser.submit("/as/ambit-admin/consent", &fields).await.unwrap();
        let to = back.header("location").to_owned();
        // Something else knocks first, and somebody who guesses.
        let origin = to.split("/callback").next().unwrap();
        for other in ["/favicon.ico", "/callback?code=stolen&state=guessed"] {
            assert_eq!(app.web().get(&format!("{origin}{other}")).await.unwrap().status, 404);
        }
        assert_eq!(app.web().get(&to).await.unwrap().status, 200, "{to}");
        all
    };
    let ((code, out), mut all) = tokio::join!(running, person);
    while let Ok(part) = hearing.try_recv() {
        all.push_str(&part);
    }
    (code, all + &out)
}

#[tokio::test]
async fn the_command_line_logs_in_and_acts_from_elsewhere() {
    use std::os::unix::fs::PermissionsExt as _;
    let clock = Clock::System;
    let (app, api) = start(Some(&clock)).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let state = elsewhere.path().join("state");
    let mut dora = browser(&app, "dora").await;
    let (code, said) = log_in(&app, &state, &mut dora, "deny").await;
    assert!(code == 1 && said.contains("you said no"), "{said}");
    assert!(!state.exists());
    let (code, said) = log_in(&app, &state, &mut dora, "allow").await;
    assert!(code == 0 && said.contains("for 15 minutes") && !said.contains("eyJ"), "{said}");
    let files: Vec<_> = std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&state), mode(&files[0])), (0o700, 0o600));

    let url = app.admin_url().unwrap();
    let state_text = state.display().to_string();
    let remotely = async |args: &[&str]| {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let args = [&["ambit", "--admin", &url, "--state-dir", &state_text][..], args].concat();
        let code = Box::pin(ambit::cli(args, ambit::Streams { out: &mut out, err: &mut err })).await;
        (code, format!("{}{}", String::from_utf8_lossy(&out), String::from_utf8_lossy(&err)))
    };
    let grant = ["grant", "--user", "eve", "--toolset", "things-read", "--for", "90d", "--reason", "r & s"];
    let (code, said) = remotely(&grant).await;
    assert!(code == 1 && said.contains("you are auditor"), "{said}");
    let (code, said) = remotely(&["break-glass", "list"]).await;
    assert!(code == 0 && said.contains("nobody broke the glass"), "{said}");
    let (code, said) = remotely(&["token", "--user", "alice"]).await;
    assert!(code != 0, "{said}");

    // The same commands for who may: the admin gets the role by a reload.
    app.write_config(&text(&api).replace("roles = [\"auditor\"]", "roles = [\"admin\"]")).unwrap();
    reload(&app).await;
    let (code, said) = remotely(&grant).await;
    assert!(code == 0 && said.contains("user local:eve holds toolset things-read"), "{said}");
    let id = said.split("(grant:").nth(1).unwrap().split(')').next().unwrap();
    for args in [
        vec!["revoke", "grant", &format!("grant:{id}"), "--reason", "over"],
        vec![
            "grant",
            "--reveal",
            "--user",
            "eve",
            "--client",
            "c",
            "--toolset",
            "things-cleanup",
            "--for",
            "2h",
            "--reason",
            "r",
        ],
        vec!["block", "tool", "things/list-things", "--reason", "r"],
        vec!["unblock", "tool", "things/list-things", "--reason", "r"],
        vec!["revoke", "user", "eve", "--reason", "r"],
        vec!["approve", "list"],
    ] {
        let (code, said) = remotely(&args).await;
        assert_eq!(code, 0, "{args:?}: {said}");
    }
    let (code, said) = remotely(&["approve", "yes", "none"]).await;
    assert!(code == 1 && said.contains("no request `none` that you can decide"), "{said}");
    let acts = app.events().unwrap();
    let by = |act: &str| acts.iter().find(|event| event["act"] == act).map(|event| event["by"].clone());
    for act in ["grant.create", "grant.end", "reveal.create", "block", "unblock", "revoke"] {
        assert_eq!(by(act), Some(json!("user local:dora")), "{act}");
    }
    let text = std::fs::read_to_string(&files[0]).unwrap();
    std::fs::write(&files[0], text.replace("\"expires_at\":1", "\"expires_at\":-1")).unwrap();
    let (code, said) = remotely(&["break-glass", "list"]).await;
    assert!(code == 1 && said.contains("run `ambit login --admin"), "{said}");
    let (code, said) = remotely(&["--admin", "http://gateway.example", "login"]).await;
    assert!(code == 2 && (said.contains("`https`") || said.contains("cannot be used multiple times")), "{said}");
    app.stop().await.unwrap();
}
