//! Streams on which clients hear that their list changed, in the whole gateway: over real connections, from an operator's command
//! to the client, and back down in order.

use ambit_testkit::app::{Caller, Era, Given, TestApp};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    raw,
    world::{self, ambit, person},
};

/// A client with a stream.
struct Listener {
    stream: TcpStream,
    text: String,
}

impl Listener {
    async fn open(app: &TestApp, caller: &Caller, era: Era) -> Self {
        let host = app.address();
        let token = caller.token();
        let request = match era {
            Era::Modern => {
                let meta = json!({
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientCapabilities": {},
                });
                let params = json!({"notifications": {"toolsListChanged": true}, "_meta": meta});
                let body = json!({"jsonrpc": "2.0", "id": "l", "method": "subscriptions/listen", "params": params});
                let body = body.to_string();
                format!(
                    "POST /mcp HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
                     accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\n\
                     mcp-method: subscriptions/listen\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                )
            }
            Era::Legacy => format!(
                "GET /mcp HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\naccept: text/event-stream\r\n\
                 mcp-protocol-version: 2025-11-25\r\nmcp-session-id: {}\r\n\r\n",
                caller.session().unwrap()
            ),
        };
        let mut stream = raw::connect(app.address()).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { stream, text: String::new() }
    }

    /// Reads on; false once the connection is closed.
    async fn read(&mut self) -> bool {
        let mut some = [0; 4096];
        let read = self.stream.read(&mut some).await.unwrap_or(0);
        self.text.push_str(std::str::from_utf8(&some[..read]).unwrap());
        read > 0
    }

    /// The next message; none if the stream is over.
    async fn next(&mut self) -> Option<Value> {
        loop {
            let event = self.text.split_once("data: ").and_then(|(_, rest)| rest.split_once("\n\n"));
            if let Some((data, rest)) = event {
                let message = serde_json::from_str(data).unwrap();
                self.text = rest.into();
                return Some(message);
            }
            // The last chunk of the body.
            if self.text.ends_with("\r\n0\r\n\r\n") || !self.read().await {
                return None;
            }
        }
    }

    /// Waits until it has begun.
    async fn begun(mut self, era: Era) -> Self {
        match era {
            Era::Modern => {
                let first = self.next().await.unwrap();
                assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
            }
            Era::Legacy => while !self.text.contains("\n:\n\n") && self.read().await {},
        }
        self
    }

    async fn hears(&mut self) {
        assert_eq!(self.next().await.unwrap()["method"], "notifications/tools/list_changed");
    }
}

async fn listener(app: &TestApp, caller: &mut Caller, era: Era) -> Listener {
    if caller.session().is_none() {
        caller.initialize().await.unwrap();
    }
    Listener::open(app, caller, era).await.begun(era).await
}

fn ends(app: &TestApp) -> Vec<Value> {
    let outcomes: Vec<_> = app.events().unwrap().into_iter().filter(|event| event["event"] == "outcome").collect();
    let began = outcomes.iter().filter(|event| event["result"] == "listening");
    let of = |began: &Value| {
        let ended =
            outcomes.iter().find(|event| event["request"] == began["request"] && event["result"] != "listening");
        ended.map_or(Value::Null, |ended| ended["result"].clone())
    };
    began.map(of).collect()
}

