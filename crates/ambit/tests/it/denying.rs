//! What is not said is no: without grants, ceilings, or before and after their time, nobody sees or does anything.

use std::sync::Arc;

use ambit_testkit::app::{Caller, Era, Given, Login, TestApp};
use serde_json::json;

use crate::world::{self, Api};

const DAY: i64 = 24 * 3_600_000;

async fn sees(caller: &Caller) -> Vec<String> {
    let names = caller.list().await.unwrap();
    for tool in ["list-things", "get-thing", "create-thing", "delete-thing"] {
        let answer = caller.call(tool, json!({"nonsense": 1})).await.unwrap();
        let is_hidden = answer.json()["error"]["code"] == -32602;
        assert_eq!(is_hidden, !names.contains(&tool.to_owned()), "{tool}: {}", answer.text());
    }
    names
}

async fn start(change: impl FnOnce(String) -> String) -> (TestApp, Api) {
    let api = Api::start().await;
    let directory = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("things.json"), world::DOCUMENT).unwrap();
    let given = Given { directory: Some(directory), ..Given::default() };
    let app = TestApp::with(&change(world::config(api.address)), given).await.unwrap();
    (app, api)
}

#[tokio::test]
async fn without_grants_toolsets_or_a_ceiling_there_is_nothing() {
    let without_grants = |text: String| {
        let (before, rest) = text.split_once("[[grants]]").unwrap();
        format!("{before}[clients.default]{}", rest.split_once("[clients.default]").unwrap().1)
    };
    let without_default = |text: String| text.replace("[clients.default]\ntoolsets = [\"*\"]\n", "");
    let closed_default = |text: String| text.replace("toolsets = [\"*\"]", "toolsets = []");
    let without_groups = |text: String| text.replace("groups = [\"editors\"]\n", "");
    for change in [&without_grants as &dyn Fn(String) -> String, &without_default, &closed_default, &without_groups] {
        let (app, api) = start(change).await;
        let alice = world::person(&app, "alice", "c");
        assert!(sees(&alice).await.is_empty());
        assert!(api.seen().is_empty());
        app.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_star_never_includes_what_destroys_not_even_revealed() {
    let more = "[toolsets.all]\ntools = [\"things/*\"]\n[toolsets.most]\ntools = [\"things/d*\", \"things/l*\"]\n";
    let (app, api) = world::with(Given::default(), more).await;
    for toolset in ["all", "most"] {
        let grant = ["grant", "--user", "alice", "--toolset", toolset, "--for", "1d", "--reason", "r"];
        world::ambit(&app, &grant).await;
        let reveal = [
            "grant",
            "--reveal",
            "--user",
            "alice",
            "--client",
            "c",
            "--toolset",
            toolset,
            "--for",
            "1h",
            "--reason",
            "r",
        ];
        world::ambit(&app, &reveal).await;
    }
    let login = Login { client: "c", toolsets: &["all", "most", "things-edit", "things-cleanup"], ..Login::default() };
    let alice = app.login(&login).unwrap();
    assert!(!sees(&alice).await.contains(&"delete-thing".to_owned()));
    // Nor does a standing grant of a toolset that names it.
    let grant = ["grant", "--user", "alice", "--toolset", "things-cleanup", "--for", "1d", "--reason", "r"];
    world::ambit(&app, &grant).await;
    assert!(!sees(&alice).await.contains(&"delete-thing".to_owned()));
    assert!(api.seen().is_empty());
    app.stop().await.unwrap();
}

#[tokio::test]
async fn everything_has_its_time() {
    let clock = world::still();
    let now = clock.now();
    let day = |n: i64| {
        let at = (now + n * DAY) / 1000;
        // The configuration takes dates; the operator's commands take lengths.
        let days = at.div_euclid(86_400);
        date(days)
    };
    let more = format!(
        "[agents.bot]\nowner = \"carol\"\npurpose = \"tests\"\nexpires = {}\n[[grants]]\nagent = \"bot\"\ntoolset = \
         \"things-read\"\nreason = \"r\"\napproved_by = \"r\"\nexpires = 2099-01-01\n[[grants]]\nuser = \"carol\"\ntoolset = \
         \"things-read\"\nreason = \"r\"\napproved_by = \"r\"\nstarts = {}\nexpires = {}\n",
        day(6),
        day(3),
        day(9)
    );
    let api = Api::start().await;
    let directory = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("things.json"), world::DOCUMENT).unwrap();
    let text = world::config(api.address).replacen("expires = 2099-01-01", &format!("expires = {}", day(12)), 1);
    let given = Given { directory: Some(directory), ..world::at(&clock) };
    let app = TestApp::with(&format!("{text}{more}"), given).await.unwrap();
    let login = |agent| Login { user: "carol", agent, toolsets: world::ALL, ..Login::default() };
    let carol = || app.login(&login(None)).unwrap();
    let bot = || app.login(&login(Some("bot"))).unwrap();
    let reads = ["get-thing", "list-things"];
    assert!(sees(&carol()).await.is_empty(), "before its start");
    clock.advance(4 * DAY);
    assert_eq!(
        (sees(&carol()).await, sees(&bot()).await),
        (reads.map(String::from).into(), reads.map(String::from).into())
    );
    let kept = bot();
    clock.advance(3 * DAY);
    assert_eq!(sees(&carol()).await, reads);
    assert_eq!(
        bot().request(Era::Modern, "tools/list", json!({})).await.unwrap().status,
        401,
        "the agent's time is over"
    );
    assert_eq!(kept.request(Era::Modern, "tools/list", json!({})).await.unwrap().status, 401);
    clock.advance(3 * DAY);
    assert!(sees(&carol()).await.is_empty(), "after its end");
    assert_eq!(sees(&world::person(&app, "alice", "c")).await.len(), 3);
    clock.advance(3 * DAY);
    assert!(sees(&world::person(&app, "alice", "c")).await.is_empty(), "the server's time is over");
    assert!(api.seen().is_empty());
    app.stop().await.unwrap();
}

/// A day since 1970-01-01 as a date (Howard Hinnant's `civil_from_days`).
fn date(days: i64) -> String {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Every path of an endpoint is that endpoint's, and everything else is nobody's.
#[tokio::test]
async fn an_endpoint_has_one_address() {
    let more = "[[endpoints]]\npath = \"/mcp/other\"\nservers = [\"things\"]\n";
    let (app, api) = world::with(Given::default(), more).await;
    let alice = world::person(&app, "alice", "c");
    for path in [
        "/mcp/",
        "//mcp",
        "/mcp//",
        "/MCP",
        "/mcp/default",
        "/mcp;x=1",
        "/mcp%2f",
        "/mcp/other/..",
        "/mcp/%6fther",
        "/./mcp",
        "/mcp/other/",
        "/mcp/OTHER",
        "/mcp/.",
        "/mcp/other%00",
        "/mcp\\other",
        "/",
    ] {
        let mut request =
            alice.build(Era::Modern, "tools/call", json!({"name": "list-things", "arguments": {}})).unwrap();
        let Ok(uri) = format!("{}{path}", app.url()).parse() else { continue };
        *request.uri_mut() = uri;
        let answer = alice.send(request).await.unwrap();
        assert!([401, 404].contains(&answer.status.as_u16()), "{path}: {} {}", answer.status, answer.text());
    }
    assert!(api.seen().is_empty(), "{:?}", api.seen());
    app.stop().await.unwrap();
}
