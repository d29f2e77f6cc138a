//! Requests that run to their end although their client has left: every write that may have been dispatched, and every
//! request of the legacy era, where a closed connection is no cancellation.
//!
//! The request's future runs inside the connection as long as that lives. When the connection drops it and the request has
//! asked to be finished, what is left of it goes on as a task of its own, counted and waited for at shutdown.
//!
//! A request that tells its client something before it is answered goes on as a task from then on, so that a client which does
//! not read holds nothing up; when that client leaves, the task ends unless the request has asked to be finished.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use ambit_model::Digest;
use bytes::Bytes;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinHandle,
};

use crate::shares::{self, Shares};

/// The part of the places that one person may hold: one in so many.
const SHARES: usize = 16;

/// The requests that will be finished, bounded.
pub(crate) struct Running {
    places: Arc<Places>,
    most: u32,
}

struct Places {
    all: Arc<Semaphore>,
    by_person: Shares<Digest>,
    share: usize,
}

/// Too many requests already run to their end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Full {
    /// Of this person.
    OfPerson,
    /// Of all.
    OfAll,
}

impl Running {
    pub(crate) fn new(most: usize) -> Self {
        let most = u32::try_from(most.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX >> 4);
        let all = usize::try_from(most).unwrap_or(1);
        let places =
            Places { all: Arc::new(Semaphore::new(all)), by_person: Shares::new(), share: all.div_ceil(SHARES) };
        Self { places: Arc::new(places), most }
    }

    pub(crate) async fn drain(&self, at_most: Duration) -> bool {
        matches!(tokio::time::timeout(at_most, self.places.all.acquire_many(self.most)).await, Ok(Ok(_)))
    }
}

/// Held by a request, to ask that it be finished.
#[derive(Clone)]
pub(crate) struct Finish {
    shared: Arc<Shared>,
}

struct Shared {
    asked: AtomicBool,
    places: Arc<Places>,
    place: Mutex<Option<(shares::Place, OwnedSemaphorePermit)>>,
    /// Whether `told` was filled.
    tells: AtomicBool,
    told: Mutex<Option<mpsc::Receiver<Bytes>>>,
}

impl Finish {
    /// From here on the request of this person runs to its end, whatever its client does.
    ///
    /// # Errors
    /// [`Full`]: nothing must be dispatched.
    pub(crate) fn whatever_happens(&self, person: &Digest) -> Result<(), Full> {
        let mut place = self.shared.place.lock().unwrap_or_else(PoisonError::into_inner);
        if place.is_none() {
            let places = &self.shared.places;
            let own = places.by_person.try_take(person, places.share).map_err(|shares::Held| Full::OfPerson)?;
            *place = Some((own, Arc::clone(&places.all).try_acquire_owned().map_err(|_| Full::OfAll)?));
        }
        self.shared.asked.store(true, Ordering::Release);
        Ok(())
    }

    /// From here on the client is told what comes on this channel, and its answer afterwards.
    pub(crate) fn tell(&self, told: mpsc::Receiver<Bytes>) {
        *self.shared.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        self.shared.tells.store(true, Ordering::Release);
    }

