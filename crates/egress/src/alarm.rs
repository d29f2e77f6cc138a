//! A timer for one deadline after the other, of which hardly any is ever reached.
//!
//! A timer of tokio that is armed and taken back costs two turns of its wheel and, where nothing else is due before, a call of
//! the kernel: the runtime rings its own bell, to look at the wheel again. So one timer is kept and left where it is while
//! things happen in time. Where it rings for a deadline that is over it is moved to the one that counts: then whoever waited
//! last was woken once for nothing, at most once in the time that was given.

use std::{
    fmt,
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    task::coop,
    time::{Instant, Sleep, sleep_until},
};

/// The timer. It stays with the runtime on which it was first asked.
#[derive(Default)]
pub struct Alarm {
    kept: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Whether a deadline has come. If not, the task is woken when it has; deadlines that were asked for before are forgotten.
    pub fn poll_due(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.kept.get_or_insert_with(|| Box::pin(sleep_until(deadline))).as_mut();
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            // A peer that keeps its task busy must not keep it from its clock: the timer would be told that its turn is over.
            ready!(Pin::new(&mut coop::unconstrained(timer.as_mut())).poll(context));
            if timer.deadline() == deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").field("at", &self.kept.as_ref().map(|timer| timer.deadline())).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Waker, time::Duration};

    use super::*;

    const LONG: Duration = Duration::from_hours(1);
    const SHORT: Duration = Duration::from_millis(20);

    fn is_due(alarm: &mut Alarm, after: Duration) -> bool {
        alarm.poll_due(Instant::now() + after, &mut Context::from_waker(Waker::noop())).is_ready()
    }

    async fn due(alarm: &mut Alarm, after: Duration) {
        let deadline = Instant::now() + after;
        poll_fn(|context| alarm.poll_due(deadline, context)).await;
        assert!(Instant::now() >= deadline);
    }

    #[tokio::test]
    async fn each_deadline_comes_in_its_time() {
        let mut alarm = Alarm::default();
        assert!(!is_due(&mut alarm, SHORT), "the first is not waited for");
        tokio::time::sleep(SHORT / 2).await;
        for _ in 0..3 {
            // Both while the timer still runs for the deadline before, and after it rang for it.
            due(&mut alarm, SHORT).await;
        }
    }

    #[tokio::test]
    async fn whoever_has_used_up_their_turn_is_told_as_well() {
        let mut alarm = Alarm::default();
        let deadline = Instant::now() + SHORT;
        assert!(alarm.poll_due(deadline, &mut Context::from_waker(Waker::noop())).is_pending());
        std::thread::sleep(SHORT * 2);
        tokio::task::yield_now().await;
        let told = poll_fn(|context| {
            while coop::has_budget_remaining() {
                let Poll::Ready(one) = coop::poll_proceed(context) else { break };
                one.made_progress();
            }
            Poll::Ready(alarm.poll_due(deadline, context).is_ready())
        });
        assert!(told.await);
    }

    #[tokio::test]
    async fn an_earlier_deadline_is_not_kept_waiting() {
        let mut alarm = Alarm::default();
        assert!(!is_due(&mut alarm, LONG));
        due(&mut alarm, SHORT).await;
    }

    #[tokio::test]
    async fn what_happens_in_time_moves_no_timer() {
        let mut alarm = Alarm::default();
        assert!(!is_due(&mut alarm, LONG));
        let first = alarm.kept.as_ref().unwrap().deadline();
        for _ in 0..1_000 {
            assert!(!is_due(&mut alarm, LONG));
        }
        assert_eq!(alarm.kept.as_ref().unwrap().deadline(), first);
    }
}
