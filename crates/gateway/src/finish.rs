//! Requests that run to their end although their client has left: every write that may have been dispatched, and every
//! request of the legacy era, where a closed connection is no cancellation.
//!
//! The request's future runs inside the connection as long as that lives. When the connection drops it and the request has
//! asked to be finished, what is left of it goes on as a task of its own, counted and waited for at shutdown.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The requests that will be finished, bounded.
pub(crate) struct Running {
    slots: Arc<Semaphore>,
    most: u32,
}

/// Too many requests already run to their end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

impl Running {
    pub(crate) fn new(most: usize) -> Self {
        let most = u32::try_from(most.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX >> 4);
        Self { slots: Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(1))), most }
    }

    pub(crate) async fn drain(&self, at_most: Duration) -> bool {
        matches!(tokio::time::timeout(at_most, self.slots.acquire_many(self.most)).await, Ok(Ok(_)))
    }
}

/// Held by a request, to ask that it be finished.
#[derive(Clone)]
pub(crate) struct Finish {
    shared: Arc<Shared>,
}

struct Shared {
    asked: AtomicBool,
    slots: Arc<Semaphore>,
    slot: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Finish {
    /// From here on the request runs to its end, whatever its client does.
    ///
    /// # Errors
    /// [`Full`]: nothing must be dispatched.
    pub(crate) fn whatever_happens(&self) -> Result<(), Full> {
        let mut slot = self.shared.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = Some(Arc::clone(&self.shared.slots).try_acquire_owned().map_err(|_| Full)?);
        }
        self.shared.asked.store(true, Ordering::Release);
        Ok(())
    }
}

/// Runs a request inside its connection, and outside if need be.
pub(crate) fn run<F>(running: &Running, request: impl FnOnce(Finish) -> F) -> Finishing<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    let shared = Shared { asked: AtomicBool::new(false), slots: Arc::clone(&running.slots), slot: Mutex::new(None) };
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
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(future) = self.future.as_mut() else {
            return Poll::Pending;
        };
        let polled = future.as_mut().poll(context);
        if polled.is_ready() {
            self.future = None;
        }
        polled
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

    #[tokio::test]
    async fn what_asked_to_be_finished_is_and_what_did_not_is_not() {
        for asks in [true, false] {
            let running = Running::new(4);
            let (go, gone) = oneshot::channel::<()>();
            let (done, finished) = oneshot::channel::<()>();
            let mut future = Box::pin(run(&running, |finish| async move {
                if asks {
                    finish.whatever_happens().unwrap();
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
            assert_eq!(finish.whatever_happens(), Ok(()));
            assert_eq!(finish.whatever_happens(), Ok(()));
            finish
        })
        .await;
        let second = run(&running, |finish| async move { finish.whatever_happens() });
        assert_eq!(second.await, Err(Full));
        assert!(!running.drain(Duration::from_millis(1)).await);
        drop(first);
        assert!(running.drain(Duration::from_secs(5)).await);
    }
}
