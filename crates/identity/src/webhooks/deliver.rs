//! Delivery: each notice to each webhook that wants it, a few times if need be, then given up and said so.
//!
//! Nothing waits for this but the next message: what is told faster than it can be sent is dropped, counted and said.

use std::{future::Future, sync::Arc, time::Duration};

use ambit_egress::{Client, Target};
use ambit_live::{
    Live,
    notices::{Notice, NoticeKind},
    recorder::Deed,
};
use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header::CONTENT_TYPE};
use http_body_util::Full;
use serde_json::json;
use tokio::{sync::broadcast::error::RecvError, task::JoinSet, time::Instant};

use super::{
    message::{self, Format},
    sign::SigningKey,
};

/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long is waited before each further try. A request waits for people for a quarter of an hour: later helps nobody.
const WAITS: Waits = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25), Duration::from_mins(2)];

/// How long is waited before each further try.
pub(crate) type Waits = [Duration; 4];

/// Most messages on their way at once.
const MOST: usize = 64;

/// Most bytes of an answer that are read: nothing in it counts.
const MAX_ANSWER: usize = 16 * 1024;

/// Where messages go.
#[derive(Clone)]
pub struct Webhook {
    /// What configuration calls it.
    pub name: String,
    /// Where it is. Part of it may be a secret.
    pub target: Target,
    /// What it wants to read.
    pub format: Format,
    /// What it is signed with.
    pub key: Option<SigningKey>,
    /// What it wants to hear.
    pub kinds: Vec<NoticeKind>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The webhooks of now; a reload swaps them. Cheap to clone; clones see the same swap.
#[derive(Clone, Debug, Default)]
pub struct Hooks {
    current: Arc<ArcSwap<Vec<Arc<Webhook>>>>,
}

impl Hooks {
    /// These.
    pub fn new(webhooks: Vec<Webhook>) -> Self {
        let hooks = Self::default();
        hooks.replace(webhooks);
        hooks
    }

    /// Uses others from now on. What is on its way arrives where it was sent.
    pub fn replace(&self, webhooks: Vec<Webhook>) {
        self.current.store(Arc::new(webhooks.into_iter().map(Arc::new).collect()));
    }
}

/// Delivers what is told until the shutdown resolves. Spawn it once and await its end; what is on its way then is given up.
pub async fn run(live: Live, client: Client, hooks: Hooks, shutdown: impl Future<Output = ()> + Send) {
    run_at(WAITS, (live, client, hooks), shutdown).await;
}

pub(crate) async fn run_at(
    waits: Waits,
    (live, client, hooks): (Live, Client, Hooks),
    shutdown: impl Future<Output = ()> + Send,
) {
    let mut shutdown = std::pin::pin!(shutdown);
    let mut told = live.notices().listen();
    let mut under_way = JoinSet::new();
    loop {
        let notice = tokio::select! {
            () = &mut shutdown => return,
            Some(_) = under_way.join_next() => continue,
            notice = told.recv() => notice,
        };
        let notice = match notice {
            Ok(notice) => Arc::new(notice),
            Err(RecvError::Lagged(missed)) => {
                tracing::error!(missed, "more was to be told to webhooks than could be: it is in the trail alone");
                continue;
            }
            Err(RecvError::Closed) => return,
        };
        for hook in hooks.current.load().iter().filter(|hook| hook.kinds.contains(&notice.kind)) {
            if under_way.len() >= MOST {
                tracing::error!(
                    webhook = hook.name,
                    notice = notice.id,
                    "too many messages are on their way: one is dropped"
                );
                continue;
            }
            let (live, client) = (live.clone(), client.clone());
            let (hook, notice) = (Arc::clone(hook), Arc::clone(&notice));
            under_way.spawn(async move { deliver(waits, (&live, &client), &hook, &notice).await });
        }
    }
}

async fn deliver(waits: Waits, (live, client): (&Live, &Client), hook: &Webhook, notice: &Notice) {
    let body = hook.format.body(notice);
    let mut waits = waits.into_iter();
    loop {
        let failed = match attempt(live, client, hook, (notice, &body)).await {
            Ok(()) => return,
            Err(failed) => failed,
        };
        tracing::warn!(webhook = hook.name, notice = notice.id, why = failed.why, "a message was not delivered");
        let wait = if failed.is_final { None } else { waits.next() };
        let Some(wait) = wait else {
            return give_up(live, hook, notice, &failed.why).await;
        };
        tokio::time::sleep(wait).await;
    }
}

/// Why a try did not deliver. Names the host at most: path and query may be secrets.
struct Failed {
    why: String,
    /// Whether another try would end the same.
    is_final: bool,
}

async fn attempt(
    live: &Live,
    client: &Client,
    hook: &Webhook,
    (notice, body): (&Notice, &Bytes),
) -> Result<(), Failed> {
    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = hook.target.path_and_query().clone().into();
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(key) = &hook.key {
        // Signed anew each time: whoever checks the time of a message would refuse a late one.
        let headers = key.headers(&message::id(notice), live.clock().now(), body);
        let unspeakable = || Failed { why: "its id fits no header".to_owned(), is_final: true };
        request.headers_mut().extend(headers.ok_or_else(unspeakable)?);
    }
    let deadline = Instant::now() + PATIENCE;
    let answer = client.send(&hook.target, request, deadline).await;
    let answer = answer.map_err(|error| Failed { why: error.to_string(), is_final: false })?;
    let status = answer.status();
    // Read to its end, so that the connection can be used again; what it says does not count.
    let _ = answer.into_body().read_bounded(MAX_ANSWER, deadline).await;
    if status.is_success() {
        return Ok(());
    }
    // Whoever understood and does not want it will not want it later; a receiver in trouble may.
    let is_final = !(status.is_server_error() || status == 429 || status == 408);
    Err(Failed { why: format!("it answered {}", status.as_u16()), is_final })
}

async fn give_up(live: &Live, hook: &Webhook, notice: &Notice, why: &str) {
    tracing::error!(webhook = hook.name, notice = notice.id, why, "a message to a webhook was given up");
    let subject = format!("webhook {}", hook.name);
    let after = json!({ "notice": notice.kind.as_str(), "id": notice.id, "why": why });
    let deed = Deed { by: "ambit", act: "webhook.give_up", subject: &subject, after: Some(after), ..Deed::default() };
    if let Err(error) = live.recorder().act(deed).await {
        tracing::error!(%error, "that could not be recorded");
    }
}
