//! Learns of other processes' changes: PostgreSQL says so, and both engines are asked once a second.
//!
//! The poll alone is enough for correctness; the notification only makes it quicker.

use std::{future::Future, pin::pin, time::Duration};

use sqlx::postgres::PgListener;
use tokio::time::{MissedTickBehavior, interval};

use crate::{Store, StoreError, revision::CHANNEL, store::Pool};

const EVERY: Duration = Duration::from_secs(1);
const LISTEN_DEADLINE: Duration = Duration::from_secs(2);

impl Store {
    /// Keeps [`Store::changes`] and [`Store::last_confirmed`] current until the shutdown resolves. Spawn it once per
    /// process and await its end when draining.
    pub async fn watch(&self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = pin!(shutdown);
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut listener = None;
        let mut reachable = true;
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                _ = tick.tick() => listener = self.listen(listener).await,
                heard = notified(&mut listener) => if !heard { listener = None },
            }
            let confirmed = tokio::select! {
                () = &mut shutdown => return,
                confirmed = self.confirm() => confirmed,
            };
            report(&confirmed, &mut reachable);
        }
    }

    /// Listens again if a listener was lost. Failing is no error: the poll goes on, and the next tick tries again.
    async fn listen(&self, listener: Option<PgListener>) -> Option<PgListener> {
        match (listener, self.pool()) {
            (Some(listener), _) => Some(listener),
            (None, Pool::Sqlite { .. }) => None,
            (None, Pool::Postgres(pool)) => {
                let listening = async {
                    let mut listener = PgListener::connect_with(pool).await.ok()?;
                    listener.eager_reconnect(false);
                    listener.listen(CHANNEL).await.ok()?;
                    Some(listener)
                };
                tokio::time::timeout(LISTEN_DEADLINE, listening).await.ok().flatten()
            }
        }
    }
}

/// Waits for a notification; false if the connection was lost. Without a listener it waits for ever.
async fn notified(listener: &mut Option<PgListener>) -> bool {
    match listener {
        Some(listener) => matches!(listener.try_recv().await, Ok(Some(_))),
        None => std::future::pending().await,
    }
}

/// Says once that the store is gone, and once that it is back.
fn report(confirmed: &Result<u64, StoreError>, reachable: &mut bool) {
    match confirmed {
        Ok(revision) if !*reachable => tracing::info!(revision, "the store is reachable again"),
        Ok(_) => {}
        Err(error) if *reachable => tracing::warn!(%error, "the revision of the store cannot be confirmed"),
        Err(_) => {}
    }
    *reachable = confirmed.is_ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{StoreUrl, revision, testing};

    #[tokio::test]
    async fn a_commit_is_announced_and_a_rollback_is_not() {
        let url = testing::postgres().unwrap_or_else(|error| panic!("{error}"));
        let store = Store::open(&url).await.unwrap();
        let mut listener = store.listen(None).await;
        assert!(listener.is_some());
        let mut undone = store.begin().await.unwrap();
        revision::bump(&mut undone);
        revision::advance(&mut undone).await.unwrap();
        undone.rollback().await.unwrap();
        let mut tx = store.begin().await.unwrap();
        revision::bump(&mut tx);
        let revision = tx.commit().await.unwrap().unwrap();
        let heard = listener.as_mut().unwrap().try_recv().await.unwrap().unwrap();
        assert_eq!((heard.channel(), heard.payload()), (CHANNEL, revision.to_string().as_str()));
    }

    #[tokio::test]
    async fn a_file_has_no_announcements_and_relies_on_the_poll() {
        let store = Store::open(&StoreUrl::Memory).await.unwrap();
        assert!(store.listen(None).await.is_none());
    }
}
