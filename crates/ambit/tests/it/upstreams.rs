//! Upstreams: a bad one harms only its own tools, none ever sees a word of the caller's, and no caller sees what is spent.

use std::{fmt::Write as _, sync::Arc};

use ambit_testkit::app::{
    Caller, Era, Given, Login, McpServer, TestApp,
    mcp_server::{Heard, Instead, tool},
};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::world;

const SECRET: &str = "downstream-secret-4711";

fn config(servers: &[(&str, &McpServer)], more: &str) -> String {
    let slugs: Vec<&str> = servers.iter().map(|(slug, _)| *slug).chain(["things"]).collect();
    let tools: Vec<String> = slugs.iter().map(|slug| format!("{slug}/*")).collect();
    let mut text = format!(
        "[[endpoints]]\npath = \"/mcp/peers\"\nservers = {slugs:?}\n[toolsets.peers-use]\ntools = {tools:?}\n[[grants]]\nuser = \
         \"alice\"\ntoolset = \"peers-use\"\nreason = \"tests\"\napproved_by = \"Team Things\"\nexpires = 2099-01-01\n"
    );
    for (slug, server) in servers {
        write!(text, "[servers.{slug}]\nmcp = \"{}\"\nowner = \"Team {slug}\"\npurpose = \"tests\"\nenvironment = \"test\"\ndata_class = \
             \"internal\"\nexpires = 2099-01-01\nrevoke_when = \"the tests are over\"\ntimeout = \"1s\"\n{more}",
            server.url()).unwrap();
    }
    text
}

fn alice(app: &TestApp) -> Caller {
    app.login(&Login { endpoint: "/mcp/peers", toolsets: &["peers-use"], ..Login::default() }).unwrap()
}

async fn peer(era: Era) -> McpServer {
    McpServer::start(
        era,
        vec![tool("get_report", "Gets a report", true), tool("create_report", "Creates a report", false)],
    )
    .await
    .unwrap()
}

fn is_call(heard: &Heard) -> bool {
    heard.method() == "tools/call"
}

