//! Reload: a changed configuration counts as a whole, a broken one not at all, and the reason is said.

use ambit::operator::{Act, socket::Answer};
use ambit_testkit::app::{Caller, Era, TestApp};
use serde_json::json;

use crate::world::{self, Api};

async fn reload(app: &TestApp) -> Result<(), String> {
    match app.act(&Act::Reload {}).await.unwrap() {
        Answer::Done(_) => Ok(()),
        Answer::Refused { message } => Err(message),
    }
}

/// What alice, bob and carol see: the shape of the old configuration, or of another one.
async fn sights(people: &[Caller; 3]) -> [usize; 3] {
    let mut sights = [0; 3];
    for (sight, person) in sights.iter_mut().zip(people) {
        *sight = person.list().await.unwrap().len();
    }
    sights
}

fn people(app: &TestApp) -> [Caller; 3] {
    ["alice", "bob", "carol"].map(|user| world::person(app, user, "c"))
}

#[tokio::test]
async fn a_changed_configuration_counts_as_a_whole_and_on_the_next_request() {
    let (app, api) = world::start().await;
    let people = people(&app);
    assert_eq!(sights(&people).await, [3, 2, 0]);
    let text = world::config(api.address)
        .replace("groups = [\"editors\"]", "groups = [\"readers\"]")
        .replace("name = \"Carol\"", "name = \"Carol\"\ngroups = [\"editors\"]")
        .replace("title = \"Things\"\n", "title = \"Other things\"\n");
    app.write_config(&text).unwrap();
    assert_eq!(sights(&people).await, [3, 2, 0], "nothing counts before it is asked to");
    reload(&app).await.unwrap();
    assert_eq!(sights(&people).await, [2, 2, 3]);
    let discovered = people[0].request(Era::Modern, "server/discover", json!({})).await.unwrap();
    assert!(discovered.text().contains("Other things"), "{}", discovered.text());
    // An account that is gone is gone with its tokens.
    app.write_config(&text.replace("[accounts.bob]\nname = \"Bob\"\ngroups = [\"readers\"]\n", "")).unwrap();
    reload(&app).await.unwrap();
    assert_eq!(people[1].request(Era::Modern, "tools/list", json!({})).await.unwrap().status, 401);
    assert_eq!(people[0].list().await.unwrap().len(), 2);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_broken_configuration_changes_nothing_and_the_reason_is_said() {
    let (app, api) = world::start().await;
    let people = people(&app);
    let good = world::config(api.address);
    let secret = "sk-live-0123456789abcdef";
    for (what, text, says) in [
        ("no TOML", format!("{good}\n[[["), "ambit.toml"),
        ("an unknown key", good.replace("[operator]", "[operator]\nmints = true"), "mints"),
        ("a missing field", good.replace("owner = \"Team Things\"\n", ""), "owner"),
        ("an unknown server", good.replace("servers = [\"things\"]", "servers = [\"thinks\"]"), "thinks"),
        ("an unknown toolset", good.replace("toolset = \"things-edit\"", "toolset = \"things-edti\""), "things-edti"),
        (
            "a grant without end",
            good.replacen(
                "approved_by = \"Team Things\"\nexpires = 2099-01-01\n",
                "approved_by = \"Team Things\"\n",
                1,
            ),
            "expires",
        ),
        (
            "a literal secret",
            good.replace(
                "owner = \"Team Things\"",
                &format!("owner = \"Team Things\"\ncredential = {{ bearer = \"{secret}\" }}"),
            ),
            "servers.things.credential",
        ),
        (
            "a secret that is not there",
            good.replace(
                "owner = \"Team Things\"",
                "owner = \"Team Things\"\ncredential = { bearer = \"file:nowhere.txt\" }",
            ),
            "nowhere.txt",
        ),
        ("another address", good.replace("listen = \"127.0.0.1:0\"", "listen = \"127.0.0.1:1\""), "restart"),
        ("other outgoing rules", good.replace("allow = [\"127.0.0.1\"]", "allow = [\"127.0.0.0/8\"]"), "restart"),
        ("another URL", good.replace("public_url = \"{url}\"", "public_url = \"http://127.0.0.1:1\""), "restart"),
        ("counters elsewhere", format!("{good}\n[metrics]\nlisten = \"127.0.0.1:0\"\n"), "restart"),
        ("other bounds on streams", format!("{good}\n[streams]\nper_person = 1\n"), "restart"),
        ("a reveal in the file", format!("{good}\n[[reveals]]\nuser = \"alice\"\n"), "reveals"),
    ] {
        // Each breaks something and gives carol much: nothing of it counts.
        let text = text.replace("name = \"Carol\"", "name = \"Carol\"\ngroups = [\"editors\"]");
        app.write_config(&text).unwrap();
        let why = reload(&app).await.expect_err(what);
        assert!(why.contains(says), "{what}: {why}");
        assert!(!why.contains(secret), "{what}: {why}");
        assert_eq!(sights(&people).await, [3, 2, 0], "{what}");
        assert_eq!(
            people[0].call("list-things", json!({})).await.unwrap().json()["result"]["isError"],
            false,
            "{what}"
        );
    }
    app.write_config(&good).unwrap();
    reload(&app).await.unwrap();
    assert_eq!(sights(&people).await, [3, 2, 0]);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_broken_lock_file_or_document_changes_nothing() {
    let (app, _api) = world::start().await;
    let people = people(&app);
    let lock = app.directory().path().join("ambit.lock");
    let good = std::fs::read_to_string(&lock).unwrap();
    std::fs::write(&lock, "not a lock file").unwrap();
    let why = reload(&app).await.unwrap_err();
    assert!(why.contains("ambit.lock"), "{why}");
    assert_eq!(sights(&people).await, [3, 2, 0]);
    std::fs::write(&lock, &good).unwrap();
    // A document on disk is part of what is reloaded.
    let document = app.directory().path().join("things.json");
    std::fs::write(&document, "not a document").unwrap();
    let why = reload(&app).await.unwrap_err();
    assert!(why.contains("servers.things"), "{why}");
    assert_eq!(sights(&people).await, [3, 2, 0]);
    assert_eq!(people[0].call("list-things", json!({})).await.unwrap().json()["result"]["isError"], false);
    std::fs::write(&document, world::DOCUMENT).unwrap();
    // Without its pins nothing is accepted, so nothing is shown.
    std::fs::remove_file(&lock).unwrap();
    reload(&app).await.unwrap();
    assert_eq!(sights(&people).await, [0, 0, 0]);
    std::fs::write(&lock, &good).unwrap();
    reload(&app).await.unwrap();
    assert_eq!(sights(&people).await, [3, 2, 0]);
    app.stop().await.unwrap();
}

/// What was read under one declaration is never used under another: not its address with the new credential, not its
/// effects past the owner's correction.
#[tokio::test]
async fn a_server_that_moved_and_cannot_be_read_keeps_nothing_of_the_old_one() {
    let (app, old) = world::start().await;
    let new = Api::start().await;
    let alice = world::person(&app, "alice", "c");
    let secret = app.directory().path().join("secret.txt");
    std::fs::write(&secret, "for-the-new-host-only").unwrap();
    let document = app.directory().path().join("things.json");
    let moved = world::config(new.address)
        .replace("owner = \"Team Things\"", "owner = \"Team Things\"\ncredential = { bearer = \"file:secret.txt\" }");
    let moved =
        format!("{moved}[servers.things.effects.create-thing]\neffect = \"destructive\"\nreason = \"it bills\"\n");
    app.write_config(&moved).unwrap();
    std::fs::write(&document, "not a document").unwrap();
    reload(&app).await.unwrap_err();
    let made = alice.call("create-thing", json!({"name": "a"})).await.unwrap();
    assert_eq!(made.json()["result"]["isError"], false, "the old configuration stays whole: {}", made.text());
    std::fs::write(&document, world::DOCUMENT).unwrap();
    reload(&app).await.unwrap();
    let hidden = alice.call("create-thing", json!({"name": "b"})).await.unwrap();
    assert_eq!(hidden.json()["error"]["code"], -32602, "{}", hidden.text());
    assert!(world::is_fine(&alice.call("list-things", json!({})).await.unwrap()));
    let given = |api: &Api| api.heads().iter().any(|head| head.contains_key("authorization"));
    assert!(!given(&old) && given(&new));
    assert_eq!((old.seen().len(), new.seen().len()), (1, 1));
    app.stop().await.unwrap();
}

/// The same by signal, as an operator's script sends it.
#[tokio::test]
async fn a_hangup_reloads() {
    let (app, api) = world::start().await;
    // With a handler of the test's own the signal can come at any time.
    let _handler = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).unwrap();
    let carol = world::person(&app, "carol", "c");
    assert!(carol.list().await.unwrap().is_empty());
    let text = world::config(api.address).replace("name = \"Carol\"", "name = \"Carol\"\ngroups = [\"editors\"]");
    app.write_config(&text).unwrap();
    let mut published = app.live().published();
    let own = std::process::id().to_string();
    for _ in 0..600 {
        let sent = std::process::Command::new("kill").args(["-HUP", &own]).status().unwrap();
        assert!(sent.success());
        let _ = tokio::time::timeout(std::time::Duration::from_millis(100), published.changed()).await;
        if carol.list().await.unwrap().len() == 3 {
            app.stop().await.unwrap();
            return;
        }
    }
    panic!("a hangup was not heard");
}

#[tokio::test]
async fn calls_go_on_while_it_is_reloaded_again_and_again() {
    let (app, api): (TestApp, Api) = world::start().await;
    let alice = world::person(&app, "alice", "c");
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let calling = {
        let alice = alice.clone();
        tokio::spawn(async move {
            let mut calls = 0;
            while !*stopped.borrow_and_update() {
                let answer = alice.call("list-things", json!({})).await.unwrap();
                assert_eq!(answer.json()["result"]["isError"], false, "{}", answer.text());
                calls += 1;
            }
            calls
        })
    };
    let good = world::config(api.address);
    for n in 0..10 {
        app.write_config(&good.replace("title = \"Things\"\n", &format!("title = \"Things {n}\"\n"))).unwrap();
        reload(&app).await.unwrap();
    }
    stop.send_replace(true);
    assert!(calling.await.unwrap() > 0);
    app.stop().await.unwrap();
}

/// A reload changes who is who: what was remembered of a token is held against the new rules.
#[tokio::test]
async fn what_was_remembered_is_held_against_the_new_configuration() {
    let more = "[[endpoints]]\npath = \"/mcp/other\"\nservers = [\"things\"]\n[agents.bot]\nowner = \"alice\"\npurpose = \
                \"tests\"\nexpires = 2099-01-01\n[[grants]]\nagent = \"bot\"\ntoolset = \"things-read\"\nreason = \
                \"r\"\napproved_by = \"r\"\nexpires = 2099-01-01\n";
    let (app, api) = world::with(ambit_testkit::app::Given::default(), more).await;
    let all = ambit_testkit::app::Login { client: "c", toolsets: world::ALL, ..Default::default() };
    let alice = app.login(&all).unwrap();
    let bot = app.login(&ambit_testkit::app::Login { agent: Some("bot"), ..all.clone() }).unwrap();
    let other = app.login(&ambit_testkit::app::Login { endpoint: "/mcp/other", ..all }).unwrap();
    let counts = async || {
        let mut counts = [0; 3];
        for (count, caller) in counts.iter_mut().zip([&alice, &bot, &other]) {
            let answer = caller.request(Era::Modern, "tools/list", json!({})).await.unwrap();
            *count = if answer.status == 200 {
                answer.json()["result"]["tools"].as_array().unwrap().len()
            } else {
                answer.status.as_u16().into()
            };
        }
        counts
    };
    let good = format!("{}{more}", world::config(api.address));
    assert_eq!(counts().await, [3, 2, 3]);
    let provider = "[issuers.idp]\nissuer = \"https://idp.example\"\nscopes = \"none\"\npeople = \"unmarked\"\n";
    for (what, text, expected) in [
        ("a client's ceiling", format!("{good}[clients.c]\ntoolsets = [\"things-read\"]\n"), [2, 2, 2]),
        ("no agent", good.split_once("[agents.bot]").unwrap().0.to_owned(), [3, 401, 3]),
        (
            "another issuer",
            format!(
                "{}{provider}",
                good.replace("path = \"/mcp/other\"\n", "path = \"/mcp/other\"\nissuer = \"idp\"\n")
            ),
            [3, 2, 503],
        ),
        (
            "no other endpoint",
            good.replace("[[endpoints]]\npath = \"/mcp/other\"\nservers = [\"things\"]\n", ""),
            [3, 2, 404],
        ),
        (
            "an owner's word on an effect",
            format!("{good}[servers.things.effects.get-thing]\neffect = \"destructive\"\nreason = \"it notifies\"\n"),
            [2, 1, 2],
        ),
        ("all as before", good.clone(), [3, 2, 3]),
    ] {
        app.write_config(&text).unwrap();
        reload(&app).await.unwrap_or_else(|why| panic!("{what}: {why}"));
        assert_eq!(counts().await, expected, "{what}");
    }
    assert!(api.seen().is_empty());
    app.stop().await.unwrap();
}
