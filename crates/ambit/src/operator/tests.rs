//! Acts on a real store and trail, directly and through the socket of a server.

use std::{path::Path, sync::Arc};

use ambit_identity::signing::Signing;
use ambit_live::{Recorder, clock::Clock, keys::Keys, recorder};
use ambit_model::{
    constraints::Constraints,
    grant::{GrantSubject, MAX_GRANT_MS},
    ids::{ClientId, Subject, ToolsetSlug, UserKey},
    operator::Actor,
    revocation::Scope,
};
use ambit_store::{Store, StoreUrl, accounts, grants, reveals, revocations};
use serde_json::Value;
use tokio::sync::oneshot;

use super::{
    act::{Act, ScopeText},
    client::ask,
    context::OperatorContext,
    perform::{ActError, perform},
    socket::{Answer, OperatorSocket},
};
use crate::config;

pub(super) const NOW: i64 = 1_795_564_800_000;
const HOUR: i64 = 3_600_000;

const CONFIG: &str = r#"
[[endpoints]]
path = "/mcp"
servers = ["mux"]
[servers.mux]
mcp = "https://mux.example/mcp"
owner = "o"
purpose = "p"
environment = "test"
data_class = "internal"
expires = 2028-12-31
revoke_when = "never"
[toolsets.read]
tools = ["mux/*"]
[accounts.alice]
[agents.bot]
owner = "alice"
purpose = "p"
expires = 2028-12-31
[operator]
mint = true
"#;

pub(super) struct Fixture {
    pub(super) directory: tempfile::TempDir,
    pub(super) context: OperatorContext,
    pub(super) store: Store,
    clock: Clock,
}

pub(super) async fn fixture(text: &str) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ambit.toml");
    std::fs::write(&path, text).unwrap();
    let deployment = Arc::new(config::load(&path, NOW).unwrap().deployment);
    let clock = Clock::manual(NOW);
    let keys = Arc::new(Keys::open(&directory.path().join("keys")).unwrap());
    let signing = Arc::new(Signing::open(&directory.path().join("keys"), NOW).unwrap());
    let store = Store::open(&StoreUrl::File(directory.path().join("ambit.db"))).await.unwrap();
    let settings = ambit_trail::Settings::new(directory.path().join("trail"), "test", "ambit.test/trail/test");
    let trail = recorder::open_trail(settings, &keys, ambit_trail::Disk, &clock).unwrap();
    let recorder = Recorder::new(trail, clock.clone());
    let context =
        OperatorContext::direct(deployment, Vec::new(), (store.clone(), recorder), (keys, signing), clock.clone());
    Fixture { directory, context, store, clock }
}

pub(super) fn operator(name: &str) -> Actor {
    Actor::OsUser(name.to_owned())
}

fn by() -> Actor {
    operator("test")
}

fn alice() -> UserKey {
    UserKey::local("alice").unwrap()
}

fn toolset(slug: &str) -> ToolsetSlug {
    ToolsetSlug::parse(slug).unwrap()
}

fn grant() -> Act {
    grant_of(&GrantSubject::User(alice()), "read", "r", Some(NOW + HOUR))
}

fn grant_of(subject: &GrantSubject, slug: &str, reason: &str, expires_at: Option<i64>) -> Act {
    Act::Grant {
        subject: subject.clone(),
        toolset: toolset(slug),
        reason: reason.into(),
        ticket: None,
        approved_by: None,
        starts_at: None,
        expires_at,
        constraints: Constraints::default(),
    }
}

fn reveal(life_ms: i64) -> Act {
    Act::Reveal {
        user: alice(),
        client: ClientId::parse("app").unwrap(),
        agent: None,
        toolset: toolset("read"),
        reason: "r".into(),
        approved_by: None,
        life_ms,
    }
}

fn scope(kind: &str, id: &str) -> ScopeText {
    ScopeText(Scope::parse(kind, id).unwrap())
}

/// Every act in the trail of a directory, as `act subject`.
pub(super) fn recorded(directory: &Path) -> Vec<String> {
    let mut acts = Vec::new();
    let mut segments: Vec<_> = std::fs::read_dir(directory.join("trail")).unwrap().map(|e| e.unwrap().path()).collect();
    segments.sort();
    for segment in segments {
        let bytes = std::fs::read(segment).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for part in text.split(r#"{"event":"act","#).skip(1) {
            let json = format!("{{{part}");
            let mut values = serde_json::Deserializer::from_str(&json).into_iter::<Value>();
            if let Some(Ok(event)) = values.next() {
                acts.push(format!(
                    "{} {} {}",
                    event["by"].as_str().unwrap(),
                    event["act"].as_str().unwrap(),
                    event["subject"].as_str().unwrap()
                ));
            }
        }
    }
    acts
}

