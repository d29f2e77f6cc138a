//! Streams on which clients hear that their list changed: whose they are, what they tell and what not, and how they end.

use std::time::Duration;

use ambit_gateway::{Settings, StreamSettings};
use ambit_model::revocation::Scope;
use axum::body::Body;
use http::{HeaderName, Request, StatusCode};
use serde_json::{Value, json};

use crate::{
    room::{LEGACY, MODERN, Room, base, document, legacy, modern, post},
    stream::{Came, Stream},
};

const OLDER: &str = "2025-06-18";

/// One whose streams say every few milliseconds that they are there.
async fn room() -> Room {
    Room::with(settings(StreamSettings::default())).await
}

fn settings(streams: StreamSettings) -> Settings {
    let (keep_alive, rest) = (Duration::from_millis(20), Duration::from_millis(5));
    Settings { streams: StreamSettings { keep_alive, rest, ..streams }, ..Settings::default() }
}

fn listen_to(token: &str, notifications: &Value) -> Request<Body> {
    modern("/mcp", token, "subscriptions/listen", json!({"notifications": notifications}))
}

fn listen(token: &str) -> Request<Body> {
    listen_to(token, &json!({"toolsListChanged": true}))
}

fn get(token: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let request = base("GET", "/mcp").header("authorization", format!("Bearer {token}"));
    let request = request.header("accept", "text/event-stream");
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(Body::empty()).unwrap()
}

/// The `GET` of a session.
fn stream_of(token: &str, session: &str) -> Request<Body> {
    get(token, &[("mcp-session-id", session), ("mcp-protocol-version", LEGACY)])
}

/// A request for a stream by a new session of the legacy era, or by a modern client.
async fn either(room: &Room, token: &str, is_modern: bool) -> Request<Body> {
    if is_modern { listen(token) } else { stream_of(token, &room.session(token).await) }
}

/// A stream that has begun.
async fn begun(room: &Room, request: Request<Body>) -> Stream {
    let mut stream = Stream::of(room, request).await;
    assert_eq!((stream.status, stream.media()), (StatusCode::OK, "text/event-stream"));
    match stream.came().await {
        Came::Data(first) => assert!(first.contains("notifications/subscriptions/acknowledged"), "{first}"),
        Came::Comment => {}
        Came::End => panic!("it ended before it began"),
    }
    stream
}

/// Reads until it was silent for some while: long enough to have told of a change, if it were to.
async fn stays_silent(stream: &mut Stream) {
    for _ in 0..4 {
        assert_eq!(stream.came().await, Came::Comment);
    }
}

async fn hears(stream: &mut Stream, is_modern: bool) {
    let params = json!({"_meta": {"io.modelcontextprotocol/subscriptionId": 1}});
    let mut expected = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
    if is_modern {
        expected["params"] = params;
    }
    assert_eq!(serde_json::from_str::<Value>(&stream.next().await.unwrap()).unwrap(), expected);
}

fn complete() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "result": {"resultType": "complete", "_meta": {
        "io.modelcontextprotocol/subscriptionId": 1,
        "io.modelcontextprotocol/serverInfo": {
            "name": "ambit", "title": "The default tools", "version": env!("CARGO_PKG_VERSION")
        },
    }}})
}

