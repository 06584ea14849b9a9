//! The receiving end, and its two ways to wait: blocking and async.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::{Context, Poll};
#[cfg(not(loom))]
use std::{
    task::{Wake, Waker},
    thread::Thread,
    time::{Duration, Instant},
};

use crate::Shared;
use crate::block::ReadCursor;
use crate::sync::Arc;
use crate::weight::{One, Weight};

/// The receiving end of a [`channel`](crate::channel). There is only one: it cannot be cloned.
///
/// Dropping it drops the values that are left, and wakes the producer, whose pushes then fail with
/// [`PushError::Closed`](crate::PushError::Closed).
pub struct Consumer<T: Send, W: Weight<T> = One> {
    shared: Arc<Shared>,
    cursor: ReadCursor<T>,
    head: usize,
    /// The producer's position when last loaded. The real one may be further on.
    known_tail: usize,
    weight: PhantomData<fn() -> W>,
}

/// The result of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// At least one value can be taken.
    Value,
    /// The producer is gone and everything has been taken.
    Closed,
}

impl<T: Send, W: Weight<T>> Consumer<T, W> {
    pub(crate) fn new(shared: Arc<Shared>, cursor: ReadCursor<T>) -> Self {
        Self { shared, cursor, head: 0, known_tail: 0, weight: PhantomData }
    }

    /// Takes one value, or `None` if the channel is empty.
    ///
    /// This does not wake the producer: call [`Consumer::notify`] after the last value of a batch, or use
    /// [`Consumer::drain`], which does.
    #[expect(unsafe_code, reason = "see the block")]
    pub fn pop(&mut self) -> Option<T> {
        if !self.has_value() {
            return None;
        }
        // SAFETY: `has_value` saw, with an acquire load, that the producer's position is past ours.
        let value = unsafe { self.cursor.pop() };
        self.head = self.head.wrapping_add(W::of(&value));
        self.shared.head.publish(self.head);
        Some(value)
    }

    /// Takes the values that are available, also those that arrive meanwhile, and wakes the producer when the iterator
    /// is dropped. Values that the iterator has not yielded stay in the channel.
    pub fn drain(&mut self) -> Drain<'_, T, W> {
        Drain { consumer: self }
    }

    /// Wakes the producer if it waits for space.
    pub fn notify(&self) {
        self.shared.waiting_producer.wake();
    }

    /// The async wait: ready when a value can be taken or the channel is closed. If pending, the task of `context` is
    /// woken when to poll again. Nothing is taken, so cancelling the wait loses no value.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Ready> {
        if let Some(ready) = self.look() {
            return Poll::Ready(ready);
        }
        self.shared.waiting_consumer.register(context.waker());
        self.look().map_or(Poll::Pending, Poll::Ready)
    }

    /// Ready when the producer is gone, even if values are left. If pending, the task of `context` is woken when to
    /// poll again.
    pub fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_closed() {
            return Poll::Ready(());
        }
        self.shared.waiting_consumer.register(context.waker());
        if self.is_closed() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether the producer is gone. Values may be left.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.producer_gone.load(Acquire)
    }

    /// The blocking wait: parks the thread until a value can be taken or the channel is closed, for at most `timeout`.
    /// `None` when the timeout has passed. A timeout beyond what `Instant` can express returns `None` at once.
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

    /// The blocking wait under loom: no timeout, and parked by loom's own executor, because a late `unpark` would also
    /// wake loom's `join`. The part worth testing, registering the waker, is the same code.
    #[cfg(loom)]
    pub fn wait(&mut self) -> Ready {
        loom::future::block_on(std::future::poll_fn(|context| self.poll_ready(context)))
    }

    /// Checks without waiting. `None` if there is no value and the channel is still open.
    pub fn look(&mut self) -> Option<Ready> {
        if self.has_value() {
            return Some(Ready::Value);
        }
        if !self.is_closed() {
            return None;
        }
        // Check again: the producer may have pushed its last values between the first check and its drop.
        Some(if self.has_value() { Ready::Value } else { Ready::Closed })
    }

    fn has_value(&mut self) -> bool {
        if self.head != self.known_tail {
            return true;
        }
        self.known_tail = self.shared.tail.load();
        self.head != self.known_tail
    }
}

impl<T: Send, W: Weight<T>> Drop for Consumer<T, W> {
    fn drop(&mut self) {
        self.shared.consumer_gone.store(true, Release);
        self.notify();
    }
}

/// Iterator over the available values; see [`Consumer::drain`].
#[must_use]
pub struct Drain<'a, T: Send, W: Weight<T> = One> {
    consumer: &'a mut Consumer<T, W>,
}

impl<T: Send, W: Weight<T>> Iterator for Drain<'_, T, W> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.consumer.pop()
    }
}

impl<T: Send, W: Weight<T>> Drop for Drain<'_, T, W> {
    fn drop(&mut self) {
        self.consumer.notify();
    }
}

impl<T: Send, W: Weight<T>> fmt::Debug for Consumer<T, W> {
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
