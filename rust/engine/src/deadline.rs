//! The time limits of one stream.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock::now_ns;
use crate::end::{Failure, FailureKind};
use crate::pump::Stop;
use crate::request::Timeouts;

/// How long to wait for more once the finish reason has come: for the token counts, and for the end marker, which
/// some servers never send while they leave the connection open.
const GRACE: Duration = Duration::from_secs(3);

/// No limit, as a duration that a timer accepts.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The deadline of the current phase: the first token, or the next one; and of the whole stream. There is one timer for
/// all. It is set again only when it fires, so that a token only costs storing its arrival time.
#[derive(Debug)]
pub(crate) struct Deadline {
    timeouts: Timeouts,
    /// When it was created, on both clocks.
    created: Instant,
    created_ns: u64,
    /// The timeout of the phase counts from here.
    since_ns: u64,
    first_token_seen: bool,
    /// When the finish reason came, unless more came after that.
    answered_ns: Option<u64>,
    timer: Pin<Box<Sleep>>,
    /// The timer will wake this task.
    is_armed: bool,
}

/// A limit that ends the stream.
struct Limit {
    /// What it is; `None` if the answer is whole, and only more of it was awaited.
    kind: Option<FailureKind>,
    at_ns: u64,
    length: Duration,
}

impl Deadline {
    pub(crate) fn new(timeouts: Timeouts) -> Self {
        let (created, created_ns) = (Instant::now(), now_ns());
        let timer = Box::pin(sleep_until(created + bounded(timeouts.first_token)));
        Self {
            timeouts,
            created,
            created_ns,
            since_ns: created_ns,
            first_token_seen: false,
            answered_ns: None,
            timer,
            is_armed: false,
        }
    }

    /// The request is sent only now.
    pub(crate) const fn sent(&mut self, now_ns: u64) {
        self.since_ns = now_ns;
    }

    /// Resets the timeout: the provider is at work. Before the first token, only a token counts.
    pub(crate) fn data_arrived(&mut self, arrived_ns: u64, is_output: bool) {
        if self.first_token_seen || is_output {
            self.first_token_seen = true;
            self.restart(arrived_ns);
        }
    }

    /// The answer would be whole if the body ended here, since this time; or would not.
    pub(crate) fn answered(&mut self, arrived_ns: Option<u64>) {
        self.answered_ns = arrived_ns.map(|now_ns| self.answered_ns.unwrap_or(now_ns));
    }

    /// The time up to now does not count.
    pub(crate) const fn restart(&mut self, now_ns: u64) {
        if self.answered_ns.is_some() {
            self.answered_ns = Some(now_ns);
        }
        if self.first_token_seen {
            self.since_ns = now_ns;
        }
    }

    /// How much time is left.
    pub(crate) fn remaining(&self) -> Duration {
        Duration::from_nanos(self.current().at_ns.saturating_sub(now_ns()))
    }

    /// Waits for `work`, but not beyond the deadline.
    pub(crate) async fn limit<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let limit = self.current();
        self.wait(limit, work).await
    }

    /// Waits for `work`, but not beyond the deadline of the whole stream.
    pub(crate) async fn limit_total<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let limit = self.total();
        self.wait(limit, work).await
    }

    async fn wait<T>(&mut self, limit: Limit, work: impl Future<Output = T>) -> Result<T, Stop> {
        let deadline = self.instant(limit.at_ns);
        if self.timer.deadline() > deadline {
            self.set_timer(deadline);
        }
        let mut work = pin!(work);
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.poll_passed(context, deadline).map(|()| Err(limit.stop())),
        })
        .await
    }

    /// Ready once the deadline has passed. A timer that is armed wakes the task, which is always the same one, so it is
    /// not polled again for each token.
    fn poll_passed(&mut self, context: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        loop {
            if self.is_armed && !self.timer.is_elapsed() {
                return Poll::Pending;
            }
            if self.timer.as_mut().poll(context).is_pending() {
                self.is_armed = true;
                return Poll::Pending;
            }
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.set_timer(deadline);
        }
    }

    fn set_timer(&mut self, deadline: Instant) {
        self.timer.as_mut().reset(deadline);
        self.is_armed = false;
    }

    /// What ends the stream next.
    fn current(&self) -> Limit {
        let phase = self.phase();
        if self.timeouts.total.is_none() {
            return phase;
        }
        let total = self.total();
        if total.at_ns < phase.at_ns { total } else { phase }
    }

    fn phase(&self) -> Limit {
        let (kind, since_ns, limit) = if let Some(answered_ns) = self.answered_ns {
            (None, answered_ns, Some(self.timeouts.idle.map_or(GRACE, |idle| idle.min(GRACE))))
        } else if self.first_token_seen {
            (Some(FailureKind::IdleTimeout), self.since_ns, self.timeouts.idle)
        } else {
            (Some(FailureKind::FirstTokenTimeout), self.since_ns, self.timeouts.first_token)
        };
        Limit::new(kind, since_ns, limit)
    }

    fn total(&self) -> Limit {
        // An answer that is whole does not fail for want of more.
        let kind = self.answered_ns.is_none().then_some(FailureKind::TotalTimeout);
        Limit::new(kind, self.created_ns, self.timeouts.total)
    }

    fn instant(&self, at_ns: u64) -> Instant {
        self.created + Duration::from_nanos(at_ns.saturating_sub(self.created_ns))
    }
}

impl Limit {
    fn new(kind: Option<FailureKind>, since_ns: u64, length: Option<Duration>) -> Self {
        let length = bounded(length);
        let at_ns = since_ns.saturating_add(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX));
        Self { kind, at_ns, length }
    }

    fn stop(&self) -> Stop {
        let seconds = self.length.as_secs_f64();
        let Some(kind) = self.kind else { return Stop::Answered };
        let message = match kind {
            FailureKind::IdleTimeout => {
                format!("the stream went silent: no token for {seconds} s (idle timeout)")
            }
            FailureKind::TotalTimeout => {
                format!("the answer was not whole within {seconds} s of the request (total timeout)")
            }
            _ => format!("no token within {seconds} s of the request (first-token timeout)"),
        };
        Failure::new(kind, message).into()
    }
}

/// A limit as a duration that can be added to any `Instant` without overflow.
fn bounded(limit: Option<Duration>) -> Duration {
    limit.unwrap_or(FOREVER).min(FOREVER)
}