    /// What the client is to be told, once.
    fn take_told(&self) -> Option<mpsc::Receiver<Bytes>> {
        if !self.shared.tells.load(Ordering::Acquire) {
            return None;
        }
        self.shared.told.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The request has ended, whoever may still hold this.
    fn ended(&self) {
        drop(self.shared.place.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// How a request leaves the connection.
pub(crate) enum Ended<T> {
    /// With its answer.
    Whole(T),
    /// With something to tell before.
    Streams(Streaming<T>),
}

impl<T> From<T> for Ended<T> {
    fn from(answer: T) -> Self {
        Self::Whole(answer)
    }
}

/// A request whose client is told something before the answer. Dropping it is leaving.
pub(crate) struct Streaming<T> {
    told: mpsc::Receiver<Bytes>,
    answer: Answer<T>,
    finish: Finish,
}

enum Answer<T> {
    Coming(JoinHandle<T>),
    There(T),
    Given,
}

/// What a client is told.
pub(crate) enum Told<T> {
    /// Something before the answer.
    Event(Bytes),
    /// The answer, which is the last. None if the request came to grief.
    End(Option<T>),
}

impl<T> Streaming<T> {
    /// The next thing to tell.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Told<T>> {
        // The channel closes when the request has ended: everything told before comes first.
        if let Some(event) = ready!(self.told.poll_recv(context)) {
            return Poll::Ready(Told::Event(event));
        }
        let answer = match std::mem::replace(&mut self.answer, Answer::Given) {
            Answer::Coming(mut task) => match Pin::new(&mut task).poll(context) {
                Poll::Pending => {
                    self.answer = Answer::Coming(task);
                    return Poll::Pending;
                }
                Poll::Ready(ended) => ended.ok(),
            },
            Answer::There(answer) => Some(answer),
            Answer::Given => None,
        };
        Poll::Ready(Told::End(answer))
    }
}

impl<T> Drop for Streaming<T> {
    fn drop(&mut self) {
        if let Answer::Coming(task) = &self.answer
            && !self.finish.shared.asked.load(Ordering::Acquire)
        {
            task.abort();
        }
    }
}

/// Runs a request inside its connection, and outside if need be.
pub(crate) fn run<F>(running: &Running, request: impl FnOnce(Finish) -> F) -> Finishing<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    let shared = Shared {
        asked: AtomicBool::new(false),
        places: Arc::clone(&running.places),
        place: Mutex::new(None),
        tells: AtomicBool::new(false),
        told: Mutex::new(None),
    };
    let finish = Finish { shared: Arc::new(shared) };
    Finishing { future: Some(Box::pin(request(finish.clone()))), finish }
}

pub(crate) struct Finishing<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    future: Option<Pin<Box<F>>>,
    finish: Finish,
}

impl<F> Future for Finishing<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    type Output = Ended<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended<F::Output>> {
        let Some(future) = self.future.as_mut() else {
            return Poll::Pending;
        };
        let polled = future.as_mut().poll(context);
        if polled.is_ready() {
            self.future = None;
        }
        let Some(told) = self.finish.take_told() else { return polled.map(Ended::Whole) };
        let answer = match (polled, self.future.take()) {
            (Poll::Ready(answer), _) => {
                self.finish.ended();
                Answer::There(answer)
            }
            (Poll::Pending, Some(future)) => {
                let finish = self.finish.clone();
                Answer::Coming(tokio::spawn(async move {
                    let answer = future.await;
                    finish.ended();
                    answer
                }))
            }
            (Poll::Pending, None) => return Poll::Pending,
        };
        Poll::Ready(Ended::Streams(Streaming { told, answer, finish: self.finish.clone() }))
    }
}

