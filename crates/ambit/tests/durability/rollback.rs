//! Somebody puts an older copy of the whole trail back. The store's index and the checkpoint kept elsewhere know better, and
//! neither is overwritten.

use std::{fs, path::Path};

use ambit::serve::Start;
use ambit_testkit::app::TestApp;
use ambit_trail::Acceptance;

use crate::{
    api::Api,
    evidence::{copy_directory, covered, start},
    person::{Person, is_done},
    world::{Ground, checkpoint, command, eventually_so, text},
};

const FURTHER: &str = "[trail]\ncheckpoint_file = \"elsewhere.txt\"\n";

/// Writes, keeps a copy of the trail, writes more, stops, and puts the copy back.
async fn rolled_back(ground: &Ground) {
    let app = start(ground).await;
    let alice = Person::alice(&app);
    assert!(is_done(&alice.write(1).await.unwrap()));
    covered(&app).await;
    app.stop().await.unwrap();
    let old = ground.directory.path().join("old");
    copy_directory(&ground.trail(), &old);

    let app = start(ground).await;
    let alice = Person::alice(&app);
    for number in [4, 7, 10] {
        assert!(is_done(&alice.write(number).await.unwrap()));
    }
    covered(&app).await;
    let records = size(&covered(&app).await);
    eventually_so("the index follows", async || {
        let indexed = ambit_store::trail_index::last_indexed(app.live().store(), "node").await.unwrap();
        indexed.is_some_and(|last| last + 1 >= records)
    })
    .await;
    app.stop().await.unwrap();
    fs::remove_dir_all(ground.trail()).unwrap();
    copy_directory(&old, &ground.trail());
}

fn size(note: &str) -> u64 {
    note.lines().nth(1).unwrap().parse().unwrap()
}

async fn refused(ground: &Ground, start: Start) -> String {
    match ground.with(start).await {
        Ok(_) => panic!("it started"),
        Err(error) => format!("{error:#}"),
    }
}

fn accepting() -> Start {
    let accepted = Acceptance { by: "operator:test".into(), reason: "the disk is gone".into() };
    Start { accept_trail_loss: Some(accepted), segment_bytes: Some(crate::world::SEGMENT), ..Start::default() }
}

fn usual() -> Start {
    Start { segment_bytes: Some(crate::world::SEGMENT), ..Start::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_trail_is_noticed_by_the_checkpoint_and_by_the_index() {
    let api = Api::start().await;
    let ground = Ground::new(&api, "", FURTHER).await;
    rolled_back(&ground).await;
    let further = ground.directory.path().join("elsewhere.txt");
    let convicts = fs::read_to_string(&further).unwrap();
    let records = size(&convicts);

    let said = refused(&ground, usual()).await;
    let by_checkpoint = format!("elsewhere.txt` signs {records}");
    for part in [by_checkpoint.as_str(), "the store's index knows", "--accept-trail-loss"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(fs::read_to_string(&further).unwrap(), convicts);
    // An operator's command does not write on it either.
    let config = ground.directory.path().join("ambit.toml");
    let (code, out, err) = command(&["--config", text(&config), "block", "user", "carol", "--reason", "test"]).await;
    assert!(code != 0 && (out.clone() + &err).contains("--accept-trail-loss"), "{code} {out} {err}");
    assert_eq!(fs::read_to_string(&further).unwrap(), convicts);

    // Each of the two is enough.
    fs::rename(&further, ground.directory.path().join("away.txt")).unwrap();
    let said = refused(&ground, usual()).await;
    assert!(said.contains("the store's index knows") && !said.contains("elsewhere.txt"), "{said}");
    fs::rename(ground.directory.path().join("away.txt"), &further).unwrap();

    let app = ground.with(accepting()).await.unwrap();
    assert!(is_done(&Person::alice(&app).write(20).await.unwrap()));
    eventually_so("the further file follows again", async || {
        fs::read_to_string(&further).unwrap() == checkpoint(app.address()).await
    })
    .await;
    assert_eq!(fs::read_to_string(format!("{}.{records}.lost", further.display())).unwrap(), convicts);
    found(&app, "trail.accept_loss").await;
    found(&app, "things/create-thing").await;
    app.stop().await.unwrap();

    let said = refused(&ground, accepting()).await;
    assert!(said.contains("nothing is missing"), "{said}");
    let app = ground.with(usual()).await.unwrap();
    assert!(is_done(&Person::alice(&app).write(21).await.unwrap()));
    app.stop().await.unwrap();
    let lost = format!("{}.{records}.lost", further.display());
    let (code, out, err) = verify(&ground.trail(), Path::new(&lost)).await;
    assert!(code == 1 && out.contains("failed"), "the old checkpoint still convicts: {out}{err}");
}

/// The index goes on from what is here.
async fn found(app: &TestApp, what: &str) {
    eventually_so(what, async || {
        let (code, out, err) = app.ambit(&["audit", "search"]).await;
        assert_eq!(code, 0, "{out}{err}");
        out.contains(what)
    })
    .await;
}

async fn verify(trail: &Path, note: &Path) -> (u8, String, String) {
    command(&["audit", "verify", text(trail), "--checkpoint", text(note)]).await
}
