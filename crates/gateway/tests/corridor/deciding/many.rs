//! Many questions in one request: they cost what as many requests do, all or nothing, are bounded together, and leave others
//! their turn.

use std::{cell::Cell, future::poll_fn, num::NonZeroU32, pin::pin};

use ambit_model::budget::{Limits, Rate};
use http::StatusCode;
use serde_json::{Value, json};

use super::{ONE, SEVERAL, ask, decided, question, subject, with_clients};
use crate::room::{Answer, Room};

async fn room(requests: Limits) -> Room {
    Room::over(move |deployment| {
        with_clients(deployment);
        deployment.budgets.everybody.requests = requests;
    })
    .await
}

fn rate(text: &str, burst: u32) -> Limits {
    Limits { rate: Rate::parse(text, NonZeroU32::new(burst)), ..Limits::default() }
}

fn one(user: &str) -> Value {
    question(&subject(user), "get-thing", json!({"id": "1"}))
}

fn same(many: usize) -> Value {
    json!({"evaluations": vec![one("alice"); many]})
}

/// Questions that inherit one large argument.
fn inheriting(many: usize, bytes: usize) -> Value {
    let mut asked = question(&subject("alice"), "get-thing", json!({"id": "x".repeat(bytes)}));
    asked["evaluations"] = vec![json!({}); many].into();
    asked
}

fn yes_in(answer: &Answer) -> usize {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let decisions = answer.json()["evaluations"].as_array().unwrap_or_else(|| panic!("{answer:?}")).clone();
    decisions.iter().filter(|decision| decision["decision"] == true).count()
}

fn evaluations(room: &Room) -> usize {
    room.events().iter().filter(|event| event["event"] == "evaluation").count()
}

#[tokio::test]
async fn each_question_costs_what_a_request_does_and_all_or_none_are_taken() {
    let room = room(rate("10/m", 5)).await;
    let alice = room.alice();
    assert_eq!(yes_in(&ask(&room, &alice, SEVERAL, &same(3)).await), 3);
    let over = ask(&room, &alice, SEVERAL, &same(3)).await;
    assert_eq!(over.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(over.json().as_str().unwrap().contains("10 requests a minute"), "{over:?}");
    assert_eq!(evaluations(&room), 3, "and is not answered");
    // Of the two that were left the request itself took one, and what it brought along none.
    assert_eq!(room.call(&alice, "get-thing", json!({"id": "1"})).await.status, StatusCode::OK);
    assert_eq!(room.call(&alice, "get-thing", json!({"id": "1"})).await.status, StatusCode::TOO_MANY_REQUESTS);
    let bob = room.token("bob", "c1", &["reads"]);
    assert!(decided(&ask(&room, &bob, ONE, &one("bob")).await).0);
}

#[tokio::test]
async fn whoever_waits_as_long_as_told_has_enough_for_all_of_them() {
    let room = room(rate("10/m", 5)).await;
    let alice = room.alice();
    assert_eq!(yes_in(&ask(&room, &alice, SEVERAL, &same(4)).await), 4);
    let over = ask(&room, &alice, SEVERAL, &same(4)).await;
    assert_eq!(over.status, StatusCode::TOO_MANY_REQUESTS);
    let seconds: i64 = over.headers["retry-after"].to_str().unwrap().parse().unwrap();
    // Four of them, one each six seconds.
    assert_eq!(seconds, 24, "{over:?}");
    room.clock.advance(seconds * 1_000);
    assert_eq!(yes_in(&ask(&room, &alice, SEVERAL, &same(4)).await), 4);
}

#[tokio::test]
async fn more_than_can_ever_be_had_at_once_is_told_how_many_can_and_takes_nothing_of_them() {
    let of_a_day = Limits { per_day: NonZeroU32::new(10), ..rate("600/m", 100) };
    for limits in [rate("10/h", 10), of_a_day] {
        let room = room(limits).await;
        let alice = room.alice();
        let refused = ask(&room, &alice, SEVERAL, &same(12)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert!(!refused.headers.contains_key("retry-after"), "to wait is in vain");
        let told = refused.json().as_str().unwrap().to_owned();
        assert!(told.contains("12 evaluations") && told.contains("at most 10"), "{told}");
        assert_eq!(evaluations(&room), 0);
        assert!(decided(&ask(&room, &alice, ONE, &one("alice")).await).0);
        assert_eq!(yes_in(&ask(&room, &alice, SEVERAL, &same(8)).await), 8, "ten in all were there");
    }
    let room = room(rate("10/h", 10)).await;
    assert_eq!(yes_in(&ask(&room, &room.alice(), SEVERAL, &same(9)).await), 9);
}

/// However many there are, they are one request under way.
#[tokio::test]
async fn questions_take_no_places_beside_the_request_that_brings_them() {
    let room = room(Limits { at_once: NonZeroU32::new(1), ..Limits::default() }).await;
    assert_eq!(yes_in(&ask(&room, &room.alice(), SEVERAL, &same(5)).await), 5);
}

#[tokio::test]
async fn what_is_too_much_together_is_refused_before_any_of_it_is_looked_at() {
    let room = room(Limits::default()).await;
    let alice = room.alice();
    // A small body, and a large amount of work.
    let refused = ask(&room, &alice, SEVERAL, &inheriting(100, 82_000)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    let told = refused.json().as_str().unwrap().to_owned();
    assert!(told.contains("1048576") && told.contains("ask fewer in one request"), "{told}");
    assert_eq!(evaluations(&room), 0);
    assert!(room.gateway.metrics().contains("ambit_refused_total{reason=\"not_a_question\"} 1\n"));
    assert_eq!(yes_in(&ask(&room, &alice, SEVERAL, &inheriting(100, 9_000)).await), 100);
    assert_eq!(evaluations(&room), 100);
}

#[tokio::test]
async fn others_have_their_turn_between_two_questions() {
    const MANY: usize = 60;
    let room = room(Limits::default()).await;
    let (alice, asked) = (room.alice(), inheriting(MANY, 9_000));
    let (gave_way, is_done) = (Cell::new(0), Cell::new(false));
    let mut batch = pin!(ask(&room, &alice, SEVERAL, &asked));
    let batch = poll_fn(|context| {
        let polled = batch.as_mut().poll(context);
        if polled.is_pending() {
            gave_way.set(gave_way.get() + 1);
        } else {
            is_done.set(true);
        }
        polled
    });
    let small = async {
        let answer = room.get("/.well-known/authzen-configuration").await;
        (answer.status, is_done.get())
    };
    let (answer, small) = tokio::join!(batch, small);
    assert_eq!(small, (StatusCode::OK, false), "the small one is answered first");
    assert_eq!(yes_in(&answer), MANY);
    assert!(gave_way.get() >= MANY - 1, "the batch gave way {} times", gave_way.get());
}
