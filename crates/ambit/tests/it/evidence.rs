//! What a run leaves behind can be checked by somebody who has a key or a checkpoint and trusts nothing else.

use std::{fs, path::Path};

use ambit_testkit::app::{Era, Login, TestApp};
use serde_json::{Value, json};

use crate::world;

/// A day's work: calls of several people, in both eras, some refused.
async fn work(app: &TestApp) {
    for user in ["alice", "bob", "carol"] {
        let mut caller = world::person(app, user, "c");
        caller.initialize().await.unwrap();
        for era in [Era::Modern, Era::Legacy] {
            caller.list_in(era).await.unwrap();
            for (tool, arguments) in [
                ("list-things", json!({})),
                ("get-thing", json!({"id": "private-id"})),
                ("create-thing", json!({"name": "private-name"})),
                ("create-thing", json!({"name": ["private-name"]})),
                ("delete-thing", json!({"id": "private-id"})),
                ("absent", json!({})),
            ] {
                caller.call_in(era, tool, arguments).await.unwrap();
            }
        }
    }
}

async fn verify(app: &TestApp, file: &Path, more: &[&str]) -> (u8, String) {
    let file = file.display().to_string();
    let (code, out, err) = app.ambit(&[&["audit", "verify", &file], more].concat()).await;
    (code, format!("{out}{err}"))
}

#[tokio::test]
async fn an_export_is_verified_against_a_key_or_a_checkpoint_and_a_change_is_found() {
    let (app, _api) = world::start().await;
    work(&app).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("trail.jsonl");
    let exported = world::ambit(&app, &["audit", "export", file.to_str().unwrap(), "--json"]).await;
    let exported: Value = serde_json::from_str(&exported).unwrap();
    assert!(exported["records"].as_u64().unwrap() > 30, "{exported}");
    let key = exported["key"].as_str().unwrap();
    let checkpoint = directory.path().join("checkpoint.txt");
    // As somebody else keeps it: fetched from the public address.
    let published = app.web().get(&format!("{}/.well-known/ambit/checkpoint", app.url())).await.unwrap();
    fs::write(&checkpoint, &published.body).unwrap();
    let checkpoint = checkpoint.to_str().unwrap();

    // By itself it only fits itself, and that is not enough.
    let (code, said) = verify(&app, &file, &[]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("self-consistent only"), "{said}");
    for trusted in [vec!["--key", key], vec!["--checkpoint", checkpoint, "--key", key]] {
        let (code, said) = verify(&app, &file, &trusted).await;
        assert_eq!(code, 0, "{trusted:?}: {said}");
    }
    let whole = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let record = lines.iter().position(|line| line.contains("create-thing")).unwrap();
    let without = |at: usize| [lines[..at].join("\n"), lines[at + 1..].join("\n"), String::new()].join("\n");
    let mut swapped = lines.clone();
    swapped.swap(record, record + 1);
    for (what, altered) in [
        ("another person", whole.replacen("local:alice", "local:mallo", 1)),
        ("another outcome", whole.replacen("allow", "alloW", 1)),
        ("a record less", without(record)),
        ("two records exchanged", swapped.join("\n") + "\n"),
        ("a record twice", whole.replacen(lines[record], &format!("{}\n{}", lines[record], lines[record]), 1)),
        ("half of it", whole[..whole.len() / 2].to_owned()),
        ("a tail less", lines[..lines.len() - 3].join("\n") + "\n"),
        ("nothing", String::new()),
    ] {
        assert_ne!(altered, whole, "{what}");
        let spoiled = directory.path().join("spoiled.jsonl");
        fs::write(&spoiled, altered).unwrap();
        for trusted in [vec![], vec!["--key", key], vec!["--key", key, "--checkpoint", checkpoint]] {
            let (code, said) = verify(&app, &spoiled, &trusted).await;
            assert_ne!(code, 0, "{what} {trusted:?}: {said}");
        }
    }
    // Another deployment's trail, however sound, is not this one.
    let (stranger, _api) = world::start().await;
    work(&stranger).await;
    let other = directory.path().join("other.jsonl");
    world::ambit(&stranger, &["audit", "export", other.to_str().unwrap()]).await;
    for trusted in [vec!["--key", key], vec!["--key", key, "--checkpoint", checkpoint]] {
        let (code, said) = verify(&app, &other, &trusted).await;
        assert_eq!(code, 1, "{said}");
    }
    stranger.stop().await.unwrap();
    app.stop().await.unwrap();
}

#[tokio::test]
async fn the_trail_itself_is_verified_and_a_flipped_byte_and_a_cut_tail_are_named() {
    let (app, _api) = world::start().await;
    work(&app).await;
    let file = app.config_file();
    let directory = tempfile::tempdir().unwrap();
    let export = directory.path().join("trail.jsonl");
    let exported = world::ambit(&app, &["audit", "export", export.to_str().unwrap(), "--json"]).await;
    let key = serde_json::from_str::<Value>(&exported).unwrap()["key"].as_str().unwrap().to_owned();
    let stopped = app.stop().await.unwrap();
    let trail = stopped.path().join("data/trail");
    let verify = async |more: &[&str]| {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let args = [&["ambit", "--config", file.to_str().unwrap(), "audit", "verify", "--key", &key], more].concat();
        let code = ambit::cli(args, ambit::Streams { out: &mut out, err: &mut err }).await;
        (code, String::from_utf8([out, err].concat()).unwrap())
    };
    let (code, said) = verify(&[]).await;
    assert_eq!(code, 0, "{said}");
    let segment = fs::read_dir(&trail)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_file() && String::from_utf8_lossy(&fs::read(path).unwrap()).contains("create-thing"));
    let segment = segment.unwrap();
    let good = fs::read(&segment).unwrap();
    let at = good.windows(12).position(|window| window == b"create-thing").unwrap();
    let mut flipped = good.clone();
    flipped[at] ^= 1;
    fs::write(&segment, &flipped).unwrap();
    let (code, said) = verify(&[]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.to_lowercase().contains("record") || said.contains("leaf"), "{said}");
    let mut cut = good.clone();
    let used = good.iter().rposition(|byte| *byte != 0).unwrap();
    cut.truncate(used - 400);
    cut.resize(good.len(), 0);
    fs::write(&segment, &cut).unwrap();
    let (code, said) = verify(&[]).await;
    assert_eq!(code, 1, "{said}");
    fs::write(&segment, &good).unwrap();
    assert_eq!(verify(&[]).await.0, 0);
}

