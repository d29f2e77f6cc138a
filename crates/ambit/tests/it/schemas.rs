//! Schemas that an upstream describes its arguments with, and that would have the gateway fetch, loop or count for ever.

use std::{future::poll_fn, task::Poll};

use ambit_live::credentials::Spendables;
use ambit_testkit::app::{Caller, Era, Given, Login, McpServer, TestApp, mcp_server::tool};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::world;

const MORE: &str = r#"
[[endpoints]]
path = "/mcp/peer"
servers = ["peer"]

[toolsets.peer-use]
tools = ["peer/*"]

[[grants]]
user = "alice"
toolset = "peer-use"
reason = "tests"
approved_by = "Team Peer"
expires = 2099-01-01
"#;

async fn start(tools: Vec<Value>) -> (TestApp, McpServer, Caller) {
    let peer = McpServer::start(Era::Modern, tools).await.unwrap();
    let server = format!(
        "[servers.peer]\nmcp = \"{}\"\nowner = \"Team Peer\"\npurpose = \"tests\"\nenvironment = \"test\"\ndata_class = \
         \"internal\"\nexpires = 2099-01-01\nrevoke_when = \"the tests are over\"\n",
        peer.url()
    );
    let (app, _api) = world::with(Given::default(), &format!("{MORE}{server}")).await;
    let alice = app.login(&Login { endpoint: "/mcp/peer", toolsets: &["peer-use"], ..Login::default() }).unwrap();
    (app, peer, alice)
}

fn with_schema(name: &str, schema: Value) -> Value {
    let mut tool = tool(name, "Gets something", true);
    tool["inputSchema"] = schema;
    tool
}

/// The other tools of the server work, and so does the gateway.
async fn is_well(alice: &Caller) {
    let answer = alice.call("get_well", json!({"id": "1"})).await.unwrap();
    assert!(world::is_fine(&answer), "{}", answer.text());
}

#[tokio::test]
async fn a_schema_fetches_nothing() {
    let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/schema.json", inside.local_addr().unwrap());
    let schemas = [
        json!({"type": "object", "$ref": url}),
        json!({"type": "object", "properties": {"id": {"$ref": format!("{url}#/x")}}}),
        json!({"type": "object", "$schema": url}),
        json!({"type": "object", "$id": url, "properties": {"id": {"$ref": "other.json"}}}),
        json!({"type": "object", "$dynamicRef": url}),
        json!({"type": "object", "properties": {"id": {"$ref": "file:///etc/passwd"}}}),
    ];
    let mut tools: Vec<Value> =
        schemas.into_iter().enumerate().map(|(n, schema)| with_schema(&format!("get_{n}"), schema)).collect();
    tools.push(tool("get_well", "Gets something", true));
    let (app, peer, alice) = start(tools).await;
    // A dialect nobody knows is read as the usual one.
    for n in [0, 1, 3, 4, 5] {
        let answer = alice.call(&format!("get_{n}"), json!({"id": "1"})).await.unwrap();
        assert!(!world::is_fine(&answer), "{n}: a schema nobody could check is no check: {}", answer.text());
        assert!(!answer.text().contains("root:"), "{}", answer.text());
    }
    assert!(peer.calls().is_empty());
    alice.call("get_2", json!({"id": "1"})).await.unwrap();
    is_well(&alice).await;
    let nobody = poll_fn(|context| match inside.poll_accept(context) {
        Poll::Ready(came) => Poll::Ready(Some(came)),
        Poll::Pending => Poll::Ready(None),
    });
    assert!(nobody.await.is_none(), "somebody came");
    app.stop().await.unwrap();
}

