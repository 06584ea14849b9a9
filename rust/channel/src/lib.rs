//! The token channel: bounded and lock-free, from one producer to one consumer.
//!
//! A map:
//!
//! - [`channel`] gives the two ends, [`Producer`] and [`Consumer`]; here is what they promise each other;
//! - `block` holds the values between them;
//! - `position` says how far each end has come;
//! - `waker` holds whoever waits for the other end;
//! - `sync` swaps std's atomics for loom's, so that `tests/loom.rs` can try every interleaving.
//!
//! Moving a value and waking the other end are two things: [`Producer::push`] and [`Consumer::pop`] move one value and
//! wake nobody, [`Producer::notify`] and [`Consumer::notify`] wake. So a read that yields a hundred tokens costs one
//! wake-up. Waiting and taking are two things as well: a wait that is given up loses nothing.
//!
//! The only unsafe code in headrace is in this crate's `block` and `waker`, and in `Consumer::pop`, which calls `block`.

mod block;
mod consumer;
mod position;
mod producer;
mod sync;
mod waker;

pub use consumer::{Consumer, Drain, Ready};
pub use producer::{Producer, PushError};

use position::Position;
use sync::{Arc, AtomicBool};
use waker::WakerSlot;

/// A channel that holds at most `capacity` values, and at least one. It takes memory for those that it holds.
///
/// Dropping either end closes the channel. What was pushed before the producer closed still reaches the consumer.
#[must_use]
pub fn channel<T: Send>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let shared = Arc::new(Shared {
        head: Position::new(),
        tail: Position::new(),
        producer_gone: AtomicBool::new(false),
        consumer_gone: AtomicBool::new(false),
        waiting_consumer: WakerSlot::new(),
        waiting_producer: WakerSlot::new(),
    });
    let (filler, emptier) = block::chain();
    (Producer::new(Arc::clone(&shared), filler, capacity.max(1)), Consumer::new(shared, emptier))
}

struct Shared {
    /// How far the consumer has come.
    head: Position,
    /// How far the producer has come.
    tail: Position,
    producer_gone: AtomicBool,
    consumer_gone: AtomicBool,
    waiting_consumer: WakerSlot,
    waiting_producer: WakerSlot,
}
