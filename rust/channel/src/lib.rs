//! The token channel: bounded, lock-free, one producer, one consumer.
//!
//! The modules:
//!
//! - `producer` and `consumer`: the two ends that [`channel`] returns;
//! - `block`: stores the values in between, in a linked list of blocks;
//! - `position`: how much each end has moved;
//! - `weight`: how much of the capacity a value takes;
//! - `waker`: the waker of an end that waits for the other;
//! - `sync`: std's atomics, or loom's, with which `tests/loom.rs` tries every interleaving.
//!
//! Moving a value and waking the other end are separate calls: [`Producer::push`] and [`Consumer::pop`] move one value
//! and wake nobody; [`Producer::notify`] and [`Consumer::notify`] wake. So a socket read that yields a hundred tokens
//! costs one wake-up. Waiting and taking are separate too: a wait takes nothing, so it is safe to cancel.
//!
//! All unsafe code of headrace is in this crate: in `block`, in `waker`, and in `Consumer::pop`, which calls `block`.
//!
//! ```
//! use std::time::Duration;
//!
//! use headrace_channel::{PushError, Ready, channel};
//!
//! let (mut producer, mut consumer) = channel(2);
//!
//! assert_eq!(producer.push("Hello"), Ok(()));
//! assert_eq!(producer.push(" world"), Ok(()));
//! assert_eq!(producer.push("!"), Err(PushError::Full("!")));
//! producer.notify(); // one wake-up for the whole batch
//!
//! assert_eq!(consumer.wait(Duration::from_secs(10)), Some(Ready::Value));
//! assert_eq!(consumer.drain().collect::<String>(), "Hello world");
//!
//! drop(producer);
//! assert_eq!(consumer.wait(Duration::from_secs(10)), Some(Ready::Closed));
//! ```

mod block;
mod consumer;
mod position;
mod producer;
mod sync;
mod waker;
mod weight;

pub use consumer::{Consumer, Drain, Ready};
pub use producer::{Producer, PushError};
pub use weight::{One, Weight};

use position::Position;
use sync::{Arc, AtomicBool};
use waker::WakerSlot;

/// A channel that holds at most `capacity` values; a capacity of 0 counts as 1. Memory is allocated as values are
/// pushed, a block of 32 values at a time, not for the whole capacity.
///
/// Dropping either end closes the channel. Values that were pushed before the producer was dropped can still be taken.
#[must_use]
pub fn channel<T: Send>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    weighted_channel(capacity)
}

/// A channel whose values take as much of its capacity as `W` says. A value that weighs more than the whole capacity
/// fits only if the channel is empty.
#[must_use]
pub fn weighted_channel<T: Send, W: Weight<T>>(capacity: usize) -> (Producer<T, W>, Consumer<T, W>) {
    let shared = Arc::new(Shared {
        head: Position::new(),
        tail: Position::new(),
        producer_gone: AtomicBool::new(false),
        consumer_gone: AtomicBool::new(false),
        waiting_consumer: WakerSlot::new(),
        waiting_producer: WakerSlot::new(),
    });
    let (write, read) = block::new_list();
    (Producer::new(Arc::clone(&shared), write, capacity.max(1)), Consumer::new(shared, read))
}

/// The state that both ends use, apart from the values.
struct Shared {
    /// The weight of all values that the consumer has taken.
    head: Position,
    /// The weight of all values that the producer has pushed.
    tail: Position,
    producer_gone: AtomicBool,
    consumer_gone: AtomicBool,
    waiting_consumer: WakerSlot,
    waiting_producer: WakerSlot,
}
