//! The timer that hyper arms for the head of each request, and takes back when the head is there: one for each connection,
//! whatever the number of its requests.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use ambit_egress::Alarm;
use hyper::rt::{Sleep, Timer};
use tokio::time;

/// The timer of one connection. Its sleeps are awaited one after the other, by the task of the connection.
#[derive(Clone, Default, Debug)]
pub struct HeadTimer {
    alarm: Arc<Mutex<Alarm>>,
}

/// Until a head is due.
struct Due {
    at: time::Instant,
    alarm: Arc<Mutex<Alarm>>,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Due { at: deadline.into(), alarm: Arc::clone(&self.alarm) })
    }

    fn now(&self) -> Instant {
        time::Instant::now().into()
    }
}

impl Sleep for Due {}

impl Future for Due {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.alarm.lock().unwrap_or_else(PoisonError::into_inner).poll_due(self.at, context)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Waker};

    use super::*;

    #[tokio::test]
    async fn each_head_has_its_whole_time() {
        let (timer, short) = (HeadTimer::default(), Duration::from_millis(20));
        let mut in_time = timer.sleep(Duration::from_hours(1));
        assert!(in_time.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(in_time);
        for _ in 0..3 {
            let begin = timer.now();
            let mut head = timer.clone().sleep(short);
            poll_fn(|context| head.as_mut().poll(context)).await;
            assert!(begin.elapsed() >= short);
        }
    }
}
