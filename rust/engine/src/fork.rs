//! Tells a forked child from its parent without a system call per token.

use std::sync::atomic::{AtomicU32, Ordering};

static FORKS: AtomicU32 = AtomicU32::new(0);

/// Tells the engine that this process is the child of a `fork`: streams that are open belong to the parent.
///
/// A program that embeds the engine and may fork must call this in the child before any other function of this crate.
pub fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// A process, identified by the number of forks that led to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    /// The current process. `Relaxed` is enough: a child starts with a single thread, which calls [`forked`] first.
    pub(crate) fn current() -> Self {
        Self(FORKS.load(Ordering::Relaxed))
    }
}
