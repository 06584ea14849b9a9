//! Storage of the channel: a linked list of fixed-size blocks.
//!
//! When its block is full, the producer links a new one. When the consumer has emptied a block, it moves on and the
//! block is freed. Memory therefore follows the backlog: one or two blocks while the consumer keeps up. A ring buffer
//! would touch all of its memory in turn, however short the backlog.
#![expect(
    unsafe_code,
    reason = "slots are handed from one thread to the other without a lock; each unsafe block says why that is sound"
)]

use std::mem::MaybeUninit;
use std::sync::atomic::Ordering::Relaxed;

use crate::sync::{Arc, AtomicUsize, UnsafeCell};

/// How many values a block holds: enough to make the cost of a block small per value (24 instructions, see
/// `benches/instructions.md`), few enough to make an idle stream cheap. Loom's models need block changes after few
/// values.
const BLOCK: usize = if cfg!(loom) { 2 } else { 32 };

/// A fixed number of slots and the link to the next block.
///
/// The rule that makes all of this sound: the producer writes a slot (or `next`) *before* it publishes a position
/// past it, with a release store; the consumer reads the slot (or `next`) only *after* it has loaded such a position,
/// with an acquire load. So the two never access one of these at the same time.
struct Block<T> {
    slots: [UnsafeCell<MaybeUninit<T>>; BLOCK],
    next: UnsafeCell<Option<Arc<Block<T>>>>,
    /// How many slots the producer has filled. Set when it leaves the block; only `drop` reads it.
    filled: AtomicUsize,
    /// How many slots the consumer has emptied. Set when it leaves the block; only `drop` reads it.
    emptied: AtomicUsize,
}

// SAFETY: two threads move values in and out of a shared `Block`, so `T` must be `Send`. By the rule above they never
// access the same slot, or `next`, at the same time.
unsafe impl<T: Send> Sync for Block<T> {}
// SAFETY: as above; nothing in a `Block` is tied to a thread.
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
            // SAFETY: `&mut self` is exclusive.
            unsafe { (*link).take() }
        })
    }
}

impl<T> Drop for Block<T> {
    fn drop(&mut self) {
        // Relaxed is enough: both ends have dropped their `Arc`, and that orders their writes before this.
        for slot in self.emptied.load(Relaxed)..self.filled.load(Relaxed) {
            self.slots[slot].with_mut(|value| {
                // SAFETY: `&mut self` is exclusive, and this slot was filled and not emptied.
                unsafe { (*value).assume_init_drop() };
            });
        }
        // Free the blocks in a loop: dropping them recursively would overflow the stack on a long backlog.
        let mut next = self.unlink();
        while let Some(mut block) = next.and_then(|block| Arc::try_unwrap(block).ok()) {
            next = block.unlink();
        }
    }
}

/// Where the producer writes next.
pub(crate) struct WriteCursor<T> {
    block: Arc<Block<T>>,
    slot: usize,
}

/// Where the consumer reads next.
pub(crate) struct ReadCursor<T> {
    block: Arc<Block<T>>,
    slot: usize,
}

/// The two cursors of a new, empty list with one block.
pub(crate) fn new_list<T>() -> (WriteCursor<T>, ReadCursor<T>) {
    let block = Block::new();
    (WriteCursor { block: Arc::clone(&block), slot: 0 }, ReadCursor { block, slot: 0 })
}

impl<T> WriteCursor<T> {
    /// Fills the next slot. The caller must then publish the new position.
    pub(crate) fn push(&mut self, value: T) {
        if self.slot == BLOCK {
            self.advance();
        }
        self.block.slots[self.slot].with_mut(|slot| {
            // SAFETY: there is one producer and it is borrowed as `&mut`; this slot is not published yet.
            unsafe { (*slot).write(value) };
        });
        self.slot += 1;
    }

    fn advance(&mut self) {
        let next = Block::new();
        self.block.next.with_mut(|link| {
            // SAFETY: the consumer reads `next` only after a position in the next block is published, which comes
            // later.
            unsafe { *link = Some(Arc::clone(&next)) };
        });
        self.record_filled();
        self.block = next;
        self.slot = 0;
    }

    fn record_filled(&self) {
        self.block.filled.store(self.slot, Relaxed);
    }
}

impl<T> Drop for WriteCursor<T> {
    fn drop(&mut self) {
        self.record_filled();
    }
}

impl<T> ReadCursor<T> {
    /// Takes the value out of the next slot.
    ///
    /// # Safety
    /// The caller must have seen, with an acquire load, that the producer has published this slot.
    pub(crate) unsafe fn pop(&mut self) -> T {
        if self.slot == BLOCK {
            self.advance();
        }
        let value = self.block.slots[self.slot].with_mut(|slot| {
            // SAFETY: the caller guarantees that the slot is filled. It is read once: `self.slot` moves past it below.
            unsafe { (*slot).assume_init_read() }
        });
        self.slot += 1;
        value
    }

    fn advance(&mut self) {
        let next = self.block.next.with_mut(|link| {
            // SAFETY: only `pop` calls this, and its caller has seen a position in the next block. So the producer has
            // linked that block and will not touch this one again.
            unsafe { (*link).take() }
        });
        self.record_emptied();
        if let Some(next) = next {
            self.block = next;
            self.slot = 0;
        }
    }

    fn record_emptied(&self) {
        self.block.emptied.store(self.slot, Relaxed);
    }
}

impl<T> Drop for ReadCursor<T> {
    fn drop(&mut self) {
        self.record_emptied();
    }
}