impl<F> Drop for Finishing<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    fn drop(&mut self) {
        // A future that panicked cannot be polled again.
        if std::thread::panicking() || !self.finish.shared.asked.load(Ordering::Acquire) {
            return;
        }
        if let (Some(future), Ok(runtime)) = (self.future.take(), tokio::runtime::Handle::try_current()) {
            let finish = self.finish.clone();
            runtime.spawn(async move {
                future.await;
                drop(finish);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    fn alice() -> Digest {
        Digest::of(b"alice")
    }

    #[tokio::test]
    async fn one_person_is_promised_the_end_of_a_share_of_them() {
        let running = Running::new(32);
        let asking = async |who: &[u8]| {
            let person = Digest::of(who);
            whole(run(&running, |finish| async move { finish.whatever_happens(&person).map(|()| finish) }).await)
        };
        let (first, _second) = (asking(b"alice").await.unwrap(), asking(b"alice").await.unwrap());
        assert_eq!(asking(b"alice").await.err(), Some(Full::OfPerson));
        let mut others = Vec::new();
        for n in 0..30_u8 {
            others.push(asking(&[n]).await.unwrap());
        }
        assert_eq!(asking(b"bob").await.err(), Some(Full::OfAll));
        drop(first);
        // What was not to be had for all left nothing of the share behind.
        assert!(asking(b"bob").await.is_ok() && asking(b"alice").await.is_ok());
    }

    #[tokio::test]
    async fn what_asked_to_be_finished_is_and_what_did_not_is_not() {
        for asks in [true, false] {
            let running = Running::new(4);
            let (go, gone) = oneshot::channel::<()>();
            let (done, finished) = oneshot::channel::<()>();
            let mut future = Box::pin(run(&running, |finish| async move {
                if asks {
                    finish.whatever_happens(&alice()).unwrap();
                }
                gone.await.unwrap();
                done.send(()).unwrap();
            }));
            let waker = futures_util::task::noop_waker();
            assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            drop(future);
            let _ = go.send(());
            assert_eq!(finished.await.is_ok(), asks);
            assert!(running.drain(Duration::from_secs(5)).await);
        }
    }

    #[tokio::test]
    async fn no_more_than_the_bound_are_promised_an_end() {
        let running = Running::new(1);
        let first = run(&running, |finish| async move {
            assert_eq!(finish.whatever_happens(&alice()), Ok(()));
            assert_eq!(finish.whatever_happens(&alice()), Ok(()));
            finish
        })
        .await;
        let second = run(&running, |finish| async move { finish.whatever_happens(&alice()) });
        assert_eq!(whole(second.await), Err(Full::OfPerson));
        assert!(!running.drain(Duration::from_millis(1)).await);
        drop(first);
        assert!(running.drain(Duration::from_secs(5)).await);
    }

    fn whole<T>(ended: Ended<T>) -> T {
        match ended {
            Ended::Whole(answer) => answer,
            Ended::Streams(_) => panic!("it tells something first"),
        }
    }

    fn streams<T>(ended: Ended<T>) -> Streaming<T> {
        match ended {
            Ended::Whole(_) => panic!("it tells nothing first"),
            Ended::Streams(streaming) => streaming,
        }
    }

    async fn next<T>(streaming: &mut Streaming<T>) -> Told<T> {
        std::future::poll_fn(|context| streaming.poll(context)).await
    }

    #[tokio::test]
    async fn what_is_told_comes_before_the_answer_and_nobody_waits_for_a_reader() {
        for waits in [true, false] {
            let running = Running::new(1);
            let mut streaming = streams(
                run(&running, |finish| async move {
                    finish.whatever_happens(&alice()).unwrap();
                    let (line, told) = mpsc::channel(2);
                    finish.tell(told);
                    for event in [&b"1"[..], b"2", b"3"] {
                        let _ = line.try_send(Bytes::from_static(event));
                    }
                    if waits {
                        tokio::task::yield_now().await;
                    }
                    "answer"
                })
                .await,
            );
            // Nothing was read, and the request has ended all the same.
            assert!(running.drain(Duration::from_secs(5)).await);
            for event in ["1", "2"] {
                assert!(matches!(next(&mut streaming).await, Told::Event(told) if told == event));
            }
            assert!(matches!(next(&mut streaming).await, Told::End(Some("answer"))));
            assert!(matches!(next(&mut streaming).await, Told::End(None)));
        }
    }

    #[tokio::test]
    async fn who_leaves_a_stream_leaves_as_from_a_request() {
        for asks in [true, false] {
            let running = Running::new(1);
            let (go, gone) = oneshot::channel::<()>();
            let (done, finished) = oneshot::channel::<()>();
            let ended = run(&running, |finish| async move {
                if asks {
                    finish.whatever_happens(&alice()).unwrap();
                }
                let (line, told) = mpsc::channel(1);
                finish.tell(told);
                line.send(Bytes::new()).await.unwrap();
                gone.await.unwrap();
                done.send(()).unwrap();
            })
            .await;
            drop(streams(ended));
            tokio::task::yield_now().await;
            assert_eq!(go.send(()).is_ok(), asks);
            assert_eq!(finished.await.is_ok(), asks);
            assert!(running.drain(Duration::from_secs(5)).await);
        }
    }
}
