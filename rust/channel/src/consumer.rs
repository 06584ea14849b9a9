//! The end that takes, and its two ways to wait.

use std::fmt;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::{Context, Poll};
#[cfg(not(loom))]
use std::{
    task::{Wake, Waker},
    thread::Thread,
    time::{Duration, Instant},
};

use crate::Shared;
use crate::block::Emptier;
use crate::sync::Arc;

/// The receiving end. There is one: it cannot be cloned, and taking needs `&mut`.
pub struct Consumer<T: Send> {
    shared: Arc<Shared>,
    emptier: Emptier<T>,
    head: usize,
    /// The producer's position when it was last looked up: never further than it really is.
    known_tail: usize,
}

/// What a wait ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// At least one value can be taken.
    Value,
    /// The producer is gone and everything has been taken.
    Closed,
}

impl<T: Send> Consumer<T> {
    pub(crate) fn new(shared: Arc<Shared>, emptier: Emptier<T>) -> Self {
        Self { shared, emptier, head: 0, known_tail: 0 }
    }

    /// Takes one value, if there is one. The producer is not woken: call [`Consumer::notify`] after the last.
    #[expect(unsafe_code, reason = "see the block")]
    pub fn pop(&mut self) -> Option<T> {
        if !self.has_value() {
            return None;
        }
        // SAFETY: `has_value` saw the producer's position, by an acquire load, behind ours.
        let value = unsafe { self.emptier.pop() };
        self.head = self.head.wrapping_add(1);
        self.shared.head.publish(self.head);
        Some(value)
    }

    /// Takes what is there, and wakes the producer when the iterator is dropped.
    pub fn drain(&mut self) -> Drain<'_, T> {
        Drain { consumer: self }
    }

    /// Wakes the producer, if it waits for room.
    pub fn notify(&self) {
        self.shared.waiting_producer.wake();
    }

    /// The async way to wait: ready, or `waker` is woken when that may have changed.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Ready> {
        if let Some(ready) = self.look() {
            return Poll::Ready(ready);
        }
        self.shared.waiting_consumer.register(context.waker());
        self.look().map_or(Poll::Pending, Poll::Ready)
    }

    /// Ready when the producer is gone, whatever it left; if not, `waker` is woken when that may have changed.
    pub fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_closed() {
            return Poll::Ready(());
        }
        self.shared.waiting_consumer.register(context.waker());
        if self.is_closed() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether the producer is gone. It may have left values.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.producer_gone.load(Acquire)
    }

    /// The blocking way to wait, for at most `timeout`. `None` when that has passed.
    #[cfg(not(loom))]
    pub fn wait(&mut self, timeout: Duration) -> Option<Ready> {
        if let Some(ready) = self.look() {
            return Some(ready);
        }
        let deadline = Instant::now().checked_add(timeout)?;
        let waker = thread_waker();
        loop {
            if let Poll::Ready(ready) = self.poll_ready(&mut Context::from_waker(&waker)) {
                return Some(ready);
            }
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            std::thread::park_timeout(left);
        }
    }

    /// The blocking wait as loom models it: without time, and parked by loom's own executor, since an `unpark` that
    /// comes late would also wake loom's `join`. What can go wrong here is the registering, which is the same code.
    #[cfg(loom)]
    pub fn wait(&mut self) -> Ready {
        loom::future::block_on(std::future::poll_fn(|context| self.poll_ready(context)))
    }

    /// Looks without waiting. `None`: nothing yet.
    pub fn look(&mut self) -> Option<Ready> {
        if self.has_value() {
            return Some(Ready::Value);
        }
        if !self.is_closed() {
            return None;
        }
        // Once more: a producer pushes and then goes, so its last values may have come since the first look.
        Some(if self.has_value() { Ready::Value } else { Ready::Closed })
    }

    fn has_value(&mut self) -> bool {
        if self.head != self.known_tail {
            return true;
        }
        self.known_tail = self.shared.tail.see();
        self.head != self.known_tail
    }
}

impl<T: Send> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.shared.consumer_gone.store(true, Release);
        self.notify();
    }
}

/// The values that are there; see [`Consumer::drain`].
#[must_use]
pub struct Drain<'a, T: Send> {
    consumer: &'a mut Consumer<T>,
}

impl<T: Send> Iterator for Drain<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.consumer.pop()
    }
}

impl<T: Send> Drop for Drain<'_, T> {
    fn drop(&mut self) {
        self.consumer.notify();
    }
}

impl<T: Send> fmt::Debug for Consumer<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Consumer").field("taken", &self.head).finish_non_exhaustive()
    }
}

#[cfg(not(loom))]
struct ThreadWaker(Thread);

#[cfg(not(loom))]
impl Wake for ThreadWaker {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(not(loom))]
fn thread_waker() -> Waker {
    Waker::from(std::sync::Arc::new(ThreadWaker(std::thread::current())))
}
