//! Who may say yes to a call, beyond being named: not who asks, not the same person under another name, for production not the
//! owner of the agent that asks. And what one agent can make people look at.

use std::collections::BTreeSet;

use ambit_identity::approvals::VoteError;
use ambit_live::deployment::{Agent, Deployment};
use ambit_model::{
    approval::Says,
    grant::GrantSubject,
    ids::{AgentId, Subject, UserKey},
};
use serde_json::json;

use crate::{
    approving::{delete, deleted, id_of, revealed, say, told},
    room::{Room, grant},
};

/// The agent, which belongs to bob, who approves.
const ROBOT: &str = "robot";

/// Bob's agent works on a server of this environment.
fn bobs_agent(environment: &str) -> impl FnOnce(&mut Deployment) {
    move |deployment| {
        let robot = AgentId::parse(ROBOT).unwrap();
        let agent = Agent { owner: UserKey::local("bob").unwrap(), purpose: "tests".into(), expires_at: i64::MAX };
        deployment.agents.insert(robot.clone(), agent);
        let held = grant("g9", "bob", "destroys");
        deployment.grants.push(ambit_model::grant::Grant { subject: GrantSubject::Agent(robot), ..held });
        deployment.servers.get_mut("api").unwrap().governance.environment = environment.into();
    }
}

/// Alice works through it, and may see what destroys.
async fn through_bobs_agent(environment: &str) -> (Room, String) {
    let room = Room::guarded_over(bobs_agent(environment)).await;
    room.reveal_to("r1", ("alice", Some(ROBOT)), "c1", "destroys").await;
    let token = room.acting("alice", ROBOT, "c1", &["destroys"]);
    (room, token)
}

fn is_nobody(said: &Result<ambit_model::approval::Stage, VoteError>) -> bool {
    matches!(said, Err(VoteError::NotFound(_)))
}

#[tokio::test]
async fn in_production_the_owner_of_the_agent_that_asks_is_no_approver() {
    for environment in ["Production-EU", "prod", " PROD 2"] {
        let (room, token) = through_bobs_agent(environment).await;
        let waiting = delete(&room, &token, "1").await;
        assert_eq!(told(&waiting)["approvers"], json!(["carol"]), "{environment}: {waiting:?}");
        let id = id_of(&waiting);
        let by_owner = say(&room, &id, "bob", Says::Yes).await;
        assert!(is_nobody(&by_owner), "{environment}: {by_owner:?}");
        assert_eq!(told(&delete(&room, &token, "1").await)["status"], "approval_pending");
        assert_eq!(deleted(&room), 0);
        assert_eq!(say(&room, &id, "carol", Says::Yes).await.unwrap().as_str(), "approved");
        assert!(!delete(&room, &token, "1").await.is_tool_error());
        let intent = room.events().into_iter().find(|event| event["event"] == "intent").unwrap();
        assert_eq!(intent["approval"]["by"], json!(["local:carol"]));
    }
}

#[tokio::test]
async fn elsewhere_the_owner_of_the_agent_may() {
    let (room, token) = through_bobs_agent("test").await;
    let waiting = delete(&room, &token, "1").await;
    assert_eq!(told(&waiting)["approvers"], json!(["bob", "carol"]), "{waiting:?}");
    assert_eq!(say(&room, &id_of(&waiting), "bob", Says::Yes).await.unwrap().as_str(), "approved");
    assert!(!delete(&room, &token, "1").await.is_tool_error());
    assert_eq!(deleted(&room), 1);
}

#[tokio::test]
async fn where_only_the_owner_of_the_agent_is_left_nobody_can_be_asked() {
    let (room, token) = through_bobs_agent("production").await;
    room.approvers_become(&["bob"]).await;
    let answer = delete(&room, &token, "1").await;
    assert_eq!(told(&answer)["status"], "no_approvers", "{answer:?}");
    assert_eq!(deleted(&room), 0);
}

#[tokio::test]
async fn an_approver_with_the_address_of_who_asks_is_the_same_person() {
    let addresses = |deployment: &mut Deployment| {
        for (name, email) in [("alice", "Alice@Example.com"), ("carol", " alice@example.com ")] {
            let account = deployment.accounts.get_mut(&Subject::parse(name).unwrap()).unwrap();
            account.email = Some(email.into());
        }
    };
    let (room, token) = revealed(Room::guarded_over(addresses).await).await;
    let waiting = delete(&room, &token, "1").await;
    assert_eq!(told(&waiting)["approvers"], json!(["bob"]), "{waiting:?}");
    let id = id_of(&waiting);
    let by_another_name = say(&room, &id, "carol", Says::Yes).await;
    assert!(is_nobody(&by_another_name), "{by_another_name:?}");
    assert_eq!(deleted(&room), 0);
    assert_eq!(say(&room, &id, "bob", Says::Yes).await.unwrap().as_str(), "approved");
}

#[tokio::test]
async fn an_agent_that_repeats_one_call_a_hundred_times_a_minute_opens_one_request_and_waits_longer_each_time() {
    let (room, token) = through_bobs_agent("test").await;
    let (mut open, mut waits) = (BTreeSet::new(), Vec::new());
    for _ in 0..100 {
        let answer = delete(&room, &token, "1").await;
        open.insert(id_of(&answer));
        waits.push(told(&answer)["retry_after"].as_i64().unwrap());
        room.clock.advance(600);
    }
    assert_eq!(open.len(), 1);
    assert_eq!(waits[..7], [5, 10, 20, 40, 80, 120, 120]);
    assert!(waits[6..].iter().all(|wait| *wait == 120), "{waits:?}");
    assert_eq!(deleted(&room), 0);
}

#[tokio::test]
async fn an_agent_that_asks_for_a_hundred_things_a_minute_opens_few_requests_and_waits_longer_each_time() {
    let (room, token) = through_bobs_agent("test").await;
    let (mut open, mut waits) = (BTreeSet::new(), Vec::new());
    for number in 0..100 {
        let answer = delete(&room, &token, &number.to_string()).await;
        match told(&answer)["status"].as_str().unwrap() {
            "approval_pending" => drop(open.insert(id_of(&answer))),
            "too_many_waiting" => waits.push(told(&answer)["retry_after"].as_i64().unwrap()),
            other => panic!("{other}"),
        }
        room.clock.advance(600);
    }
    assert_eq!((open.len(), waits.len()), (5, 95));
    assert!(waits.is_sorted(), "{waits:?}");
    assert_eq!((waits[0], waits[94]), (20, 57), "as long as it has had too many open already");
    // Another client does not make it another caller.
    room.reveal_to("r2", ("alice", Some(ROBOT)), "c2", "destroys").await;
    let elsewhere = room.acting("alice", ROBOT, "c2", &["destroys"]);
    assert_eq!(told(&delete(&room, &elsewhere, "more").await)["status"], "too_many_waiting");
    assert_eq!(deleted(&room), 0);
}
