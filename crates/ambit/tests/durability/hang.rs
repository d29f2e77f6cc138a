//! The store does not go away, it falls silent: connections stand and nothing comes back. Nobody may wait for it: reads go on,
//! writes are refused as soon as the last confirmation is too old, whoever needs it is told to come back, and the process
//! can still be stopped.

use std::time::{Duration, Instant};

use ambit_store::testing;
use ambit_testkit::app::TestApp;
use ambit_trail::testing::FaultFiles;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

use crate::{
    api::Api,
    outage::{NEEDS_THE_STORE, ask, is_told_when_to_come_back},
    person::{Person, is_done},
    world::{Ground, eventually_so, get},
};

const SOCKET: &str = ".s.PGSQL.5432";

/// A line to a PostgreSQL that can be made silent.
struct Line {
    directory: TempDir,
    database: String,
    silent: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Line {
    fn to(url: &str) -> Self {
        let (database, real) = url.split_once("?host=").unwrap();
        let real = format!("{real}/{SOCKET}");
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(SOCKET)).unwrap();
        let silent = watch::Sender::new(false);
        let heard = silent.subscribe();
        let accepting = tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let far = UnixStream::connect(&real).await.unwrap();
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                tokio::spawn(carry(near_in, far_out, heard.clone()));
                tokio::spawn(carry(far_in, near_out, heard.clone()));
            }
        });
        Self { directory, database: database.to_owned(), silent, accepting }
    }

    fn url(&self) -> String {
        format!("{}?host={}", self.database, self.directory.path().display())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut silent: watch::Receiver<bool>) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        if silent.wait_for(|silent| !silent).await.is_err() || to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}

async fn behind(line: &Line, api: &Api, disk: &FaultFiles) -> (Ground, TestApp) {
    let ground = Ground::new(api, &format!("store = \"{}\"", line.url()), "[trail]\nnode = \"a\"\n").await;
    let app = ground.on(disk).await;
    (ground, app)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_silent_store() {
    let line = Line::to(&testing::postgres_url().unwrap_or_else(|error| panic!("{error}")));
    let (api, disk) = (Api::start().await, FaultFiles::new());
    let (_ground, app) = behind(&line, &api, &disk).await;
    let alice = Person::alice(&app);
    assert!(is_done(&alice.write(0).await.unwrap()));

    line.silent.send_replace(true);
    let silent_since = Instant::now();
    let mut took = Vec::new();
    let mut number = 1;
    loop {
        let began = Instant::now();
        let (written, read) = tokio::join!(alice.write(number), alice.read(number + 10_000));
        took.push(began.elapsed());
        assert!(is_done(&read.unwrap()));
        let written = written.unwrap();
        if !is_done(&written) {
            assert!(is_told_when_to_come_back(&written), "{written:?}");
            break;
        }
        number += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(silent_since.elapsed() < Duration::from_secs(30), "writes go on without the store");
    }
    took.sort();
    let usual = took[took.len() / 2];
    println!("writes were refused {:?} after the store fell silent; calls took {usual:?}", silent_since.elapsed());
    // A connection to the store is waited for much longer. The machine may be slow once, not every time.
    assert!(usual < Duration::from_secs(1), "calls wait for the store: {took:?}");
    assert_eq!(get(app.address(), "/readyz").await.text(), "reads only: the store cannot be reached\n");
    let began = Instant::now();
    let asked = NEEDS_THE_STORE.map(|(method, path, content_type, body)| ask(&app, method, path, content_type, body));
    for (answer, (method, path, ..)) in futures_util::future::join_all(asked).await.iter().zip(NEEDS_THE_STORE) {
        assert!(is_told_when_to_come_back(answer), "{method} {path}: {answer:?}");
    }
    println!("who needs the store was told so within {:?}", began.elapsed());
    let block = ["block", "user", "carol", "--reason", "incident"];
    let (code, out, err) = app.ambit(&block).await;
    assert_eq!(code, 1, "{out}{err}");
    assert!(is_done(&alice.read(20_000).await.unwrap()));
    assert_eq!(api.writes().len() as u64, number, "what was refused was not sent");

    line.silent.send_replace(false);
    let mut number = 30_000;
    eventually_so("writes run again", async || {
        number += 1;
        is_done(&alice.write(number).await.unwrap())
    })
    .await;
    let (code, out, err) = app.ambit(&block).await;
    assert_eq!(code, 0, "{out}{err}");
    app.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_store_does_not_keep_the_process() {
    let line = Line::to(&testing::postgres_url().unwrap_or_else(|error| panic!("{error}")));
    let (api, disk) = (Api::start().await, FaultFiles::new());
    let (_ground, app) = behind(&line, &api, &disk).await;
    assert!(is_done(&Person::alice(&app).write(0).await.unwrap()));
    line.silent.send_replace(true);
    eventually_so("the store is missed", async || get(app.address(), "/readyz").await.text() != "ok\n").await;
    let began = Instant::now();
    app.stop().await.unwrap();
    println!("it stopped within {:?}", began.elapsed());
}
