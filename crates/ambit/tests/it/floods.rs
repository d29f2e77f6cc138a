//! Much of the same: it makes no series, no heap of records, and locks out nobody who belongs here.

use ambit_testkit::app::{Era, Given};
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::world;

fn series(metrics: &str) -> usize {
    metrics.lines().filter(|line| !line.starts_with('#')).count()
}

#[tokio::test]
async fn invented_names_of_tools_methods_and_endpoints_make_no_series() {
    let (app, _api) = world::with(Given::default(), world::AMPLE).await;
    let mut alice = world::person(&app, "alice", "c");
    alice.initialize().await.unwrap();
    let ask = async |n: usize| {
        let name = format!("invention-{n}");
        alice.call(&name, json!({})).await.unwrap();
        alice.call_in(Era::Legacy, &name, json!({})).await.unwrap();
        alice.request(Era::Modern, &format!("invention/{n}"), json!({})).await.unwrap();
        alice
            .at(&format!("{}/mcp/invention-{n}", app.url()))
            .request(Era::Modern, "tools/list", json!({}))
            .await
            .unwrap();
        let client = world::person(&app, "alice", &name);
        client.list().await.unwrap();
        let mut agent = alice.build(Era::Modern, "tools/list", json!({})).unwrap();
        agent.headers_mut().insert("user-agent", name.parse().unwrap());
        alice.send(agent).await.unwrap();
    };
    ask(0).await;
    let before = series(&app.gateway().metrics());
    for n in 1..=500 {
        ask(n).await;
    }
    let metrics = app.gateway().metrics();
    // One reason may be added to the refusals: to wait.
    assert!(series(&metrics) <= before + 1, "{before} series became {}: {metrics}", series(&metrics));
    assert!(!metrics.contains("invention"), "{metrics}");
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_flood_without_a_token_leaves_a_few_records_and_locks_nobody_out() {
    let (app, api) = world::start().await;
    let alice = world::person(&app, "alice", "c");
    let (mut told_to_wait, mut refused) = (0_u64, 0_u64);
    for n in 0..1_000 {
        let mut request = Request::post(alice.url()).header("content-type", "application/json");
        // Nobody trusted says so, so it is one source all the same.
        request = request.header("x-forwarded-for", format!("100.{}.{}.1", n / 250, n % 250));
        if n % 2 == 0 {
            request = request.header("authorization", format!("Bearer invented-{n}"));
        }
        let answer = app.web().send(request.body(Full::from("{}")).unwrap()).await.unwrap();
        match answer.status.as_u16() {
            401 => refused += 1,
            429 => {
                // Whoever brings no token is always told where to get one.
                assert_eq!(n % 2, 0);
                assert!(answer.header("www-authenticate").contains("resource_metadata"));
                told_to_wait += 1;
                assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
            }
            other => panic!("{other}: {}", answer.text()),
        }
        // From the same address, and in the middle of it.
        if n % 50 == 0 {
            assert_eq!(alice.call("list-things", json!({})).await.unwrap().json()["result"]["isError"], false);
        }
    }
    assert!(refused >= 600 && told_to_wait >= 200, "{refused} {told_to_wait}");
    assert_eq!(api.seen().len(), 20);
    app.live().recorder().flush_refusals(true).await.unwrap();
    let events = app.events().unwrap();
    let rollups: Vec<&Value> = events.iter().filter(|event| event["event"] == "rollup").collect();
    assert!(rollups.len() <= 8, "{} records", rollups.len());
    let counted: u64 = rollups.iter().map(|event| event["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, 1_000, "{rollups:?}");
    app.stop().await.unwrap();
}

/// Behind a proxy the addresses are many; the records are still bounded.
#[tokio::test]
async fn a_flood_from_many_networks_is_summed_up_too() {
    let (app, _api) = world::with(Given::default(), "").await;
    let directory = app.stop().await.unwrap();
    let given = Given { directory: Some(directory), ..Given::default() };
    let api = world::Api::start().await;
    let text = format!("trusted_proxies = [\"127.0.0.1\"]\n{}", world::config(api.address));
    let app = ambit_testkit::app::TestApp::with(&text, given).await.unwrap();
    for n in 0..6_000_u32 {
        let [_, a, b, _] = (n << 8).to_be_bytes();
        let request = Request::post(format!("{}/mcp", app.url())).header("x-forwarded-for", format!("100.{a}.{b}.1"));
        let answer = app.web().send(request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(answer.status, 401, "{n}");
    }
    app.live().recorder().flush_refusals(true).await.unwrap();
    let rollups: Vec<Value> = app.events().unwrap().into_iter().filter(|event| event["event"] == "rollup").collect();
    let counted: u64 = rollups.iter().map(|event| event["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, 6_000, "none is lost");
    assert!(rollups.len() < 4_200, "{} records", rollups.len());
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_burst_of_calls_locks_nobody() {
    let (app, api) = world::start().await;
    let alice = world::person(&app, "alice", "c");
    let mut burst = tokio::task::JoinSet::new();
    for n in 0..200 {
        let alice = alice.clone();
        burst.spawn(async move { alice.call("get-thing", json!({"id": n.to_string()})).await.unwrap() });
    }
    for answer in burst.join_all().await {
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["result"]["isError"]),
            (200, &json!(false)),
            "{}",
            answer.text()
        );
    }
    assert_eq!(api.seen().len(), 200);
    // Two hundred that fail lock nobody either.
    for n in 0..200 {
        let answer = alice.call("get-thing", json!({"nonsense": n})).await.unwrap();
        assert_eq!(answer.json()["result"]["isError"], true, "{}", answer.text());
    }
    let again = world::person(&app, "alice", "c2");
    assert_eq!(again.call("get-thing", json!({"id": "1"})).await.unwrap().json()["result"]["isError"], false);
    app.stop().await.unwrap();
}
