//! The conformance suite: every case runs on in-memory SQLite, file SQLite and PostgreSQL, each on an empty store.

use std::{future::Future, pin::Pin};

use ambit_model::Digest;

use crate::{Store, StoreUrl, testing};

mod access_requests;
mod approvals;
mod broken_glass;
mod budgets;
mod concurrency;
mod entitlement;
mod fleet;
mod identity;
mod outage;
mod schema;
mod trail;
mod tries;

/// A point in time. Cases count from here.
const NOW: i64 = 1_800_000_000_000;

/// What a case gets: a store of its own.
struct Place {
    store: Store,
    url: StoreUrl,
}

impl Place {
    /// The same store as another process would see it. In memory there is no other process.
    async fn another(&self) -> Store {
        match self.url {
            StoreUrl::Memory => self.store.clone(),
            StoreUrl::File(_) | StoreUrl::Postgres(_) => Store::open(&self.url).await.unwrap(),
        }
    }
}

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

type Case = (&'static str, fn(Place) -> Pin<Box<dyn Future<Output = ()> + Send>>);

/// Names the cases of a file.
macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        pub(super) const CASES: &[super::Case] =
            &[$((concat!(module_path!(), "::", stringify!($case)), |place| Box::pin($case(place)))),*];
    };
}
use cases;

async fn run_all(fresh: impl Fn() -> StoreUrl) {
    let mut failed = Vec::new();
    for (name, case) in [
        identity::CASES,
        entitlement::CASES,
        approvals::CASES,
        access_requests::CASES,
        broken_glass::CASES,
        fleet::CASES,
        schema::CASES,
        trail::CASES,
        concurrency::CASES,
        budgets::CASES,
    ]
    .concat()
    {
        let url = fresh();
        let store = Store::open(&url).await.unwrap();
        println!("{name}");
        if tokio::spawn(case(Place { store: store.clone(), url })).await.is_err() {
            failed.push(name);
        }
        store.close().await;
    }
    assert!(failed.is_empty(), "failed: {failed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_in_memory() {
    run_all(|| StoreUrl::Memory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_file() {
    let directory = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    run_all(|| {
        count.set(count.get() + 1);
        StoreUrl::File(directory.path().join(format!("{}.db", count.get())))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    run_all(|| testing::postgres().unwrap_or_else(|error| panic!("{error}"))).await;
}
