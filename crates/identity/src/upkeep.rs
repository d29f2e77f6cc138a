//! What keeps keys current: ours are rotated and agreed on between nodes, those of other issuers are there before a token
//! needs them. One loop beside the requests. No request waits for it, and a failure leaves everything as it was.

use std::{future::Future, sync::Arc, time::Duration};

use ambit_live::{Live, deployment::Deployment};
use ambit_model::{Digest, ids::Millis};

use crate::{jwks::Jwks, signing::Signing};

/// How often is looked. A key that another node removed is gone here within it.
const EVERY: Duration = Duration::from_secs(1);

/// The keys that are kept.
#[derive(Debug)]
pub struct Upkeep {
    signing: Arc<Signing>,
    jwks: Arc<Jwks>,
    followed: Option<Digest>,
    failure: Option<String>,
}

impl Upkeep {
    /// Upkeep of these keys.
    pub fn new(signing: Arc<Signing>, jwks: Arc<Jwks>) -> Self {
        Self { signing, jwks, followed: None, failure: None }
    }

    /// Looks once a second until the shutdown resolves. Spawn it once and await its end.
    pub async fn run(mut self, live: Live, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                _ = tick.tick() => self.look(&live.current().deployment, live.clock().now()).await,
            }
        }
    }

    /// Looks once: follows a changed configuration, begins fetches that are due, tends our own keys.
    pub async fn look(&mut self, deployment: &Deployment, now_ms: Millis) {
        if self.followed != Some(deployment.digest) {
            self.jwks.follow(deployment);
            self.followed = Some(deployment.digest);
        }
        self.jwks.tend(now_ms);
        let signing = Arc::clone(&self.signing);
        // Files, and perhaps another node's lock.
        let tended = tokio::task::spawn_blocking(move || signing.tend(now_ms)).await;
        let failure = match tended {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("tending the signing keys was broken off".to_owned()),
        };
        // Once per failure, not once a second.
        if let Some(error) = &failure
            && self.failure != failure
        {
            tracing::error!(%error, "the signing keys could not be tended; those in memory go on");
        }
        self.failure = failure;
    }

    /// Why our own keys could not be tended the last time, if they could not.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        signing::{KeyState, ROTATE_AFTER_MS},
        testing::{Foreign, T0},
    };

    #[tokio::test]
    async fn keys_are_there_before_a_token_needs_them_and_follow_the_configuration() {
        let mut foreign = Foreign::start().await;
        let mut upkeep = Upkeep::new(Arc::clone(&foreign.room.signing), Arc::clone(&foreign.room.jwks));
        upkeep.look(&foreign.room.deployment, T0).await;
        foreign.room.jwks.warm(T0).await;
        assert_eq!(foreign.script.asked("/jwks"), 1);
        assert!(foreign.room.jwks.health(T0)[0].usable);
        foreign.room.deployment.issuers.clear();
        foreign.room.deployment.digest = Digest::of(b"two");
        upkeep.look(&foreign.room.deployment, T0 + 1000).await;
        assert!(foreign.room.jwks.health(T0).is_empty());
    }

    #[tokio::test]
    async fn our_keys_are_rotated_and_a_failure_is_told_and_harms_nothing() {
        let foreign = Foreign::start().await;
        let signing = &foreign.room.signing;
        let mut upkeep = Upkeep::new(Arc::clone(signing), Arc::clone(&foreign.room.jwks));
        let due = T0 + ROTATE_AFTER_MS;
        upkeep.look(&foreign.room.deployment, due).await;
        assert_eq!(upkeep.failure(), None);
        assert_eq!(
            signing.states(due).iter().map(|(_, state)| *state).collect::<Vec<_>>(),
            [KeyState::Current, KeyState::Next,]
        );
        std::fs::write(foreign.room.key_directory().join("tokens/manifest.json"), "{").unwrap();
        upkeep.look(&foreign.room.deployment, due + 1000).await;
        assert!(upkeep.failure().is_some_and(|failure| failure.contains("manifest.json")), "{upkeep:?}");
        assert!(signing.sign("at+jwt", b"{}", due).is_ok());
    }
}
