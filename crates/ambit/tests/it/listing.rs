//! A long list: paged, the same bytes each time, whole in both eras, and read from what was compiled once.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};

use ambit_testkit::app::{Era, Given, Login, TestApp};
use serde_json::json;

use crate::world::{self, Api};

const MANY: usize = 2_300;

fn document() -> String {
    let mut paths = String::new();
    for n in 0..MANY {
        let comma = if n == 0 { "" } else { "," };
        write!(
            paths,
            "{comma}\"/items{n}/{{id}}\":{{\"get\":{{\"operationId\":\"get-item-{n}\",\"summary\":\"Get item {n}\",\"parameters\":[{{\"name\":\
             \"id\",\"in\":\"path\",\"required\":true,\"schema\":{{\"type\":\"string\"}}}}],\"responses\":{{\"200\":{{\"description\":\"ok\"\
             }}}}}}}}"
        )
        .unwrap();
    }
    format!("{{\"openapi\":\"3.1.0\",\"info\":{{\"title\":\"Items\",\"version\":\"1\"}},\"paths\":{{{paths}}}}}")
}

#[tokio::test]
async fn a_long_list_is_paged_whole_and_the_same_each_time() {
    let api = Api::start().await;
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let file = directory.path().join("things.json");
    std::fs::write(&file, document()).unwrap();
    let given = Given { directory: Some(directory), ..Given::default() };
    let text = world::config(api.address)
        .replace("[toolsets.things-cleanup]\ntitle = \"Delete things\"\ntools = [\"things/delete-thing\"]", "");
    let app = TestApp::with(&text, given).await.unwrap();
    let mut alice = app.login(&Login { toolsets: &["things-edit"], ..Login::default() }).unwrap();
    alice.initialize().await.unwrap();
    // What was compiled at the start is all that is needed: nobody reads the file for a request.
    std::fs::remove_file(&file).unwrap();
    let first = alice.request(Era::Modern, "tools/list", json!({})).await.unwrap();
    let page = &first.json()["result"];
    assert_eq!(page["cacheScope"], "private");
    let cursor = page["nextCursor"].as_str().expect("one page holds everything").to_owned();
    assert!(page["tools"].as_array().unwrap().len() < MANY);
    let names = alice.list().await.unwrap();
    assert_eq!(names, alice.list_in(Era::Legacy).await.unwrap());
    let distinct: BTreeSet<&String> = names.iter().collect();
    assert_eq!((names.len(), distinct.len()), (MANY, MANY));
    assert!(names.is_sorted(), "an order is kept");
    assert_eq!(alice.request(Era::Modern, "tools/list", json!({})).await.unwrap().body, first.body);
    let second = alice.request(Era::Modern, "tools/list", json!({"cursor": cursor})).await.unwrap();
    assert_eq!(second.json()["result"]["cacheScope"], "private");
    // A cursor is a place in a list, not a key to one.
    let bob = app.login(&Login { user: "carol", toolsets: &["things-edit"], ..Login::default() }).unwrap();
    let other = bob.request(Era::Modern, "tools/list", json!({"cursor": cursor})).await.unwrap();
    assert_eq!(other.json()["result"]["tools"], json!([]), "{}", other.text());
    for bad in ["", "x", "AAAA", "' or 1=1", &"A".repeat(10_000)] {
        let answer = alice.request(Era::Modern, "tools/list", json!({"cursor": bad})).await.unwrap();
        let is_error = answer.json()["error"]["code"] == -32602;
        assert!(is_error, "{bad:.20}: {}", &answer.text()[..answer.text().len().min(200)]);
    }
    assert!(world::is_fine(&alice.call("get-item-2299", json!({"id": "1"})).await.unwrap()));
    assert_eq!(api.seen(), ["GET /items2299/1"]);
    app.stop().await.unwrap();
}
