//! The sending end.

use std::marker::PhantomData;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::{Context, Poll};

use crate::Shared;
use crate::block::WriteCursor;
use crate::sync::Arc;
use crate::weight::{One, Weight};

/// The sending end of a [`channel`](crate::channel). There is only one: it cannot be cloned.
///
/// Dropping it closes the channel and wakes the consumer, which can still take the values that are left.
pub struct Producer<T: Send, W: Weight<T> = One> {
    shared: Arc<Shared>,
    cursor: WriteCursor<T>,
    capacity: usize,
    tail: usize,
    /// The consumer's position when last loaded. The real one may be further on.
    known_head: usize,
    weight: PhantomData<fn() -> W>,
}

/// Why a push failed. Both variants give the value back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushError<T> {
    /// The channel is full: wait with [`Producer::poll_space`].
    Full(T),
    /// The consumer is gone, so the value would never be taken.
    Closed(T),
}

impl<T: Send, W: Weight<T>> Producer<T, W> {
    pub(crate) fn new(shared: Arc<Shared>, cursor: WriteCursor<T>, capacity: usize) -> Self {
        Self { shared, cursor, capacity, tail: 0, known_head: 0, weight: PhantomData }
    }

    /// Moves one value into the channel. This does not wake the consumer: call [`Producer::notify`] after the last
    /// value of a batch.
    ///
    /// # Errors
    /// [`PushError::Full`] or [`PushError::Closed`], with the value.
    pub fn push(&mut self, value: T) -> Result<(), PushError<T>> {
        if self.is_closed() {
            return Err(PushError::Closed(value));
        }
        let weight = W::of(&value);
        if !self.has_space(weight) {
            return Err(PushError::Full(value));
        }
        self.cursor.push(value);
        self.tail = self.tail.wrapping_add(weight);
        self.shared.tail.publish(self.tail);
        Ok(())
    }

    /// Wakes the consumer if it waits.
    pub fn notify(&self) {
        self.shared.waiting_consumer.wake();
    }

    /// Ready when a push of this value will not fail with [`PushError::Full`], or when the consumer is gone. If
    /// pending, the task of `context` is woken when to poll again.
    pub fn poll_space(&mut self, value: &T, context: &mut Context<'_>) -> Poll<()> {
        let weight = W::of(value);
        if self.has_space(weight) || self.is_closed() {
            return Poll::Ready(());
        }
        self.shared.waiting_producer.register(context.waker());
        if self.has_space(weight) || self.is_closed() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether the consumer is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.consumer_gone.load(Acquire)
    }

    fn has_space(&mut self, weight: usize) -> bool {
        // A value that weighs more than the whole capacity counts as that much: it waits for the channel to be empty.
        let most = self.capacity - weight.min(self.capacity);
        if self.tail.wrapping_sub(self.known_head) <= most {
            return true;
        }
        self.known_head = self.shared.head.load();
        self.tail.wrapping_sub(self.known_head) <= most
    }
}

impl<T: Send, W: Weight<T>> Drop for Producer<T, W> {
    fn drop(&mut self) {
        self.shared.producer_gone.store(true, Release);
        self.notify();
    }
}