/// What the trail says of the last stream that ended: how it began and how it ended.
async fn on_record(room: &Room) -> (Value, Value) {
    for _ in 0..500 {
        let events = room.requests();
        let began = events.iter().rev().find(|event| event["result"] == "listening").unwrap().clone();
        let ended = events.iter().rev().find(|event| event["request"] == began["request"]).unwrap();
        if ended["result"] != "listening" {
            return (began, ended.clone());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("its end is not on the record: {:?}", room.requests());
}

fn scope(kind: &str, id: &str) -> Scope {
    Scope::parse(kind, id).unwrap()
}

#[tokio::test]
async fn a_reveal_is_heard_at_its_start_and_at_its_end() {
    for is_modern in [true, false] {
        let room = room().await;
        let token = room.alice();
        let mut stream = Stream::of(&room, either(&room, &token, is_modern).await).await;
        assert_eq!((stream.status, stream.media()), (StatusCode::OK, "text/event-stream"));
        for (name, value) in [("cache-control", "no-store"), ("x-accel-buffering", "no")] {
            assert_eq!(stream.headers[name], value);
        }
        assert!(!stream.headers.contains_key("mcp-session-id"));
        let first = stream.came().await;
        if is_modern {
            let params = json!({
                "_meta": {"io.modelcontextprotocol/subscriptionId": 1},
                "notifications": {"toolsListChanged": true},
            });
            let method = "notifications/subscriptions/acknowledged";
            let Came::Data(first) = first else { panic!("{first:?}") };
            assert_eq!(
                serde_json::from_str::<Value>(&first).unwrap(),
                json!({"jsonrpc": "2.0", "method": method, "params": params})
            );
        } else {
            assert_eq!(first, Came::Comment);
        }
        // It was on the record before the first byte.
        assert_eq!(room.requests().last().unwrap()["result"], "listening");
        assert!(!room.names(&token).await.contains(&"delete-thing".to_owned()));
        room.reveal("alice", "c1", "destroys").await;
        hears(&mut stream, is_modern).await;
        assert!(room.names(&token).await.contains(&"delete-thing".to_owned()));
        stays_silent(&mut stream).await;
        room.end_reveal("r1").await;
        hears(&mut stream, is_modern).await;
        assert!(!room.names(&token).await.contains(&"delete-thing".to_owned()));
        assert!(!stream.raw.contains("delete") && !stream.raw.contains("id: "), "{}", stream.raw);
    }
}

#[tokio::test]
async fn a_reveal_that_runs_out_is_heard_although_nothing_else_happens() {
    for is_modern in [true, false] {
        let room = room().await;
        let token = room.alice();
        room.reveal_for(120_000, "r1", ("alice", None), "c1", "destroys").await;
        let mut stream = begun(&room, either(&room, &token, is_modern).await).await;
        room.clock.advance(110_000);
        stays_silent(&mut stream).await;
        // Nobody keeps a list for longer than it holds.
        let list = room.modern(&token, "tools/list", json!({})).await.json();
        assert_eq!(list["result"]["ttlMs"], 10_000);
        room.clock.advance(10_000);
        hears(&mut stream, is_modern).await;
        assert!(!room.names(&token).await.contains(&"delete-thing".to_owned()));
        stays_silent(&mut stream).await;
    }
}

#[tokio::test]
async fn what_concerns_others_is_not_heard() {
    for is_modern in [true, false] {
        let room = room().await;
        let token = room.alice();
        let mut stream = begun(&room, either(&room, &token, is_modern).await).await;
        room.reveal_as("r-bob", "bob", "c1", "destroys").await;
        stays_silent(&mut stream).await;
        room.reveal_as("r-client", "alice", "c2", "destroys").await;
        stays_silent(&mut stream).await;
        room.block(scope("user", "local:bob")).await;
        room.revoke(scope("client", "c2")).await;
        stays_silent(&mut stream).await;
        room.end_reveal("r-bob").await;
        room.reveal_as("r-reports", "alice", "c1", "reports").await;
        stays_silent(&mut stream).await;
        // Of a tool that she does not see.
        let mut other = document();
        other["paths"]["/things/{id}"]["delete"]["summary"] = json!("Delete it for good");
        room.tools_become(&other).await;
        stays_silent(&mut stream).await;
        // The same change for her is the first that arrives.
        room.reveal_as("r-alice", "alice", "c1", "destroys").await;
        hears(&mut stream, is_modern).await;
        stays_silent(&mut stream).await;
    }
}

#[tokio::test]
async fn another_definition_or_rule_is_heard_as_a_list_shows_it() {
    let room = room().await;
    let token = room.alice();
    let mut stream = begun(&room, listen(&token)).await;
    let mut other = document();
    other["paths"]["/things"]["get"]["summary"] = json!("List all things");
    room.tools_become(&other).await;
    hears(&mut stream, true).await;
    // The same again changes nothing.
    room.tools_become(&other).await;
    stays_silent(&mut stream).await;
    let mut changed = other.clone();
    changed["paths"]["/things"]["post"]["summary"] = json!("Create many things");
    room.tools_become_unaccepted(&changed).await;
    hears(&mut stream, true).await;
    assert!(!room.names(&token).await.contains(&"create-thing".to_owned()));
    room.rules_become(r#"@id("none") forbid (principal, action == Action::"api/list-things", resource);"#).await;
    hears(&mut stream, true).await;
}

#[tokio::test]
async fn our_own_tools_are_of_the_list_that_is_heard_of() {
    let room = room().await;
    let token = room.alice();
    let mut stream = begun(&room, listen(&token)).await;
    for is_on in [true, false] {
        room.deployment_becomes(|deployment| deployment.access.enabled = is_on).await;
        hears(&mut stream, true).await;
        assert_eq!(room.names(&token).await.contains(&"ambit_status".to_owned()), is_on);
    }
    stays_silent(&mut stream).await;
}

#[tokio::test]
async fn nothing_is_heard_after_a_revocation() {
    for is_modern in [true, false] {
        for (kind, id) in [
            ("user", "local:alice"),
            ("client", "c1"),
            ("family", "family-of-alice"),
            ("endpoint", "default"),
            ("deployment", ""),
        ] {
            let room = room().await;
            let stream = begun(&room, either(&room, &room.alice(), is_modern).await).await;
            room.revoke(scope(kind, id)).await;
            room.reveal("alice", "c1", "destroys").await;
            assert_eq!(stream.rest().await, Vec::<Value>::new(), "{kind} {id}");
            let (began, ended) = on_record(&room).await;
            assert_eq!((&ended["result"], &ended["executed"]), (&json!("revoked"), &json!("no")), "{kind} {id}");
            assert_eq!((&began["who"]["user"], &ended["who"]), (&json!("local:alice"), &began["who"]));
        }
        let room = room().await;
        let stream = begun(&room, either(&room, &room.alice(), is_modern).await).await;
        room.block(scope("user", "local:alice")).await;
        assert_eq!(stream.rest().await, Vec::<Value>::new());
        assert_eq!(on_record(&room).await.1["result"], "blocked");
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    for is_modern in [true, false] {
        let room = room().await;
        let token = room.alice();
        let request = either(&room, &token, is_modern).await;
        let again = either(&room, &token, is_modern).await;
        let stream = begun(&room, request).await;
        room.clock.advance(11 * 60_000);
        room.reveal("alice", "c1", "destroys").await;
        let rest = stream.rest().await;
        assert_eq!(rest, if is_modern { vec![complete()] } else { vec![] });
        assert_eq!(on_record(&room).await.1["result"], "stream_over");
        assert_eq!(room.send(again).await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn no_stream_lasts_for_ever() {
    let room =
        Room::with(settings(StreamSettings { life: Duration::from_millis(60), ..StreamSettings::default() })).await;
    for is_modern in [true, false] {
        let stream = begun(&room, either(&room, &room.alice(), is_modern).await).await;
        assert_eq!(stream.rest().await, if is_modern { vec![complete()] } else { vec![] });
        assert_eq!(on_record(&room).await.1["result"], "stream_over");
    }
}

#[tokio::test]
async fn a_stream_is_its_sessions_and_its_callers() {
    let room = room().await;
    let alice = room.alice();
    let session = room.session(&alice).await;
    let missing = room.send(get(&alice, &[("mcp-protocol-version", LEGACY)])).await;
    assert_eq!((missing.status, missing.error_code()), (StatusCode::BAD_REQUEST, -32600));
    let with = |token: &str, session: &str, version: &str| {
        get(token, &[("mcp-session-id", session), ("mcp-protocol-version", version)])
    };
    let forged = room.send(with(&alice, &"A".repeat(80), LEGACY)).await;
    assert_eq!((forged.status, forged.error_code()), (StatusCode::NOT_FOUND, 40_400));
    for (user, client) in [("bob", "c1"), ("alice", "c2")] {
        let token = room.token(user, client, &["reads"]);
        assert_eq!(room.send(with(&token, &session, LEGACY)).await, forged, "{user} {client}");
    }
    assert_eq!(room.send(with(&alice, &session, OLDER)).await, forged, "the version is part of it");
    let mut elsewhere = with(&room.token_at(1, "alice", "c1", &["reads"]), &session, LEGACY);
    *elsewhere.uri_mut() = "/mcp/other".parse().unwrap();
    assert_eq!(room.send(elsewhere).await, forged);
    for token in ["invented", &room.token_at(1, "alice", "c1", &["reads"])] {
        assert_eq!(room.send(with(token, &session, LEGACY)).await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(room.send(base("GET", "/mcp").body(Body::empty()).unwrap()).await.status, StatusCode::UNAUTHORIZED);
    // Its own, with what others send along: nothing is taken up again.
    let resumed =
        get(&alice, &[("mcp-session-id", &session), ("last-event-id", "7"), ("mcp-protocol-version", LEGACY)]);
    stays_silent(&mut begun(&room, resumed).await).await;
    // The version that was negotiated may be left out.
    begun(&room, get(&alice, &[("mcp-session-id", &session)])).await;
}

#[tokio::test]
async fn a_get_is_of_the_legacy_era() {
    let room = room().await;
    let alice = room.alice();
    let session = room.session(&alice).await;
    let of = |version: &'static str| [("mcp-session-id", session.as_str()), ("mcp-protocol-version", version)];
    for request in [get(&alice, &of(MODERN)), get(&alice, &[("mcp-protocol-version", MODERN)]), get(&alice, &[])] {
        let answer = room.send(request).await;
        assert_eq!(
            (answer.status, &answer.headers["allow"]),
            (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
        );
    }
    for version in ["2025-03-26", "2024-11-05", "2027-01-01", "new"] {
        let answer = room.send(get(&alice, &of(version))).await;
        assert_eq!((answer.status, answer.error_code()), (StatusCode::BAD_REQUEST, -32022), "{version}");
    }
    let twice = get(&alice, &[of(LEGACY).as_slice(), &[("mcp-protocol-version", LEGACY)]].concat());
    assert_eq!(room.send(twice).await.error_code(), -32020);
    let mut json_alone = get(&alice, &of(LEGACY));
    json_alone.headers_mut().insert("accept", "application/json".parse().unwrap());
    assert_eq!(room.send(json_alone).await.status, StatusCode::NOT_ACCEPTABLE);
    let mut head = get(&alice, &of(LEGACY));
    *head.method_mut() = http::Method::HEAD;
    assert_eq!(room.send(head).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(room.requests().iter().all(|event| event["result"] != "listening"));
}

#[tokio::test]
async fn a_wish_to_listen_is_held_to_its_form() {
    let room = room().await;
    let alice = room.alice();
    for (params, status) in [
        (json!({}), 200),
        (json!({"notifications": {"toolsListChanged": "yes"}}), 200),
        (json!({"notifications": {"toolsListChanged": null}}), 200),
        (json!({"notifications": []}), 400),
        (json!({"Notifications": {"toolsListChanged": true}}), 400),
    ] {
        let answer = room.modern(&alice, "subscriptions/listen", params.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.error_code()), (status, -32602), "{params}");
    }
    let with = |name: &'static str, value: &str| {
        let mut request = listen(&alice);
        request.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
        request
    };
    for (name, value) in [("mcp-method", "tools/list"), ("mcp-name", "list-things"), ("mcp-protocol-version", LEGACY)] {
        let answer = room.send(with(name, value)).await;
        assert_eq!((answer.status, answer.error_code()), (StatusCode::BAD_REQUEST, -32020), "{name}");
    }
    for name in ["mcp-method", "mcp-protocol-version"] {
        let mut request = listen(&alice);
        request.headers_mut().remove(name);
        assert_eq!(room.send(request).await.error_code(), -32020, "without {name}");
    }
    assert_eq!(room.send(with("accept", "application/json")).await.status, StatusCode::NOT_ACCEPTABLE);
    let session = room.session(&alice).await;
    let params = json!({"notifications": {"toolsListChanged": true}});
    let older = room.send(legacy(&alice, Some(&session), "subscriptions/listen", Some(params))).await;
    assert_eq!(older.error_code(), -32601);
    assert!(room.requests().iter().all(|event| event["result"] != "listening"));
}

#[tokio::test]
async fn only_what_can_be_told_is_acknowledged() {
    let room = room().await;
    let alice = room.alice();
    let every = json!({
        "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
        "resourceSubscriptions": ["file:///a"], "taskIds": ["t"],
    });
    let mut stream = Stream::of(&room, listen_to(&alice, &every)).await;
    let acknowledged: Value = serde_json::from_str(&stream.next().await.unwrap()).unwrap();
    assert_eq!(acknowledged["params"]["notifications"], json!({"toolsListChanged": true}));
    for none in [json!({}), json!({"toolsListChanged": false}), json!({"promptsListChanged": true})] {
        let stream = Stream::of(&room, listen_to(&alice, &none)).await;
        let [acknowledged, end] = stream.rest().await.try_into().unwrap();
        assert_eq!((&acknowledged["params"]["notifications"], end), (&json!({}), complete()));
        assert_eq!(on_record(&room).await.1["result"], "nothing_to_tell");
    }
}

#[tokio::test]
async fn whoever_sees_less_gets_the_same_bytes() {
    let room = room().await;
    room.reveal("alice", "c1", "destroys").await;
    let (mut hers, mut his) =
        (begun(&room, listen(&room.alice())).await, begun(&room, listen(&room.token("carol", "c1", &[]))).await);
    stays_silent(&mut hers).await;
    stays_silent(&mut his).await;
    assert_eq!((&hers.raw, &hers.headers), (&his.raw, &his.headers));
}

#[tokio::test]
async fn a_person_has_so_many_streams_and_so_have_all() {
    let streams = StreamSettings { per_person: 2, at_once: 3, ..StreamSettings::default() };
    let room = Room::with(settings(streams)).await;
    let alice = room.alice();
    let session = room.session(&alice).await;
    let mut hers = vec![begun(&room, listen(&room.token("alice", "c2", &[]))).await];
    hers.push(begun(&room, stream_of(&alice, &session)).await);
    for request in [listen(&alice), stream_of(&alice, &session), listen(&room.token("alice", "c3", &[]))] {
        let answer = room.send(request).await;
        assert_eq!((answer.status, answer.error_code()), (StatusCode::TOO_MANY_REQUESTS, 42_900));
        assert_eq!(answer.headers["retry-after"], "30");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains("2 streams"), "{answer:?}");
        assert_eq!(room.requests().last().unwrap()["result"], "too_many_streams");
    }
    let his = begun(&room, listen(&room.token("bob", "c1", &[]))).await;
    let full = room.send(listen(&room.token("carol", "c1", &[]))).await;
    assert_eq!((full.status, full.error_code()), (StatusCode::SERVICE_UNAVAILABLE, 50_300));
    assert!(room.gateway.metrics().contains("ambit_streams 3\n"));
    // A stream that is left makes room.
    hers.pop();
    begun(&room, listen(&room.token("carol", "c1", &[]))).await;
    begun(&room, listen(&alice)).await;
    drop((hers, his));
    assert!(room.gateway.metrics().contains("ambit_streams 0\n"));
}

#[tokio::test]
async fn a_stream_holds_none_of_the_places_of_requests() {
    let room = Room::over_with(settings(StreamSettings::default()), |deployment| {
        let requests = &mut deployment.budgets.everybody.requests;
        requests.at_once = std::num::NonZeroU32::new(1);
    })
    .await;
    let alice = room.alice();
    let session = room.session(&alice).await;
    let streams = [begun(&room, listen(&alice)).await, begun(&room, stream_of(&alice, &session)).await];
    assert_eq!(room.names(&alice).await.len(), 3);
    assert!(room.gateway.drain(Duration::from_secs(5)).await);
    drop(streams);
}

#[tokio::test]
async fn a_client_that_never_reads_holds_nothing_back_and_misses_nothing() {
    for is_modern in [true, false] {
        let room = room().await;
        let token = room.alice();
        let mut stream = begun(&room, either(&room, &token, is_modern).await).await;
        for n in 0..20 {
            room.reveal_as(&format!("r{n}"), "alice", "c1", "destroys").await;
            if n < 19 {
                room.end_reveal(&format!("r{n}")).await;
            }
        }
        // Of all that happened it hears once, and can ask.
        hears(&mut stream, is_modern).await;
        stays_silent(&mut stream).await;
    }
}

#[tokio::test]
async fn what_was_so_for_a_while_is_heard_for_the_client_may_have_asked_then() {
    let room = Room::with(Settings {
        streams: StreamSettings { keep_alive: Duration::from_millis(50), ..StreamSettings::default() },
        ..Settings::default()
    })
    .await;
    let token = room.alice();
    let mut stream = begun(&room, listen(&token)).await;
    room.reveal_as("r1", "alice", "c1", "destroys").await;
    hears(&mut stream, true).await;
    // Within the second in which nothing is told again.
    room.end_reveal("r1").await;
    assert_eq!(stream.came().await, Came::Comment);
    room.reveal_as("r2", "alice", "c1", "destroys").await;
    assert_eq!(stream.came().await, Came::Comment);
    hears(&mut stream, true).await;
    stays_silent(&mut stream).await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_it_for_the_record() {
    for is_modern in [true, false] {
        let room = room().await;
        let stream = begun(&room, either(&room, &room.alice(), is_modern).await).await;
        let counted = |room: &Room| room.gateway.metrics().lines().filter(|line| line.ends_with(r#""ok"} 1"#)).count();
        let before = counted(&room);
        drop(stream);
        let (began, ended) = on_record(&room).await;
        assert_eq!((&ended["result"], &ended["protocol"]), (&json!("cancelled"), &began["protocol"]));
        assert_eq!(began["method"], if is_modern { json!("subscriptions/listen") } else { Value::Null });
        assert_eq!(counted(&room), before, "its end is no request");
    }
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_stream() {
    let room = room().await;
    let alice = room.alice();
    let (session, other) = (room.session(&alice).await, room.session(&alice).await);
    let stream = begun(&room, stream_of(&alice, &session)).await;
    let mut beside = begun(&room, stream_of(&alice, &other)).await;
    let end = post("/mcp", &alice).method("DELETE").header("mcp-session-id", session).body(Body::empty()).unwrap();
    assert_eq!(room.send(end).await.status, StatusCode::NO_CONTENT);
    assert_eq!(stream.rest().await, Vec::<Value>::new());
    assert!(room.requests().iter().any(|event| event["result"] == "session_not_found"));
    room.reveal("alice", "c1", "destroys").await;
    hears(&mut beside, false).await;
}

#[tokio::test]
async fn a_session_hears_each_change_on_one_of_its_streams() {
    let room = room().await;
    let alice = room.alice();
    let session = room.session(&alice).await;
    let mut broken = begun(&room, stream_of(&alice, &session)).await;
    let mut young = begun(&room, stream_of(&alice, &session)).await;
    room.reveal("alice", "c1", "destroys").await;
    hears(&mut young, false).await;
    stays_silent(&mut broken).await;
    // It says it again rather than never, once it is alone.
    drop(young);
    hears(&mut broken, false).await;
    stays_silent(&mut broken).await;
    room.end_reveal("r1").await;
    hears(&mut broken, false).await;
}

#[tokio::test]
async fn streams_end_when_the_process_stops_and_none_begins_then() {
    let room = room().await;
    let alice = room.alice();
    for _ in 0..2 {
        let requests = [either(&room, &alice, true).await, either(&room, &alice, false).await];
        let [modern, legacy] = requests.map(|request| begun(&room, request));
        let (modern, legacy) = (modern.await, legacy.await);
        room.gateway.end_streams();
        assert_eq!((modern.rest().await, legacy.rest().await), (vec![complete()], vec![]));
        assert_eq!(on_record(&room).await.1["result"], "stopping");
    }
}
