//! What a record says: every fact of a call, whoever made it and however it ended, and nothing secret. And that a search
//! finds it.

use std::{fs, path::Path};

use ambit_live::Live;
use ambit_testkit::app::Login;
use serde_json::{Value, json};

use crate::{
    api::Api,
    evidence::{covered, start},
    person::{BOTH, Person, is_done, trace_id},
    world::{Ground, SECRET, command, eventually_so, text},
};

/// Something a caller says that must not be written down.
const SAID: &str = "the-name-of-a-secret-thing";

/// The events of an export.
struct Events(Vec<Value>);

impl Events {
    fn of_export(export: &str) -> Self {
        let records = export
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["record"].as_str().map(ToOwned::to_owned));
        Self(records.map(|record| serde_json::from_str(&record).unwrap()).collect())
    }

    fn intent(&self, number: u64) -> &Value {
        self.0.iter().find(|event| event["trace"] == *trace_id(number)).unwrap()
    }

    fn outcome(&self, number: u64) -> &Value {
        let request = &self.intent(number)["request"];
        self.0.iter().find(|event| event["event"] == "outcome" && event["request"] == *request).unwrap()
    }

    /// The outcomes that ended so, in order.
    fn ended(&self, result: &str) -> Vec<&Value> {
        self.0.iter().filter(|event| event["event"] == "outcome" && event["result"] == result).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_says_everything_about_a_call_but_its_secrets() {
    let api = Api::start().await;
    let ground = Ground::new(&api, "", "").await;
    let app = start(&ground).await;
    let robot = Person::of(&app, &Login { agent: Some("robot"), toolsets: BOTH, ..Login::default() });
    let carol = Person::of(&app, &Login { user: "carol", toolsets: BOTH, ..Login::default() });
    let stranger = Person::new(app.address(), "a-token-of-nobody".to_owned());
    assert!(is_done(&robot.call("create-thing", &json!({"name": SAID}), 1).await.unwrap()));
    assert!(is_done(&robot.call("create-thing", &json!({"name": SAID}), 2).await.unwrap()));
    assert!(is_done(&robot.call("get-thing", &json!({"id": SAID}), 3).await.unwrap()));
    let hidden = carol.call("create-thing", &json!({"name": SAID}), 4).await.unwrap();
    assert_eq!(hidden.json()["error"]["code"], -32602);
    let absent = robot.call("no-such-tool", &json!({"name": SAID}), 5).await.unwrap();
    assert_eq!(absent.json()["error"]["code"], -32602);
    let wrong = robot.call("create-thing", &json!({"name": 7, "extra": SAID}), 6).await.unwrap();
    assert_eq!(wrong.json()["result"]["isError"], true, "{wrong:?}");
    assert_eq!(stranger.read(7).await.unwrap().status, 401);
    assert_eq!(api.credentials(), vec![format!("Bearer {SECRET}"); 3]);
    covered(&app).await;
    let live = app.live().clone();
    let expected = intent_as_expected(&live);
    drop(live);
    // What was counted is written when the process ends.
    app.stop().await.unwrap();

    let file = ground.directory.path().join("trail.jsonl");
    let config = ground.directory.path().join("ambit.toml");
    let (code, out, err) = command(&["--config", text(&config), "audit", "export", text(&file)]).await;
    assert_eq!(code, 0, "{out}{err}");
    let export = fs::read_to_string(&file).unwrap();
    let events = Events::of_export(&export);
    hold_intents(&events, &expected);
    hold_outcomes(&events);
    let tokens = [robot.token(), carol.token(), stranger.token()];
    hold_secrets(ground.directory.path(), export, &tokens);
}

/// What the intent of the first call says, but for what differs from run to run.
fn intent_as_expected(live: &Live) -> Value {
    let snapshot = live.current();
    let mut tools = snapshot.catalogue.entries().iter().map(|entry| &entry.tool);
    let tool = tools.find(|tool| tool.id().to_string() == "things/create-thing").unwrap();
    json!({
        "event": "intent", "v": 1, "request": "text", "at": "number", "endpoint": "default",
        "protocol": "2026-07-28", "method": "tools/call",
        "who": {
            "user": "local:alice", "agent": "robot", "client": "test-client", "assurance": "confidential",
            "actors": ["robot"], "token": "text",
        },
        "target": {
            "server": "things", "tool": "create-thing", "definition": tool.digest.to_string(), "effect": "write",
        },
        "arguments": "text",
        "decision": {
            "outcome": "allow", "policies": "array", "rules": snapshot.judge.rules_digest().to_string(),
            "revision": snapshot.revision, "caller": "text",
        },
        "credential": "things-key", "trace": trace_id(1),
    })
}

fn hold_intents(events: &Events, expected: &Value) {
    let (first, same, read) = (events.intent(1), events.intent(2), events.intent(3));
    let mut shape = first.clone();
    for pointer in ["/request", "/at", "/arguments", "/who/token", "/decision/policies", "/decision/caller"] {
        let value = shape.pointer_mut(pointer).unwrap();
        let kind = match value {
            Value::String(text) if text.len() >= 26 => "text",
            Value::Number(number) if number.as_i64().is_some_and(|at| at > 0) => "number",
            Value::Array(all) if !all.is_empty() => "array",
            other => panic!("{pointer}: {other}"),
        };
        *value = kind.into();
    }
    assert_eq!(shape, *expected);
    assert_eq!(first["arguments"], same["arguments"], "the same call twice");
    assert_ne!(first["arguments"], read["arguments"]);
    assert_eq!(read["target"]["effect"], "read");
}

fn hold_outcomes(events: &Events) {
    let outcome = events.outcome(1);
    let end = (&outcome["executed"], &outcome["result"], &outcome["upstream_status"]);
    assert_eq!(end, (&json!("yes"), &json!("ok"), &json!(200)));
    for measure in ["bytes_in", "bytes_out", "micros", "upstream_micros"] {
        assert!(outcome[measure].as_u64().is_some_and(|measure| measure > 0), "{measure}: {outcome}");
    }
    assert!(outcome["micros"].as_u64() >= outcome["upstream_micros"].as_u64());

    let [hidden, absent] = events.ended("unknown_tool")[..] else { panic!("a hidden and an absent tool") };
    assert_eq!((&hidden["who"]["user"], &hidden["decision"]["outcome"]), (&json!("local:carol"), &json!("hidden")));
    assert_eq!((&hidden["target"]["tool"], &hidden["executed"]), (&json!("create-thing"), &json!("no")));
    assert!(absent["asked"].as_str().is_some_and(|asked| asked.starts_with("sha256:")), "{absent}");
    assert!(
        absent["target"].is_null() && !absent.to_string().contains("no-such"),
        "what a caller types may be a secret"
    );
    let [refused] = events.ended("bad_arguments")[..] else { panic!("arguments against the schema") };
    assert_eq!((&refused["decision"]["outcome"], &refused["executed"]), (&json!("refused"), &json!("no")));
    let counted: Vec<_> = events.0.iter().filter(|event| event["event"] == "rollup").collect();
    let [counted] = counted[..] else { panic!("one stranger: {counted:?}") };
    assert_eq!((&counted["source"], &counted["count"]), (&json!("127.0.0.0/24"), &json!(1)));
}

/// Neither the export nor store, segments or lock files hold what is nobody's business.
fn hold_secrets(directory: &Path, export: String, tokens: &[&str]) {
    let mut kept = vec![("the export".to_owned(), export.into_bytes())];
    for place in ["data", "data/trail"] {
        for entry in fs::read_dir(directory.join(place)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                kept.push((entry.path().display().to_string(), fs::read(entry.path()).unwrap()));
            }
        }
    }
    assert!(kept.len() > 3, "store and segments are looked at as well");
    for (place, bytes) in kept {
        let holds = |what: &str| bytes.windows(what.len()).any(|window| window == what.as_bytes());
        for token in tokens {
            let signature = token.rsplit('.').next().unwrap();
            assert!(!holds(token) && !holds(signature), "a token in {place}");
        }
        assert!(!holds(SECRET), "a credential in {place}");
        assert!(!holds(SAID), "an argument in {place}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_finds_by_person_tool_and_decision() {
    let api = Api::start().await;
    let ground = Ground::new(&api, "", "").await;
    let app = start(&ground).await;
    let carol = Person::of(&app, &Login { user: "carol", toolsets: BOTH, ..Login::default() });
    let alice = Person::alice(&app);
    assert!(is_done(&alice.write(1).await.unwrap()));
    assert!(is_done(&alice.read(2).await.unwrap()));
    assert_eq!(carol.write(3).await.unwrap().json()["error"]["code"], -32602);
    let found = async |args: &[&str]| {
        let args: Vec<_> = ["audit", "search", "--json"].iter().chain(args).copied().collect();
        let (code, out, err) = app.ambit(&args).await;
        assert_eq!(code, 0, "{out}{err}");
        serde_json::from_str::<Vec<Value>>(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    };
    let alice_writes = ["--user", "alice", "--tool", "things/create-thing"];
    // Indexed after the fact, within a second or two.
    eventually_so("the write is indexed", async || found(&alice_writes).await.len() == 2).await;
    eventually_so("the refusal is indexed", async || found(&["--decision", "hidden"]).await.len() == 1).await;
    let hidden = found(&["--decision", "hidden"]).await;
    assert_eq!(hidden[0]["event"]["who"]["user"], "local:carol");
    assert_eq!(found(&["--user", "alice"]).await.len(), 4);
    assert!(found(&["--user", "alice", "--until", "2020-01-01"]).await.is_empty());
    assert!(found(&["--user", "bob"]).await.is_empty());
    app.stop().await.unwrap();
}
