//! What is published stays true: against a real snapshot, store and trail, and a scripted server.

use ambit_live::clock::Clock;
use ambit_live::credentials::Spendables;
use ambit_live::deployment::Deployment;
use ambit_live::keys::Keys;
use ambit_live::lock::Lock;
use ambit_live::{Parts, catalogue::Entry};
use ambit_model::Digest;
use ambit_model::ceiling::ClientCeilings;
use ambit_model::ids::ToolId;
use ambit_model::tool::Acceptance;
use ambit_store::{Store, StoreUrl};
use ambit_trail::{Disk, Trail};
use serde_json::json;

use super::*;
use crate::upstream::mcp::testing::{Fake, Kind, Reply, in_ms, tool, upstreams};

const T0: Millis = 1_800_000_000_000;
const SECOND: Millis = 1_000;

struct Room {
    live: Live,
    clock: Clock,
    refresher: Refresher,
    upstreams: McpUpstreams,
    slug: ServerSlug,
    _directory: tempfile::TempDir,
}

fn quick() -> Settings {
    Settings {
        time_for_listing: Duration::from_millis(500),
        rest_after_failure: Duration::from_millis(200),
        ..Settings::default()
    }
}

fn deployment(servers: Vec<Server>) -> Deployment {
    Deployment {
        public_url: "https://gw.example".into(),
        endpoints: Vec::new(),
        servers: servers.into_iter().map(|server| (server.slug.clone(), server)).collect(),
        issuers: std::collections::BTreeMap::new(),
        accounts: std::collections::BTreeMap::new(),
        agents: std::collections::BTreeMap::new(),
        toolsets: std::collections::BTreeMap::new(),
        grants: Vec::new(),
        ceilings: ClientCeilings::default(),
        clients: Vec::new(),
        roles: ambit_model::operator::Roles::default(),
        policies: Arc::default(),
        break_glass: ambit_model::break_glass::BreakGlass::default(),
        budgets: ambit_model::budget::Budgets::default(),
        admin: None,
        access: ambit_model::access::AccessRules::default(),
        operator_may_mint: false,
        digest: Digest::of(b"tests"),
    }
}

impl Room {
    /// Reads the servers once and accepts everything they list.
    async fn over(servers: Vec<Server>, settings: Settings) -> Self {
        let upstreams = upstreams();
        let clock = Clock::manual(T0);
        let mut lock = Lock::default();
        let mut catalogues = Vec::new();
        for server in &servers {
            catalogues.push(Arc::new(match upstreams.list(server, None, in_ms(2_000)).await {
                Ok(listing) => ServerCatalogue::from_mcp(server, listing.tools, listing.left_out, T0),
                Err(failure) => ServerCatalogue::failed(server.slug.clone(), failure.what(), T0),
            }));
        }
        for tool in catalogues.iter().flat_map(|one| one.tools.values()) {
            lock.accept(tool.id().clone(), tool.pin());
        }
        let directory = tempfile::tempdir().unwrap();
        let store = StoreUrl::parse(&format!("sqlite:{}", directory.path().join("store.db").display())).unwrap();
        let key = ambit_ledger::SigningKey::from_seed("gw.example/trail", &[7; 32]).unwrap();
        let trail = ambit_trail::Settings::new(directory.path().join("trail"), "n1", "gw.example/trail");
        let trail = ambit_trail::Settings { segment_bytes: 1 << 20, ..trail };
        let now = clock.clone();
        let live = Live::open(Parts {
            deployment: deployment(servers.clone()),
            lock,
            servers: catalogues,
            credentials: Spendables::default(),
            store: Store::open(&store).await.unwrap(),
            trail: Trail::open(trail, key, Disk, move || now.now()).unwrap(),
            keys: Arc::new(Keys::open(&directory.path().join("keys")).unwrap()),
            clock: clock.clone(),
        })
        .await
        .unwrap();
        let refresher = Refresher::new(live.clone(), upstreams.clone(), settings);
        let slug = servers[0].slug.clone();
        Self { live, clock, refresher, upstreams, slug, _directory: directory }
    }

    async fn before(&self, effect: Effect) -> Result<(), NotFresh> {
        self.refresher.before_dispatch(&self.slug, effect, in_ms(3_000)).await
    }

