//! The token channel: a bounded, lock-free ring from one producer to one consumer.
//!
//! A map:
//!
//! - [`channel`] gives the two ends, [`Producer`] and [`Consumer`]; here is what they promise each other;
//! - `ring` holds the values between them;
//! - `waker` holds whoever waits for the other end;
//! - `sync` swaps std's atomics for loom's, so that `tests/loom.rs` can try every interleaving.
//!
//! Moving a value and waking the other end are two things: [`Producer::push`] and [`Consumer::pop`] move one value and
//! wake nobody, [`Producer::notify`] and [`Consumer::notify`] wake. So a read that yields a hundred tokens costs one
//! wake-up. Waiting and taking are two things as well: a wait that is given up loses nothing.
//!
//! The only unsafe code in headrace is in this crate's `ring` and `waker`.

mod consumer;
mod producer;
mod ring;
mod sync;
mod waker;

pub use consumer::{Consumer, Drain, Ready};
pub use producer::{Producer, PushError};

use ring::Ring;
use sync::{Arc, AtomicBool};
use waker::WakerSlot;

/// A channel that holds at most `capacity` values, rounded up to a power of two and at least 2.
///
/// Dropping either end closes the channel. What was pushed before the producer closed still reaches the consumer.
#[must_use]
pub fn channel<T: Send>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let shared = Arc::new(Shared {
        ring: Ring::new(capacity),
        producer_gone: AtomicBool::new(false),
        consumer_gone: AtomicBool::new(false),
        waiting_consumer: WakerSlot::new(),
        waiting_producer: WakerSlot::new(),
    });
    (Producer::new(Arc::clone(&shared)), Consumer::new(shared))
}

struct Shared<T> {
    ring: Ring<T>,
    producer_gone: AtomicBool,
    consumer_gone: AtomicBool,
    waiting_consumer: WakerSlot,
    waiting_producer: WakerSlot,
}
