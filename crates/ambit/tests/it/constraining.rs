//! Argument constraints of grants, through the running gateway: what is shown is what is granted, and a call outside of it
//! reaches nobody, at a REST API and at an MCP server.

use ambit_testkit::app::{Answer, Caller, Era, Given, Login, McpServer, TestApp, mcp_server::tool};
use serde_json::{Value, json};

use crate::world::{self, ambit, is_fine, person};

async fn shown(caller: &Caller, era: Era, name: &str) -> Value {
    let answer = caller.request(era, "tools/list", json!({})).await.unwrap().json();
    let tools = answer["result"]["tools"].as_array().unwrap();
    tools.iter().find(|tool| tool["name"] == name).cloned().unwrap_or(Value::Null)
}

fn says(answer: &Answer) -> String {
    let body = answer.json();
    assert!(answer.status == 200 && body["result"]["isError"] == true, "{}", answer.text());
    body["result"]["content"][0]["text"].as_str().unwrap().to_owned()
}

/// A fragment in a file of the gateway's directory.
fn file(app: &TestApp, name: &str, fragment: &Value) -> String {
    let path = app.directory().path().join(name);
    std::fs::write(&path, fragment.to_string()).unwrap();
    path.display().to_string()
}

/// The command that grants Carol a toolset within these schemas.
fn granting<'a>(toolset: &'a str, schemas: &[&'a str]) -> Vec<&'a str> {
    let mut grant = vec!["grant", "--user", "carol", "--toolset", toolset, "--reason", "r"];
    grant.extend(schemas.iter().flat_map(|schema| ["--args-schema", *schema]));
    grant
}

/// An endpoint with an MCP server of its own, and these grants.
fn peer_at(url: &str, grants: &str) -> String {
    format!(
        r#"
[[endpoints]]
path = "/mcp/peer"
servers = ["peer"]
[toolsets.peer-use]
tools = ["peer/*"]
[servers.peer]
mcp = "{url}"
owner = "Team Peer"
purpose = "tests"
environment = "test"
data_class = "internal"
expires = 2099-01-01
revoke_when = "the tests are over"
{grants}"#
    )
}

#[tokio::test]
async fn a_call_outside_the_grant_is_refused_before_anything_is_sent() {
    let (app, api) = world::start().await;
    let carol = person(&app, "carol", "c");
    let fragment = json!({"properties": {"name": {"enum": ["red", "blue"]}}});
    let schema = file(&app, "names.json", &fragment);
    let schema = format!("things/create-thing={schema}");
    let grant = [granting("things-edit", &[&schema]), vec!["--json"]].concat();
    let made: Value = serde_json::from_str(&ambit(&app, &grant).await).unwrap();
    let mut carol = carol;
    carol.initialize().await.unwrap();
    for era in [Era::Modern, Era::Legacy] {
        let create = shown(&carol, era, "create-thing").await;
        assert_eq!(create["inputSchema"]["properties"]["name"]["enum"], json!(["blue", "red"]), "{create}");
        assert!(shown(&carol, era, "get-thing").await["inputSchema"]["properties"]["id"]["enum"].is_null());
        let said = says(&carol.call_in(era, "create-thing", json!({"name": "green"})).await.unwrap());
        assert!(
            said.contains("`name`") && said.contains("green") && said.contains("red") && said.contains("blue"),
            "{said}"
        );
        assert!(api.seen().is_empty(), "{:?}", api.seen());
    }
    assert!(is_fine(&carol.call("create-thing", json!({"name": "blue"})).await.unwrap()));
    assert_eq!(api.seen(), [r#"POST /things {"name":"blue"}"#]);
    assert!(is_fine(&carol.call("get-thing", json!({"id": "7"})).await.unwrap()), "another tool of the toolset");
    let refused: Vec<_> =
        app.events().unwrap().into_iter().filter(|event| event["result"] == "outside_grant").collect();
    assert_eq!(refused.len(), 2);
    assert!(
        refused.iter().all(|event| event["executed"] == "no" && event["decision"]["outcome"] == "refused"),
        "{refused:?}"
    );

    // Another grant of the same person adds to it, and what is left goes with the grants.
    let more = file(&app, "more.json", &json!({"properties": {"name": {"const": "green"}}}));
    let more = format!("things/create-thing={more}");
    ambit(&app, &granting("things-edit", &[&more])).await;
    assert!(is_fine(&carol.call("create-thing", json!({"name": "green"})).await.unwrap()));
    ambit(&app, &["revoke", "grant", made["id"].as_str().unwrap(), "--reason", "r"]).await;
    assert!(says(&carol.call("create-thing", json!({"name": "blue"})).await.unwrap()).contains("green"));
    let act = app.events().unwrap().into_iter().find(|event| event["act"] == "grant.create").unwrap();
    assert_eq!(act["after"]["constraints"]["things/create-thing"], fragment);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn contradicting_grants_hide_the_tool_and_operators_are_told_why() {
    let more = r#"
[agents.bot]
owner = "bob"
purpose = "tests"
expires = 2099-01-01
[[grants]]
user = "carol"
toolset = "things-edit"
reason = "r"
expires = 2099-01-01
constraints."things/create-thing" = { properties = { name = { const = "red" } } }
[[grants]]
agent = "bot"
toolset = "things-edit"
reason = "r"
expires = 2099-01-01
constraints."things/create-*" = '{"properties": {"name": {"const": "blue"}}}'
"#;
    let (app, api) = world::with(Given::default(), more).await;
    let carol = person(&app, "carol", "c");
    assert_eq!(
        shown(&carol, Era::Modern, "create-thing").await["inputSchema"]["properties"]["name"]["enum"],
        json!(["red"])
    );
    let login = Login { user: "carol", agent: Some("bot"), client: "c", toolsets: world::ALL, ..Login::default() };
    let through_bot = app.login(&login).unwrap();
    assert_eq!(through_bot.list().await.unwrap(), ["get-thing", "list-things"]);
    let hidden = through_bot.call("create-thing", json!({"name": "red"})).await.unwrap();
    let absent = through_bot.call("create-thinx", json!({"name": "red"})).await.unwrap();
    assert_eq!(hidden.text().replace("create-thing", "create-thinx"), absent.text());
    assert!(api.seen().is_empty());
    let explain = ["explain", "--as", "carol", "--client", "c", "--tool", "things/create-thing"];
    let told = ambit(&app, &[&explain[..], &["--agent", "bot"]].concat()).await;
    assert!(
        told.contains("hidden")
            && told.contains("contradict each other")
            && told.contains("guard.argument-constraints"),
        "{told}"
    );
    let told = ambit(&app, &[&explain[..], &["--args", r#"{"name":"green"}"#]].concat()).await;
    assert!(told.contains("refused") && told.contains("limited by grant") && told.contains("must be"), "{told}");
    let tools = ambit(&app, &["tools", "--as", "carol", "--client", "c", "--endpoint", "/mcp", "--json"]).await;
    let tools: Value = serde_json::from_str(&tools).unwrap();
    assert_eq!(tools[0]["inputSchema"]["properties"]["name"]["enum"], json!(["red"]), "{tools}");
    app.stop().await.unwrap();
}

#[tokio::test]
async fn an_mcp_tool_is_narrowed_as_well_and_its_headers_still_count() {
    let mut report = tool("get_report", "Gets a report", true);
    report["inputSchema"] = json!({"type": "object",
        "properties": {"region": {"$ref": "#/$defs/region"}, "filter": {"anyOf": [
            {"type": "object", "properties": {"env": {"type": "string"}}}, {"type": "string"}]},
            "zone": {"type": "string", "x-mcp-header": "Zone"}},
        "$defs": {"region": {"type": "string", "enum": ["eu", "us"]}}});
    let peer = McpServer::start(Era::Modern, vec![report]).await.unwrap();
    let grants = r#"
[[grants]]
user = "alice"
toolset = "peer-use"
reason = "tests"
expires = 2099-01-01
[grants.constraints."*".properties]
region = { const = "eu" }
zone = { enum = ["a", "b"], x-may-be-absent = true }
filter = { properties = { env = { const = "test" } }, x-may-be-absent = true }
"#;
    let more = peer_at(&peer.url(), grants);
    let (app, _api) = world::with(Given::default(), &more).await;
    let alice = app.login(&Login { endpoint: "/mcp/peer", toolsets: &["peer-use"], ..Login::default() }).unwrap();
    let listed = shown(&alice, Era::Modern, "get_report").await;
    let schema = &listed["inputSchema"];
    assert_eq!(schema["properties"]["zone"]["x-mcp-header"], "Zone", "{schema}");
    assert!(schema["required"].as_array().unwrap().contains(&json!("region")), "{schema}");
    for keyword in ["anyOf", "oneOf", "allOf", "not", "if"] {
        assert!(schema.get(keyword).is_none(), "{schema}");
    }
    let with_zone = |arguments: Value, zone: Option<&str>| {
        let mut request =
            alice.build(Era::Modern, "tools/call", json!({"name": "get_report", "arguments": arguments})).unwrap();
        if let Some(zone) = zone {
            request.headers_mut().insert("mcp-param-zone", zone.parse().unwrap());
        }
        alice.send(request)
    };
    for (arguments, zone, fine) in [
        (json!({"region": "eu"}), None, true),
        (json!({"region": "eu", "zone": "a"}), Some("a"), true),
        (json!({"region": "eu", "filter": {"env": "test"}}), None, true),
        (json!({"region": "us"}), None, false),
        (json!({}), None, false),
        (json!({"region": "eu", "zone": "c"}), Some("c"), false),
        (json!({"region": "eu", "filter": {"env": "production"}}), None, false),
        (json!({"region": "eu", "filter": "anything"}), None, false),
    ] {
        let before = peer.calls().len();
        let answer = with_zone(arguments.clone(), zone).await.unwrap();
        assert_eq!(is_fine(&answer), fine, "{arguments}: {}", answer.text());
        assert_eq!(peer.calls().len() - before, usize::from(fine), "{arguments}");
        if !fine {
            says(&answer);
        }
    }
    let mismatch = with_zone(json!({"region": "eu", "zone": "a"}), Some("b")).await.unwrap();
    assert_eq!(mismatch.json()["error"]["code"], -32020, "{}", mismatch.text());
    // The definition is the same one for everybody: nothing is pending, and the trail names its digest.
    let tools: Value = serde_json::from_str(&ambit(&app, &["tools", "--server", "peer", "--json"]).await).unwrap();
    assert_eq!(tools[0]["state"], "accepted", "{tools}");
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_fragment_that_is_none_is_refused_at_the_door() {
    let (app, _api) = world::start().await;
    for (fragment, complaint) in [
        (json!({"properties": {"name": {"colour": 1}}}), "no keyword of a constraint"),
        (json!({"$ref": "https://attacker.example/s.json"}), "is not followed"),
        (json!({"properties": {"name": {"pattern": "(?=x)"}}}), "cannot be used"),
        (json!([1]), "no schema"),
    ] {
        let schema = file(&app, "bad.json", &fragment);
        let (code, _, err) = app.ambit(&granting("things-edit", &[&schema])).await;
        assert!(code == 1 && err.contains(complaint), "{fragment}: {err}");
    }
    let good = file(&app, "good.json", &json!({"properties": {"name": {"const": "x"}}}));
    // A pattern may name a tool of the server that the toolset leaves out by its effect, none of another server.
    for (pattern, expected) in [("things/delete-thing", 0), ("other/*", 1)] {
        let given = format!("{pattern}={good}");
        let (code, _, err) = app.ambit(&granting("things-read", &[&given])).await;
        assert_eq!((code, err.contains("names no tool of the toolset")), (expected, expected == 1), "{pattern}: {err}");
    }
    let both = [format!("*={good}"), format!("things/create-thing={good}")];
    let (code, _, err) = app.ambit(&granting("things-edit", &[&both[0], &both[1]])).await;
    assert!(code == 2 && err.contains("can both mean one tool"), "{err}");
    app.stop().await.unwrap();
}

#[tokio::test]
async fn what_grants_leave_in_combination_is_told_in_words_and_held_to() {
    let mut copy = tool("copy_report", "Copies a report", true);
    copy["inputSchema"] = json!({"type": "object", "required": ["from", "to"],
        "properties": {"from": {"type": "string"}, "to": {"type": "string"}}});
    let peer = McpServer::start(Era::Modern, vec![copy]).await.unwrap();
    let grant = |from: &str, to: &str| {
        format!(
            "[[grants]]\nuser = \"alice\"\ntoolset = \"peer-use\"\nreason = \"tests\"\nexpires = 2099-01-01\n\
             [grants.constraints.\"*\".properties]\nfrom = {{ const = \"{from}\" }}\nto = {{ const = \"{to}\" }}\n"
        )
    };
    let more = peer_at(&peer.url(), &[grant("eu", "archive"), grant("us", "desk")].concat());
    let (app, _api) = world::with(Given::default(), &more).await;
    let alice = app.login(&Login { endpoint: "/mcp/peer", toolsets: &["peer-use"], ..Login::default() }).unwrap();
    let listed = shown(&alice, Era::Modern, "copy_report").await;
    // Property by property more would seem to be allowed than is.
    assert_eq!(listed["inputSchema"]["properties"]["from"]["enum"], json!(["eu", "us"]), "{listed}");
    let description = listed["description"].as_str().unwrap();
    assert!(description.starts_with("Copies a report"), "{description}");
    assert!(
        description.contains(
            "Allowed combinations of arguments: (1) `from` must be `eu` and `to` must be `archive`; \
             (2) `from` must be `us` and `to` must be `desk`. Any other is refused."
        ),
        "{description}"
    );
    for (from, to, fine) in
        [("eu", "archive", true), ("us", "desk", true), ("eu", "desk", false), ("us", "archive", false)]
    {
        let before = peer.calls().len();
        let answer = alice.call("copy_report", json!({"from": from, "to": to})).await.unwrap();
        assert_eq!(is_fine(&answer), fine, "{from} {to}: {}", answer.text());
        assert_eq!(peer.calls().len() - before, usize::from(fine), "{from} {to}");
    }
    app.stop().await.unwrap();
}
