//! How far an end has come, for the other to see.

use std::sync::atomic::Ordering::{Acquire, Release};

use crate::sync::AtomicUsize;

/// A count of values that only ever grows. It is on cache lines of its own, since it is written by one thread and read by
/// the other: 128 bytes, for x86-64 fetches lines in pairs.
#[repr(align(128))]
pub(crate) struct Position(AtomicUsize);

impl Position {
    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Publishes a position, with all that was done before.
    pub(crate) fn publish(&self, position: usize) {
        self.0.store(position, Release);
    }

    /// The position that was published last, with all that was done before that.
    pub(crate) fn see(&self) -> usize {
        self.0.load(Acquire)
    }
}