#[tokio::test]
async fn one_bad_server_harms_only_its_own_tools() {
    for era in [Era::Modern, Era::Legacy] {
        let (good, bad) = (peer(era).await, peer(era).await);
        let (app, api) = world::with(Given::default(), &config(&[("bad", &bad), ("good", &good)], "")).await;
        let alice = alice(&app);
        let whole = alice.list().await.unwrap();
        assert_eq!(whole.len(), 7, "{whole:?}");
        for (what, instead) in [
            ("a page", Instead::Html(200)),
            ("an error page", Instead::Html(502)),
            ("no MCP", Instead::Json(200, "{\"hello\":\"world\"}".into())),
            ("no JSON", Instead::Json(200, "{".into())),
            (
                "a lie about the id",
                Instead::Json(200, r#"{"jsonrpc":"2.0","id":"another","result":{"content":[]}}"#.into()),
            ),
            ("too much", Instead::Json(200, format!("\"{}\"", "x".repeat(3 << 20)))),
            ("half an answer", Instead::Sever(r#"{"jsonrpc":"2.0","#.into())),
            ("another address", Instead::Redirect(good.url())),
            ("nothing", Instead::Hang),
        ] {
            let before = good.calls().len();
            let shown = instead.clone();
            bad.instead(move |heard| is_call(heard).then(|| shown.clone()));
            for (tool, says) in
                [("bad_get_report", "safe to try again"), ("bad_create_report", "may have been carried out")]
            {
                let failed = alice.call(tool, json!({"id": "1"})).await.unwrap();
                assert_eq!(
                    (failed.status.as_u16(), &failed.json()["result"]["isError"]),
                    (200, &json!(true)),
                    "{what}: {}",
                    failed.text()
                );
                assert!(failed.text().contains(says), "{what}: {}", failed.text());
                assert!(
                    !failed.text().contains("127.0.0.1") && !failed.text().contains("Welcome"),
                    "{what}: {}",
                    failed.text()
                );
            }
            assert_eq!(good.calls().len(), before, "{what}: it was followed");
            for tool in ["good_get_report", "things_list-things"] {
                let fine = alice.call(tool, json!({})).await.unwrap();
                assert!(world::is_fine(&fine), "{what}: {}", fine.text());
            }
            assert_eq!(alice.list().await.unwrap(), whole, "{what}: health never changes a list");
            // It comes back as soon as it is well.
            bad.instead(|_| None);
            let well = alice.call("bad_get_report", json!({"id": "1"})).await.unwrap();
            assert_eq!(well.json()["result"]["content"][0]["text"], "called get_report", "{what}: {}", well.text());
        }
        assert!(!api.seen().is_empty());
        app.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_is_down_at_the_start_leaves_the_others_and_comes_with_a_reload() {
    let (good, bad) = (peer(Era::Modern).await, peer(Era::Modern).await);
    let text = config(&[("bad", &bad), ("good", &good)], "");
    let (app, _api) = world::with(Given::default(), &text).await;
    let file = std::fs::read_to_string(app.config_file()).unwrap();
    let directory = app.stop().await.unwrap();
    bad.instead(|_| Some(Instead::Html(503)));
    let given = Given { directory: Some(Arc::clone(&directory)), leave_pending: true, ..Given::default() };
    let text = file.strip_prefix("data_dir = \"data\"\n").unwrap();
    let old = text.lines().find_map(|line| line.strip_prefix("public_url = ")).unwrap().trim_matches('"').to_owned();
    let app = TestApp::with(&text.replace(&old, "{url}"), given).await.unwrap();
    let alice = alice(&app);
    assert_eq!(alice.list().await.unwrap().len(), 5);
    assert!(world::is_fine(&alice.call("good_get_report", json!({})).await.unwrap()));
    bad.instead(|_| None);
    app.act(&ambit::operator::Act::Reload {}).await.unwrap();
    assert_eq!(alice.list().await.unwrap().len(), 7);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_session_the_server_forgot_is_opened_anew() {
    let peer = peer(Era::Legacy).await;
    let (app, _api) = world::with(Given::default(), &config(&[("peer", &peer)], "")).await;
    let alice = alice(&app);
    assert!(world::is_fine(&alice.call("peer_get_report", json!({})).await.unwrap()));
    let old = peer.heard().last().unwrap().headers["mcp-session-id"].clone();
    peer.instead(move |heard| {
        let gone = heard.headers.get("mcp-session-id") == Some(&old);
        gone.then(|| {
            Instead::Json(
                404,
                r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}"#.into(),
            )
        })
    });
    for _ in 0..3 {
        let answer = alice.call("peer_create_report", json!({"id": "1"})).await.unwrap();
        assert_eq!(answer.json()["result"]["content"][0]["text"], "called create_report", "{}", answer.text());
    }
    app.stop().await.unwrap();
}

/// What a caller, or whatever sits between, might send along.
const OF_THE_CALLER: [(&str, &str); 14] = [
    ("cookie", "session=of-the-caller"),
    ("x-api-key", "key-of-the-caller"),
    ("x-forwarded-for", "198.51.100.7"),
    ("x-forwarded-user", "name-of-the-caller"),
    ("x-real-ip", "198.51.100.7"),
    ("forwarded", "for=198.51.100.7"),
    ("proxy-authorization", "Basic of-the-caller"),
    ("mcp-session-id", "session-of-the-caller"),
    ("last-event-id", "event-of-the-caller"),
    ("referer", "https://page-of-the-caller.example"),
    ("user-agent", "program-of-the-caller"),
    ("x-ambit-user", "name-of-the-caller"),
    ("mcp-param-region", "param-of-the-caller"),
    ("baggage", "bag=of-the-caller"),
];

#[tokio::test]
async fn nothing_of_the_caller_reaches_an_upstream() {
    for era in [Era::Modern, Era::Legacy] {
        let peer = peer(era).await;
        let (app, api) = world::with(Given::default(), &config(&[("peer", &peer)], "")).await;
        let mut alice = alice(&app);
        alice.initialize().await.unwrap();
        let session = alice.session().unwrap().to_owned();
        for from in [Era::Modern, Era::Legacy] {
            for name in ["peer_get_report", "things_get-thing"] {
                let mut params = json!({"name": name, "arguments": {"id": "1"}});
                params["_meta"] =
                    json!({"internal/route": "meta-of-the-caller", "progressToken": "progress-of-the-caller"});
                let mut request = alice.build(from, "tools/call", params).unwrap();
                for (header, value) in OF_THE_CALLER {
                    if !(header == "mcp-session-id" && from == Era::Legacy) {
                        request.headers_mut().insert(header, value.parse().unwrap());
                    }
                }
                let answer = alice.send(request).await.unwrap();
                assert!(world::is_fine(&answer), "{from:?} {name}: {}", answer.text());
            }
        }
        let mut arrived: Vec<(HeaderMap, String)> =
            peer.heard().into_iter().map(|heard| (heard.headers, heard.body)).collect();
        assert_eq!((peer.calls().len(), api.seen().len()), (2, 2));
        arrived.extend(api.heads().into_iter().map(|head| (head, String::new())));
        for (headers, body) in arrived {
            let own = [
                "accept",
                "content-type",
                "content-length",
                "host",
                "user-agent",
                "mcp-protocol-version",
                "mcp-method",
                "mcp-name",
                "mcp-session-id",
                "accept-encoding",
            ];
            for (name, value) in &headers {
                assert!(own.contains(&name.as_str()), "`{name}: {value:?}` went out");
            }
            let all = format!("{headers:?} {body}");
            for alien in ["of-the-caller", "198.51.100.7", alice.token(), &session, "authorization", "cookie"] {
                assert!(!all.contains(alien), "`{alien}` went out: {all}");
            }
        }
        app.stop().await.unwrap();
    }
}

#[tokio::test]
async fn no_client_capability_is_declared_and_what_a_server_asks_back_is_an_error() {
    let peer = peer(Era::Modern).await;
    let (app, _api) = world::with(Given::default(), &config(&[("peer", &peer)], "")).await;
    let alice = alice(&app);
    let mut request =
        alice.build(Era::Modern, "tools/call", json!({"name": "peer_get_report", "arguments": {}})).unwrap();
    let body = request.body().clone();
    let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
    let offered = r#""io.modelcontextprotocol/clientCapabilities":{"elicitation":{"form":{},"url":{}},"sampling":{}}"#;
    let body = String::from_utf8(body.to_vec())
        .unwrap()
        .replace(r#""io.modelcontextprotocol/clientCapabilities":{}"#, offered);
    assert!(body.contains("sampling"));
    *request.body_mut() = http_body_util::Full::from(body);
    assert!(world::is_fine(&alice.send(request).await.unwrap()));
    for heard in peer.heard().iter().filter(|heard| heard.verb == "POST") {
        let declared = &heard.json()["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        assert!(declared.is_null() || *declared == json!({}), "{}", heard.body);
    }
    for result in [
        json!({"resultType": "input_required", "inputRequests": {"a": {"method": "elicitation/create", "params": {"message": "your password?"}}}}),
        json!({"resultType": "task", "taskId": "1", "status": "working"}),
        json!({"resultType": "invented"}),
    ] {
        peer.instead(move |heard| {
            let id = heard.json()["id"].clone();
            let body = json!({"jsonrpc": "2.0", "id": id, "result": result});
            is_call(heard).then(|| Instead::Json(200, body.to_string()))
        });
        let answer = alice.call("peer_get_report", json!({})).await.unwrap();
        assert_eq!(answer.json()["result"]["isError"], json!(true), "{}", answer.text());
        assert!(
            !answer.text().contains("your password?") && !answer.text().contains("inputRequests"),
            "{}",
            answer.text()
        );
    }
    app.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_spent_downstream_never_comes_back() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("secret.txt"), format!("{SECRET}\n")).unwrap();
    let peer = peer(Era::Modern).await;
    let credential = "credential = { bearer = \"file:secret.txt\" }\n";
    let given = Given { directory: Some(directory), ..Given::default() };
    let (app, _api) = world::with(given, &config(&[("peer", &peer)], credential)).await;
    let alice = alice(&app);
    assert!(world::is_fine(&alice.call("peer_get_report", json!({})).await.unwrap()));
    let sent = peer.calls()[0].headers["authorization"].clone();
    assert_eq!(sent, format!("Bearer {SECRET}"));
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, SECRET);
    for (status, body) in [
        (
            200,
            json!({"result": {"resultType": "complete", "content": [{"type": "text", "text": format!("you sent Bearer {SECRET}")}]}}),
        ),
        (
            200,
            json!({"result": {"resultType": "complete", "content": [], "structuredContent": {"headers": {"authorization": [format!("Bearer {SECRET}")]}}, SECRET: 1}}),
        ),
        (200, json!({"error": {"code": -32000, "message": format!("bad token {SECRET}"), "data": {"token": SECRET}}})),
        (401, json!({"error": {"code": -32000, "message": format!("bad token {SECRET}")}})),
        (500, json!({"message": SECRET})),
    ] {
        peer.instead(move |heard| {
            let mut body = body.clone();
            body["jsonrpc"] = json!("2.0");
            body["id"] = heard.json()["id"].clone();
            is_call(heard).then(|| Instead::Json(status, body.to_string()))
        });
        for name in ["peer_get_report", "peer_create_report"] {
            let answer = alice.call(name, json!({})).await.unwrap();
            let all = format!("{:?} {}", answer.headers, answer.text());
            assert!(!all.contains(SECRET) && !all.contains(&encoded), "{all}");
            assert_eq!(answer.status, 200, "a failing upstream is not the gateway's failure: {all}");
        }
    }
    // Escaped as real encoders escape, though JSON does not ask for it.
    let escaped = SECRET.replace('-', "\\u002d");
    peer.instead(move |heard| {
        let id = heard.json()["id"].clone();
        let result = format!(r#"{{"content":[{{"type":"text","text":"Bearer {escaped}"}}],"resultType":"complete"}}"#);
        is_call(heard).then(|| Instead::Json(200, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)))
    });
    let answer = alice.call("peer_get_report", json!({})).await.unwrap();
    let told = answer.json()["result"]["content"][0]["text"].as_str().unwrap().to_owned();
    assert!(!told.contains(SECRET), "{told}");
    let mut shown = String::new();
    for args in [vec!["tools"], vec!["tools", "--json"], vec!["check"], vec!["audit", "tail", "-n", "100"]] {
        let (_, out, err) = app.ambit(&args).await;
        shown.push_str(&out);
        shown.push_str(&err);
    }
    shown.push_str(&serde_json::to_string(&app.events().unwrap()).unwrap());
    shown.push_str(&app.gateway().metrics());
    assert!(shown.contains("get_report") && !shown.contains(SECRET));
    let directory = app.stop().await.unwrap();
    for entry in std::fs::read_dir(directory.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(
                !bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()),
                "it is in `{}`",
                path.display()
            );
        }
    }
}

/// An error of an API is an error of the tool, and a path parameter stays in its place.
#[tokio::test]
async fn an_api_is_called_as_it_is_described_and_its_errors_are_errors() {
    let (app, api) = world::start().await;
    let alice = world::person(&app, "alice", "c");
    for id in [
        "..",
        ".",
        "../admin",
        "a/b",
        "a\\b",
        "x\r\nhost: evil",
        "x\u{0}",
        "%2e%2e/admin",
        "..%2fadmin",
        "{id}",
        "",
        "?a=b",
        "#x",
        ";x",
        "ü",
    ] {
        let before = api.seen().len();
        let answer = alice.call("get-thing", json!({"id": id})).await.unwrap();
        let seen = api.seen();
        if answer.json()["result"]["isError"] == json!(false) {
            let path = seen.last().unwrap().strip_prefix("GET /things/").unwrap_or_else(|| panic!("{id:?}: {seen:?}"));
            assert!(
                !path.contains(['/', '?', '#', '\\', '\r']) && path != ".." && path != "." && !path.is_empty(),
                "{id:?}: {path}"
            );
        } else {
            assert_eq!(seen.len(), before, "{id:?}: {}", answer.text());
        }
    }
    let before = api.seen().len();
    let missing = alice.call("get-thing", json!({})).await.unwrap();
    assert_eq!((&missing.json()["result"]["isError"], api.seen().len()), (&json!(true), before));
    for status in [400, 401, 403, 404, 409, 429, 500, 503] {
        api.answers(status, r#"{"message":"it says no"}"#);
        let answer = alice.call("list-things", json!({})).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["result"]["isError"]),
            (200, &json!(true)),
            "{status}: {}",
            answer.text()
        );
        assert!(answer.text().contains("it says no"), "{}", answer.text());
    }
    let values: Vec<Value> =
        app.events().unwrap().into_iter().filter(|event| event["upstream_status"] == 503).collect();
    assert_eq!(values.len(), 1);
    app.stop().await.unwrap();
}

/// Each way to present a credential, and an API that sends back what it got, piece by piece.
#[tokio::test]
async fn no_form_of_a_credential_comes_back() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    for (file, secret) in
        [("user.txt", "service-user-17"), ("password.txt", "pass/word+\"quoted\"-42"), ("key.txt", "key/with+signs==")]
    {
        std::fs::write(directory.path().join(file), secret).unwrap();
    }
    std::fs::write(directory.path().join("things.json"), world::DOCUMENT).unwrap();
    let basic = "credential = { basic = { username = \"file:user.txt\", password = \"file:password.txt\" } }";
    let header = "credential = { header = { name = \"X-Api-Key\", value = \"file:key.txt\" } }";
    for (credential, name) in [(basic, "authorization"), (header, "x-api-key")] {
        let api = world::Api::start().await;
        let text = world::config(api.address)
            .replace("owner = \"Team Things\"", &format!("owner = \"Team Things\"\n{credential}"));
        let given = Given { directory: Some(Arc::clone(&directory)), ..Given::default() };
        let app = TestApp::with(&text, given).await.unwrap();
        let alice = world::person(&app, "alice", "c");
        assert!(world::is_fine(&alice.call("list-things", json!({})).await.unwrap()));
        let sent = api.heads()[0][name].to_str().unwrap().to_owned();
        let bare = sent.trim_start_matches("Basic ").to_owned();
        let mut secrets = vec![bare.clone()];
        if name == "authorization" {
            let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &bare).unwrap();
            secrets.push(String::from_utf8(decoded).unwrap().split_once(':').unwrap().1.to_owned());
        }
        for secret in &secrets {
            let slashed = secret.replace('\\', "\\\\").replace('"', "\\\"").replace('/', "\\/");
            let coded: Vec<_> = secret.chars().map(|letter| format!("\\u{:04x}", u32::from(letter))).collect();
            let coded = coded.concat();
            for (status, body) in [
                (200, json!({"you": {"sent": secret}}).to_string()),
                (400, json!({"message": format!("bad credential {secret}")}).to_string()),
                (200, format!(r#"{{"you":{{"sent":"{slashed}"}}}}"#)),
                (200, format!(r#"{{"you":{{"sent":"{coded}"}}}}"#)),
                (500, format!("no JSON but {secret}")),
            ] {
                api.answers(status, &body);
                let answer = alice.call("list-things", json!({})).await.unwrap();
                let parsed = answer.json();
                let mut texts = vec![
                    answer.text(),
                    parsed["result"]["structuredContent"]["you"]["sent"].as_str().unwrap_or_default().to_owned(),
                ];
                texts.extend(parsed["result"]["content"][0]["text"].as_str().map(ToOwned::to_owned));
                let inner: Option<Value> = texts.last().and_then(|text| serde_json::from_str(text).ok());
                texts.extend(inner.and_then(|inner| inner["you"]["sent"].as_str().map(ToOwned::to_owned)));
                assert!(texts.iter().all(|text| !text.contains(secret.as_str())), "{body}: {texts:?}");
                assert!(parsed["result"].is_object(), "{body}: {}", answer.text());
            }
        }
        app.stop().await.unwrap();
    }
}
