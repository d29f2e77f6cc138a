//! The connections nobody uses at the moment, by where they lead.
//!
//! The youngest is taken first, so that those beyond what is needed grow old and are closed. What the peer did to a
//! connection in the meantime is looked at before it is handed out. A connection stays with the runtime that opened it: another
//! would hear of its bytes only through the thread of that one.
//!
//! Bytes behind an answer that arrive when the next request has just been written are its answer, and no look can tell. So
//! whoever was seen once to send more than was asked for is not trusted with a second request on a connection for a while:
//! an answer must never reach another caller than the one who asked.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use http::uri::Authority;
use tokio::{
    runtime::{Handle, Id},
    time::Instant,
};

use crate::{kept::Kept, rules::Transport};

/// A connection that lay still for so long may have been closed without this process knowing yet.
const STALE: Duration = Duration::from_millis(20);

/// Most routes that are remembered for what they sent. Strangers name some of them.
const MOST_DISTRUSTED: usize = 1_024;

/// Where a connection leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Route {
    pub(crate) transport: Transport,
    pub(crate) authority: Authority,
}

/// Unused connections.
pub(crate) struct Pool {
    idle: Mutex<Idle>,
    idle_timeout: Duration,
    max_idle_per_host: usize,
    distrust: Duration,
}

#[derive(Default)]
struct Idle {
    /// Per route the oldest first.
    by_route: HashMap<Route, Vec<Unused>>,
    /// Whose connections are used once, and until when.
    distrusted: HashMap<Route, Instant>,
    /// Whether a task closes what grows old.
    swept: bool,
}

struct Unused {
    since: Instant,
    runtime: Id,
    kept: Kept,
}

/// The time of a request is over.
pub(crate) struct Late;

/// The way back of a connection.
#[derive(Clone)]
pub(crate) struct Way {
    pool: Weak<Pool>,
    route: Route,
}

impl Pool {
    pub(crate) fn new(idle_timeout: Duration, max_idle_per_host: usize, distrust: Duration) -> Arc<Self> {
        Arc::new(Self { idle: Mutex::default(), idle_timeout, max_idle_per_host, distrust })
    }

    /// The way back to this pool.
    pub(crate) fn way(self: &Arc<Self>, route: Route) -> Way {
        Way { pool: Arc::downgrade(self), route }
    }

    /// A connection that can take a request, as far as this process knows, if there is one.
    ///
    /// # Errors
    /// [`Late`]: the deadline came meanwhile.
    pub(crate) async fn take(&self, route: &Route, deadline: Instant) -> Result<Option<Kept>, Late> {
        while let Some((mut kept, unused_for)) = self.pop(route) {
            if unused_for >= STALE {
                // Lets the runtime look at its sockets: an end that has arrived is seen below.
                tokio::task::yield_now().await;
                if deadline <= Instant::now() {
                    return Err(Late);
                }
            }
            if kept.is_free() {
                return Ok(Some(kept));
            }
            self.look_back(route, &kept);
        }
        Ok(None)
    }

    /// After a connection ended: whether that was because of what its peer sent.
    pub(crate) fn look_back(&self, route: &Route, kept: &Kept) {
        if kept.has_surplus() {
            self.distrust(route);
        }
    }

    /// Uses no connection of a route twice for a while.
    pub(crate) fn distrust(&self, route: &Route) {
        let now = Instant::now();
        let mut idle = self.lock();
        let closed = idle.by_route.remove(route);
        idle.distrusted.retain(|_, until| *until > now);
        if idle.distrusted.len() >= MOST_DISTRUSTED && !idle.distrusted.contains_key(route) {
            let next = idle.distrusted.iter().min_by_key(|(_, until)| **until).map(|(route, _)| route.clone());
            next.and_then(|next| idle.distrusted.remove(&next));
        }
        let known = idle.distrusted.insert(route.clone(), now + self.distrust).is_some();
        drop(idle);
        drop(closed);
        if !known {
            let seconds = self.distrust.as_secs();
            tracing::warn!(
                server = %route.authority, seconds,
                "a server sent more than it was asked for behind an answer, which can reach the next caller as theirs: for a \
                 while each request to it has a connection of its own; tell its owner"
            );
        }
    }

    /// The youngest connection of this runtime, unless even that is too old, and how long nobody used it.
    fn pop(&self, route: &Route) -> Option<(Kept, Duration)> {
        let (runtime, now) = (Handle::try_current().ok()?.id(), Instant::now());
        let mut idle = self.lock();
        let kin = idle.by_route.get_mut(route)?;
        let youngest = kin.iter().rposition(|unused| unused.runtime == runtime)?;
        let unused_for = now.duration_since(kin.get(youngest)?.since);
        if unused_for < self.idle_timeout {
            return Some((kin.remove(youngest).kept, unused_for));
        }
        // Those below it are older.
        let old = kin.extract_if(..=youngest, |_| true).collect::<Vec<_>>();
        drop(idle);
        drop(old);
        None
    }

    fn put(self: &Arc<Self>, route: &Route, kept: Kept) {
        let Ok(runtime) = Handle::try_current() else { return };
        let unused = Unused { since: Instant::now(), runtime: runtime.id(), kept };
        let mut idle = self.lock();
        match idle.distrusted.get(route) {
            Some(until) if *until > Instant::now() => return,
            Some(_) => _ = idle.distrusted.remove(route),
            None => {}
        }
        match idle.by_route.get_mut(route) {
            Some(kin) if kin.len() >= self.max_idle_per_host => return,
            Some(kin) => kin.push(unused),
            None => {
                idle.by_route.insert(route.clone(), vec![unused]);
            }
        }
        if !std::mem::replace(&mut idle.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self), self.idle_timeout / 4));
        }
    }

    /// Closes what is too old or was closed by its peer. Whether anything is left.
    fn close_old(&self) -> bool {
        let mut idle = self.lock();
        let mut closed = Vec::new();
        let mut surplus = Vec::new();
        for (route, kin) in &mut idle.by_route {
            let over = |unused: &mut Unused| !unused.kept.is_free() || unused.since.elapsed() >= self.idle_timeout;
            let before = closed.len();
            closed.extend(kin.extract_if(.., over));
            if closed.iter().skip(before).any(|unused: &Unused| unused.kept.has_surplus()) {
                surplus.push(route.clone());
            }
        }
        idle.by_route.retain(|_, kin| !kin.is_empty());
        idle.swept = !idle.by_route.is_empty();
        let left = idle.swept;
        drop(idle);
        drop(closed);
        for route in surplus {
            self.distrust(&route);
        }
        left
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sweep(pool: Weak<Pool>, every: Duration) {
    loop {
        tokio::time::sleep(every.max(Duration::from_millis(1))).await;
        if !pool.upgrade().is_some_and(|pool| pool.close_old()) {
            return;
        }
    }
}

impl Way {
    /// Gives back a connection whose answer was read to its end.
    pub(crate) fn give_back(&self, mut kept: Kept) {
        let Some(pool) = self.pool.upgrade() else { return };
        if kept.is_free() {
            pool.put(&self.route, kept);
        } else {
            pool.look_back(&self.route, &kept);
        }
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Way").field(&self.route).finish()
    }
}