#[tokio::test]
async fn what_an_operator_gives_and_takes_is_heard() {
    let (app, _api) = world::start().await;
    let mut alice = person(&app, "alice", "c");
    for (era, other) in [(Era::Modern, "bob"), (Era::Legacy, "carol")] {
        let mut hers = listener(&app, &mut alice, era).await;
        let mut others = listener(&app, &mut person(&app, other, "c"), era).await;
        world::reveal(&app, "c").await;
        hers.hears().await;
        assert!(alice.list().await.unwrap().contains(&"delete-thing".to_owned()));
        let grants: Value = serde_json::from_str(&ambit(&app, &["grants", "--json"]).await).unwrap();
        let mut ids = grants.as_array().unwrap().iter().filter_map(|grant| grant["id"].as_str());
        let id = ids.find(|id| id.starts_with("reveal:")).unwrap_or_else(|| panic!("{grants}"));
        ambit(&app, &["revoke", "grant", id, "--reason", "done"]).await;
        hers.hears().await;
        assert!(!alice.list().await.unwrap().contains(&"delete-thing".to_owned()));
        // Of all that, this is the first that concerns somebody else.
        ambit(&app, &["grant", "--user", other, "--toolset", "things-edit", "--reason", "r"]).await;
        others.hears().await;
        ambit(&app, &["revoke", "user", other, "--reason", "r"]).await;
        assert_eq!(others.next().await, None);
    }
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_schema_that_is_narrowed_otherwise_is_heard() {
    let (app, _api) = world::start().await;
    let mut carol = person(&app, "carol", "c");
    let mut stream = listener(&app, &mut carol, Era::Modern).await;
    let grant = async |name: &str, fragment: Value| {
        let path = app.directory().path().join(name);
        std::fs::write(&path, fragment.to_string()).unwrap();
        let schema = format!("things/create-thing={}", path.display());
        let args = ["grant", "--user", "carol", "--toolset", "things-edit", "--reason", "r", "--args-schema", &schema];
        ambit(&app, &args).await;
    };
    let names = async || {
        let list = carol.request(Era::Modern, "tools/list", json!({})).await.unwrap().json();
        let tools = list["result"]["tools"].as_array().unwrap().clone();
        let create = tools.iter().find(|tool| tool["name"] == "create-thing").cloned().unwrap_or_default();
        create["inputSchema"]["properties"]["name"].clone()
    };
    grant("one.json", json!({"properties": {"name": {"enum": ["red", "blue"]}}})).await;
    stream.hears().await;
    assert_eq!(names().await["enum"], json!(["blue", "red"]));
    // It adds nothing to what she has, and then something.
    grant("two.json", json!({"properties": {"name": {"enum": ["blue"]}}})).await;
    grant("three.json", json!({"properties": {"name": {"enum": ["green"]}}})).await;
    stream.hears().await;
    assert!(names().await.to_string().contains("green"));
    app.stop().await.unwrap();
}

#[tokio::test]
async fn streams_end_in_order_when_the_process_stops_also_of_clients_that_do_not_read() {
    let (app, _api) = world::start().await;
    let mut alice = person(&app, "alice", "c");
    let mut reads = listener(&app, &mut alice, Era::Modern).await;
    let mut bob = person(&app, "bob", "c");
    let mut old = listener(&app, &mut bob, Era::Legacy).await;
    // This one never looks at what comes.
    let deaf = Listener::open(&app, &alice, Era::Modern).await;
    while !app.gateway().metrics().contains("ambit_streams 3\n") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let text = std::fs::read_to_string(app.config_file()).unwrap().replace("data_dir = \"data\"\n", "");
    let directory = app.stop().await.unwrap();
    let end = reads.next().await.unwrap();
    assert_eq!((&end["id"], &end["result"]["resultType"]), (&json!("l"), &json!("complete")));
    assert_eq!((reads.next().await, old.next().await), (None, None));
    drop(deaf);
    let again = TestApp::with(&text, Given { directory: Some(directory), ..Given::default() }).await.unwrap();
    assert_eq!(ends(&again), [json!("stopping"), json!("stopping"), json!("stopping")]);
    again.stop().await.unwrap();
}

#[tokio::test]
async fn the_configuration_bounds_them() {
    let (app, _api) = world::with(Given::default(), "[streams]\nper_person = 1\nat_once = 2\n").await;
    let mut alice = person(&app, "alice", "c");
    let hers = listener(&app, &mut alice, Era::Modern).await;
    let params = json!({"notifications": {"toolsListChanged": true}});
    let listen = async |who: &Caller| who.request(Era::Modern, "subscriptions/listen", params.clone()).await.unwrap();
    let another = listen(&person(&app, "alice", "d")).await;
    assert_eq!((another.status.as_u16(), another.header("retry-after")), (429, "30"), "{}", another.text());
    let his = listener(&app, &mut person(&app, "bob", "c"), Era::Modern).await;
    assert_eq!(listen(&person(&app, "carol", "c")).await.status, 503);
    // Whoever leaves makes room, once the gateway knows.
    drop((hers, his));
    while !app.gateway().metrics().contains("ambit_streams 0\n") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    listener(&app, &mut alice, Era::Modern).await.stream.shutdown().await.unwrap();
    app.stop().await.unwrap();
}
