//! How much one end has moved, published to the other end.

use std::sync::atomic::Ordering::{Acquire, Release};

use crate::sync::AtomicUsize;

/// A sum of weights that only grows, and wraps. One thread writes it and the other reads it, so it has its own cache lines: 128 bytes,
/// because x86-64 prefetches lines in pairs.
#[repr(align(128))]
pub(crate) struct Position(AtomicUsize);

impl Position {
    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Stores a position. All writes before this are visible to a thread that loads it.
    pub(crate) fn publish(&self, position: usize) {
        self.0.store(position, Release);
    }

    /// The latest position. All writes before it was published are visible.
    pub(crate) fn load(&self) -> usize {
        self.0.load(Acquire)
    }
}
