//! What an auditor gets: an export that verifies against a key and a checkpoint kept elsewhere, that names whatever was
//! changed, cut off or put in another's place.

use std::{fs, path::Path};

use ambit::serve::Start;
use ambit_testkit::app::TestApp;
use serde_json::Value;

use crate::{
    api::Api,
    person::{Person, is_done},
    world::{Ground, checkpoint, command, eventually_so, text},
};

/// A gateway on the machine's own disk.
pub async fn start(ground: &Ground) -> TestApp {
    ground.with(Start { segment_bytes: Some(crate::world::SEGMENT), ..Start::default() }).await.unwrap()
}

/// Waits for a checkpoint that covers what was written until now.
pub async fn covered(app: &TestApp) -> String {
    let size = |note: &str| note.lines().nth(1).unwrap().parse::<u64>().unwrap();
    let mut before = size(&checkpoint(app.address()).await);
    // The next one may still be older than the last record; the one after is not.
    for _ in 0..2 {
        let alice = Person::alice(app);
        assert_eq!(alice.list().await.unwrap().status, 200);
        eventually_so("the next checkpoint", async || size(&checkpoint(app.address()).await) > before).await;
        before = size(&checkpoint(app.address()).await);
    }
    checkpoint(app.address()).await
}

async fn export(app: &TestApp, file: &Path) -> String {
    let (code, out, err) = app.ambit(&["audit", "export", text(file)]).await;
    assert_eq!(code, 0, "{out}{err}");
    fs::read_to_string(file).unwrap()
}

/// Verifies a file or directory; exit code and everything that was said.
async fn verify(place: &Path, key: Option<&str>, note: Option<&Path>) -> (u8, String) {
    let mut args = vec!["audit", "verify", text(place)];
    args.extend(key.iter().flat_map(|key| ["--key", key]));
    args.extend(note.iter().flat_map(|note| ["--checkpoint", text(note)]));
    let (code, out, err) = command(&args).await;
    (code, out + &err)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_names_what_was_changed_cut_off_or_replaced() {
    let api = Api::start().await;
    let ground = Ground::new(&api, "", "").await;
    let app = start(&ground).await;
    let inside = |name: &str| ground.directory.path().join(name);
    let (file, note, spoiled) = (inside("trail.jsonl"), inside("checkpoint.txt"), inside("spoiled.jsonl"));
    let key = app.live().recorder().trail().verifier_key();
    let alice = Person::alice(&app);
    assert!(is_done(&alice.write(1).await.unwrap()));
    covered(&app).await;
    let earlier = export(&app, &inside("earlier.jsonl")).await;
    copy_directory(&ground.trail(), &inside("earlier"));
    for number in [4, 7, 10] {
        assert!(is_done(&alice.write(number).await.unwrap()));
    }
    fs::write(&note, covered(&app).await).unwrap();
    let whole = export(&app, &file).await;

    let (code, said) = verify(&file, Some(&key), Some(&note)).await;
    assert!(code == 0 && said.contains("verified: "), "{said}");
    let (code, said) = verify(&file, None, None).await;
    assert!(code == 1 && said.contains("self-consistent only") && !said.contains("verified: "), "{said}");

    // One byte of one record.
    let lines: Vec<&str> = whole.lines().collect();
    let line = lines.iter().rposition(|line| line.contains("create-thing")).unwrap();
    let leaf = serde_json::from_str::<Value>(lines[line]).unwrap()["leaf"].clone();
    fs::write(&spoiled, replace_line(&lines, line, &lines[line].replacen("create-thing", "create-thinh", 1))).unwrap();
    for (key, note) in [(Some(key.as_str()), Some(note.as_path())), (Some(key.as_str()), None), (None, None)] {
        let (code, said) = verify(&spoiled, key, note).await;
        assert!(code == 1 && said.contains(&format!("record {leaf} ")) && said.contains("failed"), "{said}");
    }

    // The end, cut off; and with it everything that says where the end was.
    let last = lines.iter().rposition(|line| line.contains("\"leaf\"")).unwrap();
    fs::write(&spoiled, lines[..last].join("\n") + "\n").unwrap();
    let (code, said) = verify(&spoiled, Some(&key), Some(&note)).await;
    assert!(code == 1 && said.contains("failed") && said.contains("end"), "{said}");

    // An earlier state of the same trail is whole and signed; only a checkpoint kept elsewhere tells.
    for place in [inside("earlier.jsonl"), inside("earlier")] {
        let (code, said) = verify(&place, Some(&key), Some(&note)).await;
        assert!(code == 1 && said.contains("the checkpoint given"), "{said}");
    }
    assert!(earlier.len() < whole.len());

    // The trail of another gateway of the same name.
    let other = Ground::new(&api, "", "").await;
    let replacement = start(&other).await;
    assert!(is_done(&Person::alice(&replacement).write(13).await.unwrap()));
    covered(&replacement).await;
    export(&replacement, &spoiled).await;
    for (key, note) in [(Some(key.as_str()), None), (None, Some(note.as_path()))] {
        let (code, said) = verify(&spoiled, key, note).await;
        assert!(code == 1 && said.contains("failed"), "{said}");
    }
    replacement.stop().await.unwrap();
    app.stop().await.unwrap();
    spoil_segments(&ground, &key, &note).await;
}

/// The same on the directory itself, after the gateway has ended.
async fn spoil_segments(ground: &Ground, key: &str, note: &Path) {
    let (code, said) = verify(&ground.trail(), Some(key), Some(note)).await;
    assert!(code == 0 && said.contains("verified: "), "{said}");
    let segment = fs::read_dir(ground.trail())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "trail"));
    let segment = segment.unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    let whole = fs::read(&segment).unwrap();
    let at = whole.windows(12).position(|window| window == b"create-thing").unwrap();
    let mut flipped = whole.clone();
    flipped[at] ^= 1;
    fs::write(&segment, flipped).unwrap();
    let (code, said) = verify(&ground.trail(), Some(key), Some(note)).await;
    assert!(code == 1 && said.contains(name) && said.contains("altered"), "{said}");

    let mut cut = whole.clone();
    let middle = whole.windows(14).rposition(|window| window == b"\"event\":\"inten").unwrap();
    cut[middle..].fill(0);
    fs::write(&segment, cut).unwrap();
    let (code, said) = verify(&ground.trail(), Some(key), Some(note)).await;
    assert!(code == 1 && said.contains("failed"), "{said}");
    // And the gateway does not go on from there.
    let refused = ground.with(Start { segment_bytes: Some(crate::world::SEGMENT), ..Start::default() }).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("is not what its checkpoint") && refused.contains("nothing was changed"), "{refused}");
}

fn replace_line(lines: &[&str], at: usize, with: &str) -> String {
    let mut lines = lines.to_vec();
    lines[at] = with;
    lines.join("\n") + "\n"
}

pub fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
