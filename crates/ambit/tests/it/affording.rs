//! What survives a restart: what was used of the day, and what passed through whose hands.

use ambit_testkit::app::{Era, Given};
use serde_json::json;

use crate::world;

#[tokio::test]
async fn a_restart_gives_back_nothing_of_the_day() {
    const FEW: &str = "[budgets.default]\nrequests = { per_day = 3 }\n";
    let (app, _api) = world::with(Given::default(), FEW).await;
    let alice = world::person(&app, "alice", "c");
    for _ in 0..2 {
        assert_eq!(alice.request(Era::Modern, "tools/list", json!({})).await.unwrap().status, 200);
    }
    let directory = app.stop().await.unwrap();
    let (app, _api) = world::with(Given { directory: Some(directory), ..Given::default() }, FEW).await;
    let alice = world::person(&app, "alice", "c");
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(alice.request(Era::Modern, "tools/list", json!({})).await.unwrap().status.as_u16());
    }
    assert_eq!(told, [200, 429, 429]);
    assert_eq!(
        world::person(&app, "bob", "c").request(Era::Modern, "tools/list", json!({})).await.unwrap().status,
        200
    );
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_restart_washes_no_label_off() {
    const LABELS: &str = "[servers.things.labels]\n\"list-things\" = [\"private_data\"]\n\"get-*\" = \
                          [\"untrusted_content\"]\n\"create-thing\" = [\"public_sink\"]\n";
    let clock = world::still();
    let (app, api) = world::with(world::at(&clock), LABELS).await;
    let alice = world::person(&app, "alice", "c");
    assert!(world::is_fine(&alice.call("create-thing", json!({"name": "x"})).await.unwrap()));
    assert!(world::is_fine(&alice.call("list-things", json!({})).await.unwrap()));
    assert!(world::is_fine(&alice.call("get-thing", json!({"id": "1"})).await.unwrap()));
    assert_eq!(api.seen().len(), 3);
    let directory = app.stop().await.unwrap();

    clock.advance(60_000);
    let (app, api) = world::with(Given { directory: Some(directory), ..world::at(&clock) }, LABELS).await;
    let held = world::person(&app, "alice", "c").call("create-thing", json!({"name": "x"})).await.unwrap().json();
    assert_eq!(held["result"]["isError"], true, "{held}");
    // It waits for people, and nobody is named who could say yes.
    assert_eq!(held["result"]["structuredContent"]["status"], "no_approvers", "{held}");
    assert!(api.seen().is_empty());
    let elsewhere = world::person(&app, "alice", "another").call("create-thing", json!({"name": "x"})).await.unwrap();
    assert!(world::is_fine(&elsewhere));
    clock.advance(30 * 60_000);
    assert!(world::is_fine(
        &world::person(&app, "alice", "c").call("create-thing", json!({"name": "x"})).await.unwrap()
    ));
    app.stop().await.unwrap();
}
