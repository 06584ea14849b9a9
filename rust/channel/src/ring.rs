//! The ring itself: slots, and two counters that only ever grow.
#![expect(
    unsafe_code,
    reason = "slots are handed from thread to thread without a lock; each block says why it may"
)]

use std::mem::MaybeUninit;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::sync::{AtomicUsize, UnsafeCell};

/// Keeps the two counters on cache lines of their own: each is written by one thread and read by the other. 128 bytes,
/// since x86-64 fetches lines in pairs.
#[repr(align(128))]
struct Padded<T>(T);

/// A ring of `slots.len()` values. Position `p` lives in slot `p & mask`; `head..tail` are filled.
pub(crate) struct Ring<T> {
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
    mask: usize,
    /// The next position to pop. Written by the consumer only.
    head: Padded<AtomicUsize>,
    /// The next position to push. Written by the producer only.
    tail: Padded<AtomicUsize>,
}

// SAFETY: a `Ring` owns its values and lets two threads move them, so it may be shared where `T` may be sent. The slots
// are never reached by both at once: the producer touches only slots outside `head..tail`, the consumer only those
// inside, and each learns of the other's move through an acquire load of the counter that its release store moved.
unsafe impl<T: Send> Sync for Ring<T> {}
// SAFETY: as above; nothing in it is tied to a thread.
unsafe impl<T: Send> Send for Ring<T> {}

impl<T> Ring<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(2).next_power_of_two();
        Self {
            slots: (0..capacity).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect(),
            mask: capacity - 1,
            head: Padded(AtomicUsize::new(0)),
            tail: Padded(AtomicUsize::new(0)),
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// How far the consumer has come. All slots before it are free.
    pub(crate) fn head(&self) -> usize {
        self.head.0.load(Acquire)
    }

    /// How far the producer has come. All slots before it are filled.
    pub(crate) fn tail(&self) -> usize {
        self.tail.0.load(Acquire)
    }

    /// Fills the slot at `tail` and publishes it.
    ///
    /// # Safety
    /// Only the one producer may call this, with its own count of pushes as `tail`, after it saw
    /// `tail - head() < capacity()`.
    pub(crate) unsafe fn push(&self, tail: usize, value: T) {
        self.slots[tail & self.mask].with_mut(|slot| {
            // SAFETY: the caller says that the slot is free and that nobody else fills it.
            unsafe { (*slot).write(value) };
        });
        self.tail.0.store(tail.wrapping_add(1), Release);
    }

    /// Empties the slot at `head` and frees it.
    ///
    /// # Safety
    /// Only the one consumer may call this, with its own count of pops as `head`, after it saw `tail() != head`.
    pub(crate) unsafe fn pop(&self, head: usize) -> T {
        let value = self.slots[head & self.mask].with_mut(|slot| {
            // SAFETY: the caller says that the slot is filled and that nobody else empties it; `head` moves past it
            // below, so that the value is read out once.
            unsafe { (*slot).assume_init_read() }
        });
        self.head.0.store(head.wrapping_add(1), Release);
        value
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // `&mut self`: both ends are gone, and their counters are seen through the `Arc`'s own synchronisation.
        let mut head = self.head.0.load(Relaxed);
        let tail = self.tail.0.load(Relaxed);
        while head != tail {
            // SAFETY: no other thread is left, and `head != tail` says that the slot is filled.
            drop(unsafe { self.pop(head) });
            head = head.wrapping_add(1);
        }
    }
}
