//! A node that is killed between a yes and its answer: the approval is spent, the call never runs a second time, and the next
//! node says that it may have happened. The node is a process of its own, and it gets no chance to put anything in order.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use ambit_model::{
    approval::{SETTLED_MS, Says},
    ids::ApprovalId,
};
use ambit_trail::{
    Disk, File, Files,
    files::{Held, Open},
};
use serde_json::{Value, json};

use crate::{
    approving::{TOOL, delete, id_of, say, told},
    room::{Node, Room, call},
    upstream::{Act, Upstream},
};

/// What the child says when it got where it is to be killed.
const THERE: &str = "here it stops";

/// The variable that says where a node lives, what its API is and how far it gets.
const ORDERS: &str = "AMBIT_TEST_NODE_ORDERS";

/// A trail whose disk takes no intent.
struct Stuck;

struct StuckFile(Arc<dyn File>);

impl File for StuckFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.0.read_at(bytes, offset)
    }

    #[expect(clippy::print_stdout, reason = "it is how its parent hears of it")]
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        let begin = br#"{"event":"intent""#;
        if bytes.windows(begin.len()).any(|window| window == begin) {
            println!("{THERE}");
            std::thread::sleep(Duration::from_mins(1));
        }
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.0.sync_data()
    }

    fn length(&self) -> std::io::Result<u64> {
        self.0.length()
    }
}

impl Files for Stuck {
    fn make_directory(&self, path: &Path) -> std::io::Result<()> {
        Disk.make_directory(path)
    }

    fn lock(&self, path: &Path) -> std::io::Result<Option<Box<dyn Held>>> {
        Disk.lock(path)
    }

    fn list(&self, directory: &Path) -> std::io::Result<Vec<String>> {
        Disk.list(directory)
    }

    fn open(&self, path: &Path, how: Open) -> std::io::Result<Arc<dyn File>> {
        Ok(Arc::new(StuckFile(Disk.open(path, how)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        Disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> std::io::Result<()> {
        Disk.remove(path)
    }

    fn sync_directory(&self, directory: &Path) -> std::io::Result<()> {
        Disk.sync_directory(directory)
    }
}

/// The node that is killed. Its parent says where it lives, what its API is and how far it gets; without a parent there is
/// nothing to do.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test program takes no arguments of its own, and its input may be a terminal"
)]
async fn the_node_that_is_killed() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let orders: Value = serde_json::from_str(&orders).unwrap();
    let order = |name: &str| orders[name].as_str().unwrap();
    let files: Arc<dyn Files> = if order("until") == "spent" { Arc::new(Stuck) } else { Arc::new(Disk) };
    let (home, api) = (Path::new(order("home")), order("api").parse().unwrap());
    let room = Room::at(Node { home, api, files, patience: Duration::from_mins(1) }).await;
    room.reveal("alice", "c1", "destroys").await;
    let token = room.token("alice", "c1", &["reads", "destroys"]);
    let id = id_of(&delete(&room, &token, "1").await);
    println!("request {id}");
    say(&room, &id, "bob", Says::Yes).await.unwrap();
    if order("until") == "intended" {
        // A peer that never says hello: the intent is written, and no byte of the call can leave.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        room.move_api_to(&format!("https://{}", silent.local_addr().unwrap())).await;
        std::thread::spawn(move || {
            let connection = silent.accept().unwrap();
            println!("{THERE}");
            std::thread::sleep(Duration::from_mins(1));
            drop(connection);
        });
    }
    room.send(call(&token, TOOL, &json!({"id": "1"}))).await;
    panic!("it should have been killed by now");
}

/// A child that ends with its test.
struct Doomed(Child);

impl Drop for Doomed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a node, has it killed at a point, and gives the request whose approval it was using.
async fn killed_when(until: &str, home: &Path, upstream: &Upstream) -> ApprovalId {
    let orders = json!({"home": home, "api": upstream.address, "until": until});
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crashing::the_node_that_is_killed", "--nocapture"])
        .env(ORDERS, orders.to_string())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = Doomed(child.unwrap());
    let said = BufReader::new(child.0.stdout.take().unwrap());
    let (lines, mut output) = tokio::sync::mpsc::channel(64);
    std::thread::spawn(move || {
        for line in said.lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    let mut hears = async |what: &str| loop {
        let line = tokio::time::timeout(Duration::from_secs(30), output.recv()).await.unwrap();
        let line = line.unwrap_or_else(|| panic!("the node ended before it said `{what}`"));
        if let Some((_, rest)) = line.split_once(what) {
            return rest.trim().to_owned();
        }
    };
    let id = ApprovalId::parse(&hears("request ").await).unwrap();
    if until == "sent" {
        tokio::time::timeout(Duration::from_secs(30), upstream.arrived()).await.unwrap();
    } else {
        hears(THERE).await;
    }
    drop(child);
    id
}

fn deleted(upstream: &Upstream) -> usize {
    upstream.seen().iter().filter(|request| request.starts_with("DELETE ")).count()
}

async fn is_never_repeated(until: &str, sent: usize, intents: usize) {
    let home = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().await;
    upstream.will(Act::Hang);
    let id = killed_when(until, home.path(), &upstream).await;
    assert_eq!(deleted(&upstream), sent);

    upstream.will(Act::Json(200, r#"{"ok":true}"#.into()));
    let api: SocketAddr = upstream.address;
    let node = Node { home: home.path(), api, files: Arc::new(Disk), patience: Duration::from_secs(5) };
    let room = Room::at(node).await;
    let token = room.token("alice", "c1", &["reads", "destroys"]);
    for _ in 0..3 {
        let answer = told(&delete(&room, &token, "1").await);
        assert_eq!((&answer["status"], &answer["approval"]), (&json!("outcome_unknown"), &json!(id)), "{until}");
        assert!(answer["record"].is_string());
    }
    assert_eq!(deleted(&upstream), sent, "{until}: not once more");
    // What was written down of it: an intent has its outcome, and nobody claims to know it.
    let events = room.events();
    let of_call = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    let written = of_call("intent");
    assert_eq!(written.len(), intents, "{until}");
    for intent in written {
        let outcome = of_call("outcome").into_iter().find(|event| event["request"] == intent["request"]).unwrap();
        assert_eq!(outcome["executed"], "unknown", "{until}: {outcome}");
    }
    // Ten minutes later somebody has to say yes again.
    room.clock.advance(SETTLED_MS);
    let token = room.token("alice", "c1", &["reads", "destroys"]);
    assert_ne!(id_of(&delete(&room, &token, "1").await), id);
    assert_eq!(deleted(&upstream), sent);
}

#[tokio::test]
async fn killed_when_the_approval_was_spent() {
    is_never_repeated("spent", 0, 0).await;
}

#[tokio::test]
async fn killed_when_the_intent_was_on_the_disk() {
    is_never_repeated("intended", 0, 1).await;
}

#[tokio::test]
async fn killed_when_the_call_had_left() {
    is_never_repeated("sent", 1, 1).await;
}