/// Whoever got in leaves exactly one outcome for each request, whatever came of it; an intent precedes what was sent out.
#[tokio::test]
async fn every_request_leaves_one_outcome_and_every_dispatch_an_intent() {
    let (app, api) = world::start().await;
    let mut alice = world::person(&app, "alice", "c");
    let reader = app.login(&Login { client: "c", toolsets: &["things-read"], ..Login::default() }).unwrap();
    let outcomes = || {
        let events = app.events().unwrap();
        events.into_iter().filter(|event| event["event"] == "outcome").collect::<Vec<_>>()
    };
    alice.initialize().await.unwrap();
    assert_eq!(outcomes().len(), 1);
    let call = |name: &str, arguments: Value| ("tools/call", json!({"name": name, "arguments": arguments}));
    let asked = [
        (Era::Modern, ("server/discover", json!({})), "ok"),
        (Era::Modern, ("tools/list", json!({})), "ok"),
        (Era::Modern, ("tools/list", json!({"cursor": "x"})), "bad_cursor"),
        (Era::Modern, ("resources/list", json!({})), "no_such_method"),
        (Era::Modern, ("tools/call", json!({})), "no_name"),
        (Era::Modern, call("list-things", json!({})), "ok"),
        (Era::Modern, call("create-thing", json!({"name": "x"})), "ok"),
        (Era::Modern, call("create-thing", json!({"name": 1})), "bad_arguments"),
        (Era::Modern, call("delete-thing", json!({"id": "1"})), "unknown_tool"),
        (Era::Modern, call("absent", json!({})), "unknown_tool"),
        (Era::Legacy, ("ping", json!({})), "ok"),
        (Era::Legacy, ("tools/list", json!({})), "ok"),
        (Era::Legacy, call("create-thing", json!({"name": "x"})), "ok"),
        (Era::Legacy, call("absent", json!({})), "unknown_tool"),
    ];
    for (known, (era, (method, params), result)) in (1..).zip(asked) {
        alice.request(era, method, params.clone()).await.unwrap();
        let now = outcomes();
        assert_eq!(now.len(), known + 1, "{era:?} {method} {params}");
        let last = now.last().unwrap();
        assert_eq!(last["result"], result, "{era:?} {method} {params}: {last}");
        // Who it was stands in the first event of a request.
        let of_request = app.events().unwrap().into_iter().find(|event| event["request"] == last["request"]).unwrap();
        assert_eq!(of_request["who"]["user"], "local:alice", "{of_request}");
    }
    reader.call("create-thing", json!({"name": "x"})).await.unwrap();
    api.answers(500, "{}");
    alice.call("create-thing", json!({"name": "x"})).await.unwrap();
    let events = app.events().unwrap();
    let last = events.last().unwrap();
    assert_eq!((&last["executed"], &last["upstream_status"]), (&json!("yes"), &json!(500)), "{last}");
    let scope = events.iter().find(|event| event["decision"]["outcome"] == "needs-scope").unwrap();
    assert_eq!(scope["executed"], "no");
    let intents: Vec<&Value> = events.iter().filter(|event| event["event"] == "intent").collect();
    assert_eq!(intents.len(), api.seen().len());
    for intent in intents {
        let outcome =
            events.iter().find(|event| event["event"] == "outcome" && event["request"] == intent["request"]).unwrap();
        assert_ne!(outcome["executed"], "no", "{outcome}");
        for said in ["definition", "effect", "server", "tool"] {
            assert!(intent["target"][said].is_string(), "{said}: {intent}");
        }
        assert!(intent["arguments"].is_string() && intent["decision"]["rules"].is_string(), "{intent}");
    }
    app.stop().await.unwrap();
}

#[tokio::test]
async fn the_trail_is_found_by_person_tool_decision_and_time_and_holds_no_argument() {
    let (app, _api) = world::start().await;
    work(&app).await;
    let search = async |args: &[&str]| -> Vec<Value> {
        let printed = world::ambit(&app, &[&["audit", "search", "--json"], args].concat()).await;
        serde_json::from_str(&printed).unwrap()
    };
    // The index follows the records; it is asked until it has them.
    let mut found = Vec::new();
    for _ in 0..600 {
        found = search(&["--user", "alice", "--tool", "things/create-thing"]).await;
        if found.len() >= 6 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // Two that were made, each an intent and an outcome, and two that were refused.
    assert_eq!(found.len(), 6, "{found:?}");
    let text = serde_json::to_string(&found).unwrap();
    assert!(!text.contains("local:bob") && !text.contains("get-thing"), "{text}");
    assert!(!search(&["--decision", "hidden", "--user", "bob"]).await.is_empty());
    let everything = serde_json::to_string(&app.events().unwrap()).unwrap();
    assert!(!everything.contains("private-id") && !everything.contains("private-name"));
    app.stop().await.unwrap();
}
