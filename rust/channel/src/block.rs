//! Where the values are between the two ends: in a chain of blocks.
//!
//! The producer links a new block behind its own when that is full; the consumer leaves a block when it has emptied it,
//! which frees it. So the channel is as large as its backlog: a reader that keeps up holds one block, or two. A ring
//! would be walked through, and in memory, as a whole, however short the backlog.
#![expect(
    unsafe_code,
    reason = "slots are handed from thread to thread without a lock; each block says why it may"
)]

use std::mem::MaybeUninit;
use std::sync::atomic::Ordering::Relaxed;

use crate::sync::{Arc, AtomicUsize, UnsafeCell};

/// How many values a block holds: enough that making one is little per value (24 instructions, `benches/instructions.md`),
/// and not much memory for a stream that waits. Loom's models must cross from block to block with few values.
const BLOCK: usize = if cfg!(loom) { 2 } else { 32 };

/// Some values, and the way to those after them.
///
/// The rule that everything here rests on: the producer touches a slot, or `next`, before it publishes the position
/// behind it; the consumer does after it has seen that position. Publishing is a release store and seeing an acquire
/// load, so the two are never there at once.
struct Block<T> {
    slots: [UnsafeCell<MaybeUninit<T>>; BLOCK],
    next: UnsafeCell<Option<Arc<Block<T>>>>,
    /// How many slots the producer has filled. Known once it has left the block.
    filled: AtomicUsize,
    /// How many slots the consumer has emptied. Known once it has left the block.
    emptied: AtomicUsize,
}

// SAFETY: a `Block` owns its values and lets two threads move them, so it may be shared where `T` may be sent. By the
// rule above no slot, and no `next`, is reached by both at once.
unsafe impl<T: Send> Sync for Block<T> {}
// SAFETY: as above; nothing in it is tied to a thread.
unsafe impl<T: Send> Send for Block<T> {}

impl<T> Block<T> {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            slots: std::array::from_fn(|_| UnsafeCell::new(MaybeUninit::uninit())),
            next: UnsafeCell::new(None),
            filled: AtomicUsize::new(0),
            emptied: AtomicUsize::new(0),
        })
    }

    fn unlink(&mut self) -> Option<Arc<Self>> {
        self.next.with_mut(|link| {
            // SAFETY: `&mut self`, so nobody else is here.
            unsafe { (*link).take() }
        })
    }
}

impl<T> Drop for Block<T> {
    fn drop(&mut self) {
        // Relaxed: both ends have left, and letting go of an `Arc` orders what they did before this.
        for slot in self.emptied.load(Relaxed)..self.filled.load(Relaxed) {
            self.slots[slot].with_mut(|value| {
                // SAFETY: `&mut self`, so nobody else is here; the slot was filled and not emptied.
                unsafe { (*value).assume_init_drop() };
            });
        }
        // One after the other, since a long backlog would be a deep recursion.
        let mut next = self.unlink();
        while let Some(mut block) = next.and_then(|block| Arc::try_unwrap(block).ok()) {
            next = block.unlink();
        }
    }
}

/// The producer's place in the chain.
pub(crate) struct Filler<T> {
    block: Arc<Block<T>>,
    slot: usize,
}

/// The consumer's place in the chain.
pub(crate) struct Emptier<T> {
    block: Arc<Block<T>>,
    slot: usize,
}

/// A chain of one block, with nothing in it.
pub(crate) fn chain<T>() -> (Filler<T>, Emptier<T>) {
    let block = Block::new();
    (Filler { block: Arc::clone(&block), slot: 0 }, Emptier { block, slot: 0 })
}

impl<T> Filler<T> {
    /// Fills the next slot. The caller publishes it.
    pub(crate) fn push(&mut self, value: T) {
        if self.slot == BLOCK {
            self.advance();
        }
        self.block.slots[self.slot].with_mut(|slot| {
            // SAFETY: `&mut self` of the only producer, and its place is behind all that it has published.
            unsafe { (*slot).write(value) };
        });
        self.slot += 1;
    }

    fn advance(&mut self) {
        let next = Block::new();
        self.block.next.with_mut(|link| {
            // SAFETY: the consumer looks here when it has seen the first position of the next block, which comes later.
            unsafe { *link = Some(Arc::clone(&next)) };
        });
        self.leave();
        self.block = next;
        self.slot = 0;
    }

    fn leave(&self) {
        self.block.filled.store(self.slot, Relaxed);
    }
}

impl<T> Drop for Filler<T> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<T> Emptier<T> {
    /// Empties the next slot.
    ///
    /// # Safety
    /// The caller has seen, by an acquire load, that the producer has published it.
    pub(crate) unsafe fn pop(&mut self) -> T {
        if self.slot == BLOCK {
            self.advance();
        }
        let value = self.block.slots[self.slot].with_mut(|slot| {
            // SAFETY: the caller says that the slot is filled. It is read out once: our place moves past it below.
            unsafe { (*slot).assume_init_read() }
        });
        self.slot += 1;
        value
    }

    fn advance(&mut self) {
        let next = self.block.next.with_mut(|link| {
            // SAFETY: called from `pop` alone, whose caller has seen a position of the next block: the producer has
            // linked it and left this one.
            unsafe { (*link).take() }
        });
        self.leave();
        if let Some(next) = next {
            self.block = next;
            self.slot = 0;
        }
    }

    fn leave(&self) {
        self.block.emptied.store(self.slot, Relaxed);
    }
}

impl<T> Drop for Emptier<T> {
    fn drop(&mut self) {
        self.leave();
    }
}