/// References in circles, and few of them that mean very many.
#[tokio::test]
async fn a_schema_neither_loops_nor_explodes() {
    let mut doubling = serde_json::Map::new();
    for n in 0..60 {
        let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
        doubling.insert(format!("d{n}"), json!({"anyOf": [next, next]}));
    }
    doubling.insert("d60".into(), json!({"type": "integer"}));
    let branching = json!({"anyOf": [
        {"type": "object", "properties": {"c": {"$ref": "#/$defs/node"}}, "required": ["c"]},
        {"type": "object", "properties": {"c": {"$ref": "#/$defs/node"}}, "required": ["c"], "additionalProperties": false},
    ]});
    let mut deep = json!("end");
    for _ in 0..55 {
        deep = json!({"c": deep});
    }
    let cases = [
        ("a root that is itself", json!({"type": "object", "allOf": [{"$ref": "#"}]}), json!({"id": "1"})),
        (
            "two that are each other",
            json!({"type": "object", "properties": {"id": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
            json!({"id": "1"}),
        ),
        (
            "a dynamic root",
            json!({"type": "object", "$dynamicAnchor": "x", "anyOf": [{"$dynamicRef": "#x"}]}),
            json!({"id": "1"}),
        ),
        (
            "sixty doublings",
            json!({"type": "object", "properties": {"id": {"$ref": "#/$defs/d0"}}, "$defs": doubling}),
            json!({"id": "1"}),
        ),
        (
            "two ways at each step down",
            json!({"type": "object", "properties": {"c": {"$ref": "#/$defs/node"}}, "$defs": {"node": branching}}),
            deep,
        ),
        (
            "a pattern that tries everything",
            json!({"type": "object", "properties": {"id": {"type": "string", "pattern": "^(a|a|aa)+$"}}}),
            json!({"id": format!("{}!", "a".repeat(5_000))}),
        ),
        (
            "a pattern that looks back",
            json!({"type": "object", "properties": {"id": {"type": "string", "pattern": "^(?=(a+)+$)(a+)\\1!$"}}}),
            json!({"id": format!("{}!", "a".repeat(5_000))}),
        ),
        (
            "a pattern of many states",
            json!({"type": "object", "properties": {"id": {"type": "string", "pattern": "(a{1000}){1000}"}}}),
            json!({"id": "a"}),
        ),
    ];
    let mut tools: Vec<Value> =
        cases.iter().enumerate().map(|(n, (_, schema, _))| with_schema(&format!("get_{n}"), schema.clone())).collect();
    tools.push(tool("get_well", "Gets something", true));
    let (app, peer, alice) = start(tools).await;
    for (n, (what, _, arguments)) in cases.iter().enumerate() {
        let answer = alice.call(&format!("get_{n}"), arguments.clone()).await.unwrap();
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        // A circle says nothing; everything else says no to these arguments, or cannot be checked.
        let says_nothing = n < 3;
        assert!(says_nothing || !world::is_fine(&answer), "{what}: {}", answer.text());
        is_well(&alice).await;
    }
    assert!(peer.calls().len() >= cases.len());
    app.stop().await.unwrap();
}

/// What real documents describe is none of that: every tool of the examples can be held to its schema.
#[tokio::test]
async fn the_schemas_of_real_documents_can_all_be_used() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut tools = 0;
    for example in ["mux", "github", "notion"] {
        let file = examples.join(example).join("ambit.toml");
        let resolved = ambit::config::load(&file, ambit_live::clock::Clock::System.now()).unwrap();
        let egress = ambit::serve::egress(resolved.egress.clone(), resolved.roots.clone()).unwrap();
        let sources = ambit::catalogues::Sources { mcp: ambit_gateway::mcp::McpUpstreams::new(egress.clone()), egress };
        for server in resolved.deployment.servers.values() {
            if matches!(server.upstream, ambit_model::server::Upstream::Mcp { .. }) {
                continue;
            }
            let read = ambit::catalogues::read(server, &sources, &Spendables::default(), 0).await;
            assert_eq!(read.problem, None, "{example}");
            for tool in read.tools.values() {
                assert!(tool.arguments().is_ok(), "{}: {}", tool.id(), tool.arguments().unwrap_err());
                tools += 1;
            }
        }
    }
    assert!(tools > 1_300, "{tools}");
}
