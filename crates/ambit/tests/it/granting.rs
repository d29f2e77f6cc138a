//! Grants as records, through the running gateway: each counts on the next request and leaves a record with before and after.

use ambit_testkit::app::{Given, TestApp};
use serde_json::Value;

use crate::world::{self, ambit, person};

const DAY: i64 = 86_400_000;

async fn id_of(app: &TestApp, args: &[&str]) -> String {
    let made: Value = serde_json::from_str(&ambit(app, &[args, &["--reason", "r", "--json"]].concat()).await).unwrap();
    made["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_grant_to_a_client_raises_its_ceiling_and_nothing_else() {
    let clock = world::still();
    let more = "[clients.narrow]\ntoolsets = [\"things-read\"]\n";
    let (app, _api) = world::with(world::at(&clock), more).await;
    let reads = ["get-thing", "list-things"];
    let (alice, carol) = (person(&app, "alice", "narrow"), person(&app, "carol", "narrow"));
    assert_eq!(alice.list().await.unwrap(), reads);
    let grant = ["grant", "--client", "narrow", "--toolset", "things-edit", "--for", "10d"];
    let id = id_of(&app, &grant).await;
    assert_eq!(alice.list().await.unwrap(), ["create-thing", "get-thing", "list-things"], "on the next request");
    assert!(carol.list().await.unwrap().is_empty(), "it entitles nobody");
    ambit(&app, &["revoke", "grant", &id, "--reason", "over"]).await;
    assert_eq!(alice.list().await.unwrap(), reads);
    id_of(&app, &grant).await;
    assert_eq!(alice.list().await.unwrap().len(), 3);
    clock.advance(11 * DAY);
    let alice = person(&app, "alice", "narrow");
    assert_eq!(alice.list().await.unwrap(), reads, "after its end");

    let acts: Vec<_> = app.events().unwrap().into_iter().filter(|event| event["event"] == "act").collect();
    let made = acts.iter().find(|act| act["act"] == "grant.create").unwrap();
    assert_eq!((&made["subject"], &made["after"]["id"]), (&"client narrow".into(), &id.as_str().into()));
    assert!(made["before"].is_null());
    let ended = acts.iter().find(|act| act["act"] == "grant.end").unwrap();
    assert_eq!(ended["before"]["toolset"], "things-edit");
    assert!(ended["after"]["ended_at"].is_i64() && ended["reason"] == "over", "{ended}");
    app.stop().await.unwrap();
}

#[tokio::test]
async fn an_operator_acts_within_its_role_on_the_running_server() {
    let name = ambit::operator::os_user::name(ambit::operator::os_user::own_uid().unwrap());
    let more = format!(
        "[[operator.roles]]\nos_user = \"{name}\"\nperson = \"carol\"\nroles = [\"owner\"]\nservers = [\"things\"]\n"
    );
    let (app, _api) = world::with(Given::default(), &more).await;
    let carol = person(&app, "carol", "c");
    let refused = |answer: (u8, String, String)| {
        assert_eq!(answer.0, 1, "{answer:?}");
        answer.2
    };
    let own_grant = ["grant", "--user", "carol", "--toolset", "things-read", "--reason", "r"];
    let said = refused(app.ambit(&own_grant).await);
    assert!(said.contains("you are local:carol") && said.contains("nobody gives anything to themselves"), "{said}");
    assert!(carol.list().await.unwrap().is_empty());
    let minted = refused(app.ambit(&["token", "--user", "alice"]).await);
    assert!(minted.contains("this takes an admin, and you are owner"), "{minted}");
    ambit(&app, &["grant", "--user", "bob", "--toolset", "things-edit", "--reason", "r"]).await;
    assert_eq!(person(&app, "bob", "c").list().await.unwrap().len(), 3);

    let refusals: Vec<_> =
        app.events().unwrap().into_iter().filter(|event| event["act"] == "operator.refused").collect();
    let asked: Vec<_> = refusals.iter().map(|act| (act["after"]["asked"].clone(), act["subject"].clone())).collect();
    assert_eq!(asked, [("grant".into(), "user local:carol".into()), ("token".into(), "user local:alice".into())]);
    assert!(refusals.iter().all(|act| act["by"] == format!("operator:{name}") && act["reason"].is_string()));
    app.stop().await.unwrap();
}

#[tokio::test]
async fn what_a_reload_grants_and_withdraws_is_recorded_with_before_and_after() {
    let (app, api) = world::start().await;
    let base = world::config(api.address);
    let grant = "[[grants]]\nuser = \"carol\"\ntoolset = \"things-read\"\nreason = \"first\"\nexpires = 2099-01-01\n";
    let reload = async |text: String| {
        app.write_config(&text).unwrap();
        app.act(&ambit::operator::Act::Reload {}).await.unwrap();
    };
    reload(format!("{base}{grant}")).await;
    reload(format!("{base}{}", grant.replace("first", "second"))).await;
    reload(base.clone()).await;
    let acts: Vec<_> =
        app.events().unwrap().into_iter().filter(|event| event["subject"] == "user local:carol").collect();
    let told: Vec<_> = acts
        .iter()
        .map(|act| (act["act"].clone(), act["before"]["reason"].clone(), act["after"]["reason"].clone()))
        .collect();
    assert_eq!(
        told,
        [
            ("grant.declare".into(), Value::Null, "first".into()),
            ("grant.change".into(), "first".into(), "second".into()),
            ("grant.withdraw".into(), "second".into(), Value::Null),
        ]
    );
    app.stop().await.unwrap();
}