#[tokio::test]
async fn every_act_is_written_and_recorded() {
    let Fixture { directory, context, store, clock } = fixture(CONFIG).await;
    let made = perform(grant(), &by(), &context).await.unwrap();
    let id = made.result["id"].as_str().unwrap().to_owned();
    perform(reveal(HOUR), &by(), &context).await.unwrap();
    assert_eq!(grants::load_live(&store, NOW).await.unwrap().len(), 1);
    assert_eq!(reveals::load_live(&store, NOW).await.unwrap().len(), 1);

    clock.advance(1000);
    let end = Act::End { id: ambit_model::ids::GrantId::parse(&id).unwrap(), reason: "r".into() };
    perform(end.clone(), &by(), &context).await.unwrap();
    assert!(grants::load_live(&store, NOW).await.unwrap().is_empty());
    assert!(matches!(perform(end, &by(), &context).await, Err(ActError::Absent(_))));

    perform(Act::Block { scope: scope("user", "alice"), reason: "r".into() }, &by(), &context).await.unwrap();
    let revoke = Act::Revoke { scope: scope("user", "alice"), reason: "r".into() };
    let revoked = perform(revoke, &by(), &context).await.unwrap();
    assert_eq!(revoked.result["reveals_ended"], 1);
    let marks = revocations::load_all(&store).await.unwrap();
    assert!(marks[0].mark.blocked && marks[0].mark.revoked_at == Some(NOW + 1000), "{marks:?}");
    let unblock = Act::Unblock { scope: scope("user", "alice"), reason: "r".into() };
    perform(unblock.clone(), &by(), &context).await.unwrap();
    assert!(matches!(perform(unblock, &by(), &context).await, Err(ActError::Absent(_))));

    let acts = recorded(directory.path());
    assert_eq!(
        acts,
        [
            "operator:test grant.create user local:alice",
            "operator:test reveal.create user local:alice",
            format!("operator:test grant.end grant {id}").as_str(),
            "operator:test block user local:alice",
            "operator:test revoke user local:alice",
            "operator:test unblock user local:alice",
        ]
    );
}

