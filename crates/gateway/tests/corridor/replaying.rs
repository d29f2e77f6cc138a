//! `requestState` as an attacker would bring it: altered in any place, of another call, client or person, cut, joined, made
//! up, repeated, too old. Thousands of them, while a person's yes lies ready to be spent: none lets anything out, and none
//! spends it.

use ambit_live::deployment::Deployment;
use ambit_model::{
    approval::{REQUEST_LIFE_MS, Says, UNUSED_LIFE_MS},
    budget::Limits,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    approving::{TOOL, deleted, id_of, revealed, say, told},
    room::{Answer, Room, modern_with},
};

const TRIES: usize = 4_000;

/// Numbers without a pattern that are the same every time.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 1).unwrap() % sides
    }
}

async fn bring(room: &Room, token: &str, id: &str, state: Option<&str>, action: &str) -> Answer {
    let mut params = json!({"name": TOOL, "arguments": {"id": id}});
    if let Some(state) = state {
        params["requestState"] = json!(state);
        params["inputResponses"] = json!({"ambit_approval": {"action": action}});
    }
    let capable = json!({"elicitation": {"url": {}}});
    room.send(modern_with("/mcp", token, "tools/call", params, &capable)).await
}

/// A state that is good for a call.
async fn state(room: &Room, token: &str, id: &str) -> String {
    let answer = bring(room, token, id, None, "accept").await;
    answer.json()["result"]["requestState"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

/// Makes something of states that is none of them.
fn forged(dice: &mut Dice, own: &[String], foreign: &[String]) -> String {
    let one = own[dice.throw(own.len())].clone();
    let other = &foreign[dice.throw(foreign.len())];
    let mut bytes = URL_SAFE_NO_PAD.decode(&one).unwrap();
    let theirs = URL_SAFE_NO_PAD.decode(other).unwrap();
    let at = dice.throw(bytes.len());
    match dice.throw(10) {
        // One bit, one byte, a piece of another state.
        0..=2 => bytes[at] ^= 1 << dice.throw(8),
        3 => bytes[at] = bytes[at].wrapping_add(u8::try_from(1 + dice.throw(255)).unwrap()),
        4 => bytes[at..].copy_from_slice(&theirs[at..]),
        5 => bytes.truncate(at),
        6 => bytes.insert(at, u8::try_from(dice.throw(256)).unwrap()),
        7 => bytes = (0..bytes.len()).map(|_| u8::try_from(dice.throw(256)).unwrap()).collect(),
        // Of another call, client or person, whole.
        8 => return other.clone(),
        _ => {
            let added = ["=", "A", " ", "\u{0}", "\u{202e}", "%3D", ".", &one][dice.throw(8)];
            return if dice.throw(2) == 0 { format!("{one}{added}") } else { format!("{added}{one}") };
        }
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

/// On threads of their own, so that the store is heard of meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_state_but_its_own_goes_on_with_a_call_and_none_lets_it_out_twice() {
    let unlimited = |deployment: &mut Deployment| deployment.budgets.everybody.requests = Limits::default();
    let (room, token) = revealed(Room::guarded_over(unlimited).await).await;
    room.reveal_as("r2", "alice", "c2", "destroys").await;
    room.reveal_as("r3", "bob", "c1", "destroys").await;
    let elsewhere = room.token("alice", "c2", &["reads", "destroys"]);
    let somebody = room.token("bob", "c1", &["reads", "destroys"]);
    let mut own = Vec::new();
    for _ in 0..20 {
        own.push(state(&room, &token, "1").await);
    }
    let foreign =
        [state(&room, &token, "2").await, state(&room, &elsewhere, "1").await, state(&room, &somebody, "1").await];
    let id = id_of(&bring(&room, &token, "1", Some(&own[0]), "decline").await);
    say(&room, &id, "bob", Says::Yes).await.unwrap();

    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut tried = 0;
    while tried < TRIES {
        let forged = forged(&mut dice, &own, &foreign);
        if own.contains(&forged) {
            continue;
        }
        tried += 1;
        let action = ["accept", "decline", "cancel"][dice.throw(3)];
        let answer = bring(&room, &token, "1", Some(&forged), action).await;
        assert_eq!(answer.error_code(), -32602, "{forged:?}: {answer:?}");
    }
    assert_eq!(deleted(&room), 0);
    let kept = ambit_store::approvals::find(room.live.store(), &id).await.unwrap().unwrap();
    assert_eq!(kept.stage.as_str(), "approved", "the yes was not touched");

    // Its own state goes on with it, once; repeated, it tells where the record is.
    let done = bring(&room, &token, "1", Some(&own[0]), "accept").await;
    assert_eq!(done.json()["result"]["isError"], Value::Bool(false), "{done:?}");
    for number in 0..500 {
        let again = bring(&room, &token, "1", Some(&own[number % own.len()]), "accept").await;
        assert_eq!(told(&again)["status"], "already_executed", "{again:?}");
    }
    assert_eq!(deleted(&room), 1);

    // Too old, each of them.
    room.clock.advance(REQUEST_LIFE_MS + UNUSED_LIFE_MS);
    let token = room.token("alice", "c1", &["reads", "destroys"]);
    let asked = id_of(&bring(&room, &token, "1", Some(&state(&room, &token, "1").await), "decline").await);
    say(&room, &asked, "bob", Says::Yes).await.unwrap();
    for old in &own {
        assert_eq!(bring(&room, &token, "1", Some(old), "accept").await.error_code(), -32602);
    }
    assert_eq!(deleted(&room), 1);
}