    /// The published tool of the first server.
    fn entry(&self, name: &str) -> Option<Entry> {
        let snapshot = self.live.current();
        let id = ToolId::parse(&format!("{}/{name}", self.slug)).unwrap();
        snapshot.catalogue.entry(snapshot.catalogue.position(&id)?).cloned()
    }

    /// Waits until something holds.
    async fn eventually(&self, what: &str, holds: impl Fn() -> bool) {
        for _ in 0..500 {
            if holds() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never: {what}");
    }
}

/// The same tool, turned destructive.
fn turned() -> serde_json::Value {
    json!({"name": "get_thing", "description": "reads one thing", "inputSchema": {"type": "object"},
        "annotations": {"destructiveHint": true}})
}

#[tokio::test]
async fn a_tool_that_turned_destructive_is_seen_before_the_next_call() {
    let fake = Fake::start(Kind::Modern).await;
    let room = Room::over(vec![fake.server()], quick()).await;
    let accepted = room.entry("get_thing").unwrap();
    assert_eq!((accepted.acceptance, accepted.tool.effect.effect), (Acceptance::Accepted, Effect::Read));
    fake.set_tools(vec![turned()]);
    // Within the minute a read runs on what is known.
    room.before(Effect::Read).await.unwrap();
    assert_eq!(fake.count("tools/list"), 1);
    room.clock.advance(61 * SECOND);
    room.before(Effect::Read).await.unwrap();
    let entry = room.entry("get_thing").unwrap();
    assert_eq!((entry.acceptance, entry.tool.effect.effect), (Acceptance::Changed, Effect::Destructive));
    assert_ne!(entry.tool.digest, accepted.tool.digest);
    assert_eq!(fake.count("tools/list"), 2);
    // Turned back, it is what was accepted.
    fake.set_tools(vec![tool("get_thing")]);
    room.before(Effect::Destructive).await.unwrap();
    assert_eq!(room.entry("get_thing").unwrap().acceptance, Acceptance::Accepted);
    // A tool that vanished is no tool.
    fake.set_tools(Vec::new());
    room.before(Effect::Destructive).await.unwrap();
    assert!(room.entry("get_thing").is_none());
}

#[tokio::test]
async fn destructive_calls_read_each_time_and_together_once() {
    let fake = Fake::start(Kind::Legacy).await;
    let room = Room::over(vec![fake.server()], quick()).await;
    for _ in 0..3 {
        room.before(Effect::Destructive).await.unwrap();
    }
    assert_eq!(fake.count("tools/list"), 4);
    let all = futures_util::future::join_all((0..20).map(|_| room.before(Effect::Destructive))).await;
    assert!(all.iter().all(Result::is_ok));
    // The first began at once; all who asked after that share the next.
    assert_eq!(fake.count("tools/list"), 6);
    for effect in [Effect::Read, Effect::Write] {
        room.before(effect).await.unwrap();
    }
    assert_eq!(fake.count("tools/list"), 6);
}

#[tokio::test]
async fn a_server_that_cries_change_and_changes_nothing_has_nothing_built() {
    let fake = Fake::start(Kind::Modern).await;
    fake.set_tools((0..200).map(|index| tool(&format!("get_{index}"))).collect());
    let room = Room::over(vec![fake.server()], quick()).await;
    let first = room.live.current();
    let slot = room.refresher.slot(&room.slug);
    // The first reading of this process is looked into, and is what was there.
    room.before(Effect::Destructive).await.unwrap();
    let rests_until = slot.rests_until();
    assert!(rests_until.is_some());
    for second in 1..=5 {
        room.clock.advance(SECOND);
        room.upstreams.suspect(&fake.server());
        room.before(Effect::Read).await.unwrap();
        let now = room.live.current();
        assert!(Arc::ptr_eq(&now, &first), "nothing was swapped");
        assert_eq!(now.catalogue.read_at(&room.slug), Some(T0 + second * SECOND));
    }
    assert_eq!(slot.rests_until(), rests_until, "nothing was built");
    assert_eq!(fake.count("tools/list"), 7);
    // What is as it was is not known for good: after a reload nobody vouches for it but a reading.
    let servers = room
        .live
        .servers()
        .await
        .into_values()
        .map(|known| Arc::new(ServerCatalogue::failed(known.slug.clone(), "it could not be read".into(), T0)));
    let servers = servers.collect();
    drop(first);
    let lock = Lock::default();
    room.live.reload(deployment(vec![fake.server()]), lock, servers, Spendables::default()).await.unwrap();
    assert!(room.entry("get_7").is_none());
    room.before(Effect::Destructive).await.unwrap();
    assert_eq!(room.entry("get_7").unwrap().acceptance, Acceptance::New);
}

#[tokio::test]
async fn a_server_whose_tools_never_stay_the_same_is_read_with_rests_and_pays_for_what_moved() {
    let fake = Fake::start(Kind::Modern).await;
    let room = Room::over(vec![fake.server()], quick()).await;
    let slot = room.refresher.slot(&room.slug);
    let other = |index: usize| {
        let mut moved = tool("moves");
        moved["description"] = json!(format!("reads thing {index}"));
        vec![tool("get_thing"), moved]
    };
    let kept = room.entry("get_thing").unwrap().tool;
    for index in 0..3 {
        let rests_until = slot.rests_until();
        fake.set_tools(other(index));
        room.before(Effect::Destructive).await.unwrap();
        assert!(rests_until.is_none_or(|until| Instant::now() >= until), "it was read before its rest was over");
        assert!(slot.rests_until() > rests_until);
        assert_eq!(room.entry("moves").unwrap().tool.definition.description, format!("reads thing {index}"));
        assert!(Arc::ptr_eq(&room.entry("get_thing").unwrap().tool, &kept), "it was put together again");
    }
}

#[tokio::test]
async fn what_a_server_tells_counts_at_once() {
    let fake = Fake::start(Kind::Legacy).await;
    let room = Room::over(vec![fake.server()], quick()).await;
    fake.set_tools(vec![turned()]);
    room.upstreams.suspect(&fake.server());
    room.before(Effect::Read).await.unwrap();
    assert_eq!(room.entry("get_thing").unwrap().acceptance, Acceptance::Changed);
    room.before(Effect::Read).await.unwrap();
    assert_eq!(fake.count("tools/list"), 2);
}

#[tokio::test]
async fn a_server_that_cannot_be_read_keeps_its_list_and_loses_its_calls() {
    let fake = Fake::start(Kind::Modern).await;
    let room = Room::over(vec![fake.server()], quick()).await;
    fake.instead(|heard| (heard.method() == "tools/list").then(|| Reply::error(heard, 200, -32603, "no")));
    // Within the minute nothing has to be asked, except before a destructive call.
    room.clock.advance(60 * SECOND);
    room.before(Effect::Read).await.unwrap();
    room.before(Effect::Write).await.unwrap();
    room.before(Effect::Destructive).await.unwrap_err();
    // A millisecond later nobody knows any more whether the tool still only reads.
    room.clock.advance(1);
    tokio::time::sleep(quick().rest_after_failure).await;
    for effect in Effect::ALL {
        let refused = room.before(effect).await.unwrap_err();
        assert!(refused.to_string().contains("could not be read again"), "{refused}");
    }
    // A failure is not tried again by everyone who comes.
    let tried = fake.count("tools/list");
    room.before(Effect::Read).await.unwrap_err();
    room.before(Effect::Write).await.unwrap_err();
    assert_eq!(fake.count("tools/list"), tried);
    assert_eq!(room.entry("get_thing").unwrap().acceptance, Acceptance::Accepted);
    fake.instead(|_| None);
    tokio::time::sleep(quick().rest_after_failure).await;
    for effect in Effect::ALL {
        room.before(effect).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_said_it_changed_is_not_read_from_until_it_was_listed() {
    let fake = Fake::start(Kind::Modern).await;
    let room = Room::over(vec![fake.server()], quick()).await;
    fake.instead(|heard| (heard.method() == "tools/list").then(|| Reply::error(heard, 200, -32603, "no")));
    room.upstreams.suspect(&fake.server());
    for effect in Effect::ALL {
        room.before(effect).await.unwrap_err();
    }
    fake.instead(|_| None);
    tokio::time::sleep(quick().rest_after_failure).await;
    room.before(Effect::Read).await.unwrap();
}

#[tokio::test]
async fn after_a_broken_connection_the_definitions_are_looked_at_again() {
    let fake = Fake::start(Kind::Modern).await;
    let room = Room::over(vec![fake.server()], quick()).await;
    let tool = room.entry("get_thing").unwrap().tool;
    fake.instead(|heard| (heard.method() == "tools/call").then(|| Reply::Close(String::new())));
    let call = crate::upstream::mcp::Call {
        server: &fake.server(),
        tool: &tool,
        credential: None,
        arguments: &json!({}),
        deadline: in_ms(2_000),
        max_bytes: 1 << 16,
        client_era: ambit_mcp::era::Era::Modern,
        progress: None,
        stands: &|| true,
    };
    room.upstreams.call(&call).await.unwrap_err();
    // The next program at this address.
    fake.instead(|_| None);
    fake.set_tools(vec![turned()]);
    room.before(Effect::Read).await.unwrap();
    assert_eq!(room.entry("get_thing").unwrap().acceptance, Acceptance::Changed);
}

#[tokio::test]
async fn a_server_that_hangs_harms_nobody_else() {
    let (bad, good) = (Fake::start(Kind::Modern).await, Fake::start(Kind::Legacy).await);
    let mut other = good.server();
    other.slug = ServerSlug::parse("other").unwrap();
    let room = Room::over(vec![bad.server(), other.clone()], quick()).await;
    bad.instead(|_| Some(Reply::Hang));
    room.clock.advance(61 * SECOND);
    let began = std::time::Instant::now();
    let (hung, fine) = tokio::join!(
        room.before(Effect::Write),
        room.refresher.before_dispatch(&other.slug, Effect::Write, in_ms(3_000))
    );
    assert!(hung.is_err() && fine.is_ok());
    assert!(began.elapsed() < Duration::from_secs(3));
    // The time of the call bounds the wait as well.
    let late = room.refresher.before_dispatch(&room.slug, Effect::Destructive, in_ms(50)).await;
    assert!(late.unwrap_err().why.contains("no time"));
}

#[tokio::test]
async fn the_watch_reads_what_could_not_be_read_hears_changes_and_ends_sessions() {
    let fake = Fake::start(Kind::Legacy).await;
    fake.instead(|heard| (heard.method() == "tools/list").then(|| Reply::http(503, "", "")));
    let room = Room::over(vec![fake.server()], quick()).await;
    assert!(room.entry("get_thing").is_none());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let refresher = room.refresher.clone();
    let watching = tokio::spawn(async move {
        refresher
            .run(async {
                let _ = stopped.await;
            })
            .await;
    });
    fake.instead(|heard| {
        // A stream that says once that something changed, and stays open.
        let event = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n";
        let stream = format!("{}{:x}\r\n{event}\r\n", super::super::testing::STREAM_HEAD, event.len());
        let quiet = (Duration::from_mins(10), String::new());
        (heard.verb == "GET").then(|| Reply::Pieces(vec![(Duration::from_millis(500), stream), quiet]))
    });
    room.eventually("the tool is published", || room.entry("get_thing").is_some()).await;
    // Nobody accepted it: it was not there when definitions were.
    assert_eq!(room.entry("get_thing").unwrap().acceptance, Acceptance::New);
    fake.set_tools(vec![turned()]);
    room.eventually("the change is heard", || {
        room.entry("get_thing").is_some_and(|entry| entry.tool.effect.effect == Effect::Destructive)
    })
    .await;
    stop.send(()).unwrap();
    watching.await.unwrap();
    assert_eq!(fake.count("DELETE"), 1);
}

#[tokio::test]
async fn a_server_that_is_no_longer_configured_is_left_in_peace() {
    let fake = Fake::start(Kind::Legacy).await;
    let room = Room::over(vec![fake.server()], quick()).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let refresher = room.refresher.clone();
    let watching = tokio::spawn(async move {
        refresher
            .run(async {
                let _ = stopped.await;
            })
            .await;
    });
    room.eventually("it is listened to", || fake.count("GET") > 0).await;
    room.live.reload(deployment(Vec::new()), Lock::default(), Vec::new(), Spendables::default()).await.unwrap();
    room.eventually("its session is ended", || fake.count("DELETE") == 1).await;
    // A call of it finds no server, and asks nobody.
    let heard = fake.heard().len();
    room.before(Effect::Destructive).await.unwrap();
    assert_eq!(fake.heard().len(), heard);
    stop.send(()).unwrap();
    watching.await.unwrap();
}
