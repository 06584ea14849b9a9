//! In which process this is, without asking the kernel for it at each token.

use std::sync::atomic::{AtomicU32, Ordering};

static FORKS: AtomicU32 = AtomicU32::new(0);

/// Tells the engine that this process is the child of a `fork`: what was opened before belongs to its parent.
///
/// Whoever embeds the engine in a process that may fork must see that the child calls this before anything else here.
pub fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// A process, as the next in a line of forks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    /// The one that this is. No order with other memory is needed: a child begins with one thread, which counts first.
    pub(crate) fn current() -> Self {
        Self(FORKS.load(Ordering::Relaxed))
    }
}