#[tokio::test]
async fn what_is_not_declared_or_too_long_is_refused_and_leaves_nothing() {
    let Fixture { directory, context, store, .. } = fixture(CONFIG).await;
    let mut refused = Vec::new();
    for act in [
        reveal(8 * HOUR + 1),
        reveal(0),
        reveal(-1),
        reveal(i64::MAX),
        grant_of(&GrantSubject::User(UserKey::local("mallory").unwrap()), "read", "r", Some(NOW + HOUR)),
        grant_of(&GrantSubject::User(alice()), "write", "r", Some(NOW + HOUR)),
        grant_of(&GrantSubject::User(alice()), "read", " ", Some(NOW + HOUR)),
        grant_of(&GrantSubject::User(alice()), "read", "r", Some(NOW)),
        grant_of(&GrantSubject::User(alice()), "read", "two\nlines", None),
        grant_of(&GrantSubject::User(alice()), "read", "r", Some(NOW + MAX_GRANT_MS + 1)),
        grant_of(&GrantSubject::parse("claim", "okta:org_id=acme").unwrap().unwrap(), "read", "r", None),
        Act::Block { scope: scope("server", "muxx"), reason: "r".into() },
        Act::Block { scope: scope("tool", "muxx/get"), reason: "r".into() },
        Act::Block { scope: scope("user", "alcie"), reason: "r".into() },
        Act::Revoke { scope: scope("agent", "boot"), reason: "r".into() },
        Act::Revoke { scope: scope("endpoint", "video"), reason: "r".into() },
        Act::AccountLink { account: Subject::parse("mallory").unwrap() },
        Act::End { id: ambit_model::ids::GrantId::parse("config:x").unwrap(), reason: "r".into() },
        Act::Accept { tools: Vec::new() },
    ] {
        let error = perform(act, &by(), &context).await.unwrap_err();
        assert!(matches!(error, ActError::Refused(_) | ActError::Declared(_)), "{error:?}");
        refused.push(error.to_string());
    }
    insta::assert_snapshot!(refused.join("\n"));
    assert!(grants::load_live(&store, NOW).await.unwrap().is_empty());
    assert!(revocations::load_all(&store).await.unwrap().is_empty());
    assert_eq!(recorded(directory.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_token_is_minted_only_where_it_is_switched_on_and_never_recorded() {
    let token = |endpoint: &str, life_ms| Act::Token {
        user: alice(),
        agent: None,
        endpoint: endpoint.into(),
        toolsets: None,
        life_ms,
    };
    let Fixture { directory, context, .. } = fixture(CONFIG).await;
    let minted = perform(token("/mcp", 60_000), &by(), &context).await.unwrap();
    let secret = minted.result["access_token"].as_str().unwrap().to_owned();
    assert_eq!(secret.split('.').count(), 3);
    assert_eq!(minted.result["expires_in"], 60);
    assert_eq!(minted.result["scope"], "mcp toolset:read");
    for refused in [token("/mcp/x", 60_000), token("/mcp", 16 * 60_000), token("/mcp", 0)] {
        assert!(matches!(perform(refused, &by(), &context).await, Err(ActError::Refused(_))));
    }
    assert_eq!(recorded(directory.path()), ["operator:test mint local:alice"]);
    for segment in std::fs::read_dir(directory.path().join("trail")).unwrap() {
        let bytes = std::fs::read(segment.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(&secret));
    }

    let off = fixture(&CONFIG.replace("mint = true", "mint = false")).await;
    assert!(matches!(perform(token("/mcp", 60_000), &by(), &off.context).await, Err(ActError::Refused(_))));
}

#[tokio::test]
async fn an_account_link_is_kept_as_a_digest() {
    let Fixture { directory: _kept, context, store, .. } = fixture(CONFIG).await;
    let account = Subject::parse("alice").unwrap();
    let made = perform(Act::AccountLink { account: account.clone() }, &by(), &context).await.unwrap();
    let url = made.result["url"].as_str().unwrap();
    let link = url.strip_prefix("http://127.0.0.1:8080/setup/").unwrap();
    let digest = ambit_model::Digest::of(link.as_bytes());
    assert_eq!(accounts::find_link(&store, &digest, NOW).await.unwrap(), Some(account.clone()));
    assert_eq!(accounts::find_link(&store, &digest, NOW + 25 * HOUR).await.unwrap(), None);
    assert!(accounts::find(&store, &account).await.unwrap().unwrap().password_hash.is_none());
}

#[tokio::test]
async fn a_server_hears_its_own_user_and_answers_one_line() {
    let Fixture { directory, context, store, .. } = fixture(CONFIG).await;
    // Longer than a socket address can be.
    let deep = directory.path().join("d".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    let path = deep.join("operator.sock");
    assert!(ask(&path, &grant()).await.unwrap().is_none());

    let socket = OperatorSocket::bind(&path).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(socket.serve(context, async {
        let _ = stopped.await;
    }));
    let Some(Answer::Done(done)) = ask(&path, &grant()).await.unwrap() else { panic!("not done") };
    assert!(done.sentence.contains("local:alice holds toolset read"), "{}", done.sentence);
    assert!(matches!(ask(&path, &reveal(9 * HOUR)).await.unwrap(), Some(Answer::Refused { .. })));
    assert!(OperatorSocket::bind(&path).await.unwrap_err().to_string().contains("another ambit"));
    let own = super::os_user::own_operator();
    assert_eq!(recorded(directory.path()), [format!("{own} grant.create user local:alice")]);
    assert_eq!(grants::load_live(&store, NOW).await.unwrap().len(), 1);

    stop.send(()).unwrap();
    serving.await.unwrap();
    assert!(!path.exists());
    assert!(ask(&path, &grant()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_request_that_is_not_understood_or_too_long_is_refused() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let Fixture { directory, context, .. } = fixture(CONFIG).await;
    let path = directory.path().join("operator.sock");
    let socket = OperatorSocket::bind(&path).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(socket.serve(context, async {
        let _ = stopped.await;
    }));
    for (request, complaint) in [
        ("nonsense\n", "not understood"),
        ("{\"act\":\"grant\"}\n", "not understood"),
        ("{\"act\":\"reload\",\"by\":\"root\"}\n", "not understood"),
        ("{\"act\":\"revoke\",\"scope\":[\"planet\",\"earth\"],\"reason\":\"r\"}\n", "not understood"),
    ] {
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        // The server may answer and close before it has read all of it.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        assert!(answer.contains(complaint) && answer.contains("refused"), "{request:.40}: {answer}");
    }
    // What is too long is not read to its end, so the answer may be lost with the connection.
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let _ = stream.write_all(format!("{}\n", "x".repeat(300 * 1024)).as_bytes()).await;
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.is_empty() || answer.contains("longer than"), "{answer}");
    stop.send(()).unwrap();
    serving.await.unwrap();
    assert_eq!(recorded(directory.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("operator.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    assert!(ask(&path, &Act::Reload {}).await.unwrap().is_none());
    OperatorSocket::bind(&path).await.unwrap();
}
