//! The end that pushes.

use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::{Context, Poll};

use crate::Shared;
use crate::block::Filler;
use crate::sync::Arc;

/// The sending end. There is one: it cannot be cloned, and pushing needs `&mut`.
pub struct Producer<T: Send> {
    shared: Arc<Shared>,
    filler: Filler<T>,
    capacity: usize,
    tail: usize,
    /// The consumer's position when it was last looked up: never further than it really is.
    known_head: usize,
}

/// Why a value was not taken; the value comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushError<T> {
    /// There is no room: wait with [`Producer::poll_space`].
    Full(T),
    /// The consumer is gone: nobody will ever take it.
    Closed(T),
}

impl<T: Send> Producer<T> {
    pub(crate) fn new(shared: Arc<Shared>, filler: Filler<T>, capacity: usize) -> Self {
        Self { shared, filler, capacity, tail: 0, known_head: 0 }
    }

    /// Moves one value into the channel. Nobody is woken: call [`Producer::notify`] after the last of a batch.
    ///
    /// # Errors
    /// [`PushError`], with the value.
    pub fn push(&mut self, value: T) -> Result<(), PushError<T>> {
        if self.is_closed() {
            return Err(PushError::Closed(value));
        }
        if !self.has_space() {
            return Err(PushError::Full(value));
        }
        self.filler.push(value);
        self.tail = self.tail.wrapping_add(1);
        self.shared.tail.publish(self.tail);
        Ok(())
    }

    /// Wakes the consumer, if it waits.
    pub fn notify(&self) {
        self.shared.waiting_consumer.wake();
    }

    /// Ready when a push will not find the channel full, or when the consumer is gone.
    pub fn poll_space(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.has_space() || self.is_closed() {
            return Poll::Ready(());
        }
        self.shared.waiting_producer.register(context.waker());
        if self.has_space() || self.is_closed() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether the consumer is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.consumer_gone.load(Acquire)
    }

    fn has_space(&mut self) -> bool {
        if self.tail.wrapping_sub(self.known_head) < self.capacity {
            return true;
        }
        self.known_head = self.shared.head.see();
        self.tail.wrapping_sub(self.known_head) < self.capacity
    }
}

impl<T: Send> Drop for Producer<T> {
    fn drop(&mut self) {
        self.shared.producer_gone.store(true, Release);
        self.notify();
    }
}
