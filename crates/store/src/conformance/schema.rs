//! The migrator: starts that race, and databases of other versions.

use super::{Place, cases};
use crate::{OpenError, Store, StoreUrl, migrate, schema::STEPS};

cases![
    many_first_starts_at_once_agree,
    opening_again_changes_nothing,
    a_database_of_a_later_version_is_refused_and_left_alone,
    an_older_database_is_brought_up_to_date,
];

/// Takes the schema away again, so that the store is as empty as before its first start.
async fn empty(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    for table in [
        "access_turns",
        "access_requests",
        "broken_glass",
        "approval_turns",
        "approval_votes",
        "approvals",
        "grant_records",
        "rule_sets",
        "day_counts",
        "touched",
        "trail_keys",
        "trail_bundles",
        "definitions",
        "acceptances",
        "revocations",
        "reveals",
        "grants",
        "consents",
        "refresh_tokens",
        "families",
        "codes",
        "clients",
        "pending_requests",
        "login_sessions",
        "account_links",
        "accounts",
        "applied_config",
        "nodes",
        "revision",
        "schema_version",
    ] {
        tx.execute_script(format!("drop table {table};")).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn versions(store: &Store) -> Vec<i64> {
    let mut tx = store.begin().await.unwrap();
    let rows = crate::Source::rows(&mut tx, "select version from schema_version order by version", &[]).await.unwrap();
    rows.iter().map(|row| row.int("version").unwrap()).collect()
}

fn all() -> Vec<i64> {
    STEPS.iter().map(|step| step.version).collect()
}

async fn many_first_starts_at_once_agree(place: Place) {
    empty(&place.store).await;
    let starts: Vec<_> = (0..6)
        .map(|_| {
            let (url, store) = (place.url.clone(), place.store.clone());
            tokio::spawn(async move {
                match url {
                    StoreUrl::Memory => migrate_in_place(&store).await.unwrap(),
                    StoreUrl::File(_) | StoreUrl::Postgres(_) => drop(Store::open(&url).await.unwrap()),
                }
            })
        })
        .collect();
    for start in starts {
        start.await.unwrap();
    }
    assert_eq!(versions(&place.store).await, all());
}

async fn migrate_in_place(store: &Store) -> Result<(), OpenError> {
    let mut tx = store.begin().await.unwrap();
    migrate::run(&mut tx).await?;
    tx.commit().await.unwrap();
    Ok(())
}

async fn opening_again_changes_nothing(place: Place) {
    let again = place.another().await;
    migrate_in_place(&again).await.unwrap();
    assert_eq!(versions(&place.store).await, all());
}

async fn a_database_of_a_later_version_is_refused_and_left_alone(place: Place) {
    let later = STEPS.last().unwrap().version + 1;
    let mut tx = place.store.begin().await.unwrap();
    let script = format!("insert into schema_version (version, name, written_by) values ({later}, 'later', '9.0.0');");
    tx.execute_script(script).await.unwrap();
    tx.commit().await.unwrap();

    let refused = match place.url {
        StoreUrl::Memory => migrate_in_place(&place.store).await.unwrap_err(),
        StoreUrl::File(_) | StoreUrl::Postgres(_) => Store::open(&place.url).await.unwrap_err(),
    };
    let message = refused.to_string();
    assert!(matches!(refused, OpenError::Newer { found, known } if (found, known) == (later, later - 1)), "{message}");
    assert!(message.contains("start the ambit that wrote it"), "{message}");
    assert_eq!(versions(&place.store).await.last(), Some(&later));
}

async fn an_older_database_is_brought_up_to_date(place: Place) {
    let mut tx = place.store.begin().await.unwrap();
    let newer = [
        "access_turns",
        "access_requests",
        "touched",
        "day_counts",
        "broken_glass",
        "rule_sets",
        "approval_turns",
        "approval_votes",
        "approvals",
    ];
    for table in newer.into_iter().chain(["grant_records", "trail_keys", "trail_bundles"]) {
        tx.execute_script(format!("drop table {table};")).await.unwrap();
    }
    tx.execute("delete from schema_version where version >= 5", &[]).await.unwrap();
    tx.commit().await.unwrap();
    migrate_in_place(&place.another().await).await.unwrap();
    assert_eq!(versions(&place.store).await, all());
    assert_eq!(crate::trail_index::last_indexed(&place.store, "node").await.unwrap(), None, "the table is back");
}
