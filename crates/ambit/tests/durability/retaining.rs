//! Old records go when `[trail] retain` says so: the trail tells, verifies from there on, and is still searched.

use std::time::Duration;

use ambit::serve::Start;
use ambit_live::{clock::Clock, recorder::Deed};
use ambit_testkit::app::TestApp;

use crate::{
    api::Api,
    person::{Person, is_done},
    world::{Ground, SEGMENT, command, eventually, text},
};

const DAY_MS: i64 = 86_400_000;

/// Fills more than three segments.
async fn fill(app: &TestApp) {
    let reason = "x".repeat(16 * 1024);
    for _ in 0..64 {
        let deed = Deed { by: "test", act: "note", subject: "deployment", reason: Some(&reason), ..Deed::default() };
        app.live().recorder().act(deed).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_records_go_and_what_is_left_says_so_and_verifies() {
    let api = Api::start().await;
    let ground = Ground::new(&api, "", "[trail]\nretain = \"30d\"\n").await;
    let clock = Clock::manual(Clock::System.now());
    let start = || Start { segment_bytes: Some(SEGMENT), clock: clock.clone(), ..Start::default() };
    let first = ground.trail().join("00000000000000000000.trail");

    let app = ground.with(start()).await.unwrap();
    assert!(is_done(&Person::alice(&app).write(1).await.unwrap()));
    fill(&app).await;
    let key = app.live().recorder().trail().verifier_key();
    app.stop().await.unwrap();
    // Old enough by a day, then by none.
    clock.advance(29 * DAY_MS);
    let app = ground.with(start()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    app.stop().await.unwrap();
    assert!(first.exists());

    clock.advance(2 * DAY_MS);
    let app = ground.with(start()).await.unwrap();
    eventually("the first segment goes", || !first.exists()).await;
    assert!(is_done(&Person::alice(&app).write(2).await.unwrap()));
    let (code, out, err) = app.ambit(&["audit", "search", "--user", "alice"]).await;
    assert_eq!(code, 0, "what is gone is not looked for: {out}{err}");
    let acts = app.events().unwrap().into_iter().filter(|event| event["act"] == "trail.retain").collect::<Vec<_>>();
    assert_eq!(acts.len(), 1, "{acts:?}");
    let begins = acts[0]["after"]["first"].as_u64().unwrap();
    assert!(begins > 0 && acts[0]["reason"].as_str().unwrap().contains("30 days"), "{acts:?}");
    app.stop().await.unwrap();

    let (code, out, err) = command(&["audit", "verify", text(&ground.trail()), "--key", &key]).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("verified: ") && out.contains(&format!("it is complete from record {begins} on")), "{out}");

    // Cut off by somebody else, it does not verify.
    let mut segments: Vec<_> = std::fs::read_dir(ground.trail()).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some_and(|end| end == "trail"));
    segments.sort();
    std::fs::remove_file(&segments[0]).unwrap();
    let (code, out, _) = command(&["audit", "verify", text(&ground.trail()), "--key", &key]).await;
    assert!(code == 1 && out.contains("no record here says that they were let go of"), "{out}");
}
