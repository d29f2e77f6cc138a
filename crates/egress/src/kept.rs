//! One connection, driven by whoever uses it.
//!
//! A connection has no task of its own. The request that holds it polls it together with what it waits for, so a call
//! costs no hand-over between tasks or threads; between requests nobody polls it, and what the peer did meanwhile is
//! looked at before it is used again. Dropping it closes it.
//!
//! Bytes that come while nobody asked for anything are remembered when they are seen: had they come a moment later, they
//! would have been the answer to the next request.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;
use http::{Request, Response};
use hyper::{body::Incoming, client::conn::http1};
use tokio::time::Instant;

use crate::{alarm::Alarm, connect::Stream, handoff::Outgoing, heard::Heard};

/// How often a connection that goes on waking itself is polled before other tasks get their turn.
const ROUNDS: usize = 8;

/// An open connection.
pub(crate) struct Kept {
    sender: http1::SendRequest<Outgoing>,
    connection: Pin<Box<http1::Connection<Stream, Outgoing>>>,
    signal: Arc<Signal>,
    waker: Waker,
    heard: Heard,
    over: bool,
    surplus: bool,
    alarm: Alarm,
}

/// Where wakes of the connection go: to the task that waits, and only while it waits. A wake by what that very task is
/// doing would only make the runtime run it once more for nothing.
struct Signal {
    task: AtomicWaker,
    state: AtomicU8,
}

/// Somebody is polling, or will before anybody waits.
const AWAKE: u8 = 0;
/// The same, and there was a wake.
const RUNG: u8 = 1;
/// A task waits for a wake.
const WAITING: u8 = 2;

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(RUNG, Ordering::AcqRel) == WAITING {
            self.task.wake();
        }
    }
}

/// Why a connection brought no answer.
pub(crate) enum Failed {
    /// It did not take the request, which is here.
    Untaken(Box<Request<Outgoing>>),
    /// Anything else; nothing more is known if it just ended.
    Taken {
        /// What happened.
        error: Option<hyper::Error>,
        /// Whether any byte came after the request was handed over.
        heard: bool,
    },
    /// There was no answer in time.
    Late,
}

impl Kept {
    pub(crate) fn new(
        sender: http1::SendRequest<Outgoing>,
        connection: http1::Connection<Stream, Outgoing>,
        heard: Heard,
    ) -> Self {
        let signal = Arc::new(Signal { task: AtomicWaker::new(), state: AtomicU8::new(AWAKE) });
        let waker = Waker::from(Arc::clone(&signal));
        Self {
            sender,
            connection: Box::pin(connection),
            signal,
            waker,
            heard,
            over: false,
            surplus: false,
            alarm: Alarm::default(),
        }
    }

    /// Sends a request and waits for the head of its answer, until the deadline.
    pub(crate) async fn send(
        &mut self,
        request: Request<Outgoing>,
        deadline: Instant,
    ) -> Result<Response<Incoming>, Failed> {
        self.heard.forget();
        let mut answer = std::pin::pin!(self.sender.try_send_request(request));
        let answered = poll_fn(|context| match self.drive(context, |quiet| answer.as_mut().poll(quiet)) {
            Poll::Ready(answered) => Poll::Ready(Ok(answered)),
            Poll::Pending => self.alarm.poll_due(deadline, context).map(Err),
        });
        let Ok(answered) = answered.await else { return Err(Failed::Late) };
        let mut error = match answered {
            None => return Err(Failed::Taken { error: None, heard: self.heard.anything() }),
            Some(Ok(response)) => return Ok(response),
            Some(Err(error)) => error,
        };
        let untaken = error.take_message();
        let error = error.into_error();
        self.surplus |= is_surplus(&error);
        Err(match untaken {
            Some(request) => Failed::Untaken(Box::new(request)),
            None => Failed::Taken { error: Some(error), heard: self.heard.anything() },
        })
    }

    /// Polls the connection, and what is waited for, until that is there. Nothing if the connection ended without it.
    ///
    /// What is waited for may only wait for this connection: it is polled after each step of it, and its own wakes are
    /// not listened to.
    pub(crate) fn drive<T>(
        &mut self,
        context: &mut Context<'_>,
        mut wanted: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Option<T>> {
        let mut quiet = Context::from_waker(Waker::noop());
        self.signal.task.register(context.waker());
        for _ in 0..ROUNDS {
            self.signal.state.store(AWAKE, Ordering::Release);
            if !self.over {
                match self.connection.as_mut().poll(&mut Context::from_waker(&self.waker)) {
                    Poll::Pending => {}
                    Poll::Ready(ended) => {
                        self.over = true;
                        self.surplus |= ended.is_err_and(|error| is_surplus(&error));
                    }
                }
            }
            if let Poll::Ready(there) = wanted(&mut quiet) {
                return Poll::Ready(Some(there));
            }
            if self.over {
                return Poll::Ready(None);
            }
            let waits = self.signal.state.compare_exchange(AWAKE, WAITING, Ordering::AcqRel, Ordering::Acquire).is_ok();
            if waits {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Looks at what the peer did while nobody looked, or at what the last answer left behind. Whether the connection can
    /// take another request.
    pub(crate) fn is_free(&mut self) -> bool {
        // Nobody waits: wakes that come from now on go nowhere. And nobody's turn is over: a task that has used up its share of
        // the runtime would be told that nothing happened.
        let mut look =
            tokio::task::coop::unconstrained(poll_fn(|context| self.drive(context, |_| Poll::<()>::Pending)));
        let _ = Pin::new(&mut look).poll(&mut Context::from_waker(Waker::noop()));
        self.signal.state.store(AWAKE, Ordering::Release);
        !self.over && self.sender.is_ready()
    }
}

impl Kept {
    /// Whether its peer was seen to send what nobody had asked for.
    pub(crate) fn has_surplus(&self) -> bool {
        self.surplus
    }
}

/// Whether a connection ended because bytes came that belong to no request. The implementation has no other way to tell than
/// its text; the tests of the pool hold it to that.
fn is_surplus(error: &hyper::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = cause {
        if one.is::<hyper::Error>() && one.to_string() == "received unexpected message from connection" {
            return true;
        }
        cause = one.source();
    }
    false
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("over", &self.over).finish_non_exhaustive()
    }
}
